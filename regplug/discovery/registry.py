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
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from regplug.discovery.entry import Entry, source_of
from regplug.discovery.metadata import (
    canonicalize_name,
    iter_entry_points,
    refresh,
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
    listing,
    nearest,
)
from regplug.text import short_repr, snake_case

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from regplug.authoring.regularizer import Regularizer

__all__ = [
    "ADVICE",
    "GROUP",
    "available",
    "get_entry",
    "load",
    "find_offers",
    "one_look",
    "origin",
]

GROUP = "regplug.regularizers"
ADVICE = "Other regularizers are unaffected. See: regplug doctor {}"

_loaded: dict[type, Entry] = {}
# what the look of `one_look` found, once something was asked for
_look: ContextVar[list[list[Entry]] | None] = ContextVar("look", default=None)


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
    sources = list(map(source_of, values))
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
