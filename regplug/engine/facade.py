"""Which engine a variable is of, and that engine's face."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

ENGINES = ("pytensor", "theano")


def name_of(variable: Any) -> str | None:
    """Return which engine a variable belongs to; None where it is no symbolic variable."""
    if not hasattr(variable, "owner") or not hasattr(variable, "type"):
        return None
    modules = {cls.__module__.partition(".")[0] for cls in type(variable).__mro__}
    return next((name for name in ENGINES if name in modules), None)


def engine_of(variable: Any) -> ModuleType:
    """Return the engine's face: the module `regplug.engine.pytensor` or `regplug.engine.theano`."""
    name = name_of(variable)
    if name is None:
        raise TypeError(f"{variable!r} is no variable of {' or '.join(ENGINES)}")
    return importlib.import_module(f"regplug.engine.{name}")


def tensor(variable: Any) -> ModuleType:
    """Return the tensor module of `variable`: ``pytensor.tensor`` or ``theano.tensor``.

    Examples
    --------
    >>> import pytensor.tensor as pt
    >>> tensor(pt.matrix()) is pt
    True
    """
    return engine_of(variable).T


def renew_test_values(node: Any) -> None:
    """Compute the test values of a node whose inputs were replaced, where the engine has any (Theano)."""
    engine_of(node.outputs[0]).renew_test_values(node)
