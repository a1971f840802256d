"""Checks at the edges: one of a thing or none, constants, integers, infinity."""

from __future__ import annotations

import contextlib
from functools import partial

import numpy as np

from regplug.engine import engine_of
from regplug.errors import OptionError, RegplugError, listing
from regplug.testing import samples
from regplug.testing.check import CheckFailure, NotApplicable, check, require
from regplug.testing.graphs import function, installed_engine
from regplug.testing.inspection import (
    finite_gradients,
    refused_in_words,
    require_equal,
    require_finite,
)
from regplug.testing.subject import Refused, without_regularizer

# some ten times what the activations of a float16 model are off by
ROUNDING = 0.02
CHANGES = ("modify_graph", "constrain")


@check
def batch_of_one(subject):
    """The last batch of an epoch may have one row.

    To do: divide by n and not by n - 1, average with regplug.engine.mean, and do not
    squeeze the batch axis.
    """
    for run in subject.runs():
        require_sound(run, run.sample.value[:1], "with a batch of 1")


@check
def empty_batch(subject):
    """A filter may leave a batch without rows: nothing is wrong with it, and a penalty
    on outputs is 0.

    To do: average with regplug.engine.mean(x, axis), which is 0 where there is nothing
    to average.
    """
    # the cost is a mean of no row itself
    kinds = set(samples.KINDS) - {samples.cost}
    for run in subject.runs_on(kinds, "a value without rows"):
        where = "with a batch of 0"
        term = require_sound(run, run.sample.value[:0], where)["loss"]
        if subject.cls.targets == "outputs":
            where = f"on the model {run.case.name} {where}"
            require(term == 0, f"the term is {term:.6g}, not 0, {where}")


@check
def one_time_step(subject):
    """A sequence may have one step, and a map one pixel.

    To do: average with regplug.engine.mean(x, axis): there are no neighbours, and so no
    differences, on an axis of one.
    """
    axes = {samples.sequence: 1, samples.feature_map: 2}
    for run in subject.runs_on(axes, "a sequence or a map"):
        first = [slice(None)] + [slice(1)] * axes[run.case.kind]
        require_sound(run, run.sample.value[tuple(first)], "with one step or pixel")


@check
def one_unit(subject):
    """A layer may have one unit, and a parameter one entry.

    To do: divide by n and not by n - 1, and by regplug.engine.nonzero(x) what may be 0;
    do not squeeze axes.
    """
    case = subject.first_case
    sample = case.kind(installed_engine(), "float64", width=1)
    with refused_in_words("on a model of one unit a layer"):
        run = subject.apply(case, sample=sample)
    require_sound(run, sample.value, "with one unit a layer")


@check
def equal_values(subject):
    """Fresh biases, padding and dead units are all alike, and often 0: the value and
    the gradient are finite.

    To do: take square roots with regplug.engine.root(x), norms with norm(x, axis), and
    divide by nonzero(x).
    """
    for run in subject.runs():
        for number in (0.5, 0.0):
            fill = partial(np.full_like, fill_value=number)
            where = f"where the input and all parameters are {number:g}"
            with run.sample.perturbed_params(fill):
                require_sound(run, fill(run.sample.value), where)
                # arrays are kept of these now, and the input is another
                run.manager.restart()
                require_sound(run, run.sample.value, f"{where} at the start")


@check
def huge_and_tiny_values(subject):
    """Weights explode, and vanish: what is finite without the regularizer is finite
    with it, and no term is NaN.

    To do: take norms with regplug.engine.norm(x, axis), whose squares do not overflow
    or vanish, and divide by nonzero(x).
    """
    for run in subject.runs():
        with run.scaled_params(1e-200):
            require_sound(run, run.sample.value, "with parameters near 1e-200")
        # huge outputs are not finite themselves
        if subject.cls.targets == "params":
            with np.errstate(all="ignore"), run.scaled_params(1e150):
                expected = without_regularizer(run.case, run.sample)
                found = run.one_step()
            # squares fit, and a term may overflow
            found["loss"] = np.minimum(found["loss"], 0)
            names = [name for name in found if np.isfinite(expected[name]).all()]
            require_finite(
                {name: found[name] for name in names}, " with parameters near 1e150"
            )


@check
def integers_do_not_wrap(subject):
    """Integers wrap in silence: a penalty takes them as floats, and what changes them
    refuses them by name.

    To do: take the variables from `matched`, which are floats there, not from `outputs`
    or `layers`.
    """
    case = subject.first_case_by_name
    sample = case.sample()
    samples.make_integer(sample)
    if any(map(subject.implements, CHANGES)):
        require_refusal(subject, sample)
        return
    same = case.sample()
    samples.make_integer(same, "float64")
    with refused_in_words("on integers"):
        term = loss(subject.apply(case, sample=sample))
        expected = loss(subject.apply(case, sample=same))
    is_same = np.isclose(term, expected, rtol=1e-6, atol=0, equal_nan=True)
    found = f"{term:.8g} where outputs and parameters are integers"
    require(is_same, f"the term is {found}, {expected:.8g} as floats")


