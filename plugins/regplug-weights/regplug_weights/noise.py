"""Noise on weights while training. All matched parameters get it, those of one dimension (biases), too."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from regplug import Regularizer, hookimpl
from regplug.engine import tensor
from regplug_weights.parameters import widened


class WeightNoise(Regularizer):
    """Add normal noise of standard deviation `weight` to the weights, anew at each step.

    Notes
    -----
    ``w + weight * normal``, in training only. All matched parameters get it, those of
    one dimension, too.

    References
    ----------
    A. Graves (2011). Practical variational inference for neural networks. NIPS.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["weight_noise=0.05@*.w"])
    """

    targets = "params"

    @hookimpl
    def modify_graph(self, value, weight, noise):
        w = widened(value)
        return tensor(w).cast(w + weight * noise.normal(w), value.dtype)


class DropConnect(Regularizer):
    """Set weights to zero with probability `weight`, anew at each step, and scale the others up.

    Parameters
    ----------
    weight : float, in [0, 1)
        The probability of zero.

    Notes
    -----
    ``switch(m, w / (1 - weight), 0)``, m = 1 with probability 1 - weight, one mask for
    the whole batch, in training only. All matched parameters get it, those of one
    dimension, too.

    References
    ----------
    L. Wan, M. Zeiler, S. Zhang, Y. LeCun and R. Fergus (2013). Regularization of neural
    networks using DropConnect. ICML.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["drop_connect=0.5@hid*.w"])
    """

    targets = "params"
    weight: Annotated[float, Interval(ge=0, lt=1)]

    @hookimpl
    def modify_graph(self, value, weight, noise):
        T = tensor(value)
        scaled = T.cast(widened(value) / (1 - widened(weight)), value.dtype)
        return T.switch(noise.keep(value, weight), scaled, 0)
