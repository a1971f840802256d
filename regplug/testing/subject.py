"""Subject: a regularizer under test, applied to the kit's samples."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from regplug.authoring.options import REQUIRED, options_of
from regplug.authoring.regularizer import (
    Regularizer,
    hook_arguments,
    non_default_options,
    uses_weight,
)
from regplug.composition.compose import compose
from regplug.composition.manager import Manager, Result
from regplug.engine import engine_of
from regplug.errors import RegplugError, RegplugWarning, RegularizerError
from regplug.testing.check import NotApplicable
from regplug.testing.graphs import function, installed_engine
from regplug.testing.samples import KINDS, Kind, Sample
from regplug.testing.slips import Slip, Spy, find_slip
from regplug.testing.values import example, values


class Refused(Exception):
    """The regularizer refuses a model, by a ValueError or an error of regplug."""


class Case(NamedTuple):
    """A kind of sample, and the pattern that is given for it, if one is."""

    kind: Kind
    options: dict[str, Any]

    @property
    def name(self):
        """The model's name."""
        return self.kind.__name__

    def sample(self, dtype="float64"):
        """Return a new sample on the engine of this Python."""
        return self.kind(installed_engine(), dtype)


@dataclass
class Run:
    """A composition applied to one sample: all that it may change, compiled.

    Attributes
    ----------
    raw : variable or None
        What the loss returned, before it was cast and weighted.
    changed : str
        What hooks changed in place; empty where they did not.
    """

    case: Case
    sample: Sample
    manager: Manager
    result: Result
    raw: Any = None
    changed: str = ""

    def __post_init__(self):
        self._start = self.manager.state()

    def restart(self):
        """Go back to the start: step, weights and kept arrays."""
        self.manager.restore(self._start)
        return self

    @property
    def regularizer(self):
        """The instance under test."""
        return self.manager.members[0].regularizer

    @property
    def label(self):
        """Its label."""
        return self.manager.members[0].label

    @property
    def weight(self):
        """Its weight."""
        return self.manager.weights[self.label]

    @weight.setter
    def weight(self, value):
        self.manager.weights[self.label] = value

    @property
    def is_live(self):
        """Whether its weight can be changed."""
        is_static = self.manager.members[0].has_static_weight
        return self.label in self.manager.weights and not is_static

    @property
    def matched(self):
        """What it matched."""
        return self.result.matches[self.label]

    @cached_property
    def variables(self):
        """What a step gives, by name: the outputs, the loss, the updated parameters."""
        params = self.sample.unique_params
        updates = [(p, p * np.asarray(1.25, p.dtype)) for p in params]
        updated = self.result.constrain(updates, learning_rate=0.1)
        variables = {**self.result.outputs, "loss": self.result.loss}
        for name, p in self.sample.params.items():
            variables[f"updated {name}"] = updated[p]
        return variables

    @cached_property
    def _step(self):
        outputs = list(self.variables.values())
        return function([self.sample.x], outputs, updates=self.result.updates)

    @cached_property
    def objective(self):
        """A scalar of the loss and, with a weight each, of all values of outputs."""
        T, total = engine_of(self.sample.x).T, self.result.loss
        for output in self.result.outputs.values():
            weights = T.cast(T.cos(T.arange(output.size)), output.dtype)
            total = total + (output.flatten() * weights).sum()
        return total

    @cached_property
    def backward(self):
        """The compiled gradients of the objective by the input and the parameters."""
        grad = engine_of(self.sample.x).grad
        wrt = [self.sample.x, *self.sample.unique_params]
        gradients = grad(self.objective, wrt, disconnected_inputs="ignore")
        return function([self.sample.x], gradients)

    def scaled_params(self, factor):
        """Have all parameters multiplied by a number for a while."""
        return self.sample.perturbed_params(lambda value: value * factor)

    def one_step(self, x=None):
        """Run a step on the sample's input or another one; return values by name.

        Raises
        ------
        Refused
            The graph checks what it is given, and it does not fit.
        """
        if x is None:
            x = self.sample.value
        try:
            return dict(zip(self.variables, self._step(x), strict=True))
        except (ValueError, AssertionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise Refused(f"the compiled step raised {what}") from error

    def steps(self, count):
        """Run some steps; return what each gave."""
        return [self.one_step() for _ in range(count)]


def without_regularizer(case, sample):
    """Return what a step gives on a sample as it is."""
    manager = compose([])
    result = manager.apply(sample.outputs, sample.params)
    return Run(case, sample, manager, result).one_step()


@lru_cache
def baseline(kind, dtype="float64"):
    """Return what a step gives without any regularizer."""
    case = Case(kind, {})
    return without_regularizer(case, case.sample(dtype))


class Subject:
    """A regularizer under test.

    Parameters
    ----------
    regularizer : subclass or instance of Regularizer
        An instance says with which options; a class is given a value from its range for
        each option that must be given.

    Attributes
    ----------
    refusals : list of str
        Why models are missing in `accepted`.
    error : Exception or None
        What broke the search for them.
    said : dict of str to str
        What was seen to be wrong -> the check that said it first.
    """

    def __init__(self, regularizer):
        self.cls: Any = regularizer
        self.given: dict[str, Any] = {}
        if not isinstance(regularizer, type):
            self.cls = type(regularizer)
            self.given = non_default_options(regularizer)
        self._runs: dict[tuple, Run] = {}
        self.refusals: list[str] = []
        self.error: BaseException | None = None
        self.said: dict[str, str] = {}
        self._slip: Slip | None = None

    @property
    def name(self):
        """The class's name."""
        return self.cls.__name__

    @property
    def needs(self):
        """A value for each option that must be given."""
        found = {}
        for name, option in options_of(self.cls).items():
            if option.default is REQUIRED:
                found[name] = example(option)
        if hasattr(self.cls, "weight") or not self.uses_weight:
            found.pop("weight", None)
        return found

    @cached_property
    def uses_weight(self):
        """Whether hooks take the weight, or read self.weight, as in theanets."""
        if uses_weight(self.cls) or "weight" not in options_of(self.cls):
            return uses_weight(self.cls)
        # one that nothing uses is refused
        probe = Subject(self.cls)
        probe.uses_weight = True
        probe.given = self.given | {"weight": self.weights[0]}
        return bool(probe.accepted or probe.error)

    @property
    def weights(self):
        """Two weights that are neither 0 nor the class's own."""
        # a constructor of its own may not name it
        option = (options_of(Regularizer) | options_of(self.cls))["weight"]
        found: list[float] = []
        for value in values(option):
            for weight in (value, value / 2):
                with contextlib.suppress(ValueError):
                    if weight not in (0, option.default, *found):
                        found.append(option.check(weight))
        if len(found) < 2:
            raise NotApplicable("its range has no other weight")
        return found[:2]

    def make(self, **options):
        """Return a new instance."""
        options = self.needs | self.given | options
        known = options_of(self.cls)
        taken = {name: value for name, value in options.items() if name in known}
        made = self.cls(**taken)
        # a constructor of the class's own may not take a base option
        for name in set(options) - set(known):
            setattr(made, name, options[name])
        return made

    def options_to_try(self):
        """Yield each option with each value that its type and range suggest."""
        untried = {"pattern", "name", "optional"}
        if "weight" not in vars(self.make()):
            untried.add("weight")
        for name, option in options_of(self.cls).items():
            if name not in untried:
                for value in values(option):
                    yield name, value

    def implements(self, hook):
        """Tell whether the class has a hook."""
        return hook_arguments(self.cls, hook) is not None

    def require_weight(self):
        """Raise NotApplicable where the class uses no weight."""
        if not self.uses_weight:
            raise NotApplicable("it uses no weight")

    def require_picklable(self):
        """Raise NotApplicable where no other process can import the class."""
        if "<locals>" in self.cls.__qualname__ or self.cls.__module__ == "__main__":
            raise NotApplicable(
                "a class that is defined inside a function cannot be pickled"
            )

    def apply(self, case, dtype="float64", *, seed=0, sample=None, **options):
        """Apply a new instance to a sample, by default a new one of the case.

        Raises
        ------
        Refused
        """
        sample = sample or case.sample(dtype)
        regularizer, spy = self.make(**(case.options | options)), Spy()
        manager = compose([regularizer], seed=seed, plugins=[spy])
        try:
            with warnings.catch_warnings():
                # the kit runs in Python mode, where numba does not matter
                of_numba = ".* is float16, and numba"
                warnings.filterwarnings("ignore", of_numba, RegplugWarning)
                result = manager.apply(sample.outputs, sample.params)
            run = Run(case, sample, manager, result, spy.raw)
            # built here, so that a refusal is one of the model
            run.variables  # noqa: B018
        except RegplugError as error:
            slip = find_slip(self.cls, spy, error)
            self._slip = self._slip or slip
            is_refusal = isinstance(error.__cause__, ValueError) and not slip
            if isinstance(error, RegularizerError) and not is_refusal:
                raise
            raise Refused(str(error)) from error
        run.changed = spy.changed
        return run

    def run(self, case, dtype="float64"):
        """Return the run of a case, at its start; it is made once."""
        key = case.kind, str(case.options), dtype
        if key not in self._runs:
            self._runs[key] = self.apply(case, dtype)
        return self._runs[key].restart()

    def without_weight(self, run):
        """Return a run with weight 0: the same one, where its weight is live."""
        if run.is_live:
            run.weight = 0
            return run
        return self.apply(run.case, sample=run.sample, weight=0)

    @cached_property
    def accepted(self):
        """One case for each kind of sample that it accepts."""
        found = []
        try:
            for kind in KINDS:
                for options in self._options(kind):
                    case = Case(kind, options)
                    if self._accepts(case):
                        found.append(case)
                        break
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.error = error
        if found and self._returns_nothing(found):
            what = "loss returned None: is `return` missing?"
            self._slip = Slip("hooks_return_a_result", what)
        return [] if self._slip else found

    def _returns_nothing(self, cases):
        """Tell whether all that the class does is a loss that is None."""
        hooks = ("loss", "modify_graph", "constrain")
        if list(filter(self.implements, hooks)) != ["loss"]:
            return False
        return all(self.run(case).raw is None for case in cases)

    @property
    def slip(self):
        """The slip that breaks the search for models; None where none does."""
        return self._slip if not self.accepted else None

    @property
    def blocker(self):
        """The check that says why there is no case."""
        return self.slip.check if self.slip else "works_on_each_engine"

    @property
    def cases(self):
        """The accepted cases.

        Raises
        ------
        NotApplicable
            There are none.
        """
        if not self.accepted:
            raise NotApplicable(
                f"it takes none of the kit's models: see {self.blocker}"
            )
        return self.accepted

    @property
    def first_case(self):
        """The first case that it accepts."""
        return self.cases[0]

    @property
    def first_case_by_name(self):
        """The first case, with the names of the outputs that match as the pattern.

        Changed outputs lead to no other, and so have no role.
        """
        case = self.first_case
        if self.cls.targets == "params":
            return case
        return Case(case.kind, {"pattern": self.run(case).matched})

    @property
    def first_run(self):
        """The run of the first case."""
        return self.run(self.first_case)

    def runs(self, dtype="float64"):
        """Yield the run of each case."""
        for case in self.cases:
            yield self.run(case, dtype)

    def runs_on(self, kinds, what):
        """Yield the run of each case of some kinds.

        Raises
        ------
        NotApplicable
            There are none.
        """
        cases = [case for case in self.cases if case.kind in kinds]
        if not cases:
            raise NotApplicable(f"it takes no model that has {what}")
        yield from map(self.run, cases)

    def _options(self, kind):
        has_default = getattr(self.cls, "pattern", ...) is not ...
        if has_default or "pattern" in self.given:
            yield {}
        if "pattern" not in self.given:
            sample = kind(installed_engine(), "float64")
            yield {"pattern": sample.focus[self.cls.targets]}

    def _accepts(self, case):
        try:
            self.run(case).one_step()
        except Refused as error:
            self.refusals.append(f"{case.name}: {error}")
            return False
        return True
