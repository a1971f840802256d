"""A plain graph as a model: variables with nothing but names."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import regplug
from regplug import ModelError
from regplug.cli.plan import command as plan
from regplug.testing import evaluate, function


def named(variable, name):
    variable.name = name
    return variable


def network(engine, T):
    """Return x, the hidden layer h and the result y, which is 3 * tanh(h 2 I)."""
    x, w = T.matrix("x"), engine.shared(np.eye(2), name="w")
    h = named(T.tanh(T.dot(x, w)), "h")
    return x, h, named(3 * T.tanh(T.dot(h, 2 * np.eye(2))), "y")


def test_every_named_variable_is_an_output_and_every_named_shared_one_a_parameter(
    engine, T
):
    x, h, y = network(engine, T)
    model = regplug.as_model(y)
    assert model.outputs == {"x": x, "h": h, "y": y}
    assert [param.name for param in model.params.values()] == ["w"]
    assert model.roles == {"@input": {"x"}, "@hidden": {"h"}, "@output": {"y"}}


def test_names_that_occur_twice_are_numbered_in_graph_order(engine, T):
    x = T.matrix("x")
    w, other = (engine.shared(np.full((2, 2), value), name="w") for value in (1.0, 2.0))
    first = named(T.tanh(T.dot(x, w)), "h")
    second = named(T.tanh(T.dot(first, other)), "h")
    model = regplug.as_model(named(second + 1, "y"))
    assert (model.outputs["h"], model.outputs["h#2"]) == (first, second)
    assert (model.params["w"], model.params["w#2"]) == (w, other)


def test_list_of_variables_is_one_graph(engine, T):
    x, h, y = network(engine, T)
    z = named(h + 1, "z")
    assert set(regplug.as_model([y, z]).outputs) == {"x", "h", "y", "z"}
    assert regplug.as_model((y, z)).roles["@output"] == {"y", "z"}


@pytest.mark.filterwarnings("ignore:no layer was found")
def test_input_that_is_handed_over_is_an_output(engine, T):
    x, aside = T.matrix("x"), T.matrix("aside")
    assert regplug.as_model(x).outputs == {"x": x}
    assert regplug.as_model([named(x * 2, "y"), aside]).roles["@input"] == {
        "x",
        "aside",
    }


def test_result_without_a_name_is_called_output(engine, T):
    x, h, _ = network(engine, T)
    one, other = h * 2, h * 3
    model = regplug.as_model([one, other])
    assert (model.outputs["output"], model.outputs["output#2"]) == (one, other)


def test_constants_shared_and_integer_scalars_are_told_apart(engine, T):
    x, rows = T.matrix("x"), T.ivector("rows")
    scale = named(T.constant(2.0), "scale")
    clock = engine.shared(np.int64(3), name="clock")
    y = named((x * scale)[rows] * T.cast(clock, "float64"), "y")
    model = regplug.as_model(y)
    assert set(model.outputs) == {"x", "rows", "y"}
    assert model.params == {}


def test_numbers_equal_those_of_a_mapping(engine, T):
    x, h, y = network(engine, T)
    composition = ["weight_l2=0.1@w", "hidden_l1=0.1", "dropout=0.5@h"]
    plain = regplug.compose(composition, seed=5).apply(y)
    mapped = regplug.compose(composition, seed=5).apply({"x": x, "h": h, "y": y})
    assert (
        plain.matches
        == mapped.matches
        == {"weight_l2": ["w"], "hidden_l1": ["h"], "dropout": ["h"]}
    )
    values = evaluate(
        [plain.outputs["y"], mapped.outputs["y"], plain.loss, mapped.loss],
        {x: np.ones((6, 2))},
    )
    np.testing.assert_array_equal(values[0], values[1])
    assert values[2] == values[3] > 0


def test_composition_trains_and_its_clean_prediction_is_deterministic(engine, T):
    x, h, y = network(engine, T)
    result = regplug.compose(
        ["weight_l2=0.01@w", "hidden_l1=0.01", "dropout=0.2@h"], seed=5
    ).apply(y)
    t, w = T.matrix("t"), regplug.as_model(y).params["w"]
    cost = ((result.outputs["y"] - t) ** 2).mean() + result.loss
    updates = {w: w - 0.05 * engine.grad(cost, w), **result.updates}
    step = function([x, t], [cost, *result.terms.values()], updates=updates)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(20, 2))
    costs, *terms = np.array([step(inputs, inputs * [2, -1]) for _ in range(60)]).T
    assert costs[-10:].mean() < 0.7 * costs[:10].mean()
    assert np.min(terms) > 0
    predict = function([x], result.clean["y"])
    np.testing.assert_array_equal(predict(inputs), predict(inputs))


def test_plan_shows_the_numbered_names(engine, tmp_path, monkeypatch):
    name = engine.T.__name__
    (tmp_path / "plain_model.py").write_text(
        f"import {name} as T\nx = T.matrix('x')\nh = T.tanh(x)\nh.name = 'h'\ny = T.tanh(h)\ny.name = 'h'\n"
    )
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(plan, ["plain_model:y", "-r", "dropout=0.5@h*"])
    assert result.exit_code == 0, result.output
    assert "h#2" in result.output


def test_list_with_something_else_in_it_is_refused(engine, T):
    _, _, y = network(engine, T)
    with pytest.raises(
        ModelError, match="number 2 of the list' is 3, which is no variable"
    ):
        regplug.as_model([y, 3])


def test_variables_of_two_engines_are_refused(engine, T):
    _, _, y = network(engine, T)
    own = engine.__name__.rpartition(".")[2]
    other = "theano" if own == "pytensor" else "pytensor"
    base = type("Variable", (), {"__module__": f"{other}.graph"})
    stand_in = type("Tensor", (base,), {"owner": None, "type": None, "name": "z"})()
    with pytest.raises(ModelError, match=f"two engines: .* of {own} and .* of {other}"):
        regplug.as_model([y, stand_in])


@pytest.mark.parametrize("model", [({"a": 1}, {"b": 2}), [[1]], [np.ones(2)]])
def test_list_of_what_is_no_variable_is_refused(model):
    with pytest.raises(
        ModelError,
        match="'number 1 of the list' is .*, which is no variable of pytensor or theano",
    ):
        regplug.as_model(model)


def test_graph_of_constants_alone_is_refused(engine, T):
    with pytest.raises(
        ModelError, match="there is nothing but constants and shared variables"
    ):
        regplug.as_model(engine.shared(np.zeros(2), name="w"))
