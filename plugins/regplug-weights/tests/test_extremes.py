"""Huge, tiny, equal and no weights, float16 and integers: right wherever the mathematics is finite."""

from __future__ import annotations

import numpy as np
import pytest

from regplug.testing import function

SIZES = [
    ("float32", 1e30),
    ("float32", 1e-30),
    ("float64", 1e200),
    ("float64", 1e-200),
]
WEIGHTS = {"weight_noise": 0.5, "drop_connect": 0.5}
EMPTY = [(0, 3), (3, 0), (0, 0), (0, 2, 2, 2), (3, 0, 2), (2, 3, 0, 1, 1)]


def normal(shape, dtype, size=1.0):
    """Return normal numbers of a size, as the dtype rounds them."""
    return (np.random.default_rng(7).normal(size=shape) * size).astype(dtype)


def flat(w):
    return w if w.ndim == 2 else w.reshape(len(w), -1).T


def group_directions(w):
    norms = np.sqrt((w**2).sum(axis=tuple(range(1, w.ndim)), keepdims=True))
    return np.sqrt(w[0].size) * w / norms


def largest_pair(w):
    """Return sigma u v', shaped as the parameter: the gradient of half the square of sigma."""
    u, s, vt = np.linalg.svd(flat(w), full_matrices=False)
    pair = s[0] * np.outer(u[:, 0], vt[0])
    return pair if w.ndim == 2 else pair.T.reshape(w.shape)


def nuclear_subgradient(w):
    u, _, vt = np.linalg.svd(flat(w), full_matrices=False)
    return u @ vt if w.ndim == 2 else (u @ vt).T.reshape(w.shape)


# gradients, as functions of weights of size 1, and how they grow with the size
GRADIENTS = {
    "weight_l1": ({"reduction": "sum"}, np.sign, 0),
    "weight_l2": ({"reduction": "sum"}, lambda w: 2 * w, 1),
    "elastic_net": ({"l1_ratio": 1.0}, np.sign, 0),
    "elastic_net ridge": ({"l1_ratio": 0.0}, lambda w: w, 1),
    "group_lasso": ({}, group_directions, 0),
    "spectral_penalty": ({"iterations": 20}, largest_pair, 1),
    "nuclear_norm": ({}, nuclear_subgradient, 0),
}


@pytest.mark.parametrize(("dtype", "size"), SIZES)
@pytest.mark.parametrize("shape", [(5, 4), (3, 2, 2, 2)])
@pytest.mark.parametrize("case", GRADIENTS)
def test_penalty_of_huge_and_tiny_weights_has_a_right_gradient(
    case, shape, dtype, size, penalty
):
    options, formula, power = GRADIENTS[case]
    w = normal(shape, dtype, size)
    with np.errstate(over="ignore"):  # the squares, where they are the term itself
        value, gradients = penalty(case.split()[0], {"w": w}, **options)

    expected = formula(w.astype("float64") / size) * size**power
    tolerance = 1e-5 * abs(expected).max()
    np.testing.assert_allclose(gradients["w"], expected, rtol=1e-5, atol=tolerance)
    if power == 0:  # Euler: such a term is the product of weights and gradient
        expected_value = (w.astype("float64") / size * expected).sum() * size
        np.testing.assert_allclose(value, expected_value, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "size"), SIZES)
@pytest.mark.parametrize("mode", ["columns", "rows"])
def test_cosine_does_not_depend_on_the_size_of_weights(mode, dtype, size, penalty):
    w = normal((4, 3), dtype)
    options = {"kind": "cosine", "mode": mode}
    value, gradients = penalty("orthogonality", {"w": w}, **options)

    scaled, scaled_gradients = penalty(
        "orthogonality", {"w": w * w.dtype.type(size)}, **options
    )

    np.testing.assert_allclose(scaled, value, rtol=1e-5)
    found = scaled_gradients["w"] * size
    np.testing.assert_allclose(found, gradients["w"], rtol=1e-4, atol=1e-6)


# the square root of the smallest epsilon is 2e-162: weights of 1e-200 are nothing to it
@pytest.mark.parametrize(("dtype", "size"), [*SIZES[:3], ("float64", 1e-140)])
@pytest.mark.parametrize("shape", [(5, 4), (3, 2, 2, 2)])
@pytest.mark.parametrize("name", ["spectral_norm", "weight_standardization"])
def test_reparametrization_of_huge_and_tiny_weights_is_that_of_their_directions(
    name, shape, dtype, size, engine, apply
):
    target = normal(shape, dtype).T.reshape(shape)
    found = []
    for each in (1, size):
        options = {"epsilon": 5e-324} if name == "weight_standardization" else {}
        w = normal(shape, dtype) * np.asarray(each, dtype)
        _, params, result = apply([(name, options)], {"w": w})
        cost = (result.outputs["w:out"] * target).sum()
        out, gradient = function(
            [], [result.outputs["w:out"], *engine.grad(cost, list(params.values()))]
        )()
        assert out.dtype == gradient.dtype == dtype
        found.append((out, gradient * each))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-8, 1e-100])
