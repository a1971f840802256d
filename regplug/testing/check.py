"""A check: a name, a reason in one line, a remedy, and the function that makes it.

The function takes a `Subject`. It returns, perhaps with a note of what it saw, or raises
`CheckFailure`, or `NotApplicable` where the regularizer does not do what the check is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from regplug.testing.subject import Subject

Function = Callable[[Subject], "str | None"]


class CheckFailure(AssertionError):
    """A check does not hold."""


class NotApplicable(Exception):
    """The regularizer does not do what the check is about."""


@dataclass(frozen=True)
class Check:
    """A check: its name, why it is made, and what to do where it does not hold."""

    name: str
    reason: str
    remedy: str
    function: Function


CHECKS: dict[str, Check] = {}


def check(remedy: str) -> Callable[[Function], Function]:
    """Add a function to the checks, under its name; the first line of its docstring is the reason."""

    def add(function: Function) -> Function:
        name = function.__name__
        CHECKS[name] = Check(
            name, (function.__doc__ or "").partition("\n")[0], remedy, function
        )
        return function

    return add
