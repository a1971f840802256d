"""RunState: the shared variables of a manager, which change without a recompile.

They are the weights, the seed's keys, the step, the row offset, and arrays that
regularizers keep.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from numbers import Integral
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from regplug.authoring.schedules import Schedule
from regplug.composition import saved_state
from regplug.composition.kept_arrays import KeptArrays
from regplug.composition.shared import LazySharedVariable
from regplug.errors import (
    CompositionError,
    ModelError,
    OptionError,
    UnknownNameError,
    did_you_mean,
    listing,
)
from regplug.noise.reference import site_key
from regplug.text import safe_str, short_repr

if TYPE_CHECKING:
    from regplug.composition.bound import BoundRegularizer

__all__ = ["RunState", "Weights", "check_integer"]


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int; refuse what is none, or not in [low, high)."""
    value = saved_state.unwrapped(value)
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or not low <= int(value) < high:
        what = f"is no integer from {low} to {high - 1}"
        raise OptionError(f"{name} {short_repr(value)} {what}.")
    return int(value)


class RunState:
    """All that a manager owns and may change.

    Parameters
    ----------
    seed : int
        Within 64 bits.
    members : list of BoundRegularizer
        The composition.
    """

    def __init__(self, seed: int, members: Sequence[BoundRegularizer]):
        self.seed, self.members = seed, members
        self.engine: Any = None
        self.step = LazySharedVariable("regplug.step", 0, "int64")
        self.row_offset = LazySharedVariable("regplug.row_offset", 0, "int64")
        self.keys = LazySharedVariable("regplug.keys", np.zeros((0, 2)), "uint32")
        self.arrays = KeptArrays()
        self.weighted = {}
        # of these the weights that are numbers, and follow no schedule
        self._numbers: dict[str, LazySharedVariable] = {}
        for member in members:
            if member.weight is not None:
                self.weighted[member.label] = member
            if isinstance(member.weight, LazySharedVariable):
                self._numbers[member.label] = member.weight
        self._sites: dict[tuple, int] = {}

    @contextlib.contextmanager
    def transaction(
        self, engine: ModuleType, new_step: Callable[[], Any] | None = None
    ) -> Iterator[None]:
        """Work on a graph of an engine; take back all of it where the body fails.

        That is: engine, variables, noise sites and kept arrays. The engine takes
        float64 beside float32 meanwhile: weights are float64, and some formulas compute
        in it.
        """
        shared = [self.step, self.row_offset, self.keys, *self._numbers.values()]
        variables = [each.variable for each in shared]
        former_engine, keys = self.engine, self.keys.get()
        site_count, array_count = len(self._sites), len(self.arrays.by_key)
        try:
            self._connect(engine, new_step)
            with engine.allow_float64():
                yield
        except BaseException:
            self.engine = former_engine
            for each, variable in zip(shared, variables, strict=True):
                each.variable = variable
            self.keys.set(keys)
            for site in list(self._sites)[site_count:]:
                del self._sites[site]
            self.arrays.forget(list(self.arrays.by_key)[array_count:])
            raise

    def _connect(self, engine, new_step):
        """Take the first model's engine and kind of step; refuse a second of either."""
        if self.engine not in (None, engine):
            own, other = self.engine.T.__name__, engine.T.__name__
            raise ModelError(f"this manager serves {own} and the model is of {other}.")
        self.engine = engine
        if new_step is not None:
            self.step.become(new_step())

    def key_index(self, site: tuple) -> int:
        """Return the row of the keys that a site ``(name, output, k, draw)`` has.

        A new site's key is there at once, as Theano computes test values while a graph
        is made.
        """
        if site not in self._sites:
            row = self._sites[site] = len(self._sites)
            keys = self.keys.connect(self.engine)
            table = keys.get_value(borrow=True)
            if row >= len(table):  # twice as long: each key is moved a few times only
                table = np.concatenate([table, np.zeros((max(row, 8), 2), "uint32")])
                keys.set_value(table, borrow=True)
            table[row] = site_key(self.seed, *site)
        return self._sites[site]

    def publish_keys(self) -> None:
        """Cut the keys to those of the sites."""
        self.keys.set(self.keys.get()[: len(self._sites)])

    def reseed(self, seed: int) -> None:
        """Change the seed, of compiled functions, too."""
        self.seed = seed
        keys = [site_key(seed, *site) for site in self._sites]
        self.keys.set(np.array(keys, "uint32").reshape(-1, 2))

    def state(self) -> dict[str, Any]:
        """Return what a run needs to continue; see `Manager.state`."""
        weights = {label: float(each.get()) for label, each in self._numbers.items()}
        return {
            "format": saved_state.FORMAT,
            "seed": self.seed,
            # as an int64 it goes on below zero, to the same masks
            "step": int(self.step.get()) % 2**64,
            "weights": weights,
            "arrays": self.arrays.values(),
        }

    def restore(self, state: Any) -> None:
        """Continue from a `state` of a composition with the same labels."""
        state = saved_state.as_mapping(state)
        seed = check_integer("seed", state["seed"], -(2**63), 2**64)
        step = check_integer("step", state["step"], 0, 2**64)
        weights = self._checked_weights(state["weights"])
        arrays = self._checked_arrays(state["arrays"])
        self.assign(seed, step, weights, arrays)

    def _checked_weights(self, weights):
        if weights.keys() != self._numbers.keys():
            found, needed = sorted(map(safe_str, weights)), sorted(self._numbers)
            what = f"weights of {short_repr(found)}, this composition of"
            raise CompositionError(f"the state has {what} {short_repr(needed)}.")
        checked = {}
        for label, value in weights.items():
            checked[label] = self.weighted[label].check_weight(value)
        return checked

    def _checked_arrays(self, arrays):
        if arrays is None:
            return None
        labels = {member.label for member in self.members}
        for key in arrays:
            if safe_str(key).partition("/")[0] not in labels:
                what = "is of no regularizer of this composition"
                raise CompositionError(f"the state's array {short_repr(key)} {what}.")
        return self.arrays.checked(arrays)

    def assign(
        self,
        seed: int,
        step: int,
        weights: Mapping[str, float],
        arrays: dict[str, np.ndarray] | None,
    ) -> None:
        """Set what a state has, all of it checked; arrays that are None are remade."""
        if arrays is None and self.arrays.has_model:
            arrays = self.arrays.remade()
        self.reseed(seed)
        # an int64 counts on below zero
        self.step.set((step + 2**63) % 2**64 - 2**63)
        for label, value in weights.items():
            self._numbers[label].set(value)
        self.arrays.assign(arrays)


