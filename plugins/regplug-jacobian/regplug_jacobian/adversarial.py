"""Predictions that a small change of the input must not change."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from regplug import Regularizer, hookimpl
from regplug.engine import engine_of, mean, number
from regplug_jacobian.route import on_other_inputs, refuse_few_axes, routes, unit, wide


class VirtualAdversarial(Regularizer):
    """Penalize how much predictions change under the worst small change of the input.

    Parameters
    ----------
    wrt : str or list of str
        Which outputs are the input x, such as ``wrt="x"`` where the model has several:
        by default all of them. Each must be float, and some prediction must depend on it.
    radius : float, above 0, in the unit of x
        The Euclidean norm of the change of a row.
    iterations : int, at least 1
        The steps of power iteration; each costs about three backward passes.

    Notes
    -----
    ``(1 / K) sum_k mean(KL(p_k(x), p_k(x + r_k)))``, where the matched outputs ``p_k``
    are probabilities that sum to 1 over the last axis; the mean is over all other axes,
    and ``KL(p, q) = sum_j p_j (log(p_j) - log(q_j))`` with log of at least the smallest
    normal number. ``r = radius * d``; d starts as a normalized standard normal vector
    of each row, and each iteration makes it ``H d / norm2(H d)``. H is the Hessian of
    the divergence at r = 0, for which ``H d = J' (J d / p)`` with the Jacobian J of p:
    the limit of the finite differences of the paper. Classes whose probability is below
    the smallest normal number are left out of it; where H d is 0, d is 0. Several
    inputs are taken as one long one. r and p(x) are constants for the gradient, and the
    rows must not depend on each other. Masks of noise are the same at x and at x + r.
    An empty batch adds 0. d and the divergence are computed in float32 at least.

    References
    ----------
    T. Miyato, S. Maeda, M. Koyama and S. Ishii (2018). Virtual adversarial training: a
    regularization method for supervised and semi-supervised learning. IEEE TPAMI 41(8),
    1979-1993.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("virtual_adversarial", {"pattern": "out:out", "weight": 1, "radius": 2.0})])
    """

    pattern = "@output"
    wrt: str | list[str] = "@input"
    radius: Annotated[float, Gt(0)] = 1.0
    iterations: Annotated[int, Ge(1)] = 1

    @hookimpl
    def loss(self, outputs, matched, noise):
        refuse_few_axes(matched, 2, "(batch, ..., classes)")
        total = 0
        for name, inputs in routes(outputs, self.wrt, matched).items():
            p, at = matched[name], noise.at(name)
            d = unit([at.normal(wide(x)) for x in inputs])
            for _ in range(self.iterations):
                d = unit([wide(each) for each in hessian_product(p, inputs, d)])
            changed = {
                x: moved(x, number(self.radius, each) * each)
                for x, each in zip(inputs, d, strict=True)
            }
            constant = engine_of(p).disconnected_grad(p)
            total += mean(divergence(constant, on_other_inputs(p, changed)))
        return total / len(matched)


def moved(x, r):
    """Return `x` + `r` in the dtype of `x`, where `r` is a constant for the gradient."""
    return (x + engine_of(x).disconnected_grad(r)).astype(x.dtype)


def log(p):
    """Return the logarithm, of at least the smallest normal number."""
    T = engine_of(p).T
    return T.log(T.maximum(p, np.finfo(p.dtype).tiny))


def divergence(p, q):
    """Return KL(p, q) over the last axis."""
    return (p * (log(p) - log(q))).sum(axis=-1)


def hessian_product(p, inputs, d):
    """Return H d, where H is the Hessian of KL(p(x), p(x + r)) with respect to r at r = 0."""
    engine, tiny = engine_of(p), np.finfo(p.dtype).tiny
    # the gradient of (p * v).sum() is J' v, whose derivative with respect to v along d
    # is J d
    v = engine.T.zeros_like(p)
    transposed = engine.grad((p * v).sum(), inputs)
    tangent = engine.grad(
        sum((j * each).sum() for j, each in zip(transposed, d, strict=True)), v
    )
    tangent = engine.T.switch(p < tiny, number(0, p), tangent)
    relative = tangent / engine.T.maximum(p, tiny)
    return engine.grad((p * engine.disconnected_grad(relative)).sum(), inputs)
