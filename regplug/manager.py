"""Manager and Result: the flow from a model to its regularized graph."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regplug.errors import RegplugWarning
from regplug.live import Live, Weights, check_integer
from regplug.member import Member
from regplug.model import Model, as_model, named, see
from regplug.passes import Pass, Trail


@dataclass(frozen=True)
class Result:
    """A regularized model.

    Attributes
    ----------
    outputs, clean : dict of str to variable
        The outputs for training, and with the ``always`` changes only.
    loss, clean_loss : scalar variable
        The sum of the weighted terms, on `outputs` and on `clean`; a constant 0 without terms.
    terms : dict of str to scalar variable
        Each weighted term, by label.
    updates : dict of shared variable to variable
        To be passed to the function that trains; empty where nothing depends on the step.
    matches : dict of str to list of str
        What each regularizer matched, by label, in graph order.
    """

    outputs: dict[str, Any]
    clean: dict[str, Any]
    loss: Any
    clean_loss: Any
    terms: dict[str, Any]
    updates: dict[Any, Any]
    matches: dict[str, list[str]]
    _pass: Pass = field(repr=False)

    def constrain(self, updates: Any, learning_rate: Any = None) -> dict[Any, Any]:
        """Return an optimizer's updates with the constraints applied, each in the list's order.

        Parameters
        ----------
        updates : mapping, or list of pairs, of shared variable to variable
        learning_rate : float or scalar variable, optional
            Proximal steps need it.
        """
        return self._pass.constrain(updates, learning_rate)


@dataclass
class _Building:
    """What is known of a model while it is being built, layer by layer."""

    trail: Trail = field(default_factory=Trail)
    seen: set[Any] = field(default_factory=set)
    names: dict[str, dict[str, Any]] = field(default_factory=lambda: {"outputs": {}, "params": {}})
    updates: dict[Any, Any] = field(default_factory=OrderedDict)  # Theano warns of a plain dict
    is_over: bool = False


class Manager:
    """Calls the regularizers, in the user's order, over a model. Made by `regplug.compose`.

    It is itself a regularizer as theanets knows them: `pattern`, `weight`, `log`, `modify_graph`,
    `loss`.

    Attributes
    ----------
    weights : mapping of str to float
        The strengths by label. Assigning one changes compiled functions.
    members : list of Member
        The regularizers in the user's order, each with its label and package.
    """

    weight = 1
    _numbers = itertools.count()

    def __init__(self, members: list[Member], seed: int):
        self.members = members
        self.pattern = f"regplug-{next(self._numbers)}"  # theanets keys its graph cache by this text
        self._live = Live(seed, members)
        self._building = _Building()
        self._matches: dict[Member, dict[str, Any]] = {}
        self.weights = Weights(self._live)

    def __repr__(self) -> str:
        labels = ", ".join(member.label for member in self.members) or "nothing"
        return f"<regplug.Manager of {labels}, seed {self.seed}>"

    # a model that is already built

    def apply(self, model: Any, params: Any = None, layers: Any = None) -> Result:
        """Regularize a model that is already built; the model is not changed.

        Parameters
        ----------
        model, params, layers
            See `regplug.as_model`.

        Raises
        ------
        BadModel, NoMatch, RegularizerError
        """
        model = as_model(model, params, layers)
        _warn_of_linker(model)
        self._live.connect(model.engine, model.new_step)
        matches = {member: member.match(model) for member in self.members}
        training, clean = Pass(self._live, model, matches), Pass(self._live, model, matches)
        outputs = training.rewire(self.members)
        clean_outputs = clean.rewire(m for m in self.members if m.regularizer.applies == "always")
        terms = training.terms(outputs)
        clean_terms = clean.terms(clean_outputs, reuse=(terms, outputs))
        self._live.publish_keys()
        self._matches = matches
        return Result(
            outputs=outputs,
            clean=clean_outputs,
            loss=training.total(terms),
            clean_loss=clean.total(clean_terms),
            terms=terms,
            updates=training.updates(),
            matches={member.label: list(found) for member, found in matches.items()},
            _pass=training,
        )

    # a model while it is being built, layer by layer

    def modify_graph(self, outputs: dict[str, Any]) -> None:
        """Regularize the outputs of one layer, in place, before the next layer is built on them."""
        if self._building.is_over:
            self._building = _Building()
        building = self._building
        building.is_over = True  # and stays so where this layer fails
        model = see(outputs, seen=building.seen)
        model.roles = {}  # the layers to come are not known
        self._live.connect(model.engine)
        modifying = [member for member in self.members if member.implements["modify_graph"] is not None]
        matches = {member: member.match(model, optional=True) for member in modifying}
        step = Pass(self._live, model, matches, building.trail)
        outputs.update(step.rewire(modifying))
        building.updates |= step.updates()
        building.seen.update(variable for node in model.nodes for variable in (*node.inputs, *node.outputs))
        building.seen.update(outputs.values())
        building.names["outputs"].update(model.outputs)
        building.names["params"].update(model.params)
        building.is_over = False
        self._publish(model.engine)

    def loss(self, layers: Iterable[Any], outputs: Mapping[str, Any]) -> Any:
        """Return the sum of the weighted terms of the model built, which this ends.

        Raises
        ------
        NoMatch
            A pattern matched nothing in the whole model.
        """
        building = self._building
        building.is_over = True
        layers = list(layers)
        params = [p for layer in layers for p in getattr(layer, "params", ())]
        model = see(outputs, [p for p in params if getattr(p, "name", None)] if params else None, layers)
        model.unnamed.extend(p for p in params if not getattr(p, "name", None))
        self._live.connect(model.engine)
        matches = {}
        for m in self.members:
            if m.implements["modify_graph"] is not None:
                target = m.regularizer.targets
                m.pattern.resolve(building.names[target], {}, m.label, target, m.regularizer.optional)
            matches[m] = m.match(model, optional=m.implements["loss"] is None)
        step = Pass(self._live, model, matches, Trail(draws=Counter(building.trail.draws)))
        terms = step.terms(model.outputs)
        self._matches = matches
        building.updates |= step.updates()
        self._publish(model.engine)
        return step.total(terms)

    def constrain(self, params: Any, updates: Any, learning_rate: Any = None) -> dict[Any, Any]:
        """Return an optimizer's updates with the constraints applied; see `Result.constrain`.

        Parameters
        ----------
        params : mapping of str to variable, or iterable of named variables
            The parameters of the model that was built.
        """
        params = named(params)
        model = see(params, params)
        self._live.connect(model.engine)
        matches = {member: member.match(model) for member in self.members if member.implements["constrain"] is not None}
        return Pass(self._live, model, matches).constrain(updates, learning_rate)

    def log(self) -> None:
        """Have each regularizer write its line to the ``regplug`` logger."""
        for member in self.members:
            member.call("log", matched=self._matches.get(member, {}))

    @property
    def updates(self) -> dict[Any, Any]:
        """The updates of the model built with `modify_graph` and `loss`."""
        return self._building.updates

    def _publish(self, engine: Any) -> None:
        self._live.publish_keys()
        if engine.advances_unasked:
            for variable, new in self.updates.items():
                variable.default_update = new

    # what changes without a recompile

    @property
    def seed(self) -> int:
        """The seed of all noise."""
        return self._live.seed

    @property
    def row_offset(self) -> int:
        """The number, in the whole batch, of the first row that this process works on."""
        return int(self._live.row_offset.get())

    @row_offset.setter
    def row_offset(self, value: int) -> None:
        self._live.row_offset.set(check_integer("row_offset", value, 0, 2**63))

    def state(self) -> dict[str, Any]:
        """Return what a run needs to continue to the bit: seed, step, weights and kept arrays."""
        return self._live.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`; compiled functions do so, too.

        Raises
        ------
        BadComposition, BadOption
            The state is not of this composition; nothing was changed.
        """
        self._live.restore(state)

    def write(self, path: Any, *, lock: bool = False) -> None:
        """Write the composition, as it was composed, to a TOML file for `regplug.read`.

        Live weights and the step are in `state`.

        Parameters
        ----------
        path : str or path
        lock : bool
            Whether to write package and version of every regularizer, too; `regplug.read` compares them.
        """
        from regplug.composition import write

        write(self, path, lock)


def _warn_of_linker(model: Model) -> None:
    """Warn of a dtype that fails only when the user compiles."""
    for name, variable in (model.outputs | model.params).items():
        if problem := model.engine.linker_problem(variable.dtype):
            warnings.warn(f"{name!r} is {variable.dtype}, and {problem}.", RegplugWarning, stacklevel=3)
            return
