"""The engines' flags: test values are those of the run, and float64 that is meant trips nothing."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import regplug
from regplug import Regularizer, hookimpl
from regplug.authoring.options import options_of
from regplug.authoring.regularizer import uses_weight
from regplug.noise import reference
from regplug.testing import function

NAMES = sorted(entry.name for entry in regplug.available())
GIVEN = {
    "drop_block": {"channel_axis": -1},
    "max_norm": {"limit": 0.5},
    "min_max_norm": {"low": 0.1, "high": 0.5},
}
AXES = {
    "drop_block": 4,
    "total_variation": 3,
    "recurrent_norm": 3,
    "recurrent_state": 3,
}
RAMP = {"schedule": "linear", "start": 0.2, "stop": 0.6, "steps": 4}


def config_of(engine):
    return importlib.import_module(engine.__name__.rpartition(".")[2]).config


def entry(name):
    """Return a name with a pattern and options that its class takes."""
    cls = regplug.load(name)
    options = dict(GIVEN.get(name, {}))
    if uses_weight(cls) and "weight" in options_of(cls):
        options["weight"] = 0.3
    if cls.targets == "outputs":
        options["pattern"] = "hid:out"
    return name, options


def model(engine, name, test_value=False):
    """Return an input, its value, outputs and parameters in float32, of as many axes as a regularizer needs."""
    T, rng = engine.T, np.random.RandomState(0)
    ndim = AXES.get(name, 2)
    x = T.TensorType("float32", (False,) * ndim)("x")
    value = rng.uniform(0.1, 0.9, (5, 8, 9, 4)[: ndim - 1] + (4,)).astype("float32")
    if test_value:
        x.tag.test_value = value
    shapes = {"w": (4, 6), "v": (6, 3)}
    params = {
        key: engine.shared(rng.normal(size=shape).astype("float32"), name=key)
        for key, shape in shapes.items()
    }
    hidden = T.tanh(T.dot(x, params["w"])) ** 2
    e = T.exp(T.dot(hidden, params["v"]))
    return (
        x,
        value,
        {"in:out": x, "hid:out": hidden, "out:out": e / e.sum(axis=-1, keepdims=True)},
        params,
    )


@pytest.fixture
def test_values(engine, monkeypatch):
    """Return a function that has Theano compute test values, without a compiler."""
    if not engine.__name__.endswith("theano"):
        pytest.skip("PyTensor computes no test values")
    config = config_of(engine)
    monkeypatch.setattr(config, "cxx", "")
    return lambda how: monkeypatch.setattr(config, "compute_test_value", how)


@pytest.mark.parametrize("how", ["warn", "raise"])
@pytest.mark.parametrize("name", NAMES)
def test_test_values_are_those_of_the_run(name, how, engine, test_values):
    test_values(how)
    x, value, outputs, params = model(engine, name, test_value=True)
    entries = [entry(name), ("dropout", {"pattern": "in:out", "weight": RAMP})]
    manager = regplug.compose(entries)
    manager.restore({**manager.state(), "step": 2})
    result = manager.apply(outputs, params=params)
    variables = [
        *result.outputs.values(),
        *result.clean.values(),
        result.loss,
        result.clean_loss,
    ]
    variables = [each for each in variables if hasattr(each.tag, "test_value")]
    assert len(variables) >= 6
    expected = [each.tag.test_value for each in variables]
    test_values("off")
    for found, its_value in zip(
        function([x], variables, updates=result.updates)(value), expected, strict=True
    ):
        np.testing.assert_allclose(its_value, found, rtol=1e-5, atol=1e-6)
    mask = reference.keep(0, "dropout", "in:out", value.shape, 2, 0.4)
    np.testing.assert_array_equal(result.outputs["in:out"].tag.test_value != 0, mask)


def test_test_values_are_there_while_a_model_is_built(engine, test_values):
    test_values("raise")
    x, value, _, params = model(engine, "dropout", test_value=True)
    manager = regplug.compose(["dropout=0.5@*:out"])
    layers = {"in:out": x}
    manager.modify_graph(layers)
    layers["hid:out"] = engine.T.dot(layers["in:out"], params["w"])
    manager.modify_graph(layers)
    mask = reference.keep(0, "dropout", "in:out", (5, 4), 0, 0.5)
    later = reference.keep(0, "dropout", "hid:out", (5, 6), 0, 0.5)
    expected = 2 * later * np.dot(2 * mask * value, params["w"].get_value())
    np.testing.assert_allclose(layers["hid:out"].tag.test_value, expected, rtol=1e-5)


def test_inputs_without_test_values_are_no_new_fault(engine, test_values):
    test_values("off")
    x, value, outputs, params = model(engine, "dropout")
    test_values("ignore")
    result = regplug.compose(["dropout=0.5@hid:out"]).apply(outputs, params=params)
    assert not hasattr(result.outputs["out:out"].tag, "test_value")


@pytest.mark.parametrize("name", NAMES)
def test_float64_that_is_meant_does_not_trip_the_flag(name, engine, monkeypatch):
    config = config_of(engine)
    monkeypatch.setattr(config, "floatX", "float32")
    x, value, outputs, params = model(engine, name)
    updates = {
        variable: variable - np.float32(0.1) * variable for variable in params.values()
    }
    monkeypatch.setattr(config, "warn_float64", "raise")
    entries = [entry(name), ("dropout", {"pattern": "in:out", "weight": RAMP})]
    result = regplug.compose(entries).apply(outputs, params=params)
    constrained = result.constrain(updates, learning_rate=np.float32(0.1))
    total = result.loss + result.outputs["out:out"].sum()
    monkeypatch.setattr(
        config, "warn_float64", "ignore"
    )  # as the docstring of apply says
    assert np.isfinite(
        function([x], [total, *constrained.values()], updates=result.updates)(value)[0]
    )


def test_float64_in_which_a_regularizer_computes_does_not_trip_the_flag(
    engine, monkeypatch
):
    class Precise(Regularizer):
        """Compute in float64, and round."""

        weight = 1.0

        @hookimpl
        def modify_graph(self, value):
            return engine.T.cast(engine.T.cast(value, "float64") / 3, value.dtype)

    _, _, outputs, _ = model(engine, "dropout")
    monkeypatch.setattr(config_of(engine), "warn_float64", "raise")
    regplug.compose([Precise("hid:out")]).apply(outputs)


def test_rate_given_as_a_number_is_not_rounded_to_floatX(engine, T, monkeypatch):
    monkeypatch.setattr(config_of(engine), "floatX", "float32")
    bits = reference.bits(reference.site_key(0, "fixed", "in:out"), (1, 40), 0)[0]

    class Fixed(Regularizer):
        """Keep entries at a fixed rate."""

        weight = 1.0
        rate: float

        @hookimpl
        def modify_graph(self, value, noise):
            return engine.T.switch(noise.keep(value, self.rate), value, 0)

    x = T.matrix("x", dtype="float32")
    for cell in range(10):
        for above, is_kept in (
            (0, True),
            (1, False),
        ):  # kept where its bits are at least the threshold
            manager = regplug.compose(
                [Fixed("in:out", rate=(int(bits[cell]) + above) / 2**32)]
            )
            found = function([x], manager.apply({"in:out": x}).outputs["in:out"])(
                np.ones((1, 40), "float32")
            )
            assert (found[0, cell] != 0) == is_kept
