"""Gradients that are outputs of a model: of the regularized cost, or a warning.

Each case is a model, written once, of which `h` is regularized.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from toys import Plus, Times, TimesParams
from worlds import World, changing

import regplug
from regplug.errors import RegplugWarning
from regplug.testing import evaluate

RIGHT, WARNED, RIGHT_AND_WARNED, SILENT = "right", "warned", "right, warned", "silent"
CASES = {}


def case(expected=RIGHT):
    """Add a model to the table, with what is expected of it."""

    def add(build):
        CASES[build.__name__] = build, expected
        return build

    return add


def gradient_module(w):
    name = w.engine.T.__name__.partition(".")[0]
    return importlib.import_module(f"{name}.gradient")


def pullback(w, output, by):
    """Return a gradient by hand: the cotangent is the user's."""
    module = gradient_module(w)
    take = getattr(module, "pullback", None) or module.Lop
    return take(output, by, w.T.ones_like(output))


def relu(z):
    return z * (z > 0)


def rows(w, h):
    """Return one number a row."""
    return w.T.dot(h, w.v)


@case()
def force(w):
    energy = w.read("energy", rows(w, w.hidden()).sum())
    w.read("force", w.engine.grad(energy, w.x))


@case()
def force_of_an_energy_that_is_no_output(w):
    energy = (w.hidden() ** 3).mean()
    w.read("force", -w.engine.grad(energy, w.x))


@case()
def force_through_two_layers(w):
    g = w.read("g", w.layer(w.hidden(), w.V))
    w.read("force", w.engine.grad(rows(w, g).sum(), w.x))


@case()
def loss_of_a_force(w):
    energy = rows(w, w.layer(w.hidden(), w.V)).sum()
    force = w.engine.grad(energy, w.x)
    w.read("loss", ((force - w.y) ** 2).mean() + energy)


@case()
def gradient_penalty(w):
    d = w.read("d", rows(w, w.read("h", relu(w.T.dot(w.x, w.W)))))
    slope = w.engine.grad(d.sum(), w.x)
    w.read("penalty", ((w.T.sqrt((slope**2).sum(axis=1) + 1e-9) - 1) ** 2).mean())


@case()
def second_derivative(w):
    g = w.engine.grad(rows(w, w.hidden()).sum(), w.x)
    w.read("hv", w.engine.grad((g * w.y).sum(), w.x))


@case()
def first_and_second_derivative(w):
    g = w.read("g", w.engine.grad(rows(w, w.hidden()).sum(), w.x))
    w.read("hv", w.engine.grad((g * w.y).sum(), w.x))


@case()
def gradient_by_the_changed_layer(w):
    h = w.hidden()
    g = w.read("g", w.layer(h, w.V))
    w.read("map", w.engine.grad(rows(w, g).sum(), h))


@case()
def inner_step_of_a_parameter(w):
    cost = (rows(w, w.hidden()) ** 2).mean()
    stepped = w.W - 0.1 * w.engine.grad(cost, w.W)
    w.read("outer", (rows(w, w.layer(w.y, stepped)) ** 2).mean())


@case()
def gradients_by_two_inputs(w):
    energy = (rows(w, w.hidden()) * w.y.sum(axis=1)).sum()
    for name, gradient in zip("ab", w.engine.grad(energy, [w.x, w.y]), strict=True):
        w.read(name, gradient)


@case()
def adversarial_step(w):
    logits = w.T.dot(w.hidden(), w.V)
    powers = w.T.exp(logits - logits.max(axis=1, keepdims=True))
    p = w.read("p", powers / powers.sum(axis=1, keepdims=True))
    entropy = -(p * w.T.log(p)).sum()
    w.read("adversary", w.x + 0.1 * w.T.sgn(w.engine.grad(entropy, w.x)))


@case()
def gradient_through_a_scan(w):
    h = w.hidden()
    states = w.scan(lambda s, h: w.layer(s, w.V, h), [h], non_sequences=[h])
    w.read("force", w.engine.grad(rows(w, states[-1]).sum(), w.x))


@case()
def gradient_through_a_closure(w):
    h = w.hidden()
    states = w.read("states", w.scan(lambda s: w.layer(s, w.V, h)))
    w.read("force", w.engine.grad(rows(w, states[-1]).sum(), w.x))


@case()
def gradient_that_is_read_by_a_closure(w):
    force = w.read("force", w.engine.grad(rows(w, w.hidden()).sum(), w.x))
    w.read("states", w.scan(lambda s: w.layer(s, w.V, w.layer(force, w.W))))


