"""Deliberately bad: a syntax error."""

from regplug import Regularizer, hookimpl


class BadSyntax(Regularizer)
    """Sum of the squares."""

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values())
