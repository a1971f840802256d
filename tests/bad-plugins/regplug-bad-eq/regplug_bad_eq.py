"""Deliberately bad: regularizers that compare by value."""

from dataclasses import dataclass

from regplug import Regularizer, hookimpl


@dataclass
class BadEq(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values())
