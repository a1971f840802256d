"""The numbers of theanets itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from regplug.testing import function


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_hidden_l1_is_that_of_theanets(penalty, theanets, dtype):
    import theano

    rng = np.random.default_rng(0)
    values = {
        "a:out": rng.normal(size=(4, 3)).astype(dtype),
        "b:out": rng.normal(size=(4, 7)).astype(dtype),
    }
    outputs = {name: theano.shared(value) for name, value in values.items()}
    layers = [
        SimpleNamespace(output_name=lambda name=name: name)
        for name in ("in:out", *values, "out:out")
    ]
    expected = theanets.regularizers.HiddenL1(pattern=None, weight=1.0).loss(
        layers, outputs
    )
    expected, *expected_gradients = function(
        [], [expected, *theano.grad(expected, list(outputs.values()))]
    )()
    value, gradients = penalty("hidden_l1", values)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(value, expected, rtol=4 * eps)
    for gradient, other in zip(gradients.values(), expected_gradients, strict=True):
        np.testing.assert_allclose(
            gradient, other, rtol=4 * eps, atol=4 * eps * abs(other).max()
        )
