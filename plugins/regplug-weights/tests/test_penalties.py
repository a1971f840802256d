"""Penalties: value and gradient against NumPy written out and finite differences, and what they refuse."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import regplug
from regplug.graph.rewiring import toposort
from regplug.testing import evaluate, function

W = ("hid.w", "conv.w")
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def flat(w):
    return w if w.ndim == 2 else w.reshape(len(w), -1).T


def singular(w):
    return np.linalg.svd(flat(w), compute_uv=False)


def gram(w, mode):
    m = flat(w) if mode == "columns" else flat(w).T
    return ((m.T @ m - np.eye(m.shape[1])) ** 2).sum()


def cosine(w, mode):
    m = flat(w) if mode == "columns" else flat(w).T
    n = m.shape[1]
    pairs = [(i, j) for i in range(n) for j in range(i)]
    return np.mean(
        [
            abs(m[:, i] @ m[:, j]) / np.linalg.norm(m[:, i]) / np.linalg.norm(m[:, j])
            for i, j in pairs
        ]
    )


def group_norms(w, axis):
    moved = np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1)
    return sum(np.sqrt(moved.shape[1]) * np.linalg.norm(group) for group in moved)


CASES = {
    "weight_l2": ({}, lambda p: sum((p[k] ** 2).mean() for k in W) / 2),
    "weight_decay": (
        {"biases": True},
        lambda p: sum((w**2).mean() for w in p.values()) / 3,
    ),
    "weight_l2 sum": (
        {"reduction": "sum"},
        lambda p: sum((p[k] ** 2).sum() for k in W),
    ),
    "weight_l2 half": (
        {"reduction": "sum", "half": True},
        lambda p: sum((p[k] ** 2).sum() for k in W) / 2,
    ),
    "weight_l1": ({}, lambda p: sum(abs(p[k]).mean() for k in W) / 2),
    "weight_sparsity": (
        {"biases": True},
        lambda p: sum(abs(w).mean() for w in p.values()) / 3,
    ),
    "weight_l1 sum": ({"reduction": "sum"}, lambda p: sum(abs(p[k]).sum() for k in W)),
    "elastic_net": (
        {},
        lambda p: sum(0.5 * abs(p[k]).sum() + 0.25 * (p[k] ** 2).sum() for k in W),
    ),
    "elastic_net ratio": (
        {"l1_ratio": 0.9, "biases": True},
        lambda p: sum(0.9 * abs(w).sum() + 0.05 * (w**2).sum() for w in p.values()),
    ),
    "group_lasso": ({}, lambda p: sum(group_norms(p[k], 0) for k in W)),
    "group_lasso columns": (
        {"axis": -1},
        lambda p: sum(group_norms(p[k], -1) for k in W),
    ),
    "orthogonality": ({}, lambda p: sum(gram(p[k], "columns") for k in W)),
    "orthogonality rows": (
        {"mode": "rows"},
        lambda p: sum(gram(p[k], "rows") for k in W),
    ),
    "orthogonality cosine": (
        {"kind": "cosine"},
        lambda p: sum(cosine(p[k], "columns") for k in W),
    ),
    "orthogonality cosine rows": (
        {"kind": "cosine", "mode": "rows"},
        lambda p: sum(cosine(p[k], "rows") for k in W),
    ),
    "spectral_penalty": (
        {"iterations": 5, "steps": 12},
        lambda p: sum(singular(p[k])[0] ** 2 / 2 for k in W),
    ),
    "nuclear_norm": ({}, lambda p: sum(singular(p[k]).sum() for k in W)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_penalty_agrees_with_numpy_and_finite_differences(case, dtype, arrays, penalty):
    options, formula = CASES[case]
    values = arrays(dtype)
    exact = {name: value.astype("float64") for name, value in values.items()}

    value, gradients = penalty(case.split()[0], values, **options)

    assert value.dtype == dtype
    np.testing.assert_allclose(value, formula(exact), rtol=TOLERANCE[dtype])
    for name, gradient in gradients.items():
        differences = finite_differences(formula, exact, name)
        tolerance = TOLERANCE[dtype] * abs(gradient).max()
        np.testing.assert_allclose(
            gradient, differences, rtol=TOLERANCE[dtype], atol=tolerance
        )
    is_counted = options.get("biases", False)
    assert gradients["hid.b"].any() == is_counted


def finite_differences(formula, values, name, h=1e-5):
    gradient = np.zeros_like(values[name])
    for index in np.ndindex(gradient.shape):
        moved = {sign: {**values, name: values[name].copy()} for sign in (1, -1)}
        for sign, each in moved.items():
            each[name][index] += sign * h
        gradient[index] = (formula(moved[1]) - formula(moved[-1])) / (2 * h)
    return gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_l2_sp_is_the_distance_from_the_values_at_apply(dtype, engine, arrays, apply):
    values = arrays(dtype)
    manager, params, result = apply([("l2_sp", 1.0)], values)
    compute = function(
        [], [result.loss, *engine.grad(result.loss, list(params.values()))]
    )
    assert compute()[0] == 0
    for name, value in values.items():
        params[name].set_value(value + 2)

    value, *gradients = compute()

    np.testing.assert_allclose(
        value, 4 * sum(each.size for each in values.values()), rtol=TOLERANCE[dtype]
    )
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 4, rtol=TOLERANCE[dtype])
    kept = manager.state()["arrays"]
    assert set(kept) == {f"l2_sp/{name}" for name in values}
    np.testing.assert_array_equal(kept["l2_sp/hid.b"], values["hid.b"])
    assert not result.updates


def test_l2_sp_restored_in_a_new_manager_keeps_its_starting_values(
    engine, arrays, apply
):
    manager, _, _ = apply([("l2_sp", 1.0)], arrays("float64"))
    moved = {name: value + 1 for name, value in arrays("float64").items()}
    other = regplug.compose([("l2_sp", 1.0)])
    other.restore(manager.state())
    params = {name: engine.shared(value, name=name) for name, value in moved.items()}

    result = other.apply(
        {"out:out": sum(each.sum() for each in params.values())}, params=params
    )

    np.testing.assert_allclose(
        function([], result.loss)(), sum(value.size for value in moved.values())
    )


def test_l2_sp_keeps_its_first_values_at_a_second_apply_and_takes_new_ones_at_restart(
    engine,
):
    w = engine.shared(np.array([1.0, 2.0]), name="w")
    manager = regplug.compose([("l2_sp", 0.5)])

    def apply():
        return function([], manager.apply({"out:out": w.sum()}, params={"w": w}).loss)

    first = apply()
    w.set_value(np.array([4.0, 6.0]))  # other weights are loaded
    second = apply()
    assert first() == second() == 0.5 * (3**2 + 4**2)
    manager.restart()
    assert first() == second() == 0
    w.set_value(np.array([4.0, 5.0]))
    assert first() == second() == 0.5


def test_l2_sp_of_a_second_model_of_equal_names_is_refused(engine):
    w, v = (
        engine.shared(np.array(values), name="w")
        for values in ([1.0, 2.0], [11.0, 12.0])
    )
    manager = regplug.compose([("l2_sp", 1.5)])
    manager.apply({"out:out": w.sum()})
    with pytest.raises(regplug.ModelError, match="compose a manager of its own"):
        manager.apply({"out:out": v.sum()})
    assert list(manager.state()["arrays"]["l2_sp/w"]) == [1, 2]


def test_l2_sp_after_an_apply_that_failed_begins_with_the_next_model(engine):
    w, v = (
        engine.shared(np.array(values).reshape(1, 2, 1, 1), name="w")
        for values in ([1.0, 2.0], [11.0, 12.0])
    )
    vector = engine.shared(np.ones(2), name="v")
    manager = regplug.compose(
        [
            ("l2_sp", {"pattern": "w", "weight": 1.5}),
            ("group_lasso", {"weight": 1.0, "axis": 3}),
        ]
    )
    with pytest.raises(regplug.RegplugError, match="group_lasso"):
        manager.apply(
            {"out:out": w.sum() * vector.reshape((2, 1)).sum()},
            params={"w": w, "v": vector.reshape((2, 1))},
        )
    with pytest.raises(regplug.NoMatchError, match="l2_sp"):
        manager.apply({"out:out": w.sum()}, params={"kernel": w})
    assert manager.state()["arrays"] is None
    result = manager.apply({"out:out": v.sum()})
    assert (
        function([], result.terms["l2_sp"])() == 0
    )  # 300 from the first model's values
    v.set_value(np.array([13.0, 12.0]).reshape(1, 2, 1, 1))
    assert function([], result.terms["l2_sp"])() == 1.5 * 2**2


@pytest.mark.parametrize("is_early", [True, False])
def test_l2_sp_resumed_pulls_to_the_values_of_the_first_run(is_early, engine):
    w = engine.shared(np.array([1.0, 2.0]), name="w")
    manager = regplug.compose([("l2_sp", 0.5)])
    manager.apply({"out:out": w.sum()})
    state = manager.state()
    v = engine.shared(np.array([1.5, 2.25]), name="w")
    resumed = regplug.compose([("l2_sp", 0.5)])
    if is_early:
        resumed.restore(state)
    result = resumed.apply({"out:out": v.sum()})
    if not is_early:
        for arrays in ({}, {"l2_sp/v": [1.0, 2.0]}, {"l2_sp/w": [np.nan, 2.0]}):
            with pytest.raises(regplug.CompositionError, match="l2_sp/"):
                resumed.restore({**state, "arrays": arrays})
        resumed.restore(state)
    assert function([], result.loss)() == 0.5 * (0.5**2 + 0.25**2)


@pytest.mark.parametrize(
    "name",
    ["group_lasso", "orthogonality", "spectral_penalty", "nuclear_norm", "elastic_net"],
)
def test_penalty_of_zeros_is_finite_with_finite_gradient(name, penalty):
    value, gradients = penalty(
        name, {"hid.w": np.zeros((3, 2)), "conv.w": np.zeros((2, 3, 1, 1))}
    )
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("group_lasso", {}),
        ("orthogonality", {}),
        ("orthogonality", {"kind": "cosine"}),
        ("spectral_penalty", {}),
    ],
)
def test_penalty_shows_nan(name, options, penalty):
    value, _ = penalty(name, {"w": np.array([[1.0, 2.0], [np.nan, 3.0]])}, **options)
    assert np.isnan(value)


def test_orthogonality_of_orthogonal_columns_is_zero(penalty):
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 3)))[0]
    for options in ({}, {"kind": "cosine"}):
        value, gradients = penalty("orthogonality", {"w": q}, **options)
        np.testing.assert_allclose(value, 0, atol=1e-12)
    assert penalty("orthogonality", {"w": 2 * q})[0] == pytest.approx(3 * 9)
    assert penalty("orthogonality", {"w": 2 * q}, kind="cosine")[0] == pytest.approx(
        0, abs=1e-12
    )


def test_orthogonality_of_one_column_has_the_mean_cosine_zero(penalty):
    assert penalty("orthogonality", {"w": np.ones((3, 1))}, kind="cosine")[0] == 0


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4)])
def test_nuclear_norm_of_low_rank_matches_svd_and_the_subgradient_of_least_norm(
    shape, penalty
):
    rng = np.random.default_rng(1)
    w = rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1]))
    u, s, vt = np.linalg.svd(w, full_matrices=False)

    value, gradients = penalty("nuclear_norm", {"w": w})

    np.testing.assert_allclose(value, s[:2].sum(), rtol=1e-6)
    np.testing.assert_allclose(gradients["w"], u[:, :2] @ vt[:2], atol=1e-6)


def test_nuclear_norm_of_equal_singular_values_has_an_exact_gradient(penalty):
    q = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 3)))[0]
    value, gradients = penalty("nuclear_norm", {"w": 3 * q})
    assert value == pytest.approx(9)
    np.testing.assert_allclose(gradients["w"], q, atol=1e-12)


def spectrum(shape, values, dtype):
    """Return a matrix with these singular values, as the dtype rounds it."""
    rng = np.random.default_rng(4)
    u = np.linalg.qr(rng.normal(size=(shape[0], len(values))))[0]
    v = np.linalg.qr(rng.normal(size=(shape[1], len(values))))[0]
    return ((u * values) @ v.T).astype(dtype)


def kernel_of(matrix, window):
    """Return a kernel (units, ...) that is flattened to a matrix (inputs, units)."""
    return matrix.T.reshape(matrix.shape[1], *window)


@pytest.mark.parametrize("condition", [1e3, 1e4, 1e6])
@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((64, 256), None),
        ((40, 24), None),
        ((20, 20), None),
        ((12, 6), (12,)),
        ((12, 6), (3, 4)),
        ((12, 6), (1, 2, 6)),
    ],
)
def test_nuclear_norm_in_float32_agrees_with_an_svd_in_float64(
    shape, window, condition, penalty
):
    w = spectrum(shape, np.geomspace(1, 1 / condition, min(shape)), "float32")
    u, s, vt = np.linalg.svd(w.astype("float64"), full_matrices=False)
    given = w if window is None else kernel_of(w, window)

    value, gradients = penalty("nuclear_norm", {"w": given})

    expected = u @ vt if window is None else kernel_of(u @ vt, window)
    np.testing.assert_allclose(value, s.sum(), rtol=1e-6)
    error = np.linalg.norm(gradients["w"] - expected)
    assert error < 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("epsilon", "smallest", "is_counted"),
    [
        (None, 1e-3, True),
        (None, 1e-5, True),
        (None, 1e-6, True),
        (None, 3e-7, True),
        (None, 3e-8, False),
        (1e-4, 3e-4, True),
        (1e-4, 3e-5, False),
    ],
)
def test_nuclear_norm_leaves_out_singular_values_below_its_floor(
    epsilon, smallest, is_counted, dtype, penalty
):
    # 64 times larger than 1, because the floor is relative
    w = np.diag([64.0, 8.0, 64 * smallest]).astype(dtype)
    options = {} if epsilon is None else {"epsilon": epsilon}

    value, gradients = penalty("nuclear_norm", {"w": w}, **options)

    expected = np.diag([1.0, 1.0, float(is_counted)])
    np.testing.assert_allclose(gradients["w"], expected, atol=1e-6)
    np.testing.assert_allclose(value, (w * expected).sum(), rtol=1e-7)


def test_nuclear_norm_of_zeros_has_the_gradient_zero(penalty):
    value, gradients = penalty("nuclear_norm", {"w": np.zeros((4, 3), "float32")})
    assert value == 0
    assert not gradients["w"].any()


def test_nuclear_norm_decomposes_in_float64(apply):
    # NumPy does in any case, numba and LAPACK's own routines for float32 do not
    _, _, result = apply([("nuclear_norm", 1.0)], {"w": np.ones((4, 3), "float32")})
    nodes = [node for node in toposort([result.loss], set()) if "SVD" in str(node.op)]
    assert [node.inputs[0].dtype for node in nodes] == ["float64"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nuclear_norm_of_nan_or_inf_is_nan_and_no_failure_of_lapack(value, penalty):
    found, _ = penalty("nuclear_norm", {"w": np.array([[1.0, value], [2.0, 3.0]])})
    assert np.isnan(found)


VECTORS = [
    "weight_l1",
    "weight_l2",
    "elastic_net",
    "group_lasso",
    "orthogonality",
    "spectral_penalty",
    "nuclear_norm",
]


@pytest.mark.parametrize("name", VECTORS)
def test_penalty_of_a_vector_alone_is_refused_with_the_remedy(name, penalty):
    has_option = name in ("weight_l1", "weight_l2", "elastic_net")
    remedy = "biases" if has_option else "leave"
    with pytest.raises(regplug.NoMatchError, match=rf"^{name} .* hid.b \(.*{remedy}"):
        penalty(name, {"hid.b": np.ones(3)})


@pytest.mark.parametrize("axis", [2, -3])
def test_group_lasso_refuses_an_axis_that_is_not_there(axis, penalty):
    with pytest.raises(
        regplug.OptionError,
        match=rf"group_lasso .*axis {axis} .*'hid.w' has 2 dimensions.*-2 to 1",
    ):
        penalty("group_lasso", {"hid.w": np.ones((3, 2))}, axis=axis)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("elastic_net", {"l1_ratio": 1.5}, "1.5 is out of range: >= 0, <= 1"),
        ("orthogonality", {"kind": "grams"}, "'grams' is not one of"),
        ("orthogonality", {"mode": "row"}, "'row' is not one of"),
        ("spectral_penalty", {"iterations": 0}, "0 is out of range: >= 1, <= 20"),
        ("nuclear_norm", {"epsilon": 0}, "0.0 is out of range: > 0"),
        ("weight_l2", {"reduction": "average"}, "'average' is not one of"),
        ("group_lasso", {"axis": 0.5}, "0.5 is not of type int"),
    ],
)
def test_penalty_refuses_bad_options_when_composing(name, options, words):
    with pytest.raises(regplug.OptionError, match=rf"{name}\(.*{words}"):
        regplug.compose([(name, {"weight": 1.0, **options})])


def test_penalty_weight_is_live_and_zero_is_off(arrays, apply):
    manager, _, result = apply(
        [("elastic_net", 0.5), ("group_lasso", 0.25)], arrays("float64")
    )
    compute = function([], [result.loss, *result.terms.values()])
    total, net, lasso = compute()
    assert total == pytest.approx(net + lasso)
    manager.weights["elastic_net"] = 0
    manager.weights["group_lasso"] = 0.5
    assert list(compute()) == pytest.approx([2 * lasso, 0, 2 * lasso])


@pytest.mark.parametrize("name", ["group_lasso", "group_soft_threshold"])
def test_groups_of_a_kernel_are_its_units_where_the_model_knows_them(name, engine):
    """On an engine or in a library that has the units of kernels last."""
    values = np.random.default_rng(1).normal(size=(3, 2, 4))
    k = engine.shared(values, name="k")
    model = regplug.as_model({"h:out": k * 1}, {"k": k})

    def of(model, **options):
        options = {"weight": 0.3, **options}
        result = regplug.compose([(name, options)]).apply(model)
        if name == "group_lasso":
            return evaluate(result.loss)
        return evaluate(result.constrain({k: k * 1}, learning_rate=1.0)[k])

    known = dataclasses.replace(model, known_unit_axis={"k": 2})
    assert not np.allclose(of(known), of(model))
    np.testing.assert_array_equal(of(known), of(model, axis=2))
    np.testing.assert_array_equal(of(model), of(model, axis=0))
    np.testing.assert_array_equal(of(known, axis=1), of(model, axis=1))
