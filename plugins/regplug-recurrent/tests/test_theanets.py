"""The numbers of theanets itself."""

from __future__ import annotations

import numpy as np
import pytest

from regplug.testing import function


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_recurrent_state_is_that_of_theanets(penalty, theanets, monkeypatch, dtype):
    import theano

    # `RecurrentState.loss` of 0.7.3 reads a name that it never sets
    monkeypatch.setattr(theanets.regularizers, "pattern", "*", raising=False)
    rng = np.random.default_rng(0)
    values = {
        "a:out": rng.normal(size=(4, 6, 3)).astype(dtype),
        "b:out": rng.normal(size=(4, 5, 7)).astype(dtype),
    }
    outputs = {name: theano.shared(value) for name, value in values.items()}
    expected = theanets.regularizers.RecurrentState(pattern="*", weight=1.0).loss(
        [], outputs
    )
    expected, *expected_gradients = function(
        [], [expected, *theano.grad(expected, list(outputs.values()))]
    )()
    value, gradients = penalty("recurrent_state", values)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(value, expected, rtol=4 * eps)
    for gradient, other in zip(gradients.values(), expected_gradients, strict=True):
        np.testing.assert_allclose(
            gradient, other, rtol=4 * eps, atol=4 * eps * abs(other).max()
        )
