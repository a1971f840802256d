"""A model that is regularized while it is built, layer by layer, as theanets does."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regplug.composition.bound import BoundRegularizer
from regplug.composition.constraints import constrain
from regplug.composition.graph_pass import GraphPass, PassHistory
from regplug.composition.hook_arguments import HookArguments
from regplug.composition.model_updates import collect, warn_of_unknown
from regplug.composition.run_state import RunState
from regplug.composition.terms import total, weighted_terms
from regplug.errors import RegplugWarning
from regplug.models.build_model import as_named_dict, build_model
from regplug.models.model import Model

__all__ = ["Layerwise"]


@dataclass
class _Building:
    """What is known of a model while it is being built, layer by layer.

    Attributes
    ----------
    history : PassHistory
    arrays : list of str
        The keys of arrays that are kept for it, as long as it is not over.
    seen : set of variable
        Where the walk over its next layer stops.
    names : dict of str to dict
        By target, what there was to match.
    updates : dict of shared variable to variable
    is_over : bool
        Whether its loss was taken, so that the next layer begins another model.
    """

    history: PassHistory = field(default_factory=PassHistory)
    arrays: list[str] = field(default_factory=list)
    seen: set[Any] = field(default_factory=set)
    names: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"outputs": {}, "params": {}}
    )
    # ordered, because Theano warns of a plain dict
    updates: dict[Any, Any] = field(default_factory=OrderedDict)
    is_over: bool = False

    def add(self, model: Model, modified: Mapping[str, Any]) -> None:
        """Note what there is of a layer, as it came and as it was left."""
        for node in model.nodes:
            self.seen.update(node.inputs, node.outputs)
        self.seen.update(model.outputs.values(), modified.values())
        self.names["outputs"].update(model.outputs)
        self.names["params"].update(model.params)


class Layerwise:
    """The protocol for such a model: `modify_graph` for each layer, then `loss`.

    Parameters
    ----------
    run_state : RunState
    members : list of BoundRegularizer
    """

    def __init__(self, run_state: RunState, members: list[BoundRegularizer]):
        self._run_state, self.members = run_state, members
        self._building = _Building()

    @property
    def updates(self) -> dict[Any, Any]:
        """The updates of the model so far."""
        return self._building.updates

    def modify_graph(self, outputs: dict[str, Any]) -> None:
        """Regularize one layer; see `Manager.modify_graph`."""
        if self._building.is_over:
            self._building = _Building()
        with self._all_or_nothing() as building:
            model = build_model(outputs, seen=building.seen)
            # the layers to come are not known
            model.roles = {}
            with self._run_state.transaction(model.engine):
                modified = self._regularized(model, building)
        outputs.update(modified)

    def _regularized(self, model, building):
        modifying = self._implementing("modify_graph")
        matches = {member: member.match(model, optional=True) for member in modifying}
        layer = GraphPass(
            self._run_state,
            model,
            matches,
            history=building.history,
            model_updates=collect(model, {}, building.seen),
        )
        modified = layer.rewire(modifying)
        building.updates.update(layer.updates())
        building.add(model, modified)
        how = "regularize it with manager.apply(model, updates=...)"
        remedy = f"Build the whole model first, and {how}."
        warn_of_unknown(layer.unadvanced, remedy, stacklevel=5)
        for doubt in layer.doubts:
            warnings.warn(f"modify_graph: {doubt}", RegplugWarning, stacklevel=4)
        self._publish(model.engine)
        return modified

    def loss(
        self, layers: Iterable[Any], outputs: Mapping[str, Any]
    ) -> tuple[Any, dict]:
        """Return the sum of the terms, and what matched; see `Manager.loss`."""
        with self._all_or_nothing() as building:
            model = _whole_model(list(layers), outputs)
            with self._run_state.transaction(model.engine):
                loss, matches = self._penalized(model, building)
        building.is_over = True
        return loss, matches

    def _penalized(self, model, building):
        matches = {}
        for member in self.members:
            self._require_a_match(member, building)
            is_optional = member.hooks["loss"] is None
            matches[member] = member.match(model, optional=is_optional)
        history = PassHistory(draws=Counter(building.history.draws))
        whole = GraphPass(self._run_state, model, matches, history=history)
        terms = weighted_terms(whole.hooks, model.outputs, {})
        building.updates.update(whole.updates())
        self._publish(model.engine)
        self._run_state.arrays.complete()
        whole.hooks.require_used_weights()
        return total(whole.hooks, terms), matches

    def _require_a_match(self, member, building):
        """Refuse a regularizer that was to modify some layer, and matched none."""
        if member.hooks["modify_graph"] is None:
            return
        target, optional = member.regularizer.targets, member.regularizer.optional
        known = building.names[target]
        found = member.pattern.resolve(known, {}, member.label, target, optional)
        member.select({name: known[name] for name in found}, optional)

    def constrain(
        self, params: Any, updates: Any, learning_rate: Any
    ) -> dict[Any, Any]:
        """Return updates with the constraints applied; see `Manager.constrain`."""
        params = as_named_dict(params)
        model = build_model(params, params)
        with self._run_state.transaction(model.engine):
            constraining = self._implementing("constrain")
            matches = {member: member.match(model) for member in constraining}
            hooks = HookArguments(self._run_state, model, matches, Counter())
            return constrain(hooks, updates, learning_rate)

    def _implementing(self, hook):
        return [member for member in self.members if member.hooks[hook] is not None]

    @contextlib.contextmanager
    def _all_or_nothing(self):
        """Yield the model being built; where the body fails, leave nothing of it."""
        building, known = self._building, len(self._run_state.arrays.by_key)
        try:
            yield building
        except BaseException:
            if not building.is_over:
                self._run_state.arrays.forget(building.arrays)
                self._building = _Building()
            raise
        building.arrays += list(self._run_state.arrays.by_key)[known:]

    def _publish(self, engine):
        self._run_state.publish_keys()
        if engine.uses_default_updates:
            for variable, new in self.updates.items():
                variable.default_update = new


def _whole_model(layers, outputs):
    """Return the model of all layers; parameters without a name are told apart."""
    named, unnamed = [], []
    for layer in layers:
        for param in getattr(layer, "params", ()):
            if getattr(param, "name", None):
                named.append(param)
            else:
                unnamed.append(param)
    params = named if named or unnamed else None
    model = build_model(outputs, params, layers)
    model.unnamed.extend(unnamed)
    return model
