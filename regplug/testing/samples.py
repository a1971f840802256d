"""The models that the kit applies a regularizer to: tiny, smooth, and without ties between their sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

ROWS = 4


@dataclass
class Sample:
    """A model with values for its input.

    Attributes
    ----------
    x : variable
        The input; `value` is an array for it.
    outputs, params : dict of str to variable
    focus : dict of str to str
        By target, what a pattern that must be given is set to.
    """

    x: Any
    value: np.ndarray
    outputs: dict[str, Any]
    params: dict[str, Any]
    focus: dict[str, str]


class _Builder:
    """Parameters and layers of one sample; the values depend on the names' order only."""

    def __init__(self, engine: ModuleType, dtype: str):
        self.engine, self.dtype = engine, dtype
        self.params: dict[str, Any] = {}
        self._random = np.random.default_rng(5)

    def param(self, name: str, *shape: int) -> Any:
        value = self._random.normal(0, 0.7, shape).astype(self.dtype)
        self.params[name] = self.engine.shared(value, name=name)
        return self.params[name]

    def input(self, *shape: int) -> tuple[Any, np.ndarray]:
        x = self.engine.T.TensorType(self.dtype, (None,) * len(shape))("x")
        return x, self._random.normal(size=shape).astype(self.dtype)

    def logistic(self, z: Any) -> Any:
        return 1 / (1 + self.engine.T.exp(-z))

    def softmax(self, z: Any) -> Any:
        e = self.engine.T.exp(z)
        return e / e.sum(axis=1, keepdims=True)

    def dot(self, x: Any, w: Any) -> Any:
        return self.engine.T.dot(x, w)


def layers(engine: ModuleType, dtype: str) -> Sample:
    """Two hidden layers and a softmax: outputs of shape (batch, units)."""
    b = _Builder(engine, dtype)
    x, value = b.input(ROWS, 6)
    pre = b.dot(x, b.param("hid1.w", 6, 5)) + b.param("hid1.b", 5)
    h1 = b.logistic(pre)
    h2 = b.logistic(b.dot(h1, b.param("hid2.w", 5, 4)) + b.param("hid2.b", 4))
    y = b.softmax(b.dot(h2, b.param("out.w", 4, 3)) + b.param("out.b", 3))
    outputs = {"in:out": x, "hid1:pre": pre, "hid1:out": h1, "hid2:out": h2, "out:out": y}
    return Sample(x, value, outputs, b.params, {"outputs": "hid1:out", "params": "*.w"})


def sequence(engine: ModuleType, dtype: str) -> Sample:
    """A hidden sequence of shape (batch, time, units), and its mean over time."""
    b = _Builder(engine, dtype)
    x, value = b.input(ROWS, 7, 3)
    h = b.logistic(b.dot(x, b.param("rnn.w", 3, 5)) + b.param("rnn.b", 5))
    y = b.softmax(b.dot(h.mean(axis=1), b.param("out.w", 5, 3)))
    outputs = {"in:out": x, "rnn:out": h, "out:out": y}
    return Sample(x, value, outputs, b.params, {"outputs": "rnn:out", "params": "rnn.w"})


def feature_map(engine: ModuleType, dtype: str) -> Sample:
    """A feature map of shape (batch, height, width, channels), whose kernels have four dimensions."""
    b = _Builder(engine, dtype)
    x, value = b.input(ROWS, 7, 7, 2)
    kernels = b.param("conv.w", 2, 2, 3, 3)  # (channels out, channels in, height, width)
    h = b.logistic(b.dot(x, kernels.mean(axis=(2, 3)).T) + b.param("conv.b", 2))
    y = b.softmax(b.dot(h.mean(axis=(1, 2)), b.param("out.w", 2, 3)))
    outputs = {"in:out": x, "conv:out": h, "out:out": y}
    return Sample(x, value, outputs, b.params, {"outputs": "conv:out", "params": "conv.w"})


def cost(engine: ModuleType, dtype: str) -> Sample:
    """The layers and the loss of the data, ``cost:out``, a scalar."""
    sample = layers(engine, dtype)
    y = sample.outputs["out:out"]
    sample.outputs["cost:out"] = ((y - 0.25) ** 2).mean()
    sample.focus = {"outputs": "cost:out", "params": "*.b"}
    return sample


def tied(engine: ModuleType, dtype: str) -> Sample:
    """Two layers that share one matrix, which has two names."""
    b = _Builder(engine, dtype)
    x, value = b.input(ROWS, 5)
    w = b.params["hid2.w"] = b.param("hid1.w", 5, 5)
    h1 = b.logistic(b.dot(x, w) + b.param("hid1.b", 5))
    h2 = b.logistic(b.dot(h1, w) + b.param("hid2.b", 5))
    y = b.softmax(b.dot(h2, b.param("out.w", 5, 3)))
    outputs = {"in:out": x, "hid1:out": h1, "hid2:out": h2, "out:out": y}
    return Sample(x, value, outputs, b.params, {"outputs": "hid1:out", "params": "*.w"})


Kind = Callable[..., Sample]
KINDS: tuple[Kind, ...] = (layers, sequence, feature_map, cost)
