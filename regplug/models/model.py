"""Model: what the manager sees of a model."""

from __future__ import annotations

import warnings
from bisect import insort
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

from regplug.engine.ops import has_given_name
from regplug.errors import ModelError, RegplugWarning, listing
from regplug.graph.rewiring import positions, toposort
from regplug.models.naming import ByName, group_by_prefix, name_as_given
from regplug.models.patterns import ROLES, Pattern
from regplug.models.roles import LayeredGraph
from regplug.models.unit_axes import find_unit_axes

__all__ = ["NAMING_OUTPUTS", "NAMING_PARAMS", "Layer", "Model", "Outputs"]

NAMING_OUTPUTS = (
    "name those that you mean, h.name = 'h', or hand over a mapping, {'hid:out': h}"
)
NAMING_PARAMS = "w.name = 'w', or pass params={'w': w}"


@dataclass(frozen=True)
class Layer:
    """One layer: its name and parameters, the names of its outputs and the main one."""

    name: str
    params: tuple[Any, ...]
    outputs: tuple[str, ...]
    output_name: str


class Outputs(ByName):
    """All outputs by name, as a `loss` sees them; knows the model's roles."""

    def __init__(self, outputs: Mapping[str, Any], model: Model):
        super().__init__(outputs, "output")
        self._model = model

    def match(self, pattern: str | list[str]) -> dict[str, Any]:
        """Return the outputs that a pattern (globs, ``!`` globs, roles) matches.

        Raises
        ------
        NoMatchError
        """
        roles = self._model.roles
        names = Pattern(pattern).resolve(self, roles, "outputs.match", "outputs")
        return {name: self[name] for name in names}


