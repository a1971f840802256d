"""The Frobenius norm of the Jacobian, exactly and by random projections."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from regplug import Regularizer, hookimpl
from regplug.engine import engine_of
from regplug_jacobian.route import (
    flat_rows,
    is_elementwise,
    number_of_rows,
    products,
    refuse_few_axes,
    route,
    routes,
    squares,
    unit,
    wide,
)


class Contractive(Regularizer):
    """Penalize the Jacobian of activations with respect to the input, exactly.

    Parameters
    ----------
    wrt : str or list of str
        Which outputs are the input x, such as ``wrt="x"`` where the model has several:
        by default all of them. Each must be float, and some output must depend on it.

    Notes
    -----
    ``(1 / K) sum_k (1 / N) sum_i norm_F(dh_ki / dx_i) ** 2``: the mean over the K
    outputs and the N rows of the batch. ``h_ki`` is row i of output k, all its axes but
    the first flattened into units; several inputs are taken as one long one. Masks of
    noise are those of the forward pass. An empty batch adds 0. Derivatives have the
    dtype of x, squares and sums at least float32.

    It is assumed that the rows of a batch do not depend on each other: what is computed
    is the Jacobian of the sum of the rows, so that batch normalization, say, gives
    another number.

    The cost depends on the graph between x and h. With activations of one dense layer,
    h = f(x W + b) or a product of such, f elementwise, it is ``sum_ij f'_ij ** 2 (sum_d
    W_dj ** 2)`` and costs about one pass. Other graphs take one backward pass a unit,
    all of them at once on PyTensor (memory for units times batch times input), one
    after the other on Theano. Where that is too much, `jacobian` estimates the same
    number.

    References
    ----------
    S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio (2011). Contractive
    auto-encoders: explicit invariance during feature extraction. ICML.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["contractive=0.1@hid1:out"])
    """

    pattern = "@hidden"
    wrt: str | list[str] = "@input"

    @hookimpl
    def loss(self, outputs, matched):
        refuse_few_axes(matched, 1, "(batch, ..., units)")
        total = 0
        for name, inputs in routes(outputs, self.wrt, matched).items():
            h = matched[name]
            total += sum(squared_jacobian(h, x) for x in inputs) / number_of_rows(h)
        return total / len(matched)


class Jacobian(Regularizer):
    """Penalize the Jacobian of activations with respect to the input, estimated by random projections.

    Parameters
    ----------
    wrt : str or list of str
        Which outputs are the input x, such as ``wrt="x"`` where the model has several:
        by default all of them. Each must be float, and some output must depend on it.
    projections : int, at least 1
        The number of projections; each costs one backward pass, whatever the number of
        units.

    Notes
    -----
    ``(1 / K) sum_k (1 / N) sum_i (C_k / n) sum_p norm2(v_kip' dh_ki / dx_i) ** 2``,
    over the K outputs, the N rows of the batch and the n projections. ``v_kip = u /
    norm2(u)``, u standard normal, is drawn anew at every step for each row, and ``C_k``
    is the number of units of ``h_k``: the entries of one row. Several inputs are taken
    as one long one. An empty batch adds 0. Derivatives have the dtype of x, squares and
    sums at least float32.

    Its mean is that of `contractive`, under the same assumption that rows do not depend
    on each other. For a row with Jacobian J of C rows the variance is ``2 (C norm_F(J
    J') ** 2 - norm_F(J) ** 4) / (n (C + 2))``, so the standard error of one row is
    below ``sqrt(2 / n)`` of the value; rows are independent.

    References
    ----------
    J. Hoffman, D. A. Roberts and S. Yaida (2019). Robust learning with Jacobian
    regularization. arXiv:1908.02729.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("jacobian", {"pattern": "out:out", "weight": 0.01, "projections": 3})])
    """

    pattern = "@output"
    wrt: str | list[str] = "@input"
    projections: Annotated[int, Ge(1)] = 1

    @hookimpl
    def loss(self, outputs, matched, noise):
        refuse_few_axes(matched, 1, "(batch, ..., units)")
        total = 0
        for name, inputs in routes(outputs, self.wrt, matched).items():
            h = matched[name]
            rows = number_of_rows(h)
            units = h.size.astype(rows.dtype) / rows
            for _ in range(self.projections):
                [v] = unit([noise.at(name).normal(h)])
                gradients = engine_of(h).grad((h * v).sum(), inputs)
                total += units * squares(gradients) / rows
        return total / (len(matched) * self.projections)


def squared_jacobian(h, x):
    """Return the sum over the rows of norm_F(dh / dx) ** 2."""
    engine = engine_of(h)
    nodes = route([x], h)
    pairs = products(nodes, x)
    after = [node for node in nodes if x not in node.inputs]
    if not pairs:
        return squares(row_jacobians(h, [x]))
    latents = [z for z, _ in pairs]
    if is_elementwise(after, latents):
        slopes = engine.grad(
            h.sum(), latents
        )  # (batch, units): entry ij of h depends on entry ij of z only
        terms = [(wide(a), wide(w)) for a, (_, w) in zip(slopes, pairs, strict=True)]
        return sum(
            (a * b * (v * w).sum(axis=0)).sum() for a, v in terms for b, w in terms
        )
    jacobians = zip(row_jacobians(h, latents), pairs, strict=True)
    # one product of matrices, whose gradient is one again
    return squares([sum(through(j, w) for j, (_, w) in jacobians)])


def through(jacobian, w):
    """Return ``jacobian W'`` with all axes but the last flattened into one."""
    rows = jacobian.reshape((-1, jacobian.shape[-1]))
    return engine_of(w).T.dot(wide(rows), wide(w).T)


def row_jacobians(h, inputs):
    """Return the derivatives of each unit of `h`, shape (units, batch, ...), assuming that rows are independent."""
    return engine_of(h).jacobian(flat_rows(h).sum(axis=0), inputs)
