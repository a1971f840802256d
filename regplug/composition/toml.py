"""Composition files: TOML text to plain values, and back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from regplug.authoring.regularizer import non_default_options
from regplug.composition import lock
from regplug.composition.bound import BoundRegularizer
from regplug.composition.saved_state import FORMAT, check_format
from regplug.errors import CompositionError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Document", "read_document", "write_document"]

_KEYS = ("format", "seed", "regularizer", "lock")


class Document(NamedTuple):
    """What a composition file says; the lock is ``package==version`` by name."""

    seed: Any
    regularizers: list[tuple[str, dict[str, Any]]]
    lock: dict[str, str]


def read_document(path: str | os.PathLike) -> Document:
    """Return what a composition file says.

    Raises
    ------
    CompositionError
        The file cannot be read, has a syntax error, an unknown key or a wrong type.
    """
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CompositionError(f"{path}: {error}") from error
    except OSError as error:
        raise CompositionError(f"{path}: cannot be read: {error.strerror}") from error
    if "format" in content:
        check_format(f"{path}: the composition", content["format"])
    for key in content:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS)
            known = "format, seed, [[regularizer]], [lock]"
            raise CompositionError(f"{path}: unknown key {key!r}.{hint} Keys: {known}.")
    locks = content.get("lock", {})
    if not isinstance(locks, dict) or not _all_are(str, locks.values()):
        how = 'write [lock] and NAME = "PACKAGE==VERSION"'
        raise CompositionError(f"{path}: 'lock' is no table of texts: {how}.")
    regularizers = _read_tables(path, content.get("regularizer", []))
    return Document(content.get("seed", 0), regularizers, locks)


def _read_tables(path, tables):
    if not isinstance(tables, list) or not _all_are(dict, tables):
        what = "'regularizer' is no list of tables: write [[regularizer]]"
        raise CompositionError(f"{path}: {what}.")
    regularizers = []
    for number, options in enumerate(tables, 1):
        name = options.pop("use", None)
        if not isinstance(name, str):
            what = f'[[regularizer]] number {number} does not say `use = "NAME"`'
            raise CompositionError(f"{path}: {what}.")
        regularizers.append((name, options))
    return regularizers


def _all_are(kind, values):
    return all(isinstance(value, kind) for value in values)


def write_document(
    path: str | os.PathLike,
    seed: int,
    members: Iterable[BoundRegularizer],
    is_locked: bool,
) -> None:
    """Write a composition as it was composed; see `Manager.write`."""
    lines = [f"format = {FORMAT}", f"seed = {seed}"]
    locks = ["", "[lock]"]
    for member in members:
        if member.entry is None:
            what = "is of no installed package: a file cannot name it"
            raise CompositionError(f"{member.label} ({member.provenance}) {what}.")
        name = as_toml(member.entry.qualified_name)
        locks.append(f"{name} = {as_toml(lock.requirement(member.entry))}")
        lines += ["", "[[regularizer]]", f"use = {name}"]
        for key, value in non_default_options(member.regularizer).items():
            if value is None:
                what = f"{key} = None is not its default, and a TOML file has no None"
                raise CompositionError(f"{member.label}: {what}.")
            lines.append(f"{key} = {as_toml(value)}")
    if is_locked:
        lines += locks
    try:
        Path(path).write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise CompositionError(f"{path}: {what}") from error


def as_toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, Mapping):
        pairs = (f"{key} = {as_toml(entry)}" for key, entry in value.items())
        return "{" + ", ".join(pairs) + "}"
    # texts, numbers, booleans and lists are written alike in JSON and TOML
    text = json.dumps(value, ensure_ascii=False, default=float)
    return text.replace("\x7f", "\\u007f")
