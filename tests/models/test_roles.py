"""Roles: what the graph shows of inputs, hidden layers and outputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from toys import Sum
from written_models import MODELS, MORE

import regplug
from regplug import ModelError, NoMatchError, RegplugWarning
from regplug.engine.ops import has_given_name
from regplug.testing import evaluate

ROLES = ("@input", "@hidden", "@output")

# not as meant, each with the reason and what the roles are instead
KNOWN = {
    # mu + noise is what the decoder reads, and has a name
    "vae": ("x", "h z hd", "recon"),
    # the names of the generator's result say no more than those of another layer
    "gan_generator": ("z", "g fake dh", "p"),
    # an energy is a scalar as a cost is
    "energy_scalar": ("x", "h", ""),
    # nothing tells weights from data where both are inputs or draws: no layer is found
    "no_parameters_weights_are_inputs": ("W1 W2 x", "h", "y"),
    "pymc_like": ("", "W1 W2 h mu", "logp"),
    # a product makes the target an input of the network
    "class_weights_dot": ("t x", "h", "p"),
    # an integer that a lookup takes is no target
    "center_loss": ("x", "h", "each"),
}


def test_written_models_are_nearly_all_as_meant():
    assert len(MODELS) == 57
    assert len(KNOWN.keys() & MODELS.keys()) <= 5
    assert len(KNOWN.keys() & MORE.keys()) <= len(MORE) / 4


@pytest.mark.filterwarnings("ignore:no layer was found")
@pytest.mark.parametrize("name", MODELS | MORE)
def test_roles_of_models_as_people_write_them(name):
    root, *meant = (MODELS | MORE)[name]()
    expected = KNOWN.get(name, meant)
    roles = regplug.as_model(root).roles
    assert [roles[role] for role in ROLES] == [set(text.split()) for text in expected]


@pytest.mark.filterwarnings("ignore:no layer was found")
@pytest.mark.parametrize("name", MODELS)
def test_default_patterns_match_what_is_meant(name):
    root, *meant = MODELS[name]()
    composition = [
        ("dropout", {"weight": 0.5, "optional": True}),
        Sum("@output", optional=True),
    ]
    _, hidden, output = KNOWN.get(name, meant)
    matches = regplug.compose(composition).apply(root).matches
    assert set(matches["dropout"]) == set(hidden.split())
    assert set(matches["sum"]) == set(output.split())


def mlp(engine, T):
    """Return x, a target, a hidden layer and a prediction, named x, t, h, y."""
    x, t = T.matrix("x"), T.matrix("t")
    w, v = (engine.shared(np.eye(2), name=name) for name in ("w", "v"))
    h = T.tanh(T.dot(x, w))
    y = T.dot(h, v)
    h.name, y.name = "h", "y"
    return x, t, h, y


def test_roles_of_a_mapping_are_about_its_main_outputs(engine, T):
    x, t, h, y = mlp(engine, T)
    cost = ((y - t) ** 2).mean()
    outputs = {"in:out": x, "hid:pre": h.owner.inputs[0], "hid:out": h, "out:out": y}
    expected = {"@input": {"in:out"}, "@hidden": {"hid:out"}, "@output": {"out:out"}}
    assert regplug.as_model(outputs).roles == expected
    assert regplug.as_model({**outputs, "t": t, "cost": cost}).roles == expected


def test_roles_of_a_mapping_with_one_layer_go_by_place_below_the_result(engine, T):
    x, t, h, _ = mlp(engine, T)
    y = 2 * h
    cost = ((y - t) ** 2).mean()
    outputs = {"in:out": x, "hid:out": h, "out:out": y, "cost": cost}
    expected = {"@input": {"in:out"}, "@hidden": {"hid:out"}, "@output": {"out:out"}}
    assert regplug.as_model(outputs).roles == expected
    del outputs["hid:out"]
    # the prediction is none, though a cost is computed of it
    assert regplug.as_model(outputs).roles["@hidden"] == set()


def test_graph_without_layers_has_roles_by_place_and_a_warning(engine, T):
    x = T.matrix("x")
    h = T.tanh(x)
    h.name = "h"
    model = regplug.as_model(h * 2)
    with pytest.warns(RegplugWarning, match="no layer was found .*@hidden h, @output"):
        roles = model.roles
    assert roles == {"@input": {"x"}, "@hidden": {"h"}, "@output": {"output"}}
    # who names layers has said what they are
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regplug.compose(["dropout=0.5"]).apply({"x": x, "h": h, "y": h * 2})
        regplug.compose(["dropout=0.5@h"]).apply(h * 2)


def test_names_that_the_engine_gave_are_no_outputs(engine, T):
    x, t, h, y = mlp(engine, T)
    centred = (h - h.mean(axis=1, keepdims=True)) / h.std(axis=1, keepdims=True)
    cost = ((T.dot(centred, y.owner.inputs[1]) - t) ** 2).mean()
    model = regplug.as_model(cost)
    assert list(model.outputs) == ["x", "h", "t", "output"]
    assert {"mean", "std"} <= model.given_names.keys()
    for pattern in ("*", "m*", ["!h"]):
        manager = regplug.compose([("noise", {"pattern": pattern, "weight": 0.1})])
        if pattern == "m*":
            with pytest.raises(NoMatchError, match=r"'m\*' matches none of the 4"):
                manager.apply(cost)
        else:
            assert "mean" not in manager.apply(cost).matches["noise"]


def test_exact_pattern_reaches_a_name_that_the_engine_gave(engine, T):
    x = T.matrix("x")
    y = x - x.mean(axis=0)
    manager = regplug.compose(["noise=0@mean", "hidden_l2=1@mean"])
    result = manager.apply(y)
    assert result.matches == {"noise": ["mean"], "hidden_l2": ["mean"]}
    assert set(result.outputs) == {"x", "mean", "output"}
    values = np.arange(6.0).reshape(3, 2)
    wanted = (values.mean(axis=0) ** 2).mean()
    np.testing.assert_allclose(evaluate([result.loss], {x: values})[0], wanted)


def test_users_own_name_comes_before_one_that_the_engine_gave(engine, T):
    x, _, h, y = mlp(engine, T)
    early = (x - x.mean(axis=0)) * h
    early.name = "mean"
    result = regplug.compose(["dropout=0.5@mean"]).apply(early)
    assert result.matches == {"dropout": ["mean"]}
    assert regplug.as_model(early).outputs["mean"] is early


def test_unnamed_parameter_does_not_block_exact_names(engine, T):
    x, named = T.matrix("x"), engine.shared(np.eye(2), name="W")
    y = T.dot(T.dot(x, named), engine.shared(np.ones((2, 2))))
    result = regplug.compose(["weight_l2=1e-4@W"]).apply(y)
    assert result.matches == {"weight_l2": ["W"]}
    for pattern in ("*", "W*", ["W", "V*"], ["!W"], "V"):
        options = {"pattern": pattern, "weight": 1e-4}
        with pytest.raises(ModelError, match="1 of the model's parameters have no"):
            regplug.compose([("weight_l2", options)]).apply(y)


@pytest.mark.parametrize("kind", ["constants", "shared"])
def test_frozen_network_in_the_loss_is_reported(engine, T, kind):
    x, t, h, y = mlp(engine, T)
    matrix = np.ones((2, 3))
    if kind == "shared":
        matrix = engine.shared(matrix, name="frozen")
    seen = T.tanh(T.dot(y, matrix))
    if kind == "shared":
        seen = seen - T.tanh(T.dot(t, matrix))
    model = regplug.as_model((seen**2).mean())
    what = (
        r"@hidden has y, which only a network .* \['@hidden', '!y'\] .* 'y' for @output"
    )
    with pytest.warns(RegplugWarning, match=what):
        assert "y" in model.roles["@hidden"]
    # exact patterns are as they were
    regplug.compose(["dropout=0.5@h"]).apply(seen)


@pytest.mark.parametrize("name", MODELS | MORE)
def test_frozen_network_is_no_false_alarm(name):
    root, *_ = (MODELS | MORE)[name]()
    model = regplug.as_model(root)
    hidden = {key: each for key, each in model.outputs.items() if each.owner}
    assert model.layered.undecided(hidden) == []


def autoencoder(engine, x):
    """Return an encoder's code and its reconstruction, named h and z."""
    T = engine.T
    w = engine.shared(np.eye(2), name="w")
    h = T.tanh(T.dot(x, w))
    z = T.dot(h, w.T)
    h.name, z.name = "h", "z"
    return h, z


