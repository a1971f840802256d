"""What the tests of several packages share: a penalty on arrays, and derivatives by finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug.testing import function


@pytest.fixture
def penalty(engine):
    """Return a function that gives a penalty of weight 1 on arrays by output name, and its gradients by name."""

    def evaluate(name, values, **options):
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
    """Return a function that gives the central differences of a function of one array of float64.

    The result has the axes of what the function returns, then those of the array.
    """

    def differentiate(f, at, step=1e-5):
        columns = []
        for index in np.ndindex(at.shape):
            up, down = at.copy(), at.copy()
            up[index] += step
            down[index] -= step
            columns.append((np.asarray(f(up)) - np.asarray(f(down))) / (2 * step))
        return np.stack(columns, axis=-1).reshape(*columns[0].shape, *at.shape)

    return differentiate
