"""The gradient of the loss with respect to the input."""

from __future__ import annotations

from regplug import Regularizer, hookimpl
from regplug.engine import engine_of, number
from regplug_jacobian.route import number_of_rows, routes, squares


class GradientPenalty(Regularizer):
    """Penalize the gradient of the loss with respect to the input (double backpropagation).

    Parameters
    ----------
    pattern : str or list of str
        Required: the output that is the loss of the data. A scalar is taken as the mean
        over the batch of the losses of the rows; otherwise axis 0 is the batch, and the
        loss of a row is the sum of its entries.
    wrt : str or list of str
        Which outputs are the input x, such as ``wrt="x"`` where the model has several:
        by default all of them. Each must be float, and some loss must depend on it.

    Notes
    -----
    ``(1 / K) sum_k (1 / N) sum_i norm2(dl_ki / dx_i) ** 2``, where ``l_ki`` is loss k
    of row i, and N the number of rows of x. For a scalar L that is ``N sum_i norm2(dL /
    dx_i) ** 2``, for ``dl_i / dx_i = N dL / dx_i``. Several inputs are taken as one
    long one. The rows must not depend on each other. An empty batch adds 0. Derivatives
    have the dtype of x, squares and sums at least float32.

    References
    ----------
    H. Drucker and Y. LeCun (1992). Improving generalization performance using double
    backpropagation. IEEE Transactions on Neural Networks 3(6), 991-997.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["gradient_penalty=0.1@cost:out"])
    """

    pattern = ...
    wrt: str | list[str] = "@input"

    @hookimpl
    def loss(self, outputs, matched):
        total = 0
        for name, inputs in routes(outputs, self.wrt, matched).items():
            cost, rows = matched[name], number_of_rows(inputs[0])
            engine = engine_of(cost)
            if cost.ndim:
                total += squares(engine.grad(cost.sum(), inputs)) / rows
            else:
                # the derivatives of a mean over many rows vanish in float16
                scale = engine.T.minimum(rows, number(1024, rows))
                total += squares(engine.grad(scale * cost, inputs)) * rows / scale**2
        return total / len(matched)
