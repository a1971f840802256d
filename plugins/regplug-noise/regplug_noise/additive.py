"""Noise that is added, multiplied or put in the place of entries."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from regplug import Regularizer, hookimpl
from regplug.engine import tensor


class Noise(Regularizer):
    """Add normal noise of standard deviation `weight`.

    Parameters
    ----------
    weight : float, at least 0
        The standard deviation.

    Notes
    -----
    ``h + weight * normal``.

    References
    ----------
    P. Vincent et al. (2008). Extracting and composing robust features with denoising
    autoencoders. ICML.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["noise=0.1@in:out"])
    """

    pattern = "@hidden"

    @hookimpl
    def modify_graph(self, value, weight, noise):
        return value + weight * noise.normal(value)


class UniformNoise(Regularizer):
    """Add noise that is uniform between -`weight` and `weight`.

    Parameters
    ----------
    weight : float, at least 0
        Half the width; the standard deviation is weight / sqrt(3).

    Notes
    -----
    ``h + weight * (2 u - 1)``, u uniform in [0, 1).

    References
    ----------
    C. M. Bishop (1995). Training with noise is equivalent to Tikhonov regularization.
    Neural Computation 7.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["uniform_noise=0.1@in:out"])
    """

    pattern = "@hidden"

    @hookimpl
    def modify_graph(self, value, weight, noise):
        return value + weight * (2 * noise.uniform(value) - 1)


class GaussianDropout(Regularizer):
    """Multiply by normal noise of mean 1, with the variance that dropout of rate `weight` has.

    Parameters
    ----------
    weight : float, in [0, 1)
        The rate p.

    Notes
    -----
    ``h * (1 + sqrt(p / (1 - p)) * normal)``.

    References
    ----------
    N. Srivastava et al. (2014). Dropout: a simple way to prevent neural networks from
    overfitting. JMLR 15, section 10.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["gaussian_dropout=0.5@hid*:out"])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]

    @hookimpl
    def modify_graph(self, value, weight, noise):
        std = tensor(weight).sqrt(weight / (1 - weight))
        return value * (1 + std * noise.normal(value))


class SaltAndPepper(Regularizer):
    """Set a share of the entries to a low or a high value, each with equal probability.

    Parameters
    ----------
    weight : float, in [0, 1)
        The probability that an entry is replaced.
    low, high : float
        What it is replaced by.

    Notes
    -----
    ``switch(m, h, switch(c, high, low))``, m = 1 with probability 1 - weight, c = 1
    with probability 1/2.

    References
    ----------
    P. Vincent et al. (2010). Stacked denoising autoencoders. JMLR 11.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["salt_and_pepper=0.1@in:out"])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]
    low: float = 0.0
    high: float = 1.0

    @hookimpl
    def modify_graph(self, value, weight, noise):
        T = tensor(value)
        low, high = T.cast(self.low, value.dtype), T.cast(self.high, value.dtype)
        grain = T.switch(noise.keep(value, 0.5), high, low)
        return T.switch(noise.keep(value, weight), value, grain)
