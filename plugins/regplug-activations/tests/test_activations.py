"""Penalties on activations: the numbers, the gradients, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import BadOption, RegularizerError
from regplug.testing import installed_engine

RELATIVE = {"float64": 1e-6, "float32": 1e-4}


def arrays(dtype):
    """Return activations in (0, 1), away from 0, 1/2 and each other: a matrix and a sequence."""
    rng = np.random.default_rng(3)
    shapes = {"a:out": (5, 4), "b:out": (3, 2, 4)}
    return {name: rng.uniform(0.05, 0.95, shape).astype(dtype) for name, shape in shapes.items()}


def rows(h):
    return h.reshape(-1, h.shape[-1])


def divergences(h, rho=0.05, epsilon=1e-6):
    q = epsilon + (1 - 2 * epsilon) * np.clip(rows(h).mean(axis=0), 0, 1)
    return (rho * np.log(rho / q) + (1 - rho) * np.log((1 - rho) / (1 - q))).sum()


def covariances(h):
    c = np.cov(rows(h), rowvar=False, bias=True)
    return (np.linalg.norm(c) ** 2 - np.linalg.norm(np.diag(c)) ** 2) / 2


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1).mean()


def variation(h, axes):
    return np.mean([np.abs(np.diff(h, axis=axis)).mean() for axis in axes])


CASES = {
    "hidden_l1 mean": ("hidden_l1", {}, lambda a, b: (abs(a).mean() + abs(b).mean()) / 2),
    "hidden_l1 batch": ("hidden_l1", {"reduction": "batch"}, lambda a, b: abs(a).sum() / 5 + abs(b).sum() / 3),
    "hidden_l2 mean": ("hidden_l2", {}, lambda a, b: ((a**2).mean() + (b**2).mean()) / 2),
    "hidden_l2 batch": ("hidden_l2", {"reduction": "batch"}, lambda a, b: (a**2).sum() / 5 + (b**2).sum() / 3),
    "kl_sparsity": ("kl_sparsity", {}, lambda a, b: divergences(a) + divergences(b)),
    "kl_sparsity rho epsilon": (
        "kl_sparsity", {"rho": 0.3, "epsilon": 0.01}, lambda a, b: divergences(a, 0.3, 0.01) + divergences(b, 0.3, 0.01)
    ),
    "decov": ("decov", {}, lambda a, b: covariances(a) + covariances(b)),
    "confidence_penalty": ("confidence_penalty", {}, lambda a, b: -(entropy(a) + entropy(b)) / 2),
    "confidence_penalty logits": (
        "confidence_penalty", {"from_logits": True}, lambda a, b: -(entropy(softmax(a)) + entropy(softmax(b))) / 2
    ),
    "total_variation": ("total_variation", {}, lambda a, b: (variation(a, [1]) + variation(b, [1])) / 2),
    "total_variation axes": (
        "total_variation", {"axes": (1, -1)}, lambda a, b: (variation(a, [1, 1]) + variation(b, [1, 2])) / 2
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_penalty_is_its_formula_in_numpy(penalty, case, dtype):
    name, options, formula = CASES[case]
    values = arrays(dtype)
    value, _ = penalty(name, values, **options)
    assert value.dtype == dtype
    np.testing.assert_allclose(value, formula(*arrays("float64").values()), rtol=RELATIVE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_gradient_agrees_with_finite_differences(penalty, differences, case, dtype):
    name, options, formula = CASES[case]
    exact = arrays("float64")
    _, gradients = penalty(name, arrays(dtype), **options)
    for key in exact:
        expected = differences(lambda value, key=key: formula(*{**exact, key: value}.values()), exact[key])
        assert gradients[key].dtype == dtype
        scale = abs(expected).max()
        np.testing.assert_allclose(gradients[key], expected, rtol=1e-6, atol=scale * max(RELATIVE[dtype], 1e-8))


def test_hidden_penalties_see_the_hidden_outputs_by_default():
    T = installed_engine().T
    x = T.matrix("x")
    hidden = T.tanh(x)
    outputs = {"in:out": x, "hid:out": hidden, "out:out": hidden.sum(axis=1)}
    for name in ("hidden_l1", "hidden_l2", "kl_sparsity", "decov"):
        assert regplug.compose([(name, 0.1)]).apply(outputs).matches == {name: ["hid:out"]}
    for name in ("confidence_penalty", "total_variation"):
        assert regplug.load(name).pattern == "@output"


def test_hidden_sparsity_is_hidden_l1():
    assert regplug.load("hidden_sparsity") is regplug.load("hidden_l1")


@pytest.mark.parametrize("dead", [0.0, 1.0])
def test_kl_sparsity_is_finite_where_a_unit_never_changes(penalty, dead):
    value, gradients = penalty("kl_sparsity", {"a:out": np.full((4, 2), dead)})
    assert np.isfinite(value)
    assert value > 0.5
    assert np.isfinite(gradients["a:out"]).all()


def test_kl_sparsity_is_zero_where_every_mean_is_rho(penalty):
    value, gradients = penalty("kl_sparsity", {"a:out": np.array([[0.2, 0.3], [0.4, 0.3]])}, rho=0.3)
    assert abs(value) < 1e-10
    np.testing.assert_allclose(gradients["a:out"], 0, atol=1e-5)


def test_decov_is_zero_for_units_without_covariance(penalty):
    value, _ = penalty("decov", {"a:out": np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])})
    assert value == 0


def test_confidence_penalty_of_a_certain_prediction_is_zero_and_finite(penalty):
    value, gradients = penalty("confidence_penalty", {"y:out": np.array([[1.0, 0.0], [0.0, 1.0]])})
    assert value == 0
    assert np.isfinite(gradients["y:out"]).all()


def test_confidence_penalty_of_large_logits_is_finite(penalty):
    value, gradients = penalty("confidence_penalty", {"y:out": np.array([[1e4, -1e4, 0.0]])}, from_logits=True)
    assert value == 0
    assert np.isfinite(gradients["y:out"]).all()


@pytest.mark.parametrize("name", ["kl_sparsity", "decov", "confidence_penalty"])
def test_penalty_refuses_a_vector_by_name_and_shape(penalty, name):
    with pytest.raises(RegularizerError, match=rf"{name} \(regplug-activations 0\S*, loss\): .*'v:out' has shape \("):
        penalty(name, {"v:out": np.ones(3)})


def test_batch_reduction_refuses_a_scalar_by_name():
    x = installed_engine().T.scalar("x")
    manager = regplug.compose([("hidden_l1", {"pattern": "cost:out", "weight": 1, "reduction": "batch"})])
    with pytest.raises(RegularizerError, match="'cost:out' is a scalar"):
        manager.apply({"cost:out": 2 * x})


@pytest.mark.parametrize("axis", [2, -3])
def test_total_variation_refuses_an_axis_that_is_not_there(penalty, axis):
    with pytest.raises(RegularizerError, match=rf"'a:out' has shape \(.*\): it has no axis {axis}; axes lie in -2 "):
        penalty("total_variation", {"a:out": np.ones((2, 3))}, axes=(axis,))


def test_total_variation_refuses_no_axes(penalty):
    with pytest.raises(RegularizerError, match=r"axes=\(\) names no axis"):
        penalty("total_variation", {"a:out": np.ones((2, 3))}, axes=())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hidden_l1", {"reduction": "sum"}),
        ("kl_sparsity", {"rho": 0.0}),
        ("kl_sparsity", {"rho": 1.0}),
        ("kl_sparsity", {"epsilon": 0.0}),
        ("kl_sparsity", {"epsilon": 0.2}),
        ("confidence_penalty", {"from_logits": 1}),
        ("total_variation", {"axes": 1}),
        ("decov", {"weight": -1.0}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    key = next(iter(options))
    with pytest.raises(BadOption, match=rf"{name}\({key}="):
        regplug.compose([(name, {"weight": 1.0, **options})])
