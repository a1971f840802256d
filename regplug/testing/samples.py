"""The models of the kit: tiny, smooth, and without ties between their sizes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from regplug.graph.rewiring import rewire, toposort

HUGE = 1e308


class Sample:
    """A model with values for its input.

    The values of the parameters depend on their order only.

    Parameters
    ----------
    engine : module
        The facade.
    dtype : str
    shape : sequence of int
        The input's, without its rows.
    focus : tuple of str
        What a pattern that must be given is set to: for outputs, for parameters.

    Attributes
    ----------
    x : variable
        The input; `value` is an array for it.
    outputs, params : dict of str to variable
    focus : dict of str to str
        By target.
    """

    def __init__(self, engine, dtype, shape, focus):
        self.engine, self.dtype = engine, dtype
        self.focus = dict(zip(("outputs", "params"), focus, strict=True))
        self._random = np.random.default_rng(5)
        shape = (4, *shape)
        self.x = engine.T.TensorType(dtype, (None,) * len(shape))("x")
        self.value = self._random.normal(size=shape).astype(dtype)
        self.outputs: dict[str, Any] = {"in:out": self.x}
        self.params: dict[str, Any] = {}

    def param(self, name, *shape):
        """Add a parameter; return it."""
        value = self._random.normal(0, 0.7, shape).astype(self.dtype)
        self.params[name] = self.engine.shared(value, name=name)
        return self.params[name]

    def affine(self, name, x, *shape):
        """Return ``x w + b`` with a new matrix and new biases."""
        product = self.engine.T.dot(x, self.param(f"{name}.w", *shape))
        return product + self.param(f"{name}.b", shape[-1])

    def activate(self, name, z):
        """Add the output of a layer, ``1 / (1 + exp(-z))``; return it."""
        h = self.outputs[f"{name}:out"] = 1 / (1 + self.engine.T.exp(-z))
        return h

    def classify(self, z):
        """Add the last output, a softmax."""
        e = self.engine.T.exp(z)
        self.outputs["out:out"] = e / e.sum(axis=1, keepdims=True)

    @property
    def unique_params(self) -> list[Any]:
        """The parameters, each once."""
        return list(dict.fromkeys(self.params.values()))

    def change_outputs(self, change):
        """Put something else in the place of each output but the input."""
        for name, output in self.outputs.items():
            if output is not self.x:
                self.outputs[name] = change(output)

    def change_params(self, change):
        """Give each parameter another value."""
        for p in self.unique_params:
            p.set_value(change(p.get_value()))

    @contextlib.contextmanager
    def perturbed_params(self, change):
        """Have other values in the parameters for a while."""
        start = {p: p.get_value() for p in self.unique_params}
        try:
            self.change_params(change)
            yield
        finally:
            for p, value in start.items():
                p.set_value(value)


def layers(engine, dtype, width=None) -> Sample:
    """Two hidden layers and a softmax: outputs of shape (batch, units)."""
    inputs, first, second, classes = _sizes(width, 6, 5, 4, 3)
    sample = Sample(engine, dtype, (inputs,), ("hid1:out", "*.w"))
    pre = sample.affine("hid1", sample.x, inputs, first)
    sample.outputs["hid1:pre"] = pre
    h1 = sample.activate("hid1", pre)
    h2 = sample.activate("hid2", sample.affine("hid2", h1, first, second))
    sample.classify(sample.affine("out", h2, second, classes))
    return sample


def sequence(engine, dtype, width=None) -> Sample:
    """A hidden sequence of shape (batch, time, units), and its mean over time."""
    inputs, units, classes = _sizes(width, 3, 5, 3)
    sample = Sample(engine, dtype, (7, inputs), ("rnn:out", "rnn.w"))
    h = sample.activate("rnn", sample.affine("rnn", sample.x, inputs, units))
    w = sample.param("out.w", units, classes)
    sample.classify(engine.T.dot(h.mean(axis=1), w))
    return sample


def feature_map(engine, dtype, width=None) -> Sample:
    """A feature map of shape (batch, height, width, channels).

    Its kernels have four dimensions: channels out, channels in, height, width.
    """
    inputs, channels, classes = _sizes(width, 2, 2, 3)
    sample = Sample(engine, dtype, (7, 7, inputs), ("conv:out", "conv.w"))
    kernels = sample.param("conv.w", channels, inputs, 3, 3)
    pre = engine.T.dot(sample.x, kernels.mean(axis=(2, 3)).T)
    h = sample.activate("conv", pre + sample.param("conv.b", channels))
    w = sample.param("out.w", channels, classes)
    sample.classify(engine.T.dot(h.mean(axis=(1, 2)), w))
    return sample


def cost(engine, dtype, width=None) -> Sample:
    """The layers and the loss of the data, ``cost:out``, a scalar."""
    sample = layers(engine, dtype, width)
    error = sample.outputs["out:out"] - 0.25
    sample.outputs["cost:out"] = (error**2).mean()
    sample.focus = {"outputs": "cost:out", "params": "*.b"}
    return sample


def tied(engine, dtype) -> Sample:
    """The layers, of which two share one matrix, which has two names."""
    sample = layers(engine, dtype, width=5)
    w = sample.params["hid1.w"]
    tied = {sample.params["hid2.w"]: w}
    rewire(toposort(sample.outputs.values()), {}, tied)
    sample.change_outputs(lambda output: tied.get(output, output))
    sample.params["hid2.w"] = w
    return sample


Kind = Callable[..., Sample]
KINDS: tuple[Kind, ...] = (layers, sequence, feature_map, cost)


def _sizes(width, *sizes):
    """Return numbers of units: the width in the place of each, if it is given."""
    return [width or size for size in sizes]


# each changes a sample before anything is applied to it


def make_integer(sample, dtype=None):
    """Have uint8 in outputs, bool in the last, int8 in parameters.

    With `dtype` they have the same values in that.
    """
    T = sample.engine.T
    last, output = list(sample.outputs.items())[-1]
    sample.change_outputs(lambda output: T.cast(T.round(255 * output), "uint8"))
    sample.outputs[last] = T.gt(output, 0.3)
    if dtype is not None:
        sample.change_outputs(lambda output: T.cast(output, dtype))
    for name, p in sample.params.items():
        value = np.clip(np.round(90 * p.get_value()), -128, 127).astype("int8")
        value = value.astype(dtype or "int8")
        sample.params[name] = sample.engine.shared(value, name=name)


def round_to_half(sample):
    """Give the parameters and the input values that float16 holds."""

    def rounded(value):
        return value.astype("float16").astype(value.dtype)

    sample.value = rounded(sample.value)
    sample.change_params(rounded)


def enlarge(sample, targets):
    """Multiply outputs or parameters by 300: float16 does not hold their squares."""

    def enlarged(value):
        return value * np.asarray(300, value.dtype)

    if targets == "outputs":
        sample.change_outputs(enlarged)
    else:
        sample.change_params(enlarged)


def make_infinite_sums(sample):
    """Add two numbers to each output whose sum no float64 holds.

    The gradients of the model stay as they are.
    """
    T = sample.engine.T

    def enlarged(output):
        if output.ndim < 2:
            return output
        is_enlarged = T.lt(T.arange(output.shape[-1]), 2)
        return output + np.asarray(HUGE, output.dtype) * is_enlarged

    sample.change_outputs(enlarged)
