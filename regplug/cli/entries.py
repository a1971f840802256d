"""The regularizers that the user names."""

from collections.abc import Iterable

from regplug.discovery import registry
from regplug.discovery.entry import Entry
from regplug.discovery.metadata import canonicalize_name


def find_entries(names: Iterable[str]) -> list[Entry]:
    """Return the entries of names of regularizers or packages, all of a conflict.

    Raises
    ------
    UnknownRegularizerError
    """
    entries = registry.available()
    found: list[Entry] = []
    for name in names:
        package = canonicalize_name(name)
        meant = [
            entry
            for entry in entries
            if name in (entry.name, *entry.aliases)
            or canonicalize_name(entry.package) == package
        ]
        for entry in meant or [registry.get_entry(name)]:
            if entry not in found:
                found.append(entry)
    return found


def release(entry: Entry) -> str:
    """Return package and version."""
    return f"{entry.package} {entry.version}"
