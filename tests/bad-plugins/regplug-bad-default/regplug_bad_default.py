"""Deliberately bad: a hook argument with a default."""

from regplug import Regularizer, hookimpl


class BadDefault(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched, weight=1.0):
        return sum((w**2).sum() for w in matched.values())
