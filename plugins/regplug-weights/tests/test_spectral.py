"""Power iteration and its kept vectors: spectral_penalty and spectral_norm."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

import regplug
from regplug.noise import reference
from regplug.testing import function

TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def power_iteration(w, u, iterations):
    """Power iteration and sigma, written out in NumPy."""
    for _ in range(iterations):
        v = w @ u / np.linalg.norm(w @ u)
        u = w.T @ v / np.linalg.norm(w.T @ v)
    return u, np.linalg.norm(w @ u)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("name", ["spectral_penalty", "spectral_norm"])
def test_spectral_step_is_the_power_iteration_written_out(
    name, iterations, dtype, arrays, apply
):
    values = {"hid.w": arrays(dtype)["hid.w"]}
    weight = {} if name == "spectral_norm" else {"weight": 1.0}
    manager, params, result = apply(
        [(name, {"iterations": iterations, **weight})], values
    )
    step = function(
        [], [result.loss, result.outputs["hid.w:out"]], updates=result.updates
    )
    params["hid.w"].set_value(
        values["hid.w"][:, ::-1].copy()
    )  # so that u has somewhere to go
    w, u = params["hid.w"].get_value(), manager.state()["arrays"][f"{name}/hid.w"]
    assert u.dtype == dtype
    for _ in range(3):
        loss, normed = step()
        u, sigma = power_iteration(w, u, iterations)
        kept = manager.state()["arrays"][f"{name}/hid.w"]
        np.testing.assert_allclose(
            kept, u, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
        )
        if name == "spectral_penalty":
            np.testing.assert_allclose(loss, sigma**2 / 2, rtol=TOLERANCE[dtype])
        else:
            np.testing.assert_allclose(normed, w / sigma, rtol=TOLERANCE[dtype])
            assert normed.dtype == dtype


def test_spectral_state_starts_the_same_in_every_manager_and_differs_by_name(apply):
    w = np.random.default_rng(0).normal(size=(8, 6))
    kept = [
        apply([("spectral_penalty", 1.0)], {"a": w, "b": w})[0].state()["arrays"]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(
        kept[0]["spectral_penalty/a"], kept[1]["spectral_penalty/a"]
    )
    assert not np.array_equal(
        kept[0]["spectral_penalty/a"], kept[0]["spectral_penalty/b"]
    )
    sigma = np.linalg.svd(w, compute_uv=False)[0]
    assert np.linalg.norm(w @ kept[0]["spectral_penalty/a"]) == pytest.approx(
        sigma, rel=0.05
    )


def test_spectral_state_restored_from_json_continues_to_the_bit(arrays, apply):
    values = {"hid.w": arrays("float32")["hid.w"]}
    manager, params, result = apply([("spectral_norm", {})], values)
    step = function([], result.outputs["hid.w:out"], updates=result.updates)
    params["hid.w"].set_value(values["hid.w"][::-1].copy())
    step()
    state = manager.state()
    saved = json.loads(
        json.dumps(
            {
                **state,
                "arrays": {key: each.tolist() for key, each in state["arrays"].items()},
            }
        )
    )
    expected = [step() for _ in range(2)]

    other, others, again = apply([("spectral_norm", {})], values)
    others["hid.w"].set_value(values["hid.w"][::-1].copy())
    resumed = function([], again.outputs["hid.w:out"], updates=again.updates)
    other.restore(saved)

    for each in expected:
        np.testing.assert_array_equal(resumed(), each)


def test_spectral_norm_differentiates_through_sigma_and_not_through_u(
    engine, arrays, apply
):
    values = {"hid.w": arrays("float64")["hid.w"]}
    manager, params, result = apply([("spectral_norm", {})], values)
    target = np.random.default_rng(3).normal(size=(5, 4))
    cost = (result.outputs["hid.w:out"] * target).sum()
    (gradient,) = function([], engine.grad(cost, [params["hid.w"]]))()
    w = values["hid.w"]
    u, sigma = power_iteration(w, manager.state()["arrays"]["spectral_norm/hid.w"], 1)
    v = w @ u / sigma
    np.testing.assert_allclose(
        gradient,
        target / sigma - (w * target).sum() / sigma**2 * np.outer(v, u),
        rtol=1e-6,
    )


@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize("name", ["spectral_penalty", "spectral_norm"])
def test_spectral_gradient_does_not_flow_through_a_vector_that_has_far_to_go(
    name, iterations, engine, arrays, apply
):
    values = {"hid.w": arrays("float64")["hid.w"]}
    weight = {} if name == "spectral_norm" else {"weight": 1.0}
    manager, params, result = apply(
        [(name, {"iterations": iterations, **weight})], values
    )
    target = np.random.default_rng(3).normal(size=(5, 4))
    is_norm = name == "spectral_norm"
    cost = (result.outputs["hid.w:out"] * target).sum() if is_norm else result.loss
    compute = function([], engine.grad(cost, [params["hid.w"]]))
    w = values["hid.w"][:, ::-1].copy()
    params["hid.w"].set_value(w)

    (gradient,) = compute()

    kept = manager.state()["arrays"][f"{name}/hid.w"]
    u, sigma = power_iteration(w, kept, iterations)
    assert sigma < 0.99 * np.linalg.svd(w, compute_uv=False)[0]
    pair = np.outer(w @ u / sigma, u)
    through_sigma = target / sigma - (w * target).sum() / sigma**2 * pair
    expected = through_sigma if is_norm else sigma * pair
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_spectral_norm_stays_at_prediction_time_and_leaves_u(arrays, apply):
    manager, _, result = apply(
        [("spectral_norm", {})], {"hid.w": arrays("float64")["hid.w"]}
    )
    before = manager.state()["arrays"]["spectral_norm/hid.w"]
    clean, trained = function(
        [], [result.clean["hid.w:out"], result.outputs["hid.w:out"]]
    )()
    np.testing.assert_array_equal(clean, trained)
    assert np.linalg.svd(clean, compute_uv=False)[0] == pytest.approx(1, rel=1e-2)
    np.testing.assert_array_equal(
        manager.state()["arrays"]["spectral_norm/hid.w"], before
    )


def test_spectral_norm_of_a_kernel_has_the_sigma_of_its_filters(arrays, apply):
    kernel = arrays("float64")["conv.w"]
    _, _, result = apply([("spectral_norm", {"iterations": 20})], {"conv.w": kernel})
    sigma = np.linalg.svd(kernel.reshape(3, -1), compute_uv=False)[0]
    np.testing.assert_allclose(
        function([], result.outputs["conv.w:out"])(), kernel / sigma, rtol=1e-6
    )


@pytest.mark.parametrize("name", ["spectral_norm", "spectral_penalty"])
def test_spectral_state_of_zero_weights_waits_for_them_to_move(name, engine, apply):
    weight = {} if name == "spectral_norm" else {"weight": 1.0}
    manager, params, result = apply([(name, weight)], {"w": np.zeros((3, 2))})
    gradients = engine.grad(result.outputs["w:out"].sum() + result.loss, [params["w"]])
    step = function(
        [], [result.outputs["w:out"], result.loss, *gradients], updates=result.updates
    )
    out, loss, gradient = step()
    assert not out.any()
    assert loss == 0
    assert np.isfinite(gradient).all()
    params["w"].set_value(np.diag([3.0, 2.0, 1.0])[:, :2])
    for _ in range(60):
        out, loss, _ = step()
    sigma = np.linalg.norm(
        params["w"].get_value() @ manager.state()["arrays"][f"{name}/w"]
    )
    assert sigma == pytest.approx(3, rel=1e-6)


def test_spectral_state_survives_a_step_with_nan(arrays, apply):
    manager, params, result = apply(
        [("spectral_norm", {})], {"hid.w": arrays("float64")["hid.w"]}
    )
    step = function([], result.outputs["hid.w:out"], updates=result.updates)
    before = manager.state()["arrays"]["spectral_norm/hid.w"]
    params["hid.w"].set_value(np.full((5, 4), np.nan))
    assert np.isnan(step()).all()
    np.testing.assert_array_equal(
        manager.state()["arrays"]["spectral_norm/hid.w"], before
    )


def test_spectral_norm_after_another_replacement_normalizes_what_that_left(
    arrays, apply
):
    values = {"hid.w": arrays("float64")["hid.w"]}
    _, _, result = apply(
        [("weight_standardization", {}), ("spectral_norm", {"iterations": 20})], values
    )
    step = function([], result.outputs["hid.w:out"], updates=result.updates)
    for _ in range(5):
        out = step()
    assert np.linalg.svd(out, compute_uv=False)[0] == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)


def test_spectral_state_of_another_shape_is_refused(engine, arrays, apply):
    manager, _, _ = apply([("spectral_penalty", 1.0)], {"w": np.ones((3, 2))})
    other = engine.shared(np.ones((3, 4)), name="w")
    words = r"spectral_penalty .*'w' is float64 of shape \(2,\).*shape \(4,\)"
    with pytest.raises(regplug.RegularizerError, match=words):
        manager.apply({"out:out": other.sum()}, params={"w": other})


def first_vector(name, w):
    """The u that a matrix begins with, written out: 15 rounds on w'w from normal numbers that its name fixes."""
    u = reference.normal(0, "power_iteration", name, (w.shape[1],), 0, "float64")
    for _ in range(15):
        u = w.T @ (w @ u)
        u /= np.linalg.norm(u)
    return u


