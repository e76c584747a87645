"""Errors as the command line shows them."""

from __future__ import annotations

from chatrun.errors import ChatrunError, InvalidInput, SettingInvalid


def only_error(error: BaseException) -> BaseException:
    """Return what is inside a group of one, and in that; any other error as it is.

    A TaskGroup wraps what ends it; more than one error at a time is a bug of ours.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def exit_code(error: ChatrunError) -> int:
    """Return 2 for what was asked for in a wrong way, 1 for everything else."""
    return 2 if isinstance(error, SettingInvalid | InvalidInput) else 1
