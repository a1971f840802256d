"""Value numbering: which variables of graphs compute the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from regplug.graph.rewiring import toposort

__all__ = ["Numbering"]


class Numbering:
    """Gives variables one number where they compute the same.

    That is by the same ops, of the same roots; constants are told apart by their type
    and value.
    """

    def __init__(self):
        self._table: dict[Any, int] = {}
        self._count = itertools.count()

    def fresh(self) -> int:
        """Return a number that nothing else has."""
        return next(self._count)

    def number(self, variables: Iterable[Any], known: dict[Any, int]) -> None:
        """Number variables and all that they are computed from.

        Parameters
        ----------
        variables : iterable of variable
        known : dict of variable to int
            The numbers so far; it is extended.
        """
        variables = list(variables)
        nodes = toposort(variables, known)
        roots = {variable for node in nodes for variable in node.inputs}
        for root in roots.union(variables):
            if root.owner is None and root not in known:
                known[root] = self._intern(_identity(root))
        for node in nodes:
            inputs = tuple(known[variable] for variable in node.inputs)
            for index, variable in enumerate(node.outputs):
                known[variable] = self._intern((node.op, inputs, index))

    def _intern(self, key):
        if key not in self._table:
            self._table[key] = next(self._count)
        return self._table[key]


def _identity(root):
    """Return what tells a root from others."""
    if hasattr(root, "data"):  # a constant
        return root.signature()
    return root
