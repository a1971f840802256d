"""What the regularizers of this package share: which parameters count, and how they are read.

A matrix is one for ``x @ w``, of shape (inputs, units). A convolution kernel has more dimensions,
(units, ...), as both engines' convolutions take it, and is flattened where a matrix is needed.
"""

from __future__ import annotations

import numpy as np

from regplug import BadOption, NoMatch
from regplug.engine import tensor


def used(matched, biases=None):
    """Return the parameters of two dimensions or more, by name; with ``biases=True`` all.

    Parameters
    ----------
    biases : bool, optional
        None where the regularizer has no such option.

    Raises
    ------
    NoMatch
        None is left.
    """
    found = {name: w for name, w in matched.items() if biases or w.ndim > 1}
    if not found:
        remedy = "match one of two dimensions or more" if biases is None else "biases=True includes them"
        which = "parameter has" if len(matched) == 1 else "parameters have"
        raise NoMatch(f"the {len(matched)} matched {which} less than two dimensions ({', '.join(matched)}): {remedy}")
    return found


def check_axes(name, w, axes):
    """Return axes counted from 0.

    Raises
    ------
    BadOption
        One is not there.
    """
    for axis in axes:
        if not -w.ndim <= axis < w.ndim:
            valid = f"{name!r} has {w.ndim} dimensions, so it is {-w.ndim} to {w.ndim - 1}"
            raise BadOption(f"axis {axis} is not there: {valid}")
    return sorted({axis % w.ndim for axis in axes})


def fan_in_axes(w):
    """Return the axes along which the weights of one unit lie: 0 of a matrix, all but 0 of a kernel."""
    return [0] if w.ndim == 2 else list(range(1, w.ndim))


def as_matrix(w):
    """Return a parameter as a matrix (inputs, units): a kernel (units, ...) is flattened and transposed."""
    return w if w.ndim == 2 else w.flatten(2).T


def root(square):
    """Return the square root, with the gradient 0 at 0."""
    T = tensor(square)
    return T.switch(T.eq(square, 0), 0, T.sqrt(nonzero(square)))


def nonzero(x):
    """Return x with 1 in the place of 0, to divide by."""
    T = tensor(x)
    return T.switch(T.eq(x, 0), 1, x)


def number(value, w):
    """Return a number in the dtype of `w`: engines take a float of Python for a float64."""
    return np.asarray(value, w.dtype)


def groups(name, w, axis):
    """Return the norms of the groups that lie along `axis`, kept broadcastable, and the root of a group's size."""
    (axis,) = check_axes(name, w, [axis])
    others = [each for each in range(w.ndim) if each != axis]
    norms = root((w**2).sum(axis=others, keepdims=True))
    return norms, tensor(w).sqrt(tensor(w).cast(w.size // w.shape[axis], w.dtype))
