"""What a model has: the names that patterns match, and who feeds whom."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from regplug.engine.ops import is_a
from regplug.errors import RegplugWarning, listing
from regplug.models.adapters import as_model
from regplug.models.model import NAMING_OUTPUTS, NAMING_PARAMS, Model
from regplug.models.naming import name_as_given
from regplug.models.shapes import shape_texts
from regplug.output import shown
from regplug.readable import Line, Readable, Section

__all__ = ["Description", "Item", "describe"]

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
        What is doubtful, such as roles of a graph without layers, or out of reach, such
        as parameters without a name.
    """

    def __init__(self, model: Model):
        # a model of its own, whose roles are not known yet, and whose warnings are
        # therefore given once more to who applies regularizers
        model = replace(model)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RegplugWarning)
            roles = _roles(model)
        self.notes = [str(warning.message) for warning in caught] + _notes(model)
        shapes = shape_texts(model)
        outputs, params = _names(model, "outputs"), _names(model, "params")
        named = outputs | params
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
        self.params = [items[variable] for variable in params]

    def __repr__(self) -> str:
        sizes = f"{len(self.outputs)} outputs and {len(self.params)} parameters"
        return f"<regplug description of {sizes}>"

    def sections(self) -> Iterator[Section]:
        """Return the outputs, the parameters, a tree of who feeds whom, and doubts."""
        rows: list[Any] = []
        for item in self.outputs:
            fed_by = _some(item.fed_by)
            rows.append((item.name, item.role, item.shape, item.dtype, fed_by))
        columns = ["Name", "Role", "Shape", "Dtype", "Computed from"]
        yield Section("Outputs", columns, rows, columns[-1:], spare=True)
        if self.params:
            rows = []
            for item in self.params:
                rows.append((item.name, item.shape, item.dtype, _some(item.feeds)))
            columns = ["Name", "Shape", "Dtype", "Feeds"]
            yield Section("Parameters", columns, rows, columns[-1:], spare=True)
        arrows = f"{mark('↓')} the line below, {mark('→')} others"
        yield Section(f"Who feeds whom ({arrows})", (), self._tree())
        if self.notes:
            yield Section("Notes", (), self.notes)

    def _tree(self):
        """Return lines: each output once, below the deepest of those that feed it.

        The others name it behind an arrow. The largest branch goes on at the level of
        its stem: a chain is a column, and of n outputs none is deeper than log2(n).
        """
        outputs = {item.name.partition(" = ")[0]: item for item in self.outputs}
        branches, roots = _branches(outputs)
        lines: list[Any] = []
        pending = [("", "", name) for name in reversed(roots)]
        while pending:
            indent, joint, name = pending.pop()
            *others, largest = branches[name] or [None]
            deeper = indent + mark(_BELOW[joint])
            about = _about(name, outputs, branches)
            lines.append(Line(indent + mark(joint), deeper, about))
            if largest is not None:
                is_one_of_several = others and not branches[largest]
                joint = "└── " if is_one_of_several else "↓ "
                pending.append((deeper, joint, largest))
            for child in reversed(others):
                pending.append((deeper, "├── ", child))
        return lines


# by what stands before a name: what stands before all that is below it
_BELOW = {"": "", "↓ ": "", "├── ": "│   ", "└── ": "    "}
_ASCII = str.maketrans("↓→├─│└", "v>|-|`")
# names of one kind in a cell, and in a line
_IN_CELL, _IN_LINE = 6, 4


def mark(text: str) -> str:
    """Return lines and arrows as the terminal can show them."""
    return text if shown(text) == text else text.translate(_ASCII)


def _branches(outputs):
    """Return by output those that are shown below it, the largest last, and the rest.

    The rest is fed by no output.
    """
    branches: dict[str, list[str]] = {name: [] for name in outputs}
    depths: dict[str, int] = {}
    roots: list[str] = []
    for name, item in outputs.items():
        stems = [each for each in item.fed_by if each in outputs]
        if stems:
            stem = max(stems, key=depths.__getitem__)
            branches[stem].append(name)
            depths[name] = depths[stem] + 1
        else:
            roots.append(name)
            depths[name] = 0
    sizes: dict[str, int] = {}
    # downstream first
    for name in reversed(branches):
        sizes[name] = 1 + sum(sizes[each] for each in branches[name])
        branches[name].sort(key=sizes.__getitem__)
    return branches, roots


def _about(name, outputs, branches):
    """Return an output's line: its name, parameters, and what else it feeds."""
    item = outputs[name]
    params = [each for each in item.fed_by if each not in outputs]
    others = [each for each in item.feeds if each not in branches[name]]
    line = name
    if params:
        line += f"  ({listing(params, _IN_LINE)})"
    if others:
        line += f"  {mark('→')} {listing(others, _IN_LINE)}"
    return line


def _some(names):
    return listing(names, _IN_CELL) if names else ""


def _names(model, target):
    """Return the names of what patterns reach, without those that the engine gave."""
    reached = set(getattr(model, target).values())
    return {
        each: names for each, names in model.names[target].items() if each in reached
    }


def _notes(model):
    """Return what is said of names that patterns do not reach, or several at once."""
    notes = _notes_of_unnamed(model)
    if model.given_names:
        names = listing(model.given_names)
        notes.append(f"Named by the engine, and matched by that very name: {names}.")
    repeated = _repeated(model.outputs) + _repeated(model.params)
    if repeated:
        name, given = repeated[0]
        notes.append(
            f"Names that occur twice are numbered: {given!r} matches all of that name, "
            f"{name!r} that one."
        )
    return notes


def _notes_of_unnamed(model):
    notes = []
    if model.unnamed:
        notes.append(
            f"{len(model.unnamed)} of the model's parameters have no name, and no "
            f"pattern matches them: {listing(map(str, model.unnamed), 4)}. Name them: "
            f"{NAMING_PARAMS}."
        )
    if model.is_unnamed:
        notes.append(f"No variable of this graph has a name: {NAMING_OUTPUTS}.")
    return notes


def _repeated(variables):
    found = []
    for name, variable in variables.items():
        given = name_as_given(name, variable)
        if given != name:
            found.append((name, given))
    return found


def _edges(named):
    """Return by variable the names that feed it, and those that it feeds."""
    fed_by: dict[Any, list[str]] = {}
    feeds: dict[Any, list[str]] = {variable: [] for variable in named}
    place = {variable: number for number, variable in enumerate(named)}
    for variable in named:
        sources = sorted(_fed_by(variable, named), key=place.__getitem__)
        fed_by[variable] = [named[each][0] for each in sources]
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
