"""docs/parity.md, Lasagne and theanets: each row run as it stands, with the peer itself, on Theano."""

from __future__ import annotations

import collections
import collections.abc
import importlib
import logging
import sys
import types

import numpy as np
import pytest
from parity import assert_same_noise, compute, rows

if sys.version_info >= (3, 11):
    pytest.skip(
        "Lasagne and theanets need Theano, which needs Python 3.10",
        allow_module_level=True,
    )

import theano
import theano.tensor as T
import theano.tensor.signal.pool

from regplug.testing import function

TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


@pytest.fixture
def lasagne(monkeypatch):
    """Import Lasagne with the module that Theano 1.0 dropped."""
    downsample = types.ModuleType("theano.tensor.signal.downsample")
    downsample.max_pool_2d = theano.tensor.signal.pool.pool_2d
    monkeypatch.setitem(sys.modules, downsample.__name__, downsample)
    monkeypatch.setattr(theano.tensor.signal, "downsample", downsample, raising=False)
    return importlib.import_module("lasagne")


@pytest.fixture
def theanets(monkeypatch):
    """Import theanets with a logger for `climate`, a name of another project by now, and an old name of Python."""
    climate = types.ModuleType("climate")
    climate.get_logger = logging.getLogger
    monkeypatch.setitem(sys.modules, "climate", climate)
    monkeypatch.setattr(
        collections, "Callable", collections.abc.Callable, raising=False
    )
    return importlib.import_module("theanets")


def arrays(dtype):
    rng = np.random.default_rng(11)
    shapes = {"w": (6, 4), "b": (4,), "kernel": (4, 2, 3, 3)}
    return {
        name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()
    }


def close(found, expected, dtype):
    np.testing.assert_allclose(
        found,
        expected,
        rtol=TOLERANCE[dtype],
        atol=TOLERANCE[dtype] * abs(expected).max(),
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("theirs", "ours"), rows("Lasagne"))
def test_parity_with_lasagne(theirs, ours, dtype, lasagne):
    values = arrays(dtype)
    shared = {name: theano.shared(value, name=name) for name, value in values.items()}
    incoming = lasagne.layers.InputLayer((None, 400))
    dense = lasagne.layers.DenseLayer(
        lasagne.layers.InputLayer((None, 6)), 4, W=shared["w"], b=shared["b"]
    )
    layer = incoming if "Layer(" in theirs else dense
    peer = eval(theirs, {"lasagne": lasagne, "layer": layer, **shared})
    entry = eval(ours)
    if isinstance(peer, lasagne.layers.Layer):
        h = np.ones((300, 400), dtype)
        noisy = function([], peer.get_output_for(T.as_tensor_variable(h)))()
        assert_same_noise(compute(entry, {"h": h})["used h"], noisy, clean=1)
    elif peer.ndim == 0:
        value, gradient = function([], [peer, theano.grad(peer, shared["w"])])()
        found = compute(entry, {key: values[key] for key in "wb"})
        close(found["penalty"], value, dtype)
        close(found["dw"], gradient, dtype)
        assert not found["db"].any()
    else:
        name = "kernel" if "kernel" in theirs else "w"
        close(
            compute(entry, {name: values[name]})[name], function([], peer)(), "float32"
        )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("theirs", "ours"), rows("theanets"))
def test_parity_with_theanets(theirs, ours, dtype, theanets):
    values = arrays(dtype)
    peer, entry = eval(theirs, {"theanets": theanets}), eval(ours)
    if isinstance(
        peer,
        (theanets.regularizers.BernoulliDropout, theanets.regularizers.GaussianNoise),
    ):
        h = np.ones((300, 400), dtype)
        outputs = {"h:out": T.as_tensor_variable(h)}
        peer.modify_graph(outputs)
        noisy = function([], outputs["h:out"])()
        assert_same_noise(compute(entry, {"h": h})["used h"], noisy, clean=1)
        return
    is_hidden = isinstance(peer, theanets.regularizers.HiddenL1)
    names = ("h",) if is_hidden else ("w", "b")
    values["h"] = values["w"]
    shared = {name: theano.shared(values[name], name=f"hid.{name}") for name in names}
    layer = types.SimpleNamespace(
        name="hid", params=list(shared.values()), output_name=lambda: "hid:out"
    )
    edge = types.SimpleNamespace(name="edge", params=[], output_name=lambda: "edge:out")
    term = peer.weight * peer.loss([edge, layer, edge], {"hid:out": shared.get("h")})
    value, gradient = function([], [term, theano.grad(term, shared[names[0]])])()
    found = compute(entry, {name: values[name] for name in names})
    close(found["penalty"], value, dtype)
    close(found[f"d{names[0]}"], gradient, dtype)
