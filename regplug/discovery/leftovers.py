"""Folders of metadata that hold nothing: what is left of an interrupted install."""

from __future__ import annotations

from regplug.discovery.metadata import (
    find_distributions,
    has_metadata,
    is_leftover,
)

__all__ = ["find_leftovers"]


def find_leftovers() -> dict[str, str]:
    """Return the folders that no package's metadata are in -> what each is.

    They hide nothing, and are taken for nothing; deleting them is right.
    """
    found = {}
    for distribution in find_distributions():
        folder = str(getattr(distribution, "_path", ""))
        if is_leftover(distribution):
            found[folder] = "is what pip left when it was interrupted"
        elif folder and not has_metadata(distribution):
            found[folder] = "has no metadata of a package (no file METADATA)"
    return found
