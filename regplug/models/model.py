"""Model: what the manager sees of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

from regplug.errors import ModelError, listing
from regplug.models.naming import group_by_prefix
from regplug.models.patterns import ROLES, Pattern


@dataclass(frozen=True)
class Layer:
    """One layer: its name, its parameters, the names of its outputs and of its main output."""

    name: str
    params: tuple[Any, ...]
    outputs: tuple[str, ...]
    output_name: str


class Outputs(dict):
    """All outputs by name, as a `loss` sees them; knows the model's roles."""

    def __init__(self, outputs: Mapping[str, Any], model: Model):
        super().__init__(outputs)
        self._model = model

    def match(self, pattern: str | list[str]) -> dict[str, Any]:
        """Return the outputs that a pattern (globs, ``!`` globs, roles) matches.

        Raises
        ------
        NoMatchError
        """
        names = Pattern(pattern).resolve(
            self, self._model.roles, "outputs.match", "outputs"
        )
        return {name: self[name] for name in names}


@dataclass
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
        Makes the manager's step variable, where the model's library advances a kind of its own.
    updates : dict of shared variable to variable
        The model's own, such as the next states of generators, where its library hands them out.
    finds_updates : bool
        Whether the library's own way to compile finds these in whatever graph it gets.
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

    @cached_property
    def names(self) -> dict[str, dict[Any, list[str]]]:
        """By target: each variable with all its names, the canonical one (it sorts first) in front."""
        tables: dict[str, dict[Any, list[str]]] = {"outputs": {}, "params": {}}
        for target, table in tables.items():
            for name, variable in getattr(self, target).items():
                table.setdefault(variable, []).append(name)
            for names in table.values():
                names.sort()
        return tables

    @cached_property
    def siblings(self) -> dict[str, dict[str, list[str]]]:
        """By target: each name with all names of its layer."""
        tables = {
            "outputs": group_by_prefix(self.outputs, ":"),
            "params": group_by_prefix(self.params, "."),
        }
        return {
            target: {name: own for own in groups.values() for name in own}
            for target, groups in tables.items()
        }

    @cached_property
    def roles(self) -> dict[str, set[str]]:
        """The names of outputs behind each role."""
        main = {
            name
            for layer in self.layers
            if (name := _output_name(layer)) in self.outputs
        }
        inputs = {
            name for name, variable in self.outputs.items() if variable.owner is None
        }
        feeds: set[Any] = (
            set()
        )  # variables from which an output further down is computed
        named = self.names["outputs"]
        for node in reversed(self.nodes):
            if any(variable in named or variable in feeds for variable in node.outputs):
                feeds.update(node.inputs)
        last = {name for name in main - inputs if self.outputs[name] not in feeds}
        return dict(zip(ROLES, (inputs, main - inputs - last, last), strict=True))

    def match(
        self, pattern: Pattern, targets: str, label: str, optional: bool = False
    ) -> dict[str, Any]:
        """Return what a pattern matches, in graph order, each variable once under its canonical name.

        Raises
        ------
        NoMatchError, ModelError
        """
        if targets == "params" and self.unnamed and not optional:
            raise ModelError(
                f"{label}: {len(self.unnamed)} of the model's parameters have no name "
                f"({listing(map(str, self.unnamed), 4)}), so the pattern {pattern.spec!r} cannot name them: "
                "name them, or pass params={name: variable}."
            )
        roles = self.roles if targets == "outputs" and pattern.roles else {}
        found = set(
            pattern.resolve(getattr(self, targets), roles, label, targets, optional)
        )
        table = self.names[targets]
        return {
            names[0]: variable
            for variable, names in table.items()
            if not found.isdisjoint(names)
        }


def _output_name(layer: Any) -> Any:
    name = getattr(layer, "output_name", None)
    return name() if callable(name) else name
