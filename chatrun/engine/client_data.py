"""What a client sends along with a message, in the type the task declared."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from chatrun.errors import ChatError


class ClientData:
    """A type for what clients send; None takes everything as it comes."""

    def __init__(self, kind: Any, *, what: str) -> None:
        """`what` is what errors call the data."""
        self._kind = kind
        self._what = what

    def parse(self, data: object) -> Any:
        """Return `data` in the task's type.

        Raises:
            ChatError: It does not fit; the text names each place and is for the client to read.
        """
        if self._kind is None:
            return data
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(data)
        except ValidationError as exc:
            faults = "; ".join(
                f"{'.'.join(str(at) for at in fault['loc']) or 'value'}: {fault['msg']}"
                for fault in exc.errors(include_url=False, include_input=False)
            )
            text = f"The {self._what} is not valid: {faults}"
            raise ChatError(text) from exc

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter

        return TypeAdapter(self._kind)
