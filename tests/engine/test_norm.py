"""The norm that formulas share: huge and tiny numbers, through what engines rewrite."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from regplug.engine import norm
from regplug.testing import function


@pytest.fixture(params=[None, "fast_run"])
def compiled(request, engine):
    """Return a function that compiles for Python, as the graph is or rewritten."""
    library = importlib.import_module(engine.__name__.rpartition(".")[2])

    def compile_(inputs, outputs):
        mode = library.compile.mode.Mode(linker="py", optimizer=request.param)
        return function(inputs, outputs, mode=mode)

    return compile_


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float32", 1.0),
        ("float32", 1e30),
        ("float32", 1e-30),
        ("float32", 1e-40),
        ("float64", 1e200),
        ("float64", 1e-200),
    ],
)
def test_norm_of_huge_and_tiny_numbers_is_that_of_longer_ones(
    size, dtype, axis, engine, T, compiled
):
    x = T.matrix("x", dtype=dtype)
    length = norm(x, axis=axis)
    value = (np.random.default_rng(0).normal(size=(5, 4)) * size).astype(dtype)
    value[1], value[:, 2] = 0, 0
    exact = value.astype("longdouble")
    expected = np.sqrt((exact**2).sum(axis=axis, keepdims=True))

    found, gradient = compiled([x], [length, engine.grad(length.sum(), x)])(value)

    assert found.dtype == gradient.dtype == dtype
    tolerance = 1e-4 if size == 1e-40 else 1e-6  # which float32 holds with few digits
    np.testing.assert_allclose(found, expected.sum(axis=axis), rtol=tolerance, atol=0)
    direction = exact / np.where(expected == 0, 1, expected)
    np.testing.assert_allclose(gradient, direction, rtol=tolerance, atol=0)


def test_norm_below_the_largest_number_does_not_overflow_in_between(T, compiled):
    x = T.vector("x", dtype="float32")
    value = np.full(1000, 1e37, "float32")
    np.testing.assert_allclose(
        compiled([x], norm(x))(value), 1e37 * np.sqrt(1000), rtol=1e-6
    )


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_norm_of_nothing_is_zero(axis, shape, T, compiled):
    x = T.matrix("x", dtype="float32")
    found = compiled([x], norm(x, axis=axis))(np.zeros(shape, "float32"))
    expected = np.zeros(shape).sum(axis=axis)
    np.testing.assert_array_equal(found, expected)
