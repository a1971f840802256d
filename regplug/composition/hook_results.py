"""What hooks may return; `fault` makes the error that names regularizer and hook."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from regplug.engine import name_of
from regplug.errors import RegplugError, faults_as
from regplug.text import safe_repr

__all__ = ["Fault", "check_scalar", "check_tensor", "refine_type"]

Fault = Callable[[str], RegplugError]

_KINDS = {1: "vector", 2: "matrix"}


def check_tensor(
    value: Any, engine: ModuleType, fault: Fault, expected: str = "a tensor variable"
) -> None:
    """Refuse what is no dense tensor variable."""
    with faults_as(lambda what: fault(f"returned an object that raised {what}")):
        is_tensor = name_of(value) is not None and engine.is_dense(value)
    if not is_tensor:
        raise fault(f"returned {safe_repr(value)}, expected {expected}")


def check_scalar(value: Any, engine: ModuleType, fault: Fault) -> None:
    """Refuse what is no float scalar."""
    check_tensor(value, engine, fault, "a scalar variable, None or 0")
    if value.ndim != 0:
        kind = _KINDS.get(value.ndim, "tensor")
        shape = str(engine.static_shape(value)).replace("None", "?")
        raise fault(f"returned a {kind} of shape {shape}, expected a scalar")
    if "float" not in value.dtype:
        raise fault(f"returned a scalar of dtype {value.dtype}, expected a float")


def refine_type(new: Any, old: Any, engine: ModuleType, fault: Fault) -> Any:
    """Return `new` with the static shape of `old`; refuse one that does not fit.

    float32 in the place of float16 is rounded.
    """
    check_tensor(new, engine, fault)
    if old.dtype == "float16" and new.dtype == "float32":
        new = engine.T.cast(new, old.dtype)
    if (new.dtype, new.ndim) != (old.dtype, old.ndim):
        expected = f"{old.type}: the same dtype and number of dimensions"
        raise fault(f"returned {new.type}, expected {expected}")
    shapes = engine.static_shape(new), engine.static_shape(old)
    for length, expected_length in zip(*shapes, strict=True):
        # None is a length that only the run knows
        if None not in (length, expected_length) and length != expected_length:
            raise fault(f"returned {new.type}, which does not fit {old.type}")
    return engine.refine_type(new, old)
