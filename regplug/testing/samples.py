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

    def __init__(self, engine: ModuleType, dtype: str, width: int | None = None):
        self.engine, self.dtype, self._width = engine, dtype, width
        self.params: dict[str, Any] = {}
        self._random = np.random.default_rng(5)

    def size(self, units: int) -> int:
        """Return the number of units of a layer: the given one, or that of the whole sample."""
        return self._width or units

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


def layers(engine: ModuleType, dtype: str, width: int | None = None) -> Sample:
    """Two hidden layers and a softmax: outputs of shape (batch, units)."""
    b = _Builder(engine, dtype, width)
    inputs, first, second, classes = map(b.size, (6, 5, 4, 3))
    x, value = b.input(ROWS, inputs)
    pre = b.dot(x, b.param("hid1.w", inputs, first)) + b.param("hid1.b", first)
    h1 = b.logistic(pre)
    h2 = b.logistic(
        b.dot(h1, b.param("hid2.w", first, second)) + b.param("hid2.b", second)
    )
    y = b.softmax(
        b.dot(h2, b.param("out.w", second, classes)) + b.param("out.b", classes)
    )
    outputs = {
        "in:out": x,
        "hid1:pre": pre,
        "hid1:out": h1,
        "hid2:out": h2,
        "out:out": y,
    }
    return Sample(x, value, outputs, b.params, {"outputs": "hid1:out", "params": "*.w"})


def sequence(engine: ModuleType, dtype: str, width: int | None = None) -> Sample:
    """A hidden sequence of shape (batch, time, units), and its mean over time."""
    b = _Builder(engine, dtype, width)
    inputs, units, classes = map(b.size, (3, 5, 3))
    x, value = b.input(ROWS, 7, inputs)
    h = b.logistic(b.dot(x, b.param("rnn.w", inputs, units)) + b.param("rnn.b", units))
    y = b.softmax(b.dot(h.mean(axis=1), b.param("out.w", units, classes)))
    outputs = {"in:out": x, "rnn:out": h, "out:out": y}
    return Sample(
        x, value, outputs, b.params, {"outputs": "rnn:out", "params": "rnn.w"}
    )


def feature_map(engine: ModuleType, dtype: str, width: int | None = None) -> Sample:
    """A feature map of shape (batch, height, width, channels), whose kernels have four dimensions."""
    b = _Builder(engine, dtype, width)
    inputs, channels, classes = map(b.size, (2, 2, 3))
    x, value = b.input(ROWS, 7, 7, inputs)
    kernels = b.param(
        "conv.w", channels, inputs, 3, 3
    )  # (channels out, channels in, height, width)
    h = b.logistic(b.dot(x, kernels.mean(axis=(2, 3)).T) + b.param("conv.b", channels))
    y = b.softmax(b.dot(h.mean(axis=(1, 2)), b.param("out.w", channels, classes)))
    outputs = {"in:out": x, "conv:out": h, "out:out": y}
    return Sample(
        x, value, outputs, b.params, {"outputs": "conv:out", "params": "conv.w"}
    )


def cost(engine: ModuleType, dtype: str, width: int | None = None) -> Sample:
    """The layers and the loss of the data, ``cost:out``, a scalar."""
    sample = layers(engine, dtype, width)
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


# each changes a sample before anything is applied to it


def with_integers(
    sample: Sample, engine: ModuleType, dtype: str | None = None
) -> Sample:
    """Have outputs in uint8, the last of them bool, and parameters in int8; with `dtype`, the same values in that."""
    T = engine.T
    *others, last = [
        name for name, output in sample.outputs.items() if output is not sample.x
    ]
    for name in others:
        sample.outputs[name] = T.cast(T.round(255 * sample.outputs[name]), "uint8")
    sample.outputs[last] = T.gt(sample.outputs[last], 0.3)
    if dtype is not None:
        for name in (*others, last):
            sample.outputs[name] = T.cast(sample.outputs[name], dtype)
    for name, p in sample.params.items():
        value = np.clip(np.round(90 * p.get_value()), -128, 127).astype("int8")
        sample.params[name] = engine.shared(value.astype(dtype or "int8"), name=name)
    return sample


def scaled(sample: Sample, outputs: float = 1, params: float = 1) -> Sample:
    """Multiply outputs and parameters by numbers that every float type holds."""
    for name, output in sample.outputs.items():
        if output is not sample.x:
            sample.outputs[name] = output * np.asarray(outputs, output.dtype)
    for p in sample.params.values():
        p.set_value(p.get_value() * np.asarray(params, p.dtype))
    return sample


def in_half_precision(kind: Kind, engine: ModuleType, dtype: str) -> Sample:
    """Return a sample of a dtype whose parameters and input are those of float16."""
    sample = kind(engine, dtype)
    for p in sample.params.values():
        p.set_value(p.get_value().astype("float16").astype(dtype))
    sample.value = sample.value.astype("float16").astype(dtype)
    return sample


def huge(sample: Sample, engine: ModuleType) -> Sample:
    """Add two numbers to each output whose sum no float64 holds. The gradients of the model stay as they are."""
    for name, output in sample.outputs.items():
        if output is not sample.x and output.ndim > 1:
            units = output.shape[-1]
            sample.outputs[name] = output + np.asarray(
                HUGE, output.dtype
            ) * engine.T.lt(engine.T.arange(units), 2)
    return sample


HUGE = 1e308
