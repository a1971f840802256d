"""Build the `Model` of a mapping of outputs, or of a plain graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import Any

from regplug import engine as engines
from regplug.errors import ModelError, listing
from regplug.graph.rewiring import toposort
from regplug.models.model import Layer, Model
from regplug.models.naming import group_by_prefix, unique_name

__all__ = ["as_named_dict", "build_model", "named_variables"]


def build_model(
    outputs: Any, params: Any = None, layers: Any = None, seen: Collection[Any] = ()
) -> Model:
    """Build the `Model` of a mapping of outputs; the walk stops at variables in `seen`."""
    given = None if params is None else as_named_dict(params)
    if not isinstance(outputs, Mapping) or not outputs:
        raise ModelError(
            f"{outputs!r} is no mapping 'layer:output' -> variable with at least one entry."
        )
    engine = _common_engine({**outputs, **(given or {})})
    nodes = toposort([outputs[name] for name in sorted(outputs)], seen)
    order: dict[Any, int] = {}
    for node in nodes:
        for variable in (*node.inputs, *node.outputs):
            order.setdefault(variable, len(order))
    last = len(order)
    outputs = dict(
        sorted(outputs.items(), key=lambda item: (order.get(item[1], last), item[0]))
    )
    unnamed: list[Any] = []
    if given is None:
        found = dict.fromkeys(
            v for v in (*order, *outputs.values()) if _is_parameter(v, engine)
        )
        given, unnamed = (
            as_named_dict(v for v in found if v.name),
            [v for v in found if not v.name],
        )
    given = dict(sorted(given.items(), key=lambda item: order.get(item[1], last)))
    own = _infer_layers(outputs, given) if layers is None else list(layers)
    return Model(engine, outputs, given, nodes, own, unnamed)


def named_variables(variables: Iterable[Any]) -> dict[str, Any]:
    """Return every named variable of a graph but the shared and constant ones, by name, in graph order.

    What was handed over is there under its own name or, unnamed, as ``output``.
    """
    variables = list(variables)
    labels = [f"number {number} of the list" for number in range(1, len(variables) + 1)]
    for number, head in enumerate(variables):
        if getattr(head, "name", None):
            labels[number] = f"{head.name} ({labels[number]})"
    engine = _common_engine(dict(zip(labels, variables, strict=True)))
    heads = dict.fromkeys(variables)
    found = [
        variable
        for node in toposort(heads, ())
        for variable in (*node.inputs, *node.outputs)
    ]
    outputs: dict[str, Any] = {}
    for variable in dict.fromkeys([*found, *heads]):
        name = variable.name or ("output" if variable in heads else None)
        is_constant = isinstance(variable, engine.SharedVariable) or hasattr(
            variable, "data"
        )
        if name and engine.is_dense(variable) and not is_constant:
            outputs[unique_name(name, outputs)] = variable
    if not outputs:
        raise ModelError(
            f"{listing(map(str, heads))}: there is nothing but constants and shared variables."
        )
    return outputs


def as_named_dict(params: Any) -> dict[str, Any]:
    """Return parameters by name: a mapping as it is, of a list each one's own name."""
    if isinstance(params, Mapping):
        return dict(params)
    if isinstance(params, str) or not isinstance(params, Iterable):
        raise ModelError(
            f"params: {params!r} is no mapping name -> variable and no list of named variables."
        )
    found: dict[str, Any] = {}
    for variable in {id(each): each for each in params}.values():
        if not getattr(variable, "name", None):
            raise ModelError(
                f"params: {variable!r} has no name: name it, or pass a mapping name -> variable."
            )
        found[unique_name(variable.name, found)] = variable
    return found


def _common_engine(variables: Mapping[str, Any]) -> ModuleType:
    found: dict[str, str] = {}
    for name, variable in variables.items():
        engine = engines.name_of(variable)
        if not isinstance(name, str):
            raise ModelError(
                f"{name!r} is no name: outputs and parameters are named by texts."
            )
        if engine is None:
            raise ModelError(
                f"{name!r} is {variable!r}, which is no variable of {' or '.join(engines.ENGINES)}."
            )
        found.setdefault(engine, name)
    if len(found) > 1:
        which = " and ".join(f"{name!r} of {engine}" for engine, name in found.items())
        raise ModelError(f"one model, two engines: {which}. Build all of it with one.")
    face = engines.engine_of(variable)
    for name, variable in variables.items():
        if not face.is_dense(variable):
            what = f"{name!r} is of type {variable.type}: outputs and parameters are dense tensors."
            raise ModelError(what + _how_to_densify(variable, face))
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


def _is_parameter(variable: Any, engine: ModuleType) -> bool:
    return (
        isinstance(variable, engine.SharedVariable)
        and engine.is_dense(variable)
        and variable.type.ndim > 0
        and "float" in variable.type.dtype
        and not getattr(variable.tag, "regplug", False)
    )


def _infer_layers(outputs: Mapping[str, Any], params: Mapping[str, Any]) -> list[Layer]:
    groups = group_by_prefix(outputs, ":")
    owned: dict[str, list[Any]] = {}
    for name, variable in params.items():
        prefix = name.rpartition(".")[0]
        while prefix and prefix not in groups:
            prefix = prefix.rpartition(".")[0]
        owned.setdefault(prefix, []).append(variable)
    return [
        Layer(
            name,
            tuple(owned.get(name, ())),
            tuple(names),
            main if (main := f"{name}:out") in names else names[-1],
        )
        for name, names in groups.items()
    ]
