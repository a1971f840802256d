"""Penalties on activations: the numbers, the gradients, and what is refused."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import regplug
from regplug import OptionError, RegularizerError
from regplug.testing import evaluate, function, installed_engine

RELATIVE = {"float64": 1e-6, "float32": 1e-4}


def arrays(dtype):
    """Return activations in (0, 1), away from 0, 1/2 and each other: a matrix and a sequence."""
    rng = np.random.default_rng(3)
    shapes = {"a:out": (5, 4), "b:out": (3, 2, 4)}
    return {
        name: rng.uniform(0.05, 0.95, shape).astype(dtype)
        for name, shape in shapes.items()
    }


def rows(h):
    return h.reshape(-1, h.shape[-1])


def divergences(h, rho=0.05, epsilon=1e-6):
    q = epsilon + (1 - 2 * epsilon) * np.clip(rows(h).mean(axis=0), 0, 1)
    return (rho * np.log(rho / q) + (1 - rho) * np.log((1 - rho) / (1 - q))).sum()


def covariances(h):
    c = np.cov(rows(h), rowvar=False, bias=True)
    return ((c - np.diag(np.diag(c))) ** 2).sum() / 2


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def entropy(p):
    return -(p * np.log(p)).sum(axis=-1).mean()


def variation(h, axes):
    return np.mean([np.abs(np.diff(h, axis=axis)).mean() for axis in axes])


CASES = {
    "hidden_l1 mean": (
        "hidden_l1",
        {},
        lambda a, b: (abs(a).mean() + abs(b).mean()) / 2,
    ),
    "hidden_l1 batch": (
        "hidden_l1",
        {"reduction": "batch"},
        lambda a, b: abs(a).sum() / 5 + abs(b).sum() / 3,
    ),
    "hidden_l2 mean": (
        "hidden_l2",
        {},
        lambda a, b: ((a**2).mean() + (b**2).mean()) / 2,
    ),
    "hidden_l2 batch": (
        "hidden_l2",
        {"reduction": "batch"},
        lambda a, b: (a**2).sum() / 5 + (b**2).sum() / 3,
    ),
    "kl_sparsity": ("kl_sparsity", {}, lambda a, b: divergences(a) + divergences(b)),
    "kl_sparsity rho epsilon": (
        "kl_sparsity",
        {"rho": 0.3, "epsilon": 0.01},
        lambda a, b: divergences(a, 0.3, 0.01) + divergences(b, 0.3, 0.01),
    ),
    "decov": ("decov", {}, lambda a, b: covariances(a) + covariances(b)),
    "confidence_penalty": (
        "confidence_penalty",
        {},
        lambda a, b: -(entropy(a) + entropy(b)) / 2,
    ),
    "confidence_penalty logits": (
        "confidence_penalty",
        {"from_logits": True},
        lambda a, b: -(entropy(softmax(a)) + entropy(softmax(b))) / 2,
    ),
    "total_variation": (
        "total_variation",
        {},
        lambda a, b: (variation(a, [1]) + variation(b, [1])) / 2,
    ),
    "total_variation axes": (
        "total_variation",
        {"axes": (1, -1)},
        lambda a, b: (variation(a, [1, 1]) + variation(b, [1, 2])) / 2,
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_penalty_is_its_formula_in_numpy(penalty, case, dtype):
    name, options, formula = CASES[case]
    values = arrays(dtype)
    value, _ = penalty(name, values, **options)
    assert value.dtype == dtype
    np.testing.assert_allclose(
        value, formula(*arrays("float64").values()), rtol=RELATIVE[dtype]
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("case", CASES)
def test_gradient_agrees_with_finite_differences(penalty, differences, case, dtype):
    name, options, formula = CASES[case]
    exact = arrays("float64")
    _, gradients = penalty(name, arrays(dtype), **options)
    for key in exact:
        expected = differences(
            lambda value, key=key: formula(*{**exact, key: value}.values()), exact[key]
        )
        assert gradients[key].dtype == dtype
        scale = abs(expected).max()
        np.testing.assert_allclose(
            gradients[key], expected, rtol=1e-6, atol=scale * max(RELATIVE[dtype], 1e-8)
        )


def test_hidden_penalties_see_the_hidden_outputs_by_default():
    T = installed_engine().T
    x = T.matrix("x")
    hidden = T.tanh(x)
    outputs = {"in:out": x, "hid:out": hidden, "out:out": hidden.sum(axis=1)}
    for name in ("hidden_l1", "hidden_l2", "kl_sparsity", "decov"):
        assert regplug.compose([(name, 0.1)]).apply(outputs).matches == {
            name: ["hid:out"]
        }
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
    value, gradients = penalty(
        "kl_sparsity", {"a:out": np.array([[0.2, 0.3], [0.4, 0.3]])}, rho=0.3
    )
    assert abs(value) < 1e-10
    np.testing.assert_allclose(gradients["a:out"], 0, atol=1e-5)


def test_decov_is_zero_for_units_without_covariance(penalty):
    value, _ = penalty(
        "decov",
        {"a:out": np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])},
    )
    assert value == 0


def test_confidence_penalty_of_a_certain_prediction_is_zero_and_finite(penalty):
    value, gradients = penalty(
        "confidence_penalty", {"y:out": np.array([[1.0, 0.0], [0.0, 1.0]])}
    )
    assert value == 0
    assert np.isfinite(gradients["y:out"]).all()


def test_confidence_penalty_of_large_logits_is_finite(penalty):
    value, gradients = penalty(
        "confidence_penalty", {"y:out": np.array([[1e4, -1e4, 0.0]])}, from_logits=True
    )
    assert value == 0
    assert np.isfinite(gradients["y:out"]).all()


@pytest.mark.parametrize("name", ["kl_sparsity", "decov", "confidence_penalty"])
def test_penalty_refuses_a_vector_by_name_and_shape(penalty, name):
    with pytest.raises(
        RegularizerError,
        match=rf"{name} \(regplug-activations 0\S*, loss\): .*'v:out' has shape \(",
    ):
        penalty(name, {"v:out": np.ones(3)})


def test_batch_reduction_refuses_a_scalar_by_name():
    x = installed_engine().T.scalar("x")
    manager = regplug.compose(
        [("hidden_l1", {"pattern": "cost:out", "weight": 1, "reduction": "batch"})]
    )
    with pytest.raises(RegularizerError, match="'cost:out' is a scalar"):
        manager.apply({"cost:out": 2 * x})


@pytest.mark.parametrize("axis", [2, -3])
def test_total_variation_refuses_an_axis_that_is_not_there(penalty, axis):
    with pytest.raises(
        RegularizerError,
        match=rf"'a:out' has shape \(.*\): it has no axis {axis}; axes lie in -2 ",
    ):
        penalty("total_variation", {"a:out": np.ones((2, 3))}, axes=(axis,))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["kl_sparsity", "decov", "confidence_penalty"])
def test_units_are_the_channels_that_the_graph_shows(engine, T, name, channels):
    b = engine.shared(np.array([0.1, 0.2, 0.3]), name="b")
    order = ["x"] * 4
    order[channels] = 0
    x = T.TensorType("float64", (None,) * 4)("x")
    rows = T.dmatrix("rows")
    values = np.random.default_rng(1).uniform(0.1, 0.6, size=(40, 3))
    maps = np.moveaxis(values.reshape((2, 5, 4, 3)), 3, channels)

    def term(output):
        given = {"pattern": "h:out", "weight": 1.0}
        return regplug.compose([(name, given)]).apply({"h:out": output}).loss

    of_maps = term(x + b.dimshuffle(*order))
    of_rows = term(rows + b)
    found, expected = function([x, rows], [of_maps, of_rows])(maps, values)
    assert found == pytest.approx(expected)


def test_total_variation_of_images_needs_axes(penalty):
    images = {"a:out": np.random.default_rng(1).normal(size=(2, 3, 4, 5))}
    with pytest.raises(regplug.RegularizerError) as caught:
        penalty("total_variation", images)
    assert "axes=(1, 2) for images (batch, height, width, channels)" in str(
        caught.value
    )
    assert "axes=(2, 3) for (batch, channels, height, width)" in str(caught.value)


@pytest.mark.parametrize("axes", [(1, 2), (2, 3)])
def test_total_variation_of_both_layouts_is_a_loop(penalty, axes):
    h = np.random.default_rng(1).normal(size=(2, 3, 4, 5))
    expected = 0
    for axis in axes:
        rows = np.moveaxis(h, axis, 0)
        steps = [abs(rows[i + 1] - rows[i]) for i in range(len(rows) - 1)]
        expected += np.mean(steps) / 2
    value, _ = penalty("total_variation", {"a:out": h}, axes=axes)
    assert value == pytest.approx(expected)


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
    with pytest.raises(OptionError, match=rf"{name}\({key}="):
        regplug.compose([(name, {"weight": 1.0, **options})])


ROUNDED = {"float64": 1e-11, "float32": 1e-5}
numba_has_no_float16 = pytest.mark.filterwarnings("ignore:.* is float16, and numba")


def of_input(name, value, **options):
    """Return a penalty of weight 1 on an input, compiled, with its gradient where there is one."""
    engine = installed_engine()
    x = engine.T.TensorType(value.dtype.name, (None,) * value.ndim)("x")
    loss = (
        regplug.compose([(name, {"pattern": "*", "weight": 1.0, **options})])
        .apply({"x:out": x})
        .loss
    )
    results = [loss, engine.grad(loss, x)] if "float" in x.dtype else [loss]
    return function([x], results)(value)


SUMMED = {
    "hidden_l1 mean": ("hidden_l1", {}, lambda h: abs(h).mean()),
    "hidden_l1 batch": (
        "hidden_l1",
        {"reduction": "batch"},
        lambda h: abs(h).sum() / len(h),
    ),
    "hidden_l2 mean": ("hidden_l2", {}, lambda h: (h**2).mean()),
    "hidden_l2 batch": (
        "hidden_l2",
        {"reduction": "batch"},
        lambda h: (h**2).sum() / len(h),
    ),
    "kl_sparsity": ("kl_sparsity", {}, divergences),
    "decov": ("decov", {}, covariances),
    "confidence_penalty": (
        "confidence_penalty",
        {"from_logits": True},
        lambda h: -entropy(softmax(h)),
    ),
    "total_variation": (
        "total_variation",
        {"axes": (0, 1)},
        lambda h: variation(h, [0, 1]),
    ),
}


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
@pytest.mark.parametrize("case", SUMMED)
def test_penalty_of_integers_is_that_of_the_numbers(case, dtype):
    name, options, formula = SUMMED[case]
    info = {"uint8": (0, 256), "int8": (-128, 128), "bool": (0, 2)}[dtype]
    h = np.random.default_rng(1).integers(*info, (40, 6)).astype(dtype)
    [value] = of_input(name, h, **options)
    np.testing.assert_allclose(
        value, formula(h.astype("float64")), rtol=RELATIVE[value.dtype.name]
    )


@numba_has_no_float16
@pytest.mark.parametrize("case", SUMMED)
def test_penalty_of_float16_is_rounded_once(case):
    name, options, formula = SUMMED[case]
    h = np.random.default_rng(1).uniform(0, 1, (300, 6)).astype("float16")
    value, gradient = of_input(name, h, **options)
    assert value.dtype == gradient.dtype == "float16"
    np.testing.assert_allclose(value, formula(h.astype("float64")), rtol=1e-3)


@numba_has_no_float16
def test_hidden_l2_of_many_rows_of_float16_is_right():
    h = np.full((70_000, 1), 0.5, "float16")
    for reduction in ("mean", "batch"):
        assert of_input("hidden_l2", h, reduction=reduction)[0] == 0.25


EMPTY = {
    "hidden_l1 mean": ("hidden_l1", {}),
    "hidden_l1 batch": ("hidden_l1", {"reduction": "batch"}),
    "hidden_l2 mean": ("hidden_l2", {}),
    "hidden_l2 batch": ("hidden_l2", {"reduction": "batch"}),
    "kl_sparsity": ("kl_sparsity", {}),
    "decov": ("decov", {}),
    "confidence_penalty": ("confidence_penalty", {}),
    "confidence_penalty logits": ("confidence_penalty", {"from_logits": True}),
    "total_variation": ("total_variation", {}),
}


@pytest.mark.parametrize("shape", [(0, 3), (0, 2, 3), (2, 0, 3)])
@pytest.mark.parametrize("case", EMPTY)
def test_penalty_of_no_rows_is_zero(case, shape):
    name, options = EMPTY[case]
    value, gradient = of_input(name, np.zeros(shape), **options)
    assert value == 0
    assert gradient.shape == shape


@pytest.mark.parametrize("case", EMPTY)
def test_penalty_of_an_empty_and_a_full_output_is_that_of_the_full_one(penalty, case):
    name, options = EMPTY[case]
    h = arrays("float64")["a:out"]
    value, gradients = penalty(
        name, {"a:out": h, "empty:out": np.zeros((0, 4))}, **options
    )
    alone, expected = penalty(name, {"a:out": h}, **options)
    share = 1 if name in ("kl_sparsity", "decov") or "reduction" in options else 2
    np.testing.assert_allclose(value, alone / share, rtol=1e-12)
    np.testing.assert_allclose(
        gradients["a:out"], expected["a:out"] / share, rtol=1e-12
    )


@pytest.mark.parametrize("length", [0, 1])
def test_total_variation_of_an_axis_without_neighbours_is_zero(length, T):
    h = np.arange(6.0).reshape(2, 3, 1)[:, :, [0] * length]
    value, gradient = of_input("total_variation", h, axes=(2,))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros(h.shape))
    # where the length is known while the graph is built
    h, known = np.arange(6.0).reshape(2, 3, 1), T.matrix("h").dimshuffle(0, 1, "x")
    loss = (
        regplug.compose([("total_variation", {"weight": 1, "axes": (1, 2)})])
        .apply({"y:out": known})
        .loss
    )
    assert evaluate(loss, {known.owner.inputs[0]: h[:, :, 0]}) == 0.5


def covariance_gradient(h):
    """Return the gradient of `covariances` of a matrix."""
    x = h - h.mean(axis=0)
    c = x.T @ x / len(h)
    return 2 * x @ (c - np.diag(np.diag(c))) / len(h)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("scale", "mean"), [(1000, 0), (1, 1e4), (1, 1e6), (1e-6, 1)])
def test_decov_is_precise_beside_large_variances_and_means(penalty, scale, mean, dtype):
    h = np.random.default_rng(0).normal(size=(200, 16))
    h[:, 3] *= scale
    h = (h + mean).astype(dtype)
    value, gradients = penalty("decov", {"a:out": h})
    exact = (
        h.astype("float64") - mean
    )  # no rounding: float64 would need to be centred twice, too
    np.testing.assert_allclose(value, covariances(exact), rtol=ROUNDED[dtype])
    expected = covariance_gradient(exact)
    atol = ROUNDED[dtype] * abs(expected).max()
    np.testing.assert_allclose(
        gradients["a:out"], expected, rtol=ROUNDED[dtype], atol=atol
    )


@pytest.mark.parametrize("shape", [(5, 1), (1, 5), (1, 1), (1, 4, 1)])
def test_decov_of_one_unit_or_one_row_is_zero(penalty, shape):
    value, gradients = penalty(
        "decov", {"a:out": np.random.default_rng(0).normal(size=shape)}
    )
    assert value == 0
    np.testing.assert_array_equal(gradients["a:out"], np.zeros(shape))


def entropy_gradient(z):
    """Return the gradient of minus the mean entropy of the softmax of some rows."""
    p = softmax(z)
    log = np.log(np.where(p > 0, p, 1))
    return p * (log - (p * log).sum(axis=-1, keepdims=True)) / len(z)


inf = np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([0, 0, -inf], -np.log(2)),
        ([1, 0, -inf], -0.5822031),
        ([7, -inf, -inf], 0),
        ([1e30, -1e30, 0], 0),
        ([-1e30, -1e30, -inf], -np.log(2)),
        ([3e38, -3e38, 3e38], -np.log(2)),
        ([1, 1, 1], -np.log(3)),
    ],
)
def test_confidence_penalty_of_masked_and_huge_logits_is_that_of_the_other_classes(
    penalty, logits, expected, dtype
):
    z = np.array([logits], dtype)
    value, gradients = penalty("confidence_penalty", {"y:out": z}, from_logits=True)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(
        gradients["y:out"], entropy_gradient(z.astype("float64")), rtol=1e-5, atol=1e-7
    )


def test_confidence_penalty_of_a_row_of_masked_classes_is_zero_and_the_row_counts(
    penalty,
):
    z = np.array([[[0, 0, -inf], [-inf] * 3]])
    value, gradients = penalty("confidence_penalty", {"y:out": z}, from_logits=True)
    np.testing.assert_allclose(value, -np.log(2) / 2)
    np.testing.assert_allclose(gradients["y:out"], np.zeros((1, 2, 3)), atol=1e-12)


@pytest.mark.parametrize("from_logits", [True, False])
def test_confidence_penalty_of_nan_is_nan(penalty, from_logits):
    y = np.array([[0.5, np.nan], [0.5, 0.5]])
    assert np.isnan(
        penalty("confidence_penalty", {"y:out": y}, from_logits=from_logits)[0]
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_confidence_penalty_of_tiny_probabilities_has_the_derivative_of_the_formula(
    penalty, dtype
):
    p = np.array([[0, 1e-37, 1e-30, 1], [0.5, 0.5, 0, 0]], dtype)
    value, gradients = penalty("confidence_penalty", {"y:out": p})
    safe = np.where(p > 0, p, 1).astype("float64")
    np.testing.assert_allclose(value, (p * np.log(safe)).sum() / 2, rtol=1e-6)
    expected = np.where(p > 0, np.log(safe) + 1, 0) / 2
    np.testing.assert_allclose(gradients["y:out"], expected, rtol=1e-6)


def test_confidence_penalty_of_the_smallest_number_is_finite(penalty):
    value, gradients = penalty(
        "confidence_penalty", {"y:out": np.array([[0, 1e-45, 1]], "float32")}
    )
    assert -1e-42 < value <= 0
    np.testing.assert_allclose(gradients["y:out"], [[0, -102, 1]], atol=1.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("rho", "epsilon"),
    [
        (1e-50, 1e-6),
        (0.99999999, 1e-6),
        (0.05, 1e-300),
        (0.99999999, 1e-50),
        (0.05, 1e-12),
        (0.3, 1e-7),
        (0.7, 0.1),
    ],
)
def test_kl_sparsity_is_its_formula_over_the_whole_range_of_its_options(
    penalty, rho, epsilon, dtype
):
    p = np.array([0, 1, rho, 0.3, 0.9, 1e-7, 1 - 6e-8, -1, 2]).astype(dtype)
    value, gradients = penalty(
        "kl_sparsity", {"a:out": np.stack([p, p])}, rho=rho, epsilon=epsilon
    )
    p = p.astype("float64")
    clipped, width = np.clip(p, 0, 1), 1 - 2 * epsilon
    q, rest = epsilon + width * clipped, epsilon + width * (1 - clipped)
    expected = rho * (np.log(rho) - np.log(q)) + (1 - rho) * (
        np.log1p(-rho) - np.log(rest)
    )
    tolerance = {"float32": 1e-6, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(value, expected.sum(), rtol=tolerance)
    slope = width * ((1 - rho) / rest - rho / q)
    largest = np.finfo(dtype).max
    expected = np.clip(np.where((p < 0) | (p > 1), 0, slope), -largest, largest) / 2
    np.testing.assert_allclose(
        gradients["a:out"], [expected, expected], rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("epsilon", [1e-300, 1e-17, 1e-12])
def test_kl_sparsity_is_right_where_the_engine_rewrites_it(epsilon, T, engine):
    # 1 - q = epsilon + (1 - 2 epsilon) (1 - p): added up first, epsilon and 1 are 1
    h = T.matrix("h", dtype="float64")
    manager = regplug.compose(
        [("kl_sparsity", {"pattern": "*", "weight": 1, "epsilon": epsilon})]
    )
    loss = manager.apply({"h:out": h}).loss
    library = importlib.import_module(engine.__name__.rpartition(".")[2])
    mode = library.compile.mode.Mode(linker="py", optimizer="fast_run")
    value = function([h], loss, mode=mode)(np.ones((3, 1)))
    np.testing.assert_allclose(
        value, 0.05 * np.log(0.05) + 0.95 * (np.log(0.95) - np.log(epsilon)), rtol=1e-9
    )


@pytest.mark.parametrize("z", [-200, 200])
def test_kl_sparsity_sends_zero_through_a_saturated_unit(z, T, engine):
    z = engine.shared(np.full((3, 2), z, "float32"), name="z")
    options = {"pattern": "h:out", "weight": 1, "epsilon": 1e-60}
    loss = (
        regplug.compose([("kl_sparsity", options)])
        .apply({"h:out": (1 + T.tanh(z)) / 2})
        .loss
    )
    # the slope of the unit is 0, and the derivative of the penalty is more than float32
    # holds
    np.testing.assert_array_equal(evaluate(engine.grad(loss, z)), np.zeros((3, 2)))
