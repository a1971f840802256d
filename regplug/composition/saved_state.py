"""What `Manager.state` returns and `Manager.restore` takes: the format, and how it is read.

Format 2 has the keys ``format``, ``seed``, ``step``, ``weights`` and ``arrays``; arrays are None where none were
made yet. Format 1 is that of regplug 0.1, which wrote no format number, and no arrays where there were none.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from regplug.errors import CompositionError, did_you_mean

FORMAT = 2
_KEYS = ("seed", "step", "weights")


def unwrapped(value: Any) -> Any:
    """Return the scalar, or the object, in an array of no dimensions: an .npz file makes one of each number."""
    return np.asarray(value).item() if getattr(value, "ndim", None) == 0 else value


def as_mapping(state: Any) -> dict[str, Any]:
    """Return a state with exactly the keys seed, step, weights and arrays.

    Raises
    ------
    CompositionError
        It is no mapping, its format is unknown, or a key is missing or unknown.
    """
    given = unwrapped(state)
    if not isinstance(given, Mapping):
        raise _no_state(state, "seed, step and weights")
    try:
        found = {key: unwrapped(value) for key, value in given.items()}
    except (
        ValueError
    ) as error:  # an .npz file reads its entries when they are asked for
        raise CompositionError(f"the state cannot be read: {error}") from error
    is_old = "format" not in found
    if not is_old:
        _check_format(found.pop("format"))
    missing = [
        key
        for key in (*_KEYS, "arrays")
        if key not in found and not (is_old and key == "arrays")
    ]
    if missing:
        needed = (
            "seed, step and weights" if is_old else "seed, step, weights and arrays"
        )
        raise _no_state(state, f"{needed}, and there is no {', '.join(missing)}")
    for key in found:
        if key not in (*_KEYS, "arrays"):
            known = ("format", *_KEYS, "arrays")
            hint = did_you_mean(key, known)
            raise CompositionError(
                f"the state has an unknown key {key!r}.{hint} Keys: {', '.join(known)}."
            )
    for key in ("weights", "arrays"):
        is_none = key == "arrays" and found.get(key) is None
        if not is_none and not isinstance(found[key], Mapping):
            raise _no_state(
                state,
                f"seed, step and weights; {key} are a mapping, and not {found[key]!r}",
            )
    return {"arrays": None, **found}


def _no_state(state, needed):
    return CompositionError(f"{reprlib.repr(state)} is no state: it needs {needed}.")


def _check_format(number):
    is_number = isinstance(number, Integral) and not isinstance(number, bool)
    if is_number and number > FORMAT:
        remedy = "upgrade regplug (python -m pip install --upgrade regplug)"
        raise CompositionError(
            f"the state is of format {number}, and this regplug reads {FORMAT}: {remedy}."
        )
    if not is_number or number != FORMAT:
        valid = f"it is {FORMAT}, and regplug 0.1 wrote none"
        raise CompositionError(
            f"the state is of format {number!r}, which does not exist: {valid}."
        )


def as_array(key: str, value: Any) -> np.ndarray:
    """Return a copy of a saved array, which JSON makes a list.

    Raises
    ------
    CompositionError
        It is no array of real numbers, or one of them is NaN or infinite.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error"
            )  # NumPy 1.21 warns of rows of different lengths, later ones raise
            array = np.array(value)
    except (ValueError, TypeError, Warning) as error:
        raise CompositionError(
            f"the state's array {key!r} is no array: {error}."
        ) from error
    if array.dtype.kind not in "biuf":
        raise CompositionError(
            f"the state's array {key!r} is of {array.dtype}, and no array of real numbers."
        )
    if not np.isfinite(array).all():
        remedy = "the run had diverged when it was saved: restore an earlier state"
        raise CompositionError(
            f"the state's array {key!r} has entries that are NaN or infinite: {remedy}."
        )
    return array


def converted(key: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    """Return a saved array in the dtype of the one that it is for.

    Floats may be rounded, for a list of JSON is float64.

    Raises
    ------
    CompositionError
        An entry does not fit that dtype.
    """
    with np.errstate(all="ignore"):
        new = array.astype(dtype)
    fits = np.isfinite(new) if new.dtype.kind == "f" else new == array
    if not fits.all():
        raise CompositionError(
            f"the state's array {key!r} has entries that do not fit {new.dtype}."
        )
    return new