@case(WARNED)
def gradient_that_is_in_a_closure_only(w):
    force = w.engine.grad(rows(w, w.hidden()).sum(), w.x)
    w.read("states", w.scan(lambda s: w.layer(s, w.V, w.layer(force, w.W))))


@case()
def gradient_of_a_cost_before_the_layer(w):
    force = w.read("force", w.engine.grad(w.layer(w.x, w.V[:3]).sum(), w.x))
    h = w.read("h", w.T.tanh(w.T.dot(w.x, w.W) + force.sum()))
    w.read("out", rows(w, h))


@case()
def gradient_by_a_later_layer(w):
    g = w.read("g", w.layer(w.hidden(), w.V))
    w.read("f", w.engine.grad(rows(w, g).sum(), g))


@case()
def gradient_that_is_stopped_on_one_way(w):
    h = w.hidden()
    stopped = w.engine.disconnected_grad(h).sum(axis=1)
    w.read("f", w.engine.grad((rows(w, h) * stopped).sum(), w.x))


@case(WARNED)
def gradient_with_a_constant(w):
    h = w.hidden()
    g = w.read("g", w.layer(h, w.V))
    cost = (rows(w, g) * h.sum(axis=1)).sum()
    w.read("f", w.engine.grad(cost, w.x, consider_constant=[g]))


@case()
def sum_of_forces(w):
    h = w.hidden()
    one, other = rows(w, h).sum(), (h**2).sum()
    w.read("f", w.engine.grad(one, w.x) + w.engine.grad(other, w.x))


@case()
def force_of_a_sum(w):
    h = w.hidden()
    one = w.read("one", rows(w, h).sum())
    w.read("f", w.engine.grad(one + 2 * (h**2).sum(), w.x))


@case(WARNED)
def known_gradients(w):
    d = rows(w, w.hidden())
    known = {d: w.T.ones_like(d) * 2}
    w.read("f", w.engine.grad(None, w.x, known_grads=known))


@case(WARNED)
def cotangent_by_hand(w):
    d = rows(w, w.hidden())
    w.read("f", pullback(w, d, w.x))


@case(SILENT)
def cotangent_by_hand_of_what_is_not_computed_twice(w):
    d = rows(w, w.read("h", relu(w.T.dot(w.x, w.W))) ** 2)
    w.read("f", pullback(w, d, w.x))


@case(WARNED)
def jacobian_of_a_scan(w):
    d = rows(w, w.hidden())
    options = {} if hasattr(w.T, "nnet") else {"vectorize": False}
    w.read("f", gradient_module(w).jacobian(d, w.x, **options))


@case(WARNED)
def jacobian(w):
    w.read("f", w.engine.jacobian(rows(w, w.hidden()), w.x))


@case(WARNED)
def hessian(w):
    row = w.x[0]
    h = w.read("h", w.T.tanh(w.T.dot(row, w.W)))
    w.read("f", gradient_module(w).hessian(w.T.dot(h, w.v), row))


@case(RIGHT_AND_WARNED)
def gradient_by_one_of_two_summands(w):
    h = w.hidden()
    r = w.read("r", w.layer(w.y, w.W))
    w.read("f", w.engine.grad((rows(w, h + r) ** 2).sum(), r))


@case()
def gradient_by_one_of_two_summed_inputs(w):
    h = w.read("h", w.layer(w.x + w.y, w.W))
    w.read("f", w.engine.grad((rows(w, h) ** 2).sum(), w.y))


@case()
def gradient_times_an_activation(w):
    g = w.read("g", w.layer(w.hidden(), w.V))
    w.read("f", g * w.engine.grad(rows(w, g).sum(), g))


@case()
def gradient_by_a_named_variable(w):
    part = w.x[:, :]
    part.name = "part"
    h = w.read("h", w.layer(part, w.W))
    w.read("f", w.engine.grad((rows(w, h) ** 2).sum(), part))


@case()
def no_gradient_but_a_one(w):
    h = w.hidden()
    mean = h.mean()
    w.read("o", w.T.ones_like(mean) * h + mean)


@case()
def gradient_beside_a_one(w):
    cost = (w.hidden() ** 2).sum()
    w.read("f", w.engine.grad(cost, w.x))
    w.read("one", w.T.ones_like(cost) * 2)


@case()
def second_derivatives_of_an_equation(w):
    u = rows(w, w.layer(w.hidden(), w.V))
    slope = w.engine.grad(u.sum(), w.x)
    curvature = [w.engine.grad(slope[:, i].sum(), w.x)[:, i] for i in range(3)]
    w.read("residual", ((sum(curvature) + u) ** 2).mean())


