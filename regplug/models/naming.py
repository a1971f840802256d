"""Names: unique ones, and the layers that they share."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable

__all__ = ["group_by_prefix", "unique_name"]


def unique_name(name: str, taken: Collection[str]) -> str:
    """Return a name, numbered (``name#2``) where it is taken."""
    numbered = (f"{name}#{count}" for count in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def group_by_prefix(names: Iterable[str], mark: str) -> dict[str, list[str]]:
    """Return names by what stands before their last `mark`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition(mark)[0] or name, []).append(name)
    return groups
