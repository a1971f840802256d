"""What the checks look at: graphs, values and gradients."""

from __future__ import annotations

import contextlib

import numpy as np

from regplug.engine import engine_of
from regplug.errors import listing
from regplug.graph.rewiring import rewire, toposort
from regplug.testing.check import CheckFailure, NotApplicable, require
from regplug.testing.graphs import function
from regplug.testing.subject import Refused

# by name, for either engine has its own classes
_CONSTANT_TO_GRADIENTS = {"DisconnectedGrad", "ConsiderConstant", "ZeroGrad"}
_RANDOM_OPS = {"RandomVariable", "RandomFunction", "mrg_uniform_base"}
_RANDOM_TYPES = {"RandomType", "RandomStateType", "RandomGeneratorType"}


def nodes_of(outputs):
    """Yield the apply nodes of a graph, and those inside its loops."""
    for node in toposort(outputs):
        yield node
        inner = getattr(node.op, "inner_outputs", getattr(node.op, "outputs", None))
        if isinstance(inner, (list, tuple)):
            yield from nodes_of(inner)


def nodes_of_run(run):
    """Yield the nodes of all that a run computes."""
    return nodes_of([*run.variables.values(), *run.result.updates.values()])


def draws_noise(run):
    """Tell whether the regularizer draws noise."""
    draw = engine_of(run.sample.x).Draw
    return any(isinstance(node.op, draw) for node in nodes_of_run(run))


def foreign_randomness(run):
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


def is_named(thing, names):
    """Tell whether a class of `thing` has one of the names."""
    return any(cls.__name__ in names for cls in type(thing).__mro__)


def differences(one, other):
    """Return the names, common to both, of values that are not exactly equal."""
    return [
        name
        for name, value in one.items()
        if name in other and not np.array_equal(value, other[name], equal_nan=True)
    ]


def differ(ones, others):
    """Tell whether any step gave another value."""
    return any(map(differences, ones, others))


def snapshot(sample):
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


def hold_constant(total, run):
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


def slope(measure, sample, direction, epsilon=1e-6):
    """Return the central difference of a function of the input and the parameters."""

    def at(distance):
        parts = iter(direction)

        def moved(value):
            return value + distance * next(parts)

        x = moved(sample.value)
        with sample.perturbed_params(moved):
            return float(measure(x))

    return (at(epsilon) - at(-epsilon)) / (2 * epsilon)


def finite_gradients(run, x, where):
    """Return a run's gradients; raise CheckFailure where one is not finite."""
    gradients = run.backward(x)
    is_finite = all(np.isfinite(gradient).all() for gradient in gradients)
    require(is_finite, f"the gradient is not finite {where}")
    return gradients


def require_equal(found, expected, fault):
    """Raise CheckFailure where a value is another one."""
    names = differences(found, expected)
    require(not names, f"{fault}: {listing(names)}")


def require_dtype(run, dtype, where=""):
    """Raise CheckFailure where the loss or an output has another dtype."""
    variables = dict(run.variables)
    if hasattr(run.raw, "dtype"):
        variables = {"the loss": run.raw} | variables
    for name, variable in variables.items():
        found = variable.dtype
        fault = f"{name} is of dtype {found} on a model of {dtype}{where}"
        require(found == dtype, fault)


def require_finite(found, where=""):
    """Raise CheckFailure where a value is not finite."""
    names = [name for name, value in found.items() if not np.isfinite(value).all()]
    require(not names, f"not finite{where}: {listing(names)}")


@contextlib.contextmanager
def refused_in_words(what):
    """Take a refusal for an answer: a hook's error, or an assertion in the graph."""
    try:
        yield
    except Refused as error:
        # of shapes that do not fit, while the graph ran
        if isinstance(error.__cause__, ValueError):
            raise CheckFailure(f"{error} {what}") from error
        raise NotApplicable(f"{error} {what}") from error
