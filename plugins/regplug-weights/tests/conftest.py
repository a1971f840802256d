"""What the tests of this package share: parameters, and one penalty on them as a compiled function."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug.testing import function


@pytest.fixture
def arrays():
    """Return a function that makes a matrix, a kernel and a bias of a dtype, always the same."""

    def make(dtype):
        rng = np.random.default_rng(5)
        shapes = {"hid.w": (5, 4), "conv.w": (3, 2, 2, 2), "hid.b": (4,)}
        return {
            name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()
        }

    return make


@pytest.fixture
def apply(engine):
    """Return a function that applies regularizers to shared variables; it returns manager, variables and result."""

    def build(regularizers, values):
        params = {
            name: engine.shared(value, name=name) for name, value in values.items()
        }
        manager = regplug.compose(regularizers)
        outputs = {f"{name}:out": 1 * variable for name, variable in params.items()}
        return manager, params, manager.apply(outputs, params=params)

    return build


@pytest.fixture
def penalty(engine, apply):
    """Return a function that gives one penalty of weight 1, after some steps, and its gradients by name."""

    def evaluate(name, values, steps=1, **options):
        _, params, result = apply([(name, {"weight": 1.0, **options})], values)
        gradients = engine.grad(
            result.loss, list(params.values()), disconnected_inputs="ignore"
        )
        step = function([], [result.loss, *gradients], updates=result.updates)
        for _ in range(steps):
            value, *gradients = step()
        return value, dict(zip(params, gradients, strict=True))

    return evaluate


@pytest.fixture
def constrained(engine, apply):
    """Return a function that gives the parameters after an update that leaves them, and the constraints."""

    def evaluate(regularizers, values, learning_rate=None):
        _, params, result = apply(regularizers, values)
        updates = result.constrain(
            {variable: 1 * variable for variable in params.values()}, learning_rate
        )
        results = function([], [updates[variable] for variable in params.values()])()
        return dict(zip(params, results, strict=True))

    return evaluate
