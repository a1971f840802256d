"""Model: what the manager sees of a model, and `as_model`, which sees it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import ModuleType
from typing import Any

from regplug import adapters
from regplug import engine as engines
from regplug.errors import BadModel, listing
from regplug.patterns import ROLES, Pattern
from regplug.rewiring import toposort


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
        NoMatch
        """
        names = Pattern(pattern).resolve(self, self._model.roles, "outputs.match", "outputs")
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
        tables = {"outputs": by_layer(self.outputs, ":"), "params": by_layer(self.params, ".")}
        return {target: {name: own for own in groups.values() for name in own} for target, groups in tables.items()}

    @cached_property
    def roles(self) -> dict[str, set[str]]:
        """The names of outputs behind each role."""
        main = {name for layer in self.layers if (name := _output_name(layer)) in self.outputs}
        inputs = {name for name, variable in self.outputs.items() if variable.owner is None}
        feeds: set[Any] = set()  # variables from which an output further down is computed
        named = self.names["outputs"]
        for node in reversed(self.nodes):
            if any(variable in named or variable in feeds for variable in node.outputs):
                feeds.update(node.inputs)
        last = {name for name in main - inputs if self.outputs[name] not in feeds}
        return dict(zip(ROLES, (inputs, main - inputs - last, last), strict=True))

    def match(self, pattern: Pattern, targets: str, label: str, optional: bool = False) -> dict[str, Any]:
        """Return what a pattern matches, in graph order, each variable once under its canonical name.

        Raises
        ------
        NoMatch, BadModel
        """
        if targets == "params" and self.unnamed and not optional:
            raise BadModel(
                f"{label}: {len(self.unnamed)} of the model's parameters have no name "
                f"({listing(map(str, self.unnamed), 4)}), so the pattern {pattern.spec!r} cannot name them: "
                "name them, or pass params={name: variable}."
            )
        roles = self.roles if targets == "outputs" and pattern.roles else {}
        found = set(pattern.resolve(getattr(self, targets), roles, label, targets, optional))
        table = self.names[targets]
        return {names[0]: variable for variable, names in table.items() if not found.isdisjoint(names)}


def as_model(model: Any, params: Any = None, layers: Any = None) -> Model:
    """Return what the manager sees of a model.

    Parameters
    ----------
    model : mapping of str to variable, object with ``layers`` and ``outputs``, variable or list of them
        The outputs, named ``layer:output``; or the model of a library that an adapter is for (`regplug.adapters`);
        or a plain graph, in which every named variable is an output.
    params : mapping of str to variable, or iterable of named variables, optional
        The parameters, named ``layer.param``. By default every float shared variable of one dimension
        or more on which an output depends, under its own name.
    layers : iterable, optional
        Layers of the caller's own, with ``name``, ``params`` and ``output_name``.

    Raises
    ------
    BadModel
        It is none of these, has no outputs, or mixes two engines.
    """
    if isinstance(model, Model):
        return model
    if engines.name_of(model) or (isinstance(model, (list, tuple)) and model):
        model = _plain_graph([model] if engines.name_of(model) else model)
    elif not isinstance(model, Mapping):
        seen = adapters.see(model)
        if seen is not None:
            params = seen.params if params is None else params
            layers = seen.layers if layers is None else layers
            return replace(
                see(seen.outputs, params, layers),
                new_step=seen.new_step,
                updates=seen.updates,
                finds_updates=seen.finds_updates,
            )
        if not hasattr(model, "outputs") or not hasattr(model, "layers"):
            raise BadModel(
                f"{model!r} ({type(model).__module__}.{type(model).__qualname__}) is no model: hand over a mapping "
                "'layer:output' -> variable, a variable or a list of variables, an object with `layers` and `outputs`, "
                f"or a model that an adapter is for. Adapters: {listing(map(str, adapters.available()))}."
            )
        layers = model.layers if layers is None else layers
        model = model.outputs
    return see(model, params, layers)


def see(outputs: Any, params: Any = None, layers: Any = None, seen: Collection[Any] = ()) -> Model:
    """Build the `Model` of a mapping of outputs; the walk stops at variables in `seen`."""
    given = None if params is None else named(params)
    if not isinstance(outputs, Mapping) or not outputs:
        raise BadModel(f"{outputs!r} is no mapping 'layer:output' -> variable with at least one entry.")
    engine = _one_engine({**outputs, **(given or {})})
    nodes = toposort([outputs[name] for name in sorted(outputs)], seen)
    order: dict[Any, int] = {}
    for node in nodes:
        for variable in (*node.inputs, *node.outputs):
            order.setdefault(variable, len(order))
    last = len(order)
    outputs = dict(sorted(outputs.items(), key=lambda item: (order.get(item[1], last), item[0])))
    unnamed: list[Any] = []
    if given is None:
        found = dict.fromkeys(v for v in (*order, *outputs.values()) if _is_parameter(v, engine))
        given, unnamed = named(v for v in found if v.name), [v for v in found if not v.name]
    given = dict(sorted(given.items(), key=lambda item: order.get(item[1], last)))
    own = _layers(outputs, given) if layers is None else list(layers)
    return Model(engine, outputs, given, nodes, own, unnamed)


