"""The lock of a composition file: the package and version of each regularizer."""

from __future__ import annotations

from collections.abc import Mapping

from regplug.discovery import registry
from regplug.discovery.registry import Entry
from regplug.errors import UnknownRegularizerError

__all__ = ["difference", "requirement"]


def requirement(entry: Entry) -> str:
    """Return what a lock says of an entry: ``package==version``."""
    return f"{entry.package}=={entry.version}"


def difference(name: str, locks: Mapping[str, str], strict: bool) -> str:
    """Return how what is installed differs from the lock; empty where it does not."""
    remedy = "python -m pip install"
    try:
        entry = registry.get_entry(name)
    except UnknownRegularizerError as error:
        if name not in locks:
            raise
        how = f"The file is locked to {locks[name]}: {remedy} {locks[name]}."
        raise UnknownRegularizerError(f"{error} {how}") from error
    locked = locks.get(name) or locks.get(entry.qualified_name)
    found = requirement(entry)
    if locked == found:
        return ""
    if locked is not None:
        what = f"{name!r} is locked to {locked}, and {found} is installed"
        return f"{what}: {remedy} {locked}."
    if strict:
        what = f"{name!r} is not in [lock], and strict=True asks for it"
        return f"{what}: use manager.write(path, lock=True)."
    return ""
