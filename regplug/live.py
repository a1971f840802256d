"""Live values: the shared variables that a manager owns, and that change without a recompile.

They are the weights, the seed's keys, the step, the row offset, and arrays that regularizers keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from numbers import Integral
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from regplug.errors import BadComposition, BadModel, BadOption, did_you_mean
from regplug.noise.reference import site_key
from regplug.schedules import Schedule

if TYPE_CHECKING:
    from regplug.member import Member


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int; refuse what is none, or not in [low, high)."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) < high:
        raise BadOption(f"{name} {value!r} is no integer from {low} to {high - 1}.")
    return int(value)


class Shared:
    """A value that is a NumPy array until a graph is there, and a shared variable from then on."""

    def __init__(self, name: str, value: Any, dtype: str):
        self.name = name
        self.value = np.array(value, dtype)
        self.variable: Any = None

    def get(self) -> np.ndarray:
        """Return the value."""
        return self.value.copy() if self.variable is None else self.variable.get_value()

    def set(self, value: Any) -> None:
        """Assign the value, in compiled functions, too."""
        self.value = np.array(value, self.value.dtype)
        if self.variable is not None:
            self.variable.set_value(self.value)

    def connect(self, engine: ModuleType) -> Any:
        """Return the shared variable, made now if it is not there yet."""
        if self.variable is None:
            with engine.allow_float64():  # weights are kept in float64
                self.variable = engine.shared(self.value, name=self.name)
            self.variable.tag.regplug = True
        return self.variable

    def become(self, variable: Any) -> None:
        """Take a variable of a library's own kind; refuse where one of another kind is in use."""
        if self.variable is None:
            variable.set_value(self.value)
            variable.name, variable.tag.regplug = self.name, True
            self.variable = variable
        elif type(self.variable) is not type(variable):
            raise BadModel(
                f"this manager's {self.name} is in a graph already, as {type(self.variable).__name__}, and this model "
                f"needs a {type(variable).__name__}: compose a manager of its own for it."
            )


class State:
    """The arrays that one regularizer keeps between steps, one for each output or parameter.

    They are shared variables that the manager owns, saves in ``manager.state()`` and restores.
    """

    def __init__(self, live: Live, label: str, updates: dict[Any, Any], params: Mapping[str, Any]):
        self._live, self._label, self._updates, self._params = live, label, updates, params

    def array(self, name: str, start: Any) -> Any:
        """Return the shared variable kept for an entry.

        It begins as `start`: a NumPy array, or a function that makes one of the present value of the parameter `name`.
        """
        key = f"{self._label}/{name}"
        start = np.asarray(start(self._params[name].get_value()) if callable(start) else start)
        kept = self._live.arrays.setdefault(key, Shared(f"regplug.state:{key}", start, start.dtype.name))
        if kept.variable is None:
            kept.value = kept.value.astype(start.dtype)  # it may have been restored from another dtype
        now = kept.get()
        if (now.shape, now.dtype) != (start.shape, start.dtype):
            raise ValueError(
                f"the array kept for {name!r} is {now.dtype} of shape {now.shape}, and {start.dtype} of shape "
                f"{start.shape} is needed: compose a manager of its own for this model"
            )
        return kept.connect(self._live.engine)

    def update(self, name: str, new: Any) -> None:
        """Have each training step replace the array kept for an entry by `new`."""
        self._updates[self._live.arrays[f"{self._label}/{name}"].connect(self._live.engine)] = new


