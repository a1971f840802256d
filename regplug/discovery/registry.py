"""The registry: entry points -> names; what is available, and loading it.

Each entry point of the group ``regplug.regularizers`` is one name of one regularizer.
Several names for one object in one package are aliases; the canonical one is the class
name in snake case (``WeightL2`` -> ``weight_l2``), else the first, for build backends
sort the names.
"""

from __future__ import annotations

import contextlib
import difflib
import operator
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
    read_headers,
    read_old_requirements,
    refresh,
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
    listing,
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
    "find_offers",
    "one_look",
    "origin",
]

GROUP = "regplug.regularizers"
_NAME = r"(?!\d)\w+(\.(?!\d)\w+)*"
_FORM = f"{_NAME}:{_NAME}"
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
    fault : str
        What is wrong with the entry point itself.
    """

    name: str
    aliases: tuple[str, ...]
    value: str
    distribution: Distribution
    conflicts: tuple[str, ...] = ()
    fault: str = ""

    def __repr__(self) -> str:
        of = f"{self.package} {self.version}"
        return f"<regplug entry {self.name!r} of {of}, {self.value}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)

    @cached_property
    def _headers(self):
        return read_headers(self.distribution)

    def _header(self, key):
        return next(iter(self._headers.get(key, ())), "")

    @cached_property
    def requirements(self) -> list[str]:
        """What its package requires, as its metadata has it."""
        wanted = self._headers.get("requires-dist")
        return wanted or read_old_requirements(self.distribution)

    @cached_property
    def package(self) -> str:
        """The package's name, as its metadata has it."""
        folder = dist_info_name(self.distribution)
        return self._header("name") or folder or "unnamed package"

    @cached_property
    def version(self) -> str:
        """The package's version."""
        return self._header("version") or "unknown version"

    @cached_property
    def source_info(self) -> SourceInfo:
        """What the source says, read without running it."""
        return _source_of(self.value)

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
        wanted = self.requirements
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
        if self.fault:
            return self.fault
        if not re.fullmatch(_FORM, self.value):
            point = f"{self.name} = {self.value!r}"
            return f"the entry point {point} is not of the form module:Class"
        return ""

    @property
    def static_error(self) -> str:
        """What is wrong, as far as is seen without importing it, or ""."""
        if self.blocked_reason:
            return self.blocked_reason
        if not self._header("name") or not self._header("version"):
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
        """The first line of the class's docstring, or what is wrong, or not known."""
        if self.static_error:
            return self.static_error
        if self.source_info.unread:
            return f"not readable: {self.source_info.unread}"
        return self.source_info.docstring.strip().partition("\n")[0]

    @property
    def kind(self) -> str:
        """What it does, such as ``penalty on outputs``, where that is seen."""
        return "" if self.blocked_reason else self.source_info.kind

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


def _source_of(value):
    # parses Python, which names alone do not need
    from regplug.discovery.source import inspect_source

    module, _, attribute = value.partition(":")
    return inspect_source(module, attribute)


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
    names: dict[tuple[Distribution, str, str], list[str]] = defaultdict(list)
    for offer in find_offers(GROUP):
        names[offer.distribution, offer.value, offer.fault].append(offer.name)
    entries = []
    for (distribution, value, fault), own in names.items():
        name = own[0]
        if snake_case(value) in own:
            name = snake_case(value)
        aliases = tuple(each for each in own if each != name)
        entries.append(Entry(name, aliases, value, distribution, fault=fault))
    _find_conflicts(entries)
    return sorted(entries, key=lambda entry: (entry.name, entry.value))


def find_offers(group: str) -> list[Entry]:
    """Return an entry for each name of each package in a group of entry points.

    What a package offers twice is one offer.
    """
    refresh()
    # a dict in the place of a set, as that has no order
    values: dict[tuple[Distribution, str], dict[str, None]] = defaultdict(dict)
    for distribution, name, value in iter_entry_points(group):
        values[distribution, name][value] = None
    entries = []
    for (distribution, name), own in values.items():
        different = _without_paths(list(own))
        fault = ""
        if not name:
            fault = "its entry point has no name"
        elif "/" in name:
            fault = (
                f"the entry point's name {name!r} has a slash, "
                "which parts package and name"
            )
        elif len(different) > 1:
            objects = listing(different)
            fault = f"its package offers several objects as {name!r}: {objects}"
        value = ", ".join(different)
        entries.append(Entry(name or "unnamed", (), value, distribution, fault=fault))
    return _without_copies(entries)


def _without_paths(values):
    """Return one value where all are ways to one class."""
    if len(values) == 1:
        return values
    sources = list(map(_source_of, values))
    same = {(source.path, source.name) for source in sources}
    if len(same) == 1 and all(source.name for source in sources):
        return values[:1]
    return values


def _without_copies(entries):
    """Leave out what a package offers again: its metadata are in two folders."""
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_name[entry.name].append(entry)
    copies = set()
    for rivals in by_name.values():
        # mostly there are none, and the package's name takes a file to read
        if len(rivals) > 1:
            copies.update(_copies(rivals))
    return [entry for entry in entries if entry not in copies]


def _copies(rivals):
    first: dict[str, Entry] = {}
    for entry in rivals:
        other = first.setdefault(canonicalize_name(entry.package), entry)
        if other.distribution is not entry.distribution:
            yield entry


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
    for name in names:
        if not isinstance(name, str):
            what = "is no name: write texts, such as regplug.block('a-package')"
            raise CompositionError(f"{short_repr(name)} {what}.")
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
    for entry in entries:
        # one with a slash
        if name in entry.names:
            fault = f"{entry.provenance} is refused: {entry.blocked_reason}"
            return UnknownRegularizerError(f"{fault}. {ADVICE.format(entry.package)}")
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
        upgrade = install_advice(package, upgrade=True)
        return f", which a newer {package} has: {upgrade}"
    if package:
        return f", which {package} has: {install_advice(package)}"
    if not entries:
        return f", and none is installed: {install_advice('regplug-noise')}"
    by_name = {}
    for entry in entries:
        by_name.update(dict.fromkeys(entry.names, entry))
    near = difflib.get_close_matches(short, by_name, n=5, cutoff=0)
    question, close = ".", nearest(short, near)
    if close:
        offered = f"({by_name[close].package} {by_name[close].version})"
        question = f". Did you mean {close!r} {offered}?"
    return f"{question} Nearest: {', '.join(near)}; all: regplug list"


def origin(cls: type) -> Entry | None:
    """Return the entry that a class was loaded through, or the first that leads to it.

    None where none does.
    """
    if cls in _loaded:
        return _loaded[cls]
    for entry in _entries():
        if _loaded_object(entry.value) is cls:
            return entry
    return None


def _loaded_object(value):
    """Return the object behind ``module:Class`` where it is there without importing."""
    module, _, attribute = value.partition(":")
    try:
        return operator.attrgetter(attribute)(sys.modules.get(module))
    except KeyboardInterrupt:
        raise
    except BaseException:
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
