"""Files: written whole or not at all, and read with words where that fails."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from typing import Any

from regplug.errors import CompositionError
from regplug.text import safe_str, short_repr

__all__ = ["read_whole", "write_whole"]

# of the process: what is there is open already, and is read and written as it is
_STREAM = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/[^/]+/fd/\d+")
_NOT_WRITTEN = (
    "What was there is as it was: give the path of a file in a folder that exists, "
    "has room, and that you may write to"
)
_NOT_READ = "give the path of a file that is there, and that you may read"


def write_whole(path: Any, data: bytes) -> None:
    """Write a file whole or not at all: whoever looks finds the old one or the new one.

    A new file beside it takes its place when it is on the disk. Where `path` is a
    symbolic link, that is the place of the file that it leads to. Permissions stay; a
    hard link under another name keeps the old file. Devices and pipes are written to as
    they are. A process that is killed may leave a file ``.regplug-*.tmp``.

    Raises
    ------
    CompositionError
        It cannot be written.
    """
    name = _checked_path(path)
    try:
        if _is_stream(name) or _is_device(name):
            with open(name, "ab") as file:
                file.write(data)
        else:
            # through links, that these stay
            _replace(os.path.realpath(name), data)
    except (OSError, ValueError) as error:
        what = f"cannot be written: {_reason(error)}. {_NOT_WRITTEN}"
        raise CompositionError(f"{safe_str(path)}: {what}.") from error


def _is_stream(name):
    return _STREAM.fullmatch(os.path.abspath(name)) is not None


def _is_device(name):
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(name).st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False


def _replace(name, data):
    if os.path.isdir(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    is_new = not os.path.exists(name)
    # a file that is protected is not replaced, which its folder would allow
    if not is_new and not os.access(name, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    folder = os.path.dirname(name)
    # with the permissions of any new file, and those of tempfile are narrower
    temporary = os.path.join(folder, f".regplug-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if not is_new:
                _copy_permissions(name, temporary)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _copy_permissions(name, temporary):
    owner = os.stat(name)
    # Windows has none, and to give a file away takes rights
    with contextlib.suppress(AttributeError, PermissionError):
        os.chown(temporary, owner.st_uid, owner.st_gid)
    # access lists are attributes, which copymode leaves out
    shutil.copystat(name, temporary)


def read_whole(path: Any, limit: int | None = None) -> bytes:
    """Return what a file holds.

    Parameters
    ----------
    path : str or path
        A pipe, too, where it is one of the process's own, such as ``/dev/stdin``.
    limit : int, optional
        How many bytes it may have.

    Raises
    ------
    CompositionError
        It cannot be read, is no file, or is longer.
    """
    name = _checked_path(path)
    try:
        is_stream = _is_stream(name)
        with open(name, "rb", opener=None if is_stream else _open) as file:
            status = os.fstat(file.fileno())
            if not is_stream and not stat.S_ISREG(status.st_mode):
                raise OSError("it is a device or a pipe, and no file")
            if limit is not None and status.st_size > limit:
                raise OSError(f"it is longer than {limit} bytes")
            return file.read()
    except (OSError, ValueError, MemoryError) as error:
        what = f"cannot be read: {_reason(error)}: {_NOT_READ}"
        raise CompositionError(f"{safe_str(path)}: {what}.") from error


def _open(name, flags):
    # a pipe would wait for someone who writes
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))


def _checked_path(path):
    """Return a path as `os` takes it; numbers would be descriptors of open files."""
    try:
        name = os.fsdecode(path)
    except Exception:
        name = ""
    if not name:
        what = f"{short_repr(path)} is no path: write a text such as 'regplug.toml'"
        raise CompositionError(f"{what}.")
    return name


def _reason(error):
    return getattr(error, "strerror", None) or safe_str(error) or "no memory is left"
