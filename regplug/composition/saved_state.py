"""What `Manager.state` returns and `Manager.restore` takes: how it is read.

Format 2 has the keys ``format``, ``seed``, ``step``, ``weights`` and ``arrays``; arrays
are None where none were made yet. Format 1 is that of regplug 0.1, which wrote no
format number, and no arrays where there were none. Composition files carry the same
number.
"""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from regplug.errors import CompositionError, did_you_mean

__all__ = ["FORMAT", "as_array", "as_mapping", "check_format", "converted", "unwrapped"]

FORMAT = 2
_KEYS = ("seed", "step", "weights", "arrays")


def unwrapped(value: Any) -> Any:
    """Return what an array of no dimensions holds; .npz files have these."""
    if getattr(value, "ndim", None) == 0:
        return np.asarray(value).item()
    return value


def check_format(what: str, number: Any) -> None:
    """Refuse a format number that this regplug does not read."""
    if number == FORMAT:
        return
    remedy = "there is no such format, and regplug 0.1 wrote none"
    if isinstance(number, int) and number > FORMAT:
        remedy = "upgrade regplug (python -m pip install --upgrade regplug)"
    raise CompositionError(
        f"{what} is of format {number!r}, and this regplug reads {FORMAT}: {remedy}."
    )


def as_mapping(state: Any) -> dict[str, Any]:
    """Return a state with exactly the keys seed, step, weights and arrays.

    Raises
    ------
    CompositionError
        It is no mapping, its format is unknown, or a key is missing or unknown.
    """
    given = unwrapped(state)
    if not isinstance(given, Mapping):
        raise _no_state(state, "it is no mapping")
    try:
        found = {key: unwrapped(value) for key, value in given.items()}
    except ValueError as error:
        # an .npz file reads its entries when they are asked for
        raise CompositionError(f"the state cannot be read: {error}") from error
    if "format" in found:
        check_format("the state", found.pop("format"))
    else:
        found.setdefault("arrays", None)
    for key in _KEYS:
        if key not in found:
            raise _no_state(state, f"there is no {key}")
    for key in found:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS)
            known = f"format, {', '.join(_KEYS)}"
            raise CompositionError(
                f"the state has an unknown key {key!r}.{hint} Keys: {known}."
            )
    for key in ("weights", "arrays"):
        is_none = key == "arrays" and found[key] is None
        if not is_none and not isinstance(found[key], Mapping):
            raise _no_state(state, f"{key} are {found[key]!r}, and no mapping")
    return found


def _no_state(state, what):
    needed = "it needs seed, step, weights and arrays"
    return CompositionError(f"{reprlib.repr(state)} is no state: {needed}; {what}.")


def as_array(key: str, value: Any) -> np.ndarray:
    """Return a copy of a saved array, which JSON makes a list.

    Raises
    ------
    CompositionError
        It is no array of real numbers, or one of them is NaN or infinite.
    """
    try:
        with warnings.catch_warnings():
            # NumPy 1.21 warns of rows of different lengths, later ones raise
            warnings.simplefilter("error")
            array = np.array(value)
    except (ValueError, TypeError, Warning) as error:
        raise _misfit(key, f"is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise _misfit(key, f"is of {array.dtype}, and no array of real numbers")
    if not np.isfinite(array).all():
        remedy = "the run had diverged when it was saved: restore an earlier state"
        raise _misfit(key, f"has entries that are NaN or infinite: {remedy}")
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
    fits = new == array
    if new.dtype.kind == "f":
        fits = np.isfinite(new)
    if not fits.all():
        raise _misfit(key, f"has entries that do not fit {new.dtype}")
    return new


def _misfit(key, what):
    return CompositionError(f"the state's array {key!r} {what}.")