@dataclass(repr=False)
class Model:
    """A model's outputs, parameters and layers, and the nodes that compute the outputs.

    Attributes
    ----------
    outputs, params : dict of str to variable
        In graph order, parameters in the order in which the graph uses them.
    layers : list
        `Layer` instances, or the layers of the object that was handed over.
    nodes : list of apply nodes
        In topological order.
    unnamed : list of variable
        Float shared variables that a parameter pattern cannot name.
    new_step : function of no argument, optional
        Makes the manager's step variable, where the model's library advances a kind of
        its own.
    updates : dict of shared variable to variable
        The model's own, such as the next states of generators, where its library hands
        them out.
    finds_updates : bool
        Whether the library's own way to compile finds these in whatever graph it gets.
    known_unit_axis : dict of str to int or None
        What an adapter knows of `unit_axis`; it wins over what the graph shows.
    is_plain : bool
        Whether it is a plain graph: what its variables are, nobody said.
    given_names : dict of str to variable
        The variables of a plain graph that the engine named (``mean``, ``x[0:]``). They
        are no outputs; only an exact name in a pattern reaches them.
    """

    engine: ModuleType
    outputs: dict[str, Any]
    params: dict[str, Any]
    nodes: list[Any]
    layers: list[Any] = field(default_factory=list)
    unnamed: list[Any] = field(default_factory=list)
    new_step: Callable[[], Any] | None = None
    updates: Mapping[Any, Any] = field(default_factory=dict)
    finds_updates: bool = False
    known_unit_axis: Mapping[str, int | None] = field(default_factory=dict)
    is_plain: bool = False
    given_names: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outputs = ByName(self.outputs, "output")
        self.params = ByName(self.params, "parameter")

    def __repr__(self) -> str:
        engine = self.engine.T.__name__.partition(".")[0]
        sizes = f"{len(self.outputs)} outputs and {len(self.params)} parameters"
        return f"<regplug.Model of {engine}: {sizes}>"

    @property
    def is_unnamed(self) -> bool:
        """Whether it is a plain graph in which nobody named anything."""
        return self.is_plain and not any(map(_own_name, self.outputs.values()))

    @cached_property
    def names(self) -> dict[str, dict[Any, list[str]]]:
        """By target: each variable with all its names, the canonical one in front.

        The canonical name is the one that sorts first.
        """
        outputs = _names_by_variable(self.outputs)
        for name, variable in self.given_names.items():
            outputs.setdefault(variable, [name])
        return {
            "outputs": outputs,
            "params": _names_by_variable(self.params),
        }

    @cached_property
    def reachable(self) -> dict[str, dict[str, Any]]:
        """By target: what an exact pattern reaches, which is more than the outputs."""
        return {"outputs": self.outputs | self.given_names, "params": self.params}

    @cached_property
    def names_in_layer(self) -> dict[str, dict[str, list[str]]]:
        """By target: each name with all names of its layer."""
        return {
            "outputs": _names_by_neighbour(self.reachable["outputs"], ":"),
            "params": _names_by_neighbour(self.params, "."),
        }

    @cached_property
    def unit_axis(self) -> dict[str, int | None]:
        """By canonical name: the axis of a parameter's units, or an output's channels.

        None where nothing shows it.
        """
        tables = self.names
        axes = find_unit_axes(self.nodes, tables["params"])
        by_name: dict[str, int | None] = {}
        for variable, names in {**tables["outputs"], **tables["params"]}.items():
            by_name[names[0]] = axes.get(variable)
        return {**by_name, **self.known_unit_axis}

    @cached_property
    def roles(self) -> dict[str, set[str]]:
        """The names of outputs behind each role, as the layers of the graph show them.

        Where it has none, by what is computed of what.

        Warns
        -----
        RegplugWarning
            A plain graph has no layers, or a frozen network in the loss may make the
            prediction look like a hidden layer.
        """
        if not self.layered.layers:
            roles = self._roles_by_place()
            if self.is_plain:
                warnings.warn(_no_layers(roles), RegplugWarning, stacklevel=2)
            return roles
        roles = self._roles_by_layers
        hidden = {name: self.outputs[name] for name in sorted(roles["@hidden"])}
        undecided = self.layered.undecided(hidden)
        if undecided:
            warnings.warn(_undecided(undecided), RegplugWarning, stacklevel=2)
        return roles

    @cached_property
    def layered(self) -> LayeredGraph:
        """The graph's layers."""
        params = [*self.params.values(), *self.unnamed]
        # data in a shared variable that is an output, too
        data = [each for each in self.outputs.values() if each.owner is None]
        return LayeredGraph(self.engine, self.nodes, params, data)

    @cached_property
    def _roles_by_layers(self):
        candidates = {name: self.outputs[name] for name in self._main}
        roles = self.layered.roles(candidates, reductions=not self.is_plain)
        if not self.is_plain:
            self._fill(roles)
        return roles

    def _fill(self, roles):
        """Fill roles that the graph shows none of by place, as the caller named layers.

        Such as integers of a lookup, or the layer below a result without parameters.
        """
        by_place = self._roles_by_place()
        if not roles["@input"]:
            roles["@input"] = by_place["@input"]
        if not roles["@hidden"]:
            results = [self.outputs[name] for name in roles["@output"]]
            used = positions(toposort(results))
            for name in by_place["@hidden"] - roles["@output"]:
                if self.outputs[name] in used:
                    roles["@hidden"].add(name)

    @property
    def _main(self):
        """The names of the layers' main outputs."""
        main = {_output_name(layer) for layer in self.layers}
        return [name for name in self.outputs if name in main]

    def _roles_by_place(self):
        main = set(self._main)
        # every node leads to an output: what a node reads has an output further down
        inner: set[Any] = set()
        for node in self.nodes:
            inner.update(node.inputs)
        inputs: set[str] = set()
        last: set[str] = set()
        for name, variable in self.outputs.items():
            if variable.owner is None:
                inputs.add(name)
            elif name in main and variable not in inner:
                last.add(name)
        return dict(zip(ROLES, (inputs, main - inputs - last, last), strict=True))

    def compared(self, variables: Collection[Any]) -> list[Any]:
        """Return those that feed the network, and that its result is compared with.

        Such as the input of an autoencoder.
        """
        readers: Counter[Any] = Counter()
        for node in self.nodes:
            readers.update(set(node.inputs))
        # the rest is asked only where it may be so
        found = [variable for variable in variables if readers[variable] > 1]
        if not found or not self.layered.layers:
            return []
        results = [self.outputs[name] for name in self._roles_by_layers["@output"]]
        return [each for each in found if self.layered.is_compared(each, results)]

    def match(
        self, pattern: Pattern, targets: str, label: str, optional: bool = False
    ) -> dict[str, Any]:
        """Return what a pattern matches, in graph order.

        Each variable is there once, under its canonical name.

        Raises
        ------
        NoMatchError, ModelError
        """
        is_blocked = targets == "params" and self.unnamed and not optional
        if is_blocked and not self._names_outright(pattern):
            raise ModelError(
                f"{label}: {len(self.unnamed)} of the model's parameters have no name "
                f"({listing(map(str, self.unnamed), 4)}), so the pattern "
                f"{pattern.spec!r} cannot name them: name them, {NAMING_PARAMS}."
            )
        roles: dict[str, set[str]] = {}
        # they ask the caller's own layers: only where the pattern needs them
        if targets == "outputs" and pattern.roles:
            roles = self.roles
        variables = getattr(self, targets)
        if targets == "outputs":
            variables = variables | self._reached(pattern)
        advice = self._advice if targets == "outputs" else ""
        matched = pattern.resolve(variables, roles, label, targets, optional, advice)
        found = {variables[name] for name in matched}
        table = self.names[targets]
        return {table[each][0]: each for each in table if each in found}

    @property
    def _advice(self):
        """Return what to do where a pattern matches no output of a plain graph."""
        if self.is_unnamed:
            return f" No variable of the graph has a name: {NAMING_OUTPUTS}."
        if self.is_plain:
            return f" Variables without a name are no outputs: {NAMING_OUTPUTS}."
        return ""

    def _names_outright(self, pattern):
        """Tell whether each entry is a parameter's name, and none a glob."""
        entries = set(pattern.positive)
        return entries <= _all_names(self.params) and {"*", "?"}.isdisjoint(
            "".join(entries)
        )

    def _reached(self, pattern):
        """Return what the engine named, where a pattern has that name and no glob."""
        entries = set(pattern.positive) - _all_names(self.outputs)
        reached = {}
        for name, variable in self.given_names.items():
            if not entries.isdisjoint([name, variable.name]):
                reached[name] = variable
        return reached


