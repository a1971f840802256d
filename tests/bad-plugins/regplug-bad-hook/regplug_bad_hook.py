"""Deliberately bad: a misspelt hook."""

from regplug import Regularizer, hookimpl


class BadHook(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def los(self, matched):
        return sum((w**2).sum() for w in matched.values())
