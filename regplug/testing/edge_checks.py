"""Checks of what models hold at the edges: one of a thing or none, constants, integers, half precision, infinity."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from regplug.engine import engine_of
from regplug.errors import OptionError, RegplugError, listing
from regplug.testing import samples
from regplug.testing.check import CheckFailure, NotApplicable, check
from regplug.testing.graph_checks import cases, main, weighted
from regplug.testing.graphs import function, installed_engine
from regplug.testing.inspection import differences, require_finite
from regplug.testing.samples import Sample
from regplug.testing.subject import Case, Refused, Run, Subject

ROUNDING = 0.02  # some ten times what the activations of a float16 model are off by
CHANGES = ("modify_graph", "constrain")


@check(
    "divide by n and not by n - 1, average with regplug.engine.mean, and do not squeeze the batch axis"
)
def batch_of_one(subject):
    """The last batch of an epoch may have one row."""
    for case in cases(subject):
        run = subject.run(case)
        require_sound(
            run,
            run.sample.value[:1],
            f" on the model {case.kind.__name__} with a batch of 1",
        )


@check(
    "average with regplug.engine.mean(x, axis), which is 0 where there is nothing to average"
)
def empty_batch(subject):
    """A filter may leave a batch without rows: nothing is wrong with it, and a penalty on outputs is 0."""
    models = [
        case for case in cases(subject) if case.kind is not samples.cost
    ]  # its own loss is a mean of no row
    if not models:
        raise NotApplicable("it takes no model that has a value without rows")
    for case in models:
        run = subject.run(case)
        where = f" on the model {case.kind.__name__} with a batch of 0"
        found = require_sound(run, run.sample.value[:0], where)
        if subject.cls.targets == "outputs" and found["loss"] != 0:
            raise CheckFailure(f"the term is {found['loss']:.6g}, not 0,{where}")


@check(
    "average with regplug.engine.mean(x, axis): there are no neighbours, and so no differences, on an axis of one"
)
def one_time_step(subject):
    """A sequence may have one step, and a map one pixel."""
    axes = {samples.sequence: 1, samples.feature_map: 2}
    models = [case for case in cases(subject) if case.kind in axes]
    if not models:
        raise NotApplicable("it takes no sequences and no feature maps")
    for case in models:
        run = subject.run(case)
        first = (slice(None), *[slice(1)] * axes[case.kind])
        where = f" on the model {case.kind.__name__} with one step or pixel"
        require_sound(run, run.sample.value[first], where)


@check(
    "divide by n and not by n - 1, and by regplug.engine.nonzero(x) what may be 0; do not squeeze axes"
)
def one_unit(subject):
    """A layer may have one unit, and a parameter one entry."""
    case = main(subject)
    sample = case.kind(installed_engine(), "float64", width=1)
    with refused_in_words("on a model of one unit a layer"):
        run = subject.apply(case, sample=sample)
    require_sound(
        run, sample.value, f" on the model {case.kind.__name__} with one unit a layer"
    )


@check(
    "take square roots with regplug.engine.root(x), norms with norm(x, axis), and divide by nonzero(x)"
)
def equal_values(subject):
    """Fresh biases, padding and dead units are all alike, and often 0: the value and the gradient are finite."""
    for case in cases(subject):
        run = subject.run(case)
        for number in (0.5, 0.0):
            where = f" on the model {case.kind.__name__} where the input and all parameters are {number:g}"
            with parameters(
                run.sample, lambda value, number=number: np.full_like(value, number)
            ):
                require_sound(run, np.full_like(run.sample.value, number), where)


@check(
    "take the variables from `matched`, which are floats there, not from `outputs` or `layers`"
)
def integers_do_not_wrap(subject):
    """Integers wrap in silence: a penalty takes them as floats, and what changes them refuses them by name."""
    engine, case = installed_engine(), by_name(subject)

    def sample(dtype: str | None = None) -> Sample:
        return samples.with_integers(case.kind(engine, "float64"), engine, dtype)

    if any(subject.implements(hook) for hook in CHANGES):
        require_refusal(subject, case, sample())
        return
    with refused_in_words("on integers"):
        found, expected = (
            subject.apply(case, sample=each) for each in (sample(), sample("float64"))
        )
        term, right = (float(loss(run)) for run in (found, expected))
    if not np.isclose(term, right, rtol=1e-6, atol=0, equal_nan=True):
        raise CheckFailure(
            f"the term is {term:.8g} where outputs and parameters are integers, {right:.8g} as floats"
        )


@check(
    "compute with `matched`, which is float32 on a float16 model, and hand back its dtype once, at the end"
)
def float16_is_right(subject):
    """Sums overflow and small weights vanish in float16: what is computed must be right when it is rounded once."""
    engine, case = installed_engine(), by_name(subject)
    changes_model = subject.implements("modify_graph")
    large = (
        {} if changes_model else {subject.cls.targets: 300}
    )  # squares that float16 does not hold
    runs = []
    for dtype in ("float64", "float16"):
        sample = samples.scaled(
            samples.in_half_precision(case.kind, engine, dtype), **large
        )
        with refused_in_words("on a float16 model"):
            runs.append(subject.apply(case, sample=sample))
        if (
            not changes_model
        ):  # it is not looked at: where its parameters are large it is not right itself
            for name in runs[-1].result.outputs:
                del runs[-1].variables[name]
    wide, half = runs
    with np.errstate(all="ignore"), refused_in_words("on a float16 model"):
        if subject.implements("loss") and wide.is_live:
            set_weights_for_a_term_of_one(wide, half)
        expected, found = wide.values()[0], half.values()[0]
    for name, right in expected.items():
        value = found[name]
        if not np.allclose(
            value,
            right,
            rtol=ROUNDING,
            atol=ROUNDING * float(np.abs(right).max(initial=1e-6)),
        ):
            raise CheckFailure(
                f"{name} is {shown(value)} in float16, {shown(right)} in float64"
            )


@check(
    "keep off what weight 0 multiplies: `h + weight * h.mean()` is NaN where h.mean() is inf; use switch"
)
def weight_zero_is_off_where_infinite(subject):
    """0 is off, exactly, also where the term is infinite or NaN: the model must not go down with it."""
    weighted(subject)
    engine, case = installed_engine(), by_name(subject)
    sample = samples.huge(case.kind(engine, "float64"), engine)
    with refused_in_words("on huge values"):
        run = subject.apply(case, sample=sample)
    if run.is_live:
        run.manager.weights[run.label] = 0
    else:
        run = subject.apply(case, sample=sample, weight=0)
    # where outputs are huge the parameters are not, for the model's own gradient would be NaN
    change = with_huge_entries if subject.cls.targets == "params" else np.copy
    with np.errstate(all="ignore"), parameters(sample, change):
        if subject.implements("loss"):
            require_no_term(run)
        if any(subject.implements(hook) for hook in CHANGES):
            differs = differences(
                run.values()[0], Run.of_no_regularizer(sample).values()[0]
            )
            if differs:
                raise CheckFailure(
                    f"with weight 0 and values of 1e308 these differ: {listing(differs)}"
                )


def require_sound(run: Run, x: np.ndarray, where: str) -> dict[str, np.ndarray]:
    """Return what two steps gave; raise CheckFailure where a value or a gradient is not finite."""
    with refused_in_words(where.strip()):
        found = run.values(2, x)[-1]
    require_finite(found, where)
    if not all(np.isfinite(each).all() for each in run.backward(x)):
        raise CheckFailure(f"the gradient is not finite{where}")
    return found


def require_no_term(run: Run) -> None:
    """Raise CheckFailure where the loss, or its gradient by a parameter, is not 0."""
    params = list(dict.fromkeys(run.sample.params.values()))
    loss = run.result.loss
    gradients = engine_of(loss).grad(loss, params, disconnected_inputs="ignore")
    try:
        term, *found = function([run.sample.x], [loss, *gradients])(run.sample.value)
    except (ValueError, AssertionError) as error:
        raise CheckFailure(
            f"with weight 0 and values of 1e308 the step raised {error}"
        ) from error
    if term != 0:
        raise CheckFailure(f"with weight 0 and values of 1e308 the term is {term:.6g}")
    for p, gradient in zip(params, found, strict=True):
        if np.any(gradient != 0):
            raise CheckFailure(
                f"with weight 0 the gradient of an infinite term by {p.name} is {shown(gradient)}"
            )


def by_name(subject: Subject) -> Case:
    """Return the main case with the outputs that match: changed ones lead to no other, and so have no role."""
    case = main(subject)
    if subject.cls.targets == "params":  # type: ignore[attr-defined]
        return case
    return Case(case.kind, subject.run(case).matched)


def require_refusal(subject: Subject, case: Case, sample: Sample) -> None:
    """Raise CheckFailure where a regularizer changes integers, or does not say which."""
    names = subject.run(main(subject)).matched
    dtypes = {name: v.dtype for name, v in (sample.outputs | sample.params).items()}
    integers = [name for name in names if "float" not in dtypes[name]]
    if not integers:
        raise NotApplicable(
            f"it acts on {listing(names)}, which is none of the integers"
        )
    try:
        subject.apply(case, sample=sample)
    except (Refused, RegplugError) as error:
        if any(name in str(error) and dtypes[name] in str(error) for name in integers):
            return
        raise CheckFailure(
            f"it refuses integers and does not name one: {error}"
        ) from error
    raise CheckFailure(
        f"it changes {listing(f'{name} of {dtypes[name]}' for name in integers)}"
    )


def set_weights_for_a_term_of_one(wide: Run, half: Run) -> None:
    """Weight the term so that it is 1, whatever the penalty is: the largest that fits float16 is 65504."""
    raw = float(wide.values()[0]["loss"]) / wide.manager.weights[wide.label]
    wide.restart()
    if raw > 0 and np.isfinite(raw):
        with contextlib.suppress(OptionError):
            for run in (wide, half):
                run.manager.weights[run.label] = 1 / raw


def loss(run: Run) -> np.ndarray:
    """Return the weighted term."""
    return function([run.sample.x], run.result.loss)(run.sample.value)


def with_huge_entries(value: np.ndarray) -> np.ndarray:
    """Return a copy with two entries whose sum is infinite, in rows and columns of their own."""
    value = value.copy()
    for index in range(2):
        value[tuple(min(index, length - 1) for length in value.shape)] = samples.HUGE
    return value


def shown(value: np.ndarray) -> str:
    """Return an array as a short text: what is not finite first."""
    flat = np.ravel(value).astype("float64")
    broken = flat[~np.isfinite(flat)]
    worst = [*broken, *flat[np.isfinite(flat)]][:3]
    return ", ".join(f"{number:.5g}" for number in worst) + (
        ", ..." if len(flat) > 3 else ""
    )


@contextlib.contextmanager
def parameters(sample: Sample, change) -> Iterator[None]:
    """Have other values in the parameters for a while."""
    start = {p: p.get_value() for p in sample.params.values()}
    try:
        for p, value in start.items():
            p.set_value(change(value))
        yield
    finally:
        for p, value in start.items():
            p.set_value(value)


@contextlib.contextmanager
def refused_in_words(what: str) -> Iterator[None]:
    """Take a refusal for an answer: an error while the graph is built, or an assertion in the graph."""
    try:
        yield
    except Refused as error:
        if isinstance(
            error.__cause__, ValueError
        ):  # of shapes that do not fit, while the graph ran
            raise CheckFailure(f"{error} {what}") from error
        raise NotApplicable(f"{error} {what}") from error
