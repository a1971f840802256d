"""Weight standardization, and what both reparametrizations do with biases."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug.testing import function

TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def standardized(w, epsilon=1e-8):
    axes = 0 if w.ndim == 2 else tuple(range(1, w.ndim))
    return (w - w.mean(axis=axes, keepdims=True)) / np.sqrt(
        w.var(axis=axes, keepdims=True) + epsilon
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["hid.w", "conv.w"])
def test_weight_standardization_agrees_with_numpy_and_finite_differences(
    name, dtype, engine, arrays, apply
):
    w = arrays(dtype)[name]
    _, params, result = apply(
        [("weight_standardization", {"epsilon": 1e-3})], {name: w}
    )
    target = np.random.default_rng(1).normal(size=w.shape).astype(dtype)
    cost = (result.outputs[f"{name}:out"] * target).sum()
    out, clean, gradient = function(
        [],
        [
            result.outputs[f"{name}:out"],
            result.clean[f"{name}:out"],
            *engine.grad(cost, [params[name]]),
        ],
    )()
    exact, h = w.astype("float64"), 1e-5
    np.testing.assert_allclose(
        out, standardized(exact, 1e-3), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )
    np.testing.assert_array_equal(out, clean)
    assert out.dtype == dtype
    for index in np.ndindex(w.shape):
        step = np.zeros(w.shape)
        step[index] = h
        ahead, behind = (
            (standardized(exact + s * step, 1e-3) * target).sum() for s in (1, -1)
        )
        difference = (ahead - behind) / (2 * h)
        np.testing.assert_allclose(
            gradient[index], difference, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
        )


def test_weight_standardization_of_equal_weights_is_zero(apply):
    _, _, result = apply([("weight_standardization", {})], {"w": np.full((4, 2), 0.5)})
    np.testing.assert_allclose(function([], result.outputs["w:out"])(), 0, atol=1e-10)


@pytest.mark.parametrize("name", ["spectral_norm", "weight_standardization"])
def test_reparametrization_leaves_biases_as_they_are(name, arrays, apply):
    values = arrays("float32")
    _, _, result = apply([(name, {})], values)
    bias, weights = function(
        [], [result.outputs["hid.b:out"], result.outputs["hid.w:out"]]
    )()
    np.testing.assert_array_equal(bias, values["hid.b"])
    assert not np.array_equal(weights, values["hid.w"])


@pytest.mark.parametrize("name", ["spectral_norm", "weight_standardization"])
@pytest.mark.parametrize("pattern", ["hid.b", ["hid.w", "hid.b"]])
def test_reparametrization_refuses_a_bias_that_is_named(name, pattern, arrays, apply):
    with pytest.raises(
        regplug.NoMatchError, match=rf"{name} .* hid.b \(.*does not act"
    ):
        apply([(name, {"pattern": pattern})], arrays("float64"))


def test_reparametrization_needs_no_weight_and_has_options_in_range():
    manager = regplug.compose([("spectral_norm", {}), ("weight_standardization", {})])
    assert dict(manager.weights) == {}
    with pytest.raises(regplug.OptionError, match="out of range"):
        regplug.compose([("weight_standardization", {"epsilon": 0.0})])
    with pytest.raises(regplug.OptionError, match="out of range"):
        regplug.compose([("spectral_norm", {"iterations": 0})])
