"""Each check fails on what is wrong in just that, and passes what is right."""

import dataclasses
import importlib
import warnings
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pytest
from annotated_types import Ge, Interval

import regplug
from regplug import Regularizer, engine, hookimpl
from regplug.authoring import hookspecs
from regplug.testing import check_regularizer
from regplug.testing.check import CHECKS
from regplug.testing.conformance import FAILED, PASSED, SKIPPED


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
    def modify_graph(self, value, weight, noise):
        return value + weight * noise.normal(value)


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


# one fault each; a docstring is looked at by its own checks alone


class NoRegularizer:
    """Not a regularizer."""


@dataclass
class ComparesByValue(Good):
    pass


class ForgetsAnnotation(Good):
    delta = 1.0


class BadDefault(Good):
    scale: Annotated[float, Ge(0)] = -1.0


class RenamesOption(Good):
    def __init__(self, scale=1.0, pattern="*", weight=0.5):
        super().__init__(pattern=pattern, weight=weight)
        self.scale = scale + 1


class TakesAnything(Good):
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
    shift: float = 0.0


class NotPicklable(Good):
    def __init__(self, pattern="*", weight=0.5):
        super().__init__(pattern=pattern, weight=weight)
        self.remember = lambda: None


class KeepsAFunction(Good):
    @hookimpl
    def loss(self, matched):
        self.last = lambda: matched
        return sum((w**2).sum() for w in matched.values())


class Raises(Good):
    @hookimpl
    def loss(self, matched):
        return matched["no such parameter"].sum()


class RefusesAll(Good):
    @hookimpl
    def loss(self, matched):
        raise ValueError("only for models with wheels")


class DividesByOption(Good):
    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values()) / self.scale


class Infinite(Good):
    @hookimpl
    def loss(self, matched):
        return sum(engine.tensor(w).log(w - w).sum() for w in matched.values())


class NoTerm(Good):
    @hookimpl
    def loss(self, matched):
        return None


class Weighted(Good):
    @hookimpl
    def loss(self, matched, weight):
        return weight * sum((w**2).sum() for w in matched.values())


class WeightedByItself(Good):
    @hookimpl
    def loss(self, matched):
        total = sum((w**2).sum() for w in matched.values())
        return total * np.asarray(self.weight, total.dtype)


class Nothing(Good):
    @hookimpl
    def loss(self, matched, weight):
        return sum((w - w).sum() for w in matched.values()) * weight


class WrongGradient(Good):
    @hookimpl
    def loss(self, matched):
        total = 0
        for w in matched.values():
            gradient = importlib.import_module(f"{engine.name_of(w)}.gradient")
            total += (gradient.grad_clip(w, 0, 0.1) ** 2).sum()
        return total


class InfiniteGradient(Good):
    @hookimpl
    def loss(self, matched):
        return sum(((w - w) ** 2).sum() ** 0.5 for w in matched.values())


class Widens(Good):
    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() / w.shape[0] for w in matched.values())


class WidensWithItsOption(Good):
    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() * self.scale for w in matched.values())


class ChangesShape(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight, noise):
        return (value + weight * noise.normal(value))[:1]


class StillThere(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight, noise):
        return value + (weight + 1e-3) * noise.normal(value)


class Baked(GoodNoise):
    weight: Annotated[float, Interval(ge=0, lt=1)] = 0.5

    @hookimpl
    def modify_graph(self, value, noise):
        return value + self.weight * noise.normal(value)

    @hookimpl
    def loss(self):
        return None


class BakedAsTheAncestor(GoodNoise):
    @hookimpl
    def modify_graph(self, value, noise):
        return value + self.weight * noise.normal(value)


class BakedInPart(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight, noise):
        return value + weight * noise.normal(value) * (1 + self.weight)


class BakedConstraint(GoodConstraint):
    @hookimpl
    def constrain(self, matched):
        return {name: w * (1 - self.weight) for name, w in matched.items()}


class IgnoresWeight(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight, noise):
        return value + noise.normal(value) * engine.tensor(value).gt(weight, 0)


