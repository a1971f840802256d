"""Patterns: globs, exclusions and roles -> names."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping

from regplug.errors import NoMatchError, OptionError, did_you_mean, listing, nearest

ROLES = ("@input", "@hidden", "@output")


class Pattern:
    """A union of globs, exact names and roles, less the globs that begin with ``!``.

    Parameters
    ----------
    spec : str or list of str
        The entries. A list of only ``!`` entries starts from everything.

    Raises
    ------
    OptionError
        It is not a text or list of texts, is empty, or names a role that does not exist.
    """

    def __init__(self, spec: str | list[str]):
        entries = list(spec) if isinstance(spec, (list, tuple)) else [spec]
        if not entries or not all(
            isinstance(entry, str) and entry.strip("!") for entry in entries
        ):
            raise OptionError(
                f"pattern {spec!r} is no text or list of texts: write a glob such as 'hid*:out'."
            )
        self.spec = spec
        self.positive = [entry for entry in entries if not entry.startswith("!")] or [
            "*"
        ]
        self.negative = [entry[1:] for entry in entries if entry.startswith("!")]
        self._globs = {
            e: re.compile(fnmatch.translate(e)) for e in self.positive + self.negative
        }

    @property
    def roles(self) -> list[str]:
        """The roles among the entries."""
        return [entry for entry in self._globs if entry.startswith("@")]

    def _select(
        self,
        entry: str,
        names: Mapping[str, None],
        roles: Mapping[str, set[str]],
        label: str,
    ) -> set[str]:
        if entry in names:
            return {entry}
        if entry.startswith("@"):
            if entry not in roles:
                what = "there are no roles here: write a glob"  # of parameters, or while the layers to come are unknown
                if roles:
                    what = f"unknown role {entry!r}.{did_you_mean(entry, roles)} Roles are {', '.join(roles)}"
                raise OptionError(f"{label}: pattern {self.spec!r}: {what}.")
            return roles[entry]
        return {name for name in names if self._globs[entry].match(name)}

    def resolve(
        self,
        names: Iterable[str],
        roles: Mapping[str, set[str]],
        label: str,
        kind: str,
        optional: bool = False,
    ) -> list[str]:
        """Return the names that match, in the order given.

        Parameters
        ----------
        names : iterable of str
            All names there are.
        roles : mapping of str to set of str
            The names behind each role.
        label, kind : str
            Who asks, and what the names are ("outputs", "params"), for the message.
        optional : bool
            Whether nothing may match.

        Raises
        ------
        NoMatchError
            A positive entry, or the whole pattern, matches nothing.
        """
        names = dict.fromkeys(names)
        found = [self._select(entry, names, roles, label) for entry in self.positive]
        excluded = set().union(
            *(self._select(entry, names, roles, label) for entry in self.negative)
        )
        matched = [
            name
            for name in names
            if name not in excluded and any(name in each for each in found)
        ]
        if optional:
            return matched
        for entry, each in zip(self.positive, found, strict=True):
            if not each:
                near = None if entry.startswith("@") else nearest(entry, names)
                hint = f" Nearest: {near!r}." if near else ""
                raise NoMatchError(
                    f"{label}: pattern {entry!r} matches none of the {len(names)} {kind}.{hint} "
                    f"{kind.capitalize()}: {listing(names)}."
                )
        if not matched:
            raise NoMatchError(
                f"{label}: pattern {self.spec!r} excludes all {len(names)} {kind}: {listing(names)}."
            )
        return matched
