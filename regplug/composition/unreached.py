"""What is changed, and reaches nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from regplug.composition.bound import BoundRegularizer
from regplug.errors import RegplugWarning
from regplug.graph.rewiring import toposort
from regplug.models.model import Model

__all__ = ["warn_of_unreached"]


def warn_of_unreached(
    model: Model, matches: Any, members: Iterable[BoundRegularizer]
) -> None:
    """Warn of parameters that no output uses, and of outputs that are parts of a scan.

    Parameters
    ----------
    model : Model
    matches : mapping of BoundRegularizer to mapping of str to variable
    members : iterable of BoundRegularizer
        Those that changed the graph.
    """
    used = set(model.outputs.values())
    for node in model.nodes:
        used.update(node.inputs)
    inner = _inner_variables(model)
    for member in members:
        if member.hooks["modify_graph"] is None:
            continue
        for name, variable in matches[member].items():
            fault = None
            if variable not in used:
                fault = "no output of the model depends on it"
            elif variable in inner:
                fault = _INSIDE.format(inner[variable])
            if fault is not None:
                who = f"{member.label} ({member.provenance})"
                text = f"{who} changes {name!r} to no effect: {fault}."
                warnings.warn(text, RegplugWarning, stacklevel=4)


_INSIDE = (
    "it depends on {}, which no output that is computed by a scan (or another inner "
    "graph) depends on: it seems to be a variable inside of it. What the scan returns "
    "can be regularized"
)


def _inner_variables(model):
    """Return outputs that seem to be inside of a scan, each with what gives it away."""
    scans = [node for node in model.nodes if model.engine.has_inner_graph(node)]
    if not scans:
        return {}
    computed = {variable for node in scans for variable in node.outputs}
    for node in model.nodes:
        if not computed.isdisjoint(node.inputs):
            computed.update(node.outputs)
    outside, others = set(model.outputs.values()), []
    for variable in model.outputs.values():
        if variable in computed:
            outside |= _roots(model, variable)
        else:
            others.append(variable)
    inner = {}
    for variable in others:
        for root in _roots(model, variable) - outside:
            inner[variable] = root
    return inner


def _roots(model, variable):
    """Return the inputs that a variable depends on."""
    roots = set()
    for node in toposort([variable]):
        for each in node.inputs:
            is_given = hasattr(each, "data") or isinstance(
                each, model.engine.SharedVariable
            )
            if each.owner is None and not is_given:
                roots.add(each)
    return roots
