"""Values to try, from what options declare: their types and ranges."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, get_args, get_origin

from regplug.authoring.options import REQUIRED, Option, options_of
from regplug.authoring.regularizer import Regularizer

BASE = tuple(options_of(Regularizer))


def example(option: Option) -> Any:
    """Return a value inside the range, for an option that must be given."""
    return next((value for value in values(option) if value is not None), None)


def values(option: Option) -> list[Any]:
    """Return values that the option takes: one well inside its range first, then its limits.

    Examples
    --------
    >>> from typing import Annotated
    >>> from annotated_types import Interval
    >>> values(Option("rate", Annotated[float, Interval(ge=0, lt=1)]))
    [0.3, 0.0, 0.999]
    """
    default = [] if option.default is REQUIRED else [option.default]
    found: list[Any] = []
    for value in [*_candidates(option.type, option.bounds), *default]:
        try:
            value = option.check(value)
        except ValueError:
            continue
        if not any(type(value) is type(other) and value == other for other in found):
            found.append(value)
    return found


def _candidates(kind: Any, bounds: dict[str, float]) -> list[Any]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return list(parts)
    if origin in (typing.Union, types.UnionType):
        return [
            value
            for part in parts
            for value in _candidates(Option("", part).type, Option("", part).bounds)
        ]
    if kind is bool:
        return [True, False]
    if kind is type(None):
        return [None]
    if kind in (int, float):
        return _numbers(kind, bounds)
    if kind is str:
        return ["*"]
    if origin is tuple and parts[-1] is not ...:
        firsts = [
            _candidates(Option("", part).type, Option("", part).bounds)[:1]
            for part in parts
        ]
        return [tuple(each[0] for each in firsts)] if all(firsts) else []
    if origin in (list, tuple):
        return [
            origin(
                _candidates(Option("", parts[0]).type, Option("", parts[0]).bounds)[:1]
            )
        ]
    return []


def _numbers(kind: type, bounds: dict[str, float]) -> list[Any]:
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if kind is int:
        low = None if low is None else int(low) + ("gt" in bounds)
        high = None if high is None else int(high) - ("lt" in bounds)
        if low is None:
            return [1, 0] if high is None else [high]
        return [low + 1, low] if high is None else [low, high]
    if low is None:
        return [0.3, 0.0, -0.3] if high is None else [high - 0.3, high]
    span = 2.0 if high is None else high - low
    ends = [low + span / 1000 if "gt" in bounds else low]
    if high is not None:
        ends.append(high - span / 1000 if "lt" in bounds else high)
    # not a quarter, which is exact in every float: 0.3 finds arithmetic that turns float32 into float64
    return [float(value) for value in (low + 0.3 * span, *ends)]
