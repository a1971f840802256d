"""Values as TOML writes them, and the parser that this Python has."""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from regplug.text import type_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["DEEPEST", "as_key", "as_toml", "is_deep", "tomllib"]

# levels of a value, all that any regularizer needs and few enough for any function
DEEPEST = 32


def as_toml(value: Any) -> str:
    """Return a value as TOML writes it.

    Raises
    ------
    TypeError
        TOML has no such value.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's texts are TOML's, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        pairs = (f"{as_key(key)} = {as_toml(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        return repr(float(value))
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    raise TypeError(f"TOML has no {type_name(value)}")


def as_key(key: Any) -> str:
    """Return a key as TOML writes it."""
    if isinstance(key, str) and re.fullmatch(r"[A-Za-z0-9_-]+", key):
        return key
    return as_toml(str(key))


def is_deep(value: Any) -> bool:
    """Tell whether a value is nested too deep, without a call a level."""
    level = [value]
    for _ in range(DEEPEST):
        inner: list = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = inner
    return bool(level)
