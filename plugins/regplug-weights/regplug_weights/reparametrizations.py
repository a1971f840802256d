"""Weights that are normalized wherever the model uses them, in training and at prediction time."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from annotated_types import Gt, Interval

from regplug import hookimpl
from regplug.engine import engine_of, mean, nonzero, norm, number, tensor
from regplug_weights.parameters import OfMatrices, as_matrix, fan_in_axes, over, widened
from regplug_weights.spectral import power_iteration


class SpectralNorm(OfMatrices):
    """Divide weights by their largest singular value, found by power iteration.

    Parameters
    ----------
    iterations : int, 1 to 20
        Rounds of power iteration at each step; each is written out in the graph.

    Notes
    -----
    ``w / sigma`` with ``sigma = norm2(w u)``, `iterations` times ``u <- unit(w' unit(w
    u))`` before; the gradient flows through sigma and not through u. u is kept between
    steps (``result.updates``) and in ``manager.state()``; it begins, at the first
    ``apply`` and again at ``manager.restart()``, with 15 rounds from a fixed start on
    the weights as they are then. At prediction time the same rounds start from the u
    kept, which stays as it is. Parameters of one dimension are left as they are; a
    kernel is flattened to (inputs, units) for sigma, the units where the model shows
    them, else on axis 0.

    Weights of zeros, or with a side of 0, stay as they are, and u, too. float16 is
    computed in float32 and rounded once. Squares of w are nowhere needed, so that w may
    be as large or small as its dtype holds.

    References
    ----------
    T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida (2018). Spectral normalization for
    generative adversarial networks. ICLR.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("spectral_norm", {"pattern": "hid*.w"})])
    """

    applies = "always"
    weight = None

    iterations: Annotated[int, Interval(ge=1, le=20)] = 1

    @hookimpl
    def modify_graph(self, name, value, state, unit_axis):
        w = widened(value)
        matrix = as_matrix(w, unit_axis)
        u = power_iteration(name, matrix, state, self.iterations, unit_axis)
        scaled = over(w, norm(matrix.dot(u)))
        sigma = norm(as_matrix(scaled, unit_axis).dot(u))
        return tensor(w).cast(scaled / nonzero(sigma), value.dtype)


class WeightStandardization(OfMatrices):
    """Bring the weights of each unit to mean 0 and variance 1.

    Parameters
    ----------
    epsilon : float, above 0
        Added to the variance.

    Notes
    -----
    ``(w - mean) / sqrt(variance + epsilon)``, both over the weights of one unit: axis 0
    of a matrix (inputs, units), all axes of a kernel but that of its units, which are
    where the model shows them, else on axis 0. The variance is the mean square of the
    differences. Parameters of one dimension are left as they are.

    Equal weights become 0, exactly; a parameter with a side of 0 stays as it is.
    float16 is computed in float32 and rounded once. Both parts of the division are
    divided by ``max(norm2(w - mean), sqrt(epsilon))`` before: w may be as large or
    small as its dtype holds.

    References
    ----------
    S. Qiao, H. Wang, C. Liu, W. Shen and A. Yuille (2019). Micro-batch training with
    batch-channel normalization and weight standardization. arXiv:1903.10520.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("weight_standardization", {"pattern": "conv*.w"})])
    """

    applies = "always"
    weight = None

    epsilon: Annotated[float, Gt(0)] = 1e-8

    @hookimpl
    def modify_graph(self, value, unit_axis):
        engine, axes = engine_of(value), fan_in_axes(value, unit_axis)
        centred = widened(value)
        # twice, as the first mean is rounded: of equal weights some would be left
        for _ in range(2):
            centred = centred - mean(centred, axis=axes, keepdims=True)
        tiny = np.finfo(centred.dtype).tiny
        least = number(max(math.sqrt(self.epsilon), tiny), centred)
        size = engine.T.maximum(norm(centred, axis=axes, keepdims=True), least)
        size = engine.disconnected_grad(size)
        scaled = over(centred, size)
        variance = mean(scaled**2, axis=axes, keepdims=True) + (least / size) ** 2
        return engine.T.cast(scaled / engine.T.sqrt(variance), value.dtype)
