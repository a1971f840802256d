"""Names: unique ones, and the layers that they share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn

from regplug.errors import UnknownNameError, did_you_mean, listing
from regplug.text import short_repr

__all__ = ["ByName", "group_by_prefix", "name_as_given", "unique_name"]


class ByName(dict):
    """A dict of names that are typed: the error of one that is missing has the nearest.

    Parameters
    ----------
    items : mapping of str to object
    noun : str
        What is named, such as ``output``.

    Raises
    ------
    UnknownNameError
        From ``[...]``.
    """

    def __init__(self, items: Mapping[str, Any], noun: str):
        super().__init__(items)
        self._noun = noun

    def __missing__(self, name: object) -> NoReturn:
        noun = self._noun
        raise UnknownNameError(
            f"no {noun} {short_repr(name)}.{did_you_mean(name, self)} "
            f"{noun.capitalize()}s: {listing(self)}."
        )

    def __reduce__(self) -> tuple:
        return ByName, (dict(self), self._noun)


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
