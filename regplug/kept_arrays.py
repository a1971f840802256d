"""Kept arrays: what regularizers keep between steps, for one variable each.

An array belongs to the variable of its entry. A manager that is applied again finds it under that variable, under
whichever name, and refuses another variable of the same name. What is restored before there is a model waits until
the model asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from regplug import saved_state
from regplug.errors import BadComposition, BadModel, RegularizerError, listing
from regplug.shared import Shared

if TYPE_CHECKING:
    from regplug.live import Live


class KeptArray(Shared):
    """An array that a regularizer keeps between steps.

    Parameters
    ----------
    key : str
        ``label/name``, by which it is saved.
    value : array
    owner : tuple
        The regularizer's label, and the variable that the array belongs to. It is held
        strongly: were it held weakly, the garbage collector would decide whether another
        model of equal names is refused. As there is one a key, they do not add up.
    make : function
        Returns what the array begins as, of the parameter's present value.
    """

    def __init__(self, key: str, value: np.ndarray, owner: tuple, make: Callable[[], np.ndarray]):
        super().__init__(f"regplug.state:{key}", value, value.dtype.name)
        self.key, self.owner, self.make = key, owner, make

    def remade(self) -> np.ndarray:
        """Return what the array begins as now."""
        try:
            return np.array(self.make(), self.value.dtype)
        except Exception as error:
            what = f"what it begins as raised {type(error).__name__}: {error}"
            raise RegularizerError(f"the kept array {self.key!r}: {what}") from error


class KeptArrays:
    """The kept arrays of one manager, by key and by owner."""

    def __init__(self) -> None:
        self.by_key: dict[str, KeptArray] = {}
        self.by_owner: dict[tuple, KeptArray] = {}
        self._restored: dict[str, np.ndarray] | None = None
        self._is_complete = False  # a whole model was seen, which needs these arrays and no others

    @property
    def has_model(self) -> bool:
        """Whether it is known which arrays are needed."""
        return self._is_complete or bool(self.by_key)

    def add(self, key: str, owner: tuple, make: Callable[[], np.ndarray]) -> KeptArray:
        """Make the array of a new key; what was restored wins over what it begins as."""
        value = make()
        if self._restored is not None:
            value = _taken(self._restored, key, value)
        kept = KeptArray(key, value, owner, make)
        self.by_key[key] = self.by_owner[owner] = kept
        return kept

    def forget(self, keys: Iterable[str]) -> None:
        """Drop arrays."""
        for key in keys:
            del self.by_owner[self.by_key.pop(key).owner]

    def complete(self) -> None:
        """Note that a whole model was seen; refuse restored arrays for which it did not ask."""
        unused = [key for key in self._restored or () if key not in self.by_key]
        if unused:
            raise BadComposition(
                f"the state that was restored has arrays that this model does not need: "
                f"{listing(unused)}; it needs {listing(self.by_key)}. Restore a state of this model, or "
                "begin anew with manager.restart(). A state of several models is restored after the "
                "manager was applied to each of them."
            )
        self._restored, self._is_complete = None, True

    def values(self) -> dict[str, np.ndarray] | None:
        """Return copies by key; None where none were made yet."""
        waiting = self._restored or {}
        values = {key: array.copy() for key, array in waiting.items()}
        values |= {key: kept.get() for key, kept in self.by_key.items()}
        is_made = self.has_model or self._restored is not None
        return values if is_made else None

    def checked(self, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return copies of the arrays of a state: those of this model, where one is there.

        Raises
        ------
        BadComposition
        """
        found = {key: saved_state.as_array(key, value) for key, value in arrays.items()}
        if not self.has_model:
            return found
        missing = [key for key in self.by_key if key not in found]
        unknown = [key for key in found if key not in self.by_key]
        for what, keys in (("lacks", missing), ("has, and this model does not need,", unknown)):
            if keys:
                raise BadComposition(
                    f"the state {what} the arrays {listing(keys)}; needed are {listing(self.by_key)}: "
                    "restore a state of this model. With arrays = None they are remade."
                )
        for key, kept in self.by_key.items():
            shape = kept.get().shape
            if found[key].shape != shape:
                raise BadComposition(
                    f"the state's array {key!r} has shape {found[key].shape}, not {shape}."
                )
            found[key] = saved_state.converted(key, found[key], kept.value.dtype)
        return found

    def remade(self) -> dict[str, np.ndarray]:
        """Return what each array begins as, of the present values of the parameters."""
        return {key: kept.remade() for key, kept in self.by_key.items()}

    def assign(self, arrays: dict[str, np.ndarray] | None) -> None:
        """Assign checked arrays; without a model they wait for one. None stands for none made."""
        self._restored = None if self.has_model else arrays
        for key, kept in self.by_key.items():
            assert arrays is not None
            kept.set(arrays[key])