class Live:
    """All that a manager owns and may change.

    Parameters
    ----------
    seed : int
        Within 64 bits.
    members : list of Member
        The composition.
    """

    def __init__(self, seed: int, members: Sequence[Member]):
        self.seed, self.members = seed, members
        self.weighted = {member.label: member for member in members if member.weight is not None}
        self.engine: Any = None
        self.step = Shared("regplug.step", 0, "int64")
        self.row_offset = Shared("regplug.row_offset", 0, "int64")
        self.keys = Shared("regplug.keys", np.zeros((0, 2)), "uint32")
        self.arrays: dict[str, Shared] = {}
        self._sites: dict[tuple, int] = {}

    def connect(self, engine: ModuleType, new_step: Callable[[], Any] | None = None) -> None:
        """Take the engine of the first model, and its kind of step variable; a second of either is refused."""
        if self.engine not in (None, engine):
            raise BadModel(f"this manager serves {self.engine.T.__name__} and the model is of {engine.T.__name__}.")
        self.engine = engine
        if new_step is not None:
            self.step.become(new_step())

    def key_index(self, site: tuple) -> int:
        """Return the row of the keys that a site ``(name, output, k, draw)`` has.

        A new site's key is there at once, as Theano computes test values while a graph is made.
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
        self.keys.set(np.array([site_key(seed, *site) for site in self._sites], "uint32").reshape(-1, 2))

    def _numbers(self) -> dict[str, Member]:
        """Return the members whose weights are numbers, not schedules."""
        return {label: member for label, member in self.weighted.items() if isinstance(member.weight, Shared)}

    def state(self) -> dict[str, Any]:
        """Return what a run needs to continue; see `Manager.state`."""
        weights = {label: float(member.weight.get()) for label, member in self._numbers().items()}
        state = {"seed": self.seed, "step": int(self.step.get()), "weights": weights}
        return state | ({"arrays": {key: each.get() for key, each in self.arrays.items()}} if self.arrays else {})

    def restore(self, state: Any) -> None:
        """Continue from a `state` of a composition with the same labels."""
        is_state = isinstance(state, Mapping) and {"seed", "step", "weights"} <= set(state)
        weights, kept = (state["weights"], state.get("arrays", {})) if is_state else (None, None)
        if not isinstance(weights, Mapping) or not isinstance(kept, Mapping):
            raise BadComposition(f"{state!r} is no state: it needs seed, step and weights; arrays are a mapping.")
        own = self._numbers()
        if set(weights) != set(own):
            found = sorted(map(str, weights))
            raise BadComposition(f"the state has weights of {found}, this composition of {sorted(own)}.")
        seed = check_integer("seed", state["seed"], -(2**63), 2**64)
        step = check_integer("step", state["step"], 0, 2**63)
        try:
            arrays = {key: np.asarray(array) for key, array in kept.items()}
        except ValueError as error:
            raise BadComposition(f"the state's arrays are no arrays: {error}.") from error
        for key, array in arrays.items():
            if array.dtype.kind not in "biuf":
                raise BadComposition(f"the state's array {key!r} is of {array.dtype}, and no array of real numbers.")
            if not any(str(key).startswith(f"{member.label}/") for member in self.members):
                raise BadComposition(f"the state's array {key!r} is of no regularizer of this composition.")
            shape = self.arrays[key].get().shape if key in self.arrays else array.shape
            if array.shape != shape:
                raise BadComposition(f"the state's array {key!r} has shape {array.shape}, not {shape}.")
        values = {label: own[label].check_weight(value) for label, value in weights.items()}
        self.reseed(seed)
        self.step.set(step)
        for label, value in values.items():
            own[label].weight.set(value)
        for key, array in arrays.items():
            self.arrays.setdefault(key, Shared(f"regplug.state:{key}", array, array.dtype.name)).set(array)


class Weights(MutableMapping):
    """The weights by label; assigning one changes compiled functions.

    Raises
    ------
    BadOption
        The label is unknown or has no weight, the value is out of range, the weight follows
        a schedule, or the plugin baked its number into the graph.
    """

    def __init__(self, live: Live):
        self._live, self._members = live, live.weighted

    def __getitem__(self, label: str) -> float:
        if label not in self._members:
            hint, labels = did_you_mean(label, self._members), ", ".join(self._members) or "none"
            raise BadOption(f"no weight labelled {label!r}.{hint} Weights: {labels}.")
        weight = self._members[label].weight
        return float(weight.at(self._live.step.get(), np) if isinstance(weight, Schedule) else weight.get())

    def __setitem__(self, label: str, value: float) -> None:
        self[label]  # raises for an unknown label
        member = self._members[label]
        if isinstance(member.weight, Schedule):
            schedule = dict(member.weight)
            raise BadOption(f"{label}: its weight follows the schedule {schedule}: compose anew to change it.")
        member.weight.set(member.check_weight(value))

    def __delitem__(self, label: str) -> None:
        raise BadOption(f"a weight cannot be deleted: assign 0 to switch {label!r} off.")

    def __contains__(self, label: object) -> bool:
        return label in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return repr(dict(self))
