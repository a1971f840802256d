"""Penalties on the sizes of weights."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval

from regplug import Regularizer, hookimpl
from regplug.engine import mean, number
from regplug_weights.parameters import OfMatrices, OfWeights, groups


class WeightL2(OfWeights):
    """Penalize the squares of the weights.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        ``mean``: the mean over the K parameters of their mean squares. ``sum``: the sum
        of all squares.
    half : bool
        Whether to halve the term, as optimizers' ``weight_decay`` implies.
    biases : bool
        Whether parameters of one dimension count, too.

    Notes
    -----
    ``(1 / K) sum_k mean(w_k ** 2)``, or ``sum_k sum(w_k ** 2)``; times 1/2 with `half`.

    References
    ----------
    A. Krogh and J. A. Hertz (1992). A simple weight decay can improve generalization.
    NIPS 4.
    L. Wu and J. Moody (1996). A smoothing regularizer for feedforward and recurrent
    neural networks. Neural Computation 8.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("weight_l2", {"pattern": "*.w", "weight": 1e-4})])
    """

    reduction: Literal["mean", "sum"] = "mean"
    half: bool = False

    @hookimpl
    def loss(self, matched):
        params = matched.values()
        if self.reduction == "mean":
            total = sum(mean(w**2) for w in params) / len(params)
        else:
            total = sum((w**2).sum() for w in params)
        return total / 2 if self.half else total


class WeightL1(OfWeights):
    """Penalize the absolute values of the weights, which makes them small and many of them nearly zero.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        ``mean``: the mean over the K parameters of their mean absolute values. ``sum``:
        the sum of all.
    biases : bool
        Whether parameters of one dimension count, too.

    Notes
    -----
    ``(1 / K) sum_k mean(abs(w_k))``, or ``sum_k sum(abs(w_k))``. Gradient steps come
    near 0 and never stay there: for exact zeros use ``soft_threshold``.

    References
    ----------
    R. Tibshirani (1996). Regression shrinkage and selection via the lasso. J. R. Stat.
    Soc. B 58.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["weight_l1=1e-4@*.w"])
    """

    reduction: Literal["mean", "sum"] = "mean"

    @hookimpl
    def loss(self, matched):
        params = matched.values()
        if self.reduction == "mean":
            return sum(mean(abs(w)) for w in params) / len(params)
        return sum(abs(w).sum() for w in params)


class ElasticNet(OfWeights):
    """Penalize absolute values and squares of the weights at once.

    Parameters
    ----------
    l1_ratio : float, in [0, 1]
        The share r of the absolute values: 1 is the lasso, 0 is ridge regression.
    biases : bool
        Whether parameters of one dimension count, too.

    Notes
    -----
    ``sum_k r sum(abs(w_k)) + (1 - r) / 2 sum(w_k ** 2)``: scikit-learn's ElasticNet
    with alpha = `weight`, where the data loss is half the mean squared error.

    References
    ----------
    H. Zou and T. Hastie (2005). Regularization and variable selection via the elastic
    net. J. R. Stat. Soc. B 67.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("elastic_net", {"weight": 1e-4, "l1_ratio": 0.9})])
    """

    l1_ratio: Annotated[float, Interval(ge=0, le=1)] = 0.5

    @hookimpl
    def loss(self, matched):
        total = 0
        for w in matched.values():
            first, second = number(self.l1_ratio, w), number((1 - self.l1_ratio) / 2, w)
            # not first * sum + second * sum: with l1_ratio 1 that is 0 * inf where
            # squares overflow
            total += (abs(w) * (first + second * abs(w))).sum()
        return total


class GroupLasso(OfMatrices):
    """Penalize the norms of groups of weights, which makes whole groups small together.

    Parameters
    ----------
    axis : int, optional
        What counts the groups: a group is everything at one index of this axis. By
        default 0 of a matrix (inputs, units), its rows, each all weights of one input;
        and the axis of the units of a kernel, 0 where the graph does not show it. -1:
        the columns.

    Notes
    -----
    ``sum_k sum over groups g of sqrt(size of g) norm2(w_g)``, with gradient 0 at a
    group of zeros. Parameters of one dimension do not count. For groups of exact zeros
    use ``group_soft_threshold``.

    References
    ----------
    M. Yuan and Y. Lin (2006). Model selection and estimation in regression with grouped
    variables.
    J. R. Stat. Soc. B 68.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["group_lasso=1e-3@hid1.w"])
    """

    axis: int | None = None

    @hookimpl
    def loss(self, matched, unit_axis):
        total = 0
        for name, w in matched.items():
            norms, scale = groups(name, w, self.axis, unit_axis)
            total += scale * norms.sum()
        return total


class L2Sp(Regularizer):
    """Penalize the distance of the weights from where they started, for fine-tuning.

    Notes
    -----
    ``sum_k sum((w_k - w0_k) ** 2)``. w0_k are the values that w_k has at the manager's
    first ``apply``; a later one on the same parameters keeps them, another model under
    the same names is refused. They are in ``manager.state()``, and a state that was
    restored wins. ``manager.restart()`` makes them the present values. All matched
    parameters count, those of one dimension, too.

    References
    ----------
    X. Li, Y. Grandvalet and F. Davoine (2018). Explicit inductive bias for transfer
    learning with convolutional networks. ICML.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("l2_sp", {"pattern": ["*", "!out.*"], "weight": 0.01})])
    """

    targets = "params"

    @hookimpl
    def loss(self, matched, state):
        total = 0
        for name, w in matched.items():
            start = state.array(name, lambda value, dtype=w.dtype: value.astype(dtype))
            total += ((w - start) ** 2).sum()
        return total
