"""Model: outputs, parameters, layers and roles of what was handed over."""

from __future__ import annotations

import importlib
import random
from types import SimpleNamespace

import numpy as np
import pytest

import regplug
from regplug import (
    ModelError,
    NoMatchError,
    OptionError,
    Regularizer,
    as_model,
    hookimpl,
)
from regplug.models.patterns import Pattern


class Penalty(Regularizer):
    targets = "params"
    weight = 1.0

    @hookimpl
    def loss(self, matched):
        return sum(w.sum() for w in matched.values())


def mlp(engine):
    """Return the outputs and parameters of two layers."""
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w = [engine.shared(np.eye(3), name=f"hid{i}.w") for i in (1, 2)]
    b = [engine.shared(np.zeros(3), name=f"hid{i}.b") for i in (1, 2)]
    pre1 = T.dot(x, w[0]) + b[0]
    hid1 = T.tanh(pre1)
    pre2 = T.dot(hid1, w[1]) + b[1]
    out = T.tanh(pre2)
    return {
        "in:out": x,
        "hid1:pre": pre1,
        "hid1:out": hid1,
        "hid2:pre": pre2,
        "hid2:out": out,
    }, [*w, *b]


def test_model_is_in_graph_order_whatever_the_order_of_the_mapping(engine):
    outputs, _ = mlp(engine)
    items = list(outputs.items())
    for seed in range(4):
        random.Random(seed).shuffle(items)
        model = as_model(dict(items))
        assert list(model.outputs) == [
            "in:out",
            "hid1:pre",
            "hid1:out",
            "hid2:pre",
            "hid2:out",
        ]
        assert list(model.params) == ["hid1.w", "hid1.b", "hid2.w", "hid2.b"]
        assert [layer.name for layer in model.layers] == ["in", "hid1", "hid2"]


def test_model_finds_float_shared_variables_of_one_dimension_or_more(engine):
    T = engine.T
    x = T.vector("x", dtype="float64")
    kept = [
        engine.shared(np.zeros(2, dtype), name=dtype)
        for dtype in ("float32", "float64")
    ]
    others = [
        engine.shared(np.float64(1), name="scalar"),
        engine.shared(np.zeros(2, "int64"), name="integer"),
        engine.shared(np.zeros(2), name="elsewhere"),
    ]
    y = x + kept[0] + kept[1] + others[0] + others[1]
    assert list(as_model({"y:out": y}).params) == ["float32", "float64"]