@check
def float16_is_right(subject):
    """Sums overflow and small weights vanish in float16: what is computed must be right
    when it is rounded once.

    To do: compute with `matched`, which is float32 on a float16 model, and hand back
    its dtype once, at the end.
    """
    with np.errstate(all="ignore"), refused_in_words("on a float16 model"):
        wide, half = large_run(subject, "float64"), large_run(subject, "float16")
        if subject.implements("loss") and wide.is_live:
            scale_term_to_one(wide, half)
        expected, found = wide.one_step(), half.one_step()
    for name, right in expected.items():
        # where parameters are large the model is not right itself
        if name in wide.result.outputs and not subject.implements("modify_graph"):
            continue
        half = found[name]
        atol = ROUNDING * float(np.abs(right).max(initial=1e-6))
        is_close = np.allclose(half, right, rtol=ROUNDING, atol=atol)
        fault = f"{name} is {shown(half)} in float16, {shown(right)} in float64"
        require(is_close, fault)


@check
def weight_zero_is_off_where_infinite(subject):
    """0 is off, exactly, also where the term is infinite or NaN: the model must not go
    down with it.

    To do: keep off what weight 0 multiplies: `h + weight * h.mean()` is NaN where
    h.mean() is inf; use switch.
    """
    subject.require_weight()
    case = subject.first_case_by_name
    sample = case.sample()
    samples.make_infinite_sums(sample)
    with refused_in_words("on huge values"):
        run = subject.apply(case, sample=sample)
    run = subject.without_weight(run)
    is_on_params = subject.cls.targets == "params"
    # not where outputs are huge, for the model's own gradient would be NaN
    change = with_huge_entries if is_on_params else np.copy
    with np.errstate(all="ignore"), sample.perturbed_params(change):
        if subject.implements("loss"):
            require_no_term(run)
        if any(map(subject.implements, CHANGES)):
            expected = without_regularizer(case, sample)
            what = "with weight 0 and values of 1e308 these differ"
            require_equal(run.one_step(), expected, what)


def require_sound(run, x, where):
    """Return what two steps gave.

    Raises
    ------
    CheckFailure
        A value or a gradient is not finite.
    """
    where = f"on the model {run.case.name} {where}"
    with refused_in_words(where):
        run.one_step(x)
        found = run.one_step(x)
    require_finite(found, f" {where}")
    finite_gradients(run, x, where)
    return found


def require_no_term(run):
    """Raise CheckFailure where the loss, or its gradient by a parameter, is not 0."""
    term = run.result.loss
    params = run.sample.unique_params
    gradients = engine_of(term).grad(term, params, disconnected_inputs="ignore")
    compiled = function([run.sample.x], [term, *gradients])
    term, *gradients = compiled(run.sample.value)
    where = "with weight 0 and values of 1e308"
    require(term == 0, f"{where} the term is {term:.6g}")
    for p, gradient in zip(params, gradients, strict=True):
        what = f"the gradient of an infinite term by {p.name}"
        fault = f"with weight 0 {what} is {shown(gradient)}"
        require(np.all(gradient == 0), fault)


def require_refusal(subject, sample):
    """Raise CheckFailure where integers are changed, or refused without a name."""
    variables = sample.outputs | sample.params
    matched = subject.first_run.matched
    dtypes = {name: variables[name].dtype for name in matched}
    integers = [name for name in matched if "float" not in dtypes[name]]
    if not integers:
        what = listing(matched)
        raise NotApplicable(f"it acts on {what}, which is none of the integers")
    try:
        subject.apply(subject.first_case_by_name, sample=sample)
    except (Refused, RegplugError) as error:
        text = str(error)
        is_named = any(name in text and dtypes[name] in text for name in integers)
        require(is_named, f"it refuses integers and does not name one: {text}")
    else:
        changed = listing(f"{name} of {dtypes[name]}" for name in integers)
        raise CheckFailure(f"it changes {changed}")


def large_run(subject, dtype):
    """Return a run on values that float16 holds, and whose squares it does not hold."""
    case = subject.first_case_by_name
    sample = case.sample(dtype)
    samples.round_to_half(sample)
    if not subject.implements("modify_graph"):
        samples.enlarge(sample, subject.cls.targets)
    return subject.apply(case, sample=sample)


def scale_term_to_one(wide, half):
    """Weight the term so that it is 1: the largest that fits float16 is 65504."""
    raw = float(wide.one_step()["loss"]) / wide.weight
    wide.restart()
    if raw > 0 and np.isfinite(raw):
        with contextlib.suppress(OptionError):
            for run in (wide, half):
                run.weight = 1 / raw


def loss(run):
    """Return the weighted term."""
    return float(function([run.sample.x], run.result.loss)(run.sample.value))


def with_huge_entries(value):
    """Return a copy with two entries of 1e308, in rows and columns of their own."""
    value = value.copy()
    value.flat[[0, -1]] = samples.HUGE
    return value


def shown(value):
    """Return an array as a short text: what is not finite first."""
    flat = np.ravel(value).astype("float64")
    is_finite = np.isfinite(flat)
    worst = [*flat[~is_finite], *flat[is_finite]]
    return listing([f"{number:.5g}" for number in worst], 3)
