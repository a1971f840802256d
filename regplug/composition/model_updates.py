"""Updates that the model itself has: the states of generators, running statistics."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from regplug.errors import ModelError, RegplugWarning, listing
from regplug.graph.gradients import is_gradient_seed
from regplug.graph.rewiring import toposort
from regplug.models.model import Model

__all__ = [
    "ModelUpdates",
    "as_ordered",
    "check_updates",
    "collect",
    "unadvanced",
    "warn_of_unknown",
]


@dataclass(frozen=True)
class ModelUpdates:
    """What the model itself replaces at each step.

    Attributes
    ----------
    given : dict of shared variable to variable
        What was handed over.
    defaults : dict of shared variable to variable
        The ``default_update`` of the other shared variables that the model depends on.
    nodes : list of apply nodes
        Those that compute the updates and none of the outputs, in topological order.
    """

    given: dict[Any, Any] = field(default_factory=OrderedDict)
    defaults: dict[Any, Any] = field(default_factory=OrderedDict)
    nodes: list[Any] = field(default_factory=list)

    @property
    def heads(self) -> list[Any]:
        """What the model's own updates are."""
        return [*self.given.values(), *self.defaults.values()]

    def rewired(
        self, memo: Mapping[Any, Any], without: Collection[Any] = ()
    ) -> dict[Any, Any]:
        """Return the updates of the graph that `memo` leads to.

        Of the default updates only those are there that are others in that graph: the
        engine finds the rest by itself, and what a function does not use needs no
        update.
        """
        updates = OrderedDict(self.given)  # Theano warns of a plain dict
        for shared, new in self.defaults.items():
            if new in memo and shared not in without:
                updates[shared] = new
        for shared, new in updates.items():
            # Theano takes no column as the update of a matrix, which one may stand in
            # the place of
            updates[shared] = shared.type.filter_variable(memo.get(new, new))
        return updates


def as_ordered(updates: Any, label: str) -> dict[Any, Any]:
    """Return updates, a mapping or a list of pairs, as an ordered mapping.

    Raises
    ------
    ModelError
        It is none of these, or has two updates of one variable.
    """
    try:
        pairs = list(updates.items() if isinstance(updates, Mapping) else updates)
        ordered = OrderedDict(pairs)
    except (TypeError, ValueError) as error:
        what = "no mapping, and no list of pairs, of shared variable to variable"
        raise ModelError(f"{label}: the updates {updates!r} are {what}.") from error
    for shared, new in pairs:
        if ordered[shared] is not new:
            raise ModelError(
                f"{label}: there are two updates of {shared}: hand over one."
            )
    return ordered


def check_updates(updates: Mapping[Any, Any], engine: ModuleType) -> dict[Any, Any]:
    """Return the updates that were handed over, each of the type of its variable.

    Raises
    ------
    ModelError
        What is updated is no shared variable, or the update is of another type.
    """
    checked = OrderedDict()
    for shared, new in updates.items():
        if not isinstance(shared, engine.SharedVariable):
            raise ModelError(
                f"apply: updates has {shared!r}, which is no shared variable of this "
                "engine."
            )
        try:
            checked[shared] = shared.type.filter_variable(new)
        except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
            what = f"{new!r}, and the variable is of type {shared.type}"
            raise ModelError(f"apply: the update of {shared} is {what}.") from error
    return checked


def collect(
    model: Model, given: dict[Any, Any], seen: Collection[Any] = ()
) -> ModelUpdates:
    """Return the updates of a model, with the default ones; `seen` ends the walk.

    Raises
    ------
    ModelError
        An update that was handed over holds a gradient.
    """
    computed = {variable for node in model.nodes for variable in node.outputs}
    computed.update(seen)
    _refuse_gradients(given, computed, model.engine)
    defaults: dict[Any, Any] = OrderedDict()
    # the update of one variable may depend on another one that has an update
    while True:
        heads = [*given.values(), *defaults.values()]
        nodes = toposort(heads, computed)
        # in graph order, each once
        used = dict.fromkeys([*model.outputs.values(), *heads])
        for node in [*model.nodes, *nodes]:
            used.update(dict.fromkeys(node.inputs))
        found = OrderedDict()
        for variable in used:
            new = getattr(variable, "default_update", None)
            if new is not None and variable not in given:
                found[variable] = new
        if len(found) == len(defaults):
            return ModelUpdates(given, defaults, nodes)
        defaults = found


