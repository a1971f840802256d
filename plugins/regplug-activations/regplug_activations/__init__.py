"""Regularizers of activations: outputs of shape (batch, ..., units)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from regplug import Regularizer, hookimpl
from regplug.engine import (
    differences,
    engine_of,
    mean,
    nonzero,
    number,
    shape_text,
    tensor,
)


class HiddenL1(Regularizer):
    """Penalize the absolute values of activations, which makes them sparse.

    Parameters
    ----------
    reduction : {"mean", "batch"}
        ``mean``: the mean over the K outputs of their mean absolute values. ``batch``:
        the sum of all absolute values divided by the batch size N, the length of axis
        0.

    Notes
    -----
    ``(1 / K) sum_k mean(abs(h_k))``, or ``sum_k sum(abs(h_k)) / N``. An empty batch
    adds 0.

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
        ``mean``: the mean over the K outputs of their mean squares. ``batch``: the sum
        of all squares divided by the batch size N, the length of axis 0.

    Notes
    -----
    ``(1 / K) sum_k mean(h_k ** 2)``, or ``sum_k sum(h_k ** 2) / N``. An empty batch
    adds 0. Listed with dropout on the same output it sees the dropped output, as in
    AWD-LSTM.

    References
    ----------
    S. Merity, B. McCann and R. Socher (2017). Revisiting activation regularization for
    language RNNs. arXiv:1708.01009.

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
        How far the mean activations are squeezed into (0, 1), so that a unit that is
        always 0 or always 1 has a finite term.

    Notes
    -----
    ``sum_k sum_j KL(rho, q_j)``, where ``KL(a, b) = a log(a / b) + (1 - a) log((1 - a)
    / (1 - b))``, ``q_j = epsilon + (1 - 2 epsilon) clip(p_j, 0, 1)``, and ``p_j`` is
    the mean activation of unit j: the mean of ``h_k`` over all axes but that of the
    units, which is the one that the graph shows, else the last. It is computed in
    float64, whatever the dtype of ``h_k``, and so is ``1 - q_j = epsilon +
    (1 - 2 epsilon) (1 - clip(p_j, 0, 1))``. An empty batch adds 0. A derivative by p_j
    that the dtype of ``h_k`` cannot hold is the largest number that it can.

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
    def loss(self, matched, unit_axis):
        total = 0
        for h in with_units_last(matched, unit_axis, "units"):
            total += tensor(h).cast(self.divergences(h).sum(), h.dtype)
        return total

    def divergences(self, h):
        """Return KL(rho, q_j) of each unit of `h`, shape (units,), in float64."""
        T, rho = tensor(h), self.rho
        # beside 1, float32 holds neither a small epsilon nor a rho near 1
        p = mean(T.cast(h, "float64"), axis=range(h.ndim - 1))
        # 1 - q is no difference: engines would add up its constants, and 1 + epsilon is
        # 1
        on, off = (
            self.log_squeezed(T.clip(each, 0, 1), h.dtype) for each in (p, 1 - p)
        )
        for_on = number(rho, p) * (number(math.log(rho), p) - on)
        for_off = number(1 - rho, p) * (number(math.log1p(-rho), p) - off)
        return T.switch(h.size > 0, for_on + for_off, 0)

    def log_squeezed(self, p, dtype):
        """Return ``log(epsilon + (1 - 2 epsilon) p)``, with a gradient that `dtype` holds."""
        largest = number(np.finfo(dtype).max, p)
        p = engine_of(p).grad_clip(p, -largest, largest)
        epsilon, width = number(self.epsilon, p), number(1 - 2 * self.epsilon, p)
        return tensor(p).log(epsilon + width * p)


class Decov(Regularizer):
    """Penalize the covariances between units, which makes their activations different.

    Notes
    -----
    ``sum_k (norm_F(C_k) ** 2 - norm2(diag(C_k)) ** 2) / 2``: half the sum of the
    squared covariances between different units. ``C_k = X'X / N`` is the covariance of
    the units of ``h_k`` over the batch: X is ``h_k`` with all axes but that of the
    units flattened into N samples, less its mean over them. The units are on the axis
    that the graph shows, else on the last. An empty batch adds 0.

    References
    ----------
    M. Cogswell, F. Ahmed, R. Girshick, L. Zitnick and D. Batra (2016). Reducing
    overfitting in deep networks by decorrelating representations. ICLR.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["decov=0.1@hid1:out"])
    """

    pattern = "@hidden"

    @hookimpl
    def loss(self, matched, unit_axis):
        outputs = with_units_last(matched, unit_axis, "units")
        return sum((between_units(h) ** 2).sum() / 2 for h in outputs)


class ConfidencePenalty(Regularizer):
    """Penalize predictions of low entropy.

    Parameters
    ----------
    from_logits : bool
        Whether the outputs are logits, of which the softmax over the last axis is
        taken; otherwise they are probabilities, which sum to 1 over the last axis. It
        is the axis of the channels where the graph shows another one.

    Notes
    -----
    ``-(1 / K) sum_k mean(H_k)``, the mean over all axes but the last, of the entropies
    ``H = -sum_j p_j log(p_j)``, where 0 log(0) is 0, and so is its derivative. From
    logits z it is ``H = log(Z) - (1 / Z) sum_j e_j s_j``, where ``s_j = z_j - max(z)``,
    ``e_j = exp(s_j)`` and ``Z = sum_j e_j``. A logit of -inf is a masked class, of
    probability and derivative 0; a row of which every class is masked has entropy 0. An
    empty batch adds 0.

    References
    ----------
    G. Pereyra, G. Tucker, J. Chorowski, L. Kaiser and G. Hinton (2017). Regularizing
    neural networks by penalizing confident output distributions. ICLR workshop.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["confidence_penalty=0.1@out:out"])
    """

    pattern = "@output"
    from_logits: bool = False

    @hookimpl
    def loss(self, matched, unit_axis):
        outputs = with_units_last(matched, unit_axis, "classes")
        entropy = entropy_of_logits if self.from_logits else entropy_of_probabilities
        return -sum(mean(entropy(y)) for y in outputs) / len(outputs)


