"""Constraints: an optimizer's updates, projected."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from regplug.composition.graph_pass import require_float
from regplug.composition.hook_arguments import HookArguments, common_dtype
from regplug.composition.hook_results import refine_type
from regplug.composition.model_updates import as_ordered
from regplug.composition.wiring import mark_as_constrained
from regplug.errors import (
    ModelError,
    NoMatchError,
    OptionError,
    RegplugWarning,
    faults_as,
    listing,
)
from regplug.text import safe_repr

__all__ = ["constrain"]


def constrain(hooks: HookArguments, updates: Any, learning_rate: Any) -> dict[Any, Any]:
    """Return the updates with the projections applied, each in the user's order."""
    updates, params = as_ordered(updates, "constrain"), hooks.model.params
    constraining = [
        member for member in hooks.matches if member.hooks["constrain"] is not None
    ]
    if constraining and updates.keys().isdisjoint(params.values()):
        what = "the updates change none of the model's parameters"
        raise NoMatchError(f"constrain: {what}: {listing(params)}.")
    for member in constraining:
        updates.update(_projected(hooks, member, updates, learning_rate))
    return updates


def _projected(hooks, member, updates, learning_rate):
    """Return the updates that one regularizer projects."""
    params, updated = _updated(hooks, member, updates)
    if not updated:
        _warn_of_nothing(member, hooks.matches[member])
        return {}
    _check_arguments(member, updated, learning_rate)
    wide = hooks.widened(updated)
    results = member.call(
        "constrain",
        matched=dict(wide),
        before=hooks.widened(params),
        weight=hooks.weights.get(member, common_dtype(wide.values())),
        learning_rate=learning_rate,
        unit_axis=hooks.unit_axis(member, "constrain"),
    )
    member.require_used_weight()
    results = _as_results(member, results, updated)
    projected = {}
    for name, new in updated.items():
        # what is left out is constrained as it stands
        if name in results:
            fault = partial(member.fault, "constrain", name)
            new = refine_type(results[name], wide[name], hooks.engine, fault)
            new = hooks.engine.T.cast(new, updated[name].dtype)
            new = hooks.engine.refine_type(new, params[name])
        mark_as_constrained(new, updated[name], member.label)
        projected[params[name]] = new
    return projected


def _warn_of_nothing(member, params):
    # where nothing may match, nothing is missing
    if params:
        text = (
            f"{member.label} ({member.provenance}): constrain: the updates change none "
            f"of {listing(params)}, which it constrains: hand over the updates of "
            "these."
        )
        warnings.warn(text, RegplugWarning, stacklevel=5)


def _updated(hooks, member, updates):
    """Return which parameters of a regularizer are updated, and their new values."""
    params, updated = {}, {}
    for name, param in hooks.matches[member].items():
        if param in updates:
            params[name] = param
            updated[name] = _as_update(hooks, name, param, updates[param])
    return params, updated


def _check_arguments(member, updated, learning_rate):
    if learning_rate is None and "learning_rate" in member.hooks["constrain"]:
        remedy = "constrain(updates, learning_rate=...) is needed"
        raise OptionError(f"{member.label} ({member.provenance}): {remedy}.")
    for name, new in updated.items():
        require_float(name, new, partial(member.fault, "constrain", name))


def _as_results(member, results, updated):
    fault = partial(member.fault, "constrain", "")
    with faults_as(lambda what: fault(f"returned an object that raised {what}")):
        if isinstance(results, Mapping) and not results.keys() - updated.keys():
            return dict(results)
    expected = f"a dict with keys of {', '.join(updated)}"
    raise fault(f"returned {safe_repr(results)}, expected {expected}")


def _as_update(hooks, name, param, new):
    """Return an update as a variable; refuse what is not of the parameter's type."""
    engine = hooks.engine
    if not hasattr(new, "owner"):
        try:
            new = engine.T.as_tensor_variable(np.asarray(new, param.dtype))
        except (TypeError, ValueError) as error:
            what = f"{new!r}, which is no {param.type}"
            raise ModelError(f"constrain: the update of {name!r} is {what}.") from error
    is_tensor = engine.is_dense(new)
    if not is_tensor or (new.dtype, new.ndim) != (param.dtype, param.ndim):
        what = f"{new.type}, and the parameter is {param.type}"
        raise ModelError(f"constrain: the update of {name!r} is {what}.")
    return new
