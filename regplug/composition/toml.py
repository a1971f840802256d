"""Composition files: TOML text to plain values, and back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from regplug.authoring.regularizer import non_default_options
from regplug.authoring.toml_values import DEEPEST, as_key, as_toml, is_deep, tomllib
from regplug.composition import lock
from regplug.composition.bound import BoundRegularizer
from regplug.composition.saved_state import FORMAT, check_format
from regplug.errors import CompositionError, did_you_mean
from regplug.files import read_whole, write_whole
from regplug.text import safe_str, short_repr

__all__ = ["Document", "read_document", "write_document"]

_KEYS = ("format", "seed", "regularizer", "lock")
# bytes of a file: some 20,000 regularizers
_LARGEST = 2**21
_MOST_DOTS = 500
_SHALLOW = "options are numbers, texts, lists of them and schedules"


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
    content = _parsed(path, _text(path))
    if "format" in content:
        check_format(f"{path}: the composition", content["format"])
    for key in content:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS)
            known = "format, seed, [[regularizer]], [lock]"
            what = f"unknown key {short_repr(key)}.{hint} Keys: {known}"
            raise CompositionError(f"{path}: {what}.")
    locks = content.get("lock", {})
    if not isinstance(locks, dict) or not _all_are(str, locks.values()):
        how = 'write [lock] and NAME = "PACKAGE==VERSION"'
        raise CompositionError(f"{path}: 'lock' is no table of texts: {how}.")
    regularizers = _read_tables(path, content.get("regularizer", []))
    return Document(content.get("seed", 0), regularizers, locks)


def _text(path):
    try:
        # with the mark that Windows' editors write in front
        return read_whole(path, _LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CompositionError(
            f"{path}: {error}: save it as UTF-8, in which TOML is written."
        ) from error


def _parsed(path, text):
    for part in re.split(r"[=,\[\]{}\n]", text):
        # the parser takes the square of their number
        if part.count(".") > _MOST_DOTS:
            what = f"{short_repr(part.strip())} is a key of too many dots"
            raise CompositionError(f"{path}: {what}: {_SHALLOW}.")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CompositionError(f"{path}: {error}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        what = f"is nested too deep: {_SHALLOW}"
        if isinstance(error, ValueError):
            what = "has a number of too many digits: write one within 64 bits"
        raise CompositionError(f"{path}: line {_failing_line(text)} {what}.") from error
    for key, value in content.items():
        if is_deep(value):
            what = f"{short_repr(key)} is nested deeper than {DEEPEST} levels"
            raise CompositionError(f"{path}: {what}: {_SHALLOW}.")
    return content


def _failing_line(text):
    """Return the number of the line that no parser survives."""
    lines = text.split("\n")
    low, high = 0, len(lines)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            tomllib.loads("\n".join(lines[:middle]))
        except tomllib.TOMLDecodeError:
            # what is cut off in the middle
            low = middle
        except (ValueError, RecursionError, MemoryError):
            high = middle
        else:
            low = middle
    return high


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
    locks = {}
    for member in members:
        if member.entry is None:
            what = "is of no installed package: a file cannot name it"
            raise CompositionError(f"{member.label} ({member.provenance}) {what}.")
        name = as_toml(member.entry.qualified_name)
        locks[name] = _as_line(member, name, lock.requirement(member.entry))
        lines += ["", "[[regularizer]]", f"use = {name}"]
        for key, value in non_default_options(member.regularizer).items():
            lines.append(_as_line(member, as_key(key), value))
    if is_locked:
        lines += ["", "[lock]", *locks.values()]
    write_whole(path, "\n".join([*lines, ""]).encode())


def _as_line(member, key, value):
    if value is None:
        what = f"{key} = None is not its default, and a TOML file has no None"
        raise CompositionError(f"{member.label}: {what}.")
    try:
        line = f"{key} = {as_toml(value)}"
        line.encode()
    except (TypeError, ValueError, RecursionError) as error:
        what = f"{key} = {short_repr(value)} is nothing that a TOML file can hold"
        why = f"{safe_str(error)}: give a value of texts, numbers and lists"
        raise CompositionError(f"{member.label}: {what}: {why}.") from error
    return line
