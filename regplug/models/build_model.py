"""Build the `Model` of a mapping of outputs, or of a plain graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from regplug import engine as engines
from regplug.engine.ops import has_given_name
from regplug.errors import ModelError, listing
from regplug.graph.rewiring import positions, toposort
from regplug.models.model import Layer, Model
from regplug.models.naming import group_by_prefix, unique_name

__all__ = ["as_named_dict", "build_model", "build_plain"]


def build_model(
    outputs: Any, params: Any = None, layers: Any = None, seen: Collection[Any] = ()
) -> Model:
    """Build the `Model` of outputs by name; the walk stops at variables in `seen`."""
    if params is not None:
        params = as_named_dict(params)
    if not isinstance(outputs, Mapping) or not outputs:
        raise ModelError(
            f"{outputs!r} is no mapping 'layer:output' -> variable "
            "with at least one entry."
        )
    engine = _common_engine({**outputs, **(params or {})})
    # by name first: the walk is the same whatever the order of the mapping
    outputs = dict(sorted(outputs.items()))
    nodes = toposort(outputs.values(), seen)
    position = positions(nodes)
    unnamed: list[Any] = []
    if params is None:
        params, unnamed = _find_params([*position, *outputs.values()], engine)
    outputs = _in_order(outputs, position)
    params = _in_order(params, position)
    if layers is None:
        layers = _infer_layers(outputs, params)
    return Model(engine, outputs, params, nodes, list(layers), unnamed)


def build_plain(variables: Iterable[Any], params: Any, layers: Any) -> Model:
    """Build the `Model` of a plain graph, in which every named variable is an output.

    Shared and constant ones are left out, and those with a name that the engine gave.
    What was handed over is there under its own name or, without one, as ``output``.
    """
    outputs, given_names = _named_variables(variables)
    model = build_model(outputs, params, layers)
    model.is_plain, model.given_names = True, given_names
    return model


def _named_variables(variables):
    """Return a graph's outputs by name, and what the engine named, in graph order."""
    variables = list(variables)
    labels: dict[str, Any] = {}
    for number, head in enumerate(variables, 1):
        label = f"number {number} of the list"
        if getattr(head, "name", None):
            label = f"{head.name} ({label})"
        labels[label] = head
    engine = _common_engine(labels)
    # dicts in the place of sets, as those have no order
    heads = dict.fromkeys(variables)
    graph = positions(toposort(heads))
    outputs: dict[str, Any] = {}
    given: list[Any] = []
    for variable in graph | heads:
        if not _is_symbolic(variable, engine):
            continue
        name = variable.name
        if has_given_name(variable):
            given.append(variable)
            name = None
        if not name and variable in heads:
            name = "output"
        if name:
            outputs[unique_name(name, outputs)] = variable
    if not outputs:
        raise ModelError(
            f"{listing(map(str, heads))}: "
            "there is nothing but constants and shared variables."
        )
    # after the outputs: a name that the user gave is never numbered for the engine's
    given_names: dict[str, Any] = {}
    taken = set(outputs)
    for variable in given:
        name = unique_name(variable.name, taken)
        taken.add(name)
        given_names[name] = variable
    return outputs, given_names


def as_named_dict(params: Any) -> dict[str, Any]:
    """Return parameters by name: a mapping as it is, of a list each one's own name."""
    if isinstance(params, Mapping):
        return dict(params)
    if isinstance(params, str) or not isinstance(params, Iterable):
        raise ModelError(
            f"params: {params!r} is no mapping name -> variable "
            "and no list of named variables."
        )
    named: dict[str, Any] = {}
    # each once, by identity: what is no variable may have no hash
    for variable in {id(each): each for each in params}.values():
        if not getattr(variable, "name", None):
            raise ModelError(
                f"params: {variable!r} has no name: name it, "
                "or pass a mapping name -> variable."
            )
        named[unique_name(variable.name, named)] = variable
    return named


def _common_engine(variables):
    """Return the engine of variables; refuse what is no dense tensor of one engine."""
    first: dict[str, str] = {}
    for name, variable in variables.items():
        engine = engines.name_of(variable)
        if not isinstance(name, str):
            raise ModelError(
                f"{name!r} is no name: outputs and parameters are named by texts."
            )
        if engine is None:
            known = " or ".join(engines.ENGINES)
            raise ModelError(
                f"{name!r} is {variable!r}, which is no variable of {known}."
            )
        first.setdefault(engine, name)
    if len(first) > 1:
        which = " and ".join(f"{name!r} of {engine}" for engine, name in first.items())
        raise ModelError(f"one model, two engines: {which}. Build all of it with one.")
    facade = engines.engine_of(variable)
    for name, variable in variables.items():
        if not facade.is_dense(variable):
            raise ModelError(
                f"{name!r} is of type {variable.type}: outputs and parameters are "
                f"dense tensors.{_how_to_densify(variable, facade)}"
            )
    return facade


def _how_to_densify(variable, engine):
    """Return what to do with a sparse variable: a sentence, with a space before it."""
    if not hasattr(variable.type, "format"):  # csr or csc
        return ""
    package = engine.T.__name__.partition(".")[0]
    return (
        " Leave sparse data out: what is computed from it may be an output. "
        f"Densify what is an output: {package}.sparse.dense_from_sparse(variable)."
    )


def _is_symbolic(variable, engine):
    """Tell whether a variable is a dense tensor that is neither shared nor constant."""
    is_value = isinstance(variable, engine.SharedVariable) or hasattr(variable, "data")
    return engine.is_dense(variable) and not is_value


def _find_params(variables, engine):
    """Return the float shared variables with axes, those without a name apart."""
    named, unnamed = [], []
    for variable in dict.fromkeys(variables):
        is_parameter = (
            isinstance(variable, engine.SharedVariable)
            and engine.is_dense(variable)
            and variable.type.ndim > 0
            and "float" in variable.type.dtype
            and not getattr(variable.tag, "regplug", False)
        )
        if is_parameter and variable.name:
            named.append(variable)
        elif is_parameter:
            unnamed.append(variable)
    return as_named_dict(named), unnamed


def _in_order(variables, position):
    """Return variables in graph order, those outside of the graph last."""

    def place(item):
        return position.get(item[1], len(position))

    return dict(sorted(variables.items(), key=place))


def _infer_layers(outputs, params):
    groups = group_by_prefix(outputs, ":")
    owned: dict[str, list[Any]] = defaultdict(list)
    for name, variable in params.items():
        # net.enc.cell.w belongs to net.enc where no layer is called net.enc.cell
        owner = name.rpartition(".")[0]
        while owner and owner not in groups:
            owner = owner.rpartition(".")[0]
        owned[owner].append(variable)
    layers = []
    for layer, names in groups.items():
        main = f"{layer}:out"
        if main not in names:
            main = names[-1]
        layers.append(Layer(layer, tuple(owned[layer]), tuple(names), main))
    return layers
