"""The noise family against torch, Keras and timm's definition, given the masks."""

import keras
import numpy as np
import pytest
import torch

import regplug
from regplug.noise import reference
from regplug.testing import function, installed_engine

SHAPE = (8, 10, 12, 5)


def regularized(name, h, **options):
    T = installed_engine().T
    variable = T.TensorType(h.dtype.name, (False,) * h.ndim)("h")
    result = regplug.compose([(name, {"pattern": "h:out", **options})]).apply(
        {"h:out": variable}
    )
    return function([variable], result.outputs["h:out"], updates=result.updates)(h)


def mask(name, shape, rate, **options):
    return reference.keep(0, name, "h:out", shape, 0, rate, **options)


def values(shape=SHAPE):
    return np.random.RandomState(2).normal(size=shape)


def test_dropout_agrees_with_torch_given_the_mask():
    h = values()
    keep = mask("dropout", SHAPE, 0.3)
    # torch's dropout is x * bernoulli(1 - p) / (1 - p); its own numbers tell the factor
    own = torch.nn.functional.dropout(torch.ones(SHAPE, dtype=torch.float64), 0.3)
    factor = own[own > 0].unique()
    assert len(factor) == 1
    np.testing.assert_allclose(
        regularized("dropout", h, weight=0.3), h * keep * factor.item(), rtol=1e-12
    )


def test_alpha_dropout_agrees_with_torch_given_the_mask():
    h = values()
    torch.manual_seed(0)
    own = torch.nn.functional.alpha_dropout(torch.tensor(h), 0.3, training=True).numpy()
    # where torch dropped, its result does not depend on the input: that is its mask
    torch.manual_seed(0)
    other = torch.nn.functional.alpha_dropout(
        torch.tensor(h) + 1, 0.3, training=True
    ).numpy()
    torch_keep = own != other
    scale = (other - own)[torch_keep].mean()
    dropped = own[~torch_keep].mean()
    shift = (own[torch_keep] - scale * h[torch_keep]).mean()
    keep = mask("alpha_dropout", SHAPE, 0.3)
    expected = np.where(keep, scale * h + shift, dropped)
    np.testing.assert_allclose(
        regularized("alpha_dropout", h, weight=0.3), expected, rtol=1e-6, atol=1e-7
    )


def test_spatial_dropout_agrees_with_keras_in_support_and_scale():
    h = np.ones(SHAPE)
    own = np.asarray(
        keras.layers.SpatialDropout2D(0.3, dtype="float64", seed=1)(h, training=True)
    )
    got = regularized("spatial_dropout", h, weight=0.3, channel_axis=-1)
    for result in (own, got):  # one value a sample and channel, zero or the same factor
        assert (result == result[:, :1, :1]).all()
    np.testing.assert_allclose(np.unique(got), np.unique(own), rtol=1e-6)


def test_gaussian_dropout_has_the_moments_of_keras():
    h = np.ones((400, 500))
    own = np.asarray(
        keras.layers.GaussianDropout(0.4, dtype="float64", seed=1)(h, training=True)
    )
    got = regularized("gaussian_dropout", h, weight=0.4)
    assert abs(got.mean() - own.mean()) < 5 * own.std() * np.sqrt(2 / h.size)
    assert abs(got.std() / own.std() - 1) < 5 / np.sqrt(h.size)


def test_drop_path_is_the_definition_of_timm():
    h = values()
    keep = mask("drop_path", SHAPE, 0.25, shared_axes=(1, 2, 3))
    x, random = torch.tensor(h), torch.tensor(keep, dtype=torch.float64)
    expected = x * random.div_(0.75)  # timm.layers.drop_path with scale_by_keep
    np.testing.assert_allclose(
        regularized("drop_path", h, weight=0.25), expected, rtol=1e-12
    )


def test_locked_dropout_is_the_definition_of_awd_lstm():
    h = values((6, 7, 4))
    keep = mask("locked_dropout", (6, 7, 4), 0.5, shared_axes=(1,))
    x = torch.tensor(h)
    expected = torch.tensor(keep, dtype=torch.float64).div_(0.5).expand_as(x) * x
    np.testing.assert_allclose(
        regularized("locked_dropout", h, weight=0.5), expected, rtol=1e-12
    )


@pytest.mark.parametrize("block", [3, 5])
def test_drop_block_is_the_definition_of_timm_given_the_seeds(block):
    h = values()
    _, height, width, _ = SHAPE
    gamma = (
        0.2 * height * width / block**2 / ((width - block + 1) * (height - block + 1))
    )
    seeds = ~mask("drop_block", SHAPE, gamma)
    # timm's drop_block_2d: centers within the map, max pooling of the seeds, rescaling by the kept share
    i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    valid = (
        (i >= block // 2)
        & (i < height - (block - 1) // 2)
        & (j >= block // 2)
        & (j < width - (block - 1) // 2)
    )
    centers = torch.tensor(seeds).permute(0, 3, 1, 2) & valid
    pooled = torch.nn.functional.max_pool2d(
        centers.double(), block, stride=1, padding=block // 2
    )
    kept = 1 - pooled.permute(0, 2, 3, 1).numpy()
    expected = h * kept * kept.size / kept.sum()
    np.testing.assert_allclose(
        regularized("drop_block", h, weight=0.2, block=block, channel_axis=-1),
        expected,
        rtol=1e-12,
        atol=1e-12,
    )


def test_noise_has_the_moments_of_torch():
    h = np.zeros((400, 500))
    own = torch.randn(400, 500, dtype=torch.float64).numpy()
    got = regularized("noise", h, weight=1)
    for power in (1, 2, 3, 4):
        bound = 5 * (own**power).std() * np.sqrt(2 / h.size)
        assert abs((got**power).mean() - (own**power).mean()) < bound
