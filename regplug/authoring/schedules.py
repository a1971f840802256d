"""Schedules: a weight as a function of the step, written into the graph.

In Python and in TOML a schedule is a mapping in the place of the number::

    weight = {schedule = "linear", start = 0, stop = 1e-3, steps = 1000}
    weight = {schedule = "cosine", start = 1e-3, stop = 0, steps = 1000}
    weight = {schedule = "exponential", start = 1e-2, stop = 1e-4, steps = 1000}
    weight = {schedule = "piecewise", steps = [100, 200], values = [0, 1e-3, 1e-4]}

With s = step / steps: linear is ``start + (stop - start) s``, cosine ``stop + (start - stop)
(1 + cos(pi s)) / 2``, exponential ``exp(log(start) + (log(stop) - log(start)) s)``, which is
``start (stop / start) ** s``. They are `start` exactly at step 0, `stop` exactly from step `steps` on, and never
outside the two. Piecewise is the entry of `values` whose number is how many of `steps` have been reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from types import ModuleType
from typing import Any

from regplug.errors import did_you_mean

_RAMP = ("start", "stop", "steps")
KINDS = {
    "linear": _RAMP,
    "cosine": _RAMP,
    "exponential": _RAMP,
    "piecewise": ("steps", "values"),
}


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
            raise ValueError(
                f"{dict(self)!r} has no key 'schedule'. Schedules: {', '.join(KINDS)}"
            )
        if not isinstance(kind, str) or kind not in KINDS:
            raise ValueError(
                f"{kind!r} is no schedule.{did_you_mean(kind, KINDS)} Schedules: {', '.join(KINDS)}"
            )
        if set(self) != {"schedule", *KINDS[kind]}:
            raise ValueError(
                f"{dict(self)!r}: a {kind} schedule has the keys {', '.join(KINDS[kind])}"
            )
        is_piecewise = kind == "piecewise"
        steps = self["steps"] if is_piecewise else [self["steps"]]
        if not isinstance(steps, (list, tuple)) or not all(map(_is_step, steps)):
            raise ValueError(f"{self['steps']!r}: steps are integers > 0, < 2**63")
        steps = [int(step) for step in steps]
        if steps != sorted(set(steps)):
            raise ValueError(f"{steps!r}: steps must increase")
        self["steps"] = steps if is_piecewise else steps[0]
        if is_piecewise:
            values = self["values"]
            if not isinstance(values, (list, tuple)) or len(values) != len(steps) + 1:
                raise ValueError(
                    f"{values!r}: {len(steps)} steps need {len(steps) + 1} values"
                )
            self["values"] = [_number(check(value)) for value in values]
            return
        start, stop = (_number(check(self[key])) for key in ("start", "stop"))
        self["start"], self["stop"] = start, stop
        if kind == "exponential" and not (start > 0 and stop > 0):
            raise ValueError(
                f"{[start, stop]!r}: an exponential schedule needs start and stop > 0"
            )

    def at(self, step: Any, xp: ModuleType) -> Any:
        """Return the weight at a step, with NumPy or the tensor module of an engine; float64."""
        step = xp.where(
            step < 0, _exact(2.0**64), step
        )  # an int64 that counted beyond 2**63
        if self["schedule"] == "piecewise":
            value = _exact(self["values"][0])
            for reached, new in zip(self["steps"], self["values"][1:], strict=True):
                value = xp.where(step >= _exact(reached, "int64"), _exact(new), value)
            return value
        start, stop = self["start"], self["stop"]
        share = xp.minimum(step / _exact(self["steps"]), 1)
        ramp = {"linear": _linear, "cosine": _cosine, "exponential": _exponential}[
            self["schedule"]
        ]
        value = ramp(start, stop, share, xp)
        low, high = _exact(min(start, stop)), _exact(max(start, stop))
        value = xp.minimum(xp.maximum(value, low), high)  # the last digit is rounded
        is_over = step >= _exact(self["steps"], "int64")
        return xp.where(
            is_over, _exact(stop), xp.where(step <= 0, _exact(start), value)
        )


def _linear(start, stop, share, xp):
    if math.isfinite(stop - start):
        return share * _exact(stop - start) + _exact(start)
    return 2 * (share * _exact(stop / 2 - start / 2) + _exact(start / 2))


def _cosine(start, stop, share, xp):
    return _linear(stop, start, (1 + xp.cos(share * _exact(math.pi))) / 2, xp)


def _exponential(start, stop, share, xp):
    # in logarithms: stop / start may be beyond all floats
    first, last = math.log(start), math.log(stop)
    exponent = share * _exact(last - first) + _exact(first)
    return xp.exp(xp.minimum(exponent, _exact(max(first, last))))


def _number(value):
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _is_step(number):
    is_integer = isinstance(number, Integral) and not isinstance(number, bool)
    return is_integer and 0 < number < 2**63


def _exact(number, dtype="float64"):
    """Return an array: where floatX is float32, engines take a float of Python for one of float32."""
    import numpy as np  # not with the module, which listing the regularizers imports

    return np.asarray(number, dtype)
