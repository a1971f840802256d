"""Noise on weights: the definition with the reference's numbers, moments, freshness, off."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug.noise import reference
from regplug.testing import function

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@DTYPES
def test_weight_noise_adds_the_reference_normals_to_all_that_matched(
    dtype, arrays, apply
):
    values = arrays(dtype)
    _, _, result = apply([("weight_noise", 0.25)], values)
    outs = function(
        [], [result.outputs[f"{name}:out"] for name in values], updates=result.updates
    )()
    for out, (name, w) in zip(outs, values.items(), strict=True):
        normal = reference.normal(0, "weight_noise", name, w.shape, 0, dtype)
        assert out.dtype == dtype
        np.testing.assert_allclose(out, w + 0.25 * normal, rtol=1e-6, atol=1e-6)


@DTYPES
def test_drop_connect_switches_by_the_reference_mask_on_all_that_matched(
    dtype, arrays, apply
):
    values = arrays(dtype)
    _, _, result = apply([("drop_connect", 0.4)], values)
    outs = function(
        [], [result.outputs[f"{name}:out"] for name in values], updates=result.updates
    )()
    for out, (name, w) in zip(outs, values.items(), strict=True):
        mask = reference.keep(0, "drop_connect", name, w.shape, 0, 0.4)
        assert out.dtype == dtype
        np.testing.assert_allclose(out, np.where(mask, w / (1 - 0.4), 0), rtol=1e-6)
        np.testing.assert_array_equal(out != 0, mask)


@pytest.mark.parametrize(
    ("name", "weight", "std"), [("weight_noise", 0.5, 0.5), ("drop_connect", 0.2, 0.5)]
)
def test_noise_on_weights_keeps_the_mean_with_the_stated_deviation(
    name, weight, std, apply
):
    _, _, result = apply([(name, weight)], {"w": np.ones((400, 500))})
    out = function([], result.outputs["w:out"], updates=result.updates)()
    assert abs(out.mean() - 1) < 5 * std / np.sqrt(out.size)
    assert out.std() == pytest.approx(std, rel=0.01)


@pytest.mark.parametrize("name", ["weight_noise", "drop_connect"])
def test_noise_on_weights_is_fresh_each_step_off_at_zero_and_absent_at_prediction(
    name, arrays, apply
):
    values = {"hid.w": arrays("float32")["hid.w"]}
    manager, params, result = apply([(name, 0.5)], values)
    step = function([], result.outputs["hid.w:out"], updates=result.updates)
    assert not np.array_equal(step(), step())
    np.testing.assert_array_equal(
        function([], result.clean["hid.w:out"])(), values["hid.w"]
    )
    manager.weights[name] = 0
    np.testing.assert_array_equal(step(), values["hid.w"])


@pytest.mark.parametrize("name", ["weight_noise", "drop_connect"])
def test_noise_on_weights_has_the_gradient_of_its_definition(
    name, engine, arrays, apply
):
    values = {"hid.w": arrays("float64")["hid.w"]}
    _, params, result = apply([(name, 0.25)], values)
    (gradient,) = function(
        [], engine.grad((result.outputs["hid.w:out"] ** 2).sum(), [params["hid.w"]])
    )()
    (w,) = values.values()
    if name == "weight_noise":
        expected = 2 * (
            w + 0.25 * reference.normal(0, name, "hid.w", w.shape, 0, "float64")
        )
    else:
        expected = np.where(
            reference.keep(0, name, "hid.w", w.shape, 0, 0.25), 2 * w / 0.75**2, 0
        )
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


@pytest.mark.parametrize("weight", [1.0, -0.1, float("nan")])
def test_drop_connect_refuses_a_rate_outside_its_range(weight):
    with pytest.raises(regplug.OptionError, match="drop_connect"):
        regplug.compose([("drop_connect", weight)])


def test_weight_noise_of_float16_is_rounded_once(apply):
    w = np.random.default_rng(0).normal(size=(30, 20)).astype("float16")
    _, _, result = apply([("weight_noise", 0.25)], {"w": w})
    out = function([], result.outputs["w:out"], updates=result.updates)()
    normal = reference.normal(0, "weight_noise", "w", w.shape, 0, "float32")
    expected = (w.astype("float32") + 0.25 * normal).astype("float16")
    np.testing.assert_array_equal(out, expected)


def test_drop_connect_of_float16_is_rounded_once(apply):
    w = np.random.default_rng(0).normal(size=(30, 20)).astype("float16")
    _, _, result = apply([("drop_connect", 0.375)], {"w": w})  # float16 holds this rate
    out = function([], result.outputs["w:out"], updates=result.updates)()
    mask = reference.keep(0, "drop_connect", "w", w.shape, 0, 0.375)
    expected = np.where(mask, (w.astype("float32") / 0.625).astype("float16"), 0)
    np.testing.assert_array_equal(out, expected)
