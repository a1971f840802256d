"""Fixtures of pytest for authors: ``pytest_plugins = ["regplug.testing.fixtures"]``, or import them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regplug.testing.isolation import IsolatedRegistry, isolated


@pytest.fixture
def isolated_registry() -> Iterator[IsolatedRegistry]:
    """Have the registry see no installed plugin; ``isolated_registry.add(cls)`` offers a class."""
    with isolated() as registry:
        yield registry
