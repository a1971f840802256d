"""The registry: entry points -> names; what is available, and loading it.

Each entry point of the group ``regplug.regularizers`` is one name of one regularizer. Several names
for one object in one package are aliases; the canonical one is the class name in snake case
(``WeightL2`` -> ``weight_l2``), else the first, for build backends sort the names.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from regplug.discovery.metadata import (
    canonicalize_name,
    dist_info_name,
    iter_entry_points,
    satisfies,
    text_of,
)
from regplug.errors import (
    CompositionError,
    NameConflictError,
    PluginLoadError,
    UnknownRegularizerError,
    listing,
    nearest,
)
from regplug.version import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from regplug.authoring.regularizer import Regularizer
    from regplug.discovery.source import Found

GROUP = "regplug.regularizers"
ADVICE = "Other regularizers are unaffected. See: regplug doctor {}"


class Entry:
    """One regularizer that an installed package offers.

    Attributes
    ----------
    name, aliases : str, tuple of str
        What users type.
    value : str
        The object, ``module:Class``.
    distribution : Distribution
        Where it comes from.
    conflicts : tuple of str
        Other packages that offer something else under one of the names, as ``package (value)``.
    """

    def __init__(
        self,
        name: str,
        aliases: tuple[str, ...],
        value: str,
        distribution: Distribution,
    ):
        self.name, self.aliases, self.value, self.distribution = (
            name,
            aliases,
            value,
            distribution,
        )
        self.conflicts: tuple[str, ...] = ()

    @cached_property
    def _metadata(self) -> str:
        # by hand: the standard library parses the long description, too, and raises where there is no file
        text = text_of(self.distribution, "METADATA") or text_of(
            self.distribution, "PKG-INFO"
        )
        return text.partition("\n\n")[0]

    def _header(self, key: str) -> list[str]:
        return re.findall(rf"(?mi)^{key}:[ \t]*(.*?)[ \t]*$", self._metadata)

    @cached_property
    def package(self) -> str:
        """The package's name, as its metadata has it."""
        return (
            next(iter(self._header("Name")), "")
            or dist_info_name(self.distribution)
            or "unnamed package"
        )

    @cached_property
    def version(self) -> str:
        """The package's version."""
        return next(iter(self._header("Version")), "") or "unknown version"

    @cached_property
    def found(self) -> Found:
        """What the source says, read without running it."""
        from regplug.discovery import source

        return source.find(*self.value.partition(":")[::2])

    @property
    def qualified_name(self) -> str:
        """What names it and nothing else: the name, or ``package/name`` where packages conflict."""
        return f"{self.package}/{self.name}" if self.conflicts else self.name

    @property
    def blocked(self) -> str:
        """The word that blocks it: its name, an alias, its package, or ``package/name``; empty where none does."""
        words = [
            *_blocked,
            *filter(
                None, map(str.strip, os.environ.get("REGPLUG_BLOCK", "").split(","))
            ),
        ]
        names = (self.package, self.name, *self.aliases) if words else ()
        own = {
            canonicalize_name(each)
            for name in names
            for each in (name, f"{self.package}/{name}")
        }
        return next((word for word in words if canonicalize_name(word) in own), "")

    @cached_property
    def incompatible(self) -> str:
        """What its package requires of regplug, where this version does not meet it."""
        return ", ".join(
            text
            for text in self._header("Requires-Dist")
            if not satisfies(text, __version__)
        )

    @property
    def blocked_reason(self) -> str:
        """Why it is not even imported; empty where it may be."""
        if self.blocked:
            return f"blocked by {self.blocked!r} (in regplug.block, -p no:NAME or REGPLUG_BLOCK)"
        if self.incompatible:
            return (
                f"it needs {self.incompatible}, and regplug {__version__} is installed"
            )
        if not re.fullmatch(r"\w+(\.\w+)*:\w+", self.value):
            return f"the entry point {self.name} = {self.value!r} is not of the form module:Class"
        if "/" in self.name:
            return f"the entry point's name {self.name!r} has a slash, which parts package and name"
        return ""

    @property
    def problem(self) -> str:
        """What is wrong, as far as can be seen without importing; empty where nothing is."""
        if self.blocked_reason:
            return self.blocked_reason
        if not all(any(self._header(key)) for key in ("Name", "Version")):
            return "the package's metadata has no name or version"
        return self.found.problem

    @property
    def status(self) -> str:
        """``installed``, ``blocked``, ``incompatible``, ``broken`` or ``conflict``."""
        states = {
            "blocked": self.blocked,
            "incompatible": self.incompatible,
            "broken": self.problem,
        }
        states["conflict"] = ", ".join(self.conflicts)
        return next((state for state, reason in states.items() if reason), "installed")

    @property
    def summary(self) -> str:
        """The first line of the class's docstring; what is wrong, where something is."""
        return self.problem or self.found.docstring.strip().partition("\n")[0]

    @property
    def provenance(self) -> str:
        """The name, in quotes, with package and version."""
        return f"{self.name!r} ({self.package} {self.version})"

    @property
    def offer(self) -> str:
        """The package, its version and the object: one of several offers of a name."""
        return f"{self.package} {self.version} ({self.value})"

    def load(self, advice: str = "") -> Any:
        """Import and return the object.

        Raises
        ------
        PluginLoadError
            It is refused or cannot be imported; the message ends with `advice`.
        """
        if self.blocked_reason:
            raise PluginLoadError(
                f"{self.provenance} is refused: {self.blocked_reason}. {advice}".strip()
            )
        module, _, attribute = self.value.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:
            what = (
                f"it calls exit({error})"
                if isinstance(error, SystemExit)
                else str(error) or type(error).__name__
            )
            raise PluginLoadError(
                f"{self.provenance} could not be imported: {what}. {advice}".strip()
            ) from error

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"


