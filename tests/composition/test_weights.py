"""Weights: live values that change compiled functions."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import pytest
from annotated_types import Interval

import regplug
from regplug import OptionError, Regularizer, hookimpl
from regplug.testing import evaluate, function


class Sum(Regularizer):
    @hookimpl
    def loss(self, matched):
        return sum(h.sum() for h in matched.values())


class Times(Regularizer):
    weight: Annotated[float, Interval(ge=0, le=100)] = 10.0

    @hookimpl
    def modify_graph(self, value, weight):
        return value * weight


class Baked(Regularizer):
    weight = 10.0

    @hookimpl
    def modify_graph(self, value):
        return value * self.weight


class TimesParams(Times):
    targets = "params"


class Minus(Regularizer):
    targets = "params"

    @hookimpl
    def constrain(self, matched, weight):
        return {name: w - w * (weight * 10_000 * 1_000) for name, w in matched.items()}


def test_weight_too_small_for_float16_counts_and_gradients_stay_in_it(engine, T):
    x = T.vector("x", dtype="float16")
    w = engine.shared(np.array([200, 400], "float16"), name="w")
    manager = regplug.compose([TimesParams("w", 1e-8), Minus("w", 1e-8)])
    result = manager.apply({"in:out": x, "h:out": x * w}, params={"w": w})
    h, update = result.outputs["h:out"], result.constrain({w: 1 * w})[w]
    computed = [h, *engine.grad(h.sum(), [x, w]), update]
    assert [each.dtype for each in computed] == ["float16"] * 4
    found = function([x], computed)(np.array([2e4, 1e4], "float16"))
    w_seen = np.array([2e-6, 4e-6], "float16")
    expected = [w_seen * 1e4 * [2, 1], w_seen, [2e-4, 1e-4], [180, 360]]
    for value, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=2e-3, atol=1e-7)


def test_weight_changes_the_next_call_of_a_compiled_function(T):
    x = T.vector("x", dtype="float32")
    manager = regplug.compose([Times("h:out"), Sum("h:out", 0.5)])
    result = manager.apply({"in:out": x, "h:out": x * 1})
    compiled = function(
        [x], [result.outputs["h:out"], result.loss, result.terms["sum"]]
    )
    assert [float(value.sum()) for value in compiled([1, 2])] == [30, 15, 15]
    manager.weights["times"] = 2
    assert [float(value.sum()) for value in compiled([1, 2])] == [6, 3, 3]
    manager.weights["sum"] = 0
    assert [float(value.sum()) for value in compiled([1, 2])] == [6, 0, 0]
    manager.weights.update({"sum": 1.0, "times": 1.0})
    assert [float(value.sum()) for value in compiled([1, 2])] == [3, 3, 3]


def test_weight_may_begin_at_zero_and_rise(T):
    x = T.matrix("x", dtype="float64")
    manager = regplug.compose(["dropout=0@h:out"])
    compiled = function([x], manager.apply({"h:out": x * 1}).outputs["h:out"])
    value = np.ones((20, 20))
    np.testing.assert_array_equal(compiled(value), value)
    manager.weights["dropout"] = 0.5
    assert set(np.unique(compiled(value))) == {0, 2}


@pytest.mark.parametrize("name", ["dropout", "noise"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_zero_of_dropout_and_noise_gives_the_clean_numbers_exactly(
    name, dtype, T
):
    x = T.matrix("x", dtype=dtype)
    result = regplug.compose([(name, {"weight": 0, "pattern": "h:out"})]).apply(
        {"h:out": T.tanh(x)}
    )
    value = np.random.default_rng(0).normal(size=(50, 30)).astype(dtype)
    value[0, :4] = [0, 1e-30, 1e30, 1]
    noisy, clean = evaluate(
        [result.outputs["h:out"], result.clean["h:out"]], {x: value}
    )
    assert noisy.dtype == clean.dtype == dtype
    assert noisy.tobytes() == clean.tobytes()


def test_weight_has_the_dtype_of_the_output_and_keeps_float64(T):
    x, y = T.vector("x", dtype="float32"), T.vector("y", dtype="float64")
    seen = []

    class Look(Regularizer):
        @hookimpl
        def modify_graph(self, value, weight):
            seen.append(weight.dtype)
            return value * weight

    manager = regplug.compose([Look("*", 0.1)])
    manager.apply({"a:out": x, "b:out": y})
    assert seen == ["float32", "float64"]
    assert manager.weights["look"] == 0.1  # not 0.1 in float32


def test_weight_at_construction_is_never_changed(T):
    times = Times("h:out")
    manager = regplug.compose([times])
    manager.weights["times"] = 3
    assert times.weight == 10
    assert manager.weights["times"] == 3


def test_weights_are_set_before_there_is_a_graph(T):
    manager = regplug.compose([Times("h:out")])
    manager.weights["times"] = 3
    x = T.vector("x", dtype="float64")
    assert evaluate(manager.apply({"h:out": x * 1}).outputs["h:out"], {x: [1.0]}) == [3]


def test_weights_are_a_mapping_in_the_order_of_the_list():
    manager = regplug.compose(
        [Times("a"), Sum("a", 0.5), Times("b", 2), ("weight_l2", 1e-4)]
    )
    assert list(manager.weights) == ["times", "sum", "times#2", "weight_l2"]
    assert dict(manager.weights) == {
        "times": 10,
        "sum": 0.5,
        "times#2": 2,
        "weight_l2": 1e-4,
    }
    assert len(manager.weights) == 4
    assert "sum" in manager.weights
    assert "summ" not in manager.weights
    assert (
        repr(manager.weights)
        == "{'times': 10.0, 'sum': 0.5, 'times#2': 2.0, 'weight_l2': 0.0001}"
    )


@pytest.mark.parametrize(
    ("label", "value", "what"),
    [
        ("dropout", 1, r"dropout\(weight=1\): 1.0 is out of range: >= 0, < 1"),
        ("dropout", 1.5, "1.5 is out of range"),
        ("dropout", -0.1, "-0.1 is out of range"),
        ("dropout", math.nan, r"dropout\(weight=nan\): nan is not a finite number"),
        ("weight_l2", math.inf, r"weight_l2\(weight=inf\): inf is not a finite number"),
        (
            "weight_l2",
            -1e-9,
            r"weight_l2\(weight=-1e-09\): -1e-09 is out of range: >= 0",
        ),
        ("weight_l2", "1", r"weight_l2\(weight='1'\): '1' is not of type float"),
        ("weight_l2", None, "None is not of type float"),
        ("weight_l2", True, "True is not of type float"),
        (
            "weight_l2",
            {"schedule": "linear", "start": 0, "stop": 1, "steps": 10},
            "weight_l2.*schedule",
        ),
        (
            "weight_l3",
            1,
            "no weight labelled 'weight_l3'. Did you mean 'weight_l2'.* Weights: dropout, weight_l2",
        ),
        ("dropout#2", 0.5, "no weight labelled 'dropout#2'. Did you mean 'dropout'"),
        (5, 0.5, "no weight labelled 5"),
        ([], 0.5, r"no weight labelled \[\]"),
    ],
)
def test_weight_assigned_later_is_checked_like_the_first(label, value, what):
    manager = regplug.compose(["dropout=0.5", "weight_l2=1e-4"])
    with pytest.raises(OptionError, match=what):
        manager.weights[label] = value
    assert dict(manager.weights) == {"dropout": 0.5, "weight_l2": 1e-4}


def test_weight_of_the_second_of_one_name_is_named_by_its_label():
    manager = regplug.compose(["dropout=0.5", "dropout=0.25"])
    with pytest.raises(OptionError, match=r"dropout#2\(weight=2\)"):
        manager.weights["dropout#2"] = 2


def test_weight_that_a_plugin_baked_in_cannot_be_assigned(T):
    manager = regplug.compose([Baked("h:out")])
    assert manager.weights["baked"] == 10
    with pytest.raises(
        OptionError,
        match=r"^baked \(.*Baked\): its modify_graph does not take `weight`, so 10.0 is",
    ):
        manager.weights["baked"] = 5
    assert manager.weights["baked"] == 10


def test_weight_of_a_regularizer_without_one_cannot_be_assigned():
    class Fixed(Regularizer):
        @hookimpl
        def modify_graph(self, outputs):
            pass

    with pytest.raises(OptionError, match="no weight labelled 'fixed'. Weights: none"):
        regplug.compose([Fixed()]).weights["fixed"] = 1


def test_weight_cannot_be_deleted():
    manager = regplug.compose(["dropout=0.5"])
    with pytest.raises(OptionError, match="assign 0 to switch 'dropout' off"):
        del manager.weights["dropout"]
    with pytest.raises(
        OptionError, match="no weight labelled 'droput'. Did you mean 'dropout'"
    ):
        manager.weights["droput"]


def test_weight_of_an_own_init_without_that_keyword_may_be_assigned(T):
    class Old(Regularizer):
        def __init__(self, pattern="*"):
            super().__init__(pattern=pattern, weight=0.5)

        @hookimpl
        def loss(self, matched):
            return sum(h.sum() for h in matched.values())

    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Old()])
    result = manager.apply({"x:out": x})
    manager.weights["old"] = 2
    assert evaluate(result.loss, {x: [1.0]}) == 2
    with pytest.raises(OptionError, match="-1.0 is out of range|-1 is out of range"):
        manager.weights["old"] = -1


class Required(Regularizer):
    targets = "params"

    @hookimpl
    def constrain(self, matched):
        return {name: w * self.weight for name, w in matched.items()}


class RequiredInGraph(Regularizer):
    @hookimpl
    def modify_graph(self, value):
        return value * self.weight


def test_weight_that_is_read_and_was_not_given_is_asked_for(engine):
    w = engine.shared(np.ones((2, 2)), name="w")
    result = regplug.compose([Required()]).apply({"h": w * 2}, {"w": w})
    expected = r"required \(.*constrain\): it reads self.weight, and no weight was "
    with pytest.raises(OptionError, match=f"{expected}given: give one, weight=...; 0"):
        result.constrain({w: w * 2})
    with pytest.raises(OptionError, match="modify_graph, h.*: give one, weight="):
        regplug.compose([RequiredInGraph()]).apply({"h": w * 2})


def test_other_missing_attributes_are_the_authors_affair(engine):
    class Misspells(RequiredInGraph):
        @hookimpl
        def modify_graph(self, value):
            return value * value.weight

    w = engine.shared(np.ones((2, 2)), name="w")
    with pytest.raises(regplug.RegularizerError, match="raised AttributeError"):
        regplug.compose([Misspells()]).apply({"h": w * 2})
