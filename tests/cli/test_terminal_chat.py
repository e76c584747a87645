"""The terminal chat in a real terminal, with a real server."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from chatrun.client.server_file import read_server_file
from tests.cli.terminal import ALT_ENTER, CTRL_C, CTRL_D, ENTER, UP, Terminal, terminal
from tests.support.server import dev_server
from tests.support.talkative import OTHER, TALKATIVE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.server import DevServer


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, in which its server and its terminal live."""
    return "asyncio"


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[DevServer]:
    """A `chatrun dev` with one task."""
    async with dev_server({"tasks/talk.py": TALKATIVE}) as server:
        yield server


@pytest.fixture(scope="module")
async def open_screen(dev: DevServer) -> AsyncIterator[Terminal]:
    """A chat that is connected to the server, which the tests of this module share."""
    async with terminal("chat", folder=dev.folder, rows=40) as screen:
        await screen.shows("/help")
        yield screen


@pytest.fixture
async def screen(open_screen: Terminal) -> Terminal:
    """The chat, in a session of its own."""
    await open_screen.say("/new")
    return open_screen


async def test_it_asks_answers_and_remembers(screen: Terminal) -> None:
    assert await screen.say("hello there") == "You said: hello there"
    assert await screen.say("recall") == "hello there | You said: hello there"


async def test_where_it_is_is_told(screen: Terminal, dev: DevServer) -> None:
    assert f"{dev.url} · session chat-" in screen.lines[0]
    info = (await screen.say("/info")).split("\n")

    assert info[0] == "  task      talk"
    assert info[2:] == [f"  server    {dev.url}", "  tasks     talk"]


async def test_ctrl_c_stops_the_answer_and_nothing_else(screen: Terminal, dev: DevServer) -> None:
    ended = sum(event["event"] == "turn-ended" for event in dev.events)
    await screen.asks()
    screen.type("wait", ENTER)
    await screen.until(lambda: screen.lines[-1] == "I wait.", "the beginning of the answer")

    screen.type(CTRL_C)
    await screen.asks()

    assert screen.lines[-4:] == ["I wait.", "stopped", "", "talk ›"]
    assert (await dev.event("turn-ended", nth=ended))["outcome"] == "stopped"
    assert await screen.say("recall") == "wait | I wait."


async def test_ctrl_c_at_the_prompt_drops_the_line_and_hints(screen: Terminal) -> None:
    await screen.asks()
    screen.type("never sent", CTRL_C)
    await screen.shows("Ctrl-D or /exit leaves")

    assert await screen.say("recall") == ""


async def test_what_is_typed_during_an_answer_waits(screen: Terminal) -> None:
    await screen.asks()
    screen.type("count 30", ENTER)
    await screen.until(lambda: "12 13" in screen.lines[-1], "the middle of the answer")
    screen.type("typed ahead", ENTER)

    await screen.shows("You said: typed ahead")
    await screen.asks()
    assert "29 30\n\ntalk › typed ahead\nYou said: typed ahead\n" in screen.text


async def test_a_line_may_be_continued(screen: Terminal) -> None:
    await screen.asks()
    screen.type("one", ALT_ENTER, "two\\", ENTER, "three", ENTER)

    await screen.shows("talk › one\n… two\n… three\nYou said: one two three")


async def test_reasoning_and_tools_are_a_line_each(screen: Terminal) -> None:
    thought, looked, said = (await screen.say("think")).split("\n")

    assert thought.startswith("✻ thought for 0.")
    assert looked == "✓ look(at=it) → nice"
    assert said == "I have thought."


async def test_text_is_shown_as_markdown(screen: Terminal) -> None:
    assert await screen.say("markdown") == ("Title\n\nSome bold <text>.\n\nx = 1\n\nThe end.")
    assert "\x1b[1mbold\x1b[0m" in screen.raw