def _plain_graph(variables: Iterable[Any]) -> dict[str, Any]:
    """Return every named variable of a graph but the shared and constant ones, by name, in graph order.

    What was handed over is there under its own name or, unnamed, as ``output``.
    """
    variables = list(variables)
    labels = [f"number {number} of the list" for number in range(1, len(variables) + 1)]
    for number, head in enumerate(variables):
        if getattr(head, "name", None):
            labels[number] = f"{head.name} ({labels[number]})"
    engine = _one_engine(dict(zip(labels, variables, strict=True)))
    heads = dict.fromkeys(variables)
    found = [variable for node in toposort(heads, ()) for variable in (*node.inputs, *node.outputs)]
    outputs: dict[str, Any] = {}
    for variable in dict.fromkeys([*found, *heads]):
        name = variable.name or ("output" if variable in heads else None)
        is_constant = isinstance(variable, engine.SharedVariable) or hasattr(variable, "data")
        if name and engine.is_dense(variable) and not is_constant:
            outputs[free(name, outputs)] = variable
    if not outputs:
        raise BadModel(f"{listing(map(str, heads))}: there is nothing but constants and shared variables.")
    return outputs


def _one_engine(variables: Mapping[str, Any]) -> ModuleType:
    found: dict[str, str] = {}
    for name, variable in variables.items():
        engine = engines.name_of(variable)
        if not isinstance(name, str):
            raise BadModel(f"{name!r} is no name: outputs and parameters are named by texts.")
        if engine is None:
            raise BadModel(f"{name!r} is {variable!r}, which is no variable of {' or '.join(engines.ENGINES)}.")
        found.setdefault(engine, name)
    if len(found) > 1:
        which = " and ".join(f"{name!r} of {engine}" for engine, name in found.items())
        raise BadModel(f"one model, two engines: {which}. Build all of it with one.")
    face = engines.engine_of(variable)
    for name, variable in variables.items():
        if not face.is_dense(variable):
            what = f"{name!r} is of type {variable.type}: outputs and parameters are dense tensors."
            raise BadModel(what + _how_to_densify(variable, face))
    return face


def _how_to_densify(variable: Any, engine: ModuleType) -> str:
    """Return a sentence that says what to do with a sparse variable, with a space before it."""
    if not hasattr(variable.type, "format"):  # csr or csc
        return ""
    package = engine.T.__name__.partition(".")[0]
    return (
        " Leave sparse data out: what is computed from it may be an output. Densify what is an "
        f"output: {package}.sparse.dense_from_sparse(variable)."
    )


def named(params: Any) -> dict[str, Any]:
    """Return parameters by name: a mapping as it is, of a list each one's own name."""
    if isinstance(params, Mapping):
        return dict(params)
    if isinstance(params, str) or not isinstance(params, Iterable):
        raise BadModel(f"params: {params!r} is no mapping name -> variable and no list of named variables.")
    found: dict[str, Any] = {}
    for variable in {id(each): each for each in params}.values():
        if not getattr(variable, "name", None):
            raise BadModel(f"params: {variable!r} has no name: name it, or pass a mapping name -> variable.")
        found[free(variable.name, found)] = variable
    return found


def free(name: str, taken: Collection[str]) -> str:
    """Return a name, numbered (``name#2``) where it is taken."""
    numbered = (f"{name}#{count}" for count in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def _is_parameter(variable: Any, engine: ModuleType) -> bool:
    return (
        isinstance(variable, engine.SharedVariable)
        and engine.is_dense(variable)
        and variable.type.ndim > 0
        and "float" in variable.type.dtype
        and not getattr(variable.tag, "regplug", False)
    )


def by_layer(names: Iterable[str], mark: str) -> dict[str, list[str]]:
    """Return names by what stands before their last `mark`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition(mark)[0] or name, []).append(name)
    return groups


def _layers(outputs: Mapping[str, Any], params: Mapping[str, Any]) -> list[Layer]:
    groups = by_layer(outputs, ":")
    owned: dict[str, list[Any]] = {}
    for name, variable in params.items():
        prefix = name.rpartition(".")[0]
        while prefix and prefix not in groups:
            prefix = prefix.rpartition(".")[0]
        owned.setdefault(prefix, []).append(variable)
    return [
        Layer(name, tuple(owned.get(name, ())), tuple(names), main if (main := f"{name}:out") in names else names[-1])
        for name, names in groups.items()
    ]


def _output_name(layer: Any) -> Any:
    name = getattr(layer, "output_name", None)
    return name() if callable(name) else name

