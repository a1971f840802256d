"""What the walk over a model's graph has to mind beside its regularizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regplug.errors import listing
from regplug.graph.closures import ordered, read_by_closures
from regplug.graph.gradients import (
    downstream,
    find_gradients,
    takes_gradients,
    twins,
)
from regplug.models.model import Model

__all__ = ["WalkPlan", "plan_walk"]


@dataclass(frozen=True)
class WalkPlan:
    """How a graph is to be walked.

    Attributes
    ----------
    nodes : list of apply nodes
    gradients : dict of variable to (cost, variable)
        Those to be taken anew; see `Gradients.found`.
    reading : mapping of apply node to op and list of variable
        The scans to be made anew; see `Closures.reading`.
    doubts : list of str
        What depends on changes, and stays as it is.
    """

    nodes: list[Any]
    gradients: dict[Any, tuple[Any, Any]]
    reading: Mapping[Any, tuple[Any, list[Any]]]
    doubts: list[str]


def plan_walk(
    model: Model, nodes: list[Any], updates: list[Any], visited: list[Any]
) -> WalkPlan:
    """Plan a walk over the `nodes` of a model, on which variables are `visited`.

    Gradients come before closures: a pullback computes twins of activations, which are
    gone where the gradient is taken anew.
    """
    if not visited:
        return WalkPlan(nodes, {}, {}, [])
    names = {**model.names["outputs"], **model.names["params"]}
    heads = [*model.outputs.values(), *updates]
    closures = read_by_closures(nodes, visited)
    held = [variable for node in closures.holders for variable in node.outputs]
    stale = downstream(nodes, [*visited, *held])
    gradients = find_gradients(nodes, heads, stale, names)
    if gradients.nodes is not nodes:
        closures = read_by_closures(gradients.nodes, [*visited, *gradients.found])
    inner = _inner_gradients(gradients.nodes, closures, stale, model.engine)
    doubles = twins(gradients.nodes, visited)
    doubts = _doubts([*gradients.unproved, *inner], closures.unclear, doubles, names)
    order = ordered(nodes, closures.reading)
    return WalkPlan(order, gradients.found, closures.reading, doubts)


def _doubts(costs, unclear, doubles, names):
    """Return the texts about what stays as it is."""
    doubts = [_GRADIENT.format(cost=_text(cost, names)) for cost in costs]
    if unclear:
        texts = [_text(variable, names) for variable in unclear]
        doubts.append(_CLOSURE.format(names=listing(texts)))
    for twin, variable in doubles.items():
        # what has a name is an output beside the other
        if twin not in names:
            doubts.append(_TWIN.format(name=_text(variable, names)))
    return list(dict.fromkeys(doubts))


def _inner_gradients(nodes, closures, stale, engine):
    """Return the changed scans that take gradients in their steps."""
    found = []
    for node in nodes:
        if isinstance(node.op, engine.Scan) and node.outputs[0] in stale:
            op, _ = closures.reading.get(node, (node.op, []))
            if takes_gradients(op, engine):
                found.append(node.outputs[0])
    return found


def _text(variable, names):
    """Return what a variable is called in a message."""
    if variable in names:
        return repr(names[variable][0])
    return repr(variable.name or str(variable))


_GRADIENT = (
    "the model holds a gradient of {cost}, or of something in it, and regplug cannot "
    "tell for sure by what it was taken: it may be that of the graph without "
    "regularizers, or mix both. Build it from result.outputs."
)
_TWIN = (
    "{name} is computed a second time in the model, as gradients do and formulas that "
    "are written twice, and what reads that is not regularized. Read the one variable; "
    "build a gradient from result.outputs."
)
_CLOSURE = (
    "the step of a scan reads {names}, or a variable that is computed alike, from its "
    "closure, and regplug cannot tell which: the scan was left as it is. Hand the "
    "variable over to the step through non_sequences."
)
