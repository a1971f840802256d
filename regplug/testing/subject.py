"""Subject: a regularizer under test, applied to the kit's samples."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from regplug.authoring.hookspecs import hookimpl
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
from regplug.errors import (
    ModelError,
    NoMatchError,
    OptionError,
    RegplugWarning,
    RegularizerError,
)
from regplug.testing.graphs import function, installed_engine
from regplug.testing.samples import KINDS, Kind, Sample
from regplug.testing.values import example

LEARNING_RATE = 0.1


class Refused(Exception):
    """The regularizer refuses a model, by a ValueError or an error of regplug: it is not meant for it."""


class Spy:
    """A wrapper plugin that notes what the loss returned, before the manager casts and weights it."""

    def __init__(self):
        self.losses: list[Any] = []

    @hookimpl(wrapper=True)
    def loss(self):
        value = yield
        self.losses.append(value)
        return value


@dataclass
class Run:
    """A composition applied to one sample: all that it may change, compiled."""

    sample: Sample
    manager: Manager
    result: Result
    raw: list[Any]

    def __post_init__(self) -> None:
        self._start = self.manager.state()

    @classmethod
    def of_no_regularizer(cls, sample: Sample) -> Run:
        """Return what the sample gives by itself."""
        manager = compose([])
        return cls(sample, manager, manager.apply(sample.outputs, sample.params), [])

    def restart(self) -> Run:
        """Go back to the start: step, weights and kept arrays."""
        self.manager.restore(self._start)
        return self

    @property
    def label(self) -> str:
        """The label of the regularizer under test."""
        return self.manager.members[0].label

    @property
    def matched(self) -> list[str]:
        """What it matched."""
        return self.result.matches[self.label]

    @property
    def is_live(self) -> bool:
        """Whether its weight can be changed."""
        return (
            self.label in self.manager.weights
            and not self.manager.members[0].has_static_weight
        )

    @cached_property
    def constrained(self) -> dict[str, Any]:
        """The parameters after an update, as the constraints leave them."""
        params = dict.fromkeys(self.sample.params.values())
        updated = self.result.constrain(
            [(p, p * np.asarray(1.25, p.dtype)) for p in params], LEARNING_RATE
        )
        return {name: updated[p] for name, p in self.sample.params.items()}

    @cached_property
    def variables(self) -> dict[str, Any]:
        """What a step gives, by name: each output, the loss, each updated parameter."""
        updated = {
            f"updated {name}": variable for name, variable in self.constrained.items()
        }
        return {**self.result.outputs, "loss": self.result.loss, **updated}

    @cached_property
    def step(self) -> Any:
        """The compiled step."""
        return function(
            [self.sample.x], list(self.variables.values()), updates=self.result.updates
        )

    @cached_property
    def objective(self) -> Any:
        """A scalar that depends on each value of all outputs, in another way, and on the loss."""
        T, total = engine_of(self.sample.x).T, self.result.loss
        for output in self.result.outputs.values():
            weights = T.cast(T.cos(T.arange(output.size)), output.dtype)
            total = total + (output.flatten() * weights).sum()
        return total

    @cached_property
    def gradients(self) -> list[Any]:
        """The gradients of the objective with respect to the input and the parameters."""
        wrt = [self.sample.x, *dict.fromkeys(self.sample.params.values())]
        return engine_of(self.objective).grad(
            self.objective, wrt, disconnected_inputs="ignore"
        )

    @cached_property
    def backward(self) -> Any:
        """The compiled gradients."""
        return function([self.sample.x], self.gradients)

    def values(
        self, steps: int = 1, x: np.ndarray | None = None
    ) -> list[dict[str, np.ndarray]]:
        """Run some steps, on the sample's input or another one; return what each gave, by name.

        Raises
        ------
        Refused
            The graph checks what it is given, and it does not fit.
        """
        x = self.sample.value if x is None else x
        try:
            return [
                dict(zip(self.variables, self.step(x), strict=True))
                for _ in range(steps)
            ]
        except (ValueError, AssertionError) as error:
            raise Refused(
                f"the compiled step raised {type(error).__name__}: {error}"
            ) from error


class Case(NamedTuple):
    """A kind of sample that the regularizer accepts, and the pattern given; None for its own."""

    kind: Kind
    pattern: str | list[str] | None


@lru_cache
def plain(kind: Kind, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Return what a step gives without any regularizer."""
    return Run.of_no_regularizer(kind(installed_engine(), dtype)).values()[0]


