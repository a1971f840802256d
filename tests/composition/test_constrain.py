"""constrain: projections of an optimizer's updates, in the list's order, checked."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import (
    ModelError,
    NoMatchError,
    OptionError,
    RegplugWarning,
    Regularizer,
    RegularizerError,
    hookimpl,
)
from regplug.testing import evaluate, function


class Add(Regularizer):
    """Add a number to updated parameters."""

    targets = "params"
    number: float = 0.0

    @hookimpl
    def constrain(self, matched):
        return {
            name: w + np.asarray(self.number, w.dtype) for name, w in matched.items()
        }


class Double(Regularizer):
    """Multiply updated parameters by two."""

    targets = "params"

    @hookimpl
    def constrain(self, matched):
        return {name: w * 2 for name, w in matched.items()}


class Step(Regularizer):
    """Subtract weight times learning rate."""

    targets = "params"

    @hookimpl
    def constrain(self, matched, weight, learning_rate):
        return {name: w - weight * learning_rate for name, w in matched.items()}


class Returns(Regularizer):
    """Return what a test says."""

    targets = "params"
    what = None

    @hookimpl
    def constrain(self, matched):
        return self.what(matched)


def model(engine, *names, dtype="float64"):
    """Return shared matrices by name, and one output of all."""
    params = {name: engine.shared(np.ones((2, 2), dtype), name=name) for name in names}
    return params, {"out:out": sum(w.sum() for w in params.values())}


def run(params, updates, result):
    function([], [], updates={**updates, **result.updates})()
    return {name: float(w.get_value()[0, 0]) for name, w in params.items()}


@pytest.mark.parametrize(
    ("order", "expected"), [((0, 1), 2 * (1 + 10 + 3)), ((1, 0), 2 * (1 + 10) + 3)]
)
def test_constraints_act_on_the_updates_in_the_order_of_the_list(
    order, expected, engine
):
    params, outputs = model(engine, "a.w")
    both = [Add(number=3.0), Double()]
    result = regplug.compose([both[number] for number in order]).apply(
        outputs, params=params
    )
    updates = result.constrain({params["a.w"]: params["a.w"] + 10})
    assert run(params, updates, result) == {"a.w": expected}


def test_constrain_changes_what_matches_and_passes_the_rest_on(engine):
    params, outputs = model(engine, "a.w", "b.w", "c.w")
    momentum = engine.shared(np.zeros((2, 2)), name="momentum")
    given = {
        params["a.w"]: params["a.w"] + 1,
        params["b.w"]: params["b.w"] + 1,
        momentum: momentum + 1,
    }
    before = dict(given)
    result = regplug.compose([Double(["a.w", "c.w"])]).apply(outputs, params=params)
    updates = result.constrain(given)
    assert given == before
    assert list(updates) == list(given)
    assert updates[params["b.w"]] is given[params["b.w"]]
    assert updates[momentum] is given[momentum]
    assert run(params, updates, result) == {"a.w": 4, "b.w": 2, "c.w": 1}


def test_constrain_takes_a_list_of_pairs(engine):
    params, outputs = model(engine, "a.w")
    result = regplug.compose([Double()]).apply(outputs, params=params)
    updates = result.constrain([(params["a.w"], params["a.w"] + 1)])
    assert run(params, updates, result) == {"a.w": 4}


def test_constrain_without_constraints_returns_the_updates(engine):
    params, outputs = model(engine, "a.w")
    result = regplug.compose([("weight_l2", 0.1)]).apply(outputs, params=params)
    assert dict(result.constrain({})) == {}
    new = params["a.w"] + 1
    assert dict(result.constrain({params["a.w"]: new})) == {params["a.w"]: new}


def test_constrain_of_updates_of_something_else_is_an_error(engine):
    params, outputs = model(engine, "a.w", "b.w")
    other, _ = model(engine, "a.w")
    result = regplug.compose([Double("a.w")]).apply(outputs, params=params)
    with pytest.raises(
        NoMatchError, match="change none of the model's parameters: a.w, b.w"
    ):
        result.constrain({other["a.w"]: other["a.w"] + 1})
    frozen = {params["b.w"]: params["b.w"] + 1}
    with pytest.warns(RegplugWarning, match="none of a.w"):
        assert dict(result.constrain(frozen)) == frozen


@pytest.mark.parametrize("is_symbolic", [False, True])
def test_constrain_hands_over_weight_and_learning_rate(is_symbolic, engine, T):
    params, outputs = model(engine, "a.w", dtype="float32")
    manager = regplug.compose([Step(weight=2.0)])
    result = manager.apply(outputs, params=params)
    rate = T.scalar("rate", dtype="float32") if is_symbolic else np.float32(0.25)
    updates = result.constrain({params["a.w"]: 1 * params["a.w"]}, learning_rate=rate)
    step = function([rate] if is_symbolic else [], updates[params["a.w"]])
    arguments = [0.25] if is_symbolic else []
    assert step(*arguments)[0, 0] == 0.5
    manager.weights["step"] = 4.0
    assert step(*arguments)[0, 0] == 0.0


def test_constrain_without_the_learning_rate_that_is_needed_is_an_error(engine):
    params, outputs = model(engine, "a.w")
    result = regplug.compose([Double(), Step(weight=2.0)]).apply(outputs, params=params)
    with pytest.raises(
        OptionError,
        match=r"^step \(.*Step\): constrain\(updates, learning_rate=...\) is needed",
    ):
        result.constrain({params["a.w"]: params["a.w"] + 1})


def test_constrain_acts_once_on_a_parameter_of_two_names(engine):
    w = engine.shared(np.ones((2, 2)), name="w")
    params = {"enc.w": w, "dec.w": w}
    result = regplug.compose([Double()]).apply({"out:out": w.sum()}, params=params)
    assert result.matches == {"double": ["dec.w"]}
    assert run({"w": w}, result.constrain({w: w + 1}), result) == {"w": 4}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda matched: None, "returned None, expected a dict with keys of a.w"),
        (lambda matched: matched["a.w"], "expected a dict with keys of a.w"),
        (
            lambda matched: {"b.w": matched["a.w"]},
            r"returned \{'b.w'.*expected a dict with keys of a.w",
        ),
        (
            lambda matched: {"a.w": 3.0},
            r"returns .*constrain, a.w\): returned 3.0, expected a tensor variable",
        ),
        (
            lambda matched: {"a.w": matched["a.w"].astype("float32")},
            "float32.*the same dtype and number of dimensions",
        ),
        (
            lambda matched: {"a.w": matched["a.w"].sum()},
            "the same dtype and number of dimensions",
        ),
        (
            lambda matched: {"a.w": 1 / 0},
            r"returns \(.*constrain\): raised ZeroDivisionError",
        ),
    ],
)
def test_constrain_that_returns_something_wrong_is_named(what, words, engine):
    params, outputs = model(engine, "a.w", "b.w")
    bad = Returns("a.w")
    bad.what = what
    result = regplug.compose([bad]).apply(outputs, params=params)
    with pytest.raises(RegularizerError, match=words):
        result.constrain({w: w + 1 for w in params.values()})


def test_constrain_may_leave_some_of_what_matched(engine):
    params, outputs = model(engine, "a.w", "b.w")
    some = Returns()
    some.what = lambda matched: {"a.w": matched["a.w"] * 5}
    result = regplug.compose([some]).apply(outputs, params=params)
    assert run(
        params, result.constrain({w: w + 1 for w in params.values()}), result
    ) == {"a.w": 10, "b.w": 2}


def test_constrain_keeps_the_type_of_a_column(engine):
    is_theano = engine.__name__.endswith("theano")
    kind = {"broadcastable": (False, True)} if is_theano else {"shape": (None, 1)}
    w = engine.shared(np.ones((2, 1)), name="w", **kind)
    whole = Returns()
    whole.what = lambda matched: {
        "w": engine.T.concatenate([matched["w"][:1], matched["w"][1:]])
    }
    result = regplug.compose([whole]).apply({"out:out": w.sum()}, params={"w": w})
    assert result.constrain({w: w + 1})[w].type.broadcastable == (False, True)


def test_constrain_after_building_takes_the_parameters_under_the_names_given(engine):
    w = engine.shared(np.ones((2, 2)), name="W")
    manager = regplug.compose([Double("hid.w")])
    outputs = {"hid:out": w.sum()}
    manager.modify_graph(outputs)
    updates = manager.constrain({"hid.w": w}, {w: w + 1})
    function([], [], updates=updates)()
    assert w.get_value()[0, 0] == 4
    with pytest.raises(NoMatchError, match="double: pattern 'hid.w' matches none"):
        manager.constrain([w], {w: w + 1})


def test_constrain_pattern_that_matches_nothing_is_an_error_of_apply(engine):
    params, outputs = model(engine, "a.w")
    with pytest.raises(
        NoMatchError, match="double: pattern 'hid.w' matches none of the 1 params"
    ):
        regplug.compose([Double("hid.w")]).apply(outputs, params=params)


def test_constrain_is_seen_by_wrapper_plugins(engine):
    seen = []

    class Watch:
        @hookimpl(wrapper=True)
        def constrain(self, regularizer, matched):
            seen.append((type(regularizer).__name__, list(matched)))
            return (yield)

    params, outputs = model(engine, "a.w")
    result = regplug.compose([Double(), Add(number=1.0)], plugins=[Watch()]).apply(
        outputs, params=params
    )
    result.constrain({params["a.w"]: params["a.w"] + 1})
    assert seen == [("Double", ["a.w"]), ("Add", ["a.w"])]


@pytest.mark.parametrize("updates", [None, 3, [1]])
def test_constrain_of_what_is_no_updates_is_refused(updates, engine):
    params, outputs = model(engine, "w")
    result = regplug.compose([Double()]).apply(outputs)
    with pytest.raises(
        ModelError,
        match="constrain: the updates .* are no mapping, and no list of pairs",
    ):
        result.constrain(updates)


def test_constrain_takes_arrays_and_numbers_as_the_engines_do(engine):
    params, outputs = model(engine, "w")
    result = regplug.compose([Double()]).apply(outputs)
    w = params["w"]
    updated = result.constrain({w: np.full(w.get_value().shape, 3.0)})
    np.testing.assert_array_equal(
        function([], updated[w])(), np.full(w.get_value().shape, 6.0)
    )


def test_constrain_update_of_another_type_is_refused_by_name(engine, T):
    params, outputs = model(engine, "w")
    result = regplug.compose([Double()]).apply(outputs)
    with pytest.raises(
        ModelError, match="constrain: the update of 'w' is .*, and the parameter is "
    ):
        result.constrain({params["w"]: T.cast(params["w"], "float32")})


def test_constrain_updates_of_none_of_its_parameters_is_a_warning(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    first, second = (engine.shared(np.ones((2, 2)), name=name) for name in ("v", "w"))
    outputs = {"h:out": T.dot(T.dot(x, first), second)}
    regularizers = [("max_norm", {"pattern": "v", "limit": 1.0}), ("non_negative", {})]
    result = regplug.compose(regularizers).apply(outputs)
    with pytest.warns(RegplugWarning, match=r"max_norm .* none of v, which it") as seen:
        updates = result.constrain({second: second - 2})
    assert seen[0].filename == __file__
    assert (evaluate(updates[second]) == 0).all()