def run_of(name, w, steps=2):
    """The sigmas of some steps from the first vector, written out."""
    u = first_vector(name, w)
    sigmas = []
    for _ in range(steps):
        u, sigma = power_iteration(w, u, 1)
        sigmas.append(sigma)
    return np.array(sigmas)


# the singular values 3, 2.9, 2.8: power iteration is slow, so that the steps tell where
# they began
SLOW = np.array([[3.0, 0, 0], [0, 2.9, 0], [0, 0, 2.8], [0, 0, 0]])


@pytest.mark.parametrize(
    "how", ["restart", "a state of before apply", "a state of 0.1"]
)
@pytest.mark.parametrize("name", ["spectral_penalty", "spectral_norm"])
def test_spectral_run_that_is_restarted_repeats_the_numbers_of_a_fresh_one(
    name, how, engine
):
    weight = {} if name == "spectral_norm" else {"weight": 1.0}
    manager = regplug.compose([(name, weight)])
    early = manager.state()
    w = engine.shared(np.flipud(SLOW).copy(), name="w")
    result = manager.apply({"out:out": 1 * w}, params={"w": w})
    step = function(
        [], [result.loss, result.outputs["out:out"]], updates=result.updates
    )
    for _ in range(5):
        step()
    w.set_value(SLOW)
    if how == "restart":
        manager.restart()
    elif how == "a state of 0.1":
        manager.restore({key: early[key] for key in ("seed", "step", "weights")})
    else:
        manager.restore(early)
    assert manager.state()["step"] == 0
    np.testing.assert_allclose(
        manager.state()["arrays"][f"{name}/w"], first_vector("w", SLOW), rtol=1e-10
    )
    expected = run_of("w", SLOW)
    assert not np.isclose(*expected, rtol=1e-5)
    for sigma in expected:
        loss, out = step()
        found = 3 / out[0, 0] if name == "spectral_norm" else np.sqrt(2 * loss)
        assert found == pytest.approx(sigma, rel=1e-10)


