"""Deliberately bad: it exits at import."""

import sys

from regplug import Regularizer, hookimpl

sys.exit(3)


class BadExit(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values())
