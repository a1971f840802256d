"""Result: a regularized model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from regplug.composition.constraints import constrain
from regplug.composition.hook_arguments import HookArguments
from regplug.composition.run_state import Weights
from regplug.composition.summary import regularizers_section, updates_section
from regplug.composition.wiring import check_wiring
from regplug.errors import CopyError, listing
from regplug.readable import Readable, Section

__all__ = ["Result"]


@dataclass(frozen=True, repr=False)
class Result(Readable):
    """A regularized model; printed, or as the last line of a cell, it is a table.

    Attributes
    ----------
    outputs, clean : dict of str to variable
        The outputs for training, and with the ``always`` changes only.
    loss, clean_loss : scalar variable
        The sum of the weighted terms, on `outputs` and on `clean`; a constant 0 without
        terms.
    terms : dict of str to scalar variable
        Each weighted term, by label.
    updates : dict of shared variable to variable
        To be passed to the function that trains: the step and the kept arrays, where
        something depends on them, and the model's own updates, as the regularizers
        leave them.
    clean_updates : dict of shared variable to variable
        The model's own updates for `clean`: for a function that predicts, where the
        model draws when it predicts. Neither the step nor kept arrays advance.
    matches : dict of str to list of str
        What each regularizer matched, by label, in graph order.
    """

    outputs: dict[str, Any]
    clean: dict[str, Any]
    loss: Any
    clean_loss: Any
    terms: dict[str, Any]
    updates: dict[Any, Any]
    clean_updates: dict[Any, Any]
    matches: dict[str, list[str]]
    _hooks: HookArguments

    def __repr__(self) -> str:
        sizes = f"{len(self.outputs)} outputs, {len(self.terms)} terms"
        labels = listing(self.matches)
        return f"<regplug.Result of {labels}: {sizes}, {len(self.updates)} updates>"

    def sections(self) -> Iterator[Section]:
        """Return the regularizers, with matches and terms, and the updates."""
        matches = {label: listing(found) for label, found in self.matches.items()}
        more = {"Matches": matches, "Term": dict.fromkeys(self.terms, "in loss")}
        weights = Weights(self._hooks.run_state)
        yield regularizers_section(self._hooks.matches, weights, more)
        if self.updates:
            yield updates_section("Updates of the function that trains", self.updates)
        if self.clean_updates:
            title = "Updates of a function of result.clean"
            yield updates_section(title, self.clean_updates)

    def constrain(self, updates: Any, learning_rate: Any = None) -> dict[Any, Any]:
        """Return an optimizer's updates, constrained in the order of the list.

        Parameters
        ----------
        updates : mapping, or list of pairs, of shared variable to variable
        learning_rate : float or scalar variable, optional
            Proximal steps need it.
        """
        with self._hooks.run_state.transaction(self._hooks.engine):
            return constrain(self._hooks, updates, learning_rate)

    def check(self, function: Any) -> None:
        """Check that a compiled function trains as this result says.

        Parameters
        ----------
        function : compiled function
            The one that updates the parameters.

        Raises
        ------
        WiringError
            It draws masks, or keeps arrays, without `updates`; what it computes has not
            the terms of `loss`; or updates are not those of `constrain`.
        """
        check_wiring(self._hooks, self.terms, self.updates, function)

    def __copy__(self) -> Result:
        return replace(self)

    def __reduce__(self) -> tuple:
        raise CopyError(
            "a Result is not pickled, nor copied deeply: it is a part of the graph of "
            "one process. Send the manager instead, which is its composition and "
            "state, and apply it to the model there. manager.write(path) keeps the "
            "composition in a file, manager.save(path) or manager.state() what a run "
            "needs to continue with manager.load(path) or manager.restore(state); "
            "manager.restart() begins a new run."
        )
