"""Kept arrays: what regularizers keep between steps.

An array belongs to a parameter, or to the parameters that its output is computed from.
A manager that is applied again finds the array of a parameter under whichever name, and
refuses other parameters under the same name. What is restored before there is a model
waits until a model asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from regplug.composition import saved_state
from regplug.composition.shared import LazySharedVariable
from regplug.errors import (
    CompositionError,
    ModelError,
    RegularizerError,
    faults_as,
    listing,
)
from regplug.graph.rewiring import toposort
from regplug.models.model import Model

__all__ = ["KeptArrays", "State"]


class KeptArray(LazySharedVariable):
    """An array that a regularizer keeps between steps.

    Parameters
    ----------
    key : str
        ``label/name``, by which it is saved.
    value : array
    owners : frozenset of variable
        The parameters that it belongs to. They are held strongly: were they held
        weakly, the garbage collector would decide whether another model of equal names
        is refused. As there is one model a key, they do not add up.
    make : function
        Returns what the array begins as, of the parameter's present value.
    """

    def __init__(
        self,
        key: str,
        value: np.ndarray,
        owners: frozenset,
        make: Callable[[], np.ndarray],
    ):
        super().__init__(f"regplug.state:{key}", value, value.dtype.name)
        self.key, self.owners, self.make = key, owners, make

    def remade(self) -> np.ndarray:
        """Return what the array begins as now."""
        with faults_as(self._cannot_be_made):
            return np.array(self.make(), self.value.dtype)

    def _cannot_be_made(self, what):
        return RegularizerError(
            f"the kept array {self.key!r}: what it begins as raised {what}"
        )


class KeptArrays:
    """The kept arrays of one manager, by key; those of parameters by parameter, too."""

    def __init__(self) -> None:
        self.by_key: dict[str, KeptArray] = {}
        self.by_parameter: dict[tuple[str, Any], KeptArray] = {}
        self._restored: dict[str, np.ndarray] | None = None
        # a whole model was seen, which needs these arrays and no others
        self._is_complete = False

    @property
    def has_model(self) -> bool:
        """Whether it is known which arrays are needed."""
        return self._is_complete or bool(self.by_key)

    def add(
        self,
        key: str,
        owners: frozenset,
        make: Callable[[], np.ndarray],
        parameter: Any = None,
    ) -> KeptArray:
        """Make the array of a new key; what was restored wins."""
        value = make()
        if self._restored is not None:
            value = _restored_array(self._restored, key, value)
        kept = self.by_key[key] = KeptArray(key, value, owners, make)
        if parameter is not None:
            self.by_parameter[key.partition("/")[0], parameter] = kept
        return kept

    def forget(self, keys: Iterable[str]) -> None:
        """Drop arrays."""
        dropped = {self.by_key.pop(key) for key in keys}
        for place, kept in list(self.by_parameter.items()):
            if kept in dropped:
                del self.by_parameter[place]

    def complete(self) -> None:
        """Note that a whole model was seen; refuse arrays that it does not need."""
        unused = (self._restored or {}).keys() - self.by_key.keys()
        if unused:
            raise CompositionError(
                "the state that was restored has arrays that this model does not "
                f"need: {listing(sorted(unused))}; it needs {listing(self.by_key)}. "
                f"{_REMEDY} A state of several models is restored after the manager "
                "was applied to each of them."
            )
        self._restored, self._is_complete = None, True

    def values(self) -> dict[str, np.ndarray] | None:
        """Return copies by key; None where none were made yet."""
        if not self.has_model and self._restored is None:
            return None
        values = {key: array.copy() for key, array in (self._restored or {}).items()}
        values.update((key, kept.get()) for key, kept in self.by_key.items())
        return values

    def checked(self, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return copies of the arrays of a state, which are those of this model.

        Raises
        ------
        CompositionError
        """
        found = {key: saved_state.as_array(key, value) for key, value in arrays.items()}
        if not self.has_model:
            return found
        misfits = {
            "lacks": self.by_key.keys() - found.keys(),
            "has, and this model does not need,": found.keys() - self.by_key.keys(),
        }
        for what, keys in misfits.items():
            if keys:
                raise CompositionError(
                    f"the state {what} the arrays {listing(sorted(keys))}; needed are "
                    f"{listing(self.by_key)}: restore a state of this model. With "
                    "arrays = None they are remade."
                )
        for key, kept in self.by_key.items():
            shape = kept.get().shape
            if found[key].shape != shape:
                what = f"has shape {found[key].shape}, not {shape}"
                raise CompositionError(f"the state's array {key!r} {what}.")
            found[key] = saved_state.converted(key, found[key], kept.value.dtype)
        return found

    def remade(self) -> dict[str, np.ndarray]:
        """Return what each array begins as, of the present values of the parameters."""
        return {key: kept.remade() for key, kept in self.by_key.items()}

    def assign(self, arrays: Mapping[str, np.ndarray] | None) -> None:
        """Assign checked arrays, or None of none; without a model they wait."""
        self._restored = None
        if not self.has_model and arrays is not None:
            self._restored = dict(arrays)
        for key, kept in self.by_key.items():
            assert arrays is not None
            kept.set(arrays[key])