def snake_case(value: str) -> str:
    """Return the name in snake case of ``module:Class`` or ``Class``."""
    words = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])",
        "_",
        value.rpartition(":")[2],
    )
    return words.lower()


def available() -> list[Entry]:
    """Return what the installed packages offer, sorted by name; imports no plugin and no engine.

    Examples
    --------
    >>> import regplug
    >>> for entry in regplug.available():
    ...     line = (entry.name, entry.aliases, entry.package, entry.version, entry.status, entry.summary)
    """
    importlib.invalidate_caches()  # sees what was installed a moment ago
    offers: dict[tuple[Distribution, str], list[str]] = {}
    for distribution, name, value in iter_entry_points(GROUP):
        offers.setdefault((distribution, value), []).append(name)
    entries: list[Entry] = []
    owners: dict[str, list[Entry]] = {}
    for (distribution, value), names in offers.items():
        name = snake_case(value) if snake_case(value) in names else names[0]
        entry = Entry(
            name,
            tuple(dict.fromkeys(each for each in names if each != name)),
            value,
            distribution,
        )
        entries.append(entry)
        for each in () if entry.blocked else (name, *entry.aliases):
            owners.setdefault(each, []).append(entry)
    for entry in entries:
        rivals = {
            rival
            for each in (entry.name, *entry.aliases)
            for rival in owners.get(each, ())
        } - {entry}
        entry.conflicts = tuple(
            sorted(f"{rival.package} ({rival.value})" for rival in rivals)
        )
    return sorted(entries, key=lambda entry: (entry.name, entry.value))


def block(*names: str) -> None:
    """Keep regularizers out, for the rest of this process, before anything of them is imported.

    Parameters
    ----------
    *names : str
        Names or aliases of regularizers, names of packages, or ``package/name``.

    Examples
    --------
    >>> import regplug
    >>> regplug.block("a-package", "another-package/dropout")
    """
    _blocked.update(dict.fromkeys(names))


_blocked: dict[str, None] = {}


def find(name: str) -> Entry:
    """Return the entry behind a name, an alias, or ``package/name``.

    Raises
    ------
    UnknownRegularizerError, NameConflictError
    """
    if not isinstance(name, str):
        raise CompositionError(
            f"{name!r} is no name of a regularizer: write a text such as 'dropout'."
        )
    entries = available()
    package, _, short = name.rpartition("/")
    offers = [entry for entry in entries if short in (entry.name, *entry.aliases)]
    if package:
        offers = [
            entry
            for entry in offers
            if canonicalize_name(entry.package) == canonicalize_name(package)
        ]
    offers = [entry for entry in offers if not entry.blocked] or offers[:1]
    if not offers:
        names = {
            each: entry for entry in entries for each in (entry.name, *entry.aliases)
        }
        near = nearest(short, names)
        hint = (
            f" Did you mean {near!r} ({names[near].package} {names[near].version})?"
            if near
            else ""
        )
        installed = listing(dict.fromkeys(entry.name for entry in entries), 50)
        raise UnknownRegularizerError(
            f"no regularizer named {name!r}.{hint} Installed: {installed}."
        )
    if len(offers) > 1:
        who = " and ".join(
            f"{entry.package} {entry.version} ({entry.value})" for entry in offers
        )
        how = " or ".join(repr(f"{entry.package}/{short}") for entry in offers)
        raise NameConflictError(f"{name!r} is offered by {who}. Write {how}.")
    return offers[0]


_loaded: dict[type, Entry] = {}


def origin(cls: type) -> Entry | None:
    """Return the entry that a class was loaded through, or else the first that leads to it; None where none does."""
    for entry in available() if cls not in _loaded else ():
        module, _, attribute = entry.value.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is cls:
            return entry
    return _loaded.get(cls)


def load(name: str | Entry) -> type[Regularizer]:
    """Return the class behind a name, an alias, or ``package/name``.

    Raises
    ------
    UnknownRegularizerError, NameConflictError
    PluginLoadError
        It is blocked or incompatible, cannot be imported, or its class breaks the rules of the interface.
    """
    from regplug.authoring.validation import validate_class

    entry = name if isinstance(name, Entry) else find(name)
    advice = ADVICE.format(entry.name)
    cls = entry.load(advice)
    if fault := validate_class(cls):
        raise PluginLoadError(
            f"{entry.provenance} is refused: {entry.value} {fault}. {advice}"
        )
    _loaded[cls] = entry
    return cls
