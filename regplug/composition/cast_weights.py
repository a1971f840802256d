"""CastWeights: the live weights, in the dtypes of what they act on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from regplug.authoring.options import options_of
from regplug.authoring.schedules import Schedule
from regplug.composition.bound import BoundRegularizer
from regplug.composition.run_state import RunState

__all__ = ["CastWeights", "common_dtype"]


def common_dtype(variables: Iterable[Any], otherwise: str = "") -> str:
    """Return the float dtype that holds the floats among variables."""
    floats = [variable.dtype for variable in variables if "float" in variable.dtype]
    return np.result_type(*floats).name if floats else otherwise


class CastWeights:
    """The weights as hooks see them, one variable for each regularizer and dtype.

    Attributes
    ----------
    float64 : dict of variable to variable
        A weight as a hook sees it -> the same in float64, which thresholds are computed
        from.
    """

    def __init__(self, run_state: RunState):
        self.float64: dict[Any, Any] = {}
        self._run_state = run_state
        self._cast: dict[tuple[BoundRegularizer, str], Any] = {}

    def get(self, member: BoundRegularizer, dtype: str) -> Any:
        """Return a regularizer's weight in a dtype; None where it has none."""
        if member.weight is None:
            return None
        key = member, dtype
        if key not in self._cast:
            weight = self._float64_weight(member)
            self._cast[key] = self._cast_below_bound(weight, member, dtype)
            self.float64[self._cast[key]] = weight
        return self._cast[key]

    def _float64_weight(self, member):
        engine = self._run_state.engine
        if isinstance(member.weight, Schedule):
            return member.weight.at(self._run_state.step.connect(engine), engine.T)
        return member.weight.connect(engine)

    def _cast_below_bound(self, weight, member, dtype):
        T = self._run_state.engine.T
        weight = T.cast(weight, dtype)
        option = options_of(type(member.regularizer)).get("weight")
        if dtype == "float64" or option is None or "lt" not in option.bounds:
            return weight
        # rounded, a weight may reach its bound: a rate of 0.99999999 is 1 in float32
        bound, zero = np.array([option.bounds["lt"], 0], dtype)
        return T.minimum(weight, np.nextafter(bound, zero))
