"""Sparse variables and others that are no dense tensors: inside a model, and where they are refused."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import regplug
from regplug import ModelError, Regularizer, RegularizerError, hookimpl
from regplug.noise import reference
from regplug.testing import evaluate, function

scipy_sparse = pytest.importorskip("scipy.sparse")
DATA = np.array([[0.0, 2, 0], [1, 0, 0], [0, 0, 3], [0, 0, 0]])


@pytest.fixture
def sparse(engine):
    """Return the engine's module of sparse variables."""
    return importlib.import_module(f"{engine.T.__name__.partition('.')[0]}.sparse")


def shared_data(engine, sparse):
    """Return a sparse shared matrix, which each engine makes in a way of its own."""
    shared = getattr(sparse, "shared", engine.shared)
    return shared(scipy_sparse.csr_matrix(DATA), name="data")


def model_of(engine, sparse, data):
    """Return w, h and y: tanh of the sparse data times a dense weight, and twice that."""
    w = engine.shared(np.arange(6.0).reshape(3, 2) / 10, name="w")
    h = engine.T.tanh(sparse.structured_dot(data, w))
    y = 2 * h
    h.name, y.name = "h", "y"
    return w, h, y


@pytest.mark.parametrize("kind", ["shared", "input"])
def test_model_of_sparse_data_trains(kind, engine, sparse, T):
    is_input = kind == "input"
    data = (
        sparse.csr_matrix("data", dtype="float64")
        if is_input
        else shared_data(engine, sparse)
    )
    w, h, y = model_of(engine, sparse, data)
    start = w.get_value()
    composition = ["dropout=0.5@h", ("weight_l2", {"pattern": "*", "weight": 0.1})]
    result = regplug.compose(composition, seed=7).apply(y)
    assert list(result.outputs) == ["h", "y"]
    assert result.matches == {"dropout": ["h"], "weight_l2": ["w"]}
    cost = result.outputs["y"].mean() + result.loss
    inputs, values = ([data], [scipy_sparse.csr_matrix(DATA)]) if is_input else ([], [])
    updates = [(w, w - 0.1 * engine.grad(cost, w)), *result.updates.items()]
    step = function(inputs, [result.outputs["y"], result.loss], updates=dict(updates))
    hidden = np.tanh(DATA @ start)
    keep = reference.keep(7, "dropout", "h", hidden.shape, 0, 0.5)
    dropped, penalty = step(*values)
    np.testing.assert_allclose(dropped, 4 * hidden * keep)
    np.testing.assert_allclose(penalty, 0.1 * (start**2).mean())
    slope = 2 * 2 * keep * (1 - hidden**2) / hidden.size
    np.testing.assert_allclose(
        w.get_value(), start - 0.1 * (DATA.T @ slope + 0.1 * 2 * start / start.size)
    )


def test_sparse_shared_data_is_no_parameter(engine, sparse):
    w, h, y = model_of(engine, sparse, shared_data(engine, sparse))
    for model in (y, [h, y], {"h": h, "y": y}):
        assert regplug.as_model(model).params == {"w": w}
    unnamed = shared_data(engine, sparse)
    unnamed.name = None
    w, _, y = model_of(engine, sparse, unnamed)
    assert regplug.compose(["weight_l2=1@w"]).apply(y).matches == {"weight_l2": ["w"]}


def test_plain_graph_leaves_sparse_variables_out(engine, sparse):
    a = sparse.csr_matrix("a", dtype="float64")
    double = a + a
    double.name = "double"
    dense = sparse.dense_from_sparse(double)
    dense.name = "dense"
    assert regplug.as_model(dense).outputs == {"dense": dense}
    result = regplug.compose(["noise=1@*"]).apply(dense)
    assert result.matches == {"noise": ["dense"]}


