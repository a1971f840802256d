"""The walk over a graph, and the putting in of changed variables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from regplug.engine import engine_of

__all__ = ["positions", "rewire", "toposort"]

Variable = Any  # of either engine: none is imported here
NOTHING: Mapping[Any, Any] = MappingProxyType({})


def toposort(
    outputs: Iterable[Variable],
    seen: Collection[Variable] = (),
    also: Mapping[Any, Iterable[Variable]] = NOTHING,
) -> list[Any]:
    """Return the apply nodes that compute `outputs`, inputs first.

    The walk does not go beyond variables in `seen`. Of the nodes in `also`, it takes
    these variables for inputs, too.
    """
    order: list[Any] = []
    done: set[Any] = set()
    stack = _owners(outputs, seen)[::-1]
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        needed = node.inputs
        if node in also:
            needed = [*needed, *also[node]]
        pending = [each for each in _owners(needed, seen) if each not in done]
        if pending:
            stack.extend(reversed(pending))
        else:
            done.add(node)
            order.append(stack.pop())
    return order


def _owners(variables, seen):
    """Return the nodes that compute variables, but those in `seen`."""
    return [v.owner for v in variables if v.owner is not None and v not in seen]


def positions(nodes: Iterable[Any]) -> dict[Variable, int]:
    """Return the variables of a graph's nodes, each with its place in the order."""
    position: dict[Variable, int] = {}
    for node in nodes:
        for variable in (*node.inputs, *node.outputs):
            position.setdefault(variable, len(position))
    return position


def rewire(
    nodes: Collection[Any],
    visits: Mapping[Variable, Callable[[Variable], Variable]],
    memo: dict[Variable, Variable],
    reading: Mapping[Any, tuple[Any, list[Variable]]] = NOTHING,
) -> None:
    """Visit what no node makes, then walk once over `nodes`.

    Each one that lies downstream of a change is rebuilt.

    Parameters
    ----------
    nodes : list of apply nodes
        In topological order.
    visits : mapping of variable to function
        What to do at a variable of the old graph: the function takes it as it stands,
        rebuilt or not, and returns what takes its place.
    memo : dict of variable to variable
        Old variable -> what takes its place. It holds the replaced roots and is
        extended.
    reading : mapping of apply node to op and list of variable
        What takes the place of a node's op, and the variables that this one reads
        beside the node's inputs: see `read_by_closures`.

    Notes
    -----
    A replacement is made of the variable as the replacements upstream left it. The old
    graph is not changed: nodes are rebuilt, never edited.
    """
    made = {variable for node in nodes for variable in node.outputs}
    for old, visit in visits.items():
        if old in made:
            continue
        current = memo.get(old, old)
        new = visit(current)
        if new is not current:
            memo[old] = new
    for node in nodes:
        outputs = node.outputs
        op, added = reading.get(node, (None, ()))
        needed = (*node.inputs, *added)
        if not memo.keys().isdisjoint(needed):
            inputs = [memo.get(variable, variable) for variable in needed]
            rebuilt = _rebuilt(node, op, inputs)
            engine_of(rebuilt.outputs[0]).renew_test_values(rebuilt)
            outputs = rebuilt.outputs
        for old, new in zip(node.outputs, outputs, strict=True):
            new.name = old.name
            if old in visits:
                new = visits[old](new)
            if new is not old:
                memo[old] = new


def _rebuilt(node, op, inputs):
    """Return a node of other inputs and, unless it is None, another op."""
    if op is None:
        return node.clone_with_new_inputs(inputs)
    return op.make_node(*inputs)
