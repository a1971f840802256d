"""The demo's model: a multilayer perceptron in plain code of this Python's engine."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np

__all__ = ["SIZES", "cross_entropy", "function", "initialize", "momentum", "perceptron"]

# they say which BLAS was found: no news for small matrices
for name in ("theano.tensor.blas", "pytensor.tensor.blas"):
    logging.getLogger(name).setLevel(logging.ERROR)

try:
    import pytensor as engine
    import pytensor.tensor as T
except ImportError:
    import theano as engine  # type: ignore[no-redef]
    import theano.tensor as T  # type: ignore[no-redef]

SIZES = {"hid1": 128, "hid2": 128, "out": 10}


def perceptron(n_inputs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the outputs, by ``layer:output``, and the parameters, by ``layer.param``.

    Two hidden layers of rectified units; ``out:out`` are logits, shape (batch,
    classes). All is float32.
    """
    h = T.matrix("x", dtype="float32")
    outputs: dict[str, Any] = {"in:out": h}
    params: dict[str, Any] = {}
    for layer, units in SIZES.items():
        w = engine.shared(np.zeros((n_inputs, units), "float32"), name=f"{layer}.w")
        b = engine.shared(np.zeros(units, "float32"), name=f"{layer}.b")
        params |= {w.name: w, b.name: b}
        h = T.dot(h, w) + b
        if layer != "out":
            h = T.maximum(h, 0)
        outputs[f"{layer}:out"] = h
        n_inputs = units
    return outputs, params


def initialize(params: dict[str, Any], rng: np.random.Generator) -> None:
    """Set weights to normal numbers of variance 2 / inputs, and biases to zero."""
    for p in params.values():
        shape = p.get_value(borrow=True).shape
        value = np.zeros(shape)
        if len(shape) > 1:
            value = rng.normal(0, np.sqrt(2 / shape[0]), shape)
        p.set_value(value.astype("float32"))


def cross_entropy(logits: Any, targets: Any) -> Any:
    """Return the mean over the batch of -log p(target).

    Parameters
    ----------
    logits, targets : matrix of shape (batch, classes)
        The targets are one-hot.
    """
    z = logits - logits.max(axis=1, keepdims=True)
    return (T.log(T.exp(z).sum(axis=1)) - (targets * z).sum(axis=1)).mean()


def momentum(
    cost: Any, params: dict[str, Any], rate: float, friction: float
) -> dict[Any, Any]:
    """Return the updates of gradient descent with momentum.

    v = friction v - rate gradient, p = p + v.
    """
    updates = {}
    gradients: Any = engine.grad(cost, list(params.values()))
    for p, gradient in zip(params.values(), gradients, strict=True):
        v: Any = engine.shared(np.zeros_like(p.get_value(borrow=True)))
        updates[v] = np.float32(friction) * v - np.float32(rate) * gradient
        updates[p] = p + updates[v]
    return updates


def function(inputs: list, outputs: Any, updates: dict[Any, Any]) -> Any:
    """Compile.

    PyTensor 3.3.7's default, numba, took 105 s of CPU for the first training step on a
    machine (more than half for three memory layouts of the matrix product), the C
    linker 45 s; that needs a C++ compiler.
    """
    mode = "CVM" if engine.__name__ == "pytensor" and engine.config.cxx else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PyTensor could not link to a BLAS")
        pairs = list(updates.items())
        return engine.function(inputs, outputs, updates=pairs, mode=mode)