def test_sparse_variables_are_refused_by_name_with_the_remedy(engine, sparse):
    a = sparse.csr_matrix("a", dtype="float64")
    w, h, _ = model_of(engine, sparse, a)
    double = a + a
    double.name = "double"
    remedy = rf"{sparse.__name__}\.dense_from_sparse\(variable\)"
    for model, params, name in (
        ({"in": a, "h": h}, None, "in"),
        ({"h": h, "double": double}, None, "double"),
        (double, None, "double"),
        ([h, double], None, "double"),
        ({"h": h}, {"w": w, "data": shared_data(engine, sparse)}, "data"),
        ({"h": h}, [w, shared_data(engine, sparse)], "data"),
    ):
        what = f"'{name}.*' is of type .*dense tensors.*Leave sparse data out.*{remedy}"
        with pytest.raises(ModelError, match=what):
            regplug.compose(["noise=1@*"]).apply(model, params=params)


def others(engine):
    """Return variables that are no tensors, by kind."""
    package = engine.T.__name__.partition(".")[0]
    state = (
        np.random.RandomState(0) if package == "theano" else np.random.default_rng(0)
    )
    typed_list = importlib.import_module(f"{package}.typed_list")
    return {
        "scalar": importlib.import_module(f"{package}.scalar").float64("s"),
        "generator": engine.shared(state, name="rng"),
        "list": typed_list.TypedListType(engine.T.dmatrix)("l"),
        "generic": engine.shared([1, 2], name="generic"),
    }


@pytest.mark.parametrize("kind", ["scalar", "generator", "list", "generic"])
def test_variables_that_are_no_tensors_are_refused(kind, engine, T):
    variable = others(engine)[kind]
    x, w = T.matrix("x", dtype="float64"), engine.shared(np.eye(2), name="w")
    h = T.dot(x, w)
    for model, params in (
        ({"in": variable, "h": h}, None),
        (variable, None),
        ({"h": h}, {"p": variable}),
    ):
        with pytest.raises(ModelError, match="dense tensors"):
            regplug.compose(["noise=1@*"]).apply(model, params=params)
    result = regplug.compose([("non_negative", {"pattern": "w"})]).apply({"h": h})
    with pytest.raises(
        ModelError, match="constrain: the update of 'w' is .*, and the parameter is"
    ):
        result.constrain({w: variable})
    with pytest.raises(ModelError, match="apply: the update of w is "):
        regplug.compose([]).apply({"h": h}, updates={w: variable})


@pytest.mark.parametrize("kind", ["scalar", "generator", "list", "generic", "sparse"])
def test_hook_that_returns_no_dense_tensor_is_named(kind, engine, sparse, T):
    x, w = T.matrix("x", dtype="float64"), engine.shared(np.eye(2), name="w")
    wrong = sparse.csr_from_dense(x) if kind == "sparse" else others(engine)[kind]

    class Wrong(Regularizer):
        weight = 1.0

        @hookimpl
        def modify_graph(self, weight):
            return wrong

    class Penalty(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, matched):
            return wrong

    class Constraint(Regularizer):
        targets = "params"

        @hookimpl
        def constrain(self, matched):
            return dict.fromkeys(matched, wrong)

    outputs = {"h": T.dot(x, w)}
    for instance in (Wrong("h"), Penalty("h")):
        with pytest.raises(RegularizerError, match="returned .*, expected a"):
            regplug.compose([instance]).apply(outputs)
    result = regplug.compose([Constraint("w")]).apply(outputs)
    with pytest.raises(
        RegularizerError, match=r"constrain, w\): returned .*, expected a"
    ):
        result.constrain({w: w * 2})


def test_update_of_a_parameter_that_is_sparse_is_refused(engine, sparse, T):
    x, w = T.matrix("x", dtype="float64"), engine.shared(np.eye(2), name="w")
    result = regplug.compose([("non_negative", {"pattern": "w"})]).apply(
        {"h": T.dot(x, w)}
    )
    with pytest.raises(
        ModelError, match="constrain: the update of 'w' is .*, and the parameter is"
    ):
        result.constrain({w: sparse.csr_from_dense(w * 2)})


def test_update_of_sparse_data_is_rewired(engine, sparse, T):
    class Doubled(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            return value * 2

    x = T.matrix("x", dtype="float64")
    data = shared_data(engine, sparse)
    h = x * 1
    result = regplug.compose([Doubled("h")]).apply(
        {"h": h}, updates={data: sparse.csr_from_dense(h)}
    )
    value = evaluate(sparse.dense_from_sparse(result.updates[data]), {x: DATA})
    np.testing.assert_array_equal(value, 2 * DATA)
