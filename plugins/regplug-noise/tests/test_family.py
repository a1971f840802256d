"""Each regularizer against its formula in NumPy, on the masks of the NumPy reference."""

import numpy as np
import pytest

import regplug
from regplug.noise import reference
from regplug.testing import function, installed_engine

FAMILY = {
    "alpha_dropout": {},
    "drop_block": {"block": 3},
    "drop_path": {},
    "dropout": {},
    "gaussian_dropout": {},
    "locked_dropout": {},
    "noise": {},
    "salt_and_pepper": {},
    "spatial_dropout": {},
    "uniform_noise": {},
}
RATES = [name for name in FAMILY if name not in ("noise", "uniform_noise")]
SHAPE = (4, 9, 8, 3)
TOLERANCE = {"float16": 2e-3, "float32": 1e-5, "float64": 1e-12}


def values(dtype="float32", shape=SHAPE):
    return (np.random.RandomState(0).normal(size=shape) + 2).astype(dtype)


def build(name, dtype="float32", weight=0.3, shape=SHAPE, **options):
    """Return the manager and a function from the output to the regularized output."""
    T = installed_engine().T
    h = T.TensorType(dtype, (False,) * len(shape))("h")
    manager = regplug.compose([(name, {"pattern": "h:out", "weight": weight, **FAMILY[name], **options})], seed=3)
    result = manager.apply({"h:out": h})
    return manager, function([h], result.outputs["h:out"], updates=result.updates)


def keep(name, rate, shape=SHAPE, draw=0, step=0, shared_axes=()):
    return reference.keep(3, name, "h:out", shape, step, rate, draw=draw, shared_axes=shared_axes)


