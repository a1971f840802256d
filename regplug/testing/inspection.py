"""What the checks look at: graphs, values and gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from regplug.engine import engine_of
from regplug.rewiring import rewire, toposort
from regplug.testing.graphs import function
from regplug.testing.samples import Sample
from regplug.testing.subject import Run

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
        inner = getattr(node.op, "inner_outputs", None) or getattr(node.op, "outputs", None)
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
    return [name for name in one if name in other and not np.array_equal(one[name], other[name], equal_nan=True)]


def differ(ones: Sequence[dict[str, np.ndarray]], others: Sequence[dict[str, np.ndarray]]) -> bool:
    """Tell whether any step gave another value."""
    return any(differences(one, other) for one, other in zip(ones, others, strict=True))


def not_finite(values: dict[str, np.ndarray]) -> list[str]:
    """Return the names of values that hold NaN or infinity."""
    return [name for name, value in values.items() if not np.isfinite(value).all()]


def snapshot(sample: Sample) -> dict[str, Any]:
    """Return all of a sample that a plugin could change."""
    nodes = toposort(sample.outputs.values())
    variables = [variable for node in nodes for variable in (*node.inputs, *node.outputs)]
    return {
        "the map of outputs": list(sample.outputs.items()),
        "the map of parameters": list(sample.params.items()),
        "the graph": [(node, node.op, *node.inputs, *node.outputs) for node in nodes],
        "names of variables": [variable.name for variable in variables],
        "values of parameters": [p.get_value().tobytes() for p in sample.params.values()],
    }


def objective(run: Run) -> Any:
    """Return a scalar that depends on all outputs and on the loss."""
    weights = np.random.default_rng(2)
    total = run.result.loss
    values = run.values()[0]
    for name, output in run.result.outputs.items():
        total = total + (output * weights.normal(size=values[name].shape)).sum()
    return total


def hold_constant(total: Any, run: Run) -> Any:
    """Return `total` with the values here and now in the place of what gradients treat as constant."""
    engine = engine_of(total)
    held = [node.outputs[0] for node in toposort([total]) if classes(node.op) & _CONSTANT_TO_GRADIENTS]
    if not held:
        return total
    found = function([run.sample.x], held)(run.sample.value)
    memo = {variable: engine.T.constant(value) for variable, value in zip(held, found, strict=True)}
    rewire(toposort([total], set(held)), {}, memo)
    return memo.get(total, total)


def slope(measure: Any, run: Run, along: Sequence[np.ndarray], epsilon: float = 1e-6) -> float:
    """Return the central difference of a function of the input, along a direction."""
    params = list(dict.fromkeys(run.sample.params.values()))
    start = [run.sample.value, *(p.get_value() for p in params)]

    def at(distance: float) -> float:
        x, *moved = [value + distance * direction for value, direction in zip(start, along, strict=True)]
        for p, value in zip(params, moved, strict=True):
            p.set_value(value)
        return float(measure(x))

    try:
        return (at(epsilon) - at(-epsilon)) / (2 * epsilon)
    finally:
        for p, value in zip(params, start[1:], strict=True):
            p.set_value(value)
