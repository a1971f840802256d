"""The gradient of the loss with respect to the input."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import OptionError, RegularizerError
from regplug.testing import evaluate, function, installed_engine


def penalty(outputs, **options):
    options = {"pattern": "cost:out", "weight": 1.0, **options}
    return regplug.compose([("gradient_penalty", options)]).apply(outputs).loss


def row_losses(m, target):
    return ((m.h - target) ** 2).sum(axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_penalty_is_the_norm_by_finite_differences(model, differences, dtype):
    m = model("deep", dtype)
    value = evaluate(
        penalty(m.outputs | {"cost:out": row_losses(m, 1)}), {m.x: m.value}
    )
    exact = model("deep")
    f = function([exact.x], row_losses(exact, 1).sum())
    expected = (differences(f, exact.value) ** 2).sum(axis=1).mean()
    assert value.dtype == dtype
    np.testing.assert_allclose(
        value, expected, rtol=1e-6 if dtype == "float64" else 1e-4
    )


def test_a_scalar_is_the_mean_of_the_losses_of_the_rows(model):
    m = model("deep")
    losses = row_losses(m, 1)
    costs = (losses, losses.mean(), losses.dimshuffle(0, "x") / 2)
    values = function(
        [m.x], [penalty(m.outputs | {"cost:out": cost}) for cost in costs]
    )(m.value)
    np.testing.assert_allclose(values[0], values[1])
    np.testing.assert_allclose(values[0] / 4, values[2])


@pytest.mark.filterwarnings("ignore:.* is float16, and numba")
@pytest.mark.parametrize("cost", ["mean", "rows"])
def test_gradient_penalty_of_many_rows_of_float16_is_right(cost, engine):
    x = engine.T.TensorType("float16", (None, None))("x")
    w = engine.shared(np.float16(0.5), name="w")
    losses = (w * x**2).sum(axis=1)
    loss = penalty(
        {"in:out": x, "cost:out": losses.mean() if cost == "mean" else losses}
    )
    rows = np.random.default_rng(3).normal(0, 0.02, size=(70_000, 1)).astype("float16")
    value, gradient = function([x], [loss, engine.grad(loss, w)])(rows)
    expected = (rows.astype("float64") ** 2).mean()  # (2 w x) ** 2
    np.testing.assert_allclose(value, expected, rtol=5e-3)
    assert gradient.dtype == "float16"


@pytest.mark.parametrize(
    "reduce",
    [lambda losses: losses, lambda losses: losses.mean(), lambda losses: losses.sum()],
)
def test_gradient_penalty_of_an_empty_batch_is_zero(model, reduce):
    m = model("deep")
    loss = penalty(m.outputs | {"cost:out": reduce(row_losses(m, 1))})
    value, gradient = function([m.x], [loss, installed_engine().grad(loss, m.w)])(
        m.value[:0]
    )
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_a_scalar_of_many_rows_is_the_mean_of_the_losses_of_the_rows(model):
    m = model("deep")
    losses = row_losses(m, 1)
    costs = [
        penalty(m.outputs | {"cost:out": cost}) for cost in (losses, losses.mean())
    ]
    values = function([m.x], costs)(np.random.default_rng(3).normal(size=(3000, 4)))
    np.testing.assert_allclose(*values)


def test_gradient_penalty_does_not_depend_on_the_batch_size(model):
    m = model("deep")
    f = function([m.x], penalty(m.outputs | {"cost:out": row_losses(m, 1).mean()}))
    np.testing.assert_allclose(f(m.value), f(np.repeat(m.value, 3, axis=0)))


def test_gradient_agrees_with_finite_differences(model, assert_gradient):
    m = model("deep")
    assert_gradient(m, penalty(m.outputs | {"cost:out": row_losses(m, 1).mean()}))


def test_several_inputs_are_one_long_one():
    T = installed_engine().T
    x, y = T.matrix("x"), T.matrix("y")
    outputs = {"x:out": x, "y:out": y, "cost:out": (x**2 * y).sum(axis=1).mean()}
    a, b = np.array([[1.0, 2.0]]), np.array([[3.0, 0.5]])
    expected = ((2 * a * b) ** 2).sum() + (a**4).sum()
    np.testing.assert_allclose(evaluate(penalty(outputs), {x: a, y: b}), expected)
    np.testing.assert_allclose(
        evaluate(penalty(outputs, wrt="y:out"), {x: a, y: b}), (a**4).sum()
    )


def test_pattern_must_be_given():
    with pytest.raises(OptionError, match="'pattern' must be given"):
        regplug.compose([("gradient_penalty", 0.1)])


def test_loss_that_does_not_depend_on_the_input_is_refused_by_name(model):
    m = model("deep")
    who = r"gradient_penalty \(regplug-jacobian 0\S*, loss\)"
    with pytest.raises(RegularizerError, match=rf"{who}: .*'cost:out' does not depend"):
        penalty(m.outputs | {"cost:out": (m.w**2).sum()})
