"""Terms: the weighted penalties of a model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from regplug.composition.hook_arguments import HookArguments, common_dtype
from regplug.composition.hook_results import check_scalar
from regplug.graph.rewiring import rewire, toposort
from regplug.models.model import Outputs

__all__ = ["total", "weighted_terms"]


def weighted_terms(
    hooks: HookArguments, outputs: Mapping[str, Any], known: dict[tuple, Any]
) -> dict[str, Any]:
    """Return each weighted term by label.

    Parameters
    ----------
    hooks : HookArguments
    outputs : mapping of str to variable
        Of the rewired graph.
    known : dict of (BoundRegularizer, variables) to variable or None
        The terms that the graphs of a model have in common; it is extended.
    """
    terms = {}
    for member, matched in hooks.matches.items():
        arguments = member.hooks["loss"]
        if arguments is None or not matched:
            continue
        if member.regularizer.targets == "outputs":
            matched = {name: outputs[name] for name in matched}
        key = (member, *matched.values())
        # with all outputs or layers in hand, a term may be made of more than its
        # matches
        if key not in known or not {"outputs", "layers"}.isdisjoint(arguments):
            known[key] = _term(hooks, member, matched, outputs)
        if known[key] is not None:
            terms[member.label] = known[key]
    return terms


def total(hooks: HookArguments, terms: Mapping[str, Any]) -> Any:
    """Return the sum of the terms; a constant 0 where there are none."""
    if terms:
        # without a start, sum() would add a 0 to the graph
        first, *others = terms.values()
        return sum(others, first)
    dtype = common_dtype(hooks.model.outputs.values(), otherwise="float64")
    return hooks.engine.T.as_tensor_variable(np.zeros((), dtype))


def _term(
    hooks,
    member,
    matched,
    outputs,
):
    """Return one weighted term, in the widest float dtype of what matched, or None."""
    T = hooks.engine.T
    # integers wrap and float16 overflows in sums: both are widened before the formula,
    # rounded once after it
    wide = hooks.widened(matched)
    dtype = common_dtype(wide.values())
    weight = hooks.weights.get(member, dtype)
    value = member.call(
        "loss",
        layers=hooks.model.layers,
        outputs=Outputs(outputs, hooks.model),
        matched=wide,
        weight=weight,
        noise=hooks.noise_of_loss(member),
        state=hooks.state(member),
        unit_axis=hooks.unit_axis(member, "loss"),
    )
    # not isinstance: an object may lie of its class, or raise
    is_number = issubclass(type(value), (int, float))
    if value is None or (is_number and value == 0):
        return None
    check_scalar(value, hooks.engine, partial(member.fault, "loss", ""))
    is_on = T.neq(weight, 0)
    gated = _gated(hooks, T.cast(value, dtype), matched.values(), is_on)
    # 0 * inf is NaN, and weight 0 is off, whatever the term is
    weighted = T.switch(is_on, weight * gated, np.zeros((), dtype))
    return T.cast(weighted, common_dtype(matched.values(), otherwise=dtype))


def _gated(hooks, value, matched, is_open):
    """Return a term whose gradients are 0, not NaN, unless `is_open`.

    The term is rebuilt on gated copies of what matched, and of the parameters and
    inputs that it reaches by other ways. The copies cost nothing: compiling takes out
    the gates and merges what is the same.
    """
    found = set(matched)
    nodes = toposort([value], found)
    for node in nodes:
        for variable in node.inputs:
            is_constant = hasattr(variable, "data")
            if variable.owner is None and not is_constant:
                found.add(variable)
    gate = hooks.engine.Gate(is_open)
    memo = {}
    for variable in found:
        # a generator has no dtype
        if "float" in str(getattr(variable.type, "dtype", "")):
            memo[variable] = gate(variable)
    rewire(nodes, {}, memo)
    return memo.get(value, value)
