"""Values of one run: declared once in a module, one value for each run (features.md §1.12).

user = chat.local("user", User)

@my_chat.on_boot
async def boot(event):
user.init(await load_user(event.run.chat_id))

@my_chat.on_turn_start
async def start(event):
user.visits += 1
"""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar, cast

from chatrun.engine.scopes import current_run
from chatrun.errors import InvalidInput

Value = TypeVar("Value")

_OWN = frozenset(("_name", "_kind"))


class Local(Generic[Value]):
    """One named value of the current run; attributes of the value are the handle's own.

    It lives in memory for as long as the run: `on_boot` is the hook that every run calls, so it
    is the place for `init`. What must outlive a run belongs into a database.
    """

    def __init__(self, name: str, kind: type[Value]) -> None:
        self._name = name
        self._kind = kind

    def __repr__(self) -> str:
        return f"<chat.local {self._name!r}>"

    def init(self, value: Value | None = None, /, **fields: Any) -> Value:
        """Give the current run its value: `value`, or one made of `fields`; return it.

        Raises:
            InvalidInput: There is no current run.
        """
        made = value if value is not None else self._kind(**fields)
        run = current_run()
        run.locals[self._name] = made
        run.locals_seen[self._name] = copy.copy(made)
        return made

    def get(self) -> Value:
        """Return the current run's value.

        Raises:
            InvalidInput: `init` has not been called in this run, or there is no current run.
        """
        values = current_run().locals
        if self._name not in values:
            raise InvalidInput(
                f"chat.local {self._name!r} has no value in this run: call its init() in on_boot"
            )
        return cast("Value", values[self._name])

    def set(self, value: Value) -> None:
        """Replace the current run's value.

        Raises:
            InvalidInput: `init` has not been called in this run, or there is no current run.
        """
        self.get()
        current_run().locals[self._name] = value

    def has_changed(self) -> bool:
        """Tell whether the value differs from when this was asked last, or from `init`.

        Raises:
            InvalidInput: `init` has not been called in this run, or there is no current run.
        """
        value, run = self.get(), current_run()
        changed = bool(value != run.locals_seen[self._name])
        run.locals_seen[self._name] = copy.copy(value)
        return changed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.get(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(self.get(), name, value)


def local(name: str, kind: type[Value]) -> Local[Value]:
    """Return the handle of a value that each run has of its own; see `Local`."""
    return Local(name, kind)
