"""What the tests of this package share: small models, and the gradients of penalties on them."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from regplug.testing import function, installed_engine


@pytest.fixture
def model():
    """Return a function that builds one of several models of a dtype, with a value for its input."""

    def build(kind, dtype="float64"):
        T = installed_engine().T
        shared = installed_engine().shared
        rng = np.random.default_rng(4)
        x = T.TensorType(dtype, (None,) * (3 if kind == "sequence" else 2))("x")
        value = rng.normal(size=(3, 2, 3) if kind == "sequence" else (3, 4)).astype(
            dtype
        )
        w = shared(rng.normal(0, 0.7, (value.shape[-1], 5)).astype(dtype), name="w")
        b = shared(rng.normal(size=5).astype(dtype), name="b")
        u = shared(rng.normal(0, 0.7, (5, 2)).astype(dtype), name="u")
        z = T.dot(x, w) + b
        h = {
            "dense": lambda: T.tanh(z),
            "linear": lambda: T.dot(x, w),
            "gated": lambda: T.tanh(z) * T.exp(T.dot(x, 2 * w) / 3),
            "deep": lambda: T.tanh(T.dot(T.tanh(z), u)),
            "softmax": lambda: T.exp(z) / T.exp(z).sum(axis=1, keepdims=True),
            "residual": lambda: T.tanh(z)[:, 1:] + x**2,
            "vector": lambda: T.tanh(z).sum(axis=1),
            "sequence": lambda: T.tanh(z) * T.tanh(z).sum(axis=1, keepdims=True),
        }[kind]()
        return SimpleNamespace(
            x=x, value=value, w=w, b=b, u=u, h=h, outputs={"in:out": x, "hid:out": h}
        )

    return build


@pytest.fixture
def exact(differences):
    """Return a function that gives the mean over the rows of norm_F(dh / dx) ** 2, by finite differences."""

    def norm(x, h, value):
        f = function([x], h)

        def row_of(i, row):
            return f(np.concatenate([value[:i], row, value[i + 1 :]]))[i]

        jacobians = [
            differences(partial(row_of, i), value[i : i + 1]) for i in range(len(value))
        ]
        return np.mean([(jacobian**2).sum() for jacobian in jacobians])

    return norm


@pytest.fixture
def assert_gradient(engine, differences):
    """Return a function that holds the gradient of a penalty on a model with respect to w against differences."""

    def check(m, loss):
        f = function([m.x], [loss, engine.grad(loss, m.w)])
        w = m.w.get_value()

        def value(at):
            m.w.set_value(at)
            return f(m.value)[0]

        expected = differences(value, w)
        m.w.set_value(w)
        np.testing.assert_allclose(
            f(m.value)[1], expected, rtol=1e-6, atol=1e-7 * abs(expected).max()
        )

    return check
