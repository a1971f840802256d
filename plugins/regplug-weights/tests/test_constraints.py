"""Constraints: agreement with NumPy, exact no-ops inside the set, exact repetition, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import regplug

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def fan_in(w):
    return 0 if w.ndim == 2 else tuple(range(1, w.ndim))


def norms(w, axis):
    return np.sqrt((w.astype("float64") ** 2).sum(axis=axis, keepdims=True))


CASES = {
    "max_norm": ({"limit": 1.5}, lambda n: np.minimum(n, 1.5)),
    "unit_norm": ({}, np.ones_like),
    "min_max_norm": ({"low": 1.4, "high": 2.0}, lambda n: np.clip(n, 1.4, 2.0)),
    "min_max_norm rate": (
        {"low": 1.4, "high": 2.0, "rate": 0.25},
        lambda n: 0.25 * np.clip(n, 1.4, 2.0) + 0.75 * n,
    ),
}


@DTYPES
@pytest.mark.parametrize("axis", [None, 1, (0, 1), -1])
@pytest.mark.parametrize("case", CASES)
def test_norm_constraint_agrees_with_numpy_and_leaves_biases(
    case, axis, dtype, arrays, constrained
):
    options, desired = CASES[case]
    options = options if axis is None else {**options, "axis": axis}
    values = arrays(dtype)
    results = constrained([(case.split()[0], options)], values)
    for name in ("hid.w", "conv.w"):
        w = values[name]
        n = norms(w, fan_in(w) if axis is None else axis)
        assert results[name].dtype == dtype
        np.testing.assert_allclose(
            results[name], w * desired(n) / n, rtol=TOLERANCE[dtype]
        )
    np.testing.assert_array_equal(results["hid.b"], values["hid.b"])


@DTYPES
@pytest.mark.parametrize(
    "case", ["max_norm", "unit_norm", "min_max_norm", "non_negative"]
)
def test_constraint_changes_nothing_inside_its_set_to_the_bit(case, dtype, constrained):
    w = np.random.default_rng(2).normal(size=(300, 40)).astype(dtype)
    w *= np.linspace(0.01, 0.3, 40, dtype=dtype)  # norms of 0.17 to 5.2, some inside
    options = CASES.get(case, ({},))[0]
    once = constrained([(case, options)], {"w": w})["w"]
    twice = constrained([(case, options)], {"w": once})["w"]
    np.testing.assert_array_equal(once.view("uint8"), twice.view("uint8"))
    if case == "non_negative":
        inside = w >= 0
    else:
        n = norms(w, 0)
        low, high = {
            "max_norm": (0, 1.5),
            "unit_norm": (1, 1),
            "min_max_norm": (1.4, 2.0),
        }[case]
        inside = np.broadcast_to((n >= low) & (n <= high), w.shape)
    np.testing.assert_array_equal(once[inside], w[inside])
    assert not np.array_equal(once, w)


@DTYPES
def test_non_negative_sets_negative_values_to_zero_also_of_biases(
    dtype, arrays, constrained
):
    values = arrays(dtype)
    results = constrained([("non_negative", {})], values)
    for name, w in values.items():
        np.testing.assert_array_equal(results[name], np.maximum(w, 0))
        assert results[name].dtype == dtype


@pytest.mark.parametrize(
    ("name", "options"),
    [("max_norm", {"limit": 2.0}), ("unit_norm", {}), ("min_max_norm", {"low": 0.5})],
)
def test_norm_constraint_leaves_zeros_and_shows_nan(name, options, constrained):
    w = np.array([[0.0, 3.0, np.nan], [0.0, 4.0, 1.0]])
    result = constrained([(name, options)], {"w": w})["w"]
    assert not result[:, 0].any()
    assert np.isnan(result[:, 2]).all()
    assert np.isfinite(result[:, 1]).all()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("max_norm", {"limit": 0}, "0.0 is out of range: > 0"),
        ("max_norm", {"limit": -1.0}, "-1.0 is out of range: > 0"),
        ("max_norm", {"limit": float("inf")}, "inf is not a finite number"),
        ("max_norm", {}, "option 'limit' must be given"),
        ("max_norm", {"limit": 1.0, "axis": "0"}, "'0' is not of type"),
        ("min_max_norm", {"low": -0.5}, "-0.5 is out of range: >= 0"),
        ("min_max_norm", {"high": 0}, "0.0 is out of range: > 0"),
        ("min_max_norm", {"rate": 1.5}, "1.5 is out of range: >= 0, <= 1"),
    ],
)
def test_constraint_refuses_bad_options_when_composing(name, options, words):
    with pytest.raises(regplug.OptionError, match=words):
        regplug.compose([(name, options)])


def test_min_max_norm_refuses_low_above_high(constrained):
    with pytest.raises(
        regplug.OptionError,
        match=r"min_max_norm .*low 2.0 is above high 1.0: give 0 <= low <= high",
    ):
        constrained(
            [("min_max_norm", {"low": 2.0, "high": 1.0})], {"w": np.ones((2, 2))}
        )


@pytest.mark.parametrize("axis", [2, -3, (0, 2)])
@pytest.mark.parametrize(
    ("name", "options"),
    [("max_norm", {"limit": 1.0}), ("unit_norm", {}), ("min_max_norm", {})],
)
def test_norm_constraint_refuses_an_axis_that_is_not_there(
    name, options, axis, constrained
):
    with pytest.raises(
        regplug.OptionError,
        match=rf"{name} .*axis (2|-3) is not there: 'w' has 2 dimensions",
    ):
        constrained([(name, {**options, "axis": axis})], {"w": np.ones((2, 2))})


@pytest.mark.parametrize(
    ("name", "options"),
    [("max_norm", {"limit": 1.0}), ("unit_norm", {}), ("min_max_norm", {})],
)
def test_norm_constraint_of_a_vector_alone_is_refused(name, options, constrained):
    with pytest.raises(
        regplug.NoMatchError, match=rf"{name} .* matches b \(.*on which it does not act"
    ):
        constrained([(name, options)], {"b": np.ones(2)})
