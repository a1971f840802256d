"""What is changed and reaches nothing is a warning by name."""

import warnings

import numpy as np
import pytest
from toys import Times, TimesParams

import regplug
from regplug import RegplugWarning


def recurrent(engine):
    """Return a scan over x, the variable inside its step, and what the scan gives."""
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.eye(2), name="w")
    inside = []

    def step(x_t, h):
        new = T.tanh(T.dot(x_t, w) + h)
        inside.append(new)
        return new

    with warnings.catch_warnings():
        # PyTensor says that it will return the states alone
        warnings.simplefilter("ignore", DeprecationWarning)
        states, _ = engine.scan(step, sequences=[x], outputs_info=[T.zeros(2)])
    return x, w, inside[0], states


def test_unreached_variable_inside_a_scan_is_a_warning(engine):
    x, _, inner, states = recurrent(engine)
    outputs = {"in:out": x, "hid:out": inner, "out:out": states.sum()}
    manager = regplug.compose([Times("hid:out")])
    with pytest.warns(RegplugWarning, match="times .*'hid:out' to no effect") as seen:
        manager.apply(outputs)
    assert seen[0].filename == __file__


def test_unreached_says_nothing_of_what_a_scan_gives_and_reads(engine):
    x, w, _, states = recurrent(engine)
    y = engine.T.vector("y", dtype="float64")
    cost = ((states[-1] - y) ** 2).sum()
    outputs = {"in:out": x, "enc:out": x * 2, "hid:out": states, "cost:out": cost}
    outputs["target:out"] = y
    regplug.compose([Times("*"), TimesParams("w")]).apply(outputs, {"w": w})


def test_unreached_parameter_is_a_warning(engine):
    x = engine.T.matrix("x", dtype="float64")
    w, stray = (engine.shared(np.eye(2), name=name) for name in ("w", "stray"))
    manager = regplug.compose([TimesParams("*")])
    with pytest.warns(RegplugWarning, match="'stray' to no effect: no output"):
        manager.apply({"h:out": engine.T.dot(x, w)}, {"w": w, "stray": stray})


def test_unreached_stale_copy_is_a_warning(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.eye(2), name="w")
    stale = T.tanh(T.dot(x, w))
    outputs = {"in:out": x, "hid:out": stale, "out:out": T.tanh(T.dot(x, w)).sum()}
    manager = regplug.compose([Times("hid:out")])
    with pytest.warns(RegplugWarning, match="'hid:out' to no effect: .* a copy"):
        manager.apply(outputs)


def test_unreached_says_nothing_of_a_second_head(engine):
    T = engine.T
    x = T.matrix("x", dtype="float64")
    h = T.tanh(x)
    outputs = {"in:out": x, "hid:out": h, "mean:out": h.mean(), "sum:out": h.sum()}
    regplug.compose([Times("*")]).apply(outputs)
