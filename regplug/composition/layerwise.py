"""A model that is regularized while it is built, layer by layer, as theanets does."""

from __future__ import annotations

import contextlib
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from regplug.composition.bound import BoundRegularizer
from regplug.composition.graph_pass import GraphPass, PassHistory
from regplug.composition.model_updates import collect, warn_of_unknown
from regplug.composition.run_state import RunState
from regplug.models.build_model import as_named_dict, build_model

__all__ = ["Layerwise"]


@dataclass
class _Building:
    """What is known of a model while it is being built, layer by layer."""

    history: PassHistory = field(default_factory=PassHistory)
    arrays: list[str] = field(
        default_factory=list
    )  # kept for it, as long as it is not over
    seen: set[Any] = field(default_factory=set)
    names: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"outputs": {}, "params": {}}
    )
    updates: dict[Any, Any] = field(
        default_factory=OrderedDict
    )  # Theano warns of a plain dict
    is_over: bool = False


class Layerwise:
    """The manager's protocol for such a model: `modify_graph` for each layer, then `loss`.

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
            model.roles = {}  # the layers to come are not known
            self._run_state.connect(model.engine)
            modifying = [
                member
                for member in self.members
                if member.hooks["modify_graph"] is not None
            ]
            matches = {
                member: member.match(model, optional=True) for member in modifying
            }
            model_updates = collect(model, {}, building.seen)
            step = GraphPass(
                self._run_state, model, matches, building.history, model_updates
            )
            modified = step.rewire(modifying)
            building.updates |= {**step.rewired_updates(), **step.updates()}
            building.seen.update(
                variable
                for node in model.nodes
                for variable in (*node.inputs, *node.outputs)
            )
            building.seen.update(outputs.values(), modified.values())
            building.names["outputs"].update(model.outputs)
            building.names["params"].update(model.params)
            warn_of_unknown(
                step.unadvanced,
                "Build the whole model first, and regularize it with manager.apply(model, updates=...).",
                stacklevel=4,
            )
            self._publish(model.engine)
        outputs.update(modified)

    def loss(
        self, layers: Iterable[Any], outputs: Mapping[str, Any]
    ) -> tuple[Any, dict]:
        """Return the sum of the terms, and what matched; see `Manager.loss`."""
        with self._all_or_nothing() as building:
            layers = list(layers)
            params = [p for layer in layers for p in getattr(layer, "params", ())]
            model = build_model(
                outputs,
                [p for p in params if getattr(p, "name", None)] if params else None,
                layers,
            )
            model.unnamed.extend(p for p in params if not getattr(p, "name", None))
            self._run_state.connect(model.engine)
            matches = {}
            for m in self.members:
                if m.hooks["modify_graph"] is not None:
                    target = m.regularizer.targets
                    m.pattern.resolve(
                        building.names[target],
                        {},
                        m.label,
                        target,
                        m.regularizer.optional,
                    )
                matches[m] = m.match(model, optional=m.hooks["loss"] is None)
            step = GraphPass(
                self._run_state,
                model,
                matches,
                PassHistory(draws=Counter(building.history.draws)),
            )
            terms = step.terms(model.outputs)
            building.updates |= step.updates()
            self._publish(model.engine)
            self._run_state.arrays.complete()
        building.is_over = True
        return step.total(terms), matches

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[_Building]:
        """Yield the model being built; where the body fails, leave nothing of what it made, nor of that model."""
        building, known = self._building, len(self._run_state.arrays.by_key)
        try:
            with self._run_state.undo_on_failure():
                yield building
        except BaseException:
            if not building.is_over:
                self._run_state.arrays.forget(building.arrays)
                self._building = _Building()
            raise
        building.arrays += list(self._run_state.arrays.by_key)[known:]

    def constrain(
        self, params: Any, updates: Any, learning_rate: Any
    ) -> dict[Any, Any]:
        """Return updates with the constraints applied; see `Manager.constrain`."""
        params = as_named_dict(params)
        with self._run_state.undo_on_failure():
            model = build_model(params, params)
            self._run_state.connect(model.engine)
            constraining = [
                member
                for member in self.members
                if member.hooks["constrain"] is not None
            ]
            matches = {member: member.match(model) for member in constraining}
            return GraphPass(self._run_state, model, matches).constrain(
                updates, learning_rate
            )

    def _publish(self, engine: ModuleType) -> None:
        self._run_state.publish_keys()
        if engine.uses_default_updates:
            for variable, new in self.updates.items():
                variable.default_update = new
