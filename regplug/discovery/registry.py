"""The registry: entry points -> names; what is available, and loading it.

Each entry point of the group ``regplug.regularizers`` is one name of one regularizer.
Several names for one object in one package are aliases; the canonical one is the class
name in snake case (``WeightL2`` -> ``weight_l2``), else the first, for build backends
sort the names.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import pkgutil
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from regplug.discovery.metadata import (
    canonicalize_name,
    dist_info_name,
    iter_entry_points,
    read_metadata,
    satisfies,
)
from regplug.discovery.vocabulary import (
    comparable,
    install_advice,
    known_package,
    meaning_elsewhere,
)
from regplug.errors import (
    CompositionError,
    NameConflictError,
    PluginLoadError,
    UnknownRegularizerError,
    faults_as,
    nearest,
)
from regplug.text import short_repr, snake_case
from regplug.version import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from regplug.authoring.regularizer import Regularizer
    from regplug.discovery.source import SourceInfo

__all__ = [
    "ADVICE",
    "GROUP",
    "Entry",
    "available",
    "block",
    "get_entry",
    "load",
    "one_look",
    "origin",
]

GROUP = "regplug.regularizers"
ADVICE = "Other regularizers are unaffected. See: regplug doctor {}"

# in the place of a set, as that has no order
_blocked: dict[str, None] = {}
_loaded: dict[type, Entry] = {}
# what the look of `one_look` found, once something was asked for
_look: ContextVar[list[list[Entry]] | None] = ContextVar("look", default=None)


@dataclass(eq=False, repr=False)
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
        Other packages that offer something else under one of the names, as
        ``package (value)``.
    """

    name: str
    aliases: tuple[str, ...]
    value: str
    distribution: Distribution
    conflicts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        of = f"{self.package} {self.version}"
        return f"<regplug entry {self.name!r} of {of}, {self.value}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)

    @cached_property
    def _metadata(self) -> str:
        # by hand: the standard library parses the long description, too, and raises
        # where there is no file
        for file in ("METADATA", "PKG-INFO"):
            text = read_metadata(self.distribution, file)
            if text:
                return text.partition("\n\n")[0]
        return ""

    def _headers(self, key):
        return re.findall(rf"(?mi)^{key}:[ \t]*(.*?)[ \t]*$", self._metadata)

    def _header(self, key):
        return next(iter(self._headers(key)), "")

    @cached_property
    def package(self) -> str:
        """The package's name, as its metadata has it."""
        folder = dist_info_name(self.distribution)
        return self._header("Name") or folder or "unnamed package"

    @cached_property
    def version(self) -> str:
        """The package's version."""
        return self._header("Version") or "unknown version"

    @cached_property
    def source_info(self) -> SourceInfo:
        """What the source says, read without running it."""
        from regplug.discovery.source import inspect_source

        module, _, attribute = self.value.partition(":")
        return inspect_source(module, attribute)

    @property
    def qualified_name(self) -> str:
        """The name, or ``package/name`` where packages conflict."""
        return f"{self.package}/{self.name}" if self.conflicts else self.name

    @property
    def blocked(self) -> str:
        """The word that blocks it; empty where none does.

        It is the name, an alias, the package, or ``package/name``.
        """
        words = [*_blocked, *os.environ.get("REGPLUG_BLOCK", "").split(",")]
        words = list(filter(None, map(str.strip, words)))
        # mostly there are none, and the package's name takes a file to read
        if not words:
            return ""
        own = set()
        for name in (self.package, *self.names):
            own.add(canonicalize_name(name))
            own.add(canonicalize_name(f"{self.package}/{name}"))
        return next((word for word in words if canonicalize_name(word) in own), "")

    @cached_property
    def incompatible(self) -> str:
        """What its package requires of regplug, where this version does not meet it."""
        wanted = self._headers("Requires-Dist")
        return ", ".join(text for text in wanted if not satisfies(text, __version__))

    @property
    def blocked_reason(self) -> str:
        """Why it is not even imported; empty where it may be."""
        if self.blocked:
            where = "in regplug.block, -p no:NAME or REGPLUG_BLOCK"
            return f"blocked by {self.blocked!r} ({where})"
        if self.incompatible:
            return (
                f"it needs {self.incompatible}, and regplug {__version__} is installed"
            )
        if not re.fullmatch(r"\w+(\.\w+)*:\w+", self.value):
            point = f"{self.name} = {self.value!r}"
            return f"the entry point {point} is not of the form module:Class"
        if "/" in self.name:
            return (
                f"the entry point's name {self.name!r} has a slash, "
                "which parts package and name"
            )
        return ""

    @property
    def static_error(self) -> str:
        """What is wrong, as far as is seen without importing it, or ""."""
        if self.blocked_reason:
            return self.blocked_reason
        if not self._header("Name") or not self._header("Version"):
            return "the package's metadata has no name or version"
        return self.source_info.error

    @property
    def status(self) -> str:
        """``installed``, ``blocked``, ``incompatible``, ``broken`` or ``conflict``."""
        if self.blocked:
            return "blocked"
        if self.incompatible:
            return "incompatible"
        if self.static_error:
            return "broken"
        if self.conflicts:
            return "conflict"
        return "installed"

    @property
    def summary(self) -> str:
        """The first line of the class's docstring, or what is wrong."""
        return (
            self.static_error or self.source_info.docstring.strip().partition("\n")[0]
        )

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

        def error_of(what):
            return PluginLoadError(f"{self.provenance} {what}. {advice}".strip())

        if self.blocked_reason:
            raise error_of(f"is refused: {self.blocked_reason}")
        stdout, was_closed = sys.stdout, _is_closed(sys.stdout)
        try:
            with faults_as(lambda what: error_of(f"could not be imported: {what}")):
                found = pkgutil.resolve_name(self.value)
        finally:
            # whoever takes it away, or puts junk in its place
            if _is_closed(sys.stdout):
                sys.stdout = stdout
        if _is_closed(stdout) and not was_closed:
            raise error_of("is refused: importing it closes sys.stdout")
        return found

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"


