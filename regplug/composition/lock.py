"""The lock of a composition file: the package and version of each regularizer."""

from __future__ import annotations

from collections.abc import Mapping

from regplug.discovery import registry
from regplug.discovery.entry import Entry
from regplug.discovery.metadata import canonicalize_name
from regplug.errors import UnknownRegularizerError
from regplug.text import short_repr

__all__ = ["difference", "pip_command", "requirement"]


def requirement(entry: Entry) -> str:
    """Return what a lock says of an entry: ``package==version``."""
    return f"{entry.package}=={entry.version}"


def difference(name: str, locks: Mapping[str, str], strict: bool) -> str:
    """Return how what is installed differs from the lock; empty where it does not."""
    try:
        entry = registry.get_entry(name)
    except UnknownRegularizerError as error:
        if name not in locks:
            raise
        how = f"The file is locked to {_shown(locks[name])}: {_remedy(locks[name])}."
        raise UnknownRegularizerError(f"{error} {how}") from error
    locked = locks.get(name, locks.get(entry.qualified_name))
    if locked is None and strict:
        what = f"{name!r} is not in [lock], and strict=True asks for it"
        return f"{what}: use manager.write(path, lock=True)."
    if locked is None or _is_met(locked, entry):
        return ""
    what = f"is locked to {_shown(locked)}, and {requirement(entry)} is installed"
    return f"{name!r} {what}: {_remedy(locked)}."


def pip_command(locked: str) -> str:
    """Return what to type to install a requirement; empty where the text is none."""
    if _parsed(locked) is None:
        return ""
    return f"python -m pip install {_shown(locked)}"


def _remedy(locked):
    correct = "write PACKAGE==VERSION there, or use manager.write(path, lock=True)"
    return pip_command(locked) or correct


def _shown(locked):
    """Return a lock's text as it may be typed; what is no requirement in quotes."""
    found = _parsed(locked)
    if found is not None:
        return f"{found.name}{found.specifier}"
    if not locked.strip():
        return "nothing (its entry is empty)"
    return f"{short_repr(locked)}, which is no PACKAGE==VERSION"


def _is_met(locked, entry):
    from packaging.version import InvalidVersion

    # versions that have no such form are equal to themselves, too
    if locked == requirement(entry):
        return True
    found = _parsed(locked)
    if found is None:
        return False
    if canonicalize_name(found.name) != canonicalize_name(entry.package):
        return False
    try:
        return found.specifier.contains(entry.version, prereleases=True)
    except InvalidVersion:
        return False


def _parsed(locked):
    """Return a requirement of the form ``package==version``; None of any other."""
    from packaging.requirements import Requirement

    # no package's is as long
    if len(locked) > 200:
        return None
    try:
        found = Requirement(locked)
    except Exception:
        # of hostile texts also others than InvalidRequirement
        return None
    exact = [each for each in found.specifier if each.operator == "=="]
    is_more = found.url or found.marker or found.extras or len(found.specifier) != 1
    if is_more or not exact or exact[0].version.endswith("*"):
        return None
    return found