@pytest.mark.parametrize("window", [None, (7, 1), (7, 1, 3)])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float16", 1.0),
        ("float16", 1e4),
        ("float32", 1e4),
        ("float32", 1e30),
        ("float64", 1e200),
    ],
)
def test_weight_standardization_of_equal_weights_is_exactly_zero(
    dtype, size, window, epsilon, engine, apply
):
    units = normal(50, dtype, size)  # of so many some have a mean that is rounded
    w = np.tile(units, (7, 1))
    if window is not None:
        w = np.broadcast_to(units.reshape(-1, *[1] * len(window)), (50, *window)).copy()
    _, params, result = apply(
        [("weight_standardization", {"epsilon": epsilon})], {"w": w}
    )
    out = result.outputs["w:out"]
    found, gradient = function(
        [], [out, *engine.grad((out**2).sum(), list(params.values()))]
    )()
    assert not found.any()
    assert not gradient.any()


@pytest.mark.parametrize(
    ("dtype", "size"), [("float16", 1e4), ("float16", 1e-4), ("float32", 1e-4)]
)
def test_weight_standardization_counts_epsilon_where_it_is_a_part_of_the_variance(
    dtype, size, apply
):
    w = normal((6, 4), dtype, size)
    _, _, result = apply([("weight_standardization", {})], {"w": w})
    found = function([], result.outputs["w:out"])()
    exact = w.astype("float64")
    expected = (exact - exact.mean(axis=0)) / np.sqrt(exact.var(axis=0) + 1e-8)
    assert found.dtype == dtype
    tolerance = 2e-3 if dtype == "float16" else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


NORMS = {
    "max_norm": ({"limit": 1.5}, lambda n: np.minimum(n, 1.5)),
    "unit_norm": ({}, np.ones_like),
    "min_max_norm": ({"low": 0.5, "high": 1.5}, lambda n: np.clip(n, 0.5, 1.5)),
}


@pytest.mark.parametrize(
    ("dtype", "size"), [*SIZES, ("float16", 1e4), ("float16", 1e-4), ("float32", 1e9)]
)
@pytest.mark.parametrize("case", NORMS)
def test_norm_constraint_of_huge_and_tiny_weights_gives_the_norm(
    case, dtype, size, constrained
):
    options, desired = NORMS[case]
    w = normal((5, 4), dtype, size)
    found = constrained([(case, options)], {"w": w})["w"]
    exact = w.astype("float64") / size
    norms = np.linalg.norm(exact, axis=0)
    expected = exact * (desired(norms * size) / norms)
    assert found.dtype == dtype
    tolerance = 2e-3 if dtype == "float16" else 1e-5
    np.testing.assert_allclose(found, expected, rtol=tolerance)


@pytest.mark.parametrize(("dtype", "size"), SIZES)
def test_group_soft_threshold_of_huge_and_tiny_weights_shrinks_their_norms(
    dtype, size, constrained
):
    w = normal((5, 4), dtype, size)
    exact = w.astype("float64") / size
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    threshold = 1.01 * np.median(norms)
    step = [("group_soft_threshold", {"weight": threshold / 2 * size})]
    found = constrained(step, {"w": w}, learning_rate=1.0)["w"]
    expected = size * exact * np.maximum(1 - threshold / norms, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * size)
    np.testing.assert_array_equal(found.any(axis=1), norms[:, 0] > threshold)


