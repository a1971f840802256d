"""What is changed, and reaches nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from regplug.composition.bound import BoundRegularizer
from regplug.engine.ops import REDUCTIONS, is_a
from regplug.errors import RegplugWarning
from regplug.graph.numbering import Numbering
from regplug.graph.rewiring import toposort
from regplug.models.model import Model

__all__ = ["warn_of_unreached"]


def warn_of_unreached(
    model: Model, matches: Any, members: Iterable[BoundRegularizer]
) -> None:
    """Warn of parameters that no output uses, outputs inside a scan, and stale copies.

    Parameters
    ----------
    model : Model
    matches : mapping of BoundRegularizer to mapping of str to variable
    members : iterable of BoundRegularizer
        Those that changed the graph.
    """
    members = [member for member in members if member.hooks["modify_graph"] is not None]
    changed: set[Any] = set()
    for member in members:
        changed.update(matches[member].values())
    faults = _faults(model, changed)
    for member in members:
        for name, variable in matches[member].items():
            if variable in faults:
                who = f"{member.label} ({member.provenance})"
                text = f"{who} changes {name!r} to no effect: {faults[variable]}."
                warnings.warn(text, RegplugWarning, stacklevel=4)


def _faults(model, changed):
    """Return why the change of a variable reaches nothing, where it does not."""
    read = set()
    for node in model.nodes:
        read.update(node.inputs)
    unread = [variable for variable in changed if variable not in read]
    if not unread:
        return {}
    faults = {}
    outputs = set(model.outputs.values())
    inner, copies = _inner_variables(model, unread), _copied(unread, read)
    for variable in unread:
        if variable not in outputs:
            faults[variable] = "no output of the model depends on it"
        elif variable in inner:
            faults[variable] = _INSIDE.format(inner[variable])
        elif variable in copies:
            faults[variable] = _COPIED
    return faults


def _copied(unread, read):
    """Return the variables that something reads a copy of."""
    numbers: dict[Any, int] = {}
    Numbering().number([*read, *unread], numbers)
    read_numbers = {numbers[variable] for variable in read}
    copies = set()
    for variable in unread:
        # a sum stands in every mean
        is_reduced = variable.owner is not None and is_a(variable.owner, *REDUCTIONS)
        if numbers[variable] in read_numbers and not is_reduced:
            copies.add(variable)
    return copies


_INSIDE = (
    "it depends on {}, which no output that is computed by a scan (or another inner "
    "graph) depends on: it seems to be a variable inside of it. What the scan returns "
    "can be regularized"
)


_COPIED = (
    "the rest of the model reads another variable of the same formula, a copy: hand "
    "over the one that the model was built on, or build that from result.outputs"
)


def _inner_variables(model, unread):
    """Return what seems to be inside of a scan, each with what gives it away."""
    computed: set[Any] = set()
    for node in model.nodes:
        if model.engine.has_inner_graph(node) or not computed.isdisjoint(node.inputs):
            computed.update(node.outputs)
    outputs = model.outputs.values()
    behind = [variable for variable in outputs if variable in computed]
    if not behind:
        return {}
    outside = {*outputs, *_roots(model, behind)}
    inner = {}
    for variable in unread:
        if variable not in computed:
            for root in _roots(model, [variable]):
                if root not in outside:
                    inner[variable] = root
    return inner


def _roots(model, variables):
    """Return the inputs that variables depend on."""
    roots = []
    for node in toposort(variables):
        for each in node.inputs:
            is_shared = isinstance(each, model.engine.SharedVariable)
            if each.owner is None and not is_shared and not hasattr(each, "data"):
                roots.append(each)
    return roots
