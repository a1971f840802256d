"""What the regularizers of this package share: which parameters count, and how they are read.

A matrix is one for ``x @ w``, of shape (inputs, units). A convolution kernel has more
dimensions, and is flattened where a matrix is needed. Its units are on the axis that
the model shows, such as the last of pytensor-ml's (height, width, in, out), and on axis
0 where it shows none: Theano's kernels are (units, ...).
"""

from __future__ import annotations

import math

import numpy as np

from regplug import OptionError, Regularizer
from regplug.engine import engine_of, nonzero, norm, number, tensor


class OfMatrices(Regularizer):
    """A regularizer of parameters that leaves out those of one dimension (biases)."""

    targets = "params"

    def selects(self, name, variable):
        return variable.ndim > 1


class OfWeights(Regularizer):
    """A regularizer of parameters; those of one dimension (biases) are an option."""

    targets = "params"

    biases: bool = False

    def selects(self, name, variable):
        return self.biases or variable.ndim > 1


def check_axes(name, w, axes):
    """Return axes counted from 0.

    Raises
    ------
    OptionError
        One is not there.
    """
    for axis in axes:
        if not -w.ndim <= axis < w.ndim:
            valid = (
                f"{name!r} has {w.ndim} dimensions, so it is {-w.ndim} to {w.ndim - 1}"
            )
            raise OptionError(f"axis {axis} is not there: {valid}")
    return sorted({axis % w.ndim for axis in axes})


def fan_in_axes(w, unit_axis):
    """Return the axes along which the weights of one unit lie.

    These are axis 0 of a matrix, and all but the units' of a kernel.
    """
    units = 1 if w.ndim == 2 else unit_axis or 0
    return [axis for axis in range(w.ndim) if axis != units]


def as_matrix(w, unit_axis):
    """Return a parameter, or an array, as a matrix (inputs, units)."""
    if w.ndim == 2:
        return w
    if unit_axis:
        w = w.transpose(unit_axis, *fan_in_axes(w, unit_axis))
    return w.reshape((w.shape[0], math.prod(w.shape[1:]))).T


def groups(name, w, axis, unit_axis):
    """Return the norms of groups, kept broadcastable, and the root of a group's size.

    A group is everything at one index of an axis: by default the rows of a matrix, and
    what one unit of a kernel has.
    """
    if axis is None:
        axis = 0 if w.ndim == 2 else unit_axis.get(name) or 0
    (axis,) = check_axes(name, w, [axis])
    others = [each for each in range(w.ndim) if each != axis]
    size = tensor(w).cast(math.prod(w.shape[each] for each in others), w.dtype)
    return norm(w, axis=others, keepdims=True), tensor(w).sqrt(size)


def widened(w):
    """Return `w` in float32 where it is float16, whose squares overflow and vanish."""
    return tensor(w).cast(w, np.result_type(w.dtype, "float32").name)


def over(x, size):
    """Return ``x / size``, and `x` where the size is 0; the size is constant to gradients.

    What does not depend on the length of `x` is best computed from ``over(x, size)``:
    the gradient of a division squares what it divides by, and with lengths of about 1
    that neither overflows nor vanishes.
    """
    T = tensor(x)
    size = engine_of(x).disconnected_grad(size)
    # numba multiplies by reciprocals, and those of smaller numbers are infinite
    tiny = number(np.finfo(x.dtype).tiny, x)
    return T.switch(T.eq(size, 0), x, x / T.switch(T.lt(size, tiny), tiny, size))


def unit(x, axis):
    """Return `x` divided by its norms along an axis; zeros stay zeros."""
    x = over(x, norm(x, axis=axis, keepdims=True))
    return x / nonzero(norm(x, axis=axis, keepdims=True))
