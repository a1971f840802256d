"""Deliberately bad: the name of another package's regularizer."""

from regplug import Regularizer, hookimpl


class WeightL1(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values())
