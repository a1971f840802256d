"""Names: unique ones, and the layers that they share."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

__all__ = ["group_by_prefix", "name_as_given", "unique_name"]


def unique_name(
    name: str, taken: Collection[str], counts: dict[str, int] | None = None
) -> str:
    """Return a name, numbered (``name#2``) where it is taken.

    Parameters
    ----------
    name : str
    taken : collection of str
    counts : dict, optional
        The last number by name, kept from call to call by those who have many.
    """
    counts = {} if counts is None else counts
    unique = name
    while unique in taken:
        counts[name] = counts.get(name, 1) + 1
        unique = f"{name}#{counts[name]}"
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
