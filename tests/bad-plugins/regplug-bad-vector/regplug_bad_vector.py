"""Deliberately bad: its loss is a vector."""

from regplug import Regularizer, hookimpl


class BadVector(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum(axis=0) for w in matched.values() if w.ndim == 2)
