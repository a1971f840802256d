"""The norm of the Jacobian, exactly and by random projections."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import NoMatchError, OptionError, RegularizerError
from regplug.graph.rewiring import toposort
from regplug.testing import evaluate, function, installed_engine

numba_has_no_float16 = pytest.mark.filterwarnings("ignore:.* is float16, and numba")
KINDS = [
    "dense",
    "linear",
    "gated",
    "deep",
    "softmax",
    "residual",
    "vector",
    "sequence",
]


def term(outputs, name="contractive", seed=0, **options):
    return regplug.compose(
        [(name, {"pattern": "hid:out", "weight": 1.0, **options})], seed=seed
    ).apply(outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_contractive_is_the_norm_by_finite_differences(model, exact, kind):
    m = model(kind)
    value = evaluate(term(m.outputs).loss, {m.x: m.value})
    np.testing.assert_allclose(value, exact(m.x, m.h, m.value), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_contractive_in_float32_is_that_in_float64(model, kind):
    values = []
    for dtype in ("float32", "float64"):
        m = model(kind, dtype)
        loss = term(m.outputs).loss
        assert loss.dtype == dtype
        values.append(
            function([m.x], [loss, installed_engine().grad(loss, m.w)])(m.value)
        )
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-4)
    np.testing.assert_allclose(
        values[0][1], values[1][1], rtol=1e-4, atol=1e-4 * abs(values[1][1]).max()
    )


@numba_has_no_float16
@pytest.mark.parametrize("name", ["contractive", "jacobian"])
def test_penalty_of_many_rows_of_float16_is_that_of_float32(model, name):
    # rows that add up to more than float16 holds
    rows = np.random.default_rng(3).normal(0, 0.1, size=(10_000, 4)).astype("float16")
    values = {}
    for dtype in ("float16", "float32"):
        m = model("linear", dtype)
        result = term(m.outputs, name)
        results = [result.loss, installed_engine().grad(result.loss, m.w)]
        values[dtype] = function([m.x], results)(rows.astype(dtype))
        assert result.loss.dtype == dtype
    np.testing.assert_allclose(values["float16"][0], values["float32"][0], rtol=1e-2)
    assert np.isfinite(values["float16"][1]).all()


@numba_has_no_float16
@pytest.mark.parametrize("scale", [4e4, 300, 1e-4])
def test_contractive_squares_and_sums_beyond_float16(scale):
    T = installed_engine().T
    x = T.TensorType("float16", (None, None))("x")
    w = T.as_tensor_variable(np.full((2, 2), scale, "float16"))
    # one dense layer; a graph with one row of the Jacobian a unit; a dense layer and a
    # graph
    expected = {T.dot(x, w): 4, T.dot(x * 1, w): 4, T.dot(x, w).sum(axis=1): 8}
    for h, value in expected.items():
        manager = regplug.compose(
            [("contractive", {"pattern": "hid:out", "weight": 1 / scale**2})]
        )
        loss = manager.apply({"in:out": x, "hid:out": h}).loss
        np.testing.assert_allclose(
            evaluate(loss, {x: np.zeros((3, 2), "float16")}), value, rtol=1e-2
        )


@pytest.mark.parametrize("name", ["contractive", "jacobian"])
@pytest.mark.parametrize("kind", KINDS)
def test_penalty_of_an_empty_batch_is_zero(model, kind, name):
    m = model(kind)
    loss = term(m.outputs, name).loss
    value, gradient = function([m.x], [loss, installed_engine().grad(loss, m.w)])(
        m.value[:0]
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_of_contractive_agrees_with_finite_differences(
    model, assert_gradient, kind
):
    m = model(kind)
    assert_gradient(m, term(m.outputs).loss)


@numba_has_no_float16
@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("kind", ["dense", "linear", "gated"])
def test_contractive_of_a_dense_layer_needs_no_jacobian(model, kind, dtype):
    m = model(kind, dtype)
    variables = [v for node in toposort([term(m.outputs).loss]) for v in node.outputs]
    assert max(v.ndim for v in variables) == 2
    assert not any(
        "Scan" in type(node.op).__name__ for node in toposort([term(m.outputs).loss])
    )


def test_contractive_of_a_dense_layer_is_its_closed_form(model):
    m = model("dense")
    slope = 1 - np.tanh(m.value @ m.w.get_value() + m.b.get_value()) ** 2
    expected = (slope**2 * (m.w.get_value() ** 2).sum(axis=0)).sum() / 3
    np.testing.assert_allclose(
        evaluate(term(m.outputs).loss, {m.x: m.value}), expected, rtol=1e-12
    )


@pytest.mark.parametrize("kind", ["dense", "deep"])
def test_contractive_sees_the_masks_of_the_forward_pass(model, exact, kind):
    m = model(kind)
    manager = regplug.compose(
        ["dropout=0.5@hid:out", "noise=0.3@in:out", "contractive=1@hid:out"], seed=3
    )
    result = manager.apply(m.outputs)
    value = evaluate(result.loss, {m.x: m.value})
    np.testing.assert_allclose(
        value, exact(m.x, result.outputs["hid:out"], m.value), rtol=1e-6
    )
    assert (
        abs(value / exact(m.x, m.h, m.value) - 1) > 0.01
    )  # else there is nothing to see


def test_contractive_is_the_mean_over_outputs_and_the_sum_over_inputs(exact):
    T = installed_engine().T
    x, y = T.matrix("x"), T.matrix("y")
    outputs = {
        "x:out": x,
        "y:out": y,
        "a:out": T.exp(x) * y**2,
        "b:out": T.sin(x),
        "c:out": x + y,
    }
    value = np.array([[0.2, -0.4], [1.0, 0.3]])
    manager = regplug.compose(
        [("contractive", {"pattern": ["a:out", "b:out"], "weight": 1})]
    )
    loss = manager.apply(outputs).loss
    # (d/dx) ** 2 + (d/dy) ** 2 of a, and (d/dx) ** 2 of b
    a = (np.exp(value) * value**2) ** 2 + (2 * np.exp(value) * value) ** 2
    expected = (a.sum() + (np.cos(value) ** 2).sum()) / 2 / 2
    np.testing.assert_allclose(
        evaluate(loss, {x: value, y: value}), expected, rtol=1e-12
    )


def test_one_input_under_two_names_counts_once(model):
    m = model("dense")
    outputs = {"in:pre": m.x, **m.outputs}
    np.testing.assert_allclose(
        evaluate(term(outputs, wrt="in:*").loss, {m.x: m.value}),
        evaluate(term(m.outputs).loss, {m.x: m.value}),
    )


def test_jacobian_is_contractive_in_the_mean_with_the_stated_variance(model):
    m = model("deep")
    row = m.value[:1]
    result = term(m.outputs, "jacobian")
    f = function([m.x], result.loss, updates=result.updates)
    exact = evaluate(term(m.outputs).loss, {m.x: row})
    j = np.stack(
        [
            evaluate(installed_engine().grad(m.h[:, c].sum(), m.x), {m.x: row})[0]
            for c in range(2)
        ]
    )
    variance = 2 * (2 * ((j @ j.T) ** 2).sum() - (j**2).sum() ** 2) / (2 + 2)
    assert abs(f(np.repeat(row, 20000, axis=0)) - exact) < 4 * np.sqrt(variance / 20000)
    assert 0.7 < np.var([f(row) for _ in range(400)]) / variance < 1.4


def test_jacobian_with_more_projections_is_their_mean(model):
    m = model("deep")
    row = m.value[:1]
    spread = []
    for projections in (1, 8):
        result = term(m.outputs, "jacobian", projections=projections)
        f = function([m.x], result.loss, updates=result.updates)
        values = [float(f(row)) for _ in range(60)]
        assert len(set(values)) == 60
        spread.append(np.std(values))
    assert 0.6 < spread[0] / spread[1] / np.sqrt(8) < 1.6


def test_jacobian_of_one_unit_or_of_the_identity_is_exact(model):
    m = model("vector")
    loss = [term(m.outputs, name).loss for name in ("jacobian", "contractive")]
    np.testing.assert_allclose(*function([m.x], loss)(m.value))
    outputs = {"in:out": m.x, "hid:out": 3 * m.x}
    np.testing.assert_allclose(
        evaluate(term(outputs, "jacobian").loss, {m.x: m.value}), 9 * 4
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jacobian_is_its_formula_in_numpy(model, dtype):
    m = model("dense", dtype)
    loss = term(m.outputs, "jacobian", seed=7, projections=2).loss
    w = m.w.get_value().astype("float64")
    slope = 1 - np.tanh(m.value @ w + m.b.get_value()) ** 2
    expected = 0
    for draw in range(2):
        v = regplug.noise.reference.normal(
            7, "jacobian", "hid:out", (3, 5), step=0, draw=draw, dtype=dtype
        )
        v = v / np.linalg.norm(v, axis=1, keepdims=True)
        expected += 5 / 2 * (((v * slope) @ w.T) ** 2).sum() / 3
    f = function([m.x], [loss, installed_engine().grad(loss, m.w)])
    value, gradient = f(m.value)
    assert value.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(
        value, expected, rtol=1e-6 if dtype == "float64" else 1e-4
    )


def test_gradient_of_jacobian_agrees_with_finite_differences(model, assert_gradient):
    m = model("deep")
    assert_gradient(m, term(m.outputs, "jacobian").loss)


@pytest.mark.parametrize("name", ["contractive", "jacobian"])
def test_wrt_that_matches_nothing_is_refused_by_name(model, name):
    with pytest.raises(
        NoMatchError,
        match=f"{name} .*'inn:out' matches none of the 2 outputs. Nearest: 'in:out'",
    ):
        term(model("dense").outputs, name, wrt="inn:out")


@pytest.mark.parametrize("name", ["contractive", "jacobian"])
def test_wrt_that_no_output_depends_on_is_refused_by_name(model, name):
    m = model("dense")
    T = installed_engine().T
    y = T.matrix("y")
    # a comparison and a shape carry no derivative
    outputs = m.outputs | {
        "t:out": y,
        "hid:out": m.h + T.cast(y > 0, y.dtype) * y.shape[0],
    }
    who = rf"{name} \(regplug-jacobian 0\S*, loss\)"
    with pytest.raises(
        RegularizerError, match=rf"{who}: .*'hid:out' does not depend on 't:out'"
    ):
        term(outputs, name, wrt="t:out")
    # what no layer reads is no input
    term(outputs, name)


def test_wrt_that_is_an_integer_is_refused_by_name(model):
    m = model("dense")
    T = installed_engine().T
    ids = T.ivector("ids")
    with pytest.raises(
        RegularizerError, match="'ids:out' is int32 and has no derivative"
    ):
        term({"ids:out": ids, "hid:out": m.w[ids]})


def test_a_scalar_is_refused_by_name(model):
    m = model("dense")
    for name in ("contractive", "jacobian"):
        with pytest.raises(RegularizerError, match="'hid:out' is a scalar"):
            term({"in:out": m.x, "hid:out": m.h.sum()}, name)


def test_projections_out_of_range_are_refused():
    with pytest.raises(
        OptionError, match=r"jacobian\(projections=0\): 0 is out of range: >= 1"
    ):
        regplug.compose([("jacobian", {"weight": 1, "projections": 0})])
