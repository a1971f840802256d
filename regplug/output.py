"""What commands print, and where: the one place, light enough for `regplug list`.

Whatever other people's texts hold is shown and not obeyed, in any encoding. In a
process of the command line the streams are its own: no plugin closes or replaces them.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

from regplug.text import printable, safe_repr, safe_str

__all__ = [
    "as_json",
    "echo",
    "echo_error",
    "one_line",
    "own_streams",
    "print_json",
    "reserve_stdout",
    "shown",
    "stdout",
    "width",
]

# what a double can hold, as readers of JSON have it
_INTEGER_BITS = 1023
_DEEPEST = 20
# columns
_NARROWEST, _USUAL = 40, 80
_FOLDED = str.maketrans("\n\t", "  ")

# by file descriptor; none but in `own_streams`
_own: dict[int, _Stream] = {}


class _Stream:
    """A text stream on a copy of a file descriptor, which any text survives."""

    def __init__(self, descriptor, encoding):
        form = {"encoding": encoding, "errors": "backslashreplace"}
        self._file = os.fdopen(os.dup(descriptor), "w", **form)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, text):
        """Write at once; where that fails, end the process in words."""
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            _to_nowhere(self._file.fileno())
            _end(error)


def _end(error):
    """End the process: what it prints cannot be written."""
    # quietly where whoever reads has had enough, as `head` has
    if error.errno != errno.EPIPE:
        echo_error(f"Error: the output cannot be written: {error.strerror}.")
    sys.exit(1)


def _silence():
    """Print nothing in a process that a plugin forks: it may go on with the command."""
    for stream in _own.values():
        _to_nowhere(stream.fileno())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_silence)


def _to_nowhere(descriptor):
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextlib.contextmanager
def own_streams() -> Iterator[None]:
    """Print through streams that are out of reach of plugins; restore all at the end.

    For the command line, whose process this is: never in a call of the library.
    """
    # one that is closed would become the next file that is opened
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    standard: dict[int, tuple[str, Any]]
    standard = {1: ("stdout", sys.stdout), 2: ("stderr", sys.stderr)}
    for descriptor, (_, stream) in standard.items():
        encoding = getattr(stream, "encoding", None) or "utf-8"
        _own[descriptor] = _Stream(descriptor, encoding)
        # what plugins print survives, too
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except OSError as error:
        # from click's own texts; that of a file has its name
        if error.filename is not None:
            raise
        _end(error)
    finally:
        for descriptor, (name, stream) in standard.items():
            _restore(descriptor, name, stream)


def _restore(descriptor, name, stream):
    """Leave Python a stream to flush when it ends: it is loud where that fails."""
    setattr(sys, name, stream)
    try:
        _own.pop(descriptor).close()
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        setattr(sys, name, None)
        _to_nowhere(descriptor)


def stdout() -> Any:
    """Return the stream that results go to."""
    return _own.get(1, sys.stdout)


def width() -> int | None:
    """Return the columns that tables have; None where there is no limit, in a pipe."""
    columns = os.environ.get("COLUMNS", "")
    if not stdout().isatty() and not columns.isdecimal():
        return None
    # imports what names alone do not need
    import shutil

    found = shutil.get_terminal_size((_USUAL, 24)).columns
    # COLUMNS=0 comes of shells that do not know, and cells of no width are lost
    return found if found >= _NARROWEST else _USUAL


def reserve_stdout() -> None:
    """Leave standard output to one JSON text, for the life of the process.

    All that others print goes where errors go: from modules, hooks, threads, other
    processes, and when Python ends. Without effect but in `own_streams`.
    """
    if _own:
        os.dup2(2, 1)
        stdout().reconfigure(encoding="ascii")


def shown(text: object) -> str:
    """Return a text as it can be shown: see `printable`; line feeds and tabs stay."""
    encoding = getattr(stdout(), "encoding", None) or "utf-8"
    safe = printable(safe_str(text))
    return safe.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: object) -> str:
    """Return a text as it can be shown in one line."""
    return shown(text).translate(_FOLDED)


def echo(text: object = "") -> None:
    """Print one line."""
    stdout().write(one_line(text) + "\n")


def echo_error(text: str) -> None:
    """Print lines to standard error."""
    stream = _own.get(2, sys.stderr)
    stream.write(printable(text) + "\n")


def print_json(value: object) -> None:
    """Print a value as one JSON text, in ASCII."""
    # it takes milliseconds, and most commands print none
    import json

    text = json.dumps(as_json(value), indent=2, allow_nan=False)
    stdout().write(text + "\n")


def as_json(value: object, parents: tuple[int, ...] = ()) -> Any:
    """Return a value as JSON has it: what JSON has no form for, as text.

    NumPy's numbers and arrays become numbers and lists; keys, numbers that are not
    finite and what contains itself or is nested too deep become texts.
    """
    try:
        return _as_json(value, parents)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return _plain_text(safe_repr(value))


def _as_json(value, parents):
    # not isinstance, which believes the value's own __class__
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, str):
        return _plain_text(str.__str__(value))
    if issubclass(kind, int) and int.bit_length(value) <= _INTEGER_BITS:
        return int.__int__(value)
    if issubclass(kind, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else repr(number)
    if id(value) in parents or len(parents) == _DEEPEST:
        return _plain_text(safe_repr(value))
    parents = (*parents, id(value))
    for base in (list, tuple):
        if issubclass(kind, base):
            return [as_json(each, parents) for each in base.__iter__(value)]
    if issubclass(kind, dict):
        return _as_object(value, parents)
    numpy = sys.modules.get("numpy")
    if numpy and issubclass(kind, (numpy.ndarray, numpy.generic)):
        return as_json(value.tolist(), parents)
    return _plain_text(safe_repr(value))


def _as_object(mapping, parents):
    found = {}
    for key, value in dict.items(mapping):
        name = str.__str__(key) if issubclass(type(key), str) else safe_repr(key)
        found[_plain_text(name)] = as_json(value, parents)
    return found


def _plain_text(text):
    """Return a text without halves of surrogates, which are no characters."""
    return text.encode("utf-8", "backslashreplace").decode()
