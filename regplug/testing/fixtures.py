"""Fixtures of pytest for authors.

``pytest_plugins = ["regplug.testing.fixtures"]`` brings them, or an import of each.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from regplug.testing.isolation import IsolatedRegistry, isolated


@pytest.fixture
def isolated_registry() -> Iterator[IsolatedRegistry]:
    """Have the registry see no installed plugin; its method `add` offers a class."""
    with isolated() as registry:
        yield registry
