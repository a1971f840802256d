"""GraphPass: one walk over one graph, on which regularizers change it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from regplug.authoring.schedules import Schedule
from regplug.composition.bound import BoundRegularizer
from regplug.composition.hook_arguments import HookArguments, Matches
from regplug.composition.hook_results import Fault, check_tensor, refine_type
from regplug.composition.model_updates import ModelUpdates, unadvanced
from regplug.composition.run_state import RunState
from regplug.composition.walk_plan import plan_walk
from regplug.graph.rewiring import rewire
from regplug.models.model import Model

__all__ = ["GraphPass", "PassHistory", "require_float"]


@dataclass
class PassHistory:
    """What passes leave behind for the next one, while a model is being built.

    Attributes
    ----------
    memo : dict of variable to variable
        What was replaced.
    draws : Counter
        How often each noise site has drawn.
    applied_by : dict of variable to set of BoundRegularizer
        Which members made a variable what it is.
    """

    memo: dict[Any, Any] = field(default_factory=dict)
    draws: Counter[tuple] = field(default_factory=Counter)
    applied_by: dict[Any, set[BoundRegularizer]] = field(default_factory=dict)


class GraphPass:
    """One pass over a model.

    Parameters
    ----------
    run_state : RunState
        The manager's shared variables.
    model : Model
    matches : mapping of BoundRegularizer to mapping of str to variable
        What each regularizer matches, in the user's order.
    training : bool
        Whether it makes the graph for training, or the clean one.
    history : PassHistory, optional
        Of the passes before, while the model is being built; it is extended.
    model_updates : ModelUpdates, optional
        What the model itself updates; it is rewired with the outputs.

    Attributes
    ----------
    hooks : HookArguments
    unadvanced : list of shared variable
        After `rewire`: the generators whose next state is not known.
    doubts : list of str
        After `rewire`: what was found to depend on changes, and left as it is.
    """

    def __init__(
        self,
        run_state: RunState,
        model: Model,
        matches: Matches,
        training: bool = True,
        history: PassHistory | None = None,
        model_updates: ModelUpdates | None = None,
    ):
        self.model, self.matches, self.training = model, matches, training
        self.history = history or PassHistory()
        self.model_updates = model_updates or ModelUpdates()
        self.hooks = HookArguments(run_state, model, matches, self.history.draws)
        self.unadvanced: list[Any] = []
        self.doubts: list[str] = []
        self._applied_by: dict[Any, set[BoundRegularizer]] = {}
        self._added: dict[str, Any] = {}

    def rewire(self, members: Iterable[BoundRegularizer]) -> dict[str, Any]:
        """Let `members` modify the graph; return the outputs as they then stand."""
        visits = self._visits(members)
        memo = self.history.memo
        nodes = [*self.model.nodes, *self.model_updates.nodes]
        plan = plan_walk(self.model, nodes, self.model_updates.heads, list(visits))
        for gradient, (cost, by) in plan.gradients.items():
            visit = visits.get(gradient)
            visits[gradient] = partial(self._take_gradient, cost, by, visit)
        self.doubts = plan.doubts
        rewire(plan.nodes, visits, memo, plan.reading)
        self.unadvanced = unadvanced(
            self.model, self.model_updates, memo, visits, plan.reading
        )
        # not earlier: what a hook puts in the place of one output may be another one to
        # visit
        self.history.applied_by.update(self._applied_by)
        outputs = dict(self.model.outputs)
        for member, found in self.matches.items():
            # what the engine named is no output until a pattern names it
            if member.regularizer.targets == "outputs":
                outputs.update(found)
        return self._present(outputs) | self._added

    def _visits(self, members):
        """Return what is to be done at each variable that some of `members` change."""
        visitors: dict[Any, list[BoundRegularizer]] = {}
        for member in _params_first(members):
            if member.hooks["modify_graph"] is not None:
                for variable in self.matches[member].values():
                    visitors.setdefault(variable, []).append(member)
        visits = {}
        for variable, visiting in visitors.items():
            visits[variable] = partial(self._visit, variable, visiting)
        return visits

    def _take_gradient(self, cost, by, visit, current):
        """Take a gradient of the model anew, where its cost was changed."""
        memo, new = self.history.memo, current
        if cost in memo:
            if by.owner is not None:
                by = memo.get(by, by)
            # a regularizer may have cut what it was taken by
            new = self.hooks.engine.grad(memo[cost], by, disconnected_inputs="ignore")
            new = self.hooks.engine.refine_type(new, current)
            new.name = current.name
        if visit is None:
            return new
        return visit(new)

    def _present(self, variables):
        """Return variables as they stand by now."""
        memo = self.history.memo
        return {
            name: memo.get(variable, variable) for name, variable in variables.items()
        }

    def _visit(self, old, members, current):
        """Call `members` in turn at a variable, which is `current` by now."""
        # an earlier layer may share the variable, and have been changed by some
        applied = self.history.applied_by.get(current, set())
        if current.dtype == "float16":
            # the gradient of a root takes the dtype of what the root meets, here that
            # of the weight
            name, current = current.name, self.hooks.engine.T.tensor_copy(current)
            current.name = name
        for member in members:
            if member not in applied:
                current = self._modify(member, old, current)
        self._applied_by[current] = applied.union(members)
        return current

    def _modify(self, member, old, current):
        """Call one regularizer at a variable; return what takes its place."""
        hooks, target = self.hooks, member.regularizer.targets
        name, *others = self.model.names[target][old]
        fault = partial(member.fault, "modify_graph", name)
        require_float(name, current, fault)
        variables = self.model.reachable[target]
        layer = {key: variables[key] for key in self.model.names_in_layer[target][name]}
        layer = self._present(layer) | dict.fromkeys([name, *others], current)
        entry = _VisitedEntry(name, current, layer)
        returned = member.call(
            "modify_graph",
            name,
            name=name,
            value=current,
            outputs=entry,
            weight=hooks.weights.get(member, hooks.engine.working_dtype(current.dtype)),
            noise=hooks.noise(member, name, old, self.training),
            state=hooks.state(member),
            training=self.training,
            unit_axis=hooks.unit_axis(member, "modify_graph").get(name),
        )
        new = _one_of(returned, entry.pop(name, current), current, fault)
        self._take_added(entry, target, fault)
        return refine_type(new, current, hooks.engine, fault)

    def _take_added(self, entry, target, fault):
        """Take over what a hook noted under names of its own, as theanets' do."""
        for name, value in entry.items():
            if target == "params" or name in self.model.outputs:
                raise fault(f"set {name!r}, and it can replace the visited entry only")
            check_tensor(value, self.hooks.engine, fault)
            self._added[name] = value

    def rewired_updates(self) -> dict[Any, Any]:
        """Return the model's own updates, as the replacements leave them."""
        return self.model_updates.rewired(self.history.memo, without=self.unadvanced)

    def updates(self) -> dict[Any, Any]:
        """Return the model's own updates, and those of the step and of kept arrays."""
        step = self.hooks.run_state.step.connect(self.hooks.engine)
        is_scheduled = any(
            matched and isinstance(member.weight, Schedule)
            for member, matched in self.matches.items()
        )
        updates = self.rewired_updates()
        # the step is replaced where something depends on it
        if self.history.draws or self.hooks.kept or is_scheduled:
            updates[step] = step + 1
        updates.update(self.hooks.kept)
        return updates


def require_float(name: str, variable: Any, fault: Fault) -> None:
    """Refuse to change integers and booleans: they would be cut off or wrap."""
    if "float" not in variable.dtype:
        remedy = "cast it to a float in the model, or leave it out of the pattern"
        what = f"{name!r} is {variable.dtype}, and only floats can be changed"
        raise fault(f"{what}: {remedy}")


def _params_first(members):
    """Return members of parameters, then those of outputs, each in the user's order."""
    return sorted(members, key=lambda member: member.regularizer.targets == "outputs")


class _VisitedEntry(dict):
    """A dict of the visited entry, from which the others of its layer can be read."""

    def __init__(self, name: str, value: Any, layer: Mapping[str, Any]):
        super().__init__({name: value})
        self._layer = layer

    def __missing__(self, name: str) -> Any:
        return self._layer[name]


def _one_of(returned, entry, value, fault):
    """Return the new value, which a hook either returned or set."""
    if returned is None:
        if entry is value:
            raise fault("left the entry as it was: return its new value")
        return entry
    if entry is not value:
        raise fault("set the entry in `outputs` and returned a value: do one of them")
    if returned is value:
        remedy = "return a new one; `selects` leaves entries out"
        raise fault(f"returned the entry as it was: {remedy}")
    return returned
