"""What a model has: the names that patterns match, and who feeds whom."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from regplug.engine import shape_text
from regplug.engine.ops import is_a
from regplug.errors import RegplugWarning
from regplug.graph.rewiring import rewire
from regplug.models.adapters import as_model
from regplug.models.model import Model
from regplug.readable import Readable, Section

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
        ``input``, ``hidden``, ``output`` or ``state``, with commas between several;
        empty for what is none, such as a cost or a parameter.
    shape, dtype : str
        The shape with ``?`` where only the run knows a length.
    fed_by, feeds : tuple of str
        The outputs and parameters that it is computed from, and the outputs that are
        computed from it, with no other in between.
    """

    name: str
    role: str
    shape: str
    dtype: str
    fed_by: tuple[str, ...]
    feeds: tuple[str, ...]


class Description(Readable):
    """What patterns can match in a model, as tables and a tree; see `describe`.

    Attributes
    ----------
    outputs, params : list of Item
        In graph order.
    notes : list of str
        What is doubtful, such as roles of a graph without layers.
    """

    def __init__(self, model: Model):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RegplugWarning)
            roles = _roles(model)
        self.notes = [str(warning.message) for warning in caught]
        shapes = shape_texts(model)
        outputs = _names(model, "outputs")
        named = {**_names(model, "params"), **outputs}
        fed_by, feeds = _edges(named)
        items = {}
        for variable, names in named.items():
            items[variable] = Item(
                " = ".join(names),
                ", ".join(roles.get(variable, ())),
                shapes[variable],
                variable.dtype,
                tuple(fed_by[variable]),
                tuple(feeds[variable]),
            )
        self.outputs = [items[variable] for variable in outputs]
        self.params = [items[variable] for variable in _names(model, "params")]

    def __repr__(self) -> str:
        sizes = f"{len(self.outputs)} outputs and {len(self.params)} parameters"
        return f"<regplug description of {sizes}>"

    def sections(self) -> Iterator[Section]:
        """Return the outputs, the parameters, a tree of who feeds whom, and doubts."""
        rows: list[Any] = []
        for item in self.outputs:
            what = ", ".join(item.fed_by)
            rows.append((item.name, item.role, item.shape, item.dtype, what))
        columns = ("Name", "Role", "Shape", "Dtype", "Computed from")
        yield Section("Outputs", columns, rows, ["Computed from"])
        rows = []
        for item in self.params:
            rows.append((item.name, item.shape, item.dtype, ", ".join(item.feeds)))
        yield Section(
            "Parameters", ("Name", "Shape", "Dtype", "Feeds"), rows, ["Feeds"]
        )
        yield Section("Who feeds whom", (), self._tree())
        if self.notes:
            yield Section("Notes", (), self.notes)

    def _tree(self):
        """Return lines: each output once below what feeds it, then by name alone."""
        outputs = {item.name.partition(" = ")[0]: item for item in self.outputs}
        lines: list[str] = []
        seen = set()
        pending = [("", "", name) for name in reversed(_roots(outputs))]
        while pending:
            indent, mark, name = pending.pop()
            item = outputs[name]
            params = [each for each in item.fed_by if each not in outputs]
            about = f"  ({', '.join(params)})" if params else ""
            if name in seen:
                lines.append(f"{indent}{mark}{name} ...")
                continue
            seen.add(name)
            lines.append(f"{indent}{mark}{name}{about}")
            deeper = indent + _UNDER[mark]
            children = [each for each in item.feeds if each in outputs]
            for number, child in enumerate(reversed(children)):
                pending.append((deeper, "└── " if number == 0 else "├── ", child))
        return lines


_UNDER = {"": "", "├── ": "│   ", "└── ": "    "}


def _roots(outputs):
    roots = []
    for name, item in outputs.items():
        if not any(each in outputs for each in item.fed_by):
            roots.append(name)
    return roots


def _names(model, target):
    """Return the names of what patterns reach, without those that the engine gave."""
    reached = set(getattr(model, target).values())
    return {
        each: names for each, names in model.names[target].items() if each in reached
    }


def _edges(named):
    """Return by variable the names that feed it, and those that it feeds."""
    fed_by: dict[Any, list[str]] = {}
    feeds: dict[Any, list[str]] = {variable: [] for variable in named}
    for variable in named:
        sources = _fed_by(variable, named)
        # in graph order
        fed_by[variable] = [named[each][0] for each in named if each in sources]
        for source in sources:
            feeds[source].append(named[variable][0])
    return fed_by, feeds


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
    """Return the words for what each output is."""
    roles: dict[Any, list[str]] = {}
    for variable, names in model.names["outputs"].items():
        found = []
        for role, members in model.roles.items():
            if not members.isdisjoint(names):
                found.append(role[1:])
        if _is_state(variable):
            found.append("state")
        roles[variable] = found
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


def _read(nodes):
    for node in nodes:
        yield from node.inputs
