"""Penalties on recurrent states: the numbers, the gradients, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import OptionError, RegularizerError
from regplug.testing import evaluate, function, installed_engine

RELATIVE = {"float64": 1e-6, "float32": 1e-4}


def arrays(dtype):
    """Return two sequences of states, shape (batch, time, units)."""
    rng = np.random.default_rng(3)
    return {
        "a:out": rng.normal(size=(3, 4, 2)).astype(dtype),
        "b:out": rng.normal(size=(2, 3, 5)).astype(dtype),
    }


def norm_changes(h, time_axis):
    return (np.diff(np.linalg.norm(h, axis=-1), axis=time_axis) ** 2).mean()


def state_changes(h, time_axis):
    return (np.diff(h, axis=time_axis) ** 2).mean()


FORMULAS = {"recurrent_norm": norm_changes, "recurrent_state": state_changes}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("time_axis", [0, 1])
@pytest.mark.parametrize("name", FORMULAS)
def test_penalty_is_its_formula_in_numpy(penalty, differences, name, time_axis, dtype):
    exact = arrays("float64")
    value, gradients = penalty(name, arrays(dtype), time_axis=time_axis)

    def formula(**values):
        return np.mean([FORMULAS[name](h, time_axis) for h in values.values()])

    assert value.dtype == dtype
    np.testing.assert_allclose(value, formula(**exact), rtol=RELATIVE[dtype])
    for key in exact:
        expected = differences(
            lambda h, key=key: formula(**{**exact, key: h}), exact[key]
        )
        scale = abs(expected).max()
        np.testing.assert_allclose(
            gradients[key], expected, rtol=1e-6, atol=scale * max(RELATIVE[dtype], 1e-8)
        )


def test_recurrent_norm_has_a_finite_gradient_at_a_state_of_zeros(penalty):
    h = np.zeros((1, 3, 2))
    h[0, 1] = 3, 4
    value, gradients = penalty("recurrent_norm", {"a:out": h})
    assert value == 25
    np.testing.assert_allclose(
        gradients["a:out"][0], [[0, 0], [2 * 5 * 3 / 5, 2 * 5 * 4 / 5], [0, 0]]
    )


def test_recurrent_norm_is_zero_for_a_state_that_only_turns(penalty):
    h = np.array([[[3.0, 4.0], [-4.0, 3.0], [0.0, 5.0]]])
    assert penalty("recurrent_norm", {"a:out": h})[0] == 0
    assert penalty("recurrent_state", {"a:out": h})[0] > 0


def test_temporal_activation_is_recurrent_state():
    assert regplug.load("temporal_activation") is regplug.load("recurrent_state")


@pytest.mark.parametrize("name", FORMULAS)
def test_pattern_must_be_given(name):
    with pytest.raises(OptionError, match="'pattern' must be given"):
        regplug.compose([(name, 0.1)])


@pytest.mark.parametrize("name", FORMULAS)
def test_output_without_a_time_axis_is_refused_by_name_and_shape(penalty, name):
    who = rf"{name} \(regplug-recurrent 0\S*, loss\)"
    with pytest.raises(
        RegularizerError,
        match=rf"{who}: .*'v:out' has shape \(\S, \S\): it has no time axis 1",
    ):
        penalty(name, {"a:out": np.ones((2, 3, 4)), "v:out": np.ones((2, 3))})


@pytest.mark.parametrize("name", FORMULAS)
def test_the_axis_of_the_units_is_no_time_axis(penalty, name):
    with pytest.raises(RegularizerError, match="'a:out' .* no time axis 2"):
        penalty(name, {"a:out": np.ones((2, 3, 4))}, time_axis=2)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_sequence_that_is_known_to_have_one_step_is_refused(name):
    T = installed_engine().T
    h = T.matrix("h").dimshuffle(0, "x", 1)
    manager = regplug.compose([f"{name}=1@a:out"])
    with pytest.raises(
        RegularizerError,
        match=r"'a:out' has shape \(\?, 1, \?\): one step on time axis 1",
    ):
        manager.apply({"a:out": h})


@pytest.mark.parametrize("value", [-1, 1.0, "1"])
def test_time_axis_out_of_range_is_refused(value):
    with pytest.raises(OptionError, match=r"recurrent_norm\(time_axis="):
        regplug.compose(
            [("recurrent_norm", {"pattern": "*", "weight": 1, "time_axis": value})]
        )


@pytest.mark.parametrize("shape", [(3, 1, 2), (3, 0, 2), (0, 4, 2), (3, 4, 0)])
@pytest.mark.parametrize("name", FORMULAS)
def test_penalty_of_no_change_is_zero(penalty, name, shape):
    full = arrays("float64")["a:out"]
    value, gradients = penalty(name, {"a:out": full, "b:out": np.ones(shape)})
    alone, expected = penalty(name, {"a:out": full})
    np.testing.assert_allclose(value, alone / 2, rtol=1e-12)
    np.testing.assert_allclose(gradients["a:out"], expected["a:out"] / 2, rtol=1e-12)
    np.testing.assert_array_equal(gradients["b:out"], np.zeros(shape))


@pytest.mark.parametrize("scale", [1e-18, 1, 1e18])
def test_recurrent_norm_of_tiny_and_huge_states_is_right_in_float32(penalty, scale):
    h = (arrays("float64")["a:out"] * scale).astype("float32")
    value, gradients = penalty("recurrent_norm", {"a:out": h})
    h = h.astype("float64")
    lengths = np.linalg.norm(h, axis=-1)
    changes = np.diff(lengths, axis=1)
    np.testing.assert_allclose(value, (changes**2).mean(), rtol=1e-5, atol=1e-45)
    slopes = 2 * np.diff(np.pad(changes, ((0, 0), (1, 1))), axis=1) / changes.size
    expected = -slopes[..., None] * h / lengths[..., None]
    np.testing.assert_allclose(
        gradients["a:out"], expected, rtol=1e-4, atol=1e-5 * abs(expected).max()
    )


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e30])
def test_recurrent_norm_of_states_that_only_turn_is_zero_at_any_size(penalty, scale):
    h = np.array([[[3, 4], [-4, 3], [0, 5]]]) * scale
    value, gradients = penalty("recurrent_norm", {"a:out": h.astype("float32")})
    assert float(value) <= 1e-12 * scale**2
    assert np.isfinite(gradients["a:out"]).all()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
@pytest.mark.parametrize("name", FORMULAS)
def test_penalty_of_integers_is_that_of_the_numbers(name, dtype):
    h = np.random.default_rng(1).integers(
        *{"uint8": (0, 256), "int8": (-128, 128), "bool": (0, 2)}[dtype], (6, 5, 4)
    )
    x = installed_engine().T.TensorType(dtype, (None,) * 3)("x")
    value = evaluate(
        regplug.compose([f"{name}=1@a:out"]).apply({"a:out": x}).loss,
        {x: h.astype(dtype)},
    )
    np.testing.assert_allclose(value, FORMULAS[name](h.astype("float64"), 1), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.* is float16, and numba")
@pytest.mark.parametrize("name", FORMULAS)
def test_penalty_of_many_rows_of_float16_is_rounded_once(name):
    h = np.random.default_rng(1).uniform(0, 1, (70_000, 2, 1)).astype("float16")
    engine = installed_engine()
    x = engine.T.TensorType("float16", (None,) * 3)("x")
    loss = regplug.compose([f"{name}=1@a:out"]).apply({"a:out": x}).loss
    value, gradient = function([x], [loss, engine.grad(loss, x)])(h)
    assert value.dtype == gradient.dtype == "float16"
    np.testing.assert_allclose(value, FORMULAS[name](h.astype("float64"), 1), rtol=1e-3)
