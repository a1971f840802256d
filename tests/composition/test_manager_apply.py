"""Manager.apply: what the result holds, and what happens when a plugin breaks a rule."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
from toys import Sum, SumParams

import regplug
from regplug import NoMatchError, Regularizer, RegularizerError, hookimpl
from regplug.engine import engine_of, mean, tensor
from regplug.testing import evaluate, function


class Times(Regularizer):
    """Multiply by the live weight."""

    weight = 10.0

    @hookimpl
    def modify_graph(self, value, weight):
        return value * weight


class Always(Times):
    """A change that stays at prediction time."""

    applies = "always"


def net(engine, dtype="float64"):
    """Return input and outputs of a network with two parameters."""
    T = engine.T
    x = T.matrix("x", dtype=dtype)
    w, v = (
        engine.shared(np.array([[1.0, -2], [3, 4]], dtype), name=name)
        for name in ("hid.w", "out.w")
    )
    h = T.tanh(T.dot(x, w))
    return x, {"in:out": x, "hid:out": h, "out:out": T.dot(h, v)}


VALUE = np.array([[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6]])


# what the result holds


def test_apply_result_of_nothing_is_the_model_itself(engine):
    x, outputs = net(engine)
    result = regplug.compose([]).apply(outputs)
    assert all(
        result.outputs[name] is outputs[name] is result.clean[name] for name in outputs
    )
    assert result.updates == {}
    assert result.terms == {}
    assert result.matches == {}
    assert evaluate(result.loss) == 0
    assert evaluate(result.clean_loss) == 0


def test_apply_gives_the_graph_that_one_writes_by_hand(engine, equal):
    T = engine.T
    _, outputs = net(engine)
    manager = regplug.compose(
        [("dropout", {"pattern": "hid:out", "weight": 0.5}), ("weight_l2", 1e-4)],
        seed=7,
    )
    result = manager.apply(outputs)

    # the same pieces by hand: the mask, the live weights, the parameters
    h, w, v = outputs["hid:out"], *regplug.as_model(outputs).params.values()
    keep = next(
        each for each in ancestors(result.outputs["out:out"]) if each.dtype == "bool"
    )
    rate, strength = (
        shared(result, f"regplug.weight:{label}") for label in ("dropout", "weight_l2")
    )
    dropped = T.switch(keep, h * (1 / (1 - T.cast(rate, "float64"))), 0)
    made = [each.owner.op for each in ancestors(result.loss) if each.owner]
    gate = next(op for op in made if isinstance(op, engine.Gate))
    weight = T.cast(strength, "float64")
    squares = sum([mean(gate(p) ** 2) for p in (w, v)]) / 2
    penalty = T.switch(T.neq(weight, 0), weight * squares, np.zeros(()))
    assert equal(result.outputs["out:out"], T.dot(dropped, v))
    assert equal(result.outputs["hid:out"], dropped)
    assert equal(result.loss, penalty)
    assert equal(result.clean_loss, penalty)
    assert not equal(result.outputs["out:out"], T.dot(h, v))


def ancestors(variable):
    """Return all variables from which one is computed."""
    found, stack = {}, [variable]
    while stack:
        each = stack.pop()
        if each not in found:
            found[each] = None
            stack.extend(each.owner.inputs if each.owner else ())
    return list(found)


def shared(result, name):
    """Return the shared variable of that name in the graph of a result."""
    graphs = [*result.outputs.values(), result.loss]
    return next(
        v
        for graph in graphs
        for v in ancestors(graph)
        if v.owner is None and v.name == name
    )


def test_apply_terms_are_weighted_and_add_up(engine):
    x, outputs = net(engine)
    manager = regplug.compose(
        [SumParams("hid.w", 0.5), SumParams("*", 2), Sum("hid:out", 3)]
    )
    result = manager.apply(outputs)
    assert list(result.terms) == ["sum_params", "sum_params#2", "sum"]
    h = np.tanh(VALUE @ [[1, -2], [3, 4]])
    terms = {name: evaluate(term, {x: VALUE}) for name, term in result.terms.items()}
    assert terms == pytest.approx(
        {"sum_params": 3, "sum_params#2": 24, "sum": 3 * h.sum()}
    )
    assert evaluate(result.loss, {x: VALUE}) == pytest.approx(27 + 3 * h.sum())


def test_apply_hands_one_weight_to_all_visits(engine):
    seen = []

    class Look(Times):
        @hookimpl
        def modify_graph(self, value, weight):
            seen.append(weight)
            return value * weight

    _, outputs = net(engine, "float32")
    regplug.compose([Look(["hid:out", "out:out"])]).apply(outputs)
    assert seen[0] is seen[1]
    assert seen[0].dtype == "float32"


def test_apply_matches_are_in_graph_order_by_label(engine):
    _, outputs = net(engine)
    manager = regplug.compose(
        [
            Sum("*"),
            SumParams("*"),
            ("noise", {"weight": 0, "pattern": "@input", "name": "blur"}),
        ]
    )
    assert manager.apply(dict(reversed(outputs.items()))).matches == {
        "sum": ["in:out", "hid:out", "out:out"],
        "sum_params": ["hid.w", "out.w"],
        "blur": ["in:out"],
    }


def test_apply_parameter_of_two_layers_counts_once(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.eye(2), name="w")
    outputs = {"y:out": T.dot(T.tanh(T.dot(x, w)), w.T)}
    assert evaluate(regplug.compose([SumParams()]).apply(outputs).loss) == 2
    assert (
        evaluate(
            regplug.compose([SumParams()])
            .apply(outputs, params={"enc.w": w, "dec.w": w})
            .loss
        )
        == 2
    )


def test_apply_everything_does_not_touch_the_managers_own_variables(engine):
    x, outputs = net(engine)
    own = [
        "dropout=0.5@*",
        "noise=1@*",
        ("weight_l2", 1),
        ("spectral_norm", {"pattern": "*"}),
    ]
    first = regplug.compose(own).apply(outputs)
    again = regplug.compose([SumParams("*")]).apply(first.outputs)
    assert again.matches == {"sum_params": ["hid.w", "out.w"]}
    inside = [
        v.name
        for v in ancestors(first.outputs["out:out"])
        if v.owner is None and v.name
    ]
    assert "regplug.keys" in inside
    assert "regplug.weight:dropout" in inside


def test_apply_clean_loss_is_the_penalty_on_the_clean_graph(engine):
    x, outputs = net(engine)
    result = regplug.compose([Times("hid:out"), Sum("out:out"), SumParams("*")]).apply(
        outputs
    )
    clean = evaluate(outputs["out:out"], {x: VALUE}).sum()
    assert evaluate(result.loss, {x: VALUE}) == pytest.approx(10 * clean + 12)
    assert evaluate(result.clean_loss, {x: VALUE}) == pytest.approx(clean + 12)
    assert result.clean["out:out"] is outputs["out:out"]


def test_apply_always_changes_stay_in_the_clean_graph(engine):
    x, outputs = net(engine)
    result = regplug.compose(
        [Always("hid:out", 2), Times("hid:out", 10), Sum("out:out")]
    ).apply(outputs)
    plain = evaluate(outputs["out:out"], {x: VALUE})
    np.testing.assert_allclose(
        evaluate(result.outputs["out:out"], {x: VALUE}), 20 * plain
    )
    np.testing.assert_allclose(evaluate(result.clean["out:out"], {x: VALUE}), 2 * plain)
    assert result.clean["in:out"] is x
    assert evaluate(result.clean_loss, {x: VALUE}) == pytest.approx(2 * plain.sum())


def test_apply_loss_sees_the_rewired_outputs_and_the_parameters_themselves(engine):
    x, outputs = net(engine)
    seen = {}

    class Look(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, layers, outputs, matched):
            seen[id(self)] = dict(matched)
            seen["outputs"], seen["layers"] = outputs, layers

    class TimesParams(Times):
        targets = "params"

    class LookParams(Look):
        targets = "params"

    look, look_params = Look("@hidden"), LookParams("*")
    result = regplug.compose(
        [look, look_params, TimesParams("hid.w"), Times("hid:out")]
    ).apply(outputs)
    params = regplug.as_model(outputs).params
    assert seen[id(look_params)] == params
    assert dict(seen["outputs"].items()) == outputs  # the clean pass comes last
    assert [layer.name for layer in seen["layers"]] == ["in", "hid", "out"]
    assert seen["outputs"].match("@hidden") == {"hid:out": outputs["hid:out"]}
    np.testing.assert_allclose(
        evaluate(result.outputs["hid:out"], {x: VALUE}),
        10 * np.tanh(10 * VALUE @ [[1, -2], [3, 4]]),
    )


@pytest.mark.parametrize(
    ("dtypes", "expected", "weight"),
    [
        (("float32",), "float32", "float32"),
        (("float32", "float64"), "float64", "float64"),
        (("float16",), "float16", "float32"),
    ],
)
def test_apply_terms_have_the_widest_float_dtype_of_what_matched(
    dtypes, expected, weight, engine
):
    x = engine.T.vector("x", dtype="float16")
    w = [
        engine.shared(np.ones(2, dtype), name=f"w{i}") for i, dtype in enumerate(dtypes)
    ]
    seen = {}

    class Look(Regularizer):
        weight = 0.5
        targets = "params"

        @hookimpl
        def loss(self, matched, weight):
            seen["weight"] = weight.dtype
            return engine.T.cast(sum(p.sum() for p in matched.values()), "float64")

    result = regplug.compose([Look()]).apply({"y:out": sum(w, x)})
    assert result.terms["look"].dtype == expected == result.loss.dtype
    assert seen["weight"] == weight
    assert evaluate(result.terms["look"]) == len(dtypes)


def test_apply_loss_without_terms_has_the_dtype_of_the_outputs(engine):
    _, outputs = net(engine, "float32")
    assert regplug.compose([]).apply(outputs).loss.dtype == "float32"


@pytest.mark.parametrize("nothing", [None, 0, 0.0])
def test_apply_loss_that_is_none_or_zero_is_no_term(nothing, engine):
    class Nothing(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, matched):
            return nothing

    _, outputs = net(engine)
    result = regplug.compose([Nothing(), Sum("hid:out")]).apply(outputs)
    assert list(result.terms) == ["sum"]


def test_apply_calls_no_hook_where_an_optional_pattern_matches_nothing(engine):
    class Fail(Regularizer):
        weight = 1.0

        @hookimpl
        def modify_graph(self, outputs):
            raise AssertionError

        @hookimpl
        def loss(self, matched):
            raise AssertionError

    _, outputs = net(engine)
    result = regplug.compose([Fail("conv*", optional=True)]).apply(outputs)
    assert result.matches == {"fail": []}
    assert result.terms == {}


def test_apply_hook_visits_each_match_once_upstream_first(engine):
    visits = []

    class Visit(Regularizer):
        @hookimpl
        def modify_graph(self, name, value, outputs):
            assert outputs[name] is value
            visits.append((name, list(outputs)))
            return value * 2

    x, outputs = net(engine)
    outputs["hid:pre"] = outputs["hid:out"].owner.inputs[0]
    regplug.compose([Visit(["out:*", "hid:*"])]).apply(outputs)
    assert visits == [
        ("hid:pre", ["hid:pre"]), ("hid:out", ["hid:out"]), ("out:out", ["out:out"]),
    ]  # fmt: skip


def test_apply_hook_of_the_ancestor_may_replace_all_its_matches_at_once(engine):
    class Ancestor(Regularizer):
        def __init__(self, pattern="*", weight=0.0):
            super().__init__(pattern=pattern, weight=weight)

        @hookimpl
        def modify_graph(self, outputs):
            for name, h in list(outputs.items()):
                outputs[name] = h * 3

    T = engine.T
    x = T.vector("x", dtype="float64")
    pre = x * 2
    outputs = {"h:pre": pre, "h:out": pre + 1}
    result = regplug.compose([Ancestor("*")]).apply(outputs)
    assert evaluate(result.outputs["h:pre"], {x: [1.0]}) == [6]
    assert evaluate(result.outputs["h:out"], {x: [1.0]}) == [21]


def test_apply_keeps_names_that_a_hook_adds(engine):
    class Add(Regularizer):
        @hookimpl
        def modify_graph(self, name, value, outputs):
            outputs["hid:mask"] = value * 0
            return value * 2

    x, outputs = net(engine)
    result = regplug.compose([Add("hid:out"), Times("*")]).apply(outputs)
    assert set(result.outputs) == {*outputs, "hid:mask"}
    assert set(result.clean) == set(outputs)
    assert result.matches["times"] == ["in:out", "hid:out", "out:out"]


def test_apply_twice_serves_two_models_with_one_set_of_weights(engine):
    manager = regplug.compose([Times("hid:out")])
    (x, outputs), (y, others) = net(engine), net(engine)
    first, second = manager.apply(outputs), manager.apply(others)
    manager.weights["times"] = 0
    assert not evaluate(first.outputs["hid:out"], {x: VALUE}).any()
    assert not evaluate(second.outputs["hid:out"], {y: VALUE}).any()


def test_apply_one_instance_serves_two_managers(engine):
    times = Times("hid:out", 2)
    (x, outputs), (y, others) = net(engine), net(engine)
    first, second = (regplug.compose([times]) for _ in range(2))
    results = first.apply(outputs), second.apply(others)
    first.weights["times"] = 5
    assert times.weight == 2
    assert second.weights["times"] == 2
    plain = evaluate(outputs["hid:out"], {x: VALUE})
    np.testing.assert_allclose(
        evaluate(results[0].outputs["hid:out"], {x: VALUE}), 5 * plain
    )
    np.testing.assert_allclose(
        evaluate(results[1].outputs["hid:out"], {y: VALUE}), 2 * plain
    )


def test_apply_weight_is_none_where_the_regularizer_has_none(engine):
    class Look(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            return value * 2

    _, outputs = net(engine)
    manager = regplug.compose([Look("hid:out")])
    manager.apply(outputs)
    assert manager.weights == {}


def test_manager_logs_each_regularizer(engine, caplog):
    _, outputs = net(engine)
    manager = regplug.compose([SumParams("*", 0.5), Times("hid:out")])
    with caplog.at_level(logging.INFO, "regplug"):
        manager.log()
        manager.apply(outputs)
        manager.log()
    assert caplog.messages == [
        "SumParams(weight=0.5) on 0 params: ",
        "Times(pattern='hid:out') on 0 outputs: ",
        "SumParams(weight=0.5) on 2 params: hid.w, out.w",
        "Times(pattern='hid:out') on 1 outputs: hid:out",
    ]


# what a plugin may not do


def broken(body, targets="outputs", hook="loss"):
    """Return a regularizer whose hook is `body`."""

    class Lasso(Regularizer):
        weight = 1.0

    if hook == "loss":

        def loss(self, layers, outputs, matched):
            return body(next(iter(matched.values())))

        Lasso.loss = hookimpl(loss)
    else:

        def modify_graph(self, name, outputs):
            return body(outputs, name)

        Lasso.modify_graph = hookimpl(modify_graph)
    Lasso.targets = targets
    Lasso.__qualname__ = "Lasso"
    Lasso.__module__ = "regplug_lasso"
    return Lasso


LOSSES = {
    "vector": (
        lambda h: h.sum(axis=0),
        "returned a vector of shape (?,), expected a scalar",
    ),
    "matrix": (lambda h: h, "returned a matrix of shape (?, ?), expected a scalar"),
    "integer": (
        lambda h: h.shape[0],
        "returned a scalar of dtype int64, expected a float",
    ),
    "boolean": (
        lambda h: h.sum() > 0,
        "returned a scalar of dtype bool, expected a float",
    ),
    "number": (lambda h: 5.0, "returned 5.0, expected a scalar variable, None or 0"),
    "array": (lambda h: np.float64(3), "expected a scalar variable, None or 0"),
    "text": (lambda h: "x", "returned 'x', expected a scalar variable, None or 0"),
    "list": (lambda h: [h.sum()], "expected a scalar variable, None or 0"),
    "raises": (lambda h: 1 / 0, "raised ZeroDivisionError: division by zero"),
    "asserts": (
        lambda h: exec("assert False, 'wrong'"),
        "raised AssertionError: wrong",
    ),
    "exits": (lambda h: sys.exit(3), "raised SystemExit: 3"),
}


@pytest.mark.parametrize("case", LOSSES)
def test_apply_loss_that_breaks_a_rule_is_named(case, engine):
    body, what = LOSSES[case]
    x, outputs = net(engine)
    kept = dict(outputs)
    with pytest.raises(RegularizerError) as caught:
        regplug.compose([Sum(), broken(body)("hid:out")]).apply(outputs)
    assert str(caught.value).startswith("lasso (regplug_lasso.Lasso, loss): ")
    assert what in str(caught.value)
    assert outputs == kept


def test_apply_error_of_a_plugin_has_its_package_and_version_and_chains(
    engine, package
):
    source = """
