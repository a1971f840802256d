"""A check: a name, why it is made, what to do where it does not hold, and a function.

The function takes a `Subject`. It returns, perhaps with a note of what it saw, or
raises `CheckFailure`, or `NotApplicable` where the regularizer does not do what the
check is about. Its docstring is the reason and, after ``To do:``, the remedy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = Callable[[Any], "str | None"]


class CheckFailure(AssertionError):
    """A check does not hold."""


class NotApplicable(Exception):
    """The regularizer does not do what the check is about."""


def require(condition: Any, fault: str) -> None:
    """Raise CheckFailure unless a condition holds."""
    if not condition:
        raise CheckFailure(fault)


@dataclass(frozen=True)
class Check:
    """A check: its name, why it is made, and what to do where it does not hold."""

    name: str
    reason: str
    remedy: str
    function: Function


CHECKS: dict[str, Check] = {}


def check(function: Function) -> Function:
    """Add a function to the checks, under its name."""
    text = " ".join((function.__doc__ or "").split())
    reason, _, remedy = text.partition(" To do: ")
    name = function.__name__
    CHECKS[name] = Check(name, reason, remedy.removesuffix("."), function)
    return function
