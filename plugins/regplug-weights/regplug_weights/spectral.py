"""Penalties on the singular values of weights.

Parameters of one dimension do not count. A kernel is a matrix (inputs, units) after
flattening all axes but that of its units: where the model shows them, else axis 0.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Interval

from regplug import hookimpl
from regplug.engine import engine_of, mean, number, tensor
from regplug.noise import reference
from regplug_weights.parameters import OfMatrices, as_matrix, unit

ROUNDS = 15  # of power iteration on the values at the start, as torch has them


class Orthogonality(OfMatrices):
    """Push the columns, or the rows, of weights towards being orthogonal.

    Parameters
    ----------
    kind : {"gram", "cosine"}
        ``gram``: orthogonal and of norm 1. ``cosine``: orthogonal only.
    mode : {"columns", "rows"}
        What is compared: columns are units and rows are inputs.

    Notes
    -----
    M is w, or its transpose for rows. ``gram``: ``sum_k sum((M'M - I) ** 2)``, the
    squared Frobenius norm. ``cosine``: ``sum_k mean over pairs i < j of abs(cos(M_i,
    M_j))``, where a column of zeros has the cosine 0, and one column, which is in no
    pair, the mean 0. More columns than rows cannot all be orthogonal. A parameter with
    a side of 0 adds 0, parameters of one dimension do not count; a kernel is
    flattened to (inputs, units).

    References
    ----------
    N. Bansal, X. Chen and Z. Wang (2018). Can we gain more from orthogonality
    regularizations in training deep networks? NeurIPS.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("orthogonality", {"weight": 1e-3, "kind": "cosine", "mode": "rows"})])
    """

    kind: Literal["gram", "cosine"] = "gram"
    mode: Literal["columns", "rows"] = "columns"

    @hookimpl
    def loss(self, matched, unit_axis):
        total = 0
        for name, w in matched.items():
            total += self.one(as_matrix(w, unit_axis[name]))
        return total

    def one(self, matrix):
        """Return the term of one matrix."""
        T = tensor(matrix)
        if self.mode == "rows":
            matrix = matrix.T
        if self.kind == "cosine":
            matrix = unit(matrix, axis=0)
        gram = matrix.T.dot(matrix)
        count = matrix.shape[1]
        identity = T.eye(count, dtype=matrix.dtype)
        if self.kind == "gram":
            is_empty = T.eq(matrix.size, 0)
            return T.switch(is_empty, 0, ((gram - identity) ** 2).sum())
        # each pair is there twice
        pairs = T.cast(T.maximum(count * (count - 1), 1), matrix.dtype)
        return (abs(gram) * (1 - identity)).sum() / pairs


class SpectralPenalty(OfMatrices):
    """Penalize the largest singular value of the weights, found by power iteration.

    Parameters
    ----------
    iterations : int, 1 to 20
        Rounds of power iteration at each step; each is written out in the graph.

    Notes
    -----
    ``sum_k sigma_k ** 2 / 2`` with ``sigma = norm2(w u)``, `iterations` times ``u <-
    unit(w' unit(w u))`` before, and no gradient through u: the gradient is ``w u u'``.
    u is kept between steps (``result.updates``) and in ``manager.state()``; it begins,
    at the first ``apply`` and again at ``manager.restart()``, with 15 rounds from a
    fixed start on the weights as they are then. sigma is never more than the largest
    singular value and comes near it from step to step. A parameter of zeros, or with a
    side of 0, adds 0 and leaves u as it is. Parameters of one dimension do not count; a
    kernel is flattened to (inputs, units).

    References
    ----------
    Y. Yoshida and T. Miyato (2017). Spectral norm regularization for improving the
    generalizability of deep learning. arXiv:1705.10941.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["spectral_penalty=0.01@*.w"])
    """

    iterations: Annotated[int, Interval(ge=1, le=20)] = 1

    @hookimpl
    def loss(self, matched, state, unit_axis):
        total = 0
        for name, w in matched.items():
            matrix = as_matrix(w, unit_axis[name])
            u = power_iteration(name, matrix, state, self.iterations, unit_axis[name])
            total += (matrix.dot(u) ** 2).sum() / 2
        return total


class NuclearNorm(OfMatrices):
    """Penalize the sum of the singular values of the weights, which makes their rank low.

    Parameters
    ----------
    epsilon : float, above 0
        A singular value of at most `epsilon` times the largest counts as 0 and has the
        gradient 0. The default is the rounding of float32: what is smaller is noise in
        a parameter of that dtype.

    Notes
    -----
    ``sum_k sum(G_k * w_k)`` with ``G = U_r V_r'`` from the singular value decomposition
    ``w = U diag(s) V'``, where r are those of ``s > epsilon * max(s)``. This is the sum
    of these singular values, and with G held constant its gradient is G, the
    subgradient of least norm. Computed in float64 and rounded once. A parameter of
    zeros, or with a side of 0, adds 0 and has the gradient 0. No second derivatives.
    Parameters of one dimension do not count; a kernel is flattened to (inputs,
    units).

    References
    ----------
    B. Recht, M. Fazel and P. A. Parrilo (2010). Guaranteed minimum-rank solutions of
    linear matrix equations via nuclear norm minimization. SIAM Review 52.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["nuclear_norm=1e-3@*.w"])
    """

    epsilon: Annotated[float, Gt(0)] = 1.2e-7

    @hookimpl
    def loss(self, matched, unit_axis):
        total = 0
        for name, w in matched.items():
            total += self.one(as_matrix(w, unit_axis[name]))
        return total

    def one(self, matrix):
        """Return the term of one matrix."""
        engine, T, dtype = engine_of(matrix), tensor(matrix), matrix.dtype
        matrix = T.cast(matrix, "float64")
        # LAPACK fails on NaN and inf; the product below is NaN then
        is_finite = T.all(T.le(abs(matrix), np.finfo("float64").max))
        u, s, vt = engine.svd(T.switch(is_finite, matrix, 0), full_matrices=False)
        largest = s[:1].sum()  # of a matrix with a side of 0 there is none
        is_counted = T.gt(s, number(self.epsilon, s) * largest)
        subgradient = engine.disconnected_grad((u * is_counted).dot(vt))
        return T.cast((subgradient * matrix).sum(), dtype)


def power_iteration(name, matrix, state, iterations, unit_axis):
    """Return u after some rounds from where the last step left it; no gradient flows through it.

    Parameters
    ----------
    name : str
        The parameter.
    matrix : float variable, shape (inputs, units)
    state : regplug.composition.kept_arrays.State
    iterations : int
    unit_axis : int or None
        Of the parameter.

    Returns
    -------
    float variable, shape (units,), of the dtype of `matrix`
        Of norm 1, near the first right singular vector.
    """
    engine, dtype = engine_of(matrix), matrix.dtype
    u = state.array(name, lambda value: start(name, value, dtype, unit_axis))
    for _ in range(iterations):
        v = direction(matrix.dot(u), 0)
        u = direction(matrix.T.dot(v), u)
    u = engine.disconnected_grad(u)
    state.update(name, u)
    return u


def direction(vector, otherwise):
    """Return a vector divided by its norm; `otherwise` where that is 0, less than normal numbers, or NaN.

    Not by `norm`, which gradients go through: 20 rounds of it are a graph too deep for
    Theano.
    """
    T = tensor(vector)
    # squares overflow and vanish long before means do
    size = T.cast(mean(T.cast(abs(vector), "float64")), vector.dtype)
    # numba multiplies by reciprocals, and those of smaller numbers are infinite
    is_long = T.ge(size, number(np.finfo(vector.dtype).tiny, vector))
    scaled = vector / T.switch(is_long, size, number(1, vector))
    length = T.sqrt((scaled**2).sum())
    return T.switch(is_long, scaled / length, otherwise)


def start(name, value, dtype, unit_axis):
    """Return the u that a parameter begins with: `ROUNDS` rounds from normal numbers that its name fixes."""
    matrix = as_matrix(np.asarray(value, "float64"), unit_axis)
    matrix = matrix / (abs(matrix).max(initial=0) or 1)  # squares of 1e200 overflow
    u = reference.normal(0, "power_iteration", name, (matrix.shape[1],), 0, "float64")
    for _ in range(ROUNDS):
        u = u / np.linalg.norm(u)
        again = matrix.T @ (matrix @ u)
        u = again if np.linalg.norm(again) > 0 else u
    return (u / np.linalg.norm(u)).astype(dtype)