_REMEDY = "Restore a state of this model, or begin anew with manager.restart()."


def _restored_array(restored, key, needed):
    """Return the restored array of a key, for one that begins as `needed`."""
    if key not in restored:
        raise CompositionError(
            f"the state that was restored lacks the array {key!r}, which this model "
            f"needs; it has {listing(restored)}. {_REMEDY}"
        )
    found = restored[key]
    if found.shape != needed.shape:
        remedy = "restore a state of this model, or compose a manager of its own for it"
        raise _misfit("restored", key, found, needed, remedy)
    return saved_state.converted(key, found, needed.dtype)


def _misfit(how, key, found, needed, remedy):
    name = key.partition("/")[2]
    return ValueError(
        f"the array {how} for {name!r} is {found.dtype} of shape {found.shape}, and "
        f"{needed.dtype} of shape {needed.shape} is needed: {remedy}"
    )


class State:
    """The arrays that one regularizer keeps between steps, one for each entry.

    They are shared variables that the manager owns. ``manager.state()`` has them,
    ``manager.restart()`` remakes them. Each belongs to its parameter, or to the
    parameters that its output is computed from.

    Parameters
    ----------
    arrays : KeptArrays
        The manager's.
    engine : module
    label : str
        The regularizer's.
    updates : dict of shared variable to variable
        What a training step makes of kept arrays; it is extended.
    model : Model
    entries : mapping of str to variable
        What matched.
    """

    def __init__(
        self,
        arrays: KeptArrays,
        engine: ModuleType,
        label: str,
        updates: dict[Any, Any],
        model: Model,
        entries: Mapping[str, Any],
    ):
        self._arrays, self._engine, self._label = arrays, engine, label
        self._updates, self._entries = updates, entries
        self._params = model.params
        self._named_or_not = {*model.params.values(), *model.unnamed}

    def __repr__(self) -> str:
        return f"<regplug arrays kept by {self._label!r} for {listing(self._entries)}>"

    def array(self, name: str, start: Any) -> Any:
        """Return the shared variable kept for an entry.

        Parameters
        ----------
        name : str
            The entry.
        start : array, or function
            What it begins as. A function makes it of the present value of the parameter
            `name`, and does so again when the manager restarts; an array is what it is.

        Raises
        ------
        ModelError
            The array of that name belongs to other parameters.
        """
        # not the method: of the model, an array holds the parameter alone, and no graph
        make = partial(_start_of, name, self._params.get(name), start)
        owners, kept = self._owners(name), self._find(name)
        if kept is None:
            entry = self._entries.get(name)
            parameter = entry if owners == {entry} else None
            kept = self._arrays.add(f"{self._label}/{name}", owners, make, parameter)
            return kept.connect(self._engine)
        now, needed = kept.get(), make()
        if (now.shape, now.dtype) != (needed.shape, needed.dtype):
            remedy = "compose a manager of its own for this model"
            raise _misfit("kept", f"{self._label}/{name}", now, needed, remedy)
        # a part of the model may have been handed over, or more of it
        if not (kept.owners <= owners or kept.owners >= owners):
            raise ModelError(
                f"the array that this manager keeps for {name!r} belongs to another "
                "model, whose parameters are other variables: compose a manager of "
                "its own for this model."
            )
        return kept.connect(self._engine)

    def update(self, name: str, new: Any) -> None:
        """Have each training step replace the array kept for an entry by `new`."""
        kept = self._find(name)
        if kept is None:
            remedy = "ask for it with state.array first"
            raise ValueError(f"no array is kept for {name!r}: {remedy}")
        self._updates[kept.connect(self._engine)] = new

    def _find(self, name):
        place = self._label, self._entries.get(name)
        of_parameter = self._arrays.by_parameter.get(place)
        return of_parameter or self._arrays.by_key.get(f"{self._label}/{name}")

    def _owners(self, name):
        """Return the parameters of an entry; of another name those of all entries."""
        entries = list(self._entries.values())
        if name in self._entries:
            entries = [self._entries[name]]
        found = set(entries)
        for node in toposort(entries):
            found.update(node.inputs)
        return frozenset(found & self._named_or_not)


def _start_of(name, param, start):
    """Return what an array begins as."""
    if not callable(start):
        return np.array(start)
    if not hasattr(param, "get_value"):
        what = "no parameter with a value from which an array could be made"
        raise ValueError(f"{name!r} is {what}: start with an array")
    return np.asarray(start(param.get_value()))
