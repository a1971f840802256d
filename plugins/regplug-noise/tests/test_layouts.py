"""Maps with the channels behind the batch, and with the channels last, against plain loops."""

import numpy as np
import pytest

import regplug
from regplug.noise import reference
from regplug.testing import function

SHAPES = {1: (4, 3, 9, 8), 3: (4, 9, 8, 3)}


@pytest.fixture
def convolved(engine, T):
    """Return a function that gives the input and the output of a layer with biases."""

    def build(channels):
        x = T.TensorType("float64", (None,) * 4)("x")
        b = engine.shared(np.ones(3), name="b")
        order = ["x"] * 4
        order[channels] = 0
        return x, T.switch(x > 0, x, 0) + b.dimshuffle(*order)

    return build


def run(x, y, name, **options):
    """Return what becomes of ones."""
    given = {"pattern": "conv:out", "weight": 0.4, **options}
    result = regplug.compose([(name, given)], seed=3).apply({"conv:out": y})
    return function([x], result.outputs["conv:out"], updates=result.updates)


def keep(name, rate, shape, shared_axes=()):
    return reference.keep(3, name, "conv:out", shape, 0, rate, shared_axes=shared_axes)


@pytest.mark.parametrize("channels", SHAPES)
def test_spatial_dropout_drops_the_channels_that_the_graph_shows(convolved, channels):
    shape = SHAPES[channels]
    found = run(*convolved(channels), "spatial_dropout")(np.ones(shape))
    sides = [axis for axis in (1, 2, 3) if axis != channels]
    kept = keep("spatial_dropout", 0.4, shape, sides)
    expected = np.empty(shape)
    for sample in range(4):
        for channel in range(3):
            one = np.moveaxis(kept, channels, 1)[sample, channel].item()
            np.moveaxis(expected, channels, 1)[sample, channel] = one * 2 / 0.6
    assert 0 < kept.mean() < 1
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("channels", SHAPES)
def test_drop_block_drops_squares_of_the_map_that_the_graph_shows(convolved, channels):
    shape = SHAPES[channels]
    found = run(*convolved(channels), "drop_block", block=3)(np.ones(shape))
    gamma = 0.4 * 9 * 8 / (9 * 7 * 6)
    seeds = np.moveaxis(~keep("drop_block", gamma, shape), channels, -1)
    dropped = np.zeros(seeds.shape, bool)
    for n, i, j, c in np.argwhere(seeds):
        if 1 <= i < 8 and 1 <= j < 7:
            dropped[n, i - 1 : i + 2, j - 1 : j + 2, c] = True
    np.testing.assert_array_equal(np.moveaxis(found, channels, -1) == 0, dropped)


@pytest.mark.parametrize("name", ["spatial_dropout", "drop_block"])
def test_given_channel_axis_wins_over_what_the_graph_shows(convolved, name):
    options = {"block": 3} if name == "drop_block" else {}
    ones = np.ones((4, 3, 8, 3))
    shown = run(*convolved(3), name, **options)(ones)
    given = run(*convolved(1), name, channel_axis=-1, **options)(ones)
    np.testing.assert_array_equal(given == 0, shown == 0)


@pytest.mark.parametrize("name", ["spatial_dropout", "drop_block"])
def test_channel_axis_is_demanded_where_the_graph_does_not_show_it(T, name):
    x = T.dtensor4("x")
    with pytest.raises(regplug.RegularizerError) as caught:
        run(x, abs(x), name)
    message = str(caught.value)
    assert "the graph does not show which axis holds its channels" in message
    assert "channel_axis=1 if its axes are (batch, channels, height, width)" in message
    assert "channel_axis=-1 if they are (batch, height, width, channels)" in message


def test_volumes_are_named_with_their_depth(T):
    x = T.TensorType("float64", (None,) * 5)("x")
    with pytest.raises(regplug.RegularizerError, match=r"channels, depth, height, w"):
        run(x, abs(x), "spatial_dropout")


@pytest.mark.parametrize("ndim", [2, 3])
def test_channels_of_two_and_three_axes_are_the_last(T, ndim):
    x = T.TensorType("float64", (None,) * ndim)("x")
    shape = (6, 7, 5)[3 - ndim :]
    found = run(x, abs(x), "spatial_dropout")(np.ones(shape))
    kept = keep("spatial_dropout", 0.4, shape, range(1, ndim - 1))
    np.testing.assert_array_equal(found > 0, np.broadcast_to(kept, shape))


def test_block_that_is_too_large_is_refused_with_the_axes_that_were_taken(T):
    x = T.TensorType("float64", (None,) * 4)("x")
    words = "height on axis 1 and width on axis 2: give another channel_axis"
    compute = run(x, abs(x), "drop_block", block=7, channel_axis=-1)
    with pytest.raises(AssertionError, match=words):
        compute(np.ones((2, 4, 28, 28)))


def test_block_larger_than_a_known_side_is_refused_with_the_axes(engine, T):
    x = T.TensorType("float64", (None, 1, None, None))("x")
    with pytest.raises(regplug.RegularizerError, match="height on axis 1 and width on"):
        run(x, abs(x), "drop_block", block=7, channel_axis=-1)
