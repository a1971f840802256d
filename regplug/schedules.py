"""Schedules: a weight as a function of the step, written into the graph.

In Python and in TOML a schedule is a mapping in the place of the number::

    weight = {schedule = "linear", start = 0, stop = 1e-3, steps = 1000}
    weight = {schedule = "cosine", start = 1e-3, stop = 0, steps = 1000}
    weight = {schedule = "exponential", start = 1e-2, stop = 1e-4, steps = 1000}
    weight = {schedule = "piecewise", steps = [100, 200], values = [0, 1e-3, 1e-4]}

With s = min(step / steps, 1): linear is ``start + (stop - start) s``, cosine ``stop + (start - stop)
(1 + cos(pi s)) / 2``, exponential ``start (stop / start) ** s``. Piecewise is the entry of `values` whose
number is how many of `steps` have been reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from regplug.errors import did_you_mean

_RAMP = ("start", "stop", "steps")
KINDS = {"linear": _RAMP, "cosine": _RAMP, "exponential": _RAMP, "piecewise": ("steps", "values")}


class Schedule(dict):
    """A checked schedule; `check` refuses a value outside the weight's range.

    Raises
    ------
    ValueError
        Its kind or a key is unknown, or a value does not fit; the message begins with the value.
    """

    def __init__(self, spec: Mapping[str, Any], check: Callable[[float], float]):
        super().__init__(spec)
        kind = self.get("schedule")
        if "schedule" not in self:
            raise ValueError(f"{dict(self)!r} has no key 'schedule'. Schedules: {', '.join(KINDS)}")
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(f"{kind!r} is no schedule.{did_you_mean(kind, KINDS)} Schedules: {', '.join(KINDS)}")
        if set(self) != {"schedule", *KINDS[kind]}:
            raise ValueError(f"{dict(self)!r}: a {kind} schedule has the keys {', '.join(KINDS[kind])}")
        steps = self["steps"] if kind == "piecewise" else [self["steps"]]
        if not isinstance(steps, (list, tuple)) or not all(type(n) is int and n > 0 for n in steps):
            raise ValueError(f"{self['steps']!r}: steps are integers > 0")
        if list(steps) != sorted(set(steps)):
            raise ValueError(f"{steps!r}: steps must increase")
        is_list = isinstance(self.get("values"), (list, tuple))
        if kind == "piecewise" and (not is_list or len(self["values"]) != len(steps) + 1):
            raise ValueError(f"{self['values']!r}: {len(steps)} steps need {len(steps) + 1} values")
        if kind == "exponential" and not all(isinstance(value, (int, float)) and value > 0 for value in self.extremes):
            raise ValueError(f"{self.extremes!r}: an exponential schedule needs start and stop > 0")
        for value in self.extremes:
            check(value)

    @property
    def extremes(self) -> list[Any]:
        """The values between which all others lie."""
        return list(self["values"]) if self["schedule"] == "piecewise" else [self["start"], self["stop"]]

    def at(self, step: Any, xp: ModuleType) -> Any:
        """Return the weight at a step, with NumPy or the tensor module of an engine; float64."""
        step = xp.where(step < 0, _exact(2.0**64), step)  # an int64 that counted beyond 2**63
        if self["schedule"] == "piecewise":
            value = _exact(self["values"][0])
            for reached, new in zip(self["steps"], self["values"][1:], strict=True):
                value = xp.where(step >= reached, _exact(new), value)
            return value
        start, stop = self["start"], self["stop"]
        share = xp.minimum(step / _exact(self["steps"]), 1)
        if self["schedule"] == "linear":
            return share * _exact(stop - start) + _exact(start)
        if self["schedule"] == "cosine":
            return (1 + xp.cos(share * _exact(math.pi))) / 2 * _exact(start - stop) + _exact(stop)
        return xp.exp(share * _exact(math.log(stop / start))) * _exact(start)


def _exact(number: float) -> Any:
    """Return a float64 array: where floatX is float32, engines take a float of Python for one of these."""
    import numpy as np  # not with the module, which listing the regularizers imports

    return np.asarray(number, "float64")
