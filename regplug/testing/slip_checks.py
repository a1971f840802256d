"""Checks of how hooks are written: what breaks all others is told first."""

from __future__ import annotations

from regplug.errors import listing
from regplug.testing.check import check, require


@check
def hooks_return_a_result(subject):
    """A hook without `return` gives None, and nothing is penalized or changed.

    To do: end each hook with `return` and what it computed.
    """
    # none is asked for what takes none of the kit's models
    return f"on {len(subject.cases)} models"


@check
def hooks_compute_with_symbols(subject):
    """Hooks are called once, to build a graph: a variable has no value yet, so neither
    Python nor NumPy can compute with it, or decide by it.

    To do: take the functions of T = regplug.engine.engine_of(w).T: T.maximum(w, 0) for
    np.maximum or max, T.switch(w > 0, a, b) for `if`, w.sum() for np.sum(w).
    """
    return f"on {len(subject.cases)} models"


@check
def hooks_change_nothing_in_place(subject):
    """`matched`, `outputs` and their variables belong to the model and to regularizers
    that come later.

    To do: make new variables and mappings, and return the result.
    """
    changed = {run.changed for run in subject.runs()} - {""}
    require(not changed, listing(sorted(changed)))
