"""Dropout: entries, channels, time steps or samples set to zero."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from regplug import Regularizer, hookimpl
from regplug.engine import tensor


def drop(h, weight, noise, shared_axes=()):
    """Return ``switch(m, h / (1 - weight), 0)``, m shared along some axes."""
    return scaled(h, weight, noise.keep(h, weight, shared_axes))


def scaled(h, weight, kept):
    """Return ``switch(kept, h / (1 - weight), 0)``."""
    return tensor(h).switch(kept, h * (1 / (1 - weight)), 0)


def axis_of(h, axis, name, first=1):
    """Return the axis counted from 0; refuse one that is not there, and the axis of the batch."""
    if not -h.ndim <= axis < h.ndim or axis % h.ndim < first:
        what = f"axis {axis} of {name!r}, which is {h.type}: it must be one of {first} to {h.ndim - 1}"
        batch = "; axis 0 is the batch: bring it there with dimshuffle, or use dropout with shared_axes"
        raise ValueError(what + batch * first)
    return axis % h.ndim


def channel_axis_of(h, axis, name, unit_axis):
    """Return the axis of the channels: the given one, the one shown, or the last.

    Raises
    ------
    ValueError
        None is given, and a map of 4 axes or more may have two layouts.
    """
    if axis is None:
        # the batch is on axis 0
        axis = unit_axis or -1
        if h.ndim > 3 and not unit_axis:
            sides = ", ".join(("depth", "height", "width")[2 - h.ndim :])
            raise ValueError(
                f"{name!r} is {h.type}, and the graph does not show which axis holds "
                f"its channels: give channel_axis=1 if its axes are (batch, channels, "
                f"{sides}), channel_axis=-1 if they are (batch, {sides}, channels)"
            )
    return axis_of(h, axis, name)


class Dropout(Regularizer):
    """Set entries to zero with probability `weight` and scale the others up.

    Parameters
    ----------
    weight : float, in [0, 1)
        The probability of zero.
    rescale : bool
        Whether the entries that are kept are divided by 1 - `weight`, which keeps the
        mean.
    shared_axes : tuple of int
        Axes along which all entries share one mask value: (1, 2) drops whole channels
        of (batch, height, width, channels), (0,) the same entries of all samples.

    Notes
    -----
    ``switch(m, h / (1 - weight), 0)``, m = 1 with probability 1 - weight.

    References
    ----------
    N. Srivastava et al. (2014). Dropout: a simple way to prevent neural networks from
    overfitting. JMLR 15.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["dropout=0.5@hid*:out"])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]
    rescale: bool = True
    shared_axes: tuple[int, ...] = ()

    @hookimpl
    def modify_graph(self, value, weight, noise):
        if self.rescale:
            return drop(value, weight, noise, self.shared_axes)
        kept = noise.keep(value, weight, self.shared_axes)
        return tensor(value).switch(kept, value, 0)


class SpatialDropout(Regularizer):
    """Set whole channels to zero with probability `weight` and scale the others up.

    Parameters
    ----------
    weight : float, in [0, 1)
        The probability of zero.
    channel_axis : int, optional
        The axis of the channels. Each channel of each sample has one mask value. By
        default the axis that the graph shows, such as that of the convolution upstream;
        where it shows none, the last of outputs of two or three axes. For more it must
        be given then.

    Notes
    -----
    ``switch(m, h / (1 - weight), 0)``, m = 1 with probability 1 - weight, of length 1
    along all axes but axis 0 and `channel_axis`.

    References
    ----------
    J. Tompson et al. (2015). Efficient object localization using convolutional
    networks. CVPR.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["spatial_dropout=0.2@conv*:out"])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]
    channel_axis: int | None = None

    @hookimpl
    def modify_graph(self, name, value, weight, noise, unit_axis):
        shared_axes = list(range(1, value.ndim))
        channels = channel_axis_of(value, self.channel_axis, name, unit_axis)
        shared_axes.remove(channels)
        return drop(value, weight, noise, shared_axes)


class LockedDropout(Regularizer):
    """Set units to zero with probability `weight`, the same ones at all time steps, and scale the others up.

    Parameters
    ----------
    weight : float, in [0, 1)
        The probability of zero.
    time_axis : int
        The axis of time: 1 for outputs (batch, time, units), 0 for outputs (time,
        batch, units).

    Notes
    -----
    ``switch(m, h / (1 - weight), 0)``, m = 1 with probability 1 - weight, of length 1
    along `time_axis`. Where that is 0, the mask is that of the output with its first
    two axes exchanged: the rows that noise depends on, and that ``manager.row_offset``
    counts, are those of the batch in both layouts.

    References
    ----------
    Y. Gal and Z. Ghahramani (2016). A theoretically grounded application of dropout in
    recurrent neural networks. NIPS 29.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["locked_dropout=0.3@rnn:out"])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]
    time_axis: int = 1

    @hookimpl
    def modify_graph(self, name, value, weight, noise):
        axis = axis_of(value, self.time_axis, name, first=0)
        if axis > 0:
            return drop(value, weight, noise, [axis])
        if value.ndim < 2:
            raise ValueError(
                f"{name!r} is {value.type}: with time on axis 0, axis 1 is the batch, "
                "which it has not"
            )
        exchanged = (1, 0, *range(2, value.ndim))
        kept = noise.keep(value.dimshuffle(exchanged), weight, [1])
        return scaled(value, weight, kept.dimshuffle(exchanged))


class DropPath(Regularizer):
    """Set whole samples of a branch to zero with probability `weight` and scale the others up.

    Parameters
    ----------
    weight : float, in [0, 1)
        The probability of zero.

    Notes
    -----
    ``switch(m, h / (1 - weight), 0)``, m = 1 with probability 1 - weight, one a sample
    (axis 0). The output that it acts on should be the branch of a residual block,
    before it is added.

    References
    ----------
    G. Huang et al. (2016). Deep networks with stochastic depth. ECCV. (There one mask
    value a batch.)

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["drop_path=0.1@block*:branch"])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]

    @hookimpl
    def modify_graph(self, value, weight, noise):
        return drop(value, weight, noise, range(1, value.ndim))


class AlphaDropout(Regularizer):
    """Set entries to the negative saturation of SELU with probability `weight`, then restore mean and variance.

    Parameters
    ----------
    weight : float, in [0, 1)
        The probability p of the saturation value.

    Notes
    -----
    ``a * switch(m, h, s) + b`` with s = -1.7580993408473766, ``a = 1 / sqrt((1 - p) (1
    + p s ** 2))``, ``b = -a p s`` and m = 1 with probability 1 - p: inputs of mean 0
    and variance 1 keep both.

    References
    ----------
    G. Klambauer et al. (2017). Self-normalizing neural networks. NIPS 30.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["alpha_dropout=0.1@hid*:out"])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]

    @hookimpl
    def modify_graph(self, value, weight, noise):
        T = tensor(value)
        # -lambda * alpha of SELU
        saturation = T.cast(-1.7580993408473766, weight.dtype)
        a = 1 / T.sqrt((1 - weight) * (1 + weight * saturation * saturation))
        b = -a * weight * saturation
        return a * T.switch(noise.keep(value, weight), value, saturation) + b
