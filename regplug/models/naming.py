"""Names: unique ones, and the layers that they share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

__all__ = ["group_by_prefix", "name_as_given", "unique_name"]


def unique_name(name: str, taken: Collection[str]) -> str:
    """Return a name, numbered (``name#2``) where it is taken."""
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}#{count}"
    return unique


def name_as_given(name: str, variable: Any) -> str:
    """Return the name that the user gave a variable whose own was taken: W of W#2."""
    given, mark, number = name.rpartition("#")
    if mark and number.isdigit() and given == getattr(variable, "name", None):
        return given
    return name


def group_by_prefix(names: Iterable[str], mark: str) -> dict[str, list[str]]:
    """Return names by what stands before their last `mark`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        prefix = name.rpartition(mark)[0]
        groups.setdefault(prefix or name, []).append(name)
    return groups
