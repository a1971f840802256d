"""What a model has: the names that patterns match, and who feeds whom."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

from regplug.engine import shape_text
from regplug.engine.ops import is_a
from regplug.errors import RegplugWarning
from regplug.graph.rewiring import rewire
from regplug.models.adapters import as_model
from regplug.models.model import Model

__all__ = ["Description", "Item", "describe", "shape_texts"]

# what stands between a scan and the state that a user names
_VIEWS = ("Subtensor", "DimShuffle", "Reshape", "SpecifyShape")


class Item(NamedTuple):
    """One output or parameter.

    Attributes
    ----------
    name : str
        All of its names, with ``=`` between them.
    role : str
        ``input``, ``hidden``, ``output``, ``state`` or ``parameter``, with commas
        between several; empty for what is none, such as a cost.
    shape, dtype : str
        The shape with ``?`` where only the run knows a length.
    fed_by : tuple of str
        The outputs and parameters that it is computed from, with no other in between.
    """

    name: str
    role: str
    shape: str
    dtype: str
    fed_by: tuple[str, ...]


class Description:
    """What patterns can match in a model, as a table and as a tree; see `describe`.

    Attributes
    ----------
    outputs, params : list of Item
        In graph order.
    notes : list of str
        What is doubtful, such as roles of a graph without layers.
    """

    def __init__(self, model: Model):
        self.notes: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RegplugWarning)
            roles = _roles(model)
        self.notes = [str(warning.message) for warning in caught]
        shapes = shape_texts(model)
        named = {**model.names["params"], **model.names["outputs"]}
        items = {}
        for variable, names in named.items():
            fed_by = _fed_by(variable, named)
            items[variable] = Item(
                " = ".join(names),
                ", ".join(roles[variable]),
                shapes[variable],
                variable.dtype,
                tuple(named[each][0] for each in named if each in fed_by),
            )
        self.outputs = [
            items[each] for each in model.names["outputs"] if each in shapes
        ]
        self.params = [items[each] for each in model.names["params"]]


def describe(model: Any, params: Any = None, layers: Any = None) -> Description:
    """Return what patterns can match in a model: names, shapes, roles, who feeds whom.

    Printed, or as the last line of a notebook's cell, it is a table and a tree. Nothing
    is compiled.

    Parameters
    ----------
    model, params, layers
        See `regplug.as_model`.

    Examples
    --------
    >>> import regplug
    >>> from regplug.testing import installed_engine
    >>> T = installed_engine().T
    >>> x = T.matrix("x")
    >>> h = T.tanh(x)
    >>> h.name = "h"
    >>> [item.name for item in regplug.describe(h).outputs]
    ['x', 'h']
    """
    return Description(as_model(model, params, layers))


def _roles(model):
    """Return the words for what each variable is."""
    roles: dict[Any, list[str]] = {}
    for variable in model.names["params"]:
        roles[variable] = ["parameter"]
    for variable in model.names["outputs"]:
        found = []
        for role, members in model.roles.items():
            if not members.isdisjoint(model.names["outputs"][variable]):
                found.append(role[1:])
        if _is_state(variable):
            found.append("state")
        roles[variable] = roles.get(variable, []) + found
    return roles


def _is_state(variable):
    """Tell whether a variable is what a scan made of it, step by step."""
    node = variable.owner
    while node is not None and is_a(node, *_VIEWS):
        node = node.inputs[0].owner
    return node is not None and is_a(node, "Scan")


def _fed_by(variable, named):
    """Return those named variables that one is computed from, none in between."""
    found, seen = set(), set()
    nodes = [variable.owner]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        for each in node.inputs:
            if each in named:
                found.add(each)
            else:
                nodes.append(each.owner)
    return found


def shape_texts(model: Model) -> dict[Any, str]:
    """Return the shape of each output and parameter, ``?`` where it is unknown.

    Shared variables have their values' shapes; PyTensor infers from these what lies
    downstream.
    """
    shapes = {}
    for variable in _read(model.nodes):
        is_shared = isinstance(variable, model.engine.SharedVariable)
        # a generator has no shape
        if is_shared and hasattr(variable.type, "ndim"):
            shapes[variable] = variable.get_value(borrow=True).shape
    sized: dict[Any, Any] = {}
    # what cannot be rebuilt, or does not fit, costs the shapes from there on
    with contextlib.suppress(Exception):
        for variable, shape in shapes.items():
            sized[variable] = model.engine.T.specify_shape(variable, shape)
        rewire(model.nodes, {}, sized)
    texts = {variable: str(shape) for variable, shape in shapes.items()}
    for variable in (*model.params.values(), *model.reachable["outputs"].values()):
        if variable not in texts:
            texts[variable] = shape_text(sized.get(variable, variable))
    return texts


def _read(nodes) -> Iterable[Any]:
    for node in nodes:
        yield from node.inputs