@case()
def gradient_through_scans_within_scans(w):
    h = w.hidden()

    def step(s):
        return w.layer(s, w.U, w.scan(lambda q: w.layer(q, w.V, h), [s], 2)[-1])

    states = w.read("states", w.scan(step))
    w.read("f", w.engine.grad((states[-1] ** 2).sum(), w.x))


@case()
def two_inner_steps_of_a_parameter(w):
    weights = w.W
    hidden = w.hidden()
    for _ in range(2):
        cost = (rows(w, hidden) ** 2).mean()
        weights = weights - 0.1 * w.engine.grad(cost, weights)
        hidden = w.layer(w.y, weights)
    w.read("outer", (rows(w, hidden) ** 2).mean())


@case(RIGHT_AND_WARNED)
def formula_of_two_inputs_that_is_written_twice(w):
    w.read("h", w.x * w.y)
    w.read("o", (w.x * w.y).sum())


@case(RIGHT_AND_WARNED)
def slice_that_is_written_twice(w):
    w.read("h", w.x[-1])
    w.read("o", (w.x[-1] * 2).sum())


def models(engine, build, changed=("h",)):
    """Return the model to be regularized, and the one that it is to become."""
    world, expected = World(engine), World(engine, changed)
    build(world)
    build(expected)
    return world, expected


def is_equal(outputs, world, expected):
    given = {**world.given, **expected.given}
    pairs = zip(
        evaluate([outputs[name] for name in expected.outputs], given),
        evaluate(list(expected.outputs.values()), given),
        strict=True,
    )
    return all(np.allclose(one, other, rtol=1e-10) for one, other in pairs)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_regularized_cost(name, engine, recwarn):
    build, outcome = CASES[name]
    world, expected = models(engine, build)
    recwarn.clear()
    result = regplug.compose(changing("h")).apply(world.outputs)
    # NumPy's, of Theano, are none
    texts = [str(each.message) for each in recwarn if each.category is RegplugWarning]
    assert is_equal(result.outputs, world, expected) == (RIGHT in outcome)
    assert bool(texts) == (WARNED in outcome)
    assert all("from result.outputs" in text for text in texts)
    assert is_equal(result.clean, world, world)


def test_gradients_by_a_changed_input_are_by_the_input(engine):
    def build(world):
        x = world.read("x", world.x)
        energy = rows(world, world.layer(x, world.W)).sum()
        world.read("force", world.engine.grad(energy, world.x))

    world, expected = models(engine, build, ["x"])
    result = regplug.compose(changing("x")).apply(world.outputs)
    assert is_equal(result.outputs, world, expected)


def test_gradients_by_a_changed_parameter_are_by_the_parameter(engine):
    def build(world, factor=1.0):
        h = world.layer(world.x, world.W * factor)
        world.read("slope", world.engine.grad((h**3).sum(), world.W))

    world, expected = World(engine), World(engine)
    h = world.layer(world.x, world.W)
    world.read("slope", engine.grad((h**3).sum(), world.W))
    build(expected, 3.0)
    result = regplug.compose([TimesParams("W", factor=3.0)]).apply(world.outputs)
    assert is_equal(result.outputs, world, expected)


def test_gradients_are_regularized_themselves(engine):
    world, expected = models(engine, force)
    result = regplug.compose([Times("force"), *changing("h")]).apply(world.outputs)
    expected.outputs["force"] = 10 * expected.outputs["force"]
    assert is_equal(result.outputs, world, expected)


def test_gradients_keep_their_names(engine):
    world = World(engine)
    force(world)
    result = regplug.compose(changing("h")).apply(world.outputs)
    assert result.outputs["force"].name == "force"


def test_gradients_within_a_layer_that_is_built(engine):
    world, expected = models(engine, force)
    regplug.compose(changing("h")).modify_graph(world.outputs)
    assert is_equal(world.outputs, world, expected)


def test_gradients_that_are_not_proved_warn_while_a_model_is_built(engine):
    world = World(engine)
    cotangent_by_hand(world)
    with pytest.warns(RegplugWarning, match="modify_graph: 'h' .* a second time"):
        regplug.compose(changing("h")).modify_graph(world.outputs)


def test_gradients_of_what_is_not_changed_stay_as_they_are(engine):
    world = World(engine)
    force(world)
    result = regplug.compose([Plus("force")]).apply(world.outputs)
    assert result.outputs["energy"] is world.outputs["energy"]
    assert result.outputs["force"].owner.inputs[0] is world.outputs["force"]
