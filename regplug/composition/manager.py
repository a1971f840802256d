"""Manager: the flow from a model to its regularized graph."""

from __future__ import annotations

import contextlib
import itertools
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from regplug.authoring.regularizer import Regularizer
from regplug.composition import saved_state
from regplug.composition.bound import BoundRegularizer
from regplug.composition.copying import pack, unpack
from regplug.composition.graph_pass import GraphPass
from regplug.composition.layerwise import Layerwise
from regplug.composition.model_updates import (
    as_ordered,
    check_updates,
    collect,
    warn_of_unknown,
)
from regplug.composition.result import Result
from regplug.composition.run_state import RunState, Weights, check_integer
from regplug.composition.summary import regularizers_section
from regplug.composition.terms import total, weighted_terms
from regplug.composition.toml import write_document
from regplug.composition.unreached import warn_of_unreached
from regplug.errors import RegplugError, RegplugWarning, listing
from regplug.files import read_whole, write_whole
from regplug.models.adapters import as_model
from regplug.models.naming import ByName
from regplug.readable import Readable, Section
from regplug.text import safe_str

__all__ = ["Manager"]


class Manager(Readable):
    """Calls the regularizers, in the user's order, over a model.

    It is made by `regplug.compose`. ``manager["dropout"]`` is the regularizer of that
    label, iteration gives the regularizers, ``len`` their number; printed, or as the
    last line of a cell, it is a table.

    It is itself a regularizer as theanets knows them: `pattern`, `weight`, `log`,
    `modify_graph`, `loss`.

    It is copied and pickled as its composition, wrapper plugins, seed, state and row
    offset. A copy has live weights, and with theanets a `pattern`, of its own, and was
    applied to no model: the arrays that the original keeps wait for its first one, and
    `restart` drops them. Where it is unpickled, the packages of its regularizers must
    be installed; classes of no package go as Python's pickle takes them, by reference.

    Attributes
    ----------
    weights : mapping of str to float
        The strengths by label. Assigning one changes compiled functions.
    members : list of BoundRegularizer
        The regularizers in the user's order, each with its label and package.
    """

    weight = 1
    _numbers = itertools.count()

    def __init__(self, members: list[BoundRegularizer], seed: int):
        self.members = members
        # theanets keys its graph cache by this text
        self.pattern = f"regplug-{next(self._numbers)}"
        self._run_state = RunState(seed, members)
        self._layerwise = Layerwise(self._run_state, members)
        self._matches: dict[BoundRegularizer, dict[str, Any]] = {}
        self.weights = Weights(self._run_state)

    def __repr__(self) -> str:
        labels = ", ".join(member.label for member in self.members) or "nothing"
        return f"<regplug.Manager of {labels}, seed {self.seed}>"

    def sections(self) -> Iterator[Section]:
        """Return the regularizers, with what they matched last, and the run."""
        more = {"Package": {each.label: each.provenance for each in self.members}}
        if self._matches:
            found = {each.label: listing(self._matches[each]) for each in self._matches}
            more["Matches"] = found
        yield regularizers_section(self.members, self.weights, more)
        step = int(self._run_state.step.get())
        yield Section("Run", (), [f"seed {self.seed}, step {step}"])

    def __getitem__(self, label: str) -> Regularizer:
        regularizers = {each.label: each.regularizer for each in self.members}
        return ByName(regularizers, "regularizer")[label]

    def __iter__(self) -> Iterator[Regularizer]:
        return (member.regularizer for member in self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __bool__(self) -> bool:
        # one of nothing is a manager, too
        return True

    def __contains__(self, item: object) -> bool:
        """Tell whether there is a regularizer, or one of a label."""
        labels = [member.label for member in self.members]
        if isinstance(item, str):
            return item in labels
        return any(item is regularizer for regularizer in self)

    # a model that is already built

    def apply(
        self, model: Any, params: Any = None, layers: Any = None, updates: Any = None
    ) -> Result:
        """Regularize a model that is already built; the model is not changed.

        Parameters
        ----------
        model, params, layers
            See `regplug.as_model`.
        updates : mapping, or list of pairs, of shared variable to variable, optional
            The model's own: the next states of generators that it draws from, running
            statistics of batch normalization, what a scan returned beside its states.
            They belong to the graph as it is; `Result.updates` and
            `Result.clean_updates` have them for the regularized graph and the clean
            one. The ``default_update`` of a shared variable (the random streams of
            Theano and PyTensor have one) is found and need not be handed over. An
            optimizer's updates are none of these: see `Result.constrain`.

        Raises
        ------
        ModelError, NoMatchError, RegularizerError

        Warns
        -----
        RegplugWarning
            The regularized graph draws from a generator whose update is not known; an
            input that is changed is the target, too; or something in the model follows
            what regularizers change, and regplug cannot tell how (see the notes).

        Notes
        -----
        A scan follows what its step reads from its closure as it follows what comes
        through ``non_sequences``: regplug finds the copies that the engine made of it.
        A step that writes the formula of an output anew counts as reading that output.

        A gradient in the model, such as a force, becomes that of the regularized cost:
        by an input or a parameter it is taken by the variable itself, by a hidden
        output by what took its place. What begins with a cotangent of the user's
        (``Lop``, ``pullback``, ``known_grads``, a vectorized Jacobian) shows no cost.
        It is left as it is, with a warning where it computes an activation a second
        time, as that of tanh does, and else, as that of a product, without one: build
        it from ``result.outputs``.

        Live weights, rates and schedules are float64, also beside float32, and some
        formulas are computed in it: the engine's flag ``warn_float64`` is not heeded
        for them. Where it is "raise", set it back to "ignore" to take gradients and to
        compile, as the engine makes new variables of them then.

        Examples
        --------
        A hidden layer that draws, and the mean of a layer over the steps (on Theano,
        streams draw in place of `rng`):

        >>> import numpy as np, pytensor, pytensor.tensor as pt, regplug
        >>> x, rng = pt.matrix("x"), pytensor.shared(np.random.default_rng(0))
        >>> draw = pt.random.poisson(pt.exp(x), rng=rng, return_next_rng=True)
        >>> next_rng, counts = draw
        >>> mean = pytensor.shared(np.zeros(3), name="mean")
        >>> updates = {rng: next_rng, mean: 0.9 * mean + 0.1 * counts.mean(axis=0)}
        >>> manager = regplug.compose(["dropout=0.5@in"])
        >>> result = manager.apply({"in": x, "hid": counts}, updates=updates)
        >>> h = result.outputs["hid"]
        >>> train = pytensor.function([x], h, updates=result.updates)
        >>> h = result.clean["hid"]
        >>> sample = pytensor.function([x], h, updates=result.clean_updates)
        """
        model = as_model(model, params, layers)
        _warn_of_linker(model)
        given = as_ordered({} if updates is None else updates, "apply")
        given = check_updates({**model.updates, **given}, model.engine)
        with self._run_state.transaction(model.engine, model.new_step):
            matches = {member: member.match(model) for member in self.members}
            _warn_of_changed_target(model, matches)
            begin = partial(
                GraphPass,
                self._run_state,
                model,
                matches,
                model_updates=collect(model, given),
            )
            result = self._regularized(begin(), begin(training=False))
        self._matches = matches
        return result

    def _regularized(self, training, clean):
        """Make the graph for training and the clean one, and the terms of both."""
        outputs = training.rewire(self.members)
        warn_of_unreached(training.model, training.matches, self.members)
        always = [m for m in self.members if m.regularizer.applies == "always"]
        clean_outputs = clean.rewire(always)
        known: dict = {}
        terms = weighted_terms(training.hooks, outputs, known)
        clean_terms = weighted_terms(clean.hooks, clean_outputs, known)
        if not training.model.finds_updates:
            warn_of_unknown(training.unadvanced, _REMEDY, stacklevel=4)
        for doubt in training.doubts:
            warnings.warn(f"apply: {doubt}", RegplugWarning, stacklevel=3)
        self._run_state.publish_keys()
        self._run_state.arrays.complete()
        training.hooks.require_used_weights()
        return Result(
            outputs=ByName(outputs, "output"),
            clean=ByName(clean_outputs, "output"),
            loss=total(training.hooks, terms),
            clean_loss=total(clean.hooks, clean_terms),
            terms=ByName(terms, "term"),
            updates=training.updates(),
            clean_updates=clean.rewired_updates(),
            matches=_by_label(training.matches),
            _hooks=training.hooks,
        )

    # a model while it is being built, layer by layer

    def modify_graph(self, outputs: dict[str, Any]) -> None:
        """Regularize the outputs of a layer, in place, before the next one is built.

        Where a layer fails, the next one begins a new model.
        """
        self._layerwise.modify_graph(outputs)

    def loss(self, layers: Iterable[Any], outputs: Mapping[str, Any]) -> Any:
        """Return the sum of the weighted terms of the model built, which this ends.

        Raises
        ------
        NoMatchError
            A pattern matched nothing in the whole model.
        """
        total, self._matches = self._layerwise.loss(layers, outputs)
        return total

    def constrain(
        self, params: Any, updates: Any, learning_rate: Any = None
    ) -> dict[Any, Any]:
        """Return an optimizer's updates, constrained; see `Result.constrain`.

        Parameters
        ----------
        params : mapping of str to variable, or iterable of named variables
            The parameters of the model that was built.
        """
        return self._layerwise.constrain(params, updates, learning_rate)

    def log(self) -> None:
        """Have each regularizer write its line to the ``regplug`` logger.

        Where logging is not configured they go to standard error.
        """
        with _shown_log():
            for member in self.members:
                member.call("log", matched=self._matches.get(member, {}))

    @property
    def updates(self) -> dict[Any, Any]:
        """The updates of the model built with `modify_graph` and `loss`."""
        return self._layerwise.updates

    # what changes without a recompile

    @property
    def seed(self) -> int:
        """The seed of all noise."""
        return self._run_state.seed

    @property
    def row_offset(self) -> int:
        """The number in the whole batch of the first row that this process has."""
        return int(self._run_state.row_offset.get())

    @row_offset.setter
    def row_offset(self, value: int) -> None:
        self._run_state.row_offset.set(check_integer("row_offset", value, 0, 2**63))

    def state(self) -> dict[str, Any]:
        """Return what a run needs to continue to the bit.

        Returns
        -------
        dict
            ``format``, the integer 2; ``seed``; ``step``, from 0 to 2**64 - 1, after
            which it begins anew; ``weights``, a dict of label to float, without those
            that follow a schedule; ``arrays``, a dict of ``label/name`` to array, or
            None where no model was seen yet. The row offset belongs to the process and
            is not in it.
        """
        return self._run_state.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`; compiled functions do so, too.

        Parameters
        ----------
        state : mapping
            What `state` returned, of regplug 0.1, too; arrays may be lists, and numbers
            arrays of no dimensions, as JSON and .npz files have them. Arrays that are
            None are remade as by `restart`. Before there is a model, arrays wait for
            it, and are checked by `apply`.

        Raises
        ------
        CompositionError, OptionError
            The state is not of this composition, not of this model, or has NaN or
            infinite arrays; nothing was changed.
        """
        self._run_state.restore(state)

    def save(self, path: Any) -> None:
        """Save the `state` to a file, with which `load` continues the run.

        The file is written whole or not at all: where the process ends in the middle,
        the one that was there stays. It is an .npz file, whatever its name, without
        pickles.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        CompositionError
            The file cannot be written.
        """
        write_whole(path, saved_state.as_npz(self.state()))

    def load(self, path: Any) -> None:
        """Continue from a file of `save`, as `restore` does from a state.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        CompositionError, OptionError
            The file cannot be read, is none of `save`, or its state is not of this
            composition or model; nothing was changed.
        """
        data = read_whole(path)
        try:
            self.restore(saved_state.from_npz(data))
        except RegplugError as error:
            raise type(error)(f"{safe_str(path)}: {error}") from error

    def restart(self, seed: int | None = None) -> None:
        """Begin a new run: step 0, and each kept array as it would begin now.

        An array that begins as something of its parameter is made of the value that the
        parameter has now, so set the parameters first: `l2_sp` then pulls to these
        values. Weights and the row offset stay. A state that was restored and waits for
        a model is dropped.

        Parameters
        ----------
        seed : int, within 64 bits, optional
            Another seed of all noise.

        Raises
        ------
        OptionError
            The seed is none.
        RegularizerError
            A regularizer cannot make an array anew. In both cases nothing was changed.
        """
        seed = (
            self.seed if seed is None else check_integer("seed", seed, -(2**63), 2**64)
        )
        self._run_state.assign(seed, 0, {}, None)

    def __reduce__(self) -> tuple:
        return _rebuild, (pack(self.members), self.state(), self.row_offset)

    def write(self, path: Any, *, lock: bool = False) -> None:
        """Write the composition, as it was composed, to a TOML file for `regplug.read`.

        Live weights and the step are in `state`. The file is written whole or not at
        all.

        Parameters
        ----------
        path : str or path
        lock : bool
            Whether to write package and version of every regularizer, too;
            `regplug.read` compares them.

        Raises
        ------
        CompositionError
            The file cannot be written, or a file cannot hold an option's value.
        """
        write_document(path, self.seed, self.members, lock)


def _by_label(matches):
    found = {member.label: list(names) for member, names in matches.items()}
    return ByName(found, "regularizer")


_REMEDY = (
    "Write manager.apply(model, updates={generator: its next state}), and pass "
    "result.updates to the function that trains."
)


def _rebuild(packed, state, row_offset):
    """Return a copy of a manager, for `copy` and `pickle`."""
    manager = Manager(unpack(packed), state["seed"])
    manager._run_state.assign(
        state["seed"], state["step"], state["weights"], state["arrays"]
    )
    manager.row_offset = row_offset
    return manager


def _warn_of_changed_target(model, matches):
    """Warn where the network's input, also its target, is going to be changed."""
    for member, found in matches.items():
        is_changing = member.hooks["modify_graph"] is not None
        if not is_changing or member.regularizer.targets != "outputs":
            continue
        for variable in model.compared(found.values()):
            name = model.names["outputs"][variable][0]
            text = (
                f"{member.label}: {name!r} is an input of the network and what its "
                f"result is compared with: the loss reads the changed {name!r}, too. "
                "To leave its use there alone, hand the network a copy: write copy = "
                "x.copy(), where x is that variable, and copy.name = 'copy'; build the "
                f"layers on copy, and match it as an output in the place of {name!r}."
            )
            warnings.warn(text, RegplugWarning, stacklevel=3)


def _warn_of_linker(model):
    """Warn of a dtype that fails only when the user compiles."""
    for name, variable in (model.outputs | model.params).items():
        if problem := model.engine.linker_problem(variable.dtype):
            warnings.warn(
                f"{name!r} is {variable.dtype}, and {problem}.",
                RegplugWarning,
                stacklevel=3,
            )
            return


@contextlib.contextmanager
def _shown_log():
    """Have what is logged seen for a while, as warnings are; leave settings alone."""
    logger = logging.getLogger("regplug")
    if logger.hasHandlers():
        yield
        return
    handler, level = logging.StreamHandler(), logger.level
    logger.addHandler(handler)
    logger.setLevel(level or logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