async def test_a_failed_turn_is_told_and_the_chat_goes_on(screen: Terminal) -> None:
    assert await screen.say("fail") == "ValueError: it broke"
    assert await screen.say("hello") == "You said: hello"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("y", "✓ → blue\nIt is painted."), ("no", "✗ was not allowed\nThen not.")],
)
async def test_a_tool_that_needs_a_yes_is_asked_for(
    screen: Terminal, typed: str, shown: str
) -> None:
    await screen.asks()
    screen.type("paint", ENTER)
    question = "Run paint(a=1)? [y/N]"
    await screen.until(lambda: screen.lines[-1] == question, "the question")

    screen.type(typed, ENTER)
    await screen.asks()

    assert f"{question} {typed}\n{shown}\n\ntalk ›" in screen.text


async def test_an_answer_can_be_given_again_and_a_message_changed(screen: Terminal) -> None:
    await screen.say("first")
    assert await screen.say("/regen") == "You said: first"

    screen.type("/edit", ENTER)
    await screen.until(lambda: screen.lines[-1] == "talk › first", "the message")
    screen.type(" and more", ENTER)
    await screen.asks()

    assert await screen.say("/history") == "› first and more\nYou said: first and more"
    assert await screen.say("recall") == "first and more | You said: first and more"


async def test_sessions_are_listed_left_and_gone_back_to(screen: Terminal) -> None:
    first = screen.text.rpartition("session ")[2].split()[0]
    await screen.say("remember me")
    await screen.say("/new")
    assert await screen.say("recall") == ""
    assert f"\n  {first}  20" in await screen.say("/sessions")

    back = await screen.say(f"/switch {first}")

    assert back.split("\n")[-2:] == ["› remember me", "You said: remember me"]
    assert await screen.say("recall") == "remember me | You said: remember me"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/hepl", "did you mean /help? //hepl says it to the task as it is"),
        ("/switch", "say where to: /switch and a session's id; /sessions lists them"),
        ("/switch nope", "cannot look up session 'nope': Session not found"),
        ("/regen", "nothing was said yet"),
        ("/edit", "nothing was said yet"),
        ("/stop", "no answer is running"),
        ("/elsewhere", "You said: /elsewhere"),
        ("//help me", "You said: /help me"),
    ],
)
async def test_a_command_that_cannot_be_done_says_why_and_others_go_to_the_task(
    screen: Terminal, line: str, shown: str
) -> None:
    assert await screen.say(line) == shown


async def test_commands_are_told_and_completed(screen: Terminal) -> None:
    assert "  /regen     have the last answer given again\n" in await screen.say("/help")

    _, _, marker = (await screen.say("a marker")).rpartition(" ")
    screen.type("/inf")
    await screen.until(lambda: "/info  show" in screen.lines[-1], "what it may become")
    screen.type("\t")
    await screen.until(lambda: "talk › /info" in behind(screen, marker), "the whole command")
    screen.type(ENTER, ENTER)
    await screen.until(lambda: "  task      talk" in behind(screen, marker), "what it does")


def behind(screen: Terminal, marker: str) -> list[str]:
    """Return the lines behind the last one that has `marker` in it."""
    return screen.text.rpartition(marker)[2].split("\n")


async def test_nothing_a_task_says_steers_the_terminal(screen: Terminal) -> None:
    assert await screen.say("hostile") == "abcd"
    assert "\x1b]52" not in screen.raw
    assert not {"\x9b", "\u202e"} & set(screen.raw)


async def test_an_earlier_chat_goes_on(dev: DevServer) -> None:
    async with terminal("chat", "--session", "again", folder=dev.folder) as screen:
        await screen.say("remember me")
        screen.type(CTRL_D)
        assert await screen.ended() == 0
        assert "Traceback" not in screen.text

    async with terminal("chat", "--continue", folder=dev.folder) as screen:
        await screen.asks()
        assert screen.lines[0].endswith("session again · /help")
        assert screen.lines[1:] == ["› remember me", "You said: remember me", "talk ›"]
        screen.type(UP)  # what was typed in the session before
        await screen.until(lambda: screen.lines[-1] == "talk › remember me", "the history")
        screen.type(CTRL_C)
        screen.type("/exit", ENTER)
        assert await screen.ended() == 0


