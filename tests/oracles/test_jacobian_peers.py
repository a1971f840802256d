"""Penalties on derivatives: values and gradients against torch.func and torch.autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import regplug
from regplug.noise import reference
from regplug.testing import function, installed_engine

RELATIVE = {"float64": 1e-6, "float32": 1e-4}
dtypes = pytest.mark.parametrize("dtype", RELATIVE)
PARAMS = {"w": (4, 5), "b": (5,), "u": (5, 3)}


def arrays(dtype):
    rng = np.random.default_rng(2)
    return rng.normal(size=(6, 4)).astype(dtype), {
        k: rng.normal(size=s).astype(dtype) for k, s in PARAMS.items()
    }


def hidden(x, w, b):
    return torch.tanh(x @ w + b)


def predictions(x, w, b, u):
    return torch.softmax(hidden(x, w, b) @ u, dim=-1)


def ours(name, dtype, **options):
    """Return the penalty of weight 1, and its gradients by W, b and U, as far as it depends on them."""
    engine = installed_engine()
    T = engine.T
    x = T.TensorType(dtype, (None, None))("x")
    value, values = arrays(dtype)
    w, b, u = (engine.shared(each, name=key) for key, each in values.items())
    h = T.tanh(T.dot(x, w) + b)
    e = T.exp(T.dot(h, u))
    y = e / e.sum(axis=1, keepdims=True)
    outputs = {
        "in:out": x,
        "hid:out": h,
        "out:out": y,
        "cost:out": -T.log(y[:, 0]).mean(),
    }
    loss = (
        regplug.compose([(name, {"weight": 1, **options})], seed=9).apply(outputs).loss
    )
    gradients = engine.grad(loss, [w, b, u], disconnected_inputs="ignore")
    return function([x], [loss, *gradients])(value)


def agree(found, penalty, dtype):
    """Compare values and gradients with those of a torch function of x, W, b and U."""
    value, values = arrays(dtype)
    params = [torch.tensor(each, requires_grad=True) for each in values.values()]
    expected = penalty(torch.tensor(value), *params)
    gradients = torch.autograd.grad(expected, params, materialize_grads=True)
    np.testing.assert_allclose(found[0], expected.item(), rtol=RELATIVE[dtype])
    for ours, theirs in zip(found[1:], gradients, strict=True):
        scale = RELATIVE[dtype] * abs(theirs.numpy()).max()
        np.testing.assert_allclose(
            ours, theirs.numpy(), rtol=RELATIVE[dtype], atol=scale
        )


def rows_of(model, x, *params):
    """Return the Jacobian of each row, shape (batch, units, inputs)."""
    return torch.func.vmap(torch.func.jacrev(lambda row: model(row, *params)))(x)


@dtypes
def test_contractive_of_a_layer_is_that_by_jacrev(dtype):
    found = ours("contractive", dtype, pattern="hid:out")
    agree(
        found,
        lambda x, w, b, u: rows_of(hidden, x, w, b).square().sum((1, 2)).mean(),
        dtype,
    )


@dtypes
def test_contractive_of_two_layers_is_that_by_jacrev(dtype):
    found = ours("contractive", dtype, pattern="out:out")
    agree(
        found,
        lambda x, w, b, u: rows_of(predictions, x, w, b, u).square().sum((1, 2)).mean(),
        dtype,
    )


@dtypes
def test_jacobian_given_the_projections_is_that_by_jacrev(dtype):
    found = ours("jacobian", dtype, pattern="out:out", projections=2)

    def penalty(x, w, b, u):
        jacobians = rows_of(predictions, x, w, b, u)
        total = 0
        for draw in range(2):
            v = torch.tensor(
                reference.normal(
                    9, "jacobian", "out:out", (6, 3), step=0, draw=draw, dtype=dtype
                )
            )
            v = torch.nn.functional.normalize(v, dim=1)
            total += (
                3 / 2 * torch.einsum("nc,ncd->nd", v, jacobians).square().sum(1).mean()
            )
        return total

    agree(found, penalty, dtype)


@dtypes
def test_gradient_penalty_is_that_of_the_losses_of_the_rows(dtype):
    found = ours("gradient_penalty", dtype, pattern="cost:out")

    def penalty(x, w, b, u):
        row = torch.func.grad(lambda each: -torch.log(predictions(each, w, b, u)[0]))
        return torch.func.vmap(row)(x).square().sum(1).mean()

    agree(found, penalty, dtype)


@dtypes
@pytest.mark.parametrize("iterations", [1, 3])
def test_virtual_adversarial_given_the_start_is_that_by_products_with_the_hessian(
    dtype, iterations
):
    found = ours(
        "virtual_adversarial",
        dtype,
        pattern="out:out",
        radius=0.7,
        iterations=iterations,
    )
    divergence = torch.nn.functional.kl_div

    def penalty(x, w, b, u):
        clean = predictions(x, w, b, u).detach()

        def change(r):
            return divergence(
                torch.log(predictions(x + r, w, b, u)), clean, reduction="sum"
            )

        d = torch.tensor(
            reference.normal(
                9, "virtual_adversarial", "out:out", (6, 4), step=0, dtype=dtype
            )
        )
        d = torch.nn.functional.normalize(d, dim=1)
        for _ in range(iterations):
            product = torch.autograd.functional.hvp(change, torch.zeros_like(x), d)[1]
            d = torch.nn.functional.normalize(product, dim=1).detach()
        return change(0.7 * d) / len(x)

    agree(found, penalty, dtype)