class UnknownWeightError(UnknownNameError, OptionError):
    """A label that has no weight."""


class Weights(MutableMapping):
    """The weights by label; assigning one changes compiled functions.

    Raises
    ------
    OptionError
        The label is unknown or has no weight, the value is out of range, the weight
        follows a schedule, or the plugin baked its number into the graph.
    """

    def __init__(self, run_state: RunState):
        self._run_state, self._members = run_state, run_state.weighted

    def __getitem__(self, label: str) -> float:
        weight = self._member(label).weight
        if isinstance(weight, Schedule):
            return float(weight.at(self._run_state.step.get(), np))
        return float(weight.get())

    def __setitem__(self, label: str, value: float) -> None:
        member = self._member(label)
        if isinstance(member.weight, Schedule):
            what = f"its weight follows the schedule {dict(member.weight)}"
            raise OptionError(f"{label}: {what}: compose anew to change it.")
        member.weight.set(member.check_weight(value))

    def __delitem__(self, label: str) -> None:
        remedy = f"assign 0 to switch {label!r} off"
        raise OptionError(f"a weight cannot be deleted: {remedy}.")

    def _member(self, label):
        if not isinstance(label, str) or label not in self._members:
            hint, labels = did_you_mean(label, self._members), listing(self._members)
            raise UnknownWeightError(
                f"no weight labelled {short_repr(label)}.{hint} Weights: {labels}."
            )
        return self._members[label]

    def __contains__(self, label: object) -> bool:
        return label in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple:
        # a copy is the numbers: what is live stays with the manager
        return dict, (dict(self),)
