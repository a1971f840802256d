"""Proximal steps: what follows the gradient step of the data loss to reach exact zeros."""

from __future__ import annotations

from regplug import hookimpl
from regplug.engine import tensor
from regplug_weights.parameters import OfMatrices, OfWeights, groups, over


class SoftThreshold(OfWeights):
    """Shrink weights by a threshold, and set to zero those below: the proximal step of the lasso.

    Parameters
    ----------
    biases : bool
        Whether parameters of one dimension are shrunk, too.

    Notes
    -----
    After the update, ``switch(abs(w) <= t, 0, w - sign(w) t)`` with ``t = weight *
    learning_rate``. With plain gradient steps on the data loss it minimizes that plus
    `weight` times ``weight_l1`` of reduction ``sum``; do not add that penalty as well.
    ``constrain`` needs the learning rate.

    References
    ----------
    I. Daubechies, M. Defrise and C. De Mol (2004). An iterative thresholding algorithm
    for linear inverse problems with a sparsity constraint. Comm. Pure Appl. Math. 57.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["soft_threshold=1e-3@*.w"])
    """

    @hookimpl
    def constrain(self, matched, weight, learning_rate):
        results = {}
        for name, w in matched.items():
            T = tensor(w)
            threshold = T.cast(weight * learning_rate, w.dtype)
            results[name] = T.switch(
                T.le(abs(w), threshold),
                0,
                T.switch(T.gt(w, 0), w - threshold, w + threshold),
            )
        return results


class GroupSoftThreshold(OfMatrices):
    """Shrink the norms of groups of weights, and set whole groups to zero: the proximal step of the group lasso.

    Parameters
    ----------
    axis : int, optional
        What counts the groups, as for ``group_lasso``.

    Notes
    -----
    After the update, ``w_g * (1 - t / norm2(w_g))``, and 0 where ``norm2(w_g) <= t``,
    with ``t = weight * learning_rate * sqrt(size of g)``. With plain gradient steps on
    the data loss it minimizes that plus `weight` times ``group_lasso``; do not add that
    penalty as well. ``constrain`` needs the learning rate. Parameters of one dimension
    are left as they are.

    References
    ----------
    M. Yuan and Y. Lin (2006). Model selection and estimation in regression with grouped
    variables.
    J. R. Stat. Soc. B 68.
    N. Parikh and S. Boyd (2014). Proximal algorithms. Foundations and Trends in
    Optimization 1.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["group_soft_threshold=1e-3@hid1.w"])
    """

    axis: int | None = None

    @hookimpl
    def constrain(self, matched, weight, learning_rate, unit_axis):
        results = {}
        for name, w in matched.items():
            T = tensor(w)
            norms, scale = groups(name, w, self.axis, unit_axis)
            threshold = T.cast(weight * learning_rate, w.dtype) * scale
            shrunk = w - threshold * over(w, norms)
            results[name] = T.switch(T.le(norms, threshold), 0, shrunk)
        return results
