"""Gradients that are a part of a model, such as a force: which, and of what.

``force = grad(energy, x)`` leaves no recipe in the graph, only the nodes of a pullback:
after a hidden layer was replaced, these mix the graphs with and without it. But `grad`
of both engines begins with ``fill(cost, 1.0)``, which tells the cost, and is
deterministic: what computes the same as a ``grad(cost, x)`` made here is that gradient.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from regplug.engine import engine_of
from regplug.engine.ops import REDUCTIONS, is_a
from regplug.graph.numbering import Numbering
from regplug.graph.rewiring import toposort

__all__ = [
    "Gradients",
    "downstream",
    "find_gradients",
    "is_gradient_seed",
    "takes_gradients",
    "twins",
]


@dataclass(frozen=True)
class Gradients:
    """Gradients in a graph, of costs that depend on what is replaced.

    Attributes
    ----------
    found : dict of variable to (cost, variable)
        Each gradient, with its cost, and what it is taken by.
    unproved : list of variable
        Costs of which there are other gradients in the graph, or such that may have
        been taken by something else.
    nodes : list of apply nodes
        Those that are needed once the gradients found are taken anew.
    """

    found: dict[Any, tuple[Any, Any]]
    unproved: list[Any]
    nodes: list[Any]


def is_gradient_seed(node: Any, engine: Any) -> bool:
    """Tell whether a node is the 1, in the shape of a cost, that `grad` begins with."""
    if not isinstance(node.op, engine.Elemwise):
        return False
    if not isinstance(node.op.scalar_op, engine.Second):
        return False
    cost, value = node.inputs
    return cost.ndim == value.ndim == 0 and getattr(value, "data", None) == 1


def downstream(nodes: Iterable[Any], variables: Iterable[Any]) -> set[Any]:
    """Return variables and what `nodes`, in topological order, compute of them."""
    below = set(variables)
    for node in nodes:
        if not below.isdisjoint(node.inputs):
            below.update(node.outputs)
    return below


def twins(nodes: Iterable[Any], variables: Iterable[Any]) -> dict[Any, Any]:
    """Return which of `variables`, functions of one other, nodes compute once more.

    The pullbacks of many activations compute these a second time. Views do not count,
    nor do sums: ``states[-1]`` may well be written twice, and a sum is in every mean.

    Returns
    -------
    dict of variable to variable
        Twin -> variable.
    """
    table: dict[Any, list[Any]] = {}
    for variable in variables:
        node = variable.owner
        if node is None or len(node.inputs) != 1:
            continue
        if not _is_view(node) and not is_a(node, *REDUCTIONS):
            table.setdefault(node.inputs[0], []).append(variable)
    found = {}
    for node in nodes:
        if table and len(node.inputs) == 1:
            for variable in table.get(node.inputs[0], ()):
                if node is not variable.owner and node.op == variable.owner.op:
                    found[node.outputs[variable.index]] = variable
    return found


def _is_view(node):
    """Tell whether a node computes nothing; Theano's others have no such map."""
    return bool(getattr(node.op, "view_map", None))


def find_gradients(
    nodes: list[Any], heads: list[Any], stale: Collection[Any], named: Collection[Any]
) -> Gradients:
    """Find the gradients of costs that depend on what is replaced.

    Parameters
    ----------
    nodes : list of apply nodes
        In topological order.
    heads : list of variable
        What the nodes compute.
    stale : collection of variable
        What will be changed, and all that depends on it.
    named : collection of variable
        What the user has a name for.
    """
    engine = engine_of(heads[0])
    costs: dict[Any, list[Any]] = {}
    for node in nodes:
        if is_gradient_seed(node, engine) and node.inputs[0] in stale:
            costs.setdefault(node.inputs[0], []).extend(node.outputs)
    if not costs:
        return Gradients({}, [], nodes)
    search = _Search(engine, nodes, heads, stale, named)
    for cost, seeds in costs.items():
        search.prove(cost, seeds)
    return search.result()