def _own_name(variable):
    return variable.name and not has_given_name(variable)


def _all_names(variables):
    """Return names, the numbered ones (W#2) as given, too."""
    named = set(variables)
    for name, variable in variables.items():
        named.add(name_as_given(name, variable))
    return named


def _undecided(names):
    """Return the warning of predictions that look like hidden layers."""
    return (
        f"@hidden has {listing(names)}, which only a network reads that looks frozen "
        "(of constants, or of parameters that another branch meets first). Where that "
        f"network belongs to the loss, {listing(names)} is the prediction: write the "
        f"names that you mean, such as ['@hidden', '!{names[0]}'] for hidden layers "
        f"and {names[0]!r} for @output."
    )


def _no_layers(roles):
    """Return the warning of roles that no layer shows."""
    found = []
    for role, names in roles.items():
        found.append(f"{role} {listing(sorted(names))}")
    return (
        "no layer was found in the graph (data that meet parameters in a product, a "
        "convolution, a lookup or a scan), so roles go by what is computed of what: "
        f"{', '.join(found)}. Write the names that you mean as the "
        "pattern, as in dropout=0.5@h, or hand over a mapping 'layer:output' -> "
        "variable."
    )


def _names_by_variable(variables):
    table: dict[Any, list[str]] = {}
    for name, variable in variables.items():
        insort(table.setdefault(variable, []), name)
    return table


def _names_by_neighbour(names, mark):
    table: dict[str, list[str]] = {}
    for group in group_by_prefix(names, mark).values():
        table.update(dict.fromkeys(group, group))
    return table


def _output_name(layer):
    # an attribute of `Layer`, a method of theanets' layers
    name = getattr(layer, "output_name", None)
    return name() if callable(name) else name
