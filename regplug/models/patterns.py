"""Patterns: globs, exclusions and roles -> names."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from regplug.errors import NoMatchError, OptionError, did_you_mean, listing, nearest
from regplug.models.naming import name_as_given
from regplug.text import short_repr

__all__ = ["ROLES", "Pattern"]

ROLES = ("@input", "@hidden", "@output")
# characters of an entry: a glob of a million takes half a minute to compile
LONGEST = 1000


class Pattern:
    """A union of globs, exact names and roles, less the globs that begin with ``!``.

    Parameters
    ----------
    spec : str or list of str
        The entries, of at most 1,000 characters each. A list of only ``!`` entries
        starts from everything.

    Raises
    ------
    OptionError
        It is not a text or list of texts, is empty or too long, or names a role that
        does not exist.
    """

    def __init__(self, spec: str | list[str]):
        entries = list(spec) if isinstance(spec, (list, tuple)) else [spec]
        if not entries or not all(map(_is_entry, entries)):
            what = "is no text or list of texts: write a glob such as 'hid*:out'"
            raise OptionError(f"pattern {short_repr(spec)} {what}.")
        for entry in entries:
            if len(entry) > LONGEST:
                what = f"has {len(entry)} characters, of at most {LONGEST}"
                remedy = "write a list of shorter ones"
                raise OptionError(f"pattern {short_repr(entry)} {what}: {remedy}.")
        self.spec = spec
        self.positive: list[str] = []
        self.negative: list[str] = []
        for entry in entries:
            if entry.startswith("!"):
                self.negative.append(entry[1:])
            else:
                self.positive.append(entry)
        if not self.positive:
            self.positive = ["*"]

    @property
    def roles(self) -> list[str]:
        """The roles among the entries."""
        entries = self.positive + self.negative
        return [entry for entry in entries if entry.startswith("@")]

    def resolve(
        self,
        variables: Mapping[str, Any],
        roles: Mapping[str, set[str]],
        label: str,
        kind: str,
        optional: bool = False,
        advice: str = "",
    ) -> list[str]:
        """Return the names that match, in the order given.

        Parameters
        ----------
        variables : mapping of str to variable
            All there is. Those that repeat a name (W, W#2) are matched by it, all of
            them, and each by its own.
        roles : mapping of str to set of str
            The names behind each role.
        label, kind : str
            Who asks, and what the names are ("outputs", "params"), for the message.
        optional : bool
            Whether nothing may match.
        advice : str
            What to do where no name is near: a sentence, with a space before it.

        Raises
        ------
        NoMatchError
            A positive entry, or the whole pattern, matches nothing.
        """
        names = {
            name: name_as_given(name, variable) for name, variable in variables.items()
        }
        included: set[str] = set()
        excluded: set[str] = set()
        for entry in self.negative:
            excluded |= self._select(entry, names, roles, label)
        for entry in self.positive:
            selected = self._select(entry, names, roles, label)
            if not selected and not optional:
                what = _no_match(entry, names, kind, advice)
                raise NoMatchError(f"{label}: {what}")
            included |= selected
        included -= excluded
        matched = [name for name in names if name in included]
        if not matched and not optional:
            raise NoMatchError(
                f"{label}: pattern {short_repr(self.spec)} excludes all "
                f"{len(names)} {kind}: {listing(names)}."
            )
        return matched

    def _select(self, entry, names, roles, label):
        exact = {name for name, given in names.items() if entry in (name, given)}
        # x[0] is a name that its own glob does not match, and "*" is one that stays a
        # glob
        if exact and not fnmatchcase(entry, entry):
            return exact
        if exact or not entry.startswith("@"):
            found = (each for each in names.items() if _matches(each, entry))
            return {name for name, _ in found}
        if entry in roles:
            return roles[entry]
        # there are none of parameters, or while the layers to come are unknown
        fault = "there are no roles here: write a glob"
        if roles:
            hint = did_you_mean(entry, roles)
            fault = f"unknown role {entry!r}.{hint} Roles are {', '.join(roles)}"
        raise OptionError(f"{label}: pattern {short_repr(self.spec)}: {fault}.")


def _matches(names, glob):
    return any(fnmatchcase(name, glob) for name in names)


def _is_entry(entry):
    return isinstance(entry, str) and bool(entry.strip("!"))


def _no_match(entry, names, kind, advice):
    near = nearest(entry, names)
    hint = ""
    if near and not entry.startswith("@"):
        hint, advice = f" Nearest: {near!r}.", ""
    return (
        f"pattern {entry!r} matches none of the {len(names)} {kind}.{hint} "
        f"{kind.capitalize()}: {listing(names)}.{advice}"
    )
