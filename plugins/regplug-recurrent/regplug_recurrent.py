"""Regularizers of recurrent states: outputs of shape (batch, time, units)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from regplug import Regularizer, hookimpl
from regplug.engine import engine_of, tensor


class RecurrentNorm(Regularizer):
    """Penalize changes of the norm of the hidden state from step to step.

    Parameters
    ----------
    pattern : str or list of str
        Required: which outputs are recurrent.
    time_axis : int, at least 0
        The axis of time; the last axis has the units.

    Notes
    -----
    ``(1 / K) sum_k mean((norm2(h_t) - norm2(h_{t-1})) ** 2)``, where norm2 is over the units and the mean over the
    batch and the steps from the second on. The derivative of norm2 at a state of zeros is 0.

    References
    ----------
    D. Krueger and R. Memisevic (2016). Regularizing RNNs by stabilizing activations. ICLR.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["recurrent_norm=0.1@rnn:out"])
    """

    pattern = ...
    time_axis: Annotated[int, Ge(0)] = 1

    @hookimpl
    def loss(self, matched):
        return changes({name: norm(h) for name, h in timed(matched, self.time_axis)}, self.time_axis)


class RecurrentState(Regularizer):
    """Penalize changes of the hidden state from step to step (temporal activation regularization, TAR).

    Parameters
    ----------
    pattern : str or list of str
        Required: which outputs are recurrent.
    time_axis : int, at least 0
        The axis of time; the last axis has the units.

    Notes
    -----
    ``(1 / K) sum_k mean((h_t - h_{t-1}) ** 2)``, the mean over the batch, the steps from the second on, and the units.

    References
    ----------
    S. Merity, B. McCann and R. Socher (2017). Revisiting activation regularization for language RNNs.
    arXiv:1708.01009.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["recurrent_state=0.1@rnn:out"])
    """

    pattern = ...
    time_axis: Annotated[int, Ge(0)] = 1

    @hookimpl
    def loss(self, matched):
        return changes(dict(timed(matched, self.time_axis)), self.time_axis)


def changes(values, time_axis):
    """Return the mean over the values of the mean squared change from step to step."""
    before = (slice(None),) * time_axis
    steps = (each[(*before, slice(1, None))] - each[(*before, slice(None, -1))] for each in values.values())
    return sum((step**2).mean() for step in steps) / len(values)


def timed(matched, time_axis):
    """Yield what matched; refuse what has no time axis, or only one step of it."""
    for name, h in matched.items():
        shape = engine_of(h).static_shape(h)
        text = f"({', '.join('?' if n is None else str(n) for n in shape)}{',' if len(shape) == 1 else ''})"
        if time_axis >= h.ndim - 1:
            raise ValueError(
                f"{name!r} has shape {text}: it has no time axis {time_axis} before its units; match outputs of shape "
                "(batch, time, units), or set time_axis"
            )
        if shape[time_axis] == 1:
            raise ValueError(f"{name!r} has shape {text}: one step on time axis {time_axis}, and no change to penalize")
        yield name, h


def norm(h):
    """Return the Euclidean norm over the last axis, with derivative 0 where it is 0."""
    T = tensor(h)
    squares = (h**2).sum(axis=-1)
    positive = squares > 0
    return T.switch(positive, T.sqrt(T.switch(positive, squares, T.ones_like(squares))), T.zeros_like(squares))