def _is_closed(stream):
    try:
        return bool(stream.closed)
    except KeyboardInterrupt:
        raise
    # a detached one raises; junk has nothing, or anything
    except BaseException:
        return True


def available() -> list[Entry]:
    """Return what the installed packages offer, sorted by name.

    No plugin is imported, and no engine.

    Examples
    --------
    >>> import regplug
    >>> for entry in regplug.available():
    ...     line = (entry.name, entry.aliases, entry.package, entry.version)
    ...     what = (entry.status, entry.summary)
    """
    # sees what was installed a moment ago
    importlib.invalidate_caches()
    offers: dict[tuple[Distribution, str], list[str]] = defaultdict(list)
    for distribution, name, value in iter_entry_points(GROUP):
        offers[distribution, value].append(name)
    entries = []
    for (distribution, value), names in offers.items():
        name = names[0]
        if snake_case(value) in names:
            name = snake_case(value)
        # a dict in the place of a set, as that has no order
        aliases = tuple(dict.fromkeys(each for each in names if each != name))
        entries.append(Entry(name, aliases, value, distribution))
    _find_conflicts(entries)
    return sorted(entries, key=lambda entry: (entry.name, entry.value))


def _find_conflicts(entries):
    owners: dict[str, set[Entry]] = defaultdict(set)
    for entry in entries:
        if not entry.blocked:
            for name in entry.names:
                owners[name].add(entry)
    for entry in entries:
        rivals = set().union(*(owners[name] for name in entry.names)) - {entry}
        described = [f"{rival.package} ({rival.value})" for rival in rivals]
        entry.conflicts = tuple(sorted(described))