async def test_an_answer_that_runs_is_shown_on_coming_back(dev: DevServer) -> None:
    async with terminal("chat", "--session", "busy", folder=dev.folder) as screen:
        await screen.asks()
        screen.type("wait", ENTER)
        await screen.shows("I wait.")

    async with terminal("chat", "--session", "busy", folder=dev.folder) as screen:
        await screen.shows("› wait\nI wait.")
        screen.type(CTRL_C)
        await screen.asks()
        assert screen.lines[-3:] == ["stopped", "", "talk ›"]


async def test_a_narrow_terminal_shows_everything(dev: DevServer) -> None:
    async with terminal("chat", folder=dev.folder, columns=20) as screen:
        await screen.shows("/help")
        await screen.asks()
        screen.type("a message that has to be broken somewhere", ENTER)
        await screen.shows("You said: a message\nthat has to be\nbroken somewhere\n\ntalk ›")


async def test_a_dumb_terminal_gets_plain_text(dev: DevServer) -> None:
    async with terminal("chat", folder=dev.folder, env={"TERM": "dumb"}) as screen:
        await screen.shows("/help")
        screen.type("markdown", ENTER)
        await screen.shows("# Title\n\nSome **bold** <text>.\n\n```\nx = 1\n```\n\nThe `end`.\n")
        await screen.shows("The `end`.\n\ntalk ›")

    assert "\x1b" not in screen.raw


async def test_without_colour_there_is_none(dev: DevServer) -> None:
    async with terminal("chat", folder=dev.folder, env={"NO_COLOR": "1"}) as screen:
        await screen.shows("/help")
        await screen.say("fail")

    assert "\x1b[31m" not in screen.raw
    assert "\x1b[32m" not in screen.raw


async def test_the_chat_follows_new_code_and_a_new_server() -> None:
    files = {"tasks/talk.py": TALKATIVE, "tasks/other.py": OTHER}
    async with dev_server(files) as dev, terminal("chat", folder=dev.folder) as screen:
        await screen.shows("Which task? other, talk")
        await screen.say("tlak", label="chatrun")
        await screen.shows("There is no task tlak.")
        screen.type("talk", ENTER)
        await screen.say("before")

        dev.write("tasks/talk.py", TALKATIVE.replace("You said: ", "You say: "))
        await dev.event("reloaded")
        assert await screen.say("after") == "You say: after"

        dev.write("tasks/talk.py", "import chatrun\nx = (\n")
        await dev.event("reload-failed")
        assert (await screen.say("last")).endswith("You say: last")

        await dev.kill9()
        dev.write("tasks/talk.py", TALKATIVE)
        screen.type("recall", ENTER)
        await screen.until(lambda: screen.lines[-1] == "talk › recall", "the line")
        await dev.start()  # at another port
        await screen.shows("before | You said: before | after | You say: after | last")
        await screen.asks()


async def test_the_prompt_is_there_before_the_server(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALKATIVE)
    async with terminal("chat", folder=tmp_path) as screen:
        await screen.asks("chatrun")
        screen.type("hello", ENTER)
        await screen.shows(", started for this chat · session chat-")
        await screen.shows("You said: hello")
        await screen.asks()
        screen.type(CTRL_D)
        assert await screen.ended() == 0

    assert not (tmp_path / ".chatrun/server.json").exists()


async def test_a_server_of_its_own_that_died_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALKATIVE)
    async with terminal("chat", folder=tmp_path) as screen:
        await screen.shows("/help")
        assert await screen.say("hello") == "You said: hello"
        server = read_server_file(tmp_path)
        assert server is not None
        os.killpg(server.pid, signal.SIGKILL)

        assert "hello | You said: hello" in await screen.say("recall")


async def test_a_chat_that_cannot_begin_says_why(tmp_path: Path) -> None:
    async with terminal("chat", folder=tmp_path, columns=200) as screen:
        await screen.shows(f"chatrun: no task was found in {tmp_path}: `chatrun init` writes one")
        assert await screen.ended() == 1

    assert "Traceback" not in screen.text
