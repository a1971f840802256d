"""Entry: one regularizer that an installed package offers, imported or not."""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from regplug.discovery.metadata import (
    canonicalize_name,
    dist_info_name,
    read_headers,
    read_old_requirements,
    satisfies,
)
from regplug.errors import CompositionError, PluginLoadError, faults_as
from regplug.text import short_repr
from regplug.version import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution

    from regplug.discovery.source import SourceInfo

__all__ = ["Entry", "block", "source_of"]

_NAME = r"(?!\d)\w+(\.(?!\d)\w+)*"
_FORM = f"{_NAME}:{_NAME}"

# in the place of a set, as that has no order
_blocked: dict[str, None] = {}


@dataclass(eq=False, repr=False)
class Entry:
    """One regularizer that an installed package offers.

    Attributes
    ----------
    name, aliases : str, tuple of str
        What users type.
    value : str
        The object, ``module:Class``.
    distribution : Distribution
        Where it comes from.
    conflicts : tuple of str
        Other packages that offer something else under one of the names, as
        ``package (value)``.
    fault : str
        What is wrong with the entry point itself.
    """

    name: str
    aliases: tuple[str, ...]
    value: str
    distribution: Distribution
    conflicts: tuple[str, ...] = ()
    fault: str = ""

    def __repr__(self) -> str:
        of = f"{self.package} {self.version}"
        return f"<regplug entry {self.name!r} of {of}, {self.value}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases."""
        return (self.name, *self.aliases)

    @cached_property
    def _headers(self):
        return read_headers(self.distribution)

    def _header(self, key):
        return next(iter(self._headers.get(key, ())), "")

    @cached_property
    def requirements(self) -> list[str]:
        """What its package requires, as its metadata has it."""
        wanted = self._headers.get("requires-dist")
        return wanted or read_old_requirements(self.distribution)

    @cached_property
    def package(self) -> str:
        """The package's name, as its metadata has it."""
        folder = dist_info_name(self.distribution)
        return self._header("name") or folder or "unnamed package"

    @cached_property
    def version(self) -> str:
        """The package's version."""
        return self._header("version") or "unknown version"

    @cached_property
    def source_info(self) -> SourceInfo:
        """What the source says, read without running it."""
        return source_of(self.value)

    @property
    def qualified_name(self) -> str:
        """The name, or ``package/name`` where packages conflict."""
        return f"{self.package}/{self.name}" if self.conflicts else self.name

    @property
    def blocked(self) -> str:
        """The word that blocks it; empty where none does.

        It is the name, an alias, the package, or ``package/name``.
        """
        words = [*_blocked, *os.environ.get("REGPLUG_BLOCK", "").split(",")]
        words = list(filter(None, map(str.strip, words)))
        # mostly there are none, and the package's name takes a file to read
        if not words:
            return ""
        own = set()
        for name in (self.package, *self.names):
            own.add(canonicalize_name(name))
            own.add(canonicalize_name(f"{self.package}/{name}"))
        return next((word for word in words if canonicalize_name(word) in own), "")

    @cached_property
    def incompatible(self) -> str:
        """What its package requires of regplug, where this version does not meet it."""
        wanted = self.requirements
        return ", ".join(text for text in wanted if not satisfies(text, __version__))

    @property
    def blocked_reason(self) -> str:
        """Why it is not even imported; empty where it may be."""
        if self.blocked:
            where = "in regplug.block, -p no:NAME or REGPLUG_BLOCK"
            return f"blocked by {self.blocked!r} ({where})"
        if self.incompatible:
            return (
                f"it needs {self.incompatible}, and regplug {__version__} is installed"
            )
        if self.fault:
            return self.fault
        if not re.fullmatch(_FORM, self.value):
            point = f"{self.name} = {self.value!r}"
            return f"the entry point {point} is not of the form module:Class"
        return ""

    @property
    def static_error(self) -> str:
        """What is wrong, as far as is seen without importing it, or ""."""
        if self.blocked_reason:
            return self.blocked_reason
        if not self._header("name") or not self._header("version"):
            return "the package's metadata has no name or version"
        return self.source_info.error

    @property
    def status(self) -> str:
        """``installed``, ``blocked``, ``incompatible``, ``broken`` or ``conflict``."""
        if self.blocked:
            return "blocked"
        if self.incompatible:
            return "incompatible"
        if self.static_error:
            return "broken"
        if self.conflicts:
            return "conflict"
        return "installed"

    @property
    def summary(self) -> str:
        """The first line of the class's docstring, or what is wrong, or not known."""
        if self.static_error:
            return self.static_error
        if self.source_info.unread:
            return f"not readable: {self.source_info.unread}"
        return self.source_info.docstring.strip().partition("\n")[0]

    @property
    def kind(self) -> str:
        """What it does, such as ``penalty on outputs``, where that is seen."""
        return "" if self.blocked_reason else self.source_info.kind

    @property
    def provenance(self) -> str:
        """The name, in quotes, with package and version."""
        return f"{self.name!r} ({self.package} {self.version})"

    @property
    def offer(self) -> str:
        """The package, its version and the object: one of several offers of a name."""
        return f"{self.package} {self.version} ({self.value})"

    def load(self, advice: str = "") -> Any:
        """Import and return the object.

        Raises
        ------
        PluginLoadError
            It is refused or cannot be imported; the message ends with `advice`.
        """

        def error_of(what):
            return PluginLoadError(f"{self.provenance} {what}. {advice}".strip())

        if self.blocked_reason:
            raise error_of(f"is refused: {self.blocked_reason}")
        stdout, was_closed = sys.stdout, _is_closed(sys.stdout)
        try:
            with faults_as(lambda what: error_of(f"could not be imported: {what}")):
                found = pkgutil.resolve_name(self.value)
        finally:
            # whoever takes it away, or puts junk in its place
            if _is_closed(sys.stdout):
                sys.stdout = stdout
        if _is_closed(stdout) and not was_closed:
            raise error_of("is refused: importing it closes sys.stdout")
        return found

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"


def _is_closed(stream):
    try:
        return bool(stream.closed)
    except KeyboardInterrupt:
        raise
    # a detached one raises; junk has nothing, or anything
    except BaseException:
        return True


def source_of(value: str) -> SourceInfo:
    """Return what the source of ``module:Class`` says."""
    # parses Python, which names alone do not need
    from regplug.discovery.source import inspect_source

    module, _, attribute = value.partition(":")
    return inspect_source(module, attribute)


def block(*names: str) -> None:
    """Keep regularizers out, for the rest of this process, before any import.

    Parameters
    ----------
    *names : str
        Names or aliases of regularizers, names of packages, or ``package/name``.

    Examples
    --------
    >>> import regplug
    >>> regplug.block("a-package", "another-package/dropout")
    """
    for name in names:
        if not isinstance(name, str):
            what = "is no name: write texts, such as regplug.block('a-package')"
            raise CompositionError(f"{short_repr(name)} {what}.")
    _blocked.update(dict.fromkeys(names))