def block(*names: str) -> None:
    """Keep regularizers out, for the rest of this process, before any import.

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


@contextlib.contextmanager
def one_look() -> Iterator[None]:
    """Look at the installed packages once for the body, and not for each name in it."""
    token = _look.set([] if _look.get() is None else _look.get())
    try:
        yield
    finally:
        _look.reset(token)


def _entries():
    look = _look.get()
    if look is None:
        return available()
    if not look:
        look.append(available())
    return look[0]


def get_entry(name: str) -> Entry:
    """Return the entry behind a name, an alias, or ``package/name``.

    Raises
    ------
    UnknownRegularizerError, NameConflictError
    """
    if not isinstance(name, str):
        what = "is no name of a regularizer: write a text such as 'dropout'"
        raise CompositionError(f"{short_repr(name)} {what}.")
    entries = _entries()
    package, _, short = name.rpartition("/")
    offers = [entry for entry in entries if short in entry.names]
    if not offers:
        key = comparable(short)
        offers = [each for each in entries if key in map(comparable, each.names)]
    if package:
        wanted = canonicalize_name(package)
        offers = [each for each in offers if canonicalize_name(each.package) == wanted]
    # where all are blocked, loading one says so
    offers = [entry for entry in offers if not entry.blocked] or offers[:1]
    if not offers:
        raise _unknown(name, short, entries)
    if len(offers) > 1:
        packages = " and ".join(entry.offer for entry in offers)
        choices = " or ".join(repr(f"{entry.package}/{short}") for entry in offers)
        raise NameConflictError(f"{name!r} is offered by {packages}. Write {choices}.")
    return offers[0]


def _unknown(name, short, entries):
    return UnknownRegularizerError(
        f"no regularizer named {short_repr(name)}{_hint(short, entries)}."
    )


def _hint(short, entries):
    """Return what to write, or where to look, in the place of a name."""
    for entry in entries:
        if short in entry.names:
            line = f"{entry.package}/{short}"
            return f": {entry.package} {entry.version} has {short!r}: write {line!r}"
    meaning, package = meaning_elsewhere(short), known_package(short)
    if meaning:
        return f": {meaning}"
    if package in (entry.package for entry in entries):
        upgrade = f"python -m pip install --upgrade {package}"
        return f", which a newer {package} has: {upgrade}"
    if package:
        return f", which {package} has: {install_advice(package)}"
    if not entries:
        return f", and none is installed: {install_advice('regplug-noise')}"
    names = [name for entry in entries for name in entry.names]
    near = difflib.get_close_matches(short, names, n=5, cutoff=0)
    close = nearest(short, near)
    question = f". Did you mean {close!r}?" if close else "."
    return f"{question} Nearest: {', '.join(near)}; all: regplug list"


def origin(cls: type) -> Entry | None:
    """Return the entry that a class was loaded through, or the first that leads to it.

    None where none does.
    """
    if cls in _loaded:
        return _loaded[cls]
    for entry in _entries():
        module, _, attribute = entry.value.partition(":")
        if getattr(sys.modules.get(module), attribute, None) is cls:
            return entry
    return None


def load(name: str | Entry) -> type[Regularizer]:
    """Return the class behind a name, an alias, or ``package/name``.

    Raises
    ------
    UnknownRegularizerError, NameConflictError
    PluginLoadError
        It is blocked or incompatible, cannot be imported, or its class breaks the rules
        of the interface.
    """
    from regplug.authoring.validation import validate_class

    entry = name if isinstance(name, Entry) else get_entry(name)
    advice = ADVICE.format(entry.name)
    cls = entry.load(advice)
    if fault := validate_class(cls):
        raise PluginLoadError(
            f"{entry.provenance} is refused: {entry.value} {fault}. {advice}"
        )
    _loaded[cls] = entry
    # so that an instance can say how it is composed
    cls._regplug_name = entry.qualified_name
    return cls
