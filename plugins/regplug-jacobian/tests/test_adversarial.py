"""Virtual adversarial training: the worst change, the divergence, and what is held constant."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import OptionError, RegularizerError
from regplug.noise import reference
from regplug.testing import evaluate, function, installed_engine


def classifier(dtype="float64", rows=3):
    """Return x, its value, W and the softmax of x W."""
    engine = installed_engine()
    rng = np.random.default_rng(8)
    x = engine.T.TensorType(dtype, (None, None))("x")
    w = engine.shared(rng.normal(size=(4, 3)).astype(dtype), name="w")
    e = engine.T.exp(engine.T.dot(x, w))
    return (
        x,
        rng.normal(size=(rows, 4)).astype(dtype),
        w,
        e / e.sum(axis=1, keepdims=True),
    )


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def divergence(p, q):
    return (p * (np.log(p) - np.log(q))).sum(axis=1)


def penalty(outputs, **options):
    options = {"pattern": "out:out", "weight": 1, **options}
    return regplug.compose([("virtual_adversarial", options)], seed=5).apply(outputs)


def worst(x, w, radius, iterations):
    """Return the change of each row by power iteration with the Hessian written out, for softmax(x W)."""
    d = reference.normal(5, "virtual_adversarial", "out:out", x.shape, step=0)
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    for row, p in zip(d, softmax(x @ w), strict=True):
        hessian = w @ (np.diag(p) - np.outer(p, p)) @ w.T
        for _ in range(iterations):
            row[:] = hessian @ row
            row /= np.linalg.norm(row)
    return radius * d


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("radius", "iterations"), [(0.5, 1), (2.0, 3)])
def test_penalty_is_its_formula_in_numpy(dtype, radius, iterations):
    x, value, w, p = classifier(dtype)
    loss = penalty(
        {"in:out": x, "out:out": p}, radius=radius, iterations=iterations
    ).loss
    _, at, _, _ = classifier()
    weights = w.get_value().astype("float64")
    r = worst(at, weights, radius, iterations)
    expected = divergence(softmax(at @ weights), softmax((at + r) @ weights)).mean()
    found, gradient = function([x], [loss, installed_engine().grad(loss, w)])(value)
    assert found.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(
        found, expected, rtol=1e-6 if dtype == "float64" else 1e-4
    )


def test_gradient_holds_the_change_and_the_clean_prediction_constant(differences):
    x, value, w, p = classifier()
    loss = penalty({"in:out": x, "out:out": p}).loss
    weights = w.get_value()
    r = worst(value, weights, 1.0, 1)
    clean = softmax(value @ weights)
    expected = differences(
        lambda at: divergence(clean, softmax((value + r) @ at)).mean(), weights
    )
    found = evaluate(installed_engine().grad(loss, w), {x: value})
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_the_worst_change_is_worse_than_nearly_every_random_one():
    x, value, w, p = classifier(rows=1)
    found = evaluate(
        penalty({"in:out": x, "out:out": p}, radius=0.3, iterations=4).loss, {x: value}
    )
    d = np.random.default_rng(0).normal(size=(2000, 4))
    r = 0.3 * d / np.linalg.norm(d, axis=1, keepdims=True)
    weights = w.get_value()
    others = divergence(softmax(value @ weights), softmax((value + r) @ weights))
    assert (others < found).mean() > 0.8
    assert found > 0.8 * others.max()


def test_masks_are_the_same_at_both_inputs():
    x, value, _, _ = classifier()
    engine = installed_engine()
    h = engine.T.tanh(engine.T.dot(x, engine.shared(np.ones((4, 30)) / 4, name="v")))
    u = engine.shared(np.random.default_rng(1).normal(size=(30, 3)), name="u")
    e = engine.T.exp(engine.T.dot(h, u))
    outputs = {"in:out": x, "hid:out": h, "out:out": e / e.sum(axis=1, keepdims=True)}
    regularizers = [
        "dropout=0.5@hid:out",
        ("virtual_adversarial", {"pattern": "out:out", "weight": 1, "radius": 1e-5}),
    ]
    result = regplug.compose(regularizers).apply(outputs)
    f = function(
        [x],
        [result.terms["virtual_adversarial"], result.outputs["out:out"]],
        updates=result.updates,
    )
    values, predictions = zip(*(f(value) for _ in range(4)), strict=True)
    # other masks would change the predictions, and the divergence would be as large as
    # between steps
    assert divergence(predictions[0], predictions[1]).mean() > 1e-3
    assert max(values) < 1e-8
    assert min(values) >= -1e-15


def test_several_inputs_share_one_radius():
    engine = installed_engine()
    x, value, w, _ = classifier()
    parts = [engine.T.matrix("a"), engine.T.matrix("b")]
    z = engine.T.dot(parts[0], w[:1]) + engine.T.dot(parts[1], w[1:])
    p = engine.T.exp(z) / engine.T.exp(z).sum(axis=1, keepdims=True)
    outputs = {"a:out": parts[0], "b:out": parts[1], "out:out": p}
    loss = penalty(outputs, radius=0.01, iterations=30).loss
    found = evaluate(loss, {parts[0]: value[:, :1], parts[1]: value[:, 1:]})
    # at a small radius: the largest eigenvalue of the Hessian times radius ** 2 / 2
    eigenvalues = [
        np.linalg.eigvalsh(
            w.get_value() @ (np.diag(q) - np.outer(q, q)) @ w.get_value().T
        )[-1]
        for q in softmax(value @ w.get_value())
    ]
    np.testing.assert_allclose(found, np.mean(eigenvalues) * 0.01**2 / 2, rtol=0.02)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_of_probability_zero_are_finite(dtype):
    x, value, w, _ = classifier(dtype)
    T = installed_engine().T
    z = T.dot(x, w) * np.asarray(1000, dtype)
    e = T.exp(z - z.max(axis=1, keepdims=True))
    loss = penalty({"in:out": x, "out:out": e / e.sum(axis=1, keepdims=True)}).loss
    assert np.isfinite(evaluate(loss, {x: value}))
    assert np.isfinite(evaluate(installed_engine().grad(loss, w), {x: value})).all()


def sharpened(x, w, mask):
    """Return the predictions of a softmax over some of the classes."""
    T = installed_engine().T
    e = T.exp(T.dot(x, w)) * np.asarray(mask, w.dtype)
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masked_classes_are_left_out(dtype):
    x, value, w, _ = classifier(dtype)
    outputs = [sharpened(x, w, [1, 1, 0]), sharpened(x, w[:, :2], [1, 1])]
    losses = [penalty({"in:out": x, "out:out": p}, radius=0.5).loss for p in outputs]
    gradients = [installed_engine().grad(loss, w) for loss in losses]
    masked, without, *gradients = function([x], losses + gradients)(value)
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(masked, without, rtol=tolerance)
    np.testing.assert_allclose(*gradients, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_class_of_probability_zero_does_not_steer_the_change(dtype):
    T = installed_engine().T
    x = T.TensorType(dtype, (None, None))("x")
    # the third class has probability 0 at x = 0, and a derivative that is not 0
    p = T.stack(
        [0.5 + x[:, 1] / 2 - x[:, 0] / 4, 0.5 - x[:, 1] / 2, x[:, 0] / 4], axis=1
    ).astype(dtype)
    found = evaluate(
        penalty({"in:out": x, "out:out": p}, radius=0.1).loss,
        {x: np.zeros((1, 2), dtype)},
    )
    j = np.array([[-0.25, 0.5], [0, -0.5]])
    d = reference.normal(
        5, "virtual_adversarial", "out:out", (1, 2), step=0, dtype=dtype
    )[0]
    d = j.T @ (j @ d / 0.5)
    r = 0.1 * d / np.linalg.norm(d)
    np.testing.assert_allclose(
        found, (0.5 * np.log(0.5 / (0.5 + j @ r))).sum(), rtol=1e-3
    )


@pytest.mark.parametrize("scale", [1e-13, 1e13])
def test_the_unit_of_the_input_does_not_matter(scale):
    x, value, w, p = classifier("float32")
    e = installed_engine().T.exp(installed_engine().T.dot(x * np.float32(scale), w))
    q = e / e.sum(axis=1, keepdims=True)
    losses = [
        penalty({"in:out": x, "out:out": p}, radius=0.5).loss,
        penalty({"in:out": x, "out:out": q}, radius=0.5 / scale).loss,
    ]
    found = [
        evaluate(losses[0], {x: value}),
        evaluate(losses[1], {x: value / np.float32(scale)}),
    ]
    np.testing.assert_allclose(*found, rtol=1e-3)


def test_inputs_of_two_dtypes_are_changed_in_their_own():
    T = installed_engine().T
    _, value, w, _ = classifier()
    parts = [T.TensorType("float32", (None, None))("a"), T.matrix("b", dtype="float64")]
    p = sharpened(T.concatenate(parts, axis=1), w, [1, 1, 1])
    loss = penalty({"a:out": parts[0], "b:out": parts[1], "out:out": p}).loss
    found = evaluate(
        loss, {parts[0]: value[:, :1].astype("float32"), parts[1]: value[:, 1:]}
    )
    assert 0 < found < 10


@pytest.mark.filterwarnings("ignore:.* is float16, and numba")
def test_rows_of_float16_are_those_of_float32():
    rows = np.random.default_rng(3).normal(size=(20, 4)).astype("float16")
    values = {}
    for dtype in ("float16", "float32"):
        x, _, w, p = classifier(dtype)
        loss = penalty({"in:out": x, "out:out": p}, radius=0.5).loss
        values[dtype] = function([x], [loss, installed_engine().grad(loss, w)])(
            rows.astype(dtype)
        )
        assert loss.dtype == dtype
    np.testing.assert_allclose(values["float16"][0], values["float32"][0], rtol=2e-2)
    assert np.isfinite(values["float16"][1]).all()


@pytest.mark.filterwarnings("ignore:.* is float16, and numba")
def test_directions_of_more_squares_than_float16_holds_are_right():
    T = installed_engine().T
    x = T.TensorType("float16", (None, None))("x")
    w = np.zeros((70_000, 2), "float16")
    w[:, 0] = 0.1
    e = T.exp(T.dot(x, T.as_tensor_variable(w)))
    loss = penalty(
        {"in:out": x, "out:out": e / e.sum(axis=1, keepdims=True)}, radius=0.05
    ).loss
    found = evaluate(loss, {x: np.zeros((1, 70_000), "float16")})
    # the worst change is along the first class, up or down
    q = softmax(np.array([[0.05 * 0.1 * np.sqrt(70_000), 0]]))
    np.testing.assert_allclose(
        found, divergence(np.array([[0.5, 0.5]]), q)[0], rtol=2e-2
    )


def test_an_empty_batch_is_zero():
    x, value, w, p = classifier()
    loss = penalty({"in:out": x, "out:out": p}).loss
    found, gradient = function([x], [loss, installed_engine().grad(loss, w)])(value[:0])
    assert found == 0
    np.testing.assert_array_equal(gradient, 0)


def test_a_radius_that_the_dtype_cannot_hold_is_refused():
    x, _, _, p = classifier("float32")
    with pytest.raises(
        RegularizerError, match=r"1e\+40 is beyond float32, which holds up to 3.4e\+38"
    ):
        penalty({"in:out": x, "out:out": p}, radius=1e40)


def test_a_vector_is_refused_by_name():
    x, _, _, p = classifier()
    who = r"virtual_adversarial \(regplug-jacobian 0\S*, loss\)"
    with pytest.raises(
        RegularizerError,
        match=rf"{who}: .*'out:out' has 1 dimensions, expected \(batch, ",
    ):
        penalty({"in:out": x, "out:out": p.sum(axis=1)})


def test_prediction_that_does_not_depend_on_the_input_is_refused_by_name():
    x, _, w, _ = classifier()
    with pytest.raises(
        RegularizerError,
        match="'out:out' does not depend on 'in:out', which wrt='@input' matches",
    ):
        penalty({"in:out": x, "out:out": 2 * w})


@pytest.mark.parametrize(
    "options",
    [{"radius": 0.0}, {"radius": -1.0}, {"iterations": 0}, {"iterations": 1.5}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(
        OptionError, match=rf"virtual_adversarial\({next(iter(options))}="
    ):
        regplug.compose([("virtual_adversarial", {"weight": 1, **options})])
