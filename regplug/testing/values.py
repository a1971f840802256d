"""Values to try, from what options declare: their types and ranges."""

from __future__ import annotations

import contextlib
import types
import typing
from typing import Any, Literal, get_args, get_origin

from regplug.authoring.options import REQUIRED, Option

_SIMPLE: dict[Any, list] = {bool: [True, False], str: ["*"], type(None): [None]}


def example(option: Option) -> Any:
    """Return a value inside the range, for an option that must be given."""
    return next((value for value in values(option) if value is not None), None)


def values(option: Option) -> list[Any]:
    """Return values that the option takes: one inside its range first, then its limits.

    Examples
    --------
    >>> from typing import Annotated
    >>> from annotated_types import Interval
    >>> values(Option("rate", Annotated[float, Interval(ge=0, lt=1)]))
    [0.3, 0.0, 0.999]
    """
    candidates = _candidates(option)
    if option.default is not REQUIRED:
        candidates.append(option.default)
    # by their text, because True, 1 and 1.0 are equal
    found: dict[str, Any] = {}
    for candidate in candidates:
        with contextlib.suppress(ValueError):
            value = option.check(candidate)
            found.setdefault(repr(value), value)
    return list(found.values())


def _candidates(option):
    """Return values of the option's type; some may lie outside its range."""
    kind = option.type
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return list(parts)
    if origin in (typing.Union, types.UnionType):
        return sum((_candidates(Option("", part)) for part in parts), [])
    if origin in (list, tuple):
        entries = []
        for part in parts:
            entries += _candidates(Option("", part))[:1]
        return [origin(entries)]
    if kind is int:
        return _integers(option.bounds)
    if kind is float:
        return _floats(option.bounds)
    return list(_SIMPLE.get(kind, []))


def _integers(bounds):
    if not bounds:
        return [1, 0]
    limits = [int(limit) for limit in _limits(bounds, 1)]
    if len(limits) == 1:
        limits.insert(0, limits[0] + 1)
    return limits


def _floats(bounds):
    if not bounds:
        return [0.3, 0.0, -0.3]
    low = min(bounds.values())
    span = max(bounds.values()) - low or 2.0
    # not a quarter, which is exact in every float: 0.3 finds arithmetic that turns
    # float32 into float64
    inside = 0.3 * span
    # the second lies inside where there is an upper limit alone
    return [low + inside, low - inside, *_limits(bounds, span / 1000)]


def _limits(bounds, step):
    """Return the limits, moved by a step into the range where they are not of it."""
    steps = {"gt": step, "lt": -step}
    return [limit + steps.get(key, 0) for key, limit in bounds.items()]
