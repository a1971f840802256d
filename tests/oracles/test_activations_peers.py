"""Penalties on activations: values and gradients against Keras and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import regplug
from regplug.testing import function, installed_engine

RELATIVE = {"float64": 1e-6, "float32": 1e-4}
dtypes = pytest.mark.parametrize("dtype", RELATIVE)


def ours(name, h, **options):
    """Return the penalty of weight 1 on an array and its gradient."""
    engine = installed_engine()
    variable = engine.shared(h, name="h")
    loss = (
        regplug.compose([(name, {"pattern": "*", "weight": 1, **options})])
        .apply({"hid:out": 1 * variable})
        .loss
    )
    return function([], [loss, engine.grad(loss, variable)])()


def agree(found, penalty, h):
    """Compare a value and gradient with those of a torch function."""
    tensor = torch.tensor(h, requires_grad=True)
    value = penalty(tensor)
    (gradient,) = torch.autograd.grad(value, tensor)
    tolerance = RELATIVE[str(h.dtype)]
    np.testing.assert_allclose(found[0], value.item(), rtol=tolerance)
    scale = abs(gradient.numpy()).max()
    np.testing.assert_allclose(
        found[1], gradient.numpy(), rtol=tolerance, atol=tolerance * scale
    )


def positive(dtype, *shape):
    return np.random.default_rng(1).uniform(0.02, 0.98, shape).astype(dtype)


@dtypes
@pytest.mark.parametrize(
    ("name", "keras_name"), [("hidden_l1", "L1"), ("hidden_l2", "L2")]
)
def test_batch_reduction_is_keras_activity_regularizer(name, keras_name, dtype):
    import keras

    h = np.random.default_rng(0).normal(size=(6, 5)).astype(dtype)
    regularizer = getattr(keras.regularizers, keras_name)(1.0)
    layer = keras.layers.Activation(
        "linear", activity_regularizer=regularizer, dtype=dtype
    )

    def penalty(tensor):
        layer(tensor)
        return sum(layer.losses)

    agree(ours(name, h, reduction="batch"), penalty, h)


@dtypes
@pytest.mark.parametrize(
    ("name", "loss"),
    [("hidden_l1", torch.nn.L1Loss()), ("hidden_l2", torch.nn.MSELoss())],
)
def test_mean_reduction_is_the_loss_of_torch_against_zeros(name, loss, dtype):
    h = np.random.default_rng(0).normal(size=(6, 5)).astype(dtype)
    agree(ours(name, h), lambda t: loss(t, torch.zeros_like(t)), h)


@dtypes
@pytest.mark.parametrize("rho", [0.05, 0.4])
def test_kl_sparsity_is_the_divergence_of_torch_bernoullis(rho, dtype):
    h = positive(dtype, 7, 4)

    def penalty(tensor):
        target = torch.distributions.Bernoulli(
            torch.full((4,), rho, dtype=tensor.dtype)
        )
        return torch.distributions.kl_divergence(
            target, torch.distributions.Bernoulli(tensor.mean(axis=0))
        ).sum()

    # torch squeezes nothing: an epsilon far below the tolerance
    agree(
        ours("kl_sparsity", h, rho=rho, epsilon=1e-9 if dtype == "float64" else 1e-7),
        penalty,
        h,
    )


@dtypes
def test_decov_is_made_of_the_covariance_of_torch(dtype):
    h = np.random.default_rng(0).normal(size=(9, 4)).astype(dtype)

    def penalty(tensor):
        covariance = torch.cov(tensor.T, correction=0)
        return (
            torch.linalg.norm(covariance) ** 2
            - torch.linalg.norm(torch.diag(covariance)) ** 2
        ) / 2

    agree(ours("decov", h), penalty, h)


@dtypes
@pytest.mark.parametrize("shape", [(6, 5), (3, 2, 5)])
def test_confidence_penalty_is_the_entropy_of_torch_categorical(shape, dtype):
    logits = np.random.default_rng(0).normal(size=shape).astype(dtype)
    found = ours("confidence_penalty", logits, from_logits=True)
    agree(
        found,
        lambda t: -torch.distributions.Categorical(logits=t).entropy().mean(),
        logits,
    )
    p = torch.softmax(torch.tensor(logits), -1).numpy()
    expected = (
        -torch.distributions.Categorical(probs=torch.tensor(p)).entropy().mean().item()
    )
    np.testing.assert_allclose(
        ours("confidence_penalty", p)[0], expected, rtol=RELATIVE[dtype]
    )
    # torch normalizes `probs`, so its gradient is that on the simplex; ours is compared with the formula's
    agree(
        ours("confidence_penalty", p),
        lambda t: -torch.special.entr(t).sum(-1).mean(),
        p,
    )


@dtypes
def test_total_variation_is_the_l1_loss_of_torch_between_neighbours(dtype):
    h = positive(dtype, 2, 4, 5, 3)

    def penalty(tensor):
        l1 = torch.nn.functional.l1_loss
        return (
            l1(tensor[:, 1:], tensor[:, :-1]) + l1(tensor[:, :, 1:], tensor[:, :, :-1])
        ) / 2

    agree(ours("total_variation", h, axes=(1, 2)), penalty, h)