def draw(kind, name, dtype, shape=SHAPE):
    return getattr(reference, kind)(3, name, "h:out", shape, 0, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", FAMILY)
def test_formula_on_the_reference_masks(name, dtype):
    h = values(dtype)
    exact = h.astype("float64")
    if name == "alpha_dropout":
        s = -1.0507009873554805 * 1.6732632423543772  # minus lambda times alpha of SELU
        a = 1 / np.sqrt(0.7 * (1 + 0.3 * s**2))
        expected = a * np.where(keep(name, 0.3), exact, s) - a * 0.3 * s
    elif name == "drop_block":
        gamma = 0.3 * 9 * 8 / (3 * 3 * (9 - 3 + 1) * (8 - 3 + 1))
        kept = np.ones(SHAPE, bool)
        for n, i, j, c in np.argwhere(~keep(name, gamma)):
            if 1 <= i < 8 and 1 <= j < 7:
                kept[n, i - 1 : i + 2, j - 1 : j + 2, c] = False
        expected = np.where(kept, exact * kept.size / kept.sum(), 0)
    elif name == "gaussian_dropout":
        expected = exact * (1 + np.sqrt(0.3 / 0.7) * draw("normal", name, dtype).astype("float64"))
    elif name == "noise":
        expected = exact + 0.3 * draw("normal", name, dtype).astype("float64")
    elif name == "uniform_noise":
        expected = exact + 0.3 * (2 * draw("uniform", name, dtype).astype("float64") - 1)
    elif name == "salt_and_pepper":
        expected = np.where(keep(name, 0.3, draw=1), exact, np.where(keep(name, 0.5, draw=0), 1, 0))
    else:
        shared = {"dropout": (), "drop_path": (1, 2, 3), "locked_dropout": (1,), "spatial_dropout": (1, 2)}[name]
        expected = np.where(keep(name, 0.3, shared_axes=shared), exact / 0.7, 0)
    _, regularize = build(name, dtype)
    got = regularize(h)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("name", FAMILY)
def test_weight_0_is_the_identity_and_weights_are_live(name):
    manager, regularize = build(name)
    h = values()
    assert not np.array_equal(regularize(h), h)
    manager.weights[name] = 0
    np.testing.assert_array_equal(regularize(h), h)


@pytest.mark.parametrize("name", FAMILY)
def test_each_step_draws_anew_and_a_seed_draws_again(name):
    h = values()
    manager, regularize = build(name)
    first, second = regularize(h), regularize(h)
    assert not np.array_equal(first, second)
    manager.restore({"seed": 3, "step": 0, "weights": {name: 0.3}})
    np.testing.assert_array_equal(regularize(h), first)
    manager.restore({"seed": 4, "step": 0, "weights": {name: 0.3}})
    assert not np.array_equal(regularize(h), first)


@pytest.mark.parametrize("name", ["alpha_dropout", "dropout", "drop_path", "gaussian_dropout", "locked_dropout"])
def test_mean_is_kept(name):
    shape = (20_000, 2, 3)
    h = np.ones(shape, "float64")
    if name == "alpha_dropout":
        h = np.random.RandomState(1).normal(size=shape)
    _, regularize = build(name, "float64", shape=shape)
    got = regularize(h)
    error = got.std() / np.sqrt(20_000)  # rows are independent, whatever is shared within one
    assert abs(got.mean() - h.mean()) < 5 * error
    if name == "alpha_dropout":
        assert abs(got.var() - 1) < 0.05


def test_dropout_without_rescale_keeps_the_values():
    _, regularize = build("dropout", rescale=False)
    h = values()
    np.testing.assert_array_equal(regularize(h), np.where(keep("dropout", 0.3), h, 0))


def test_dropout_passes_on_an_infinity_that_is_kept_and_drops_the_others():
    _, regularize = build("dropout", shape=(3, 50))
    got = regularize(np.full((3, 50), np.inf, "float32"))
    mask = keep("dropout", 0.3, shape=(3, 50))
    assert np.isinf(got[mask]).all()
    assert (got[~mask] == 0).all()


def test_salt_and_pepper_values():
    _, regularize = build("salt_and_pepper", low=-7.0, high=9.5)
    h = values()
    got = regularize(h)
    replaced = got != h
    assert set(np.unique(got[replaced])) == {-7.0, 9.5}
    assert 0.25 < replaced.mean() < 0.35


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("rate", [1, 1.5, -0.1, float("nan")])
def test_rate_outside_its_range_is_refused(name, rate):
    with pytest.raises(regplug.BadOption, match=name):
        regplug.compose([(name, {"weight": rate})])
    manager, _ = build(name)
    with pytest.raises(regplug.BadOption, match=name):
        manager.weights[name] = rate


@pytest.mark.parametrize("std", [-0.1, float("inf"), float("nan")])
def test_std_outside_its_range_is_refused(std):
    with pytest.raises(regplug.BadOption, match="noise"):
        regplug.compose([("noise", {"weight": std})])


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("dropout", {"shared_axes": [4]}, "shared axis 4 is outside an array of 4 dimensions"),
        ("spatial_dropout", {"channel_axis": 4}, r"axis 4 of 'h:out'.*one of 1 to 3"),
        ("spatial_dropout", {"channel_axis": 0}, r"axis 0 of 'h:out'.*one of 1 to 3"),
        ("locked_dropout", {"time_axis": -5}, r"axis -5 of 'h:out'.*one of 1 to 3"),
        ("drop_block", {"channel_axis": 7}, r"axis 7 of 'h:out'.*one of 1 to 3"),
    ],
)
def test_axis_outside_the_array_is_refused(name, options, text):
    with pytest.raises(regplug.RegularizerError, match=text):
        build(name, **options)


def test_drop_block_larger_than_the_map_is_refused():
    _, regularize = build("drop_block", block=9)
    with pytest.raises(AssertionError, match="block 9 is larger than the map 'h:out'"):
        regularize(values())
    with pytest.raises(regplug.RegularizerError, match=r"block 7 is larger than 'h:out'|feature map has 4 axes"):
        build("drop_block", shape=(4, 9), block=7)


def test_integer_outputs_are_refused():
    engine = installed_engine()
    words = engine.T.imatrix("words")
    with pytest.raises(regplug.RegularizerError, match="'in:out' is int32, and only floats"):
        regplug.compose(["dropout=0.5@in:out"]).apply({"in:out": words})


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", RATES)
def test_rate_that_rounds_to_1_gives_finite_numbers(name, dtype):
    _, regularize = build(name, dtype, weight=1 - 1e-9)
    assert np.isfinite(regularize(values(dtype))).all()


def test_rate_that_rounds_to_1_has_a_finite_gradient():
    engine = installed_engine()
    h = engine.T.fmatrix("h")
    result = regplug.compose([("dropout", {"pattern": "h:out", "weight": 1 - 1e-9})]).apply({"h:out": h})
    gradient = function([h], engine.grad(result.outputs["h:out"].sum(), h), updates=result.updates)
    assert not gradient(np.ones((3, 5), "float32")).any()
