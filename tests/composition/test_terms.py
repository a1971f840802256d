"""What the core does to every term: wide dtypes before the formula, and weight 0 that is off, exactly."""

from __future__ import annotations

import contextlib
import importlib

import numpy as np
import pytest

import regplug
from regplug import Regularizer, hookimpl
from regplug.engine import tensor
from regplug.testing import evaluate, function


class SumOfSquares(Regularizer):
    """Sum of the squares."""

    @hookimpl
    def loss(self, matched):
        return sum((each**2).sum() for each in matched.values())


class WeightSquares(SumOfSquares):
    """Sum of the squares of parameters."""

    targets = "params"


class Logarithms(Regularizer):
    """Minus the sum of the logarithms of parameters, which is infinite at 0 and NaN below."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return -sum(tensor(w).log(w).sum() for w in matched.values())


class Around(Regularizer):
    """A term that goes around what it matched: square roots of all outputs."""

    @hookimpl
    def loss(self, outputs):
        return sum(tensor(each).sqrt(each).sum() for each in outputs.values())


def vector_of(engine, dtype, name="x"):
    return engine.T.TensorType(dtype, (None,))(name)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
def test_penalty_of_integer_outputs_is_computed_in_floatX(dtype, engine):
    x = vector_of(engine, dtype)
    values = np.array([0, 100, 127]).astype(dtype)
    term = (
        regplug.compose([SumOfSquares(weight=0.5)])
        .apply({"x:out": x})
        .terms["sum_of_squares"]
    )
    assert term.dtype == engine.working_dtype(dtype) != dtype
    assert evaluate(term, {x: values}) == 0.5 * (values.astype("float64") ** 2).sum()


def test_penalty_of_integer_parameters_is_computed_in_floatX(engine):
    w = engine.shared(np.array([100, -128], "int8"), name="w")
    result = regplug.compose([WeightSquares(weight=1)]).apply(
        {"y:out": w * 1.0}, {"w": w}
    )
    assert evaluate(result.loss) == 100**2 + 128**2


def test_penalty_of_floats_and_integers_has_the_dtype_of_the_floats(engine):
    x, n = vector_of(engine, "float32"), vector_of(engine, "int8", "n")
    term = (
        regplug.compose([SumOfSquares(weight=1)])
        .apply({"x:out": x, "n:out": n})
        .terms["sum_of_squares"]
    )
    assert term.dtype == "float32"
    assert evaluate(term, {x: np.float32([3]), n: np.int8([-100])}) == 10009


@pytest.mark.parametrize("dtype", ["uint8", "bool"])
def test_modify_graph_refuses_integers_by_name(dtype, engine):
    class Double(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            return value + value

    x = vector_of(engine, dtype)
    manager = regplug.compose([Double(), SumOfSquares(weight=1)])
    with pytest.raises(
        regplug.RegularizerError,
        match=f"'in:out' is {dtype}, and only floats can be changed: cast",
    ):
        manager.apply({"in:out": x, "y:out": x * 1.5})


def test_constrain_refuses_integers_by_name(engine):
    class Clip(Regularizer):
        targets = "params"

        @hookimpl
        def constrain(self, matched):
            return {name: tensor(w).clip(w, -1, 1) for name, w in matched.items()}

    w = engine.shared(np.array([100, -128], "int8"), name="w")
    result = regplug.compose([Clip()]).apply({"y:out": w * 1.0}, {"w": w})
    updates = {w: w + 1}
    with pytest.raises(
        regplug.RegularizerError, match="'w' is int8, and only floats can be changed"
    ):
        result.constrain(updates)
    assert list(updates) == [w]


def test_weight_0_is_off_where_the_term_is_infinite_and_acts_when_raised(engine):
    w = engine.shared(np.array([0.0, 2.0, -1.0]), name="w")
    manager = regplug.compose([Logarithms(weight=0)])
    result = manager.apply({"y:out": w.sum()})
    cost = result.outputs["y:out"] + result.loss
    run = function([], [result.loss, engine.grad(cost, w)])
    loss, gradient = run()
    assert loss == 0
    np.testing.assert_array_equal(gradient, [1, 1, 1])  # of the sum alone
    w.set_value(np.array([1.0, 2.0, 4.0]))
    manager.weights["logarithms"] = 3
    loss, gradient = run()
    assert loss == pytest.approx(-3 * np.log(8))
    np.testing.assert_allclose(gradient, 1 - 3 / np.array([1, 2, 4]))


def test_weight_0_is_off_by_a_schedule(engine):
    w = engine.shared(np.array([0.0, 2.0]), name="w")
    ramp = {"schedule": "piecewise", "steps": [1], "values": [0, 2]}
    result = regplug.compose([Logarithms(weight=ramp)]).apply({"y:out": w.sum()})
    run = function([], [result.loss, engine.grad(result.loss, w)], result.updates)
    loss, gradient = run()
    assert loss == 0
    np.testing.assert_array_equal(gradient, [0, 0])
    assert run()[0] == np.inf


def test_weight_0_is_off_where_a_term_goes_around_what_matched(engine):
    x = vector_of(engine, "float64")
    w = engine.shared(np.array([1.0, 0.0]), name="w")
    h = x * w
    result = regplug.compose([Around(weight=0, pattern="x:out")]).apply(
        {"x:out": x, "h:out": h}
    )
    found = evaluate(
        [result.loss, *engine.grad(result.loss, [w, x])], {x: np.array([0.0, -1.0])}
    )
    assert found[0] == 0
    for gradient in found[1:]:
        np.testing.assert_array_equal(gradient, [0, 0])


def test_gates_are_gone_from_what_is_compiled(engine):
    x = vector_of(engine, "float64")
    w = engine.shared(np.array([1.0, 0.5]), name="w")
    result = regplug.compose([Logarithms(weight=0.5)]).apply({"y:out": (x * w).sum()})
    cost = result.outputs["y:out"] + result.loss
    module = importlib.import_module(engine.T.__name__.partition(".")[0])
    mode = module.compile.mode.Mode(linker="py", optimizer="fast_compile")
    compiled = function([x], [cost, engine.grad(cost, w)], mode=mode)
    graph = compiled.maker.fgraph
    assert not any(isinstance(node.op, engine.Gate) for node in graph.toposort())
    np.testing.assert_allclose(
        compiled(np.array([1.0, 1.0]))[1], 1 - 0.5 / np.array([1, 0.5])
    )


def test_gradient_of_a_gradient_goes_through_gates(engine):
    w = engine.shared(np.array([1.0, 2.0]), name="w")
    manager = regplug.compose([Logarithms(weight=0.5)])
    loss = manager.apply({"y:out": w.sum()}).loss
    run = function([], engine.grad(engine.grad(loss, w).sum(), w))
    np.testing.assert_allclose(run(), 0.5 / np.array([1, 4]))
    manager.weights["logarithms"] = 0
    np.testing.assert_array_equal(run(), [0, 0])


@pytest.mark.parametrize(
    ("weight", "fill", "count"),
    [(1e-4, 1, 160_000), (1e-8, 100, 10_000), (1e-3, 300, 1)],
)
def test_float16_terms_are_computed_in_float32_and_rounded_once(
    weight, fill, count, engine
):
    w = engine.shared(np.full(count, fill, "float16"), name="w")
    result = regplug.compose([WeightSquares(weight=weight)]).apply({"y:out": w})
    assert result.loss.dtype == "float16"
    expected = np.float16(np.float32(weight) * np.float32(fill) ** 2 * count)
    gradient = np.full(count, np.float16(2 * np.float32(weight) * fill))
    found = evaluate([result.loss, engine.grad(result.loss, w)])
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[1], gradient)


def test_float16_constraints_are_computed_in_float32(engine):
    class Normalize(Regularizer):
        targets = "params"

        @hookimpl
        def constrain(self, matched):
            return {
                name: w / tensor(w).sqrt((w**2).sum()) for name, w in matched.items()
            }

    w = engine.shared(np.full(4, 1000, "float16"), name="w")
    result = regplug.compose([Normalize()]).apply({"y:out": w})
    (new,) = result.constrain({w: w * 1}).values()
    assert new.dtype == "float16"
    np.testing.assert_array_equal(evaluate(new), np.full(4, 0.5, "float16"))


@pytest.mark.parametrize("is_numba", [True, False])
def test_apply_warns_of_a_float16_model_that_the_default_linker_cannot_compile(
    is_numba, engine
):
    if engine.uses_default_updates:
        warned = contextlib.nullcontext([])  # Theano's C code has float16
        flags = contextlib.nullcontext()
    else:
        import pytensor

        flags = pytensor.config.change_flags(linker="numba" if is_numba else "cvm")
        expected = pytest.warns(
            regplug.RegplugWarning, match="'x:out' is float16, and numba.*mode='CVM'"
        )
        warned = expected if is_numba else contextlib.nullcontext()
    x = vector_of(engine, "float16")
    with flags, warned:
        regplug.compose([SumOfSquares(weight=1)]).apply({"x:out": x})