class Renames(GoodNoise):
    @hookimpl
    def modify_graph(self, name, value, weight, noise):
        value.name = f"noisy {name}"
        return value + weight * noise.normal(value)


class Remembers(GoodNoise):
    @hookimpl
    def modify_graph(self, name, value, weight, noise):
        self.last = name
        return value + weight * noise.normal(value)


class OwnStream(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight):
        T = engine.tensor(value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if engine.name_of(value) == "theano":
                stream = T.shared_randomstreams.RandomStreams(3)
                normal = stream.normal(value.shape, dtype=value.dtype)
            else:
                normal = T.random.normal(size=value.shape, dtype=value.dtype)
        return value + weight * normal


class GlobalStream(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight):
        return value + weight * np.random.normal()


class Counts(GoodNoise):
    made = 0

    @hookimpl
    def modify_graph(self, value, weight):
        Counts.made += 1
        return value + weight * Counts.made


class UnbiasedVariance(Good):
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
    @hookimpl
    def loss(self, matched):
        return sum((h**2).mean() for h in matched.values())


class NeverZero(UnbiasedVariance):
    @hookimpl
    def loss(self, matched):
        return sum(engine.tensor(h).exp(-(h**2).sum()) for h in matched.values())


class MeanOfNoDifferences(GoodSequences):
    @hookimpl
    def loss(self, matched):
        total = GoodSequences.loss(self, matched)
        return total / sum(h[:, 1:].size for h in matched.values()).astype(total.dtype)


class UnbiasedOverUnits(Good):
    @hookimpl
    def loss(self, matched):
        return sum(
            (w**2).sum() / (w.size - 1).astype(w.dtype) for w in matched.values()
        )


class Norm(Good):
    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() ** 0.5 for w in matched.values())


class Deviation(Good):
    @hookimpl
    def loss(self, matched):
        return sum(((w - w.mean()) ** 2).sum() ** 0.5 for w in matched.values())


class KeepsDirection(Good):
    @hookimpl
    def loss(self, matched, state):
        total = 0
        for name, w in matched.items():
            start = state.array(name, lambda value: value / (value**2).sum() ** 0.5)
            total += (w * start).sum()
        return total


class SquaresTiny(GoodConstraint):
    @hookimpl
    def constrain(self, matched, weight):
        results = {}
        for name, w in matched.items():
            size = (w**2).sum() ** 0.5
            is_zero = engine.tensor(w).eq(w, 0).all()
            scaled = w * (1 - weight + weight / size)
            results[name] = engine.tensor(w).switch(is_zero, w, scaled)
        return results


class SquaresHuge(Good):
    @hookimpl
    def loss(self, matched):
        return sum((w**4).sum() / (1 + (w**4).sum()) for w in matched.values())


class AroundMatched(UnbiasedVariance):
    @hookimpl
    def loss(self, outputs, matched):
        squares = [(outputs[name] ** 2).sum() for name in matched]
        return sum(engine.tensor(square).cast(square, "float32") for square in squares)


class SumsUpWhatIsOff(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight):
        return value + weight * (value.sum() - value)


class SquaresWhatIsOff(GoodConstraint):
    @hookimpl
    def constrain(self, matched, weight):
        return {name: w - weight * w**3 for name, w in matched.items()}


class OneSite(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight, noise):
        noise = dataclasses.replace(noise, _site=("one", "for all", 0))
        return value + weight * noise.normal(value)


class SetsAndReturns(GoodNoise):
    @hookimpl
    def modify_graph(self, name, value, outputs, weight):
        outputs[name] = value + weight
        return outputs[name]


class LeavesEntry(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight):
        return None


class SumsOverRows(Good):
    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum(axis=0).sum() for w in matched.values()) * np.ones(3)


class CountsInIntegers(Good):
    @hookimpl
    def loss(self, matched):
        return sum((w > 0).sum() for w in matched.values())


class IsANumber(Good):
    @hookimpl
    def loss(self, matched):
        return 3.0


class DropsAnAxis(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight):
        return value.sum(axis=0) * weight


