"""What the tests of this package share: one penalty on arrays, with its gradients."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug.testing import function, installed_engine


@pytest.fixture
def penalty():
    """Return a function that gives a penalty of weight 1 on arrays by output name, and its gradients by name."""

    def evaluate(name, values, **options):
        engine = installed_engine()
        shared = {key: engine.shared(value, name=key) for key, value in values.items()}
        outputs = {key: 1 * variable for key, variable in shared.items()}
        manager = regplug.compose([(name, {"pattern": "*", "weight": 1.0, **options})])
        result = manager.apply(outputs)
        gradients = engine.grad(result.loss, list(shared.values()))
        value, *gradients = function([], [result.loss, *gradients])()
        return value, dict(zip(shared, gradients, strict=True))

    return evaluate


@pytest.fixture
def differences():
    """Return a function that gives the central differences of a scalar function of one array of float64."""

    def differentiate(f, at, step=1e-6):
        gradient = np.zeros_like(at)
        for index in np.ndindex(at.shape):
            up, down = at.copy(), at.copy()
            up[index] += step
            down[index] -= step
            gradient[index] = (f(up) - f(down)) / (2 * step)
        return gradient

    return differentiate