class Subject:
    """A regularizer under test.

    Parameters
    ----------
    regularizer : subclass or instance of Regularizer
        An instance says with which options; a class is given a value from its range for each
        option that must be given.
    """

    def __init__(self, regularizer: Any):
        self.cls = regularizer if isinstance(regularizer, type) else type(regularizer)
        self.given = (
            {} if isinstance(regularizer, type) else non_default_options(regularizer)
        )
        self._runs: dict[tuple[Kind, str], Run] = {}
        self.refusals: list[str] = []
        self.error: Exception | None = None

    @property
    def name(self) -> str:
        """The class's name."""
        return self.cls.__name__

    @property
    def needs(self) -> dict[str, Any]:
        """A value for each option that must be given, the pattern excepted."""
        options = options_of(self.cls)
        return {
            name: example(option)
            for name, option in options.items()
            if name != "pattern"
            and option.default is REQUIRED
            and (
                name != "weight"
                or (uses_weight(self.cls) and not hasattr(self.cls, "weight"))
            )
        }

    def make(self, **options: Any) -> Regularizer:
        """Return a new instance."""
        options = self.needs | self.given | options
        known = options_of(self.cls)
        if "pattern" in known and known["pattern"].default is REQUIRED:
            options.setdefault("pattern", "*")
        made = self.cls(
            **{name: value for name, value in options.items() if name in known}
        )
        for name in set(options) - set(known):
            setattr(
                made, name, options[name]
            )  # a constructor of the class's own, which does not take a base option
        return made

    def implements(self, hook: str) -> bool:
        """Tell whether the class has a hook."""
        return hook_arguments(self.cls, hook) is not None

    def apply(
        self,
        case: Case,
        dtype: str = "float64",
        *,
        seed: int = 0,
        sample: Sample | None = None,
        **options: Any,
    ) -> Run:
        """Apply a new instance to a sample, by default a new one of the case.

        Raises
        ------
        Refused
        """
        sample = sample or case.kind(installed_engine(), dtype)
        if case.pattern is not None:
            options = {"pattern": case.pattern} | options
        spy = Spy()
        manager = compose([self.make(**options)], seed=seed, plugins=[spy])
        try:
            with (
                warnings.catch_warnings()
            ):  # of what numba cannot compile: the kit runs in Python mode
                warnings.filterwarnings(
                    "ignore", ".* is float16, and numba", RegplugWarning
                )
                result = manager.apply(sample.outputs, sample.params)
            run = Run(sample, manager, result, spy.losses)
            run.constrained  # noqa: B018  built here, so that a refusal is one of the model
        except (NoMatchError, ModelError, OptionError) as error:
            raise Refused(str(error)) from error
        except RegularizerError as error:
            if isinstance(error.__cause__, ValueError):
                raise Refused(str(error)) from error
            raise
        return run

    def run(self, case: Case, dtype: str = "float64") -> Run:
        """Return the run of a case, at its start; it is made once."""
        key = case.kind, dtype
        if key not in self._runs:
            self._runs[key] = self.apply(case, dtype)
        return self._runs[key].restart()

    @cached_property
    def cases(self) -> list[Case]:
        """One case for each kind of sample that it accepts; `refusals` and `error` say why others are missing."""
        found: list[Case] = []
        for kind in KINDS:
            for pattern in self._patterns(kind):
                try:
                    run = self.apply(Case(kind, pattern))
                    run.values()
                except Refused as error:
                    self.refusals.append(f"{kind.__name__}: {error}")
                except Exception as error:
                    self.error = error
                    return found
                else:
                    self._runs[kind, "float64"] = run
                    found.append(Case(kind, pattern))
                    break
        return found

    def _patterns(self, kind: Kind) -> Iterator[Any]:
        if "pattern" in self.given:
            yield self.given["pattern"]
            return
        focus = kind(installed_engine(), "float64").focus[self.cls.targets]  # type: ignore[attr-defined]
        if getattr(self.cls, "pattern", ...) is not ...:
            yield None
        yield focus