def test_soft_threshold_of_float16_shrinks_by_less_than_float16_holds(constrained):
    w = np.array([[1.0, 3e-8, 0.001]], "float16")
    step = [("soft_threshold", {"weight": 1e-4})]
    found = constrained(step, {"w": w}, learning_rate=1e-3)["w"]
    expected = np.maximum(w.astype("float64") - 1e-7, 0).astype("float16")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "options", "value", "expected"),
    [
        ("weight_l2", {"reduction": "sum"}, 300.0, 300.0**2 * 12),
        ("weight_l1", {"reduction": "sum"}, 1e4, 1e4 * 12),
        ("elastic_net", {"l1_ratio": 1.0}, 300.0, 300.0 * 12),
        ("group_lasso", {}, 300.0, 4 * np.sqrt(3) * 300 * np.sqrt(3)),
        ("orthogonality", {"kind": "cosine"}, 1e-4, 1.0),
        ("orthogonality", {"kind": "cosine"}, 1e4, 1.0),
        ("spectral_penalty", {}, 100.0, 100.0**2 * 12 / 2),
        ("nuclear_norm", {}, 1e4, 1e4 * np.sqrt(12)),
    ],
)
def test_penalty_of_float16_is_computed_in_a_wider_dtype(
    name, options, value, expected, penalty
):
    w = np.full((4, 3), value, "float16")
    # the weight brings the term back into what float16 holds
    found, gradients = penalty(name, {"w": w}, **{**options, "weight": 2.0**-10})
    assert found.dtype == gradients["w"].dtype == "float16"
    np.testing.assert_allclose(found, expected * 2.0**-10, rtol=2e-3)
    assert np.isfinite(gradients["w"]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elastic_net_of_l1_ratio_one_is_finite_where_squares_are_not(dtype, penalty):
    w = np.full((2, 2), 1e20 if dtype == "float32" else 1e200, dtype)
    value, gradients = penalty("elastic_net", {"w": w}, l1_ratio=1.0)
    np.testing.assert_allclose(value, 4 * w[0, 0].astype("float64"), rtol=1e-6)
    np.testing.assert_array_equal(gradients["w"], np.ones_like(w))


PENALTIES = {
    "weight_l2": {},
    "weight_l1": {},
    "elastic_net": {},
    "group_lasso": {},
    "orthogonality": {},
    "orthogonality cosine": {"kind": "cosine"},
    "orthogonality rows": {"mode": "rows"},
    "spectral_penalty": {},
    "nuclear_norm": {},
    "l2_sp": {},
}
MEANS = ("weight_l2", "weight_l1")  # over the parameters: a term of 0 counts there, too


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize("case", PENALTIES)
def test_penalty_of_a_parameter_with_a_side_of_zero_is_zero(case, shape, penalty):
    values = {"w": np.zeros(shape, "float32")}
    value, gradients = penalty(case.split()[0], values, **PENALTIES[case])
    assert value == 0
    assert gradients["w"].shape == shape


@pytest.mark.parametrize("case", [case for case in PENALTIES if case not in MEANS])
def test_penalty_adds_nothing_for_a_side_of_zero_beside_other_parameters(case, penalty):
    full = {"w": normal((4, 3), "float64")}
    alone = penalty(case.split()[0], full, **PENALTIES[case])[0]
    values = {**full, "none.w": np.zeros((0, 3))}
    assert penalty(case.split()[0], values, **PENALTIES[case])[0] == alone


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize(
    "name", ["weight_noise", "drop_connect", "spectral_norm", "weight_standardization"]
)
def test_change_of_a_parameter_with_a_side_of_zero_leaves_it(name, shape, apply):
    options = {"weight": WEIGHTS[name]} if name in WEIGHTS else {}
    _, _, result = apply([(name, options)], {"w": np.zeros(shape, "float32")})
    step = function([], result.outputs["w:out"], updates=result.updates)
    for _ in range(2):
        out = step()
        assert out.shape == shape
        assert out.dtype == "float32"


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("max_norm", {"limit": 1.0}),
        ("unit_norm", {}),
        ("min_max_norm", {"low": 0.5}),
        ("non_negative", {}),
        ("soft_threshold", {"weight": 1.0}),
        ("group_soft_threshold", {"weight": 1.0}),
        ("group_soft_threshold", {"weight": 1.0, "axis": -1}),
    ],
)
def test_constraint_of_a_parameter_with_a_side_of_zero_leaves_it(
    name, options, shape, constrained
):
    found = constrained([(name, options)], {"w": np.zeros(shape)}, learning_rate=0.1)[
        "w"
    ]
    assert found.shape == shape


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool"])
@pytest.mark.parametrize("case", [*PENALTIES, "l2_sp moved"])
def test_penalty_of_integers_is_that_of_equal_floats(case, dtype, engine, apply):
    options = {"weight": 1.0, **PENALTIES.get(case, {})}
    w = (normal((5, 4), "float64") * 60).astype("int8")
    w = (w > 0 if dtype == "bool" else w).astype(dtype)
    terms = []
    for each in (dtype, "float64"):
        manager, params, result = apply(
            [(case.split()[0], options)], {"w": w.astype(each)}
        )
        if case == "l2_sp moved":
            params["w"].set_value(w[::-1].astype(each))
        terms.append(function([], result.loss, updates=result.updates)())
        kept = manager.state()["arrays"] or {}
        assert all(array.dtype.kind == "f" for array in kept.values())
    np.testing.assert_allclose(terms[0], terms[1], rtol=1e-6)
    assert terms[1] > 0 or case == "l2_sp"


@pytest.mark.parametrize("shape", [(5, 1), (1, 5), (1, 1), (1, 3, 2)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_spectral_norm_of_one_unit_or_one_input_has_norm_one(dtype, shape, apply):
    w = normal(shape, dtype)
    _, _, result = apply([("spectral_norm", {})], {"w": w})
    found = function([], result.outputs["w:out"], updates=result.updates)()
    expected = w.astype("float64") / np.linalg.norm(w.astype("float64"))
    assert found.dtype == dtype
    tolerance = 1e-3 if dtype == "float16" else 1e-6
    np.testing.assert_allclose(found, expected, rtol=tolerance)


@pytest.mark.parametrize("size", [1e4, 1e-4])
def test_spectral_norm_of_float16_is_computed_in_float32(size, apply):
    w = normal((6, 4), "float16", size)
    manager, _, result = apply([("spectral_norm", {"iterations": 20})], {"w": w})
    found = function([], result.outputs["w:out"], updates=result.updates)()
    exact = w.astype("float64")
    expected = exact / np.linalg.svd(exact, compute_uv=False)[0]
    assert found.dtype == "float16"
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert manager.state()["arrays"]["spectral_norm/w"].dtype == "float32"
