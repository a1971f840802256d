"""What the checks look at: graphs, values and gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from regplug.authoring.options import options_of
from regplug.authoring.regularizer import Regularizer
from regplug.engine import engine_of
from regplug.errors import OptionError, listing
from regplug.graph.rewiring import rewire, toposort
from regplug.testing.check import CheckFailure, NotApplicable
from regplug.testing.graphs import function
from regplug.testing.samples import Sample
from regplug.testing.subject import Run
from regplug.testing.values import values

# by name, for either engine has its own classes
_CONSTANT_TO_GRADIENTS = {"DisconnectedGrad", "ConsiderConstant", "ZeroGrad"}
_RANDOM_OPS = {"RandomVariable", "RandomFunction", "mrg_uniform_base"}
_RANDOM_TYPES = {"RandomType", "RandomStateType", "RandomGeneratorType"}


def classes(thing: Any) -> set[str]:
    """Return the names of the classes of `thing`."""
    return {cls.__name__ for cls in type(thing).__mro__}


def nodes_of(outputs: Sequence[Any]) -> Iterator[Any]:
    """Yield the apply nodes of a graph, and those inside its loops."""
    for node in toposort(outputs):
        yield node
        inner = getattr(node.op, "inner_outputs", None) or getattr(
            node.op, "outputs", None
        )
        if isinstance(inner, (list, tuple)):
            yield from nodes_of(inner)


def graph(run: Run) -> list[Any]:
    """Return the nodes of all that a run computes."""
    return list(nodes_of([*run.variables.values(), *run.result.updates.values()]))


def draws(run: Run) -> bool:
    """Tell whether the regularizer draws noise."""
    draw = engine_of(run.sample.x).Draw
    return any(isinstance(node.op, draw) for node in graph(run))


def foreign_randomness(run: Run) -> list[str]:
    """Return what draws random numbers and is none of regplug's, in words."""
    found: dict[str, None] = {}
    for node in graph(run):
        if classes(node.op) & _RANDOM_OPS:
            found[str(node.op)] = None
        for variable in node.inputs:
            if classes(variable.type) & _RANDOM_TYPES:
                found[f"{variable} ({variable.type})"] = None
            own = getattr(variable.tag, "regplug", False)
            if getattr(variable, "default_update", None) is not None and not own:
                found[f"{variable} with a default_update"] = None
    return list(found)


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """Return the names, common to both, of values that are not exactly equal."""
    return [
        name
        for name in one
        if name in other and not np.array_equal(one[name], other[name], equal_nan=True)
    ]


def differ(
    ones: Sequence[dict[str, np.ndarray]], others: Sequence[dict[str, np.ndarray]]
) -> bool:
    """Tell whether any step gave another value."""
    return any(differences(one, other) for one, other in zip(ones, others, strict=True))


def snapshot(sample: Sample) -> dict[str, Any]:
    """Return all of a sample that a plugin could change."""
    nodes = toposort(sample.outputs.values())
    variables = [
        variable for node in nodes for variable in (*node.inputs, *node.outputs)
    ]
    return {
        "the map of outputs": list(sample.outputs.items()),
        "the map of parameters": list(sample.params.items()),
        "the graph": [(node, node.op, *node.inputs, *node.outputs) for node in nodes],
        "names of variables": [variable.name for variable in variables],
        "values of parameters": [
            p.get_value().tobytes() for p in sample.params.values()
        ],
    }


def hold_constant(total: Any, run: Run) -> Any:
    """Return `total` with the values here and now in the place of what gradients treat as constant."""
    engine = engine_of(total)
    held = [
        node.outputs[0]
        for node in toposort([total])
        if classes(node.op) & _CONSTANT_TO_GRADIENTS
    ]
    if not held:
        return total
    found = function([run.sample.x], held)(run.sample.value)
    memo = {
        variable: engine.T.constant(value)
        for variable, value in zip(held, found, strict=True)
    }
    rewire(toposort([total], set(held)), {}, memo)
    return memo.get(total, total)


def slope(
    measure: Any, run: Run, along: Sequence[np.ndarray], epsilon: float = 1e-6
) -> float:
    """Return the central difference of a function of the input, along a direction."""
    params = list(dict.fromkeys(run.sample.params.values()))
    start = [run.sample.value, *(p.get_value() for p in params)]

    def at(distance: float) -> float:
        x, *moved = [
            value + distance * direction
            for value, direction in zip(start, along, strict=True)
        ]
        for p, value in zip(params, moved, strict=True):
            p.set_value(value)
        return float(measure(x))

    try:
        return (at(epsilon) - at(-epsilon)) / (2 * epsilon)
    finally:
        for p, value in zip(params, start[1:], strict=True):
            p.set_value(value)


@contextlib.contextmanager
def moved(run: Run) -> Iterator[None]:
    """Have the parameters elsewhere: a penalty on the distance from the start is 0 there, whatever the weight."""
    start = {p: p.get_value() for p in run.sample.params.values()}
    try:
        for p, value in start.items():
            p.set_value(value * 1.1)
        yield
    finally:
        for p, value in start.items():
            p.set_value(value)


def loss_by_weight(run: Run) -> tuple[float, float] | None:
    """Return the raw loss at two weights, each divided by its weight; None where both are 0, or not to be had."""
    if not (run.is_live and run.raw and hasattr(run.raw[0], "type")):
        return None
    loss = function([run.sample.x], run.raw[0])
    found = []
    with moved(run):
        for _ in range(2):
            weight = another_weight(run)
            found.append(float(loss(run.sample.value)) / weight)
    one, other = found
    return (one, other) if one or other else None


def another_weight(run: Run) -> float:
    """Give a run another weight, which is not 0, and return it."""
    cls = type(run.manager.members[0].regularizer)
    option = (options_of(Regularizer) | options_of(cls))[
        "weight"
    ]  # a constructor of its own may not take it
    before = run.manager.weights[run.label]
    for other in (before / 2, *values(option)):
        if other not in (0, before):
            with contextlib.suppress(OptionError):
                run.manager.weights[run.label] = other
                return other
    raise NotApplicable("its range has no other weight")


def require_dtype(run: Run, dtype: str, where: str = "") -> None:
    """Raise CheckFailure where the loss or an output has another dtype."""
    raw = [("the loss", value) for value in run.raw if hasattr(value, "dtype")]
    for name, variable in (*raw, *run.variables.items()):
        if variable.dtype != dtype:
            raise CheckFailure(
                f"{name} is of dtype {variable.dtype} on a model of {dtype}{where}"
            )


def require_finite(found: dict[str, np.ndarray], where: str = "") -> None:
    """Raise CheckFailure where a value is not finite."""
    if names := [name for name, value in found.items() if not np.isfinite(value).all()]:
        raise CheckFailure(f"not finite{where}: {listing(names)}")
