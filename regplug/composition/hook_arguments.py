"""HookArguments: what hooks are handed in one pass over a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from regplug.authoring.options import options_of
from regplug.authoring.schedules import Schedule
from regplug.composition.bound import BoundRegularizer
from regplug.composition.kept_arrays import State
from regplug.composition.noise import Noise
from regplug.composition.run_state import RunState
from regplug.models.model import Model

__all__ = ["HookArguments", "Matches", "common_dtype"]

Matches = Mapping[BoundRegularizer, Mapping[str, Any]]


class HookArguments:
    """What hooks are handed in one pass over a model.

    Parameters
    ----------
    run_state : RunState
        The manager's shared variables.
    model : Model
    matches : mapping of BoundRegularizer to mapping of str to variable
        What each regularizer matches, in the user's order.
    draws : Counter
        How often each noise site has drawn; it is extended.

    Attributes
    ----------
    weights : CastWeights
    kept : dict of shared variable to variable
        What a training step makes of kept arrays.
    """

    def __init__(
        self, run_state: RunState, model: Model, matches: Matches, draws: Counter[tuple]
    ):
        self.run_state, self.model, self.matches = run_state, model, matches
        self.engine = model.engine
        self.draws = draws
        self.weights = CastWeights(run_state)
        self.kept: dict[Any, Any] = {}
        self._states: dict[BoundRegularizer, State] = {}
        self._occurrences = _count_occurrences(matches)

    def widened(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return variables in the dtypes that formulas are computed in."""
        wide = {}
        for name, variable in variables.items():
            dtype = self.engine.working_dtype(variable.dtype)
            wide[name] = self.engine.T.cast(variable, dtype)
        return wide

    def unit_axis(
        self, member: BoundRegularizer, hook: str
    ) -> Mapping[str, int | None]:
        """Return where units are, by name; nothing where the hook does not ask."""
        if "unit_axis" not in (member.hooks[hook] or ()):
            return {}
        return self.model.unit_axis

    def require_used_weights(self) -> None:
        """Refuse weights that nothing used; a constraint may use its own later."""
        for member, matched in self.matches.items():
            if matched and member.hooks["constrain"] is None:
                member.require_used_weight()

    def state(self, member: BoundRegularizer) -> State:
        """Return the arrays that a regularizer keeps."""
        if member not in self._states:
            self._states[member] = State(
                self.run_state.arrays,
                self.engine,
                member.label,
                self.kept,
                self.model,
                self.matches[member],
            )
        return self._states[member]

    def noise(
        self, member: BoundRegularizer, name: str, variable: Any, training: bool
    ) -> Noise:
        """Return the random source of a regularizer at one entry."""
        counts_rows = member.regularizer.targets == "outputs"
        return Noise(
            self.run_state,
            (member.name, name, self._occurrences[member, variable]),
            self.draws,
            self.weights.float64,
            counts_rows,
            training,
        )

    def noise_of_loss(self, member: BoundRegularizer) -> Noise:
        """Return the random source of a regularizer in its loss."""
        sites = {}
        for name, variable in self.matches[member].items():
            sites[name] = member.name, name, self._occurrences[member, variable]
        return replace(self.noise(member, "", None, training=True), _sites=sites)


def _count_occurrences(matches):
    """Return how many earlier regularizers have the same name at a variable.

    Noise tells them apart by it. The loss, which is of no variable, is None.
    """
    earlier: Counter[tuple[str, Any]] = Counter()
    occurrences = {}
    for member, matched in matches.items():
        for variable in (None, *matched.values()):
            occurrences[member, variable] = earlier[member.name, variable]
            earlier[member.name, variable] += 1
    return occurrences


class CastWeights:
    """The weights as hooks see them, one variable for each regularizer and dtype.

    Attributes
    ----------
    float64 : dict of variable to variable
        A weight as a hook sees it -> the same in float64, which thresholds are computed
        from.
    """

    def __init__(self, run_state: RunState):
        self.float64: dict[Any, Any] = {}
        self._run_state = run_state
        self._cast: dict[tuple[BoundRegularizer, str], Any] = {}

    def get(self, member: BoundRegularizer, dtype: str) -> Any:
        """Return a regularizer's weight in a dtype; None where it has none."""
        if member.weight is None:
            return None
        key = member, dtype
        if key not in self._cast:
            weight = self._float64_weight(member)
            self._cast[key] = self._cast_below_bound(weight, member, dtype)
            self.float64[self._cast[key]] = weight
        return self._cast[key]

    def _float64_weight(self, member):
        engine = self._run_state.engine
        if isinstance(member.weight, Schedule):
            return member.weight.at(self._run_state.step.connect(engine), engine.T)
        return member.weight.connect(engine)

    def _cast_below_bound(self, weight, member, dtype):
        T = self._run_state.engine.T
        weight = T.cast(weight, dtype)
        option = options_of(type(member.regularizer)).get("weight")
        if dtype == "float64" or option is None or "lt" not in option.bounds:
            return weight
        # rounded, a weight may reach its bound: a rate of 0.99999999 is 1 in float32
        bound, zero = np.array([option.bounds["lt"], 0], dtype)
        return T.minimum(weight, np.nextafter(bound, zero))


def common_dtype(variables: Iterable[Any], otherwise: str = "") -> str:
    """Return the float dtype that holds the floats among variables."""
    floats = [variable.dtype for variable in variables if "float" in variable.dtype]
    return np.result_type(*floats).name if floats else otherwise