def test_change_of_an_input_that_is_the_target_is_reported(engine, T):
    x = T.matrix("x")
    h, z = autoencoder(engine, x)
    cost = ((z - x) ** 2).mean()
    what = "dropout: 'x' is an input of the network and what its result is compared"
    mapping = {"in:out": x, "hid:out": h, "out:out": z, "cost": cost}
    with pytest.warns(RegplugWarning, match=what):
        regplug.compose(["dropout=0.5@x"]).apply(cost)
    with pytest.warns(RegplugWarning, match=what.replace("'x'", "'in:out'")):
        regplug.compose(["dropout=0.5@in:out"]).apply(mapping)
    # neither a penalty, nor hidden layers, nor a loss that comes later
    regplug.compose(["hidden_l2=1@x", "dropout=0.5"]).apply(cost)
    regplug.compose(["dropout=0.5@x"]).apply(z)


def test_copy_of_an_input_leaves_the_target_alone(engine, T):
    x = T.matrix("x")
    copy = x.copy()
    copy.name = "copy"
    _, z = autoencoder(engine, copy)
    cost = ((z - x) ** 2).mean()
    cost.name = "cost"
    composition = [("noise", {"pattern": "copy", "weight": 0.1}), Sum("x")]
    result = regplug.compose(composition).apply(cost)
    noisy, target = result.outputs["copy"], result.outputs["x"]
    assert target is x
    values = np.ones((3, 2))
    assert not np.allclose(evaluate([noisy], {x: values})[0], values)


def test_residual_result_is_not_compared_with_its_input(engine, T):
    x, t = T.matrix("x"), T.matrix("t")
    _, z = autoencoder(engine, x)
    y = x - z
    y.name = "y"
    regplug.compose(["dropout=0.5@x"]).apply(((y - t) ** 2).mean())


def names_given(T):
    """Return variables that constructors of the engine name, by that name."""
    x, y = T.matrix("x"), T.vector("y")
    made = [x.mean(), x.mean(axis=0), T.mean(x, axis=(0, 1)), x.mean(axis=1)]
    made += [x.var(), x.var(axis=1, keepdims=True), T.var(x, axis=0, ddof=1)]
    made += [x.std(), x.std(axis=0), T.std(x, axis=1, ddof=1), x.T, y[1:], x[0:]]
    made += [T.grad(T.tanh(x).sum(), x)]
    return [each for each in made if each.name and each.name not in "xy"]


def test_names_given_are_told_from_the_users(engine, T):
    made = names_given(T)
    assert len(made) >= 10
    for variable in made:
        assert has_given_name(variable), variable.name
        # the same name on what no such constructor makes
        own = T.tanh(T.matrix("x"))
        own.name = variable.name
        if not variable.name.startswith("(d"):
            assert not has_given_name(own), own.name