def test_model_layers_group_outputs_and_parameters(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    a, b, c, d = (
        engine.shared(np.eye(2), name=name)
        for name in ("net.enc.w", "net.enc.cell.w", "net.w", "other.w")
    )
    gate = x * 2
    cell = T.dot(gate, T.dot(a, b))
    top = T.dot(T.dot(cell, c), d)
    model = as_model(
        {
            "net.enc:gate": gate,
            "net.enc:cell": cell,
            "net:out": top,
            "net:pre": top * 1,
            "free": x + 1,
        }
    )
    layers = {
        layer.name: (layer.params, layer.outputs, layer.output_name)
        for layer in model.layers
    }
    assert layers["net.enc"] == (
        (a, b),
        ("net.enc:gate", "net.enc:cell"),
        "net.enc:cell",
    )
    assert layers["net"] == ((c,), ("net:out", "net:pre"), "net:out")
    assert layers["free"] == ((), ("free",), "free")
    assert list(model.params.values()) == [a, b, c, d]


def test_model_name_is_split_at_the_last_colon(engine):
    x = engine.T.matrix("x")
    model = as_model({"a:b:out": x * 2})
    assert [(layer.name, layer.output_name) for layer in model.layers] == [
        ("a:b", "a:b:out")
    ]


def test_model_roles(engine):
    outputs, _ = mlp(engine)
    roles = as_model(outputs).roles
    assert roles == {
        "@input": {"in:out"},
        "@hidden": {"hid1:out"},
        "@output": {"hid2:out"},
    }


def test_model_with_two_heads_and_a_cost_has_roles_by_what_lies_downstream(engine):
    T = engine.T
    x = T.matrix("x")
    h = T.tanh(x)
    a, b = h * 2, h * 3
    heads = {"in:out": x, "h:out": h, "a:out": a, "b:out": b}
    assert as_model(heads).roles["@output"] == {"a:out", "b:out"}
    assert as_model({**heads, "cost:out": a.sum()}).roles == {
        "@input": {"in:out"},
        "@hidden": {"h:out", "a:out"},
        "@output": {"b:out", "cost:out"},
    }


def test_model_input_that_nothing_uses_is_no_output(engine):
    T = engine.T
    x, unused = T.matrix("x"), T.matrix("unused")
    model = as_model({"in:out": x, "mask:out": unused, "h:out": T.tanh(x)})
    assert model.roles == {
        "@input": {"in:out", "mask:out"},
        "@hidden": set(),
        "@output": {"h:out"},
    }
    w = engine.shared(np.eye(2), name="w")  # as the output of an embedding
    assert as_model({"embed:out": w}).roles["@output"] == set()


def test_model_two_parameters_of_one_name_are_numbered_in_graph_order(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    first, second = (engine.shared(np.eye(2), name="W") for _ in range(2))
    y = T.dot(T.tanh(T.dot(x, first)), second)
    model = as_model({"y:out": y})
    assert model.params == {"W": first, "W#2": second}


def test_model_parameter_of_two_layers_counts_once(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.eye(2), name="w")
    outputs = {"y:out": T.dot(T.tanh(T.dot(x, w)), w.T)}
    assert as_model(outputs).params == {"w": w}
    assert as_model(outputs, params=[w, w]).params == {"w": w}
    model = as_model(outputs, params={"enc.w": w, "dec.w": w})
    assert model.match(Pattern("*"), "params", "lasso") == {"dec.w": w}
    assert model.match(Pattern("enc.*"), "params", "lasso") == {"dec.w": w}


def test_model_takes_parameters_by_name(engine):
    outputs, params = mlp(engine)
    assert list(as_model(outputs, params=params[::-1]).params) == [
        "hid1.w",
        "hid1.b",
        "hid2.w",
        "hid2.b",
    ]
    model = as_model(outputs, params={"b": params[1], "a": params[0]})
    assert list(model.params) == ["a", "b"]
    assert as_model(outputs, params={}).params == {}


def test_model_takes_an_object_with_layers_and_outputs(engine):
    outputs, _ = mlp(engine)
    layers = [
        SimpleNamespace(name=name, params=[], output_name=f"{name}:out")
        for name in ("in", "hid1", "hid2")
    ]
    net = SimpleNamespace(outputs=outputs, layers=layers)
    model = as_model(net)
    assert model.layers == layers
    assert list(model.outputs) == [
        "in:out",
        "hid1:pre",
        "hid1:out",
        "hid2:pre",
        "hid2:out",
    ]
    assert model.roles["@hidden"] == {"hid1:out"}


def test_model_output_name_may_be_a_method_as_in_theanets(engine):
    outputs, _ = mlp(engine)
    layers = [
        SimpleNamespace(name=n, params=[], output_name=lambda n=n: f"{n}:out")
        for n in ("in", "hid1", "hid2")
    ]
    assert as_model(outputs, layers=layers).roles["@output"] == {"hid2:out"}


def test_model_variable_under_two_names_matches_by_either_under_the_first(engine):
    T = engine.T
    x = T.matrix("x")
    y = T.tanh(x)
    model = as_model({"in:out": x, "out:pre": y, "out:out": y})
    for pattern in ("out:pre", "out:out", "*:pre", "@output", ["*", "!in:*"]):
        assert model.match(Pattern(pattern), "outputs", "noise") == {"out:out": y}


# bad input


def test_model_object_that_is_none_is_refused():
    for thing in (5, "mlp", object(), None, SimpleNamespace(outputs={})):
        with pytest.raises(
            ModelError, match="is no model: hand over a mapping|no model"
        ) as caught:
            regplug.compose([]).apply(thing)
        assert repr(thing)[:20] in str(caught.value)


@pytest.mark.parametrize("outputs", [{}, []])
def test_model_without_outputs_is_refused(outputs):
    with pytest.raises(ModelError):
        as_model(outputs)


def test_model_output_that_is_no_variable_is_refused_by_name(engine):
    x = engine.T.matrix("x")
    for value in (np.zeros(3), 5, None, "x", [x]):
        with pytest.raises(
            ModelError, match="'h:out' is .*which is no variable of pytensor or theano"
        ):
            as_model({"in:out": x, "h:out": value})


def test_model_name_that_is_no_text_is_refused(engine):
    x = engine.T.matrix("x")
    with pytest.raises(
        ModelError, match="5 is no name: outputs and parameters are named by texts"
    ):
        as_model({5: x})


def test_model_output_that_is_no_tensor_is_refused(engine):
    slicetype = importlib.import_module(f"{engine.T.__name__}.type_other").slicetype
    with pytest.raises(
        ModelError,
        match=r"'in:out' is of type slice: outputs and parameters are dense tensors",
    ):
        as_model({"in:out": slicetype()})


def test_model_variables_of_two_engines_are_refused(engine):
    # no Python runs both engines: a stand-in plays the second one
    other = "theano" if engine.__name__.endswith("pytensor") else "pytensor"
    Variable = type(
        "Variable",
        (),
        {"__module__": f"{other}.tensor", "owner": None, "type": None, "name": "z"},
    )
    x = engine.T.matrix("x")
    with pytest.raises(ModelError) as caught:
        regplug.compose([Penalty()]).apply({"in:out": x, "h:out": Variable()})
    this = engine.__name__.rpartition(".")[2]
    assert str(caught.value) == (
        f"one model, two engines: 'in:out' of {this} and 'h:out' of {other}. Build all of it with one."
    )
    with pytest.raises(
        ModelError, match=f"two engines: 'in:out' of {this} and 'h.w' of {other}"
    ):
        as_model({"in:out": x}, params={"h.w": Variable()})


def test_model_engine_that_is_unknown_is_refused():
    Variable = type(
        "Variable",
        (),
        {"__module__": "aesara.tensor", "owner": None, "type": None, "name": "z"},
    )
    with pytest.raises(
        ModelError, match="'h:out' is .*no variable of pytensor or theano"
    ):
        as_model({"h:out": Variable()})


def test_model_unnamed_parameter_is_an_error_only_for_parameter_patterns(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w, b = engine.shared(np.eye(2)), engine.shared(np.zeros(2), name="b")
    y = T.dot(x, w) + b
    outputs = {"in:out": x, "y:out": y}
    with pytest.raises(ModelError) as caught:
        regplug.compose([Penalty("b*")]).apply(outputs)
    text = str(caught.value)
    assert text.startswith("penalty: 1 of the model's parameters have no name (")
    assert "'b*'" in text
    assert "name them, w.name = 'w', or pass params={'w': w}" in text
    assert outputs == {"in:out": x, "y:out": y}
    assert regplug.compose(["hidden_l1=1@y:out"]).apply(outputs).matches == {
        "hidden_l1": ["y:out"]
    }
    assert regplug.compose([Penalty("*.w")]).apply(
        outputs, params={"y.w": w}
    ).matches == {"penalty": ["y.w"]}


def test_model_unnamed_parameter_is_no_error_where_nothing_may_match(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    y = T.dot(x, engine.shared(np.eye(2)))
    manager = regplug.compose([Penalty("conv*", optional=True)])
    assert manager.apply({"y:out": y}).matches == {"penalty": []}
    manager = regplug.compose([("drop_connect", {"pattern": "conv*", "weight": 0.5})])
    manager.modify_graph({"y:out": y})  # the layers to come may have one


def test_model_shared_variable_that_is_an_output_is_a_parameter(engine):
    w = engine.shared(np.eye(2), name="w")
    assert as_model({"embed:out": w}).params == {"w": w}


def test_model_names_of_one_variable_are_in_alphabetical_order(engine):
    x = engine.T.matrix("x")
    y = x * 2
    for names in (["a:out", "b:out"], ["b:out", "a:out"]):
        model = as_model(dict.fromkeys(names, y) | {"in:out": x})
        assert list(model.outputs) == ["in:out", "a:out", "b:out"]


def test_model_list_of_parameters_needs_names(engine):
    outputs, params = mlp(engine)
    with pytest.raises(
        ModelError,
        match="params: .* has no name: name it, or pass a mapping name -> variable",
    ):
        as_model(outputs, params=[*params, engine.shared(np.eye(2))])


def test_model_params_of_another_kind_are_refused(engine):
    outputs, _ = mlp(engine)
    for params in (5, [5], [np.eye(2)], {"w": 5}, {"w": np.eye(2)}, "w"):
        with pytest.raises(ModelError):
            as_model(outputs, params=params)


def test_model_pattern_that_matches_no_output_names_the_nearest(engine):
    outputs, _ = mlp(engine)
    with pytest.raises(NoMatchError) as caught:
        regplug.compose(["noise=1@hiden1:out"]).apply(outputs)
    assert str(caught.value) == (
        "noise: pattern 'hiden1:out' matches none of the 5 outputs. Nearest: 'hid1:out'. "
        "Outputs: in:out, hid1:pre, hid1:out, hid2:pre, hid2:out."
    )
    with pytest.raises(
        NoMatchError,
        match=r"penalty: pattern 'hid3.w' matches none of the 4 params. Nearest: 'hid\d.w'",
    ):
        regplug.compose([Penalty("hid3.w")]).apply(outputs)


def test_model_role_that_nothing_has_is_an_error(engine):
    x = engine.T.matrix("x")
    with pytest.raises(
        NoMatchError, match="noise: pattern '@hidden' matches none of the 2 outputs"
    ):
        regplug.compose(["noise=1@@hidden"]).apply({"in:out": x, "y:out": x * 2})
    with pytest.raises(
        OptionError,
        match="noise: pattern '@hiden': unknown role '@hiden'. Did you mean '@hidden'",
    ):
        regplug.compose(["noise=1@@hiden"]).apply({"in:out": x, "y:out": x * 2})
