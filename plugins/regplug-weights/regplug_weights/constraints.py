"""Constraints on the norms and signs of weights, applied after each update.

Norms are those of one unit's weights: along axis 0 of a matrix (inputs, units), along
all axes of a kernel but that of its units, unless `axis` says otherwise. The units of a
kernel are where the model shows them, else on axis 0. A norm within 100 units in the
last place of what it should be (1.2e-5 in float32, 2.2e-14 in float64, relative) counts
as right, and the weights stay as they are, to the bit.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Interval

from regplug import OptionError, Regularizer, hookimpl
from regplug.engine import norm, number, tensor
from regplug_weights.parameters import OfMatrices, check_axes, fan_in_axes, over


class MaxNorm(OfMatrices):
    """Scale the weights of a unit down to norm `limit` where they are longer.

    Parameters
    ----------
    limit : float, above 0
        Required: the largest norm.
    axis : int or tuple of int, optional
        Along which axes the norm is taken; by default those of one unit's weights: 0 of
        a matrix (inputs, units), all but the units' of a kernel.

    Notes
    -----
    After the update, ``w * min(norm, limit) / norm``; a norm of at most `limit` leaves
    w as it is, to the bit. Parameters of one dimension are left as they are.

    References
    ----------
    N. Srebro and A. Shraibman (2005). Rank, trace-norm and max-norm. COLT.
    N. Srivastava et al. (2014). Dropout: a simple way to prevent neural networks from
    overfitting. JMLR 15.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("max_norm", {"pattern": "hid*.w", "limit": 3.0})])
    """

    weight = None
    limit: Annotated[float, Gt(0)]
    axis: int | tuple[int, ...] | None = None

    @hookimpl
    def constrain(self, matched, unit_axis):
        return rescale(
            matched,
            self.axis,
            unit_axis,
            lambda T, norms: T.minimum(norms, number(self.limit, norms)),
        )


class UnitNorm(OfMatrices):
    """Scale the weights of each unit to norm 1.

    Parameters
    ----------
    axis : int or tuple of int, optional
        Along which axes the norm is taken; by default those of one unit's weights: 0 of
        a matrix (inputs, units), all but the units' of a kernel.

    Notes
    -----
    After the update, ``w / norm``; a norm of 1 leaves w as it is, to the bit, and
    weights of zeros stay zeros. Parameters of one dimension are left as they are.

    References
    ----------
    B. A. Olshausen and D. J. Field (1997). Sparse coding with an overcomplete basis
    set: a strategy employed by V1? Vision Research 37.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("unit_norm", {"pattern": "dictionary.w"})])
    """

    weight = None
    axis: int | tuple[int, ...] | None = None

    @hookimpl
    def constrain(self, matched, unit_axis):
        return rescale(
            matched, self.axis, unit_axis, lambda T, norms: T.ones_like(norms)
        )


class MinMaxNorm(OfMatrices):
    """Bring the norm of the weights of each unit between two bounds.

    Parameters
    ----------
    low, high : float
        The smallest and the largest norm, 0 <= low <= high and high > 0.
    rate : float, in [0, 1]
        How much of the way to go at each update; 0 is off.
    axis : int or tuple of int, optional
        Along which axes the norm is taken; by default those of one unit's weights: 0 of
        a matrix (inputs, units), all but the units' of a kernel.

    Notes
    -----
    After the update, ``w * (rate * clip(norm, low, high) + (1 - rate) * norm) / norm``;
    a norm between the bounds leaves w as it is, to the bit, and weights of zeros stay
    zeros. Parameters of one dimension are left as they are.

    References
    ----------
    F. Chollet et al. (2015). Keras, ``keras.constraints.MinMaxNorm``. https://keras.io.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("min_max_norm", {"pattern": "hid*.w", "low": 0.5, "high": 2.0, "rate": 0.9})])
    """

    weight = None
    low: Annotated[float, Ge(0)] = 0.0
    high: Annotated[float, Gt(0)] = 1.0
    rate: Annotated[float, Interval(ge=0, le=1)] = 1.0
    axis: int | tuple[int, ...] | None = None

    @hookimpl
    def constrain(self, matched, unit_axis):
        if self.low > self.high:
            raise OptionError(
                f"low {self.low!r} is above high {self.high!r}: give 0 <= low <= high"
            )
        return rescale(matched, self.axis, unit_axis, self.desired)

    def desired(self, T, norms):
        """Return the norms to be had."""
        clipped = T.clip(norms, number(self.low, norms), number(self.high, norms))
        # not norms + rate * (clipped - norms): that is 0 where the norm is huge
        return number(self.rate, norms) * clipped + number(1 - self.rate, norms) * norms


class NonNegative(Regularizer):
    """Set negative weights to zero.

    Notes
    -----
    After the update, ``switch(w < 0, 0, w)``, for all matched parameters, those of one
    dimension, too.

    References
    ----------
    D. D. Lee and H. S. Seung (1999). Learning the parts of objects by non-negative
    matrix factorization. Nature 401.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("non_negative", {"pattern": "dec*.w"})])
    """

    targets = "params"
    weight = None

    @hookimpl
    def constrain(self, matched):
        results = {}
        for name, w in matched.items():
            T = tensor(w)
            results[name] = T.switch(T.lt(w, 0), 0, w)
        return results


def rescale(matched, axis, unit_axis, desired):
    """Return each parameter with the norms that ``desired(T, norms)`` gives."""
    if isinstance(axis, int):
        axis = [axis]
    results = {}
    for name, w in matched.items():
        T = tensor(w)
        axes = fan_in_axes(w, unit_axis[name])
        if axis is not None:
            axes = check_axes(name, w, axis)
        norms = norm(w, axis=axes, keepdims=True)
        wanted = desired(T, norms)
        tolerance = number(100 * np.finfo(w.dtype).eps, w)
        is_right = T.le(abs(wanted - norms), tolerance * wanted)
        results[name] = T.switch(is_right, w, wanted * over(w, norms))
    return results