class TotalVariation(Regularizer):
    """Penalize differences between neighbours, which makes outputs smooth but for edges.

    Parameters
    ----------
    axes : tuple of int, optional
        The axes along which entries are neighbours; by default axis 1 of outputs of two
        or three axes. For images they must be given: ``(1, 2)`` for (batch, height,
        width, channels), ``(2, 3)`` for (batch, channels, height, width).

    Notes
    -----
    ``(1 / K) sum_k (1 / A) sum_a mean(abs(h_k[..., 1:, ...] - h_k[..., :-1, ...]))``,
    shifted along each axis a of the A axes. An axis of length 1 has no neighbours and
    adds 0.

    References
    ----------
    L. I. Rudin, S. Osher and E. Fatemi (1992). Nonlinear total variation based noise
    removal algorithms. Physica D 60, 259-268.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("total_variation", {"pattern": "out:out", "weight": 0.1, "axes": [1, 2]})])
    """

    pattern = "@output"
    axes: tuple[int, ...] | None = None

    @hookimpl
    def loss(self, matched):
        axes = self.axes
        if axes is None:
            axes = (1,)
            refuse_images(matched)
        if not axes:
            raise ValueError(
                "axes=() names no axis: give those along which entries are "
                "neighbours, such as (1, 2)"
            )
        refuse_missing_axes(matched, axes)
        variations = (
            mean(abs(differences(h, axis))) for h in matched.values() for axis in axes
        )
        return sum(variations) / (len(matched) * len(axes))


def reduced(values, reduction):
    """Return the mean of means of the values of `matched`, or their sum divided by the batch size."""
    if reduction == "mean":
        return sum(mean(each) for each in values.values()) / len(values)
    for name, each in values.items():
        if each.ndim == 0:
            raise ValueError(
                f"{name!r} is a scalar: reduction='batch' needs the batch on axis 0; "
                "use 'mean'"
            )
    return sum(each.sum() / samples(each) for each in values.values())


def samples(h):
    """Return the length of axis 0 of `h`, to divide by: 1 where it is 0."""
    return nonzero(h.shape[0].astype(h.dtype))


def between_units(h):
    """Return the covariances of the units of `h`, shape (units, units), with 0 for their variances."""
    T = tensor(h)
    units = h.shape[-1]
    x = h.reshape((T.prod(h.shape[:-1]), units))
    x = x - mean(x, axis=0, keepdims=True)
    # again: the mean of large numbers is rounded, and what rounding left is a mean as
    # well
    x = x - mean(x, axis=0, keepdims=True)
    covariances = T.dot(x.T, x) / samples(x)
    return T.switch(T.eye(units), number(0, h), covariances)


def entropy_of_probabilities(p):
    """Return the entropies over the last axis."""
    T = tensor(p)
    return -(p * T.log(T.switch(p > 0, p, number(1, p)))).sum(axis=-1)


def entropy_of_logits(z):
    """Return the entropies of the softmax over the last axis."""
    T, zero = tensor(z), number(0, z)
    largest = z.max(axis=-1, keepdims=True)
    shifted = z - T.switch(T.isinf(largest), zero, largest)
    is_masked = T.eq(shifted, -np.inf)
    shifted = T.switch(is_masked, zero, shifted)
    e = T.switch(is_masked, zero, T.exp(shifted))
    total = nonzero(e.sum(axis=-1))
    return T.log(total) - (e * shifted).sum(axis=-1) / total


def with_units_last(matched, unit_axis, what):
    """Return outputs with the axis of the units, where the graph shows it, moved to the end.

    Raises
    ------
    ValueError
        One has no axis beside the batch.
    """
    outputs = []
    for name, h in matched.items():
        if h.ndim < 2:
            shape = f"has shape {shape_text(h)}, expected (batch, ..., {what})"
            raise ValueError(f"{name!r} {shape}: match another output")
        # the batch is on axis 0
        axis = unit_axis[name] or h.ndim - 1
        order = [other for other in range(h.ndim) if other != axis]
        outputs.append(h.dimshuffle(*order, axis))
    return outputs


def refuse_images(matched):
    """Refuse outputs that may have two layouts, where no axes are given."""
    for name, h in matched.items():
        if h.ndim > 3:
            raise ValueError(
                f"{name!r} is {h.type}, and axes does not say which of its entries are "
                "neighbours: give axes=(1, 2) for images (batch, height, width, "
                "channels), axes=(2, 3) for (batch, channels, height, width)"
            )


def refuse_missing_axes(matched, axes):
    """Refuse axes that an output does not have."""
    for name, h in matched.items():
        valid = (
            f"axes lie in {-h.ndim} to {h.ndim - 1}" if h.ndim else "a scalar has none"
        )
        for axis in axes:
            if not -h.ndim <= axis < h.ndim:
                shape = f"has shape {shape_text(h)}: it has no axis {axis}"
                raise ValueError(f"{name!r} {shape}; {valid}")
