"""result.check: a compiled function that forgets something is refused by name."""

import re

import numpy as np
import pytest

import regplug
from regplug import Regularizer, WiringError, hookimpl
from regplug.testing import function


@pytest.fixture
def trainable(engine):
    """Return input, result, cost with the penalty, and plain updates of a small model."""
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.ones((2, 2)), name="hid.w")
    regularizers = [
        "dropout=0.5@hid:out",
        "weight_l2=0.1@hid.w",
        ("max_norm", {"pattern": "hid.w", "limit": 1.0}),
        "non_negative@hid.w",
    ]
    result = regplug.compose(regularizers).apply({"in:out": x, "hid:out": T.dot(x, w)})
    data_cost = (result.outputs["hid:out"] ** 2).mean()
    cost = data_cost + result.loss
    return x, result, data_cost, cost, w


def updates_of(engine, cost, w):
    return {w: w - 0.1 * engine.grad(cost, w)}


def test_check_passes_what_is_wired(engine, trainable):
    x, result, _, cost, w = trainable
    updates = {**result.constrain(updates_of(engine, cost, w)), **result.updates}
    result.check(function([x], cost, updates=updates))
    result.check(function([x], [], updates=updates))


def test_check_refuses_a_function_without_the_updates(engine, trainable):
    x, result, _, cost, w = trainable
    updates = result.constrain(updates_of(engine, cost, w))
    with pytest.raises(WiringError, match=r"regplug.step, and .* \*\*result.updates"):
        result.check(function([x], cost, updates=updates))


def test_check_refuses_a_cost_without_the_terms(engine, trainable):
    x, result, data_cost, _, w = trainable
    updates = {**result.constrain(updates_of(engine, data_cost, w)), **result.updates}
    with pytest.raises(WiringError, match=r"weight_l2 .*: its term .* result.loss"):
        result.check(function([x], data_cost, updates=updates))


def test_check_refuses_a_cost_of_the_original_outputs(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.ones((2, 2)), name="hid.w")
    outputs = {"in:out": x, "hid:out": T.dot(x, w)}
    result = regplug.compose(["dropout=0.5@hid:out"]).apply(outputs)
    cost = (outputs["hid:out"] ** 2).mean() + result.loss
    step = function([x], cost, updates=updates_of(engine, cost, w))
    with pytest.raises(WiringError, match=r"dropout .* hid:out, as changed: build"):
        result.check(step)


def test_check_refuses_what_is_not_compiled(trainable):
    with pytest.raises(WiringError, match="is no compiled function"):
        trainable[1].check(trainable[3])


def test_check_refuses_updates_that_are_not_constrained(engine, trainable):
    x, result, _, cost, w = trainable
    updates = {**updates_of(engine, cost, w), **result.updates}
    with pytest.raises(WiringError) as caught:
        result.check(function([x], cost, updates=updates))
    for label in ("max_norm", "non_negative"):
        assert re.search(rf"{label} .*hid.w are not constrained", str(caught.value))


def test_check_refuses_a_function_that_does_not_train(trainable):
    x, result, _, cost, _ = trainable
    with pytest.raises(WiringError, match="updates no parameter of the model"):
        result.check(function([x], cost, updates=result.updates))


def test_check_passes_what_a_constraint_leaves_as_it_is(engine):
    class First(Regularizer):
        targets = "params"
        weight = None

        @hookimpl
        def constrain(self, matched):
            return {"v": matched["v"] * 0}

    v, w = (engine.shared(np.ones(2), name=name) for name in "vw")
    result = regplug.compose([First()]).apply({"h:out": v * w}, {"v": v, "w": w})
    plain = {v: v + 1, w: w + 1}
    result.check(function([], [], updates=result.constrain(plain)))
    with pytest.raises(WiringError, match="first .*not constrained"):
        result.check(function([], [], updates={v: v + 1, w: w + 1}))