def takes_gradients(scan: Any, engine: Any) -> bool:
    """Tell whether a scan's op takes gradients in its steps, as `jacobian` does."""
    for node in toposort(engine.inner_graph(scan)[1]):
        if is_gradient_seed(node, engine):
            return True
        if isinstance(node.op, engine.Scan) and takes_gradients(node.op, engine):
            return True
    return False


class _Search:
    """A search for gradients, which are told by value numbering."""

    def __init__(self, engine, nodes, heads, stale, named):
        self.engine, self.nodes, self.heads = engine, nodes, heads
        self.stale, self.named = stale, named
        self.numbering = Numbering()
        self.known: dict[Any, int] = {}
        self.numbering.number(heads, self.known)
        self.holders: dict[int, list[Any]] = {}
        for variable, number in self.known.items():
            self.holders.setdefault(number, []).append(variable)
        self.found: dict[Any, tuple[Any, Any]] = {}
        self.seeds: dict[Any, list[Any]] = {}
        self.ambiguous: set[Any] = set()

    def prove(self, cost, seeds):
        """Find the gradients of a cost, among what is computed of its seeds."""
        candidates = self._candidates(cost)
        try:
            numbers = self._numbers_of_gradients(cost, candidates)
        # whatever the gradient of an Op raises, that the user's own did not pass
        except Exception:
            self.seeds[cost] = seeds
            return
        for seed in seeds:
            below = downstream(self.nodes, [seed]) - {seed}
            for by, number in zip(candidates, numbers, strict=True):
                for gradient in below.intersection(self.holders.get(number, ())):
                    # a 1 written by hand in the shape of a scalar has none
                    self.seeds.setdefault(cost, []).append(seed)
                    self._note(gradient, cost, by)

    def _candidates(self, cost):
        """Return what a gradient may be taken by, first what is the likeliest."""
        upstream = {}
        for node in toposort([cost]):
            upstream.update(dict.fromkeys((*node.inputs, *node.outputs)))
        upstream.pop(cost, None)
        floats = [variable for variable in upstream if _is_float(variable)]
        return sorted(
            floats, key=lambda v: (v.owner is not None, v not in self.named, not v.name)
        )

    def _numbers_of_gradients(self, cost, by, **options):
        gradients = []
        if by:
            options.update(disconnected_inputs="ignore", null_gradients="return")
            gradients = self.engine.grad(cost, by, **options)
        known = dict(self.known)
        self.numbering.number(gradients, known)
        return [known[gradient] for gradient in gradients]

    def _note(self, gradient, cost, by):
        first = self.found.setdefault(gradient, (cost, by))[1]
        # d(x + y)/dx is d(x + y)/dy: which of them makes a difference once one changes
        is_likely = by.owner is None or by in self.named or by.name
        if first is not by and is_likely and not self.stale.isdisjoint((first, by)):
            self.ambiguous.add(gradient)

    def result(self):
        """Return what was found, of that which the graph needs yet."""
        needed, more = list(self.heads), set(self.heads)
        while more:
            nodes = toposort(needed, self.found)
            reached = set(needed).union(*(node.inputs for node in nodes))
            # a cost may be computed of other gradients
            found = {v: self.found[v] for v in reached if v in self.found}
            more = {each for pair in found.values() for each in pair} - reached
            needed.extend(more)
        unproved: dict[Any, None] = {}
        for cost, seeds in self.seeds.items():
            if not reached.isdisjoint(seeds):
                unproved[cost] = None
        for gradient, (cost, by) in found.items():
            if gradient in self.ambiguous or self._goes_on(gradient, by, reached):
                unproved[cost] = None
        return Gradients(found, list(unproved), nodes)

    def _goes_on(self, gradient, by, reached):
        """Tell whether a pullback goes on below `by` to what was not recognized."""
        if by.owner is None:
            return False
        below = [variable for variable in by.owner.inputs if _is_float(variable)]
        known_grads = {by: gradient}
        numbers = self._numbers_of_gradients(None, below, known_grads=known_grads)
        further = {v for number in numbers for v in self.holders.get(number, ())}
        return not (further & reached).issubset(self.found)


def _is_float(variable):
    """Tell whether a variable is one to take gradients by."""
    is_constant = hasattr(variable, "data")
    return "float" in getattr(variable.type, "dtype", "") and not is_constant
