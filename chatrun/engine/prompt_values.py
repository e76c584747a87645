"""The values of a prompt's places: checked against their type, and taken out of it by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from chatrun.errors import InvalidInput


class PromptValues:
    """What the type of a prompt's variables makes of values; None takes them as they come."""

    def __init__(self, kind: type[Any] | None) -> None:
        self._kind: Any = kind
        self.names = _field_names(kind)
        """The names of all values, None where the type does not tell."""

    def by_name(self, given: object) -> Mapping[str, object]:
        """Return the values in `given`, as the type has them.

        Raises:
            InvalidInput: They do not fit the type, or `given` has no names for them.
        """
        if self._kind is not None:
            given = self._validated({} if given is None else given)
        if given is None:
            return {}
        if isinstance(given, Mapping):
            return cast("Mapping[str, object]", given)
        names = _field_names(type(given))
        if names is None:
            raise InvalidInput(
                "they must be a mapping or an object with fields, not a value of the type "
                f"{type(given).__name__}"
            )
        return {name: getattr(given, name) for name in names}

    def _validated(self, given: object) -> object:
        from pydantic import PydanticUserError, ValidationError

        try:
            value: object = self._adapter.validate_python(given)
        except ValidationError as exc:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'])) or 'all of it'}: {fault['msg']}"
                for fault in exc.errors(include_url=False, include_input=False)
            )
            raise InvalidInput(faults) from exc
        except PydanticUserError as exc:
            raise InvalidInput(exc.message) from exc
        return value

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter

        return TypeAdapter(self._kind)


def _field_names(kind: type[Any] | None) -> frozenset[str] | None:
    for attribute in ("model_fields", "__dataclass_fields__"):
        fields = getattr(kind, attribute, None)
        if isinstance(fields, Mapping):
            return frozenset(fields)
    required = getattr(kind, "__required_keys__", None)  # a TypedDict
    optional: frozenset[str] = getattr(kind, "__optional_keys__", frozenset())
    return None if required is None else required | optional
