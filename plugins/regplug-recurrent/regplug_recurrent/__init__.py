"""Regularizers of recurrent states: outputs of shape (batch, time, units)."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from regplug import Regularizer, hookimpl
from regplug.engine import differences, engine_of, mean, norm, shape_text


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
    ``(1 / K) sum_k mean((norm2(h_t) - norm2(h_{t-1})) ** 2)``, where norm2 is over the
    units and the mean over the batch and the steps from the second on; where there is
    none it is 0. The derivative of norm2 at a state of zeros is 0.

    References
    ----------
    D. Krueger and R. Memisevic (2016). Regularizing RNNs by stabilizing activations.
    ICLR.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["recurrent_norm=0.1@rnn:out"])
    """

    pattern = ...
    time_axis: Annotated[int, Ge(0)] = 1

    @hookimpl
    def loss(self, matched):
        refuse_untimed(matched, self.time_axis)
        norms = (norm(h, axis=-1) for h in matched.values())
        return sum(squared_change(each, self.time_axis) for each in norms) / len(
            matched
        )


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
    ``(1 / K) sum_k mean((h_t - h_{t-1}) ** 2)``, the mean over the batch, the steps
    from the second on, and the units; where there is no second step it is 0.

    References
    ----------
    S. Merity, B. McCann and R. Socher (2017). Revisiting activation regularization for
    language RNNs. arXiv:1708.01009.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["recurrent_state=0.1@rnn:out"])
    """

    pattern = ...
    time_axis: Annotated[int, Ge(0)] = 1

    @hookimpl
    def loss(self, matched):
        refuse_untimed(matched, self.time_axis)
        states = matched.values()
        return sum(squared_change(each, self.time_axis) for each in states) / len(
            matched
        )


def squared_change(x, time_axis):
    """Return the mean squared change of `x` from step to step."""
    return mean(differences(x, time_axis) ** 2)


def refuse_untimed(matched, time_axis):
    """Refuse outputs that have no time axis, or are known to have only one step on it."""
    for name, h in matched.items():
        shape = f"{name!r} has shape {shape_text(h)}"
        if time_axis >= h.ndim - 1:
            raise ValueError(
                f"{shape}: it has no time axis {time_axis} before its units; match "
                "outputs of shape (batch, time, units), or set time_axis"
            )
        if engine_of(h).static_shape(h)[time_axis] == 1:
            raise ValueError(
                f"{shape}: one step on time axis {time_axis}, and no "
                "change to penalize; match outputs of more steps, or set time_axis"
            )
