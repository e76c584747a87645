"""What a person sees of what a program writes to a terminal: as much of xterm as ours needs."""

from __future__ import annotations

import re

# A whole sequence; the begun one at the end of what has come so far is kept for later.
_TOKEN = re.compile(
    r"\x1b\[(?P<params>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
    r"|(?P<char>[^\x1b])"
)


class Emulator:
    """A terminal's picture, with the lines that have scrolled out of it."""

    def __init__(self, rows: int, columns: int) -> None:
        self._rows = rows
        self._columns = columns
        self._grid = [[" "] * columns for _ in range(rows)]
        self._gone: list[str] = []
        self._row = self._column = 0
        self._wraps = True
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        """Every line up to the last that is not empty, without blanks at their ends."""
        lines = [*self._gone, *("".join(row).rstrip() for row in self._grid)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def feed(self, text: str) -> None:
        """Take what the program writes."""
        self._rest += text
        at = 0
        while (match := _TOKEN.match(self._rest, at)) is not None:
            at = match.end()
            if match["final"]:
                self._control(match["params"], match["final"])
            elif match["char"]:
                self._put(match["char"])
        self._rest = self._rest[at:]

    def _put(self, char: str) -> None:
        if char == "\n":
            self._line_feed()
        elif char == "\r":
            self._column = 0
        elif char == "\b":
            self._column = max(0, self._column - 1)
        elif char >= " ":
            if self._column >= self._columns:
                if self._wraps:
                    self._column = 0
                    self._line_feed()
                else:
                    self._column = self._columns - 1
            self._grid[self._row][self._column] = char
            self._column += 1

    def _line_feed(self) -> None:
        if self._row < self._rows - 1:
            self._row += 1
            return
        self._gone.append("".join(self._grid.pop(0)).rstrip())
        self._grid.append([" "] * self._columns)

    def _control(self, params: str, final: str) -> None:
        if params.startswith("?"):
            self._wraps = final == "h" if params == "?7" else self._wraps
            return
        numbers = [int(number) if number else 0 for number in params.split(";")]
        if final in "ABCDGH":
            self._move(final, max(1, numbers[0]), max(1, numbers[-1]))
        elif final == "J":
            self._erase_down(everything=numbers[0] == 2)
        elif final == "K":
            self._erase_line(numbers[0])
        # Colours and the like change nothing that can be read.

    def _move(self, final: str, count: int, column: int) -> None:
        match final:
            case "A":
                self._row = max(0, self._row - count)
            case "B":
                self._row = min(self._rows - 1, self._row + count)
            case "C":
                self._column = min(self._columns - 1, self._column + count)
            case "D":
                self._column = max(0, self._column - count)
            case "G":
                self._column = count - 1
            case _:
                self._row, self._column = count - 1, column - 1

    def _erase_down(self, *, everything: bool) -> None:
        if not everything:
            self._erase_line(0)
        for row in range(0 if everything else self._row + 1, self._rows):
            self._grid[row] = [" "] * self._columns

    def _erase_line(self, how: int) -> None:
        begin = 0 if how else self._column
        end = self._columns if how != 1 else self._column + 1
        for column in range(begin, end):
            self._grid[self._row][column] = " "
