"""Closures: what a scan's step reads of the outer graph follows the regularizers.

Each case is a model, written once: `read` names an output and returns what the rest of the model
reads in its place. For the expected values that is the changed output, written by hand.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from toys import TimesParams
from worlds import World, changing

import regplug
from regplug.errors import RegplugWarning
from regplug.testing import evaluate, function

CASES = {}


def case(*changed):
    """Add a model to the table; `changed` are the outputs that are regularized."""

    def add(build):
        CASES[build.__name__] = build, changed
        return build

    return add


def until(condition):
    try:
        from pytensor.scan.utils import until
    except ImportError:
        from theano.scan_module import until
    return until(condition)


@case("h")
def one_use(w):
    h = w.hidden()
    w.read("s", w.scan(lambda s: w.layer(s, w.U, h)))


@case("h")
def two_uses(w):
    h = w.hidden()
    w.read("s", w.scan(lambda s: w.layer(s, w.U, w.T.dot(h, w.V)) * h))


@case("h")
def two_scans(w):
    h = w.hidden()
    s = w.read("s", w.scan(lambda s: w.layer(s, w.U, h)))
    w.read("r", w.scan(lambda r: w.layer(r, w.V, h) + s[-1], [s[-1]], 2))


@case("n", "h")
def computed_of_parameters_only(w):
    n = w.read("n", w.U * w.T.tanh(w.U))
    h = w.hidden()
    w.read("s", w.scan(lambda s: w.layer(s, n, h)))


def two_layers(w):
    h = w.hidden()
    g = w.read("g", w.layer(h, w.V))
    w.read("s", w.scan(lambda s: w.layer(s, w.U, g, h)))


@case("h", "g")
def both_of_two_layers(w):
    two_layers(w)


@case("h")
def first_of_two_layers(w):
    two_layers(w)


@case("g")
def second_of_two_layers(w):
    two_layers(w)


@case("h", "g")
def copy_within_a_copy(w):
    g = w.read("g", w.layer(w.hidden(), w.V))
    w.read("s", w.scan(lambda s: w.layer(s, w.U, g)))


@case("h")
def formula_of_a_sequence(w):
    h, rows = w.hidden(), w.x * 2
    s = w.scan(
        lambda row, s: w.layer(s, w.U, w.layer(row, w.W)),
        [w.zeros[0]],
        None,
        sequences=[rows],
    )
    w.read("s", s + h.sum())


@case("h")
def formula_of_a_sequence_that_is_the_input(w):
    h = w.hidden()
    s = w.scan(
        lambda row, s: w.layer(s, w.U, w.layer(row, w.W)),
        [w.zeros[0]],
        None,
        sequences=[w.x],
    )
    w.read("s", s + h.sum())


@case("h")
def sequence_and_closure(w):
    h = w.hidden()

    def step(row, s):
        return w.layer(s, w.U, row, h.sum(axis=0))

    w.read("s", w.scan(step, [w.zeros[0]], None, sequences=[h]))


@case("h")
def backwards(w):
    h = w.hidden()
    w.read(
        "s",
        w.scan(
            lambda row, s: w.layer(s, w.U, h * row.sum()),
            n_steps=None,
            sequences=[w.x],
            go_backwards=True,
        ),
    )


@case("h")
def two_taps(w):
    h = w.hidden()
    start = [{"initial": w.T.zeros((2, 5, 4), dtype="float64"), "taps": [-2, -1]}]
    w.read("s", w.scan(lambda a, b: w.layer(a, w.U, b, h), start))


@case("h")
def two_states_and_a_map(w):
    h = w.hidden()

    def step(s, r):
        return [w.layer(s, w.U, h), r + s * h, (s * h).sum()]

    for number, each in enumerate(w.scan(step, [w.zeros, w.zeros, None])):
        w.read(f"s{number}", each)


@case("h")
def while_loop(w):
    h = w.hidden()

    def step(s):
        return s + h**2, until((s + h**2).sum() > 60)

    w.read("s", w.scan(step, n_steps=50))


@case("h")
def condition_of_a_while_loop(w):
    h = w.hidden()
    w.read("s", w.scan(lambda s: (s + 1, until(s.sum() > (h**2).sum())), n_steps=90))


@case("h", "g")
def argument_and_closure(w):
    h = w.hidden()
    g = w.read("g", w.layer(h, w.V))
    w.read("s", w.scan(lambda s, h: w.layer(s, w.U, g, h), non_sequences=[h]))


@case("h")
def scan_within_a_scan(w):
    h = w.hidden()

    def step(s):
        return w.layer(s, w.U, w.scan(lambda q: w.layer(q, w.V, h), [s], 2)[-1])

    w.read("s", w.scan(step))


@case("h")
def scan_within_a_scan_at_both_levels(w):
    h = w.hidden()

    def step(s):
        return w.layer(s, w.U, w.scan(lambda q: w.layer(q, w.V, h), [s], 2)[-1]) * h

    w.read("s", w.scan(step))


@case("encoder")
def encoder_and_decoder(w):
    h = w.layer(w.x, w.W)
    states = w.read("encoder", w.scan(lambda s: w.layer(s, w.U, h)))
    w.read("s", w.scan(lambda s: w.layer(s, w.V, (states * s).sum(axis=0)), [h]))


@case("last")
def last_state(w):
    h = w.layer(w.x, w.W)
    last = w.read("last", w.scan(lambda s: w.layer(s, w.U, h))[-1])
    w.read("s", w.scan(lambda s: w.layer(s, w.V, last), [last]))


@case("h")
def formula_of_another_parameter(w):
    other = w.engine.shared(w.W.get_value(), name="other")
    w.hidden()
    w.read("s", w.scan(lambda s: w.layer(s, w.U, w.layer(w.x, other))))


@case("k")
def formula_of_another_constant(w):
    h = w.layer(w.x, w.W)
    w.read("k", 0.5 * h)
    w.read("s", w.scan(lambda s: w.layer(s, w.U, 0.25 * h)))


@case("in", "h")
def input_too(w):
    w.x = w.read("in", w.x)
    h = w.hidden()
    w.read("s", w.scan(lambda s: w.layer(s, w.U, h)))


@case("z")
def scan_that_comes_first_in_graph_order(w):
    h = w.hidden("z")
    w.read("a", w.scan(lambda s: w.layer(s, w.U, h)))


@case("h", "o")
def what_depends_on_a_scan(w):
    h = w.hidden()
    s = w.read("s", w.scan(lambda s: w.layer(s, w.U, h)))
    o = w.read("o", w.T.dot(s[-1], w.V) + h)
    w.read("r", w.scan(lambda s: w.layer(s, w.U, o)))


@case("h")
def argument_only(w):
    h = w.hidden()
    w.read("s", w.scan(lambda s, h: w.layer(s, w.U, h), non_sequences=[h]))


@case("row")
def one_row(w):
    row = w.read("row", w.hidden()[0] * 2)
    w.read("s", w.scan(lambda s: w.layer(s, w.U, row)))


@case("h")
def map_over_units(w):
    h = w.hidden()

    def step(unit):
        return (h * h[:, unit].dimshuffle(0, "x")).sum(axis=1)

    units = w.T.arange(4)
    w.read("s", w.scan(step, outputs_info=None, n_steps=None, sequences=[units]))


@pytest.mark.parametrize("name", CASES)
def test_closures_read_what_regularizers_made(name, engine):
    build, changed = CASES[name]
    world, expected = World(engine), World(engine, changed)
    build(world)
    build(expected)
    result = regplug.compose(changing(*changed)).apply(world.outputs)
    for outputs, by in ((result.outputs, expected), (result.clean, world)):
        given = {**world.given, **by.given}
        for key, variable in by.outputs.items():
            np.testing.assert_allclose(
                evaluate(outputs[key], given), evaluate(variable, given), rtol=1e-12
            )


def test_closures_follow_changed_parameters(engine):
    world = World(engine)
    one_use(world)
    regularizers = [TimesParams("W", factor=3.0), *changing("h")]
    result = regplug.compose(regularizers).apply(world.outputs)
    expected = World(engine, ["h"])
    expected.W = expected.W * 3.0
    one_use(expected)
    np.testing.assert_allclose(
        evaluate(result.outputs["s"], world.given),
        evaluate(expected.outputs["s"], {expected.x: world.given[world.x]}),
    )


def test_closures_leave_a_graph_without_copies_as_it_is(engine):
    world = World(engine)
    argument_only(world)
    formula_of_a_sequence(world)
    result = regplug.compose(changing("s")).apply(world.outputs)
    assert result.outputs["h"] is world.outputs["h"]
    assert result.clean == world.outputs


def test_closures_pass_gradients(engine):
    world, expected = World(engine), World(engine, ["h"])
    for each in (world, expected):
        one_use(each)
    result = regplug.compose(changing("h")).apply(world.outputs)
    found = engine.grad(result.outputs["s"].sum(), world.W)
    wanted = engine.grad(expected.outputs["s"].sum(), expected.W)
    np.testing.assert_allclose(
        evaluate(found, world.given),
        evaluate(wanted, {expected.x: world.given[world.x]}),
    )


def test_closures_of_one_of_two_twins_warn(engine):
    world = World(engine)
    world.hidden("g")
    h = world.hidden()
    # no names inside a scan, as PyTensor has none
    h.name = None
    world.read("s", world.scan(lambda s: world.layer(s, world.U, h)))
    manager = regplug.compose(changing("h"))
    with pytest.warns(RegplugWarning, match="reads 'h', or a .* through non_sequences"):
        manager.apply(world.outputs)


def test_closures_of_a_twin_warn_while_a_model_is_built(engine):
    world = World(engine)
    world.hidden("g")
    h = world.hidden()
    h.name = None
    world.read("s", world.scan(lambda s: world.layer(s, world.U, h)))
    with pytest.warns(RegplugWarning, match="modify_graph: .* through non_sequences"):
        regplug.compose(changing("h")).modify_graph(world.outputs)


def test_closures_within_a_layer_that_is_built(engine):
    world, expected = World(engine), World(engine, ["h"])
    for each in (world, expected):
        one_use(each)
    regplug.compose(changing("h")).modify_graph(world.outputs)
    np.testing.assert_allclose(
        evaluate(world.outputs["s"], world.given),
        evaluate(expected.outputs["s"], {expected.x: world.given[world.x]}),
    )


def test_closures_of_scans_that_draw_need_the_update(engine):
    world = World(engine)
    h = world.read("h", world.T.exp(world.x))
    if engine.__name__.endswith("theano"):
        from theano.sandbox.rng_mrg import MRG_RandomStreams

        streams = MRG_RandomStreams(3)

        def draw():
            return streams.uniform(world.x.shape) * h

    else:
        rng = engine.shared(np.random.default_rng(5))

        def draw():
            next_state, numbers = engine.T.random.poisson(
                h, rng=rng, return_next_rng=True
            )
            return numbers, {rng: next_state}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what scan returns, on PyTensor 3.3
        states, updates = engine.scan(draw, n_steps=2)
    world.read("states", states)
    manager = regplug.compose(["dropout=0.5@h"])
    with pytest.warns(RegplugWarning, match="does not know the update"):
        manager.apply(world.outputs)
    result = manager.apply(world.outputs, updates=updates)
    outputs = [result.outputs["h"], result.outputs["states"]]
    train = function(list(world.given), outputs, updates=result.updates)
    runs = [train(*world.given.values()) for _ in range(2)]
    for hidden, drawn in runs:
        assert not drawn[:, hidden == 0].any()
    assert (runs[0][1] != runs[1][1]).any()
