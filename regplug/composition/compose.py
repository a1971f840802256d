"""Composition: what the user asked for -> a manager."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from numbers import Real
from typing import Any, TypeAlias

from regplug.authoring.options import check_options, is_live
from regplug.authoring.regularizer import (
    Regularizer,
    check_instance,
    non_default_options,
)
from regplug.authoring.short_form import format_short, parse_short
from regplug.authoring.validation import validate_class
from regplug.composition import lock
from regplug.composition.bound import BoundRegularizer
from regplug.composition.manager import Manager
from regplug.composition.run_state import check_integer
from regplug.composition.toml import read_document
from regplug.composition.wrappers import check_wrappers
from regplug.discovery import registry
from regplug.errors import (
    CompositionError,
    OptionError,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    faults_as,
)
from regplug.models.naming import unique_name
from regplug.text import short_repr, snake_case, type_name

__all__ = ["Spec", "compose", "read"]

_Options: TypeAlias = float | Mapping[str, Any]
# what each entry of `compose` may be
Spec: TypeAlias = str | tuple[str, _Options] | Regularizer


def compose(
    regularizers: Iterable[Spec] | Mapping[str, _Options],
    *,
    seed: int = 0,
    plugins: Iterable[object] = (),
) -> Manager:
    """Return a manager of the regularizers, in the order given.

    Parameters
    ----------
    regularizers : list of Spec, or mapping
        Each entry of a list is ``(name, options)``, ``(name, weight)``, the short form
        ``"NAME(option=VALUE, ...)=WEIGHT@PATTERN"``, of which all but the name may be
        left out (values are TOML's, commas make a list of patterns), or a
        `Regularizer` instance; for type checkers that is a `regplug.Spec`. A mapping is
        name -> options or weight.
    seed : int, within 64 bits
        The seed of all noise.
    plugins : iterable of object
        Pluggy wrappers (``@hookimpl(wrapper=True)``) around the hooks of each
        regularizer.

    Raises
    ------
    CompositionError, UnknownRegularizerError, NameConflictError, PluginLoadError,
    OptionError

    Examples
    --------
    >>> decay = ("weight_l2", {"pattern": "*.w", "weight": 1e-4})
    >>> manager = compose(["dropout=0.5@hid*:out", decay], seed=7)
    >>> dict(manager.weights)
    {'dropout': 0.5, 'weight_l2': 0.0001}
    """
    with registry.one_look():
        members = _members(regularizers, check_wrappers(plugins))
    return Manager(members, check_integer("seed", seed, -(2**63), 2**64))


def _members(regularizers, wrappers):
    if isinstance(regularizers, Mapping):
        regularizers = list(regularizers.items())
    if isinstance(regularizers, str) or not _is_iterable(regularizers):
        given = short_repr(regularizers)
        what = "is no list or mapping of regularizers"
        raise CompositionError(f"{given} {what}: write [{given}].")
    # by identity, for a class may compare its instances in another way
    members: dict[int, BoundRegularizer] = {}
    labels: set[str] = set()
    counts: Counter[str] = Counter()
    for item in regularizers:
        regularizer, canonical, entry = _build(item)
        if id(regularizer) in members:
            what = "is listed twice: make a second instance"
            raise CompositionError(f"{short_repr(regularizer)} {what}.")
        with faults_as(partial(_unusable, regularizer, entry)):
            check_instance(regularizer, canonical)
            name = regularizer.name or canonical
            label = unique_name(name, labels, counts)
            labels.add(label)
            bound = BoundRegularizer(regularizer, name, label, entry, wrappers)
        members[id(regularizer)] = bound
    return list(members.values())


def _unusable(regularizer, entry, what):
    """Return the error that names an instance which raises when it is looked at."""
    of = entry.provenance if entry else type_name(regularizer)
    return PluginLoadError(f"{of} is refused: looking at an instance raised {what}.")


def _is_iterable(value):
    # an array of no dimensions has the method, too
    try:
        iter(value)
    except TypeError:
        return False
    return True


def _build(item):
    """Return a regularizer, its name and the package that it is from."""
    if isinstance(item, str):
        item = parse_short(item)
    if isinstance(item, Regularizer):
        return _from_instance(item)
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise CompositionError(
            f"{short_repr(item)} is no regularizer: write {_line_for(item)}."
        )
    name, options = item
    is_number = isinstance(options, Real) and not isinstance(options, bool)
    # what is live is refused as a weight, with what to do
    if is_number or is_live(options):
        options = {"weight": options}
    if not isinstance(options, Mapping):
        what = f"{short_repr(options)} is no mapping of options and no weight"
        raise CompositionError(f"{short_repr(name)}: {what}.")
    entry = registry.get_entry(name)
    cls = registry.load(entry)

    def error_of(what):
        return OptionError(f"{entry.provenance}: its constructor raised {what}")

    with faults_as(error_of):
        regularizer = cls(**check_options(cls, name, dict(options)))
    return regularizer, entry.name, entry


def _line_for(item):
    """Return what to write in the place of an entry that is none."""
    if isinstance(item, (tuple, list)) and 0 < len(item) < 4:
        name, *rest = item
        keys = ("weight", "pattern")
        with contextlib.suppress(Exception):
            line = format_short(name, dict(zip(keys, rest, strict=False)))
            parse_short(line)
            return repr(line)
    return "('dropout', {'weight': 0.5}), 'dropout=0.5@hid*:out' or an instance"


def _from_instance(regularizer):
    cls = type(regularizer)
    fault = validate_class(cls)
    if fault:
        what = f"{cls.__module__}.{cls.__qualname__}"
        raise PluginLoadError(f"{what} is refused: it {fault}.")
    entry = registry.origin(cls)
    name = entry.name if entry else snake_case(cls.__name__)
    # attributes may have been set after the constructor checked them
    check_options(cls, name, non_default_options(regularizer))
    return regularizer, name, entry


def read(path: str | os.PathLike, *, strict: bool = False) -> Manager:
    """Return the manager that a TOML file describes.

    Parameters
    ----------
    path : str or path
    strict : bool
        Whether to refuse packages and versions other than those in the file's
        ``[lock]``, and a regularizer that is not in it. Otherwise other ones are a
        RegplugWarning.

    Raises
    ------
    CompositionError
        The file has a syntax error, an unknown key or a wrong type, or is locked to
        other packages.
    """
    document = read_document(path)
    try:
        with registry.one_look():
            for name in dict(document.regularizers) if strict or document.lock else ():
                difference = lock.difference(name, document.lock, strict)
                if difference and strict:
                    raise CompositionError(difference)
                if difference:
                    warnings.warn(f"{path}: {difference}", RegplugWarning, stacklevel=2)
            return compose(document.regularizers, seed=document.seed)
    except RegplugError as error:
        raise type(error)(f"{path}: {error}") from error
