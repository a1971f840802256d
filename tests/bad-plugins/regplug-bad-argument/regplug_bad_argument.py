"""Deliberately bad: a hook argument that there is not."""

from regplug import Regularizer, hookimpl


class BadArgument(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched, epoch):
        return epoch * sum((w**2).sum() for w in matched.values())
