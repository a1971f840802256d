"""The axis of units and of channels: what the graph shows, and what an adapter says."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import regplug


@pytest.fixture
def shared(engine):
    """Return a function that makes a parameter of some shape."""
    return lambda name, *shape: engine.shared(np.ones(shape), name=name)


def test_matrix_on_the_right_has_units_on_axis_1_and_on_the_left_on_axis_0(T, shared):
    x, w, v, b = T.matrix("x"), shared("w", 3, 4), shared("v", 5, 4), shared("b", 4)
    h = T.tanh(T.dot(x, w) + b)
    columns = T.dot(v, h.T)
    model = regplug.as_model({"x": x, "h": h, "columns": columns})
    assert model.unit_axis == {
        "x": None,
        "h": 1,
        "columns": 0,
        "w": 1,
        "v": 0,
        "b": None,
    }


def test_transposed_matrix_has_units_on_the_axis_that_stands_last(T, shared):
    x, w = T.matrix("x"), shared("w", 4, 3)
    model = regplug.as_model({"h": T.dot(x, w.T)})
    assert model.unit_axis == {"h": 1, "w": 0}


def test_matrix_that_is_used_in_two_ways_has_none(T, shared):
    x, w = T.matrix("x"), shared("w", 3, 4)
    h = T.dot(x, w)
    model = regplug.as_model({"h": h, "back": T.dot(h, w.T)})
    assert model.unit_axis == {"h": 1, "back": 1, "w": None}


def test_matrix_that_is_used_twice_in_one_way_keeps_its_axis(T, shared):
    x, w = T.matrix("x"), shared("w", 3, 3)
    model = regplug.as_model({"h": T.dot(T.tanh(T.dot(x, w)), w)})
    assert model.unit_axis["w"] == 1


def test_vectors_have_no_units(T, shared):
    x, w, v = T.matrix("x"), shared("w", 3), shared("v", 2)
    model = regplug.as_model({"h": T.dot(x, w), "g": T.dot(v, x)})
    assert model.unit_axis == {"h": None, "g": None, "w": None, "v": None}


def test_tensor_times_matrix_shows_the_matrix(T, shared):
    x, w = T.tensor3("x"), shared("w", 3, 4)
    assert regplug.as_model({"h": T.dot(x, w)}).unit_axis["w"] == 1


def test_function_of_a_matrix_shows_the_matrix(T, shared):
    x, w = T.matrix("x"), shared("w", 3, 4)
    model = regplug.as_model({"h": T.dot(x, abs(w))})
    assert model.unit_axis == {"h": 1, "w": 1}


def test_channels_follow_their_axis(T, shared):
    x, w = T.matrix("x"), shared("w", 3, 4)
    h = T.dot(x, w)
    outputs = {
        "moved": h.dimshuffle(1, "x", 0),
        "added": h + x,
        "soft": T.special.softmax(h, axis=1) if hasattr(T, "special") else h,
        "flat": h.flatten(),
        "mean": h.mean(axis=0),
        "clash": h + h.T,
    }
    axes = regplug.as_model(outputs).unit_axis
    assert [axes[name] for name in outputs] == [0, 1, 1, None, 0, None]


@pytest.mark.filterwarnings("ignore:theano.tensor.nnet.conv.conv2d is deprecated")
@pytest.mark.parametrize("module", ["abstract_conv", "conv"])
def test_kernel_of_a_convolution_has_units_on_axis_0(engine, T, shared, module):
    if not engine.__name__.endswith("theano"):
        pytest.skip("PyTensor has no convolution of channels")
    x, w = T.tensor4("x"), shared("w", 8, 3, 5, 5)
    # the second is what theanets calls
    y = importlib.import_module(f"theano.tensor.nnet.{module}").conv2d(x, w)
    model = regplug.as_model({"y": y, "last": T.nnet.relu(y.dimshuffle(0, 2, 3, 1))})
    assert model.unit_axis == {"y": 1, "last": 3, "w": 0}


def test_batched_convolution_of_pytensor_shows_kernels_and_channels(engine, T, shared):
    if engine.__name__.endswith("theano"):
        pytest.skip("Theano has a convolution of channels")
    x, w = T.tensor4("x"), shared("w", 8, 3, 5, 5)
    product = T.signal.convolve2d(x[:, None], w[None], mode="valid")
    y = T.maximum(product.sum(axis=2), 0)
    model = regplug.as_model({"y": y, "pooled": y.mean(axis=(2, 3)), "all": y.sum()})
    assert model.unit_axis == {"y": 1, "pooled": 1, "all": None, "w": 0}
    last = T.signal.convolve2d(x[:, :, None], w.dimshuffle(1, 0, 2, 3)[None])
    model = regplug.as_model({"y": last.sum(axis=1)})
    assert model.unit_axis == {"y": 1, "w": 0}


def test_matmul_of_pytensor_shows_what_dot_shows(engine, T, shared):
    if engine.__name__.endswith("theano"):
        pytest.skip("Theano has dot alone")
    x, w, z = T.matrix("x"), shared("w", 3, 4), T.tensor3("z")
    model = regplug.as_model({"h": x @ w, "g": T.tanh(z @ w), "s": T.vector() @ w})
    assert model.unit_axis == {"h": 1, "g": 2, "s": 0, "w": 1}


@pytest.mark.parametrize("axis", [1, 3])
def test_biases_show_channels_where_nothing_upstream_does(T, shared, axis):
    x, b, scale = T.tensor4("x"), shared("b", 3), shared("scale", 3)
    order = ["x"] * 4
    order[axis] = 0
    y = T.tanh(x * scale.dimshuffle(order) + b.dimshuffle(order))
    model = regplug.as_model({"x": x, "y": y, "z": b * 2})
    assert model.unit_axis == {"x": None, "y": axis, "z": None} | dict.fromkeys(
        ["b", "scale"]
    )


def test_vectors_that_disagree_show_no_channels(T, shared):
    x, b, rows = T.tensor4("x"), shared("b", 3), shared("rows", 3)
    y = T.switch(x, b.dimshuffle("x", "x", "x", 0), rows.dimshuffle("x", "x", 0, "x"))
    assert regplug.as_model({"y": y}).unit_axis["y"] is None


def test_what_an_adapter_knows_wins(T, shared):
    x, w = T.matrix("x"), shared("w", 3, 4)
    model = regplug.as_model({"x": x, "h": T.dot(x, w)})
    model.known_unit_axis = {"x": 1, "w": None}
    assert model.unit_axis == {"x": 1, "h": 1, "w": None}


def test_two_names_of_one_variable_are_one_entry(T, shared):
    h = T.dot(T.matrix("x"), shared("w", 3, 4))
    assert regplug.as_model({"b": h, "a": h}).unit_axis == {"a": 1, "w": 1}
