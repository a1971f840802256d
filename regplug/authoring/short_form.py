"""The short form of a regularizer: ``NAME(option=VALUE, ...)=WEIGHT@PATTERN``.

All but the name may be left out. Values are TOML's: ``3``, ``true``, ``"text"``,
``[1, 2]``, ``{schedule = "linear", ...}``; a weight is a number or such a schedule.
Commas part patterns, and one with a comma, or a space at an end, is quoted:
``@hid*:out, "a,b"``. Spaces are free outside quotes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from regplug.authoring.toml_values import DEEPEST, as_toml, is_deep, tomllib
from regplug.errors import CompositionError
from regplug.text import printable

__all__ = ["GRAMMAR", "format_short", "parse_short"]

GRAMMAR = "NAME(option=VALUE, ...)=WEIGHT@PATTERN"
_VALUES = 'a number, true, false, "a text", [a list] or {a = "table"}'
_NUMBER = r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?"
_ROOM = 100
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def parse_short(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options that a text in the short form gives.

    Raises
    ------
    CompositionError
        It is none; the message shows where, and how to write it.
    """
    return _Parser(text).parse()


def format_short(name: str, options: Mapping[str, Any]) -> str:
    """Return a text in the short form, which `parse_short` takes apart again.

    Raises
    ------
    TypeError, ValueError
        TOML has no way to write a value.
    """
    rest = dict(options)
    weight, pattern = rest.pop("weight", None), rest.pop("pattern", None)
    text = name
    if rest:
        pairs = (f"{key}={as_toml(value)}" for key, value in rest.items())
        text += f"({', '.join(pairs)})"
    if weight is not None:
        text += f"={as_toml(weight)}".removesuffix(".0")
    if pattern is not None:
        entries = [pattern] if isinstance(pattern, str) else pattern
        text += "@" + ",".join(map(_as_entry, entries))
    return text


def _as_entry(entry):
    is_bare = entry == entry.strip() and entry.isprintable() and entry[:1] != '"'
    if not entry or "," in entry or not is_bare or re.search(f"={_NUMBER}$", entry):
        return as_toml(entry)
    return entry


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def parse(self):
        name = self._until("(=@").strip()
        if not name:
            raise self._error(0, "the name of a regularizer is missing")
        options: dict[str, Any] = {}
        if self._takes("("):
            options = self._options()
        if self._takes("="):
            self._add(options, "weight", self._weight())
        if self._takes("@"):
            self._add(options, "pattern", self._pattern(name, options))
        if self.at < len(self.text):
            raise self._error(self.at, "=WEIGHT or @PATTERN is expected")
        return name, options

    def _add(self, options, key, value):
        if key in options:
            raise self._error(self.at, f"the {key} is given twice")
        options[key] = value

    def _takes(self, mark):
        """Tell whether a mark comes next, after spaces, and step over these."""
        rest = self.text[self.at :]
        self.at += len(rest) - len(rest.lstrip())
        if self.text.startswith(mark, self.at):
            self.at += 1
            return True
        return False

    def _until(self, marks):
        """Step to the first of some marks outside quotes and brackets, or the end."""
        start = self.at
        self.at = len(self.text)
        for place, mark in _outside(self.text, start):
            if mark in marks:
                self.at = place
                break
        return self.text[start : self.at]

    def _options(self):
        start = self.at
        body = self._until(")")
        if self.at == len(self.text):
            raise self._error(start - 1, "this parenthesis is not closed")
        self.at += 1
        return self._toml(f"{{{body}}}", start - 1)

    def _weight(self):
        start = self.at
        text = self._until("@").strip()
        if text.startswith("{"):
            return self._toml(text, self.text.index("{", start))
        with contextlib.suppress(ValueError):
            return float(text)
        what = f"{text!r} is no weight: write a number, or a schedule in braces"
        raise self._error(start, what)

    def _toml(self, text, start):
        """Return a value of TOML that begins at a place of the whole text."""
        beginning = "x = "
        try:
            value = tomllib.loads(beginning + text)["x"]
        except (ValueError, RecursionError, MemoryError) as error:
            column = re.search(r"column (\d+)", str(error))
            place = len(text) - 1
            if column:
                place = int(column[1]) - 1 - len(beginning)
            what = f"{str(error).partition(' (at ')[0]}; a value is {_VALUES}"
            raise self._error(start + place, what, _repaired(self.text)) from error
        if is_deep(value):
            raise self._error(start, f"this is nested deeper than {DEEPEST} levels")
        return value

    def _pattern(self, name, options):
        start = self.at
        entries: list[str] = []
        while not entries or self._takes(","):
            place = self.at
            entry = self._entry()
            if not entry:
                raise self._error(place, "a pattern is missing")
            entries.append(entry)
        late = re.fullmatch(rf"(.*?)\s*=\s*({_NUMBER})\s*", self.text[start:])
        if late and "weight" not in options:
            line = format_short(name, {**options, "weight": float(late[2])})
            what = "the weight comes before the pattern"
            raise self._error(start + late.start(2), what, f"{line}@{late[1]}")
        return entries[0] if len(entries) == 1 else entries

    def _entry(self):
        if not self._takes('"'):
            start = self.at
            end = self.text.find(",", start)
            self.at = len(self.text) if end < 0 else end
            return self.text[start : self.at].strip()
        start = self.at - 1
        found = re.compile(r'"(?:[^"\\]|\\.)*"').match(self.text, start)
        if not found:
            raise self._error(start, "this quote is not closed")
        self.at = found.end()
        entry = self._toml(found[0], start)
        if not self._ends_entry():
            raise self._error(self.at, "a comma, or the end, is expected")
        return entry

    def _ends_entry(self):
        rest = self.text[self.at :].lstrip()
        return not rest or rest.startswith(",")

    def _error(self, place, what, line=""):
        """Return the error that shows a place, and a line to write."""
        how = f"Write {line!r}." if line else f"Write {GRAMMAR}."
        # of a long text what is around the place
        before, after = self.text[:place][-_ROOM:], self.text[place:][:_ROOM]
        before, after = printable(before), printable(after)
        shown = re.sub(r"\s", " ", f"{before}{after}")
        what = " ".join(what.split())
        lines = [f"{what}:", f"  {shown}", f"  {' ' * len(before)}^", how]
        error = CompositionError("\n".join(lines))
        error.has_lines = True
        return error


def _outside(text, start) -> Iterator[tuple[int, str]]:
    """Yield place and character of what is outside quotes and brackets."""
    quote = ""
    closing: list[str] = []
    escaped = False
    for place in range(start, len(text)):
        mark = text[place]
        if escaped:
            escaped = False
        elif quote:
            escaped = mark == "\\" and quote == '"'
            if mark == quote:
                quote = ""
        elif closing and mark == closing[-1]:
            closing.pop()
        else:
            if not closing:
                yield place, mark
            if mark in "\"'":
                quote = mark
            elif mark in _CLOSING:
                closing.append(_CLOSING[mark])


def _repaired(text):
    """Return a text with Python's values, or bare words, as TOML has them."""
    for old, new in (
        (r"\bTrue\b", "true"),
        (r"\bFalse\b", "false"),
        (r"=\s*\(([^()]*?),?\s*\)", r"=[\1]"),
        (r"=\s*((?!None\b)[A-Za-z_]\w*)(?=\s*[,)])", r'="\1"'),
    ):
        changed = re.sub(old, new, text)
        if changed != text:
            try:
                parse_short(changed)
            except CompositionError:
                continue
            return changed
    return ""
