"""Penalties on recurrent states: values and gradients against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import regplug
from regplug.testing import function, installed_engine

RELATIVE = {"float64": 1e-6, "float32": 1e-4}
PENALTIES = {
    "recurrent_norm": lambda h: (
        torch.linalg.vector_norm(h, dim=-1).diff(dim=1).square().mean()
    ),
    # temporal activation regularization as awd-lstm-lm writes it
    "recurrent_state": lambda h: (h[:, 1:] - h[:, :-1]).pow(2).mean(),
}


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_on_an_lstm_is_that_of_torch(name, dtype):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 4, batch_first=True, dtype=getattr(torch, dtype))
    states = (
        lstm(torch.randn(2, 6, 3, dtype=getattr(torch, dtype)))[0]
        .detach()
        .requires_grad_()
    )
    expected = PENALTIES[name](states)
    (expected_gradient,) = torch.autograd.grad(expected, states)
    engine = installed_engine()
    h = engine.shared(states.detach().numpy(), name="h")
    loss = (
        regplug.compose([(name, {"pattern": "*", "weight": 1})])
        .apply({"rnn:out": 1 * h})
        .loss
    )
    value, gradient = function([], [loss, engine.grad(loss, h)])()
    np.testing.assert_allclose(value, expected.item(), rtol=RELATIVE[dtype])
    scale = abs(expected_gradient.numpy()).max()
    np.testing.assert_allclose(
        gradient,
        expected_gradient.numpy(),
        rtol=RELATIVE[dtype],
        atol=RELATIVE[dtype] * scale,
    )