@pytest.mark.parametrize("name", ["spectral_penalty", "spectral_norm"])
def test_spectral_second_model_of_equal_names_needs_a_manager_of_its_own(name, engine):
    weight = {} if name == "spectral_norm" else {"weight": 1.0}
    manager = regplug.compose([(name, weight)])
    first, second = (
        engine.shared(value.copy(), name="w") for value in (np.flipud(SLOW), SLOW)
    )
    manager.apply({"out:out": 1 * first}, params={"w": first})
    with pytest.raises(regplug.ModelError, match="compose a manager of its own"):
        manager.apply({"out:out": 1 * second}, params={"w": second})
    own = copy.copy(manager)
    own.restart()
    result = own.apply({"out:out": 1 * second}, params={"w": second})
    loss, clean = function([], [result.loss, result.clean["out:out"]])()
    found = 3 / clean[0, 0] if name == "spectral_norm" else np.sqrt(2 * loss)
    assert found == pytest.approx(run_of("w", SLOW, 1)[0], rel=1e-10)


@pytest.mark.parametrize("is_early", [True, False])
def test_spectral_state_that_lacks_one_of_the_vectors_is_refused(is_early, engine):
    a, b = (engine.shared(SLOW, name=name) for name in "ab")
    outputs = {"out:out": a + b}
    manager = regplug.compose([("spectral_penalty", 1.0), ("l2_sp", 0.5)])
    manager.apply(outputs)
    for key in ("spectral_penalty/b", "l2_sp/a"):
        state = manager.state()
        del state["arrays"][key]
        other = regplug.compose([("spectral_penalty", 1.0), ("l2_sp", 0.5)])
        if is_early:
            other.restore(state)
            with pytest.raises(regplug.CompositionError, match=key):
                other.apply(outputs)
        else:
            other.apply(outputs)
            with pytest.raises(
                regplug.CompositionError, match=f"lacks the arrays {key}"
            ):
                other.restore(state)
