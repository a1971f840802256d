"""The numbers of theanets itself."""

from __future__ import annotations

import logging
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from regplug.testing import function

theanets_runs = pytest.mark.skipif(sys.version_info >= (3, 11), reason="theanets needs Theano, which needs Python 3.10")


@pytest.fixture
def regularizers(monkeypatch):
    """Return theanets' regularizers; its logging package `climate` is no longer on PyPI (that name is another's)."""
    climate = ModuleType("climate")
    climate.get_logger = logging.getLogger
    monkeypatch.setitem(sys.modules, "climate", climate)
    from theanets import regularizers

    return regularizers


@theanets_runs
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_hidden_l1_is_that_of_theanets(penalty, regularizers, dtype):
    import theano

    rng = np.random.default_rng(0)
    values = {"a:out": rng.normal(size=(4, 3)).astype(dtype), "b:out": rng.normal(size=(4, 7)).astype(dtype)}
    outputs = {name: theano.shared(value) for name, value in values.items()}
    layers = [SimpleNamespace(output_name=lambda name=name: name) for name in ("in:out", *values, "out:out")]
    expected = regularizers.HiddenL1(pattern=None, weight=1.0).loss(layers, outputs)
    expected, *expected_gradients = function([], [expected, *theano.grad(expected, list(outputs.values()))])()
    value, gradients = penalty("hidden_l1", values)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(value, expected, rtol=4 * eps)
    for gradient, other in zip(gradients.values(), expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=4 * eps, atol=4 * eps * abs(other).max())
