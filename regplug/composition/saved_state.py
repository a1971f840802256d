"""What `Manager.state` returns and `Manager.restore` takes: how it is read.

Format 2 has the keys ``format``, ``seed``, ``step``, ``weights`` and ``arrays``; arrays
are None where none were made yet. Format 1 is that of regplug 0.1, which wrote no
format number, and no arrays where there were none. Composition files carry the same
number.

In a file of `Manager.save` the arrays have numbers, as their keys may be any text; the
keys are with the rest, which is JSON, in the array "state".
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from regplug.errors import CompositionError, did_you_mean
from regplug.text import describe_error, short_repr

__all__ = [
    "FORMAT",
    "as_array",
    "as_mapping",
    "as_npz",
    "check_format",
    "converted",
    "from_npz",
    "unwrapped",
]

FORMAT = 2
_KEYS = ("seed", "step", "weights", "arrays")


def unwrapped(value: Any) -> Any:
    """Return what an array of no dimensions holds; .npz files have these."""
    if getattr(value, "ndim", None) == 0:
        return np.asarray(value).item()
    return value


def check_format(what: str, number: Any) -> None:
    """Refuse a format number that this regplug does not read."""
    if isinstance(number, int) and number == FORMAT:
        return
    remedy = "there is no such format, and regplug 0.1 wrote none"
    if isinstance(number, int) and number > FORMAT:
        remedy = "upgrade regplug (python -m pip install --upgrade regplug)"
    found = f"is of format {short_repr(number)}, and this regplug reads {FORMAT}"
    raise CompositionError(f"{what} {found}: {remedy}.")


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
    except Exception as error:
        # an .npz file reads its entries when they are asked for
        what = f"the state cannot be read: {describe_error(error)}"
        raise CompositionError(f"{what}.") from error
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
                f"the state has an unknown key {short_repr(key)}.{hint} Keys: {known}."
            )
    for key in ("weights", "arrays"):
        is_none = key == "arrays" and found[key] is None
        if not is_none and not isinstance(found[key], Mapping):
            raise _no_state(
                state, f"{key} are {short_repr(found[key])}, and no mapping"
            )
    return found


def _no_state(state, what):
    needed = "it needs seed, step, weights and arrays"
    return CompositionError(f"{short_repr(state)} is no state: {needed}; {what}.")


def as_npz(state: Mapping[str, Any]) -> bytes:
    """Return a state as an .npz file holds it, without pickles."""
    arrays, header = {}, dict(state)
    if state["arrays"] is not None:
        header["arrays"] = list(state["arrays"])
        for number, array in enumerate(state["arrays"].values()):
            arrays[f"array {number}"] = array
    text = json.dumps(header).encode()
    file = io.BytesIO()
    np.savez(file, state=np.frombuffer(text, "uint8"), **arrays)
    return file.getvalue()


def from_npz(data: bytes) -> dict[str, Any]:
    """Return the state that `as_npz` wrote; `Manager.restore` checks what it says.

    Raises
    ------
    CompositionError
        It is no such file, or not all of it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # nothing is packed: what is said to be longer is another's
            if sum(entry.file_size for entry in archive.infolist()) > len(data):
                raise ValueError("its entries are longer than the file")
            state = json.loads(_entry(archive, "state").tobytes())
            keys = state["arrays"]
            if keys is not None:
                state["arrays"] = {}
                for number, key in enumerate(keys):
                    state["arrays"][str(key)] = _entry(archive, f"array {number}")
        return dict(state)
    except Exception as error:
        fault = describe_error(error)[:300]
        what = f"it is no whole file of manager.save: {fault}"
        remedy = "give an older one that is whole, or begin anew"
        raise CompositionError(f"{what}: {remedy}.") from error


def _entry(archive, name):
    # read to its end, where its checksum is compared
    file = io.BytesIO(archive.read(f"{name}.npy"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.lib.format.read_array(file, allow_pickle=False)


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
    return CompositionError(f"the state's array {short_repr(key)} {what}.")
