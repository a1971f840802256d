"""Rewiring: changed variables go into the graph, and the caller's graph stays as it is."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from toys import Plus, Times, TimesParams

import regplug
from regplug import Regularizer, hookimpl
from regplug.graph.rewiring import toposort
from regplug.testing import evaluate


def lines(T):
    """Return h1 = x, h2 = h1 + 2, out = 3 * h2."""
    x = T.vector("x", dtype="float64")
    h1 = x * 1
    h2 = h1 + 2
    return x, {"h1:out": h1, "h2:out": h2, "out:out": 3 * h2}


@pytest.mark.parametrize("order", [1, -1])
def test_rewiring_gives_69_in_both_orders(order, T):
    x, outputs = lines(T)
    manager = regplug.compose([Times("h1:out"), Plus("h2:out")][::order])
    result = manager.apply(outputs)
    assert evaluate(result.outputs["out:out"], {x: [2.0]}) == [69]
    assert evaluate(result.clean["out:out"], {x: [2.0]}) == [12]


@pytest.mark.parametrize(
    "names", [["h1:out", "h2:out", "out:out"], ["out:out", "h2:out", "h1:out"]]
)
def test_rewiring_does_not_depend_on_the_order_of_the_mapping(names, T):
    x, outputs = lines(T)
    result = regplug.compose([Plus("h2:out"), Times("h1:out")]).apply(
        {name: outputs[name] for name in names}
    )
    assert evaluate(result.outputs["out:out"], {x: [2.0]}) == [69]
    assert list(result.outputs) == ["h1:out", "h2:out", "out:out"]


def test_rewiring_applies_regularizers_of_one_output_in_the_order_of_the_list(T):
    x, outputs = lines(T)
    times, plus = Times("h1:out"), Plus("h1:out")
    for regularizers, h1 in (([times, plus], 21), ([plus, times], 30)):
        result = regplug.compose(regularizers).apply(outputs)
        assert evaluate(result.outputs["h1:out"], {x: [2.0]}) == [h1]
        assert evaluate(result.outputs["out:out"], {x: [2.0]}) == [3 * (h1 + 2)]


def test_rewiring_leaves_the_graph_of_the_caller_as_it_was(T, equal):
    x, outputs = lines(T)
    _, same = lines(T)
    kept = dict(outputs)
    nodes = {
        name: (v.owner, list(v.owner.inputs), v.name) for name, v in outputs.items()
    }
    result = regplug.compose([Times("h1:out"), Plus("*:out")]).apply(outputs)
    assert outputs == kept
    assert list(outputs) == list(kept)
    for name, (node, inputs, variable_name) in nodes.items():
        assert outputs[name].owner is node
        assert all(now is then for now, then in zip(node.inputs, inputs, strict=True))
        assert outputs[name].name == variable_name
        assert result.clean[name] is outputs[name]
        assert result.outputs[name] is not outputs[name]
    assert equal(outputs["out:out"], 3 * ((x * 1) + 2))


def test_rewiring_shares_what_lies_upstream_of_every_change(T):
    _, outputs = lines(T)
    result = regplug.compose([Times("out:out")]).apply(outputs)
    assert result.outputs["h1:out"] is outputs["h1:out"]
    assert result.outputs["h2:out"] is outputs["h2:out"]
    assert result.outputs["out:out"].owner.inputs[0] is outputs["out:out"]


def test_rewiring_keeps_the_names_of_variables(T):
    _, outputs = lines(T)
    outputs["h2:out"].name = "second"
    result = regplug.compose([Times("h1:out")]).apply(outputs)
    assert result.outputs["h2:out"].name == "second"
    assert outputs["h1:out"].name is None


def test_rewiring_within_a_layer_pre_to_out(T):
    x = T.vector("x", dtype="float64")
    pre = x * 2
    outputs = {"hid1:out": pre + 1, "hid1:pre": pre}
    result = regplug.compose([Times("hid1:pre")]).apply(outputs)
    assert evaluate(result.outputs["hid1:out"], {x: [1.0]}) == [21]
    both = regplug.compose([Times("hid1:*")]).apply(outputs)
    assert evaluate(both.outputs["hid1:out"], {x: [1.0]}) == [210]


def test_rewiring_shows_a_hook_its_layer_as_it_stands(T):
    class AddPre(Regularizer):
        @hookimpl
        def modify_graph(self, value, outputs):
            return value + outputs["hid1:pre"]

    x = T.vector("x", dtype="float64")
    pre = x * 2
    outputs = {"hid1:out": pre + 1, "hid1:pre": pre}
    result = regplug.compose([AddPre("hid1:out"), Times("hid1:pre")]).apply(outputs)
    assert evaluate(result.outputs["hid1:out"], {x: [1.0]}) == [21 + 20]


def test_rewiring_of_an_input_reaches_all_that_use_it(T):
    x, outputs = lines(T)
    result = regplug.compose([Times("in:out")]).apply(
        {"in:out": x, **outputs, "skip:out": x + outputs["h2:out"]}
    )
    assert evaluate(result.outputs["in:out"], {x: [2.0]}) == [20]
    assert evaluate(result.outputs["skip:out"], {x: [2.0]}) == [42]


def test_rewiring_of_a_parameter_reaches_all_that_use_it(engine, T):
    x = T.vector("x", dtype="float64")
    w = engine.shared(np.array([1.0, 2.0]), name="tied.w")
    h = x * w
    outputs = {"h:out": h, "out:out": (h + w).sum()}
    result = regplug.compose([TimesParams("tied.w")]).apply(outputs)
    assert evaluate(result.outputs["out:out"], {x: [1.0, 1.0]}) == 60
    assert evaluate(result.clean["out:out"], {x: [1.0, 1.0]}) == 6
    assert result.matches == {"times_params": ["tied.w"]}


def test_rewiring_parameter_that_is_an_output_too_takes_both_changes(engine, T):
    x = T.vector("x", dtype="float64")
    w = engine.shared(np.array([1.0, 2.0]), name="embed.w")
    result = regplug.compose([Plus("embed:out"), TimesParams("embed.w")]).apply(
        {"embed:out": w, "out:out": x + w}
    )
    assert evaluate(result.outputs["embed:out"]).tolist() == [11, 21]
    assert evaluate(result.outputs["out:out"], {x: [0.0, 0.0]}).tolist() == [11, 21]


def test_rewiring_of_what_flows_into_a_scan(engine, T):
    x = T.matrix("x", dtype="float64")
    h = x * 2
    rate = T.scalar("rate", dtype="float64")
    decay = rate * 1
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of what scan returns, on PyTensor 3.3
        states, _ = engine.scan(
            lambda step, state, decay: state * decay + step,
            sequences=h,
            outputs_info=T.zeros_like(h[0]),
            non_sequences=decay,
        )
    last = states[-1]
    outputs = {"h:out": h, "decay:out": decay, "rnn:states": states, "rnn:out": last}
    result = regplug.compose(
        [Times("h:out"), Plus("rnn:states"), Times("decay:out", factor=0.5)]
    ).apply(outputs)
    value = np.array([[1.0, 2], [3, 4], [5, 6]])

    def expected(h, decay):
        state, kept = np.zeros(2), []
        for row in h:
            state = state * decay + row
            kept.append(state)
        return np.array(kept)

    given = {x: value, rate: 1.0}
    np.testing.assert_allclose(
        evaluate(result.outputs["rnn:states"], given), expected(20 * value, 0.5) + 1
    )
    np.testing.assert_allclose(
        evaluate(result.outputs["rnn:out"], given), expected(20 * value, 0.5)[-1] + 1
    )
    np.testing.assert_allclose(
        evaluate(result.clean["rnn:out"], given), expected(2 * value, 1.0)[-1]
    )


def test_rewiring_of_one_of_several_outputs_of_a_node(engine, T):
    x = T.vector("x", dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        (double, triple), _ = engine.scan(
            lambda step: [step * 2, step * 3], sequences=x
        )
    outputs = {"s:double": double, "s:triple": triple, "out:out": double + triple}
    result = regplug.compose([Times("s:double")]).apply(outputs)
    assert evaluate(result.outputs["out:out"], {x: [1.0]}) == [23]
    assert result.outputs["s:triple"] is triple


def test_rewiring_variable_under_two_names_is_changed_once_and_all_get_it(T):
    x = T.vector("x", dtype="float64")
    y = x * 1
    calls = []

    class Counted(Regularizer):
        @hookimpl
        def modify_graph(self, name, value):
            calls.append({name: value})
            return value * 10

    outputs = {"out:out": y, "out:pre": y, "next:out": y + 1}
    for pattern in ("out:*", "out:pre", "out:out"):
        calls.clear()
        result = regplug.compose([Counted(pattern)]).apply(outputs)
        assert calls == [{"out:out": y}]
        assert result.outputs["out:pre"] is result.outputs["out:out"]
        assert evaluate(result.outputs["out:pre"], {x: [1.0]}) == [10]
        assert evaluate(result.outputs["next:out"], {x: [1.0]}) == [11]
        assert result.matches == {"counted": ["out:out"]}


def test_rewiring_matrix_in_the_place_of_a_column_keeps_the_type(engine, T):
    ten = engine.shared(np.full((1, 1), 10.0))

    class Matrix(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            product = T.dot(value, ten)
            assert not any(product.type.broadcastable)
            return product

    x = T.matrix("x", dtype="float64")
    column = x.sum(axis=1, keepdims=True)
    outputs = {"c:out": column, "out:out": x + column}
    result = regplug.compose([Matrix("c:out")]).apply(outputs)
    assert tuple(column.type.broadcastable) == (False, True)
    assert result.outputs["c:out"].type == column.type
    assert result.outputs["out:out"].type == outputs["out:out"].type
    given = np.array([[1.0, 2], [3, 4]])
    np.testing.assert_array_equal(
        evaluate(result.outputs["out:out"], {x: given}),
        given + 10 * given.sum(1, keepdims=True),
    )


def test_rewiring_column_in_the_place_of_a_matrix_is_accepted(T):
    x = T.matrix("x", dtype="float64")
    h = x * 1

    class Mean(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            return value.mean(axis=1, keepdims=True)

    outputs = {"h:out": h, "out:out": h + 1}
    outputs["out:out"].name = "plus one"
    result = regplug.compose([Mean("h:out")]).apply(outputs)
    assert result.outputs["out:out"].name == "plus one"  # though its node is made anew
    np.testing.assert_array_equal(
        evaluate(result.outputs["out:out"], {x: [[1.0, 3.0]]}), [[3.0]]
    )


def test_rewiring_walk_is_not_recursive(T):
    x = T.scalar("x", dtype="float64")
    h = x
    for _ in range(1500):
        h = h + 1
    result = regplug.compose([Times("x:out")]).apply({"x:out": x, "h:out": h})
    assert len(toposort([result.outputs["h:out"]])) == 1501


def test_toposort_is_inputs_first_and_stops_at_what_was_seen(T):
    x = T.vector("x")
    a = x + x
    b = a * x
    c = b + a
    assert toposort([c, b]) == [a.owner, b.owner, c.owner]
    assert toposort([c], {a}) == [b.owner, c.owner]
    assert toposort([a], {a}) == []
    assert toposort([x]) == []


def test_rewiring_of_a_parameter_that_only_a_scan_uses(engine, T):
    x = T.vector("x", dtype="float64")
    w = engine.shared(np.float64([1, 2]), name="rnn.w")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        states, _ = engine.scan(lambda step: (step * w).sum(), sequences=x)
    result = regplug.compose([TimesParams("rnn.w")]).apply({"rnn:out": states})
    given = {x: [1.0, 2.0]}
    np.testing.assert_array_equal(evaluate(result.outputs["rnn:out"], given), [30, 60])
    np.testing.assert_array_equal(evaluate(result.clean["rnn:out"], given), [3, 6])


def test_rewiring_of_what_another_manager_made(T):
    x, outputs = lines(T)
    first = regplug.compose([Times("h1:out")]).apply(outputs)
    second = regplug.compose([Plus("h2:out")]).apply(first.outputs)
    assert evaluate(second.outputs["out:out"], {x: [2.0]}) == [69]
    assert evaluate(first.outputs["out:out"], {x: [2.0]}) == [66]
