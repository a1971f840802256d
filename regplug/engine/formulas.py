"""What formulas need: means of nothing, roots at zero, norms that do not overflow.

Each takes variables of either engine, and keeps their dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from regplug.engine.facade import engine_of, tensor

__all__ = ["differences", "mean", "nonzero", "norm", "number", "root", "shape_text"]


def number(value: float, like: Any) -> np.ndarray:
    """Return a number in the dtype of `like`.

    Engines take a float of Python for a float64.

    Raises
    ------
    ValueError
        The dtype cannot hold it: it would be infinite.
    """
    with np.errstate(over="ignore"):
        held = np.asarray(value, like.dtype)
    if np.isinf(held) and not np.isinf(value):
        largest = np.finfo(like.dtype).max
        raise ValueError(
            f"{value!r} is beyond {like.dtype}, which holds up to {largest:.3g}"
        )
    return held


def nonzero(x: Any) -> Any:
    """Return `x` with 1 in the place of 0, to divide by."""
    T = tensor(x)
    return T.switch(T.eq(x, 0), number(1, x), x)


def root(square: Any) -> Any:
    """Return the square root, with the gradient 0 at 0."""
    T = tensor(square)
    return T.switch(T.eq(square, 0), number(0, square), T.sqrt(nonzero(square)))


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the mean of a float variable; 0 where there is nothing to average over.

    Parameters
    ----------
    x : float variable
    axis : int or sequence of int, optional
        By default all axes.
    keepdims : bool
        Whether the axes stay, with length 1.
    """
    T = tensor(x)
    entries = T.cast(T.maximum(_count(x, axis), 1), x.dtype)
    return x.sum(axis=_axes(axis), keepdims=keepdims) / entries


def norm(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the Euclidean norm; its gradient is ``x / norm``, and 0 at 0.

    Parameters
    ----------
    x : float variable
    axis : int or sequence of int, optional
        By default all axes.
    keepdims : bool
        Whether the axes stay, with length 1.

    Notes
    -----
    ``s sqrt(sum((x / s) ** 2))`` with s the mean of ``abs(x)`` rounded down to a power
    of two: squares alone overflow and underflow long before norms do, and a power of
    two rounds nothing. s is constant to gradients: the norm does not depend on it.
    """
    T, engine = tensor(x), engine_of(x)
    axes = _axes(axis)
    # in float64, because the sum of many large numbers overflows, too; cast before it
    # is summed, because numba sums in float32 in PyTensor 3.3.8 whatever dtype is asked
    # for
    total = abs(T.cast(x, "float64")).sum(axis=axes, keepdims=True)
    size = T.cast(total / T.maximum(_count(x, axis), 1), x.dtype)
    # numba multiplies by reciprocals, and those of smaller numbers are infinite
    size = T.maximum(size, number(np.finfo(x.dtype).tiny, x))
    scale = engine.disconnected_grad(T.exp2(T.floor(T.log2(size))))
    # the switch stands between two divisions by the scale, which engines would merge
    # into one by its square
    ratio = T.switch(T.gt(scale, 0), x / scale, x)
    scaled = root((ratio**2).sum(axis=axes, keepdims=True)) * scale
    if keepdims:
        return scaled
    return scaled.sum(axis=axes)


def differences(x: Any, axis: int) -> Any:
    """Return the differences of neighbours along an axis, one fewer than entries."""
    before = (slice(None),) * (axis % x.ndim)
    return x[(*before, slice(1, None))] - x[(*before, slice(None, -1))]


def shape_text(x: Any) -> str:
    """Return the shape of `x` as far as it is known, such as ``(?, 3)``."""
    return str(engine_of(x).static_shape(x)).replace("None", "?")


def _axes(axis):
    """Return axes as both engines take them: None, or a list of Python's integers."""
    if axis is None:
        return None
    return [int(each) for each in np.atleast_1d(axis)]


def _count(x, axis):
    """Return how many entries `x` has along some axes."""
    if axis is None:
        return x.size
    return math.prod(x.shape[each] for each in _axes(axis))
