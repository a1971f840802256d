"""Each check of the kit fails on a regularizer that is wrong in just that, and passes on a right one."""

import importlib
import sys
import warnings
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pytest
from annotated_types import Ge, Interval

import regplug
from regplug import Regularizer, engine, hookimpl
from regplug.authoring import hookspecs
from regplug.testing import check_regularizer, class_checks, installed_engine
from regplug.testing.check import CHECKS
from regplug.testing.conformance import FAILED, PASSED, SKIPPED, attempt
from regplug.testing.subject import Subject


class Good(Regularizer):
    """Sum of the squares.

    Parameters
    ----------
    scale : float, >= 0
        A factor.

    Notes
    -----
    ``sum_k scale * sum(w_k ** 2)``

    References
    ----------
    Nobody (2026). Nothing. Nowhere.
    """

    targets = "params"
    scale: Annotated[float, Ge(0)] = 1.0

    @hookimpl
    def loss(self, matched):
        return sum(
            (w**2).sum() * np.asarray(self.scale, w.dtype) for w in matched.values()
        )


class GoodNoise(Regularizer):
    """Add noise.

    Notes
    -----
    ``h + weight * normal``

    References
    ----------
    Nobody (2026). Nothing. Nowhere.
    """

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        for name, h in matched.items():
            outputs[name] = h + weight * noise.normal(h)


class GoodConstraint(Regularizer):
    __doc__ = Good.__doc__
    targets = "params"

    @hookimpl
    def constrain(self, matched, weight):
        return {name: w * (1 - weight) for name, w in matched.items()}