def _taken(restored: Mapping[str, np.ndarray], key: str, needed: np.ndarray) -> np.ndarray:
    """Return the restored array of a key, for one that begins as `needed`."""
    if key not in restored:
        raise BadComposition(
            f"the state that was restored lacks the array {key!r}, which this model needs; it has "
            f"{listing(restored)}: restore a state of this model, or begin anew with manager.restart()."
        )
    found = restored[key]
    if found.shape != needed.shape:
        remedy = "restore a state of this model, or compose a manager of its own for it"
        raise _misfit("restored", key, found, needed, remedy)
    return saved_state.converted(key, found, needed.dtype)


def _misfit(
    how: str, key: str, found: np.ndarray, needed: np.ndarray, remedy: str
) -> ValueError:
    name = key.partition("/")[2]
    return ValueError(
        f"the array {how} for {name!r} is {found.dtype} of shape {found.shape}, and {needed.dtype} "
        f"of shape {needed.shape} is needed: {remedy}"
    )


class State:
    """The arrays that one regularizer keeps between steps, one for each output or parameter.

    They are shared variables that the manager owns. ``manager.state()`` has them,
    ``manager.restart()`` remakes them. Each belongs to the variable of its entry.

    Parameters
    ----------
    live : Live
    label : str
        The regularizer's.
    updates : dict of shared variable to variable
        What a training step makes of kept arrays; it is extended.
    params : mapping of str to variable
        The model's parameters.
    owners : mapping of str to object
        What the array of each matched entry belongs to.
    model : object
        What an array of any other name belongs to.
    """

    def __init__(
        self,
        live: Live,
        label: str,
        updates: dict[Any, Any],
        params: Mapping[str, Any],
        owners: Mapping[str, Any],
        model: object,
    ):
        self._arrays, self._engine, self._label = live.arrays, live.engine, label
        self._updates, self._params = updates, params
        self._owners, self._model = owners, model

    def array(self, name: str, start: Any) -> Any:
        """Return the shared variable kept for an entry.

        Parameters
        ----------
        name : str
            The entry.
        start : array, or function
            What it begins as. A function makes it of the present value of the parameter `name`, and
            does so again when the manager restarts; an array is what it is.

        Raises
        ------
        BadModel
            The array of that name belongs to another variable.
        """
        key, owner = f"{self._label}/{name}", self._owner(name)
        make = partial(self._begin, name, start if callable(start) else np.array(start))
        kept = self._arrays.by_owner.get(owner) or self._arrays.by_key.get(key)
        if kept is None:
            return self._arrays.add(key, owner, make).connect(self._engine)
        now, needed = kept.get(), make()
        if (now.shape, now.dtype) != (needed.shape, needed.dtype):
            remedy = "compose a manager of its own for this model"
            raise _misfit("kept", key, now, needed, remedy)
        if kept.owner != owner:
            raise BadModel(
                f"the array that this manager keeps for {name!r} belongs to another variable of that "
                "name: compose a manager of its own for this model."
            )
        return kept.connect(self._engine)

    def update(self, name: str, new: Any) -> None:
        """Have each training step replace the array kept for an entry by `new`."""
        kept = self._arrays.by_owner[self._owner(name)]
        self._updates[kept.connect(self._engine)] = new

    def _owner(self, name: str) -> tuple:
        if name in self._owners:
            return self._label, self._owners[name]
        return self._label, name, self._model

    def _begin(self, name: str, start: Any) -> np.ndarray:
        if not callable(start):
            return start
        param = self._params.get(name)
        if not hasattr(param, "get_value"):
            raise ValueError(
                f"{name!r} is no parameter with a value from which an array could be made: start with "
                "an array"
            )
        return np.asarray(start(param.get_value()))