class BecomesInteger(GoodConstraint):
    @hookimpl
    def constrain(self, matched, weight):
        return {name: (w * weight).astype("int8") for name, w in matched.items()}


class ForgetsReturn(Good):
    @hookimpl
    def loss(self, matched):
        sum((w**2).sum() for w in matched.values())


class ForgetsReturnOfConstraint(GoodConstraint):
    @hookimpl
    def constrain(self, matched, weight):
        {name: w * weight for name, w in matched.items()}


class Decides(Good):
    @hookimpl
    def loss(self, matched):
        return sum(w.sum() if w.sum() > 0 else -w.sum() for w in matched.values())


class TakesMaximumOfNumPy(Good):
    @hookimpl
    def loss(self, matched):
        return sum(np.maximum(w, 0).sum() for w in matched.values())


class TakesWhereOfNumPy(GoodNoise):
    @hookimpl
    def modify_graph(self, value, weight):
        return np.where(value > weight, value, 0)


class TakesMeanOfNumPy(Good):
    @hookimpl
    def loss(self, matched):
        return sum(np.mean(w) for w in matched.values())


class TakesFloat(Good):
    @hookimpl
    def loss(self, matched):
        return sum(float(w.sum()) for w in matched.values())


class MakesAnArray(Good):
    @hookimpl
    def loss(self, matched):
        return np.array([w.sum() for w in matched.values()])


class SetsMatched(Good):
    @hookimpl
    def loss(self, matched):
        for name in list(matched):
            matched[name] = matched[name] ** 2
        return sum(w.sum() for w in matched.values())


class SetsItems(Good):
    @hookimpl
    def loss(self, matched):
        for w in matched.values():
            w[0] = 0
        return sum(w.sum() for w in matched.values())


class SaysItsOwn(Good):
    @hookimpl
    def loss(self, matched):
        raise ValueError("w is boolean, and a float is expected")


class DrawsAlways(GoodNoise):
    applies = "always"


class ForgetsWeight(GoodConstraint):
    weight = 1.0

    @hookimpl
    def constrain(self, matched):
        return dict(matched)


class NeverOptional(Good):
    def __init__(self, pattern="*", weight=0.5, optional=False):
        super().__init__(pattern=pattern, weight=weight)


class CountsNames(Good):
    @hookimpl
    def loss(self, layers, matched):
        return sum(
            (w**2).sum() for layer in layers for w in layer.params if w.ndim == 2
        )


class OwnState(Good):
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
    "works_on_each_engine": [
        Raises,
        RefusesAll,
        SetsAndReturns,
        DrawsAlways,
        SaysItsOwn,
    ],
    "hooks_return_a_result": [
        LeavesEntry,
        NoTerm,
        ForgetsReturn,
        ForgetsReturnOfConstraint,
    ],
    "hooks_compute_with_symbols": [
        Decides,
        TakesMaximumOfNumPy,
        TakesWhereOfNumPy,
        TakesMeanOfNumPy,
        TakesFloat,
        MakesAnArray,
    ],
    "hooks_change_nothing_in_place": [SetsMatched, SetsItems],
    "weight_is_declared": [ForgetsWeight],
    "every_value_works": [DividesByOption],
    "loss_is_a_finite_scalar": [
        Infinite,
        SumsOverRows,
        CountsInIntegers,
        IsANumber,
    ],
    "loss_is_unweighted": [Weighted, WeightedByItself],
    "gradient_agrees": [WrongGradient, InfiniteGradient],
    "dtypes_and_shapes_are_kept": [
        Widens,
        WidensWithItsOption,
        ChangesShape,
        DropsAnAxis,
        BecomesInteger,
    ],
    "weight_zero_is_off": [StillThere],
    "weight_is_live": [
        Baked,
        BakedAsTheAncestor,
        BakedInPart,
        BakedConstraint,
        IgnoresWeight,
    ],
    "model_is_unchanged": [Renames, Remembers],
    "draws_through_noise_only": [OwnStream, GlobalStream],
    "same_seed_gives_the_same": [Counts, GlobalStream],
    "labels_differ": [OneSite],
    "manager_is_copied": [KeepsAFunction],
    "batch_of_one": [UnbiasedVariance],
    "empty_batch": [MeanOfNone, NeverZero],
    "one_time_step": [MeanOfNoDifferences],
    "one_unit": [UnbiasedOverUnits],
    "equal_values": [Norm, Deviation, KeepsDirection],
    "huge_and_tiny_values": [SquaresTiny, SquaresHuge],
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
    assert report.ok, str(report)


