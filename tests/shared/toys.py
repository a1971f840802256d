"""Regularizers that are easy to foresee, for the tests of all wings."""

import numpy as np

from regplug import Regularizer, hookimpl


class Times(Regularizer):
    """Multiply by a constant."""

    factor: float = 10.0

    @hookimpl
    def modify_graph(self, value):
        return value * np.asarray(self.factor, value.dtype)


class TimesParams(Times):
    """The same for parameters."""

    targets = "params"


class Plus(Regularizer):
    """Add a constant."""

    term: float = 1.0

    @hookimpl
    def modify_graph(self, value):
        return value + np.asarray(self.term, value.dtype)


class Sum(Regularizer):
    """Sum of everything matched."""

    weight = 1.0

    @hookimpl
    def loss(self, matched):
        return sum(h.sum() for h in matched.values())


class SumParams(Sum):
    """The same for parameters."""

    targets = "params"
