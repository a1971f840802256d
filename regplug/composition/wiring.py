"""Wiring: does a compiled function do what the result says?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regplug.composition.hook_arguments import HookArguments
from regplug.errors import WiringError, listing

__all__ = ["check_wiring", "mark_as_constrained"]


def mark_as_constrained(update: Any, former: Any, label: str) -> None:
    """Note in the tag of an update, which compiling keeps, who has constrained it."""
    update.tag.regplug_constrained = {label, *_constrained_by(former)}


def _constrained_by(update):
    return getattr(update.tag, "regplug_constrained", set())


def check_wiring(
    hooks: HookArguments, terms: Mapping[str, Any], updates: Any, function: Any
) -> None:
    """Refuse a function that forgets outputs, terms, updates or constraints.

    See `Result.check`.
    """
    if not hasattr(function, "maker"):
        raise WiringError(f"check: {function!r} is no compiled function.")
    inputs = {each.variable: each.update for each in function.maker.inputs}
    faults = _faults_of_updates(inputs, updates)
    trained = {shared for shared, new in inputs.items() if new is not None}
    if trained.isdisjoint(hooks.model.params.values()):
        what = "it updates no parameter of the model"
        faults.append(f"{what}: hand over the function that trains")
    else:
        for member, matched in hooks.matches.items():
            own = _faults_of_use(member, matched, terms, inputs)
            own += _faults_of_constraints(member, matched, inputs)
            faults += [f"{member.label} ({member.provenance}): {each}" for each in own]
    if faults:
        raise WiringError(f"check: {'; '.join(faults)}.")


def _faults_of_updates(inputs, updates):
    forgotten = []
    for shared in updates:
        if shared in inputs and inputs[shared] is None:
            forgotten.append(str(shared))
    if not forgotten:
        return []
    how = "compile it with updates={..., **result.updates}"
    return [f"it depends on {listing(forgotten)}, and does not replace them: {how}"]


def _faults_of_use(member, matched, terms, inputs):
    weight = getattr(member.weight, "variable", None)
    # of a schedule, which is a formula of the step, and of no weight nothing is seen
    if weight is None or weight in inputs or not matched:
        return []
    if member.label in terms:
        return ["its term is in nothing that it computes: add result.loss to the cost"]
    if "weight" in (member.hooks["modify_graph"] or ()):
        what = f"it computes nothing from {listing(matched)}, as changed"
        return [f"{what}: build the cost from result.outputs"]
    return []


def _faults_of_constraints(member, matched, inputs):
    if member.hooks["constrain"] is None:
        return []
    missing = []
    for name, param in matched.items():
        update = inputs.get(param)
        if update is not None and member.label not in _constrained_by(update):
            missing.append(name)
    if not missing:
        return []
    how = "compile it with updates=result.constrain(updates)"
    return [f"the updates of {listing(missing)} are not constrained: {how}"]
