"""Deliberately bad: it raises in loss."""

from regplug import Regularizer, hookimpl


class BadRaises(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return matched["no such parameter"].sum()
