"""HookArguments: what hooks are handed in one pass over a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from regplug.composition.bound import BoundRegularizer
from regplug.composition.cast_weights import CastWeights
from regplug.composition.kept_arrays import State
from regplug.composition.noise import Noise
from regplug.composition.run_state import RunState
from regplug.models.model import Model

__all__ = ["HookArguments", "Matches"]

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
        """Return where units are, by name; nothing where the hook does not ask for it."""
        if "unit_axis" not in (member.hooks[hook] or ()):
            return {}
        return getattr(self.model, "unit_axis", {})

    def require_used_weights(self) -> None:
        """Refuse weights that nothing used; a constraint may use its own later."""
        for member, matched in self.matches.items():
            if matched and member.hooks["constrain"] is None:
                member.require_used_weight()

    def state(self, member: BoundRegularizer) -> State:
        """Return the arrays that a regularizer keeps."""
        return State(
            self.run_state.arrays,
            self.engine,
            member.label,
            self.kept,
            self.model,
            self.matches[member],
        )

    def noise_at(
        self, member: BoundRegularizer, name: str, variable: Any, training: bool
    ) -> Noise:
        """Return the random source of a regularizer at one entry."""
        return self._noise(member, self._site(member, name, variable), training)

    def noise_of_loss(self, member: BoundRegularizer) -> Noise:
        """Return the random source of a regularizer in its loss."""
        sites = {}
        for name, variable in self.matches[member].items():
            sites[name] = self._site(member, name, variable)
        return self._noise(member, self._site(member, "", None), sites=sites)

    def _noise(
        self,
        member,
        site,
        training=True,
        sites=(),
    ):
        counts_rows = member.regularizer.targets == "outputs"
        return Noise(
            self.run_state,
            site,
            self.draws,
            self.weights.float64,
            counts_rows,
            training,
            dict(sites),
        )

    def _site(self, member, name, variable):
        return member.name, name, self._occurrences[member, variable]


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
