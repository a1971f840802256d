"""Deliberately bad: it needs what is not installed."""

import a_package_that_nobody_has
from regplug import Regularizer, hookimpl

SCALE = a_package_that_nobody_has.SCALE


class BadDependency(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values())
