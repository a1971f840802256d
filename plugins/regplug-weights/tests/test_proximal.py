"""Proximal steps: agreement with NumPy, exact zeros, live weights, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug.testing import function

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


@DTYPES
@pytest.mark.parametrize("biases", [False, True])
def test_soft_threshold_agrees_with_numpy_and_reaches_exact_zeros(
    biases, dtype, arrays, constrained
):
    values = arrays(dtype)
    results = constrained(
        [("soft_threshold", {"weight": 2.0, "biases": biases})],
        values,
        learning_rate=0.25,
    )
    for name, w in values.items():
        shrunk = np.sign(w) * np.maximum(abs(w) - 0.5, 0)
        expected = w if name == "hid.b" and not biases else shrunk
        assert results[name].dtype == dtype
        np.testing.assert_allclose(
            results[name], expected, rtol=TOLERANCE[dtype], atol=1e-7
        )
        np.testing.assert_array_equal(results[name] == 0, expected == 0)
    assert (results["hid.w"] == 0).any()


@DTYPES
@pytest.mark.parametrize("axis", [0, -1])
def test_group_soft_threshold_agrees_with_numpy_and_gives_exact_zero_groups(
    axis, dtype, arrays, constrained
):
    values = arrays(dtype)
    values["hid.w"][[0, 2]] *= 0.1
    results = constrained(
        [("group_soft_threshold", {"weight": 1.0, "axis": axis})],
        values,
        learning_rate=0.3,
    )
    for name in ("hid.w", "conv.w"):
        w = np.moveaxis(values[name].astype("float64"), axis, 0)
        out = np.moveaxis(results[name], axis, 0)
        for before, after in zip(w, out, strict=True):
            norm, threshold = np.linalg.norm(before), 0.3 * np.sqrt(before.size)
            if norm <= threshold:
                assert not after.any()
            else:
                np.testing.assert_allclose(
                    after, before * (1 - threshold / norm), rtol=TOLERANCE[dtype]
                )
        assert out.dtype == dtype
    if axis == 0:
        np.testing.assert_array_equal(
            results["hid.w"].any(axis=1), [False, True, False, True, True]
        )
    np.testing.assert_array_equal(results["hid.b"], values["hid.b"])


def test_group_soft_threshold_is_the_proximal_step_of_group_lasso(
    engine, arrays, apply, constrained
):
    values = {"w": arrays("float64")["hid.w"]}
    after = constrained([("group_soft_threshold", 0.5)], values, learning_rate=0.2)["w"]
    _, params, result = apply([("group_lasso", 0.5)], {"w": after})
    (gradient,) = function([], engine.grad(result.loss, list(params.values())))()
    kept = after.any(axis=1)
    assert kept.any()
    np.testing.assert_allclose(
        (values["w"] - after)[kept], 0.2 * gradient[kept], rtol=1e-9
    )


@pytest.mark.parametrize("name", ["soft_threshold", "group_soft_threshold"])
@DTYPES
def test_proximal_step_of_weight_zero_changes_nothing_to_the_bit(
    name, dtype, arrays, constrained
):
    values = arrays(dtype)
    values["hid.w"][0] = 0
    results = constrained([(name, 0.0)], values, learning_rate=0.1)
    for key, w in values.items():
        np.testing.assert_array_equal(results[key], w)


@pytest.mark.parametrize("name", ["soft_threshold", "group_soft_threshold"])
def test_proximal_step_takes_a_symbolic_learning_rate_and_a_live_weight(
    name, engine, T, arrays, apply
):
    values = {"w": arrays("float32")["hid.w"]}
    manager, params, result = apply([(name, 0.5)], values)
    rate = T.scalar("rate", dtype="float64")
    step = function(
        [rate],
        result.constrain({params["w"]: 1 * params["w"]}, learning_rate=rate)[
            params["w"]
        ],
    )
    some = step(0.5)
    manager.weights[name] = 5.0
    np.testing.assert_allclose(step(0.05), some, rtol=1e-5, atol=1e-7)
    assert not step(1e3).any()


@pytest.mark.parametrize("name", ["soft_threshold", "group_soft_threshold"])
def test_proximal_step_shows_nan(name, constrained):
    w = np.array([[np.nan, 1.0], [0.1, 5.0]])
    result = constrained([(name, 0.5)], {"w": w}, learning_rate=1.0)["w"]
    assert np.isnan(result[0, 0])


@pytest.mark.parametrize("name", ["soft_threshold", "group_soft_threshold"])
def test_proximal_step_without_learning_rate_is_refused(name, constrained):
    with pytest.raises(regplug.OptionError, match=rf"{name} .*learning_rate"):
        constrained([(name, 0.5)], {"w": np.ones((2, 2))})


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("soft_threshold", "biases"), ("group_soft_threshold", "leave")],
)
def test_proximal_step_of_a_vector_alone_is_refused(name, remedy, constrained):
    with pytest.raises(regplug.NoMatchError, match=rf"{name} .* b \(.*{remedy}"):
        constrained([(name, 0.5)], {"b": np.ones(2)}, learning_rate=0.1)


def test_group_soft_threshold_refuses_an_axis_that_is_not_there(constrained):
    with pytest.raises(
        regplug.OptionError, match="axis 2 is not there: 'w' has 2 dimensions"
    ):
        constrained(
            [("group_soft_threshold", {"weight": 0.5, "axis": 2})],
            {"w": np.ones((2, 2))},
            learning_rate=0.1,
        )


def test_proximal_steps_need_a_weight():
    with pytest.raises(regplug.OptionError, match="soft_threshold: no weight given"):
        regplug.compose([("soft_threshold", {})])
