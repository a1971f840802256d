"""Schedules: a weight as a function of the step, written into the graph.

In Python and in TOML a schedule is a mapping in the place of the number::

    weight = {schedule = "linear", start = 0, stop = 1e-3, steps = 1000}
    weight = {schedule = "cosine", start = 1e-3, stop = 0, steps = 1000}
    weight = {schedule = "exponential", start = 1e-2, stop = 1e-4, steps = 1000}
    weight = {schedule = "piecewise", steps = [100, 200], values = [0, 1e-3, 1e-4]}

With s = step / steps: linear is ``start + (stop - start) s``, cosine ``stop + (start -
stop) (1 + cos(pi s)) / 2``, exponential ``exp(log(start) + (log(stop) - log(start))
s)``, which is ``start (stop / start) ** s``. They are `start` exactly at step 0, `stop`
exactly from step `steps` on, and never outside the two. Piecewise is the entry of
`values` whose number is how many of `steps` have been reached.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from types import ModuleType
from typing import Any

from regplug.errors import did_you_mean
from regplug.text import short_repr

__all__ = ["KINDS", "Schedule", "finite"]

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
        Its kind or a key is unknown, or a value does not fit; the message begins with
        the value.
    """

    def __init__(self, spec: Mapping[str, Any], check: Callable[[float], float]):
        super().__init__(spec)
        known = ", ".join(KINDS)
        if "schedule" not in self:
            what = f"has no key 'schedule'. Schedules: {known}"
            raise ValueError(f"{short_repr(dict(self))} {what}")
        kind = self["schedule"]
        if not isinstance(kind, str) or kind not in KINDS:
            hint = did_you_mean(kind, KINDS)
            what = f"is no schedule.{hint} Schedules: {known}"
            raise ValueError(f"{short_repr(kind)} {what}")
        if set(self) != {"schedule", *KINDS[kind]}:
            what = f"a {kind} schedule has the keys {', '.join(KINDS[kind])}"
            raise ValueError(f"{short_repr(dict(self))}: {what}")
        if kind == "piecewise":
            self._check_pieces(check)
        else:
            self._check_ramp(kind, check)

    def _check_pieces(self, check):
        steps, values = self["steps"], self["values"]
        if not isinstance(steps, (list, tuple)):
            raise _wrong_steps(steps)
        self["steps"] = steps = [_step(each, steps) for each in steps]
        if steps != sorted(set(steps)):
            raise ValueError(f"{short_repr(steps)}: steps must increase")
        count = len(steps) + 1
        if not isinstance(values, (list, tuple)) or len(values) != count:
            what = f"{len(steps)} steps need {count} values"
            raise ValueError(f"{short_repr(values)}: {what}")
        self["values"] = [finite(check(value)) for value in values]

    def _check_ramp(self, kind, check):
        self["steps"] = _step(self["steps"], self["steps"])
        for key in ("start", "stop"):
            self[key] = finite(check(self[key]))
        ends = [self["start"], self["stop"]]
        if kind == "exponential" and min(ends) <= 0:
            raise ValueError(
                f"{ends!r}: an exponential schedule needs start and stop > 0"
            )

    def at(self, step: Any, xp: ModuleType) -> Any:
        """Return the weight at a step, in float64.

        Parameters
        ----------
        step : int or variable
        xp : module
            NumPy, or the tensor module of an engine.
        """
        # an int64 that counted beyond 2**63 is negative
        step = xp.where(step < 0, _exact(2.0**64), step)
        if self["schedule"] == "piecewise":
            value = _exact(self["values"][0])
            for reached, new in zip(self["steps"], self["values"][1:], strict=True):
                value = xp.where(step >= _exact(reached, "int64"), _exact(new), value)
            return value
        start, stop = self["start"], self["stop"]
        done = xp.minimum(step / _exact(self["steps"]), 1)
        value = _RAMPS[self["schedule"]](start, stop, done, xp)
        # the last digit is rounded
        low, high = _exact(min(start, stop)), _exact(max(start, stop))
        value = xp.minimum(xp.maximum(value, low), high)
        value = xp.where(step <= 0, _exact(start), value)
        return xp.where(step >= _exact(self["steps"], "int64"), _exact(stop), value)


def _linear(start, stop, done, xp):
    if math.isfinite(stop - start):
        return done * _exact(stop - start) + _exact(start)
    return 2 * (done * _exact(stop / 2 - start / 2) + _exact(start / 2))


def _cosine(start, stop, done, xp):
    return _linear(stop, start, (1 + xp.cos(done * _exact(math.pi))) / 2, xp)


def _exponential(start, stop, done, xp):
    # in logarithms: stop / start may be beyond all floats
    first, last = math.log(start), math.log(stop)
    exponent = done * _exact(last - first) + _exact(first)
    return xp.exp(xp.minimum(exponent, _exact(max(first, last))))


_RAMPS = {"linear": _linear, "cosine": _cosine, "exponential": _exponential}


def finite(value: Any) -> float:
    """Return a number as a float.

    Raises
    ------
    ValueError
        It is no number, or not finite within 64 bits.
    """
    number = math.nan
    # of a fraction beyond all floats
    with contextlib.suppress(OverflowError):
        if isinstance(value, Real) and not isinstance(value, bool):
            number = float(value)
    if isinstance(value, Integral) and not -(2**63) <= int(value) < 2**64:
        what = "is not a finite number within 64 bits, as integers are: write 1e20"
        raise ValueError(f"{short_repr(value)} {what}")
    if not math.isfinite(number):
        raise ValueError(f"{short_repr(value)} is not a finite number")
    return number


def _step(number, given):
    is_integer = isinstance(number, Integral) and not isinstance(number, bool)
    if not is_integer or not 0 < number < 2**63:
        raise _wrong_steps(given)
    return int(number)


def _wrong_steps(given):
    return ValueError(f"{short_repr(given)}: steps are integers > 0, < 2**63")


def _exact(number, dtype="float64"):
    """Return an array: with floatX float32, engines take Python's floats for that."""
    # not with the module, which listing the regularizers imports
    import numpy as np

    return np.asarray(number, dtype)
