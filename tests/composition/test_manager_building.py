"""Manager.modify_graph and loss: a model that is regularized while it is built, layer by layer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from toys import Plus, Sum, SumParams, Times, TimesParams

import regplug
from regplug import (
    ModelError,
    NoMatchError,
    OptionError,
    Regularizer,
    RegularizerError,
    hookimpl,
)
from regplug.noise import reference
from regplug.testing import evaluate, function


def build(manager, *layers):
    """Build layer by layer: each takes all outputs so far and returns its own."""
    outputs = {}
    for layer in layers:
        own = layer(outputs)
        manager.modify_graph(own)
        outputs.update(own)
    return outputs


@pytest.mark.parametrize("order", [1, -1])
def test_building_gives_69_in_both_orders(order, T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Times("h1:out"), Plus("h2:out")][::order])
    outputs = build(
        manager,
        lambda _: {"h1:out": x * 1},
        lambda o: {"h2:out": o["h1:out"] + 2},
        lambda o: {"out:out": 3 * o["h2:out"]},
    )
    assert evaluate(outputs["out:out"], {x: [2.0]}) == [69]


def test_building_changes_the_mapping_and_not_the_graph(T):
    x = T.vector("x", dtype="float64")
    h = x * 1
    own = {"h:pre": h, "h:out": h + 1}
    node = own["h:out"].owner
    regplug.compose([Times("h:pre")]).modify_graph(own)
    assert node.inputs[0] is h
    assert list(own) == ["h:pre", "h:out"]
    assert evaluate(own["h:out"], {x: [1.0]}) == [11]


def test_building_reaches_what_was_built_on_the_old_variable(T):
    x = T.vector("x", dtype="float64")
    h = x * 1  # a caller that keeps the variable that was replaced
    outputs = build(
        regplug.compose([Times("h:out")]),
        lambda _: {"h:out": h},
        lambda _: {"y:out": h + 1},
    )
    assert evaluate(outputs["y:out"], {x: [1.0]}) == [11]


def test_building_does_not_regularize_an_earlier_layer_again(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Times("*")])
    outputs = build(
        manager, lambda _: {"h:out": x * 1}, lambda o: {"y:out": o["h:out"] + 1}
    )
    assert evaluate(outputs["y:out"], {x: [1.0]}) == [110]


def test_building_replaces_a_tied_parameter_once_and_everywhere(engine, T):
    x = T.vector("x", dtype="float64")
    w = engine.shared(np.array([1.0, 2.0]), name="w")
    manager = regplug.compose([TimesParams("w")])
    outputs = build(
        manager, lambda _: {"enc:out": x * w}, lambda o: {"dec:out": o["enc:out"] * w}
    )
    assert evaluate(outputs["dec:out"], {x: [1.0, 1.0]}).tolist() == [100, 400]


def test_building_draws_one_noise_for_a_tied_parameter(engine, T):
    x = T.vector("x", dtype="float64")
    w = engine.shared(np.ones(64), name="w")
    manager = regplug.compose(["drop_connect=0.5@w"], seed=7)
    outputs = build(
        manager,
        lambda _: {"enc:out": x * w},
        lambda _: {"dec:out": x * w},
        lambda o: {"out:out": o["dec:out"] * w},
    )
    ones = {x: np.ones(64)}
    enc, dec, out = evaluate(
        [outputs[f"{name}:out"] for name in ("enc", "dec", "out")], ones
    )
    mask = 2.0 * reference.keep(7, "drop_connect", "w", (64,), 0, 0.5)
    np.testing.assert_array_equal(enc, mask)
    np.testing.assert_array_equal(dec, mask)
    np.testing.assert_array_equal(out, mask**2)


def test_building_draws_anew_in_the_loss(T):
    class Both(Regularizer):
        @hookimpl
        def modify_graph(self, value, noise):
            return value + noise.uniform(value)

        @hookimpl
        def loss(self, matched, noise):
            return sum(noise.at(name).uniform(h).sum() for name, h in matched.items())

    x = T.vector("x", dtype="float64")
    zeros = {x: np.zeros(9)}

    def drawn(draw, step=0):
        return reference.uniform(7, "both", "h:out", (9,), step, "float64", draw=draw)

    manager = regplug.compose([Both("h:out", weight=1.0)], seed=7)
    outputs = build(manager, lambda _: {"h:out": x * 1})
    for _ in range(2):  # the loss may be asked for again
        step = manager.state()["step"]
        h, loss = evaluate([outputs["h:out"], manager.loss([], outputs)], zeros)
        np.testing.assert_array_equal(h, drawn(0, step))
        np.testing.assert_allclose(loss, drawn(1, step).sum(), rtol=1e-12)
    result = regplug.compose([Both("h:out", weight=1.0)], seed=7).apply(
        {"h:out": x * 1}
    )
    np.testing.assert_allclose(evaluate(result.loss, zeros), drawn(1).sum(), rtol=1e-12)


def test_building_a_layer_that_passes_its_input_on(T):
    # one variable under two names is regularized once, and a name of its own is not forgotten
    x = T.vector("x", dtype="float64")
    layers = (
        lambda _: {"h:out": x * 1},
        lambda o: {"same:out": o["h:out"]},
        lambda o: {"y:out": o["same:out"] + 1},
    )
    for pattern, h, y in (("same:out", 1, 11), ("*:out", 10, 110), ("h:out", 10, 11)):
        outputs = build(regplug.compose([Times(pattern)]), *layers)
        assert evaluate(outputs["h:out"], {x: [1.0]}) == [h]
        assert evaluate(outputs["y:out"], {x: [1.0]}) == [y]


def test_building_remembers_who_acted_on_a_variable_of_three_layers(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Times(["h:out", "third:out"]), Plus("same:out")])
    outputs = build(
        manager,
        lambda _: {"h:out": x * 1},
        lambda o: {"same:out": o["h:out"]},
        lambda o: {"third:out": o["same:out"]},
    )
    assert evaluate(outputs["third:out"], {x: [1.0]}) == [11]


def test_building_loss_that_draws_advances_the_step(T):
    class Draws(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, matched, noise):
            return sum((h * noise.uniform(h)).sum() for h in matched.values())

    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Draws("h:out")])
    loss = manager.loss([], build(manager, lambda _: {"h:out": x * 1}))
    step = function([x], loss, updates=manager.updates)
    assert step(np.ones(3)) != step(np.ones(3))
    assert manager.state()["step"] == 2


def test_building_ends_with_the_loss_on_what_was_built(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Times("h:out"), Sum("y:out", 0.5), Sum("h:out", 2)])
    outputs = build(
        manager, lambda _: {"h:out": x * 1}, lambda o: {"y:out": o["h:out"] + 1}
    )
    loss = manager.loss([], outputs)
    assert evaluate(loss, {x: [1.0]}) == 0.5 * 11 + 2 * 10


def test_building_takes_parameters_from_the_layers(engine, T):
    x = T.vector("x", dtype="float64")
    w, v = (engine.shared(np.array([1.0, 2.0]), name=name) for name in ("h.w", "y.w"))
    layers = [
        SimpleNamespace(name="h", params=[w], output_name="h:out"),
        SimpleNamespace(name="y", params=[v]),
    ]
    manager = regplug.compose([SumParams("h.*"), TimesParams("h.w")])
    outputs = build(
        manager, lambda _: {"h:out": x * w}, lambda o: {"y:out": o["h:out"] * v}
    )
    assert evaluate(manager.loss(layers, outputs)) == 3  # the parameter itself
    manager.log()


def test_building_with_layers_without_params_looks_into_the_graph(engine, T):
    x = T.vector("x", dtype="float64")
    w = engine.shared(np.array([1.0, 2.0]), name="h.w")
    manager = regplug.compose([SumParams("h.w")])
    outputs = build(manager, lambda _: {"h:out": x * w})
    assert evaluate(manager.loss([SimpleNamespace(name="h")], outputs)) == 3


def test_building_unnamed_parameter_of_a_layer_is_an_error(engine, T):
    x = T.vector("x", dtype="float64")
    w, b = engine.shared(np.ones(2)), engine.shared(np.ones(2), name="h.b")
    manager = regplug.compose([SumParams("*")])
    outputs = build(manager, lambda _: {"h:out": x * w + b})
    for layers in ([], [SimpleNamespace(name="h", params=[w, b])]):
        with pytest.raises(
            ModelError, match="1 of the model's parameters have no name"
        ):
            manager.loss(layers, outputs)


def test_building_roles_in_a_modify_graph_are_refused(T):
    x = T.vector("x", dtype="float64")
    own = {"h:out": x * 1}
    kept = dict(own)
    for spec in ("@hidden", ["*", "!@output"]):
        with pytest.raises(
            OptionError, match="^times: pattern .*there are no roles here: write a glob"
        ) as caught:
            regplug.compose([Times(spec)]).modify_graph(own)
        assert repr(spec) in str(caught.value)
        assert own == kept


def test_building_roles_in_a_loss_are_those_of_the_whole_model(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Sum("@hidden")])
    outputs = build(
        manager,
        lambda _: {"in:out": x},
        lambda o: {"h:out": o["in:out"] * 2},
        lambda o: {"y:out": o["h:out"] * 3},
    )
    layers = [
        SimpleNamespace(name=name, params=[], output_name=f"{name}:out")
        for name in ("in", "h", "y")
    ]
    assert evaluate(manager.loss(layers, outputs), {x: [1.0]}) == 2


def test_building_pattern_that_matched_nothing_is_an_error_of_the_loss(T):
    x = T.vector("x", dtype="float64")
    for manager in (
        regplug.compose([Times("hid2:out")]),
        regplug.compose([Sum("hid2:out")]),
    ):
        outputs = build(
            manager,
            lambda _: {"hid1:out": x * 1},
            lambda o: {"y:out": o["hid1:out"] + 1},
        )
        with pytest.raises(
            NoMatchError,
            match="'hid2:out' matches none of the 2 outputs. Nearest: 'hid1:out'",
        ):
            manager.loss([], outputs)
    optional = regplug.compose([Times("hid2:out", optional=True)])
    outputs = build(optional, lambda _: {"hid1:out": x * 1})
    assert evaluate(optional.loss([], outputs)) == 0


def test_building_a_next_model_begins_anew(engine, T):
    x = T.vector("x", dtype="float64")
    w = engine.shared(np.array([1.0, 2.0]), name="w")
    manager = regplug.compose([TimesParams("w"), Times("first:out", optional=True)])
    first = build(manager, lambda _: {"first:out": x * w})
    manager.loss([], first)
    second = build(manager, lambda _: {"second:out": x * w})
    assert evaluate(second["second:out"], {x: [1.0, 1.0]}).tolist() == [10, 20]
    missing = regplug.compose([Times("first:out")])
    missing.loss([], build(missing, lambda _: {"first:out": x * 1}))
    second = build(missing, lambda _: {"second:out": x * 1})
    with pytest.raises(NoMatchError, match="matches none of the 1 outputs"):
        missing.loss([], second)


def test_building_begins_anew_after_a_loss_that_failed(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Sum("y:out"), Times("h:out")])
    outputs = build(manager, lambda _: {"h:out": x * 1})
    with pytest.raises(NoMatchError):
        manager.loss([], outputs)
    second = build(manager, lambda _: {"y:out": x * 1})
    with pytest.raises(NoMatchError, match="'h:out' matches none of the 1 outputs"):
        manager.loss([], second)


def test_building_begins_anew_after_a_layer_that_failed(engine, T):
    class Fail(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            raise KeyError("gate")

    x = T.vector("x", dtype="float64")
    w = engine.shared(np.array([1.0, 2.0]), name="w")
    optional = {"optional": True}
    manager = regplug.compose(
        [Times("old:*"), TimesParams("w"), Fail("bad:out", **optional)]
    )
    with pytest.raises(RegularizerError, match="raised KeyError"):
        build(
            manager,
            lambda _: {"old:out": x * w},
            lambda o: {"bad:out": o["old:out"] + 1},
        )
    outputs = build(manager, lambda _: {"new:out": x * w})
    assert evaluate(outputs["new:out"], {x: [1.0, 1.0]}).tolist() == [10, 20]
    with pytest.raises(NoMatchError, match=r"'old:\*' matches none of the 1 outputs"):
        manager.loss([], outputs)


def test_building_loss_may_be_asked_for_twice(T):
    # theanets asks for it at each call of itertrain, and keeps the graph
    x = T.vector("x", dtype="float64")
    manager = regplug.compose(["dropout=0.5@h:out", Sum("h:out")])
    outputs = build(manager, lambda _: {"h:out": x * 1})
    first, second = evaluate(
        [manager.loss([], outputs), manager.loss([], outputs)], {x: np.ones(9)}
    )
    assert first == second
    assert len(manager.updates) == 1


def test_building_loss_takes_aliases_and_inputs_of_theanets(T):
    x, y = T.vector("x", dtype="float64"), T.vector("targets", dtype="float64")
    manager = regplug.compose([Sum("h:out"), Times("h:pre")])
    outputs = {"x": x, "targets": y}
    own = {"h:out": x * 1}
    own["h:pre"] = own["h:out"]
    manager.modify_graph(own)
    outputs.update(own)
    outputs["out"] = own["h:out"]
    assert evaluate(manager.loss([], outputs), {x: [1.0]}) == 10


def test_building_draws_the_masks_of_apply(T):
    x = T.matrix("x", dtype="float64")
    manager = regplug.compose(["dropout=0.5@*"], seed=7)
    outputs = build(
        manager, lambda _: {"a:out": x * 1}, lambda o: {"b:out": o["a:out"] * 0 + 1}
    )
    ones = np.ones((5, 6))
    value = evaluate(outputs["b:out"], {x: ones})
    np.testing.assert_array_equal(
        value != 0, reference.keep(7, "dropout", "b:out", (5, 6), 0, 0.5)
    )


def test_building_updates_advance_the_step(engine, T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose(["dropout=0.5@h:out"], seed=7)
    assert manager.updates == {}
    outputs = build(manager, lambda _: {"h:out": x * 1})
    loss = manager.loss([], outputs)
    step = function([x], [outputs["h:out"], loss], updates=manager.updates)
    masks = [step(np.ones(64))[0] != 0 for _ in range(2)]
    for number, mask in enumerate(masks):
        np.testing.assert_array_equal(
            mask, reference.keep(7, "dropout", "h:out", (64,), number, 0.5)
        )
    assert manager.state()["step"] == 2


def test_building_on_theano_advances_the_step_unasked_and_elsewhere_not(engine, T):
    # theanets passes on no updates but its own
    x = T.vector("x", dtype="float64")
    manager = regplug.compose(["dropout=0.5@h:out"])
    outputs = build(manager, lambda _: {"h:out": x * 1})
    manager.loss([], outputs)
    step = function([x], outputs["h:out"])
    first, second = step(np.ones(64)), step(np.ones(64))
    assert (first != second).any() == engine.uses_default_updates
    assert manager.state()["step"] == (2 if engine.uses_default_updates else 0)


def test_applying_leaves_the_step_to_explicit_updates_on_every_engine(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose(["dropout=0.5@h:out"])
    step = function([x], manager.apply({"h:out": x * 1}).outputs["h:out"])
    step(np.ones(4))
    assert manager.state()["step"] == 0


def test_building_a_plugin_that_fails_leaves_the_mapping(T):
    class Fail(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            raise KeyError("gate")

    x = T.vector("x", dtype="float64")
    own = {"h:pre": x * 1, "h:out": x * 2}
    kept = dict(own)
    with pytest.raises(
        RegularizerError,
        match=r"fail \(.*, modify_graph, h:out\): raised KeyError: 'gate'",
    ):
        regplug.compose([Times("h:pre"), Fail("h:out")]).modify_graph(own)
    assert own == kept


@pytest.mark.parametrize("own", [{}, None, 5, {"h:out": 5}])
def test_building_refuses_what_is_no_layer(own):
    with pytest.raises(ModelError):
        regplug.compose([Times("*")]).modify_graph(own)


def test_manager_is_a_regularizer_as_theanets_knows_them(caplog):
    one, other = regplug.compose(["dropout=0.5"]), regplug.compose(["dropout=0.5"])
    assert one.weight == 1
    assert isinstance(one.pattern, str)
    assert one.pattern != other.pattern
    one.log()


def test_manager_of_one_engine_refuses_the_other(T, monkeypatch):
    manager = regplug.compose([Times("h:out")])
    x = T.vector("x", dtype="float64")
    manager.apply({"h:out": x * 1})
    other = SimpleNamespace(T=SimpleNamespace(__name__="theano.tensor"))
    with (
        pytest.raises(
            ModelError,
            match="this manager serves .*tensor and the model is of theano.tensor",
        ),
        manager._run_state.transaction(other),
    ):
        pass
