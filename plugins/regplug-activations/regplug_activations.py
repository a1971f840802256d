"""Regularizers of activations: outputs of shape (batch, ..., units)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from regplug import Regularizer, hookimpl
from regplug.engine import engine_of, tensor


class HiddenL1(Regularizer):
    """Penalize the absolute values of activations, which makes them sparse.

    Parameters
    ----------
    reduction : {"mean", "batch"}
        ``mean``: the mean over the K outputs of their mean absolute values. ``batch``: the sum of all
        absolute values divided by the batch size N, the length of axis 0.

    Notes
    -----
    ``(1 / K) sum_k mean(abs(h_k))``, or ``sum_k sum(abs(h_k)) / N``.

    References
    ----------
    A. Ng (2011). Sparse autoencoder. CS294A lecture notes, Stanford University.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["hidden_l1=0.1@@hidden"])
    """

    pattern = "@hidden"
    reduction: Literal["mean", "batch"] = "mean"

    @hookimpl
    def loss(self, matched):
        return reduced({name: abs(h) for name, h in matched.items()}, self.reduction)


class HiddenL2(Regularizer):
    """Penalize the squares of activations (activation regularization, AR).

    Parameters
    ----------
    reduction : {"mean", "batch"}
        ``mean``: the mean over the K outputs of their mean squares. ``batch``: the sum of all squares
        divided by the batch size N, the length of axis 0.

    Notes
    -----
    ``(1 / K) sum_k mean(h_k ** 2)``, or ``sum_k sum(h_k ** 2) / N``. Listed with dropout on the same
    output it sees the dropped output, as in AWD-LSTM.

    References
    ----------
    S. Merity, B. McCann and R. Socher (2017). Revisiting activation regularization for language RNNs.
    arXiv:1708.01009.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["hidden_l2=0.1@@hidden"])
    """

    pattern = "@hidden"
    reduction: Literal["mean", "batch"] = "mean"

    @hookimpl
    def loss(self, matched):
        return reduced({name: h**2 for name, h in matched.items()}, self.reduction)


class KLSparsity(Regularizer):
    """Pull the mean activation of each unit towards `rho`.

    For units in [0, 1], such as logistic ones.

    Parameters
    ----------
    rho : float, in (0, 1)
        The mean activation wanted.
    epsilon : float, in (0, 0.1]
        How far the mean activations are squeezed into (0, 1), so that a unit that is always 0 or always 1
        has a finite term.

    Notes
    -----
    ``sum_k sum_j KL(rho, q_j)``, where ``KL(a, b) = a log(a / b) + (1 - a) log((1 - a) / (1 - b))``,
    ``q_j = epsilon + (1 - 2 epsilon) clip(p_j, 0, 1)``, and ``p_j`` is the mean activation of unit j: the mean
    of ``h_k`` over all axes but the last.

    References
    ----------
    A. Ng (2011). Sparse autoencoder. CS294A lecture notes, Stanford University.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("kl_sparsity", {"pattern": "hid1:out", "weight": 0.1, "rho": 0.05})])
    """

    pattern = "@hidden"
    rho: Annotated[float, Interval(gt=0, lt=1)] = 0.05
    epsilon: Annotated[float, Interval(gt=0, le=0.1)] = 1e-6

    @hookimpl
    def loss(self, matched):
        return sum(self.divergence(samples(name, h, "units")).sum() for name, h in matched.items())

    def divergence(self, h):
        """Return KL(rho, q_j) of each unit of `h`, shape (samples, units)."""
        T = tensor(h)
        rho, epsilon = (T.constant(np.asarray(each, h.dtype)) for each in (self.rho, self.epsilon))
        q = epsilon + (1 - 2 * epsilon) * T.clip(h.mean(axis=0), 0, 1)
        return rho * T.log(rho / q) + (1 - rho) * T.log((1 - rho) / (1 - q))


class Decov(Regularizer):
    """Penalize the covariances between units, which makes their activations different.

    Notes
    -----
    ``sum_k (norm_F(C_k) ** 2 - norm2(diag(C_k)) ** 2) / 2``: half the sum of the squared covariances between
    different units. ``C_k = X'X / N`` is the covariance of the units of ``h_k`` over the batch: X is ``h_k`` with
    all axes but the last flattened into N samples, less its mean over them.

    References
    ----------
    M. Cogswell, F. Ahmed, R. Girshick, L. Zitnick and D. Batra (2016). Reducing overfitting in deep networks by
    decorrelating representations. ICLR.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["decov=0.1@hid1:out"])
    """

    pattern = "@hidden"

    @hookimpl
    def loss(self, matched):
        return sum(self.covariances(samples(name, h, "units")) for name, h in matched.items())

    def covariances(self, h):
        """Return half the sum of the squared covariances between different units of `h`, shape (samples, units)."""
        centred = h - h.mean(axis=0, keepdims=True)
        covariance = tensor(h).dot(centred.T, centred) / h.shape[0].astype(h.dtype)
        variances = (centred**2).mean(axis=0)
        return ((covariance**2).sum() - (variances**2).sum()) / 2


class ConfidencePenalty(Regularizer):
    """Penalize predictions of low entropy.

    Parameters
    ----------
    from_logits : bool
        Whether the outputs are logits, of which the softmax over the last axis is taken; otherwise they are
        probabilities, which sum to 1 over the last axis.

    Notes
    -----
    ``-(1 / K) sum_k mean(H_k)``, the mean over all axes but the last, which has the entropies
    ``H = -sum_j p_j log(p_j)``, where 0 log(0) is 0, and so is its derivative.

    References
    ----------
    G. Pereyra, G. Tucker, J. Chorowski, L. Kaiser and G. Hinton (2017). Regularizing neural networks by
    penalizing confident output distributions. ICLR workshop.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["confidence_penalty=0.1@out:out"])
    """

    pattern = "@output"
    from_logits: bool = False

    @hookimpl
    def loss(self, matched):
        return -sum(self.entropy(samples(name, y, "classes")).mean() for name, y in matched.items()) / len(matched)

    def entropy(self, y):
        """Return the entropy of each row of `y`, shape (samples, classes)."""
        T = tensor(y)
        if self.from_logits:
            shifted = y - y.max(axis=-1, keepdims=True)
            log = shifted - T.log(T.exp(shifted).sum(axis=-1, keepdims=True))
            y = T.exp(log)
        else:
            log = T.log(T.switch(y > 0, y, T.ones_like(y)))
        return -(y * log).sum(axis=-1)


class TotalVariation(Regularizer):
    """Penalize differences between neighbours, which makes outputs smooth but for edges.

    Parameters
    ----------
    axes : tuple of int
        The axes along which entries are neighbours; ``(1, 2)`` for images of shape (batch, height, width,
        channels).

    Notes
    -----
    ``(1 / K) sum_k (1 / A) sum_a mean(abs(h_k[..., 1:, ...] - h_k[..., :-1, ...]))``, shifted along each axis a of
    the A axes.

    References
    ----------
    L. I. Rudin, S. Osher and E. Fatemi (1992). Nonlinear total variation based noise removal algorithms.
    Physica D 60, 259-268.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("total_variation", {"pattern": "out:out", "weight": 0.1, "axes": [1, 2]})])
    """

    pattern = "@output"
    axes: tuple[int, ...] = (1,)

    @hookimpl
    def loss(self, matched):
        if not self.axes:
            raise ValueError("axes=() names no axis: give those along which entries are neighbours, such as (1, 2)")
        total = sum(abs(difference(name, h, axis)).mean() for name, h in matched.items() for axis in self.axes)
        return total / (len(matched) * len(self.axes))


def reduced(values, reduction):
    """Return the mean of means of the values of `matched`, or their sum divided by the batch size."""
    if reduction == "mean":
        return sum(each.mean() for each in values.values()) / len(values)
    for name, each in values.items():
        if each.ndim == 0:
            raise ValueError(f"{name!r} is a scalar: reduction='batch' needs the batch on axis 0; use 'mean'")
    return sum(each.sum() / each.shape[0].astype(each.dtype) for each in values.values())


def samples(name, h, what):
    """Return `h` with all axes but the last flattened into one: shape (samples, units)."""
    if h.ndim < 2:
        raise ValueError(f"{name!r} has shape {shape_of(h)}, expected (batch, ..., {what}): match another output")
    return h if h.ndim == 2 else h.reshape((-1, h.shape[-1]))


def difference(name, h, axis):
    """Return the differences of neighbours of `h` along `axis`."""
    if not -h.ndim <= axis < h.ndim:
        valid = f"axes lie in {-h.ndim} to {h.ndim - 1}" if h.ndim else "a scalar has none"
        raise ValueError(f"{name!r} has shape {shape_of(h)}: it has no axis {axis}; {valid}")
    before = (slice(None),) * (axis % h.ndim)
    return h[(*before, slice(1, None))] - h[(*before, slice(None, -1))]


def shape_of(h):
    """Return the shape of `h` as far as it is known, as a text."""
    lengths = ["?" if length is None else str(length) for length in engine_of(h).static_shape(h)]
    return f"({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"
