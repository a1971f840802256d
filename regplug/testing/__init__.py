"""The kit for authors of regularizers: what their tests need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regplug.testing.conformance import check_regularizer, parametrize_with_checks
from regplug.testing.graphs import evaluate, function, installed_engine

if TYPE_CHECKING:
    from regplug.testing.fixtures import isolated_registry

__all__ = [
    "check_regularizer",
    "evaluate",
    "function",
    "installed_engine",
    "isolated_registry",
    "parametrize_with_checks",
]


def __getattr__(name: str) -> Any:
    # it needs pytest, which only tests have
    if name == "isolated_registry":
        from regplug.testing import fixtures

        return fixtures.isolated_registry
    raise AttributeError(f"module 'regplug.testing' has no attribute {name!r}")
