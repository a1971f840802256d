"""Deliberately bad: it needs a newer regplug."""

from regplug import Regularizer, hookimpl


class BadFuture(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values())
