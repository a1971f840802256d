"""The model's own updates: generators and running statistics in the regularized and in the clean graph."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import regplug
from regplug import ModelError, Regularizer, hookimpl
from regplug.errors import RegplugWarning
from regplug.noise import reference
from regplug.testing import evaluate, function

X = np.linspace(0.5, 2.0, 12).reshape(4, 3)


class Halved(Regularizer):
    """Halve an output, at prediction time too."""

    applies = "always"

    @hookimpl
    def modify_graph(self, value):
        return value / 2


def mask(step, shape=X.shape, name="hid:out"):
    """Return what dropout of rate 0.5 and seed 7 multiplies by at a step."""
    return 2.0 * reference.keep(7, "dropout", name, shape, step, 0.5)


def drawing(engine, by):
    """Return a function that draws Poisson numbers, and a generator of NumPy that draws the same.

    The function returns the state, the next state and the numbers. Where they are drawn `by`
    a stream, the next state is the default update of the state.
    """
    if engine.__name__.endswith("theano"):
        from theano.tensor.raw_random import poisson

        state, other = (np.random.RandomState(5) for _ in range(2))

        def draw(rate):
            rng = engine.shared(state)
            next_state, numbers = poisson(rng, size=rate.shape, lam=rate)
            if by == "stream":  # as RandomStreams.gen does, with a seed of its own
                rng.default_update = next_state
            return rng, next_state, numbers

        return draw, other
    state, other = (np.random.default_rng(5) for _ in range(2))

    def draw(rate):
        rng = engine.shared(state)
        next_state, numbers = engine.T.random.poisson(
            rate, rng=rng, return_next_rng=True
        )
        if by == "stream":  # as RandomStream.gen does, with a seed of its own
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                rng.default_update = next_state
        return rng, next_state, numbers

    return draw, other


@pytest.mark.parametrize("by", ["stream", "hand"])
def test_generator_advances_by_the_draw_from_the_dropped_layer(by, engine, T):
    draw, numpy = drawing(engine, by)
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    rng, next_state, counts = draw(h)
    outputs = {"in:out": x, "hid:out": h, "count:out": counts}
    manager = regplug.compose(["dropout=0.5@hid:out"], seed=7)
    result = manager.apply(
        outputs, updates=None if by == "stream" else [(rng, next_state)]
    )
    train = function([x], result.outputs["count:out"], updates=result.updates)
    sample = function([x], result.clean["count:out"], updates=result.clean_updates)
    for step in range(3):  # the state after a draw depends on the rates
        expected = numpy.poisson(np.exp(X) * mask(step))
        np.testing.assert_array_equal(train(X), expected)
    first, second = sample(X), sample(X)
    np.testing.assert_array_equal(first, numpy.poisson(np.exp(X)))
    np.testing.assert_array_equal(second, numpy.poisson(np.exp(X)))
    np.testing.assert_array_equal(train(X), numpy.poisson(np.exp(X) * mask(3)))
    assert result.clean_updates == ({} if by == "stream" else {rng: next_state})


def test_updates_of_a_stream_are_those_of_the_engines_own_class(engine, T):
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    if engine.__name__.endswith("theano"):
        from theano.tensor.shared_randomstreams import RandomStreams

        counts = RandomStreams(3).poisson(size=h.shape, lam=h)
    else:
        from pytensor.tensor.random.utils import RandomStream

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated from 3.3
            counts = RandomStream(3).poisson(h)
    rng = counts.owner.inputs[0]
    result = regplug.compose(["dropout=0.5@hid:out"]).apply(
        {"hid:out": h, "count:out": counts}
    )
    assert result.updates[rng] is result.outputs["count:out"].owner.outputs[0]
    assert result.updates[rng] is not rng.default_update
    assert rng.default_update is counts.owner.outputs[0]
    train = function([x], result.outputs["count:out"], updates=result.updates)
    assert (train(X) != train(X)).any()


def test_multiple_recursive_generator_of_theano_advances_by_the_new_draw(engine, T):
    if not engine.__name__.endswith("theano"):
        pytest.skip("of Theano")
    from theano.sandbox.rng_mrg import MRG_RandomStreams

    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    normal = MRG_RandomStreams(3).uniform(h.shape) * h
    result = regplug.compose(["dropout=0.5@hid:out"]).apply(
        {"hid:out": h, "n:out": normal}
    )
    (state,) = (shared for shared in result.updates if hasattr(shared.tag, "is_rng"))
    assert result.updates[state] is not state.default_update
    step = function([x], result.outputs["n:out"], updates=result.updates)
    zero = step(X) == 0
    assert (zero != (step(X) == 0)).any()


def test_running_mean_is_that_of_the_dropped_layer(engine, T):
    x = T.matrix("x", dtype="float64")
    mean, square = (
        engine.shared(np.zeros(3), name=name) for name in ("bn.mean", "bn.square")
    )
    h = T.exp(x)
    center = h.mean(axis=0)
    out = h - center
    updates = {
        mean: 0.9 * mean + 0.1 * center,
        square: 0.9 * square + 0.1 * T.sqr(h).mean(axis=0),  # computed by no output
    }
    manager = regplug.compose(["dropout=0.5@hid:out"], seed=7)
    result = manager.apply({"hid:out": h, "bn:out": out}, updates=updates)
    assert list(result.clean_updates.items()) == list(updates.items())
    train = function([x], result.outputs["bn:out"], updates=result.updates)
    expected_mean = expected_square = np.zeros(3)
    for step in range(3):
        hidden = np.exp(X) * mask(step)
        np.testing.assert_allclose(train(X), hidden - hidden.mean(axis=0), rtol=1e-12)
        expected_mean = 0.9 * expected_mean + 0.1 * hidden.mean(axis=0)
        expected_square = 0.9 * expected_square + 0.1 * (hidden**2).mean(axis=0)
    np.testing.assert_allclose(mean.get_value(), expected_mean, rtol=1e-12)
    np.testing.assert_allclose(square.get_value(), expected_square, rtol=1e-12)
    evaluation = function([x], result.clean["bn:out"], updates=result.clean_updates)
    evaluation(X)
    np.testing.assert_allclose(
        mean.get_value(), 0.9 * expected_mean + 0.1 * np.exp(X).mean(axis=0)
    )
    assert manager.state()["step"] == 3


def test_clean_updates_have_the_changes_that_stay(engine, T):
    x = T.matrix("x", dtype="float64")
    mean = engine.shared(np.zeros(3), name="mean")
    h = T.exp(x)
    manager = regplug.compose([Halved("hid:out"), "dropout=0.5@hid:out"], seed=7)
    result = manager.apply({"hid:out": h}, updates={mean: h.mean(axis=0)})
    half = np.exp(X) / 2
    np.testing.assert_allclose(
        evaluate(result.clean_updates[mean], {x: X}), half.mean(axis=0)
    )
    np.testing.assert_allclose(
        evaluate(result.updates[mean], {x: X}), (half * mask(0)).mean(axis=0)
    )


def test_clean_updates_have_neither_the_step_nor_kept_arrays(engine, T):
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.eye(3), name="hid.w")
    mean = engine.shared(np.zeros(3), name="mean")
    h = T.dot(x, w)
    manager = regplug.compose(
        ["dropout=0.5@hid:out", ("spectral_norm", {"pattern": "hid.w"})]
    )
    result = manager.apply({"hid:out": h}, updates={mean: h.mean(axis=0)})
    assert {shared.name for shared in result.updates} == {
        "mean", "regplug.step", "regplug.state:spectral_norm/hid.w",
    }  # fmt: skip
    assert list(result.clean_updates) == [mean]
    assert result.clean_updates[mean] is not result.updates[mean]


def test_updates_that_no_regularizer_reaches_stay_as_they_are(engine, T):
    draw, _ = drawing(engine, "stream")
    last = engine.shared(np.zeros((4, 3)), name="last")
    x = T.matrix("x", dtype="float64")
    _, _, counts = draw(T.exp(x))
    outputs = {"count:out": counts, "out:out": counts * 2.0}
    update = counts * 1.0
    result = regplug.compose(["dropout=0.5@out:out"]).apply(
        outputs, updates={last: update}
    )
    # the engine finds the default update by itself; what was handed over is handed back
    assert {shared.name for shared in result.updates} == {"last", "regplug.step"}
    assert result.updates[last] is result.clean_updates[last] is update


def test_update_that_is_handed_over_wins_over_the_default_one(engine, T):
    draw, _ = drawing(engine, "stream")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    rng, _, counts = draw(h)
    result = regplug.compose(["dropout=0.5@hid:out"], seed=7).apply(
        {"hid:out": h, "count:out": counts}, updates={rng: rng}
    )
    step = function([x], result.outputs["count:out"], updates=result.updates)
    for number in range(2):  # each call draws from the first state
        _, numpy = drawing(engine, "stream")
        np.testing.assert_array_equal(step(X), numpy.poisson(np.exp(X) * mask(number)))


def test_default_update_is_found_behind_another_update(engine, T):
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    last, total = (engine.shared(np.zeros(shape), name="s") for shape in ((4, 3), 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        last.default_update = 2 * h
    result = regplug.compose(["dropout=0.5@hid:out"], seed=7).apply(
        {"hid:out": h}, updates={total: last.sum(axis=0)}
    )
    np.testing.assert_allclose(
        evaluate(result.updates[last], {x: X}), 2 * np.exp(X) * mask(0)
    )


def test_updates_of_one_manager_are_handed_to_the_next(engine, T):
    draw, numpy = drawing(engine, "stream")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    rng, _, counts = draw(h)
    outputs = {"in:out": x, "hid:out": h, "count:out": counts}
    first = regplug.compose(["dropout=0.5@hid:out"], seed=7).apply(outputs)
    second = regplug.compose([Halved("hid:out")]).apply(
        first.outputs, updates=first.updates
    )
    step = function([x], second.outputs["count:out"], updates=second.updates)
    for number in range(3):
        expected = numpy.poisson(np.exp(X) * mask(number) / 2)
        np.testing.assert_array_equal(step(X), expected)
    # its default update is that of the first graph, also where the two have a variable in common
    for name in ("hid:out", "in:out"):
        with pytest.warns(RegplugWarning, match="does not know the update"):
            again = regplug.compose([Halved(name)]).apply(first.outputs)
        assert rng not in again.updates


def test_updates_of_an_adapter_give_way_to_those_handed_over(engine, T):
    x = T.matrix("x", dtype="float64")
    mean, square = (
        engine.shared(np.zeros(3), name=name) for name in ("mean", "square")
    )
    h = T.exp(x)
    model = regplug.as_model({"hid:out": h})
    model.updates = {mean: h.mean(axis=0), square: T.sqr(h).mean(axis=0)}
    result = regplug.compose([Halved("hid:out")]).apply(
        model, updates={mean: h.sum(axis=0)}
    )
    half = np.exp(X) / 2
    np.testing.assert_allclose(evaluate(result.updates[mean], {x: X}), half.sum(axis=0))
    np.testing.assert_allclose(
        evaluate(result.updates[square], {x: X}), (half**2).mean(axis=0)
    )


def test_library_that_finds_updates_by_itself_is_not_warned_of(engine, T):
    draw, _ = drawing(engine, "hand")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    model = regplug.as_model({"hid:out": h, "count:out": draw(h)[2]})
    model.finds_updates = True
    assert regplug.compose([Halved("hid:out")]).apply(model).updates == {}


@pytest.mark.parametrize("kind", ["mapping", "pairs", "iterator"])
def test_updates_are_a_mapping_or_pairs(kind, engine, T):
    x = T.matrix("x", dtype="float64")
    mean = engine.shared(np.zeros(3), name="mean")
    h = T.exp(x)
    updates = {mean: h.mean(axis=0)}
    given = {
        "mapping": updates,
        "pairs": list(updates.items()),
        "iterator": iter(updates.items()),
    }
    result = regplug.compose([Halved("hid:out")]).apply(
        {"hid:out": h}, updates=given[kind]
    )
    np.testing.assert_allclose(
        evaluate(result.updates[mean], {x: X}), np.exp(X).mean(axis=0) / 2
    )
    assert updates == {mean: updates[mean]}


def test_update_that_is_the_replaced_variable_itself(engine, T):
    x = T.matrix("x", dtype="float64")
    last = engine.shared(np.zeros((4, 3)), name="last")
    result = regplug.compose([Halved("in:out")]).apply({"in:out": x}, updates={last: x})
    np.testing.assert_allclose(evaluate(result.updates[last], {x: X}), X / 2)


def test_update_that_is_a_number_is_one_of_the_type(engine, T):
    x = T.matrix("x", dtype="float64")
    count = engine.shared(np.float64(3), name="count")
    result = regplug.compose([Halved("in:out")]).apply(
        {"in:out": x}, updates={count: 5.0}
    )
    assert evaluate(result.updates[count]) == 5


def test_update_of_a_column_in_the_place_of_a_matrix_has_the_type_of_its_variable(
    engine, T
):
    class Mean(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            return value.mean(axis=1, keepdims=True)

    if not engine.__name__.endswith("theano"):
        pytest.skip("PyTensor takes no such update, written by hand or not")
    x = T.matrix("x", dtype="float64")
    h = x * 1
    last = engine.shared(np.zeros((4, 1)), name="last")
    result = regplug.compose([Mean("hid:out")]).apply(
        {"hid:out": h}, updates={last: h + 1}
    )
    function([x], [], updates=result.updates)(X)
    np.testing.assert_allclose(last.get_value(), X.mean(axis=1, keepdims=True) + 1)


def test_updates_leave_the_callers_graph_and_variables(engine, T):
    draw, _ = drawing(engine, "stream")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    rng, next_state, counts = draw(h)
    inputs = list(next_state.owner.inputs)
    regplug.compose(["dropout=0.5@hid:out"]).apply({"hid:out": h, "count:out": counts})
    assert rng.default_update is next_state
    assert list(next_state.owner.inputs) == inputs


def test_parameters_and_outputs_are_those_that_outputs_depend_on(engine, T):
    x = T.matrix("x", dtype="float64")
    w, mean = (
        engine.shared(np.eye(3), name="w"),
        engine.shared(np.zeros((4, 3)), name="mean"),
    )
    h = T.dot(x, w)
    manager = regplug.compose([("weight_l2", {"pattern": "*", "weight": 1.0})])
    result = manager.apply({"h": h}, updates={mean: (mean + h) / 2})
    assert result.matches == {"weight_l2": ["w"]}


# scans


def test_updates_of_a_scan_are_those_of_the_rebuilt_one(engine, T):
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    if engine.__name__.endswith("theano"):
        from theano.tensor.shared_randomstreams import RandomStreams

        streams = RandomStreams(3)
        states, updates = engine.scan(
            lambda row: streams.poisson(row.shape, row), sequences=h
        )
        (rng,) = updates
        numpy = np.random.RandomState()
        numpy.set_state(rng.get_value().get_state())
    else:
        rng = engine.shared(np.random.default_rng(5))
        numpy = np.random.default_rng(5)

        def draw(row):
            next_state, numbers = T.random.poisson(row, rng=rng, return_next_rng=True)
            return numbers, {rng: next_state}

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what scan returns, on PyTensor 3.3
            states, updates = engine.scan(draw, sequences=h)
    manager = regplug.compose(["dropout=0.5@hid:out"], seed=7)
    outputs = {"hid:out": h, "rnn:out": states}
    result = manager.apply(outputs, updates=updates)
    step = function([x], result.outputs["rnn:out"], updates=result.updates)
    for number in range(2):
        expected = [numpy.poisson(row) for row in np.exp(X) * mask(number)]
        np.testing.assert_array_equal(step(X), expected)
    with pytest.warns(RegplugWarning, match="does not know the update"):
        manager.apply(outputs)


def test_scan_that_draws_from_a_multiple_recursive_generator_warns(engine, T):
    if not engine.__name__.endswith("theano"):
        pytest.skip("of Theano")
    from theano.sandbox.rng_mrg import MRG_RandomStreams

    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    streams = MRG_RandomStreams(3)
    states, updates = engine.scan(
        lambda row: row * streams.uniform(row.shape), sequences=h
    )
    outputs = {"hid:out": h, "rnn:out": states}
    manager = regplug.compose(["dropout=0.5@hid:out"])
    assert set(updates) < set(manager.apply(outputs, updates=updates).updates)
    with pytest.warns(RegplugWarning, match="does not know the update"):
        manager.apply(outputs)


# what cannot be known


def test_generator_whose_update_is_not_known_warns_by_name(engine, T):
    draw, _ = drawing(engine, "hand")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    rng, next_state, counts = draw(h)
    rng.name = "counts.rng"
    outputs = {"hid:out": h, "count:out": counts}
    manager = regplug.compose(["dropout=0.5@hid:out"])
    with pytest.warns(
        RegplugWarning, match=r"draws from counts\.rng, .*updates=\{"
    ) as caught:
        manager.apply(outputs)
    assert [warning.filename for warning in caught] == [__file__]
    manager.apply(outputs, updates={rng: next_state})
    manager.apply(outputs, updates={rng: rng})  # the same numbers at each call
    regplug.compose(["dropout=0.5@count"]).apply({"count": counts * 1.0})
    regplug.compose(["hidden_l1=0.5@hid:out"]).apply(outputs)


def test_generator_of_a_chain_of_draws_is_the_first_ones(engine, T):
    draw, _ = drawing(engine, "hand")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    rng, between, first = draw(T.ones_like(x))
    if engine.__name__.endswith("theano"):
        from theano.tensor.raw_random import poisson

        last, second = poisson(between, size=h.shape, lam=h)
    else:
        last, second = T.random.poisson(h, rng=between, return_next_rng=True)
    rng.name = "rng"
    outputs = {"hid:out": h, "first:out": first, "second:out": second}
    manager = regplug.compose(["dropout=0.5@hid:out"])
    with pytest.warns(RegplugWarning, match="draws from rng,"):
        manager.apply(outputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        rng.default_update = last
    assert manager.apply(outputs).updates[rng] is not last


def test_draw_in_the_shape_of_a_dropped_layer_does_not_warn(engine, T):
    draw, numpy = drawing(engine, "hand")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)
    rng, next_state, noise = draw(T.ones(h.shape))
    result = regplug.compose(["dropout=0.5@hid:out"], seed=7).apply(
        {"hid:out": h, "noisy:out": h + noise}
    )
    step = function(
        [x], result.outputs["noisy:out"], updates={rng: next_state, **result.updates}
    )
    for number in range(2):  # the update that was built with the model is right
        expected = np.exp(X) * mask(number) + numpy.poisson(np.ones(X.shape))
        np.testing.assert_allclose(step(X), expected)


def test_shared_clock_that_has_no_update_does_not_warn(engine, T):
    x = T.matrix("x", dtype="float64")
    clock = engine.shared(np.float64(1), name="clock")
    h = T.exp(x)
    outputs = {"hid:out": h, "out:out": h * clock}
    assert list(regplug.compose([Halved("hid:out")]).apply(outputs).updates) == []


# bad input

BAD = {
    "number": (lambda w, x: 5, "5 are no mapping, and no list of pairs"),
    "text": (lambda w, x: "updates", "'updates' are no mapping"),
    "variable": (lambda w, x: x, "are no mapping"),
    "triple": (lambda w, x: [(w, x, x)], "are no mapping"),
    "key": (lambda w, x: {x: w}, "updates has x, which is no shared variable"),
    "name": (lambda w, x: {"w": w}, "updates has 'w', which is no shared variable"),
    "dtype": (lambda w, x: {w: x > 0}, r"the update of w is .*of type .*float64"),
    "dimensions": (lambda w, x: {w: x.sum()}, "the update of w is "),
    "none": (lambda w, x: {w: None}, "the update of w is None"),
    "other": (lambda w, x: {w: "x"}, "the update of w is 'x'"),
    "twice": (
        lambda w, x: [(w, x), (w, x * 2)],
        "there are two updates of w: hand over one",
    ),
    "twice in an iterator": (
        lambda w, x: iter([(w, x), (w, x * 2)]),
        "there are two updates of w: hand over one",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_updates_are_refused_and_nothing_changes(case, engine, T):
    make, what = BAD[case]
    x, w = T.matrix("x", dtype="float64"), engine.shared(np.zeros((4, 3)), name="w")
    manager = regplug.compose(["dropout=0.5@hid:out"])
    before = manager.state()
    with pytest.raises(ModelError, match=what) as caught:
        manager.apply({"hid:out": x * 1}, updates=make(w, x))
    assert str(caught.value).startswith("apply: ")
    assert manager.state() == before
    assert manager._run_state.engine is None


def test_updates_of_an_optimizer_are_refused(engine, T):
    x, w = T.matrix("x", dtype="float64"), engine.shared(np.eye(3), name="w")
    h = T.tanh(T.dot(x, w))
    cost = (h**2).mean()
    updates = [(w, w - 0.1 * engine.grad(cost, w))]
    manager = regplug.compose(["dropout=0.5@hid:out"])
    for outputs in ({"hid:out": h}, {"hid:out": h, "cost:out": cost}):
        with pytest.raises(
            ModelError,
            match="the update of w holds a gradient.*built from result.outputs",
        ):
            manager.apply(outputs, updates=updates)
    # a model that computes a gradient has no part in it
    slope = engine.grad(h.sum(), x)
    manager.apply({"hid:out": h, "slope:out": slope}, updates={w: w + slope.sum()})


def test_two_updates_of_one_parameter_are_refused_by_constrain_too(engine, T):
    x, w = T.matrix("x", dtype="float64"), engine.shared(np.eye(3), name="w")
    result = regplug.compose([("max_norm", {"pattern": "w", "limit": 1.0})]).apply(
        {"hid:out": T.dot(x, w)}
    )
    with pytest.raises(ModelError, match="constrain: there are two updates of w"):
        result.constrain([(w, w * 2), (w, w * 3)])


# layer by layer


def test_building_hands_out_the_updates_of_draws_within_a_layer(engine, T):
    draw, numpy = drawing(engine, "stream")
    x = T.matrix("x", dtype="float64")
    pre = T.exp(x)
    rng, _, counts = draw(pre)
    own = {"hid:out": pre, "hid:count": counts}
    manager = regplug.compose(["dropout=0.5@hid:out"], seed=7)
    manager.modify_graph(own)
    manager.loss([], own)
    step = function([x], own["hid:count"], updates=manager.updates)
    for number in range(3):
        np.testing.assert_array_equal(step(X), numpy.poisson(np.exp(X) * mask(number)))
    if (
        engine.uses_default_updates
    ):  # as theanets trains, which passes on no other updates
        unasked = function([x], own["hid:count"])
        np.testing.assert_array_equal(unasked(X), numpy.poisson(np.exp(X) * mask(3)))


def test_building_leaves_updates_of_what_is_built_already(engine, T):
    x = T.matrix("x", dtype="float64")
    mean = engine.shared(np.zeros(3), name="mean")
    manager = regplug.compose(["dropout=0.5@*:out"], seed=7)
    first = {"hid:out": T.exp(x)}
    manager.modify_graph(first)
    update = first["hid:out"].mean(axis=0)  # of the dropped layer, once
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        mean.default_update = update
    second = {"next:out": first["hid:out"] - mean}
    manager.modify_graph(second)
    assert mean.default_update is update
    assert mean not in manager.updates
    last = {"last:out": first["hid:out"] + 0}
    manager.modify_graph(last)
    expected = np.exp(X) * mask(0) * mask(0, name="last:out")
    np.testing.assert_allclose(evaluate(last["last:out"], {x: X}), expected)


def test_building_warns_of_a_draw_from_a_layer_that_was_replaced_earlier(engine, T):
    draw, _ = drawing(engine, "hand")
    x = T.matrix("x", dtype="float64")
    h = T.exp(x)  # a caller that keeps the variable that was replaced
    manager = regplug.compose(["dropout=0.5@hid:out"])
    manager.modify_graph({"hid:out": h})
    with pytest.warns(RegplugWarning, match="does not know the update"):
        manager.modify_graph({"count:out": draw(h)[2]})


def test_building_warns_of_a_generator_whose_update_is_not_known(engine, T):
    draw, _ = drawing(engine, "hand")
    x = T.matrix("x", dtype="float64")
    pre = T.exp(x)
    _, _, counts = draw(pre)
    manager = regplug.compose(["dropout=0.5@hid:out"])
    with pytest.warns(
        RegplugWarning, match=r"manager\.apply\(model, updates="
    ) as caught:
        manager.modify_graph({"hid:out": pre, "hid:count": counts})
    assert [warning.filename for warning in caught] == [__file__]
    after = regplug.compose(["dropout=0.5@hid:count"])
    after.modify_graph(
        {"hid:out": pre, "hid:count": counts * 1.0}
    )  # the draw stays as it is
