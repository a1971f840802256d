"""Models that are written once: for the regularizers, and as they are to be regularized."""

from __future__ import annotations

import warnings

import numpy as np
from toys import Plus, Times


def changing(*names):
    """Return regularizers that make 2 * value + 1 of outputs."""
    return [Times(list(names), factor=2.0), Plus(list(names))]


class World:
    """Inputs, parameters and a scan of an engine.

    `read` notes an output, and returns what the rest of the model reads in its place: the output
    or, where it is one of `changed`, what `changing` makes of it. So a model that is written once gives the graph to be
    regularized and, by hand, what it is to become.
    """

    def __init__(self, engine, changed=()):
        self.engine, self.T, self.changed, self.outputs = engine, engine.T, changed, {}
        random = np.random.RandomState(0)
        self.x = self.T.matrix("x", dtype="float64")
        self.y = self.T.matrix("y", dtype="float64")
        self.given = {self.x: random.randn(5, 3), self.y: random.randn(5, 3)}
        shapes = {"W": (3, 4), "U": (4, 4), "V": (4, 4), "v": (4,)}
        for name, shape in shapes.items():
            setattr(self, name, engine.shared(random.randn(*shape) * 0.5, name=name))
        self.zeros = self.T.zeros((5, 4), dtype="float64")

    def read(self, name, value):
        value.name = name
        if name in self.changed:
            value = 2.0 * value + 1.0
        self.outputs[name] = value
        return value

    def hidden(self, name="h"):
        return self.read(name, self.layer(self.x, self.W))

    def layer(self, value, weights, *more):
        return self.T.tanh(sum(more, self.T.dot(value, weights)))

    def scan(self, step, start=None, n_steps=3, **options):
        with warnings.catch_warnings():
            # of what scan returns, on PyTensor 3.3
            warnings.simplefilter("ignore", DeprecationWarning)
            start = [self.zeros] if start is None else start
            options.setdefault("outputs_info", start)
            return self.engine.scan(step, n_steps=n_steps, **options)[0]