@pytest.mark.parametrize(
    ("check", "cls"),
    [(check, cls) for check, classes in WRONG.items() for cls in classes],
)
def test_check_fails_on_what_is_wrong(make_check, check, cls):
    status, message = make_check(check, cls)
    assert status == FAILED
    assert message


@pytest.mark.parametrize(
    ("cls", "check", "message"),
    [
        (
            SumsOverRows,
            "loss_is_a_finite_scalar",
            "the loss has shape (",
        ),
        (IsANumber, "loss_is_a_finite_scalar", "the loss is 3.0, which no parameter"),
        (CountsInIntegers, "loss_is_a_finite_scalar", "of dtype int64: a float"),
        (DropsAnAxis, "dtypes_and_shapes_are_kept", "of 1 dimensions, not 2"),
        (BecomesInteger, "dtypes_and_shapes_are_kept", "of dtype int8, not float64"),
        (ForgetsReturn, "hooks_return_a_result", "loss returned None: is `return`"),
        (
            LeavesEntry,
            "hooks_return_a_result",
            "modify_graph returned None: is `return`",
        ),
        (
            TakesMaximumOfNumPy,
            "hooks_compute_with_symbols",
            "in `return sum(np.maximum(",
        ),
        (TakesWhereOfNumPy, "hooks_compute_with_symbols", "(test_checks.py, line "),
        (SetsItems, "hooks_change_nothing_in_place", "write T.set_subtensor(w[i], x)"),
    ],
)
def test_slip_is_told_once_with_what_to_write(cls, check, message):
    report = check_regularizer(cls)

    wrong = [outcome for outcome in report if outcome.is_wrong]
    # the classes here have no docstrings
    wrong = [each for each in wrong if not each.check.startswith("docstring")]
    assert [outcome.check for outcome in wrong] == [check]
    assert message in wrong[0].message
    skipped = {outcome.check: outcome.message for outcome in report}
    assert skipped["works_on_each_engine"] == f"not possible: see {check}"


def test_every_check_is_seen_to_fail():
    elsewhere = {"no_deprecated_arguments", "imports_are_light"}
    assert set(WRONG) | elsewhere == set(CHECKS)


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.name)
def test_every_check_has_a_reason_and_a_remedy(check):
    assert check.reason.endswith(".")
    assert check.remedy[0].islower()
    assert not check.remedy.endswith(".")


@pytest.mark.parametrize(
    ("check", "cls"),
    [
        ("integers_do_not_wrap", GoodConstraint),
        ("loss_is_unweighted", Good),
        ("loss_is_unweighted", GoodCap),
    ],
)
def test_check_that_might_be_skipped_is_passed(make_check, check, cls):
    assert make_check(check, cls) == (PASSED, "")


@pytest.mark.parametrize(
    ("check", "cls", "message"),
    [
        ("loss_is_unweighted", GoodNoise, "it has no loss"),
        ("loss_is_unweighted", Nothing, "its loss is 0"),
        ("labels_differ", Good, "it draws no noise"),
        (
            "one_time_step",
            UnbiasedVariance(pattern="hid1:out", weight=1),
            "a sequence or a map",
        ),
        ("empty_match", RefusesAll, "see works_on_each_engine"),
    ],
)
def test_check_that_does_not_apply_says_why(make_check, check, cls, message):
    status, seen = make_check(check, cls)
    assert status == SKIPPED
    assert message in seen


