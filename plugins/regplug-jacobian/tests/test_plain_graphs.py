"""Which input is meant on a plain graph, where nobody said."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import NoMatchError, RegplugError
from regplug.testing import function

NAMES = ["contractive", "jacobian", "virtual_adversarial"]


def named(variable, name):
    variable.name = name
    return variable


def softmax(T, x):
    return T.exp(x) / T.exp(x).sum(axis=1, keepdims=True)


@pytest.fixture
def P(engine):
    """Return a function that makes a parameter."""
    rng = np.random.default_rng(2)
    return lambda name, *shape: engine.shared(rng.normal(size=shape), name=name)


def predict(T, P, *inputs):
    """Return the prediction, with h and y named."""
    products = [T.dot(x, P(f"w{at}", 4, 3)) for at, x in enumerate(inputs)]
    h = named(T.tanh(sum(products[1:], products[0])), "h")
    return named(softmax(T, T.dot(h, P("v", 3, 2))), "y")


def term(graph, name, **options):
    """Return the penalty, of the pattern that each class has by itself."""
    form = (name, {"weight": 1.0, **options})
    return regplug.compose([form], seed=3).apply(graph).loss


@pytest.mark.parametrize("name", NAMES)
def test_input_of_a_graph_with_targets_is_the_one_upstream(T, P, name):
    x, t, mask = T.matrix("x"), T.matrix("t"), T.matrix("mask")
    y = predict(T, P, x)
    cost = named((mask * (y - t) ** 2).mean(), "cost")

    found = [term(cost, name), term(cost, name, wrt="x")]

    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 4)), rng.normal(size=(5, 2)), np.ones((5, 2))
    step = function([x, t, mask], found, on_unused_input="ignore")
    by_itself, by_name = step(*values)
    assert by_itself == by_name > 0
    # whatever the targets are
    assert step(values[0], 7 + values[1], values[2])[0] == by_itself


@pytest.mark.parametrize("name", NAMES)
def test_several_inputs_are_all_taken_and_one_by_its_name(T, P, name):
    x, z, t = T.matrix("x"), T.matrix("z"), T.matrix("t")
    cost = named(((predict(T, P, x, z) - t) ** 2).mean(), "cost")
    wrts = ["@input", ["x", "z"], "x", "z"]
    terms = [term(cost, name, wrt=wrt) for wrt in wrts]

    rng = np.random.default_rng(0)
    values = [rng.normal(size=(5, 4)), rng.normal(size=(5, 4))]
    by_itself, both, first, second = function([x, z], terms)(*values)

    assert by_itself == both
    assert first != both != second
    if name == "contractive":
        np.testing.assert_allclose(first + second, both)


def test_documentation_says_how_to_name_one_of_several_inputs():
    for name in [*NAMES, "gradient_penalty"]:
        assert 'wrt="x"' in regplug.load(name).__doc__


@pytest.mark.filterwarnings("ignore:no layer was found")
def test_targets_of_a_graph_without_layers_are_left_out(T):
    x, t = T.matrix("x"), T.matrix("t")
    h = named(T.tanh(x), "h")
    cost = named(((named(softmax(T, h), "y") - t) ** 2).mean(), "cost")

    by_itself = term(cost, "contractive", pattern="h")

    by_name = term(cost, "contractive", pattern="h", wrt="x")
    values = function([x], [by_itself, by_name])(np.ones((3, 2)))
    assert values[0] == values[1] > 0


@pytest.mark.parametrize("name", NAMES)
def test_input_without_a_name_is_asked_for_with_the_line_to_write(T, P, name):
    y = predict(T, P, T.matrix())

    with pytest.raises(NoMatchError) as caught:
        term(y, name)

    text = str(caught.value)
    assert "write " in text
    assert "x.name = 'x' and wrt='x' where the input x has no name" in text


@pytest.mark.parametrize("name", NAMES)
def test_float_input_behind_a_lookup_is_named_and_that_works(T, P, name):
    rows = T.imatrix("rows")
    embedded = named(P("E", 9, 4)[rows].sum(axis=1), "embedded")
    y = predict(T, P, embedded)

    with pytest.raises(RegplugError, match="write wrt='embedded', or wrt='h'"):
        term(y, name, pattern="y")

    value = function([rows], term(y, name, wrt="embedded", pattern="y"))
    assert value(np.ones((3, 2), "int32")) > 0
