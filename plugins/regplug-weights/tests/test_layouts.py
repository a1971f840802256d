"""Kernels whose units are first, and kernels whose units are last, against plain loops."""

import dataclasses

import numpy as np
import pytest

import regplug
from regplug.testing import function

SHAPES = {0: (3, 2, 4, 5), 3: (4, 5, 2, 3)}


def kernel(units):
    """Return a kernel of 3 units, of which one is long."""
    value = np.random.default_rng(4).normal(size=SHAPES[units])
    np.moveaxis(value, units, 0)[1] *= 6
    return value


def loop(value, units, change):
    """Return a kernel with each unit changed."""
    changed = value.copy()
    for unit in np.moveaxis(changed, units, 0):
        unit[...] = change(unit)
    return changed


def vectors(value, units):
    """Return the weights of each unit."""
    return [unit.ravel() for unit in np.moveaxis(value, units, 0)]


def standardized(unit):
    return (unit - unit.mean()) / np.sqrt(unit.var() + 1e-8)


def max_norm(unit):
    return unit * min(np.linalg.norm(unit), 7) / np.linalg.norm(unit)


def min_max_norm(unit):
    return unit * np.clip(np.linalg.norm(unit), 7, 9) / np.linalg.norm(unit)


def gram(units):
    total = 0
    for i, one in enumerate(units):
        for j, other in enumerate(units):
            total += (one @ other - (i == j)) ** 2
    return total


def cosine(units):
    cosines = []
    for i, one in enumerate(units):
        for other in units[:i]:
            length = np.linalg.norm(one) * np.linalg.norm(other)
            cosines.append(abs(one @ other) / length)
    return np.mean(cosines)


def singular_values(units):
    return np.linalg.svd(np.stack(units), compute_uv=False)


def lasso(units):
    return sum(np.sqrt(unit.size) * np.linalg.norm(unit) for unit in units)


CHANGES = {
    "max_norm": ({"limit": 7.0}, max_norm),
    "unit_norm": ({}, lambda unit: unit / np.linalg.norm(unit)),
    "min_max_norm": ({"low": 7.0, "high": 9.0}, min_max_norm),
    "group_soft_threshold": (
        {"weight": 0.1},
        lambda unit: unit * max(0, 1 - 0.1 * unit.size**0.5 / np.linalg.norm(unit)),
    ),
    "weight_standardization": ({}, standardized),
}
PENALTIES = {
    "group_lasso": ({}, lasso),
    "orthogonality": ({}, gram),
    "orthogonality cosine": ({"kind": "cosine"}, cosine),
    "spectral_penalty": (
        {"iterations": 5},
        lambda units: singular_values(units)[0] ** 2 / 2,
    ),
    "nuclear_norm": ({}, lambda units: singular_values(units).sum()),
}


@pytest.fixture
def apply(engine):
    """Return a function that applies one regularizer to a kernel of known units."""

    def build(name, units, options):
        k = engine.shared(kernel(units), name="k")
        model = regplug.as_model({"h:out": k * 1}, {"k": k})
        # axis 0 where nothing is known
        known = {"k": units} if units else {}
        model = dataclasses.replace(model, known_unit_axis=known)
        return k, regplug.compose([(name, options)]).apply(model)

    return build


@pytest.mark.parametrize("units", SHAPES)
@pytest.mark.parametrize("name", CHANGES)
def test_each_unit_of_a_kernel_is_changed_as_in_a_loop(apply, name, units):
    options, change = CHANGES[name]
    k, result = apply(name, units, options)
    changed = result.outputs["h:out"]
    if name != "weight_standardization":
        changed = result.constrain({k: k * 1}, learning_rate=1.0)[k]
    expected = loop(kernel(units), units, change)
    assert not np.allclose(expected, kernel(units))
    np.testing.assert_allclose(function([], changed)(), expected, rtol=1e-12)


@pytest.mark.parametrize("units", SHAPES)
@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_on_the_units_of_a_kernel_is_that_of_a_loop(apply, name, units):
    options, penalty = PENALTIES[name]
    _, result = apply(name.partition(" ")[0], units, {"weight": 1.0, **options})
    expected = penalty(vectors(kernel(units), units))
    assert function([], result.loss)() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("units", SHAPES)
def test_spectral_norm_divides_a_kernel_by_that_of_its_units(apply, units):
    _, result = apply("spectral_norm", units, {"iterations": 5})
    value = kernel(units)
    expected = value / singular_values(vectors(value, units))[0]
    changed = function([], result.outputs["h:out"])()
    np.testing.assert_allclose(changed, expected, rtol=1e-9)


@pytest.mark.parametrize("units", SHAPES)
def test_axis_that_the_user_gives_wins_over_what_the_model_shows(apply, units):
    k, result = apply("unit_norm", units, {"axis": (0, 1)})
    value = kernel(units)
    expected = value / np.sqrt((value**2).sum(axis=(0, 1)))
    found = function([], result.constrain({k: k * 1})[k])()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_matrix_stays_inputs_and_units_whatever_the_model_shows(engine, T):
    value = np.random.default_rng(4).normal(size=(3, 4))
    w, x = engine.shared(value, name="w"), T.dmatrix("x")
    model = regplug.as_model({"h:out": T.dot(w, x)}, {"w": w})
    assert model.unit_axis["w"] == 0
    result = regplug.compose(["unit_norm"]).apply(model)
    found = function([], result.constrain({w: w * 1})[w])()
    expected = value / np.linalg.norm(value, axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
