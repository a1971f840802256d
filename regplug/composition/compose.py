"""Composition: what the user asked for (pairs, mapping, short forms, TOML) -> a manager."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from regplug.discovery import registry
from regplug.errors import (
    BadComposition,
    BadOption,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    UnknownRegularizer,
    did_you_mean,
)
from regplug.composition.run_state import check_integer
from regplug.composition.manager import Manager
from regplug.composition.bound import Member, check_wrappers
from regplug.models.model import free
from regplug.authoring.options import check_options, options_of
from regplug.discovery.registry import Entry
from regplug.authoring.regularizer import Regularizer, class_fault, given_options, reads_weight, uses_weight

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("seed", "regularizer", "lock")


def compose(regularizers: Any, *, seed: int = 0, plugins: Iterable[object] = ()) -> Manager:
    """Return a manager of the regularizers, in the order given.

    Parameters
    ----------
    regularizers : list or mapping
        Each entry of a list is ``(name, options)``, ``(name, weight)``, the short form
        ``"NAME[=WEIGHT][@PATTERN]"`` (commas make a list of patterns) or a `Regularizer` instance.
        A mapping is name -> options or weight.
    seed : int, within 64 bits
        The seed of all noise.
    plugins : iterable of object
        Pluggy wrappers (``@hookimpl(wrapper=True)``) around the hooks of each regularizer.

    Raises
    ------
    BadComposition, UnknownRegularizer, NameConflict, PluginLoadError, BadOption

    Examples
    --------
    >>> manager = compose(["dropout=0.5@hid*:out", ("weight_l2", {"pattern": "*.w", "weight": 1e-4})], seed=7)
    >>> dict(manager.weights)
    {'dropout': 0.5, 'weight_l2': 0.0001}
    """
    if isinstance(regularizers, Mapping):
        regularizers = list(regularizers.items())
    if isinstance(regularizers, str) or not isinstance(regularizers, Iterable):
        raise BadComposition(f"{regularizers!r} is no list or mapping of regularizers: write [{regularizers!r}].")
    wrappers = check_wrappers(plugins)
    members: list[Member] = []
    for item in regularizers:
        regularizer, canonical, entry = _build(item)
        if any(regularizer is member.regularizer for member in members):
            raise BadComposition(f"{regularizer!r} is listed twice: make a second instance.")
        name = regularizer.name or canonical
        label = free(name, {member.label for member in members})
        members.append(Member(regularizer, name, label, entry, wrappers))
    return Manager(members, check_integer("seed", seed, -(2**63), 2**64))


def _build(item: Any) -> tuple[Regularizer, str, Entry | None]:
    if isinstance(item, Regularizer):
        return _check(item)
    if isinstance(item, str):
        item = _short_form(item)
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise BadComposition(
            f"{item!r} is no regularizer: write ('dropout', {{'weight': 0.5}}), 'dropout=0.5@hid*:out' "
            "or an instance."
        )
    name, options = item
    if isinstance(options, Real) and not isinstance(options, bool):
        options = {"weight": options}
    if not isinstance(options, Mapping):
        raise BadComposition(f"{name!r}: {options!r} is no mapping of options and no weight.")
    cls = registry.load(name)
    given = check_options(cls, name, dict(options))
    _check_weight(cls, name, given)
    try:
        regularizer = cls(**given)
    except RegplugError:
        raise
    except Exception as error:
        raise BadOption(f"{name}: its constructor raised {type(error).__name__}: {error}") from error
    return _check(regularizer)


def _check(regularizer: Regularizer) -> tuple[Regularizer, str, Entry | None]:
    cls = type(regularizer)
    entry = registry.origin(cls)
    name = entry.name if entry else registry.canonical(cls.__name__)
    if fault := class_fault(cls):
        raise PluginLoadError(f"{cls.__module__}.{cls.__qualname__} is refused: it {fault}.")
    if uses_weight(cls) and getattr(regularizer, "weight", None) is None:
        how = f"write ({name!r}, {{'weight': ...}}); 0 is off"
        raise BadOption(f"{name}: no weight given, and it has none of its own: {how}.")
    _check_weight(cls, name, check_options(cls, name, given_options(regularizer)))
    return regularizer, name, entry


def _check_weight(cls: type[Regularizer], name: str, given: dict[str, Any]) -> None:
    options = options_of(cls)
    is_plain = options.get("weight") == options_of(Regularizer)["weight"]
    if "weight" in given and is_plain and not uses_weight(cls) and not reads_weight(cls):
        others = ", ".join(option for option in options if option != "weight")
        raise BadOption(f"{name}(weight={given['weight']!r}): it has no weight. Options: {others}.")


def _short_form(text: str) -> tuple[str, dict[str, Any]]:
    head, at, pattern = text.partition("@")
    name, equals, weight = head.partition("=")
    options: dict[str, Any] = {}
    if equals:
        try:
            options["weight"] = float(weight)
        except ValueError as error:
            raise BadComposition(f"{text!r}: weight {weight!r} is no number; NAME[=WEIGHT][@PATTERN].") from error
    if at:
        patterns = pattern.split(",")
        options["pattern"] = patterns if len(patterns) > 1 else pattern
    return name, options


def read(path: str | os.PathLike, *, strict: bool = False) -> Manager:
    """Return the manager that a TOML file describes.

    Parameters
    ----------
    path : str or path
    strict : bool
        Whether to refuse packages and versions other than those in the file's ``[lock]``, and a regularizer
        that is not in it. Otherwise other ones are a RegplugWarning.

    Raises
    ------
    BadComposition
        The file has a syntax error, an unknown key or a wrong type, or is locked to other packages.
    """
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadComposition(f"{path}: {error}") from error
    except OSError as error:
        raise BadComposition(f"{path}: cannot be read: {error.strerror}") from error
    for key in content:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS)
            raise BadComposition(f"{path}: unknown key {key!r}.{hint} Keys: seed, [[regularizer]], [lock].")
    tables = content.get("regularizer", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadComposition(f"{path}: 'regularizer' is no list of tables: write [[regularizer]].")
    for number, table in enumerate(tables, 1):
        if not isinstance(table.get("use"), str):
            raise BadComposition(f"{path}: [[regularizer]] number {number} does not say `use = \"NAME\"`.")
    pairs = [(table["use"], {key: value for key, value in table.items() if key != "use"}) for table in tables]
    locked = content.get("lock", {})
    if not isinstance(locked, dict) or not all(isinstance(package, str) for package in locked.values()):
        raise BadComposition(f"{path}: 'lock' is no table of texts: write [lock] and NAME = \"PACKAGE==VERSION\".")
    try:
        for name in dict(pairs) if strict or locked else ():
            difference = _difference(name, locked, strict)
            if difference and strict:
                raise BadComposition(difference)
            if difference:
                warnings.warn(f"{path}: {difference}", RegplugWarning, stacklevel=2)
        return compose(pairs, seed=content.get("seed", 0))
    except RegplugError as error:
        raise type(error)(f"{path}: {error}") from error


def _difference(name: str, locks: dict[str, str], strict: bool) -> str:
    """Return how what is installed differs from ``package==version``; empty where it does not."""
    remedy = "python -m pip install"
    try:
        entry = registry.find(name)
    except UnknownRegularizer as error:
        if name not in locks:
            raise
        raise UnknownRegularizer(f"{error} The file is locked to {locks[name]}: {remedy} {locks[name]}.") from error
    locked, found = locks.get(name) or locks.get(entry.handle), _locked(entry)
    if locked is None:
        missing = f"{name!r} is not in [lock], and strict=True asks for it: use manager.write(path, lock=True)."
        return missing if strict else ""
    return "" if found == locked else f"{name!r} is locked to {locked}, and {found} is installed: {remedy} {locked}."


def _locked(entry: Entry) -> str:
    return f"{entry.package}=={entry.version}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    # texts, numbers, booleans and lists are written alike in JSON and TOML
    return json.dumps(value, ensure_ascii=False, default=float).replace("\x7f", "\\u007f")


def write(manager: Manager, path: str | os.PathLike, lock: bool = False) -> None:
    """Write a TOML file from which `read` makes the same composition, as it was composed; see `Manager.write`."""
    lines = [f"seed = {manager.seed}"]
    locks = {}
    for member in manager.members:
        if member.entry is None:
            raise BadComposition(f"{member.label} ({member.who}) is of no installed package: a file cannot name it.")
        lines += ["", "[[regularizer]]", f"use = {_toml(member.entry.handle)}"]
        locks[member.entry.handle] = _locked(member.entry)
        for key, value in given_options(member.regularizer).items():
            if value is None:
                raise BadComposition(f"{member.label}: {key} = None is not its default, and a TOML file has no None.")
            lines.append(f"{key} = {_toml(value)}")
    if lock:
        lines += ["", "[lock]", *(f"{_toml(name)} = {_toml(package)}" for name, package in locks.items())]
    try:
        Path(path).write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise BadComposition(f"{path}: cannot be written: {error.strerror}") from error