def test_deprecated_argument_is_reported(make_check, monkeypatch):
    marks = {"noise": DeprecationWarning("since 0.9; take `source`")}
    monkeypatch.setitem(hookspecs.modify_graph.regplug_spec, "warn_on_impl_args", marks)
    status, message = make_check("no_deprecated_arguments", GoodNoise)
    assert status == FAILED
    assert "'modify_graph', argument 'noise': since 0.9; take `source`" in message


def test_class_that_changes_integers_is_named_with_them(make_check, monkeypatch):
    monkeypatch.setattr(
        "regplug.composition.constraints.require_float", lambda *given: None
    )
    status, message = make_check("integers_do_not_wrap", GoodConstraint)
    assert status == FAILED
    assert "hid1.w of int8, " in message


def test_class_that_refuses_integers_without_a_name_is_wrong(make_check, monkeypatch):
    def refuse(name, variable, fault):
        if "float" not in variable.dtype:
            raise regplug.RegularizerError("no integers, please")

    monkeypatch.setattr("regplug.composition.constraints.require_float", refuse)
    status, message = make_check("integers_do_not_wrap", GoodConstraint)
    assert status == FAILED
    assert message.endswith("does not name one: no integers, please")


@pytest.mark.parametrize("check", ["survives_pickling", "manager_is_copied"])
def test_class_inside_a_function_is_not_pickled(make_check, check):
    class Local(Good):
        """Sum of the squares."""

    status, message = make_check(check, Local)
    assert status == SKIPPED
    assert "inside a function" in message


def test_gradient_of_an_infinite_term_at_weight_zero_is_named(make_check, monkeypatch):
    monkeypatch.setattr(
        "regplug.composition.terms._gated", lambda hooks, value, *given: value
    )
    status, message = make_check("weight_zero_is_off_where_infinite", Deviation)
    assert status == FAILED
    assert "the gradient of an infinite term by hid1.w" in message


def test_class_that_refuses_small_models_in_words_is_not_judged_on_them(make_check):
    class Wide(Good):
        @hookimpl
        def loss(self, matched):
            total = 0
            for name, w in matched.items():
                require = engine.engine_of(w).Assert(f"{name} has one unit")
                total += (require(w, w.shape[-1] > 1) ** 2).sum()
            return total

    status, message = make_check("one_unit", Wide)
    assert status == SKIPPED
    assert "has one unit" in message


def test_option_without_annotation_is_named_with_what_to_write(make_check):
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

    status, message = make_check("options_are_declared", Forgets)
    assert status == FAILED
    axes, delta = message.split("; ")
    assert axes.startswith("axes has no annotation")
    assert axes.endswith("annotate it, or `_axes` for a constant")
    assert delta.startswith("delta has no annotation")
    assert delta.endswith("write `delta: float = 1.0`, or `_delta` for a constant")


def test_options_are_found_in_each_form_of_numpydoc(make_check):
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

    status, message = make_check("docstring_options", Described)
    assert status == FAILED
    assert message.endswith("lacks depth, height")


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_loss_that_multiplies_by_the_weight_is_named_at_any_weight(make_check, weight):
    status, message = make_check("loss_is_unweighted", Weighted(weight=weight))
    assert status == FAILED
    assert "proportional to the weight" in message


def test_huge_values_of_the_model_itself_are_not_held_against_a_class(make_check):
    class Quartic(Good):
        @hookimpl
        def loss(self, matched):
            return sum((w**4).sum() for w in matched.values())

    for cls in (Quartic, GoodSequences, GoodNoise):
        assert make_check("huge_and_tiny_values", cls) == (PASSED, "")


def test_weight_that_hooks_read_is_given_by_the_kit(make_check):
    assert make_check("works_on_each_engine", BakedAsTheAncestor)[0] == PASSED
    assert make_check("weight_is_declared", BakedAsTheAncestor) == (PASSED, "")
    assert make_check("weight_zero_is_off", BakedAsTheAncestor) == (PASSED, "")


def test_weight_that_is_baked_in_part_is_named(make_check):
    status, message = make_check("weight_is_live", BakedInPart)
    assert status == FAILED
    assert "does not do what composing with it does" in message
