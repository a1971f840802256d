"""What the checks look at: graphs, values and gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from regplug.engine import engine_of
from regplug.errors import listing
from regplug.graph.rewiring import rewire, toposort
from regplug.testing.check import CheckFailure
from regplug.testing.graphs import function
from regplug.testing.samples import Sample
from regplug.testing.subject import Run, Values

# by name, for either engine has its own classes
_CONSTANT_TO_GRADIENTS = {"DisconnectedGrad", "ConsiderConstant", "ZeroGrad"}
_RANDOM_OPS = {"RandomVariable", "RandomFunction", "mrg_uniform_base"}
_RANDOM_TYPES = {"RandomType", "RandomStateType", "RandomGeneratorType"}


def nodes_of(outputs: Iterable[Any]) -> Iterator[Any]:
    """Yield the apply nodes of a graph, and those inside its loops."""
    for node in toposort(outputs):
        yield node
        inner = getattr(node.op, "inner_outputs", getattr(node.op, "outputs", None))
        if isinstance(inner, (list, tuple)):
            yield from nodes_of(inner)


def nodes_of_run(run: Run) -> Iterator[Any]:
    """Yield the nodes of all that a run computes."""
    return nodes_of([*run.variables.values(), *run.result.updates.values()])


def draws_noise(run: Run) -> bool:
    """Tell whether the regularizer draws noise."""
    draw = engine_of(run.sample.x).Draw
    return any(isinstance(node.op, draw) for node in nodes_of_run(run))


def foreign_randomness(run: Run) -> Iterator[str]:
    """Yield what draws random numbers and is none of regplug's, in words."""
    for node in nodes_of_run(run):
        if is_named(node.op, _RANDOM_OPS):
            yield str(node.op)
        for variable in node.inputs:
            if is_named(variable.type, _RANDOM_TYPES):
                yield f"{variable} ({variable.type})"
            is_updated = getattr(variable, "default_update", None) is not None
            if is_updated and not getattr(variable.tag, "regplug", False):
                yield f"{variable} with a default_update"


def is_named(thing: Any, names: set[str]) -> bool:
    """Tell whether a class of `thing` has one of the names."""
    return any(cls.__name__ in names for cls in type(thing).__mro__)


# of two arrays: all entries, NaN or not
is_same = partial(np.array_equal, equal_nan=True)


def differences(one: Values, other: Values) -> list[str]:
    """Return the names, common to both, of values that are not exactly equal."""
    common = [name for name in one if name in other]
    return [name for name in common if not is_same(one[name], other[name])]


def differ(ones: Sequence[Values], others: Sequence[Values]) -> bool:
    """Tell whether any step gave another value."""
    return any(map(differences, ones, others))


def snapshot(sample: Sample) -> dict[str, Any]:
    """Return all of a sample that a plugin could change."""
    nodes = toposort(sample.outputs.values())
    graph = [(node, node.op, *node.inputs, *node.outputs) for node in nodes]
    names = []
    for node in nodes:
        names += [variable.name for variable in (*node.inputs, *node.outputs)]
    return {
        "the map of outputs": list(sample.outputs.items()),
        "the map of parameters": list(sample.params.items()),
        "the graph": graph,
        "names of variables": names,
        "values of parameters": [
            p.get_value().tobytes() for p in sample.params.values()
        ],
    }


def hold_constant(total: Any, run: Run) -> Any:
    """Return `total` with the values of now for what gradients treat as constant."""
    constant = engine_of(total).T.constant
    held = []
    for node in toposort([total]):
        if is_named(node.op, _CONSTANT_TO_GRADIENTS):
            held.append(node.outputs[0])
    if not held:
        return total
    values = function([run.sample.x], held)(run.sample.value)
    memo = dict(zip(held, map(constant, values), strict=True))
    rewire(toposort([total], set(held)), {}, memo)
    return memo.get(total, total)


def slope(
    measure: Any, sample: Sample, direction: Sequence[np.ndarray], epsilon: float = 1e-6
) -> float:
    """Return the central difference of a function of the input and the parameters."""

    def at(distance: float) -> float:
        parts = iter(direction)

        def moved(value):
            return value + distance * next(parts)

        x = moved(sample.value)
        with sample.perturbed_params(moved):
            return float(measure(x))

    return (at(epsilon) - at(-epsilon)) / (2 * epsilon)


def require_equal(found: Values, expected: Values, where: str) -> None:
    """Raise CheckFailure where a value is another one."""
    names = differences(found, expected)
    if names:
        raise CheckFailure(f"{where}: {listing(names)}")


def require_dtype(run: Run, dtype: str, where: str = "") -> None:
    """Raise CheckFailure where the loss or an output has another dtype."""
    variables = dict(run.variables)
    if hasattr(run.raw, "dtype"):
        variables = {"the loss": run.raw} | variables
    for name, variable in variables.items():
        if variable.dtype != dtype:
            raise CheckFailure(
                f"{name} is of dtype {variable.dtype} on a model of {dtype}{where}"
            )


def require_finite(found: Values, where: str = "") -> None:
    """Raise CheckFailure where a value is not finite."""
    names = [name for name, value in found.items() if not np.isfinite(value).all()]
    if names:
        raise CheckFailure(f"not finite{where}: {listing(names)}")