from regplug import Regularizer, hookimpl

class Lasso(Regularizer):
    @hookimpl
    def loss(self, matched):
        raise KeyError("hid.w")
"""
    package(
        "regplug-lasso",
        {"lasso": "regplug_lasso:Lasso"},
        "regplug_lasso",
        source,
        version="0.7",
    )
    _, outputs = net(engine)
    with pytest.raises(
        RegularizerError,
        match=r"^lasso \(regplug-lasso 0.7, loss\): raised KeyError: 'hid",
    ) as caught:
        regplug.compose(["lasso=1"]).apply(outputs)
    assert isinstance(caught.value.__cause__, KeyError)


def test_apply_interrupt_by_the_user_is_not_an_error_of_the_plugin(engine):
    def interrupt(h):
        raise KeyboardInterrupt

    _, outputs = net(engine)
    with pytest.raises(KeyboardInterrupt):
        regplug.compose([broken(interrupt)("hid:out")]).apply(outputs)


def set_to(value):
    def body(outputs, name):
        outputs[name] = value(outputs[name]) if callable(value) else value

    return body


def set_other(outputs, name):
    outputs[name] = outputs[name] * 2
    outputs["hid:pre"] = outputs[name]


def set_foreign(outputs, name):
    outputs[name] = outputs[name] * 2
    outputs["out:out"] = outputs[name]


def remove(outputs, name):
    outputs[name] = outputs[name] * 2
    del outputs["hid:pre"]


def clear(outputs, name):
    outputs.clear()


def add_no_variable(outputs, name):
    outputs[name] = outputs[name] * 2
    outputs["hid:extra"] = 5


CHANGES = {
    "dtype": (
        set_to(lambda h: tensor(h).cast(h, "float32")),
        "expected the same dtype",
    ),
    "integer": (set_to(lambda h: h > 0), "the same dtype and number of dimensions"),
    "ndim": (
        set_to(lambda h: h.sum(axis=0)),
        "the same dtype and number of dimensions",
    ),
    "none": (set_to(None), "returned None, expected a tensor variable"),
    "number": (set_to(3.0), "3.0"),
    "array": (set_to(np.zeros((2, 2))), "expected a tensor variable"),
    "list": (set_to(lambda h: [h]), "expected a tensor variable"),
    "other": (
        set_other,
        "set 'hid:pre', and it can replace the visited entry only",
    ),
    "foreign": (
        set_foreign,
        "set 'out:out', and it can replace the visited entry only",
    ),
    "removed": (remove, "raised KeyError: 'hid:pre'"),
    "cleared": (clear, "left the entry as it was: return its new value"),
    "unchanged": (
        lambda outputs, name: None,
        "left the entry as it was: return its new value",
    ),
    "added": (add_no_variable, "returned 5, expected a tensor variable"),
    "same": (lambda outputs, name: outputs[name], "returned the entry as it was"),
    "both": (
        lambda outputs, name: (
            outputs.update({name: outputs[name] * 2}) or outputs[name]
        ),
        "set the entry in `outputs` and returned a value: do one of them",
    ),
    "raises": (
        lambda outputs, name: outputs["hid:gate"],
        "raised KeyError: 'hid:gate'",
    ),
    "exits": (lambda outputs, name: sys.exit("bye"), "raised SystemExit: bye"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_apply_modify_graph_that_breaks_a_rule_is_named(case, engine):
    body, what = CHANGES[case]
    x, outputs = net(engine)
    outputs["hid:pre"] = outputs["hid:out"].owner.inputs[0]
    kept, owners = dict(outputs), {name: v.owner for name, v in outputs.items()}
    with pytest.raises(RegularizerError) as caught:
        regplug.compose(
            [Times("in:out"), broken(body, hook="modify_graph")("hid:out")]
        ).apply(outputs)
    text = str(caught.value)
    assert text.startswith("lasso (regplug_lasso.Lasso, modify_graph, hid:out): ")
    assert what in text or (
        case == "dtype" and "the same dtype and number of dimensions" in text
    )
    assert outputs == kept
    assert {name: v.owner for name, v in outputs.items()} == owners


def test_apply_role_that_matches_nothing_has_no_nearest_name(engine):
    _, outputs = net(engine)
    with pytest.raises(
        NoMatchError,
        match="pattern '@hidden' matches none of the 1 outputs. Outputs: in:out",
    ):
        regplug.compose([("dropout", 0.5)]).apply({"in:out": outputs["in:out"]})


def test_apply_modify_graph_of_parameters_that_breaks_a_rule_is_named(engine):
    _, outputs = net(engine)
    with pytest.raises(
        RegularizerError,
        match=r"modify_graph, hid.w\): .*the same dtype and number of dimensions",
    ):
        regplug.compose(
            [broken(set_to(lambda w: w.sum()), "params", "modify_graph")("hid.w")]
        ).apply(outputs)

    def add(params, name):
        params[name] = params[name] * 2
        params["hid.v"] = params[name]

    with pytest.raises(RegularizerError, match="set 'hid.v'"):
        regplug.compose([broken(add, "params", "modify_graph")("hid.w")]).apply(outputs)


def test_apply_static_shape_that_does_not_fit_is_named(engine):
    x = engine.T.matrix("x", dtype="float64")
    column = x.sum(axis=1, keepdims=True)
    body = set_to(lambda h: tensor(h).concatenate([h, h], axis=1))
    if (
        engine.static_shape(tensor_of_two(engine, column))[1] == 2
    ):  # Theano knows no lengths but 1
        with pytest.raises(
            RegularizerError,
            match=r"modify_graph, c:out\): returned .*which does not fit",
        ):
            regplug.compose([broken(body, hook="modify_graph")("c:out")]).apply(
                {"c:out": column}
            )
    else:
        result = regplug.compose([broken(body, hook="modify_graph")("c:out")]).apply(
            {"c:out": column}
        )
        assert result.outputs["c:out"].type == column.type
        with pytest.raises(ValueError):
            evaluate(result.outputs["c:out"], {x: VALUE})


@pytest.mark.parametrize("length", [1, 2, 4])
def test_apply_result_that_is_shorter_or_longer_than_the_output_is_named(
    length, engine
):
    if engine.__name__.endswith("theano"):
        pytest.skip("Theano's types know of no lengths but 1")
    x = engine.T.matrix("x", shape=(None, 3), dtype="float64")
    h = x * 1
    ones = engine.T.constant(np.ones((2, length)))
    body = set_to(lambda h: ones)
    with pytest.raises(
        RegularizerError, match=r"modify_graph, h:out\): returned .*which does not fit"
    ):
        regplug.compose([broken(body, hook="modify_graph")("h:out")]).apply(
            {"h:out": h}
        )
    for fitting in (engine.T.constant(np.ones((2, 3))), x[:2]):
        body = set_to(lambda h, fitting=fitting: fitting)
        result = regplug.compose([broken(body, hook="modify_graph")("h:out")]).apply(
            {"h:out": h}
        )
        assert engine.static_shape(result.outputs["h:out"])[1] == 3


def test_apply_static_length_in_the_place_of_an_unknown_one_is_accepted(engine):
    x = engine.T.matrix("x", dtype="float64")
    ones = engine.T.constant(np.ones((1, 4)))
    lasso = broken(set_to(lambda h: ones), hook="modify_graph")("h:out")
    h = x * 1
    result = regplug.compose([lasso]).apply({"h:out": h, "y:out": h + 1})
    assert evaluate(result.outputs["h:out"]).tolist() == [[1] * 4]


def test_apply_weight_at_an_integer_output_is_the_weight(engine):
    class Tokens(Regularizer):
        @hookimpl
        def loss(self, matched, weight):
            return sum(weight * each.sum() for each in matched.values())

    x = engine.T.vector("x", dtype="int32")
    result = regplug.compose([Tokens("in:out", weight=0.5)]).apply({"in:out": x})
    assert evaluate(result.loss, {x: [3, 4]}) == 0.5 * 0.5 * 7


def test_apply_asks_for_the_clean_term_where_it_may_be_another(engine):
    calls = []

    class Params(Sum):
        targets = "params"

        @hookimpl
        def loss(self, matched):
            calls.append("params")
            return sum(w.sum() for w in matched.values())

    class Layers(Sum):
        targets = "params"

        @hookimpl
        def loss(self, layers, matched):
            calls.append("layers")
            return sum(
                layer.scale * w.sum() for w in matched.values() for layer in layers
            )

    class Outputs(Sum):
        targets = "params"

        @hookimpl
        def loss(self, outputs, matched):
            calls.append("outputs")
            return outputs["hid:out"].sum()

    class Matched(Sum):
        @hookimpl
        def loss(self, matched):
            calls.append("matched")
            return sum(h.sum() for h in matched.values())

    class Layer:
        name, output_name, params = "hid", "hid:out", ()
        asked = 0

        @property
        def scale(self):
            self.asked += 1
            return float(self.asked)

    x, outputs = net(engine)
    params = ("hid.w", 1.0)
    penalties = [
        Params(*params),
        Layers(*params),
        Outputs(*params),
        Matched("hid:out"),
        Matched("in:out"),
    ]
    manager = regplug.compose([Always("hid:out", 2), Times("hid:out", 10), *penalties])
    result = manager.apply(outputs, layers=[Layer()])
    assert sorted(calls) == ["layers"] * 2 + ["matched"] * 3 + ["outputs"] * 2 + [
        "params"
    ]
    hidden = np.tanh(VALUE @ [[1, -2], [3, 4]]).sum()
    w = 1 - 2 + 3 + 4
    expected = [w, w, 20 * hidden, 20 * hidden, VALUE.sum()]
    clean = w + 2 * w + 2 * hidden + 2 * hidden + VALUE.sum()
    np.testing.assert_allclose(
        evaluate(list(result.terms.values()), {x: VALUE}), expected
    )
    assert evaluate(result.clean_loss, {x: VALUE}) == pytest.approx(clean)


def tensor_of_two(engine, column):
    return engine.T.concatenate([column, column], axis=1)


def test_apply_accepts_a_constant_and_a_shared_variable_as_results(engine):
    x, outputs = net(engine)
    zero = engine.shared(np.zeros((3, 2)))
    for value in (zero, engine.T.constant(np.zeros((3, 2)))):
        result = regplug.compose(
            [broken(set_to(value), hook="modify_graph")("hid:out")]
        ).apply(outputs)
        assert not evaluate(result.outputs["out:out"], {x: VALUE}).any()
    for value in (engine.shared(np.float64(3)), engine.T.constant(np.float64(3))):
        result = regplug.compose(
            [broken(lambda h, value=value: value)("hid:out")]
        ).apply(outputs)
        assert evaluate(result.loss) == 3


def test_apply_regplug_error_of_a_plugin_keeps_its_kind_and_gets_the_label(engine):
    def missing(h):
        raise NoMatchError("there is no such layer")

    _, outputs = net(engine)
    with pytest.raises(NoMatchError, match="^lasso.*: there is no such layer"):
        regplug.compose([broken(missing)("hid:out")]).apply(outputs)


def test_apply_that_fails_leaves_the_manager_as_it_was(engine):
    x, outputs = net(engine)
    manager = regplug.compose(
        ["dropout=0.5@hid:out", ("weight_l2", {"weight": 1, "pattern": "*.w"})], seed=3
    )
    before = manager.state()
    with pytest.raises(NoMatchError):
        manager.apply({"in:out": x})
    assert manager.state() == before
    result = manager.apply(outputs)
    fresh = regplug.compose(
        ["dropout=0.5@hid:out", ("weight_l2", {"weight": 1, "pattern": "*.w"})], seed=3
    )
    np.testing.assert_array_equal(
        evaluate(result.outputs["hid:out"], {x: VALUE}),
        evaluate(fresh.apply(outputs).outputs["hid:out"], {x: VALUE}),
    )


def test_apply_refuses_before_anything_is_compiled(engine, monkeypatch):
    module = sys.modules[engine.T.__name__.partition(".")[0]]

    def no_compiling(*args, **kwargs):
        raise AssertionError("compiled")

    monkeypatch.setattr(module.compile, "function", no_compiling)
    monkeypatch.setattr(module, "function", no_compiling)
    _, outputs = net(engine)
    for body, _ in LOSSES.values():
        with pytest.raises(RegularizerError):
            regplug.compose([broken(body)("hid:out")]).apply(outputs)
    with pytest.raises(NoMatchError):
        regplug.compose(["dropout=0.5@conv"]).apply(outputs)


def test_apply_trains_with_the_gradient_of_the_loss(engine):
    x, outputs = net(engine)
    manager = regplug.compose(["weight_l2=1@hid.w"])
    result = manager.apply(outputs)
    w = regplug.as_model(outputs).params["hid.w"]
    gradient = engine.grad(result.loss, w)
    step = function([], result.loss, updates={w: w - 0.5 * gradient, **result.updates})
    first, second = step(), step()
    assert first == pytest.approx(30 / 4)
    assert second == pytest.approx(30 / 4 * 0.75**2)
    assert engine_of(w) is engine


def test_apply_output_in_the_place_of_another_is_visited_all_the_same(engine):
    visited = []

    class Swap(Regularizer):
        @hookimpl
        def modify_graph(self, name, value, outputs):
            visited.append(name)
            return outputs["l:b"] if name == "l:a" else value * 2

    x = engine.T.matrix("x", dtype="float64")
    regplug.compose([Swap("l:*")]).apply({"l:a": x + 1, "l:b": x * 3})
    assert sorted(set(visited)) == ["l:a", "l:b"]


def test_log_is_seen_where_logging_is_not_configured(engine, capsys, monkeypatch):
    _, outputs = net(engine)
    manager = regplug.compose([SumParams("*", 0.5)])
    logger = logging.getLogger("regplug")
    manager.apply(outputs)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    manager.log()

    line = "SumParams(weight=0.5) on 2 params: hid.w, out.w\n"
    assert capsys.readouterr() == ("", line)
    assert (logger.handlers, logger.level) == ([], logging.NOTSET)
    # a level is a choice, and so is a handler
    logger.setLevel(logging.ERROR)
    manager.log()
    logger.setLevel(logging.NOTSET)
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    manager.log()
    assert capsys.readouterr() == ("", "")
