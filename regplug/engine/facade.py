"""Which engine a variable is of, and that engine's facade."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

__all__ = ["ENGINES", "NAMES", "engine_of", "name_of", "tensor"]

ENGINES = ("pytensor", "theano")

# what the module of each engine has
NAMES = [
    "Assert",
    "Draw",
    "Elemwise",
    "Gate",
    "Scan",
    "Second",
    "Shape",
    "Shape_i",
    "SharedVariable",
    "T",
    "allow_float64",
    "disconnected_grad",
    "grad",
    "grad_clip",
    "has_inner_graph",
    "inner_graph",
    "is_dense",
    "is_generator",
    "jacobian",
    "linker_problem",
    "no_traceback",
    "refine_type",
    "renew_test_values",
    "scan",
    "scan_with",
    "shared",
    "static_shape",
    "svd",
    "uses_default_updates",
    "working_dtype",
]


def name_of(variable: Any) -> str | None:
    """Return which engine a variable belongs to; None where it is of none."""
    if not hasattr(variable, "owner") or not hasattr(variable, "type"):
        return None
    modules = {cls.__module__.partition(".")[0] for cls in type(variable).__mro__}
    return next((name for name in ENGINES if name in modules), None)


def engine_of(variable: Any) -> ModuleType:
    """Return the engine's module: `regplug.engine.pytensor` or `.theano`."""
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
