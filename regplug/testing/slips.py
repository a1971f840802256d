"""Slips that authors make in hooks, and the check that says what to write instead.

A slip breaks whatever the kit does with a class, so the other checks only point to it.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from typing import Any, NamedTuple

import numpy as np

from regplug.authoring.hookspecs import hookimpl
from regplug.engine import shape_text
from regplug.errors import RegularizerError
from regplug.text import describe_error, short_repr

__all__ = ["SLIPS", "Slip", "Spy", "find_slip"]

SLIPS = (
    "dtypes_and_shapes_are_kept",
    "hooks_change_nothing_in_place",
    "hooks_compute_with_symbols",
    "hooks_return_a_result",
    "loss_is_a_finite_scalar",
)
_RAISED = object()
# what Python, NumPy and the engines say where a variable is asked for its value
_ASKED = re.compile(
    r"boolean|converted to Python|argument must be .*Variable|must be real number"
    r"|non-Integral|interpreted as an integer|has no len\(\)|support iteration"
    r"|array element with a sequence|ufunc|keyword argument 'out'|0-dimensional array"
    r"|expected sequence object"
)


class Slip(NamedTuple):
    """The check that a class fails, and what was seen."""

    check: str
    message: str


class Spy:
    """A wrapper plugin that notes what hooks get and give, before it is checked.

    Attributes
    ----------
    hook : str
        The last one that was called.
    given, returned : object
        The visited entry or the matches, and the result.
    raw : object
        What `loss` returned, before it is cast and weighted.
    changed : str
        The hook and the argument that it changed in place, if it did.
    """

    def __init__(self) -> None:
        self.hook = self.changed = ""
        self.given: Any = None
        self.returned: Any = None
        self.raw: Any = None

    @hookimpl(wrapper=True)
    def modify_graph(self, value):
        """Note what is visited, and what takes its place."""
        return (yield from self._noted("modify_graph", value))

    @hookimpl(wrapper=True)
    def loss(self, matched, outputs):
        """Note the term."""
        arguments = {"matched": matched, "outputs": outputs}
        self.raw = yield from self._noted("loss", matched, **arguments)
        return self.raw

    @hookimpl(wrapper=True)
    def constrain(self, matched):
        """Note the new values."""
        return (yield from self._noted("constrain", matched, matched=matched))

    def _noted(self, hook, given, **mappings):
        self.hook, self.given, self.returned = hook, given, _RAISED
        before = {name: list(each.items()) for name, each in mappings.items()}
        self.returned = yield
        for name, each in mappings.items():
            pairs = zip(before[name], each.items(), strict=False)
            is_same = len(before[name]) == len(each)
            if not is_same or any(old[1] is not new[1] for old, new in pairs):
                self.changed = f"{hook} sets entries of `{name}`"
        return self.returned


def find_slip(cls: type, spy: Spy, error: BaseException) -> Slip | None:
    """Return the slip that explains an error, if one does."""
    if not spy.hook or not isinstance(error, RegularizerError):
        return None
    try:
        return _find(cls, spy, error)
    except KeyboardInterrupt:
        raise
    # a result that raises whatever it is asked
    except BaseException:
        return None


def _find(cls, spy, error):
    if spy.returned is _RAISED:
        return _of_error(cls, spy.hook, error.__cause__ or error)
    if spy.returned is None:
        # that is a loss without a term, and the entry may have been set
        is_set = spy.hook == "modify_graph" and "left the entry" not in str(error)
        if spy.hook == "loss" or is_set:
            return None
        what = f"{spy.hook} returned None: is `return` missing?"
        return Slip("hooks_return_a_result", what)
    results: Any = {spy.hook: (spy.returned, spy.given)}
    if spy.hook == "constrain":
        if not isinstance(spy.returned, dict):
            return None
        given = spy.given
        results = {
            f"constrain: {k}": (v, given.get(k)) for k, v in spy.returned.items()
        }
    found = (_of_result(what, *pair) for what, pair in results.items())
    return next(filter(None, found), None)


def _of_error(cls, hook, error):
    text, place = describe_error(error), _place(cls, error)
    if "item assignment" in text:
        remedy = "write T.set_subtensor(w[i], x), which returns a new variable"
        what = f"{hook} changes a symbolic variable in place{place}: {remedy}"
        return Slip("hooks_change_nothing_in_place", what)
    is_own = place.startswith(" in `raise ")
    if is_own or not isinstance(error, (TypeError, ValueError, AttributeError)):
        return None
    if _ASKED.search(text) or (re.search(r"\b(np|numpy)\.", place) and "Var" in text):
        what = f"{hook} asks a symbolic variable for its value{place}: {text}"
        return Slip("hooks_compute_with_symbols", what)
    return None


def _place(cls, error):
    """Return the author's last line that led to an error, in words."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if file and frame.filename == file:
            where = f"{os.path.basename(file)}, line {frame.lineno}"
            place = f" in `{frame.line}` ({where})"
    return place


def _of_result(what, result, given):
    if isinstance(result, np.ndarray) and result.dtype == object:
        text = f"{what} returned an array of NumPy that holds symbolic variables"
        return Slip("hooks_compute_with_symbols", text)
    if what == "loss":
        return _of_loss(result)
    if not hasattr(result, "ndim") or not hasattr(given, "ndim"):
        return None
    found = []
    if result.dtype != given.dtype:
        found.append(f"dtype {result.dtype}, not {given.dtype}")
    if result.ndim != given.ndim:
        found.append(f"{result.ndim} dimensions, not {given.ndim}")
    if not found:
        return None
    text = f"{what} returned a value of {' and of '.join(found)}"
    return Slip("dtypes_and_shapes_are_kept", text)


def _of_loss(term):
    """Return what is wrong with a term that was refused."""
    if issubclass(type(term), (int, float, np.generic, np.ndarray)):
        what = f"the loss is {short_repr(term)}, which no parameter or output is in"
    elif not hasattr(term, "type") or (not term.ndim and "float" in term.dtype):
        return None
    elif term.ndim:
        what = f"the loss has shape {shape_text(term)}: sum or mean it"
    else:
        what = f"the loss is of dtype {term.dtype}: a float is expected"
    return Slip("loss_is_a_finite_scalar", what)
