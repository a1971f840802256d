"""A registry that sees no installed plugin, for tests."""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from unittest import mock

from regplug.discovery import registry
from regplug.discovery.entry import Entry
from regplug.text import snake_case


class Package(importlib.metadata.Distribution):
    """An installed package that exists in memory only."""

    def __init__(self, name, version):
        self._metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        self._entry_points = f"[{registry.GROUP}]\n"

    def offer(self, name, value):
        """Add an entry point."""
        self._entry_points += f"{name} = {value}\n"

    def read_text(self, filename):
        """Return a metadata file."""
        files = {"METADATA": self._metadata, "entry_points.txt": self._entry_points}
        return files.get(filename)

    def locate_file(self, path):
        """Refuse: there are no files."""
        raise FileNotFoundError(path)


class IsolatedRegistry:
    """The packages that a test sees; at first none."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        self._packages: dict[tuple[str, str], Package] = {}
        self._modules: list[str] = []

    def add(
        self,
        cls: type,
        name: str | None = None,
        *,
        package: str = "isolated",
        version: str = "0",
    ) -> Entry:
        """Offer a class under a name, as if `package` were installed.

        Parameters
        ----------
        cls : type
            It may be defined inside a test.
        name : str, optional
            By default the class's name in snake case.
        """
        value = f"{self._add_module(cls)}:{cls.__name__}"
        key = package, version
        offered = self._packages.setdefault(key, Package(*key))
        offered.offer(name or snake_case(cls.__name__), value)
        # its module is new, and so no other entry has that value
        return next(entry for entry in registry.available() if entry.value == value)

    def _add_module(self, cls):
        """Make a module for a class that may be no attribute of its own one."""
        module = ModuleType(f"regplug_isolated_{next(self._numbers)}")
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        module.__spec__ = ModuleSpec(module.__name__, None, origin=file)
        module.__spec__.has_location = file is not None
        setattr(module, cls.__name__, cls)
        sys.modules[module.__name__] = module
        self._modules.append(module.__name__)
        return module.__name__

    def distributions(self, **context):
        """Return the packages, as `importlib.metadata.distributions` does."""
        return list(self._packages.values())


@contextlib.contextmanager
def isolated() -> Iterator[IsolatedRegistry]:
    """Have the registry see the packages that are added, and no installed one."""
    found = IsolatedRegistry()
    try:
        with (
            mock.patch("importlib.metadata.distributions", found.distributions),
            mock.patch.dict(registry._loaded),
        ):
            yield found
    finally:
        for name in found._modules:
            del sys.modules[name]
