"""docs/parity.md, Keras and torch: each row run as it stands, with the peer itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from parity import RATE, assert_same_noise, compute, rows

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
TOLERANCE = {"float64": 1e-6, "float32": 1e-4}


def arrays(dtype):
    rng = np.random.default_rng(11)
    shapes = {"w": (6, 4), "b": (4,), "kernel": (2, 3, 2, 4)}
    return {
        name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()
    }


def close(found, expected, dtype):
    expected = np.asarray(
        expected.detach() if hasattr(expected, "detach") else expected
    )
    np.testing.assert_allclose(
        found,
        expected,
        rtol=TOLERANCE[dtype],
        atol=TOLERANCE[dtype] * abs(expected).max(),
    )


@DTYPES
@pytest.mark.parametrize(("theirs", "ours"), rows("Keras"))
def test_parity_with_keras(theirs, ours, dtype):
    values = arrays(dtype)
    kernel = torch.tensor(values["kernel"])
    if theirs.startswith("keras.layers.SpectralNormalization"):
        keras_spectral(theirs, ours, values, dtype)
        return
    peer, entry = eval(theirs, {"keras": keras, "kernel": kernel}), eval(ours)
    if isinstance(peer, keras.regularizers.Regularizer):
        w = torch.tensor(values["w"], requires_grad=True)
        term = peer(w)
        term.backward()
        found = compute(entry, {key: values[key] for key in "wb"})
        close(found["penalty"], term, dtype)
        close(found["dw"], w.grad, dtype)
        assert not found["db"].any()
    elif isinstance(peer, keras.constraints.Constraint):
        close(
            compute(entry, {"w": values["w"]})["w"],
            peer(torch.tensor(values["w"])),
            "float32",
        )
    elif isinstance(peer, torch.Tensor):
        close(compute(entry, {"kernel": values["kernel"]})["kernel"], peer, "float32")
    elif isinstance(peer, keras.layers.ActivityRegularization):
        h = torch.tensor(values["w"], requires_grad=True)
        peer.dtype_policy = keras.DTypePolicy(dtype)
        peer(h)
        (term,) = peer.losses
        term.backward()
        found = compute(entry, {"h": values["w"]})
        close(found["penalty"], term, dtype)
        close(found["dh"], h.grad, dtype)
    else:
        h = np.ones((300, 400), dtype)
        noisy = peer(torch.tensor(h), training=True).detach().numpy()
        assert_same_noise(compute(entry, {"h": h})["used h"], noisy, clean=1)


def keras_spectral(theirs, ours, values, dtype):
    layer = keras.layers.Dense(4, dtype=dtype)
    layer.build((None, 6))
    layer.kernel.assign(values["w"])
    wrapped = eval(theirs, {"keras": keras, "layer": layer})
    for _ in range(3):
        wrapped(torch.zeros((1, 6), dtype=getattr(torch, dtype)), training=True)
    close(
        compute(eval(ours), {"w": values["w"]}, steps=3)["used w"],
        layer.kernel.value,
        dtype,
    )


@DTYPES
@pytest.mark.parametrize(("theirs", "ours"), rows("torch"))
def test_parity_with_torch(theirs, ours, dtype):
    values = arrays(dtype)
    entry = eval(ours)
    if "optim" in theirs:
        torch_decay(theirs, entry, values, dtype)
        return
    if "spectral_norm" in theirs:
        torch_spectral(theirs, entry, values, dtype)
        return
    if "dropout" in theirs:
        ones = torch.ones((300, 400), dtype=getattr(torch, dtype))
        noisy = eval(theirs, {"torch": torch, "w": ones, "h": ones}).numpy()
        name = "h" if "(h" in theirs else "w"
        assert_same_noise(
            compute(entry, {name: np.ones((300, 400), dtype)})[f"used {name}"],
            noisy,
            clean=1,
        )
        return
    name = "h" if "=h" in theirs else "w"
    if (
        name == "h"
    ):  # probabilities, which torch normalizes: its gradient has another part along the ones
        values["h"] = torch.softmax(torch.tensor(values["w"]), 1).numpy()
    w = torch.tensor(values[name], requires_grad=True)
    peer = eval(theirs, {"torch": torch, name: w})
    found = compute(entry, {name: values[name]}, steps=10)
    if name == "h":
        close(found["penalty"], peer, dtype)
    elif peer.ndim == 0:
        peer.backward()
        close(found["penalty"], peer, dtype)
        close(found["dw"], w.grad, dtype)
    elif entry[0] == "weight_standardization":
        close(found["used w"], peer, dtype)
    else:
        close(found["w"], peer, "float32" if "renorm" in theirs else dtype)
        if "softshrink" in theirs:
            assert entry[1] * RATE == pytest.approx(0.05)
            np.testing.assert_array_equal(found["w"] == 0, peer.detach().numpy() == 0)


def torch_decay(theirs, entry, values, dtype):
    params = [torch.tensor(values[key], requires_grad=True) for key in "wb"]
    optimizer = eval(theirs, {"torch": torch, "params": params})
    for each in params:
        each.grad = torch.zeros_like(each)
    optimizer.step()
    found = compute(entry, {key: values[key] for key in "wb"})
    for key, each in zip("wb", params, strict=True):
        close(values[key] - optimizer.defaults["lr"] * found[f"d{key}"], each, dtype)


def torch_spectral(theirs, entry, values, dtype):
    layer = torch.nn.Linear(6, 4, bias=False, dtype=getattr(torch, dtype))
    layer.weight.data = torch.tensor(values["w"].T.copy())
    eval(theirs, {"torch": torch, "layer": layer})
    start = compute(entry, {"w": values["w"]}, steps=1)["manager"].state()["arrays"][
        "spectral_norm/w"
    ]
    norm = layer.parametrizations.weight[0]
    norm._v = torch.nn.functional.normalize(
        torch.tensor(values["w"] @ start), dim=0
    )  # what u of here implies
    target = torch.tensor(np.random.default_rng(1).normal(size=(4, 6)).astype(dtype))
    for steps in (2, 3):  # ours begins one round behind start
        weight = layer.weight
        close(
            compute(entry, {"w": values["w"]}, steps=steps)["used w"].T, weight, dtype
        )
    (weight * target).sum().backward()
    gradient = layer.parametrizations.weight.original.grad
    w, u = values["w"], norm._u.numpy()
    v, sigma = w @ u / np.linalg.norm(w @ u), np.linalg.norm(w @ u)
    through_sigma = target.numpy().T / sigma - (
        w * target.numpy().T
    ).sum() / sigma**2 * np.outer(v, u)
    close(through_sigma.T, gradient, dtype)
