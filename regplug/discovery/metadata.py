"""Metadata: what the installed packages declare.

It is read file by file, so that a malformed one stops no other, and no more of a file
than its first million bytes.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import stat
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, DistributionFinder

__all__ = [
    "canonicalize_name",
    "dist_info_name",
    "find_distributions",
    "has_metadata",
    "installed_version",
    "is_leftover",
    "iter_entry_points",
    "read_headers",
    "read_metadata",
    "read_old_requirements",
    "refresh",
    "satisfies",
]

# bytes; of a file of metadata no more is read
LIMIT = 1_000_000
# as the specification of entry points has it; extras say what else to install
_VALUE = re.compile(r"([\w.]+)\s*:\s*([\w.]+)\s*(\[[^]]*\])?")


def iter_entry_points(group: str) -> Iterator[tuple[Distribution, str, str]]:
    """Yield distribution, name and value of each entry point of a group.

    A value is ``module:Class``, without extras, where it is of that form.
    `importlib.metadata.entry_points` would do, but stops at the first malformed file of
    any package.
    """
    for distribution in _chosen():
        text = read_metadata(distribution, "entry_points.txt")
        # most packages have none of the group: this takes 2.2 ms for 75 packages, where
        # parsing each file takes 3.5
        if group in text:
            for name, value in _section(text, group):
                yield distribution, name, value


def _chosen():
    """Return one distribution for each name: what Python finds."""
    chosen: dict[str, Distribution] = {}
    for distribution in find_distributions():
        if is_leftover(distribution):
            continue
        name = dist_info_name(distribution) or str(id(distribution))
        package = canonicalize_name(name)
        # the first on the path hides the others, unless it is an empty folder
        other = chosen.setdefault(package, distribution)
        if other is not distribution and not has_metadata(other):
            chosen[package] = distribution
    return chosen.values()


def find_distributions() -> list[Distribution]:
    """Return what is installed, in the order of the path.

    What a finder of another library raises hides what that one finds, and no more.
    """
    try:
        return list(importlib.metadata.distributions())
    except KeyboardInterrupt:
        raise
    except BaseException:
        return list(_found_one_by_one())


def _found_one_by_one():
    contexts = [DistributionFinder.Context(path=[entry]) for entry in sys.path]
    for finder in sys.meta_path:
        for context in contexts:
            try:
                find = getattr(finder, "find_distributions", _find_none)
                yield from list(find(context))
            except KeyboardInterrupt:
                raise
            except BaseException:
                continue


def _find_none(context):
    return ()


def refresh() -> None:
    """See what was installed a moment ago."""
    for finder in sys.meta_path:
        try:
            finder.invalidate_caches()  # type: ignore[attr-defined]
        except KeyboardInterrupt:
            raise
        except BaseException:
            # most have no caches; those of other libraries may do anything
            continue


def _section(text, group):
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[] ")
        elif section == group and line and line[0] not in "#;":
            name, _, value = line.partition("=")
            value = value.strip()
            if found := _VALUE.fullmatch(value):
                value = f"{found[1]}:{found[2]}"
            yield name.strip(), value


def read_metadata(distribution: Distribution, file: str) -> str:
    """Return the first million bytes of a file of a package's metadata.

    Empty where it is not there, or cannot be read.
    """
    try:
        text = _read(distribution, file)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return ""
    if not isinstance(text, str):
        return ""
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _read(distribution, file):
    folder = getattr(distribution, "_path", None)
    if isinstance(folder, os.PathLike):
        return _read_file(os.path.join(folder, file))
    # in a zip file
    join = getattr(folder, "joinpath", None)
    if join is not None:
        with join(file).open("rb") as opened:
            return opened.read(LIMIT).decode(errors="replace")
    return distribution.read_text(file)


def _read_file(path):
    # as for pathlib, and in a third of its time
    path = path.rstrip("/")
    about = os.stat(path)
    # a pipe would be waited for
    if not stat.S_ISREG(about.st_mode):
        return ""
    with open(path, "rb", buffering=0) as opened:
        return opened.read(min(about.st_size, LIMIT)).decode(errors="replace")


def read_headers(distribution: Distribution) -> dict[str, list[str]]:
    """Return the headers of a package's metadata, by their names in lower case."""
    # by hand: the standard library parses the long description, too, and raises where
    # there is no file
    headers: dict[str, list[str]] = {}
    files = (read_metadata(distribution, file) for file in ("METADATA", "PKG-INFO", ""))
    text = next(filter(None, files), "")
    for line in text.partition("\n\n")[0].splitlines():
        key, colon, value = line.partition(":")
        if colon:
            headers.setdefault(key.lower(), []).append(value.strip())
    return headers


def read_old_requirements(distribution: Distribution) -> list[str]:
    """Return what a package requires that has it in a file of setuptools."""
    found, condition = [], ""
    for line in map(
        str.strip, read_metadata(distribution, "requires.txt").splitlines()
    ):
        if line.startswith("["):
            extra, _, marker = line.strip("[] ").partition(":")
            parts = (extra and f"extra == {extra!r}", marker and f"({marker})")
            condition = "; " + " and ".join(filter(None, parts))
        elif line:
            found.append(line + condition)
    return found


def has_metadata(distribution: Distribution) -> bool:
    """Tell whether a package says what it is; pip leaves folders that do not."""
    return bool(read_headers(distribution))


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, or None where it is not."""
    for distribution in _chosen():
        if canonicalize_name(dist_info_name(distribution)) == canonicalize_name(
            package
        ):
            return next(iter(read_headers(distribution).get("version", ())), "")
    return None


def _folder(distribution):
    try:
        return os.path.basename(str(getattr(distribution, "_path", "")).rstrip("/"))
    except Exception:
        return ""


def is_leftover(distribution: Distribution) -> bool:
    """Tell whether it is what pip leaves when it is interrupted, such as ``~umpy``.

    pip renames what it is about to delete: no package's name begins like that.
    """
    return _folder(distribution).startswith(("~", "-"))


def dist_info_name(distribution: Distribution) -> str:
    """Return the package's name as its metadata folder has it: no file is read."""
    name = _folder(distribution).rpartition(".")[0].partition("-")[0]
    # an egg's folder is EGG-INFO
    return name or "".join(read_headers(distribution).get("name", ())[:1])


def canonicalize_name(package: str) -> str:
    """Return a package's name in the one spelling that all others stand for."""
    # packaging.utils has it, and takes 24 ms to import, of the 110 of `regplug list`
    return re.sub(r"[-_.]+", "-", package).lower()


@cache
def satisfies(requirement: str, version: str) -> bool:
    """Tell whether this version of regplug meets a requirement, or any is on others."""
    if not re.match(r"regplug(?![\w.-])", requirement, re.IGNORECASE):
        return True
    # most say this, and packaging takes 50 ms to import
    least = re.fullmatch(
        r"regplug\s*>=\s*(\d{1,9}(?:\.\d{1,9}){0,9})", requirement, re.IGNORECASE
    )
    if least and re.fullmatch(r"\d+(\.\d+)*", version):
        return _release(least[1]) <= _release(version)
    from packaging.requirements import Requirement

    try:
        wanted = Requirement(requirement)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            return True
        return wanted.specifier.contains(version, prereleases=True)
    # not well-formed, or a marker that compares what cannot be compared
    except Exception:
        return False


def _release(version):
    return [int(part) for part in re.sub(r"(\.0+)+$", "", version).split(".")]
