"""Virtual adversarial training: the worst change, the divergence, and what is held constant."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import BadOption, RegularizerError
from regplug.noise import reference
from regplug.testing import evaluate, function, installed_engine


def classifier(dtype="float64", rows=3):
    """Return x, its value, W and the softmax of x W."""
    engine = installed_engine()
    rng = np.random.default_rng(8)
    x = engine.T.TensorType(dtype, (None, None))("x")
    w = engine.shared(rng.normal(size=(4, 3)).astype(dtype), name="w")
    e = engine.T.exp(engine.T.dot(x, w))
    return x, rng.normal(size=(rows, 4)).astype(dtype), w, e / e.sum(axis=1, keepdims=True)


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
    loss = penalty({"in:out": x, "out:out": p}, radius=radius, iterations=iterations).loss
    _, at, _, _ = classifier()
    weights = w.get_value().astype("float64")
    r = worst(at, weights, radius, iterations)
    expected = divergence(softmax(at @ weights), softmax((at + r) @ weights)).mean()
    found, gradient = function([x], [loss, installed_engine().grad(loss, w)])(value)
    assert found.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float64" else 1e-4)


def test_gradient_holds_the_change_and_the_clean_prediction_constant(differences):
    x, value, w, p = classifier()
    loss = penalty({"in:out": x, "out:out": p}).loss
    weights = w.get_value()
    r = worst(value, weights, 1.0, 1)
    clean = softmax(value @ weights)
    expected = differences(lambda at: divergence(clean, softmax((value + r) @ at)).mean(), weights)
    found = evaluate(installed_engine().grad(loss, w), {x: value})
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_the_worst_change_is_worse_than_nearly_every_random_one():
    x, value, w, p = classifier(rows=1)
    found = evaluate(penalty({"in:out": x, "out:out": p}, radius=0.3, iterations=4).loss, {x: value})
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
    regularizers = ["dropout=0.5@hid:out", ("virtual_adversarial", {"pattern": "out:out", "weight": 1, "radius": 1e-5})]
    result = regplug.compose(regularizers).apply(outputs)
    f = function([x], [result.terms["virtual_adversarial"], result.outputs["out:out"]], updates=result.updates)
    values, predictions = zip(*(f(value) for _ in range(4)), strict=True)
    # other masks would change the predictions, and the divergence would be as large as between steps
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
        np.linalg.eigvalsh(w.get_value() @ (np.diag(q) - np.outer(q, q)) @ w.get_value().T)[-1]
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


def test_a_vector_is_refused_by_name():
    x, _, _, p = classifier()
    who = r"virtual_adversarial \(regplug-jacobian 0\S*, loss\)"
    with pytest.raises(RegularizerError, match=rf"{who}: .*'out:out' has 1 dimensions, expected \(batch, "):
        penalty({"in:out": x, "out:out": p.sum(axis=1)})


def test_prediction_that_does_not_depend_on_the_input_is_refused_by_name():
    x, _, w, _ = classifier()
    with pytest.raises(RegularizerError, match="'out:out' does not depend on 'in:out', which wrt='@input' matches"):
        penalty({"in:out": x, "out:out": 2 * w})


@pytest.mark.parametrize("options", [{"radius": 0.0}, {"radius": -1.0}, {"iterations": 0}, {"iterations": 1.5}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(BadOption, match=rf"virtual_adversarial\({next(iter(options))}="):
        regplug.compose([("virtual_adversarial", {"weight": 1, **options})])