def _refuse_gradients(given, computed, engine):
    """Refuse an optimizer's updates: a gradient, rewired, is one of nothing."""
    for shared, new in given.items():
        if any(is_gradient_seed(node, engine) for node in toposort([new], computed)):
            raise ModelError(
                f"apply: the update of {shared} holds a gradient, which is that of the "
                "graph without regularizers. updates= is for the model's own, such as "
                "generators and running statistics: take gradients of a cost that is "
                "built from result.outputs."
            )


def unadvanced(
    model: Model,
    updates: ModelUpdates,
    memo: Mapping[Any, Any],
    visited: Iterable[Any],
    reading: Mapping[Any, tuple[Any, list[Any]]],
) -> list[Any]:
    """Return the generators that draw anew, and whose next state is not known.

    A generator draws anew where a draw depends on what was replaced.

    Parameters
    ----------
    model : Model
    updates : ModelUpdates
    memo : mapping of variable to variable
        What was replaced or rebuilt.
    visited : iterable of variable
        What regularizers may have replaced.
    reading : mapping of apply node to op and list of variable
        What scans read beside their inputs: see `Closures.reading`.
    """
    made = {variable for node in model.nodes for variable in node.outputs}
    draws = _draws_of_generators(model)
    changed = _changed_nodes(model, memo, visited, made, reading)
    unknown = []
    for shared, nodes in draws.items():
        if shared in updates.given or changed.isdisjoint(nodes):
            continue
        default = updates.defaults.get(shared)
        if default is None or not _is_made_by(nodes, default, made):
            unknown.append(shared)
    return unknown


def _changed_nodes(model, memo, visited, made, reading):
    """Return the nodes that compute something else than before."""
    changed = {variable for variable in visited if variable in memo}
    nodes = set()
    for node in model.nodes:
        if isinstance(node.op, (model.engine.Shape, model.engine.Shape_i)):
            # a draw in the shape of what was replaced is the draw that it was
            continue
        replaced_roots = (v for v in node.inputs if v in memo and v not in made)
        changed.update(replaced_roots)
        _, added = reading.get(node, (None, ()))
        if not changed.isdisjoint((*node.inputs, *added)):
            changed.update(node.outputs)
            nodes.add(node)
    return nodes


def _draws_of_generators(model):
    """Return the nodes that draw from each shared generator, or a later state."""
    origin: dict[Any, Any] = {}
    draws: dict[Any, set[Any]] = {}
    for node in model.nodes:
        for state in node.inputs:
            shared = origin.get(state, state)
            if shared is state and not _is_shared_generator(state, model.engine):
                continue
            draws.setdefault(shared, set()).add(node)
            for output in node.outputs:
                # the state goes on; a Theano scan stacks it
                if _dtype(output) == _dtype(shared):
                    origin[output] = shared
    return draws


def _is_made_by(nodes, variable, made):
    """Tell whether one of the nodes computes a variable by no way of `made`."""
    reached = {variable}
    for node in toposort([variable], made):
        reached.update(node.inputs)
    return any(each.owner in nodes for each in reached)


def _is_shared_generator(variable, engine):
    return isinstance(variable, engine.SharedVariable) and engine.is_generator(variable)


def _dtype(variable):
    """Return the dtype; None of a generator, which has none."""
    return getattr(variable.type, "dtype", None)


def warn_of_unknown(
    generators: Iterable[Any], remedy: str, stacklevel: int = 3
) -> None:
    """Warn of generators whose next state is not known."""
    names = [str(generator) for generator in generators]
    if names:
        text = (
            f"the regularized graph draws from {listing(names)}, and regplug does not "
            "know the update: one that was built with the model advances by the graph "
            f"without regularizers. {remedy}"
        )
        warnings.warn(text, RegplugWarning, stacklevel=stacklevel)
