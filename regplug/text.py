"""Other people's objects and texts, as text that is safe to show."""

from __future__ import annotations

import re
import unicodedata

__all__ = [
    "describe_error",
    "printable",
    "safe_repr",
    "safe_str",
    "short_repr",
    "shortened",
    "snake_case",
    "type_name",
]

# characters of a value in a message
_LONGEST = 1000


def printable(text: str) -> str:
    """Return a text with what a terminal obeys, or hides, written out.

    These are control characters (ESC becomes ``\\x1b``), marks of direction, and what
    is no character; line feeds, tabs and spaces of all widths stay.
    """
    # nearly all texts, and the quickest to ask
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def _escaped(character):
    is_space = character in "\n\t" or unicodedata.category(character) == "Zs"
    if character.isprintable() or is_space:
        return character
    return character.encode("unicode_escape").decode()


def safe_repr(value: object) -> str:
    """Return `repr(value)`; its type alone where that fails."""
    return _as_text(repr, value)


def short_repr(value: object) -> str:
    """Return `safe_repr(value)`, without its middle where it is long."""
    return shortened(safe_repr(value), _LONGEST)


def shortened(text: str, longest: int) -> str:
    """Return a text, without its middle where it is longer than so many characters."""
    if len(text) <= longest:
        return text
    end = longest * 2 // 5
    cut = len(text) - 2 * end
    return f"{text[:end]}... ({cut} characters) ...{text[-end:]}"


def safe_str(value: object) -> str:
    """Return `str(value)`; its type alone where that fails."""
    return _as_text(str, value)


def _as_text(convert, value):
    try:
        # a subclass of str may have methods that raise
        return str.__str__(convert(value))
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"<{type_name(value)}, which cannot be shown>"


def snake_case(value: str) -> str:
    """Return the name in snake case of ``module:Class`` or ``Class``."""
    boundary = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(boundary, "_", re.split("[:.]", value)[-1]).lower()


def type_name(value: object) -> str:
    """Return the name of a value's type, whatever its metaclass says."""
    return type.__getattribute__(type(value), "__name__")


def describe_error(error: BaseException) -> str:
    """Return the kind and the text of an error."""
    return f"{type_name(error)}: {safe_str(error)}".removesuffix(": ")