class GoodEstimate(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        held = {w: engine.engine_of(w).disconnected_grad(w) for w in matched.values()}
        return sum((w * held[w]).sum() for w in matched.values())


class GoodState(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched, state):
        total = 0
        for name, w in matched.items():
            calls = state.array(name, np.zeros((), w.dtype))
            state.update(name, calls + 1)
            total += (w**2).sum() * calls
        return total


class GoodCap(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched, weight):
        return sum(
            engine.tensor(w).minimum(w**2, weight).sum() for w in matched.values()
        )


class GoodSequences(Good):
    """Squares of differences in time.

    Parameters
    ----------
    scale : float, >= 0
        A factor.

    Notes
    -----
    ``sum_k sum((h_t - h_{t-1}) ** 2)``

    References
    ----------
    Nobody (2026). Nothing. Nowhere.
    """

    targets = "outputs"
    pattern = ...

    @hookimpl
    def loss(self, matched):
        for name, h in matched.items():
            if h.ndim != 3:
                raise ValueError(f"{name} has {h.ndim} dimensions, not 3")
        return sum(((h[:, 1:] - h[:, :-1]) ** 2).sum() for h in matched.values())


class Ancestor(Regularizer):
    """Sum of the squares.

    Notes
    -----
    ``sum_k sum(w_k ** 2)``

    References
    ----------
    Nobody (2026). Nothing. Nowhere.
    """

    targets = "params"

    def __init__(self, pattern, weight):
        super().__init__(pattern=pattern, weight=weight)

    @hookimpl
    def loss(self, layers, outputs, matched):
        return sum((w**2).sum() for w in matched.values())


# one fault each


class NoRegularizer:
    """Not a regularizer."""


@dataclass
class ComparesByValue(Good):
    __doc__ = Good.__doc__


class ForgetsAnnotation(Good):
    __doc__ = Good.__doc__
    delta = 1.0


class BadDefault(Good):
    __doc__ = Good.__doc__
    scale: Annotated[float, Ge(0)] = -1.0


class RenamesOption(Good):
    __doc__ = Good.__doc__

    def __init__(self, scale=1.0, pattern="*", weight=0.5):
        super().__init__(pattern=pattern, weight=weight)
        self.scale = scale + 1


class TakesAnything(Good):
    __doc__ = Good.__doc__

    def __init__(self, pattern="*", weight=0.5, **options):
        super().__init__(pattern=pattern, weight=weight)


class NoSummary(Good):
    pass


class NoFormula(Good):
    """Sum of the squares.

    References
    ----------
    Nobody (2026). Nothing. Nowhere.
    """


class NoReference(Good):
    """Sum of the squares.

    Notes
    -----
    ``sum(w ** 2)``
    """


class NoParameters(Good):
    """Sum of the squares."""


class ForgetsOption(Good):
    __doc__ = Good.__doc__
    shift: float = 0.0


class NotPicklable(Good):
    __doc__ = Good.__doc__

    def __init__(self, pattern="*", weight=0.5):
        super().__init__(pattern=pattern, weight=weight)
        self.remember = lambda: None


class KeepsAFunction(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        self.last = lambda: matched
        return sum((w**2).sum() for w in matched.values())


class Raises(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return matched["no such parameter"].sum()


class RefusesAll(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        raise ValueError("only for models with wheels")


class DividesByOption(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values()) / self.scale


class Infinite(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum(engine.tensor(w).log(w - w).sum() for w in matched.values())


class NoTerm(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return None


class Weighted(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched, weight):
        return weight * sum((w**2).sum() for w in matched.values())


class Nothing(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched, weight):
        return sum((w - w).sum() for w in matched.values()) * weight


class WrongGradient(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        total = 0
        for w in matched.values():
            gradient = importlib.import_module(f"{engine.name_of(w)}.gradient")
            total += (gradient.grad_clip(w, 0, 0.1) ** 2).sum()
        return total


class InfiniteGradient(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum(((w - w) ** 2).sum() ** 0.5 for w in matched.values())


class Widens(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() / w.shape[0] for w in matched.values())


class WidensWithItsOption(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() * self.scale for w in matched.values())


class ChangesShape(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        for name, h in matched.items():
            outputs[name] = (h + weight * noise.normal(h))[:1]


class StillThere(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        for name, h in matched.items():
            outputs[name] = h + (weight + 1e-3) * noise.normal(h)


class Baked(GoodNoise):
    __doc__ = GoodNoise.__doc__
    weight: Annotated[float, Interval(ge=0, lt=1)] = 0.5

    @hookimpl
    def modify_graph(self, outputs, matched, noise):
        for name, h in matched.items():
            outputs[name] = h + self.weight * noise.normal(h)

    @hookimpl
    def loss(self):
        return None


class IgnoresWeight(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        for name, h in matched.items():
            outputs[name] = h + noise.normal(h) * engine.tensor(h).gt(weight, 0)


class Renames(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        for name, h in matched.items():
            h.name = f"noisy {name}"
            outputs[name] = h + weight * noise.normal(h)


class Remembers(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        self.last = list(matched)
        for name, h in matched.items():
            outputs[name] = h + weight * noise.normal(h)


class OwnStream(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight):
        for name, h in matched.items():
            T = engine.tensor(h)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if engine.name_of(h) == "theano":
                    normal = T.shared_randomstreams.RandomStreams(3).normal(
                        h.shape, dtype=h.dtype
                    )
                else:
                    normal = T.random.normal(size=h.shape, dtype=h.dtype)
            outputs[name] = h + weight * normal


class GlobalStream(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight):
        for name, h in matched.items():
            outputs[name] = h + weight * np.random.normal()


class Counts(GoodNoise):
    __doc__ = GoodNoise.__doc__
    made = 0

    @hookimpl
    def modify_graph(self, outputs, matched, weight):
        for name, h in matched.items():
            Counts.made += 1
            outputs[name] = h + weight * Counts.made


class UnbiasedVariance(Good):
    __doc__ = Good.__doc__
    targets = "outputs"

    @hookimpl
    def loss(self, matched):
        h = (
            matched["hid1:out"]
            if "hid1:out" in matched
            else next(iter(matched.values()))
        )
        return (h**2).sum() / (h.shape[0] - 1).astype(h.dtype)


class MeanOfNone(UnbiasedVariance):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum((h**2).mean() for h in matched.values())


class NeverZero(UnbiasedVariance):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum(engine.tensor(h).exp(-(h**2).sum()) for h in matched.values())


class MeanOfNoDifferences(GoodSequences):
    __doc__ = GoodSequences.__doc__

    @hookimpl
    def loss(self, matched):
        total = GoodSequences.loss(self, matched)
        return total / sum(h[:, 1:].size for h in matched.values()).astype(total.dtype)


class UnbiasedOverUnits(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum(
            (w**2).sum() / (w.size - 1).astype(w.dtype) for w in matched.values()
        )


class Norm(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() ** 0.5 for w in matched.values())


class Deviation(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        return sum(((w - w.mean()) ** 2).sum() ** 0.5 for w in matched.values())


class AroundMatched(UnbiasedVariance):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, outputs, matched):
        squares = [(outputs[name] ** 2).sum() for name in matched]
        return sum(engine.tensor(square).cast(square, "float32") for square in squares)


class SumsUpWhatIsOff(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight):
        for name, h in matched.items():
            outputs[name] = h + weight * (h.sum() - h)


class SquaresWhatIsOff(GoodConstraint):
    __doc__ = GoodConstraint.__doc__

    @hookimpl
    def constrain(self, matched, weight):
        return {name: w - weight * w**3 for name, w in matched.items()}


class OneSite(GoodNoise):
    __doc__ = GoodNoise.__doc__

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        noise._site = ("one", "for all", 0)
        for name, h in matched.items():
            outputs[name] = h + weight * noise.normal(h)


class NeverOptional(Good):
    __doc__ = Good.__doc__

    def __init__(self, pattern="*", weight=0.5, optional=False):
        super().__init__(pattern=pattern, weight=weight)


class CountsNames(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, layers, matched):
        return sum(
            (w**2).sum() for layer in layers for w in layer.params if w.ndim == 2
        )


class OwnState(Good):
    __doc__ = Good.__doc__

    @hookimpl
    def loss(self, matched):
        total = 0
        for w in matched.values():
            calls = engine.engine_of(w).shared(np.zeros((), w.dtype), name="calls")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                calls.default_update = calls + 1
            total += (w**2).sum() * calls
        return total


WRONG = {
    "class_is_accepted": [NoRegularizer, ComparesByValue],
    "options_are_declared": [ForgetsAnnotation],
    "constructs_with_defaults": [BadDefault],
    "options_round_trip": [RenamesOption],
    "unknown_option_is_refused": [TakesAnything],
    "docstring_summary": [NoSummary],
    "docstring_options": [NoParameters, ForgetsOption],
    "docstring_formula": [NoFormula],
    "docstring_reference": [NoReference],
    "survives_pickling": [NotPicklable],
    "works_on_each_engine": [Raises, RefusesAll],
    "every_value_works": [DividesByOption],
    "loss_is_a_finite_scalar": [Infinite, NoTerm],
    "loss_is_unweighted": [Weighted],
    "gradient_agrees": [WrongGradient, InfiniteGradient],
    "dtypes_and_shapes_are_kept": [Widens, WidensWithItsOption, ChangesShape],
    "weight_zero_is_off": [StillThere],
    "weight_is_live": [Baked, IgnoresWeight],
    "model_is_unchanged": [Renames, Remembers],
    "draws_through_noise_only": [OwnStream, GlobalStream],
    "same_seed_gives_the_same": [Counts, GlobalStream],
    "labels_differ": [OneSite],
    "manager_is_copied": [KeepsAFunction],
    "batch_of_one": [UnbiasedVariance],
    "empty_batch": [MeanOfNone, NeverZero],
    "one_time_step": [MeanOfNoDifferences],
    "one_unit": [UnbiasedOverUnits],
    "equal_values": [Norm, Deviation],
    "integers_do_not_wrap": [AroundMatched],
    "float16_is_right": [AroundMatched],
    "weight_zero_is_off_where_infinite": [SumsUpWhatIsOff, SquaresWhatIsOff],
    "empty_match": [NeverOptional],
    "tied_parameter": [CountsNames],
    "state_resumes": [OwnState],
}


@pytest.mark.parametrize(
    "cls",
    [
        Good,
        GoodNoise,
        GoodConstraint,
        GoodEstimate,
        GoodState,
        GoodCap,
        GoodSequences,
        Ancestor,
    ],
)
def test_kit_passes_what_is_right(cls):
    report = check_regularizer(cls)
    assert {
        outcome.check: outcome.message for outcome in report if outcome.is_wrong
    } == {}


@pytest.mark.parametrize(
    ("check", "cls"),
    [(check, cls) for check, classes in WRONG.items() for cls in classes],
)
def test_check_fails_on_what_is_wrong(check, cls):
    status, message = attempt(CHECKS[check], Subject(cls))
    assert (status, bool(message)) == (FAILED, True)


def test_every_check_is_seen_to_fail():
    below = {"no_deprecated_arguments", "imports_are_light"}
    assert set(WRONG) | below == set(CHECKS)


def test_deprecated_argument_is_reported(monkeypatch):
    marks = {"noise": DeprecationWarning("since 0.9; take `source`")}
    monkeypatch.setitem(hookspecs.modify_graph.regplug_spec, "warn_on_impl_args", marks)
    status, message = attempt(CHECKS["no_deprecated_arguments"], Subject(GoodNoise))
    assert (status, message) == (
        FAILED,
        "hook 'modify_graph', argument 'noise': since 0.9; take `source`",
    )


def test_class_that_changes_integers_is_named_with_them(monkeypatch):
    monkeypatch.setattr(
        "regplug.composition.graph_pass._require_float", lambda *given: None
    )
    status, message = attempt(CHECKS["integers_do_not_wrap"], Subject(GoodConstraint))
    assert status == FAILED
    assert message.startswith("it changes hid1.w of int8, ")


def test_class_that_refuses_integers_without_a_name_is_wrong(monkeypatch):
    def refuse(member, hook, name, variable):
        if "float" not in variable.dtype:
            raise regplug.RegularizerError("no integers, please")

    monkeypatch.setattr("regplug.composition.graph_pass._require_float", refuse)
    assert attempt(CHECKS["integers_do_not_wrap"], Subject(GoodConstraint)) == (
        FAILED,
        "it refuses integers and does not name one: no integers, please",
    )


def test_class_inside_a_function_is_not_pickled():
    class Local(Good):
        """Sum of the squares."""

    for name in ("survives_pickling", "manager_is_copied"):
        assert attempt(CHECKS[name], Subject(Local)) == (
            SKIPPED,
            "a class that is defined inside a function cannot be pickled",
        )


def test_class_that_refuses_integers_by_name_passes():
    assert attempt(CHECKS["integers_do_not_wrap"], Subject(GoodConstraint)) == (
        PASSED,
        "",
    )


def test_gradient_of_an_infinite_term_at_weight_zero_is_named(monkeypatch):
    monkeypatch.setattr(
        "regplug.composition.graph_pass.GraphPass._gated",
        lambda self, value, *given: value,
    )
    status, message = attempt(
        CHECKS["weight_zero_is_off_where_infinite"], Subject(Deviation)
    )
    assert status == FAILED
    assert message.startswith(
        "with weight 0 the gradient of an infinite term by hid1.w is "
    )


def test_class_that_refuses_small_models_in_words_is_not_judged_on_them():
    class Wide(Good):
        @hookimpl
        def loss(self, matched):
            total = 0
            for name, w in matched.items():
                wide = engine.engine_of(w).Assert(f"{name} has one unit")(
                    w, w.shape[-1] > 1
                )
                total += (wide**2).sum()
            return total

    status, message = attempt(CHECKS["one_unit"], Subject(Wide))
    assert (status, "has one unit" in message) == (SKIPPED, True)


def test_option_without_annotation_is_named_with_what_to_write():
    class Mixed:
        axes = (0, 1)

    class Forgets(Mixed, Good):
        pattern = "*.w"  # base options are declared
        weight = 0.1
        scale = 2.0  # so is an option of a base
        epsilon: ClassVar[float] = 1e-7
        delta = 1.0
        _constant = 3

        @property
        def shrunk(self):
            return self.delta / 2

    status, message = attempt(CHECKS["options_are_declared"], Subject(Forgets))
    assert (status, message) == (
        FAILED,
        (
            "axes has no annotation, so it is no option: annotate it, or `_axes` for a constant; "
            "delta has no annotation, so it is no option: write `delta: float = 1.0`, or `_delta` for a constant"
        ),
    )


def test_options_are_found_in_each_form_of_numpydoc():
    class Described(Good):
        """Sum of the squares.

        Parameters
        ----------
        low, high : float
            Limits, and not of
            depth: nothing is described inside a description.
        scale
            A factor.
        `width` : int

        Notes
        -----
        height : int
        """

        low: float = 0.0
        high: float = 1.0
        width: int = 1
        depth: int = 1
        height: int = 1

    status, message = attempt(CHECKS["docstring_options"], Subject(Described))
    assert (status, message) == (
        FAILED,
        "the docstring's section Parameters lacks depth, height",
    )


def test_loss_that_its_weight_caps_is_unweighted():
    assert attempt(CHECKS["loss_is_unweighted"], Subject(GoodCap)) == (PASSED, "")


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_loss_that_multiplies_by_the_weight_is_named_at_any_weight(weight):
    status, message = attempt(
        CHECKS["loss_is_unweighted"], Subject(Weighted(weight=weight))
    )
    assert (status, message) == (
        FAILED,
        "the loss is proportional to the weight, and the manager multiplies by it again",
    )


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Good, "its loss does not take `weight`"),
        (Nothing, "its loss is 0, or its weight is baked in"),
    ],
)
def test_loss_without_a_weight_of_its_own_is_not_compared(cls, message):
    assert attempt(CHECKS["loss_is_unweighted"], Subject(cls)) == (SKIPPED, message)


PLUGIN = """
{}
from regplug import Regularizer, hookimpl

class Imports(Regularizer):
    @hookimpl
    def loss(self, matched):
        return None
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Return a function that imports a module of a plugin, which begins with the given lines."""
    monkeypatch.syspath_prepend(str(tmp_path))

    names = []

    def load(name, lines):
        names.append(name)
        (tmp_path / f"{name}.py").write_text(PLUGIN.format(lines))
        return importlib.import_module(name)

    yield load
    for name in names:
        sys.modules.pop(name, None)


def test_imports_are_reported(module):
    status, message = attempt(
        CHECKS["imports_are_light"],
        Subject(module("rp_light", "import packaging").Imports),
    )
    assert status == PASSED
    assert message.endswith("ms, imports packaging")


IMPORTS = {
    "module": (
        "try:\n    import os, {}\nexcept ImportError:\n    pass",
        "{} in line 3",
    ),
    "function": ("def late():\n    from {}.tensor import tanh", "{}.tensor in line 3"),
    "method": (
        "class Late:\n    def late(self):\n        import {}\n        import {}.graph as g",
        "{} in line 4, {}.graph in line 5",
    ),
}


@pytest.mark.parametrize("where", IMPORTS)
@pytest.mark.parametrize("name", engine.ENGINES)
def test_import_of_an_engine_is_named_wherever_it_stands(module, name, where):
    lines, what = (text.replace("{}", name) for text in IMPORTS[where])
    found = module(f"rp_{name}_{where}", lines)
    status, message = attempt(CHECKS["imports_are_light"], Subject(found.Imports))
    assert status == FAILED
    assert (
        message
        == f"{found.__name__} imports {what}: a plugin serves whichever engine is there"
    )


def test_import_of_an_engine_for_types_only_is_none(module):
    name = installed_engine().__name__.rpartition(".")[2]
    lines = (
        "import typing\nfrom typing import TYPE_CHECKING\n"
        f"if TYPE_CHECKING:\n    from {name}.tensor import TensorVariable\n"
        f"if typing.TYPE_CHECKING:\n    import {name}\n"
    )
    status, _ = attempt(
        CHECKS["imports_are_light"], Subject(module("rp_types", lines).Imports)
    )
    assert status == PASSED


def test_import_of_an_engine_by_another_module_is_named(module):
    name = installed_engine().__name__.rpartition(".")[2]
    lines = f"import importlib; importlib.import_module({name!r})"
    status, message = attempt(
        CHECKS["imports_are_light"], Subject(module("rp_engine", lines).Imports)
    )
    assert status == FAILED
    assert message.startswith(f"what rp_engine imports brings {name} with it (")


def test_internals_of_cython_are_no_imports(module):
    lines = (
        "import os, sys\nif 'REGPLUG_CHECKS_AN_IMPORT' in os.environ:\n"
        "    sys.modules['cython_runtime'] = sys.modules['_cython_3_0_11'] = sys"
    )
    status, message = attempt(
        CHECKS["imports_are_light"], Subject(module("rp_cython", lines).Imports)
    )
    assert status == PASSED
    assert message.endswith("ms, imports nothing but regplug and NumPy")


def test_slow_import_is_named(module, monkeypatch):
    monkeypatch.setattr(class_checks, "SLOW_IMPORT", 0)
    status, message = attempt(
        CHECKS["imports_are_light"], Subject(module("rp_slow", "import json").Imports)
    )
    assert status == FAILED
    assert message.startswith("rp_slow is slow to import")


def test_import_that_hangs_is_interrupted(module, monkeypatch):
    monkeypatch.setattr(class_checks, "LONGEST", 1)
    lines = (
        "import time, os\nif 'REGPLUG_CHECKS_AN_IMPORT' in os.environ: time.sleep(30)"
    )
    status, message = attempt(
        CHECKS["imports_are_light"], Subject(module("rp_hangs", lines).Imports)
    )
    assert (status, message) == (FAILED, "importing rp_hangs was interrupted after 1 s")


def test_module_that_runs_the_kit_is_imported_once_more_only(module, tmp_path):
    log = tmp_path / "imports"
    log.write_text("")
    lines = f"from pathlib import Path; log = Path({str(log)!r})\nassert log.write_text(log.read_text() + 'x') < 5"
    found = module("rp_checks", lines)
    with (tmp_path / "rp_checks.py").open("a") as file:
        file.write(
            "from regplug.testing import check_regularizer\ncheck_regularizer(Imports)\n"
        )
    attempt(CHECKS["imports_are_light"], Subject(found.Imports))
    assert log.read_text() == "xx"
