"""Checks of what a regularizer computes, on the kit's samples."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import random

import numpy as np

from regplug.authoring.options import options_of
from regplug.authoring.regularizer import non_default_options
from regplug.composition.compose import compose
from regplug.engine import name_of
from regplug.errors import OptionError, listing
from regplug.testing import samples
from regplug.testing.check import CheckFailure, NotApplicable, check, require
from regplug.testing.graphs import evaluate, function, installed_engine
from regplug.testing.inspection import (
    differ,
    draws_noise,
    finite_gradients,
    foreign_randomness,
    hold_constant,
    refused_in_words,
    require_dtype,
    require_equal,
    require_finite,
    slope,
    snapshot,
)
from regplug.testing.subject import Case, Refused, baseline


@check
def works_on_each_engine(subject):
    """A plugin works on whichever engine built the model.

    To do: see the message; if it needs another model, test an instance with the pattern
    of one that fits.
    """
    accepted = subject.accepted
    if subject.slip is not None:
        raise NotApplicable(f"not possible: see {subject.blocker}")
    if subject.error is not None:
        raise subject.error
    refusals = " | ".join(subject.refusals)
    require(accepted, f"it takes none of the kit's models: {refusals}")
    require_finite(subject.first_run.one_step())
    models = []
    for run in subject.runs():
        models.append(f"{run.case.name} ({listing(run.matched, 3)})")
    return f"on {name_of(run.sample.x)}; on the models {', '.join(models)}"


@check
def every_value_works(subject):
    """What the declared type and range of an option allow either works or is refused in
    words.

    To do: refuse a value that cannot work with a ValueError that says so, and compute
    the others.
    """
    works = []
    for name, value in subject.options_to_try():
        try:
            found = subject.apply(subject.first_case, **{name: value}).one_step()
        except (Refused, OptionError):
            continue
        require_finite(found, f" with {name}={value!r}")
        works.append(f"{name}={value!r}")
    return listing(works)


@check
def loss_is_a_finite_scalar(subject):
    """The term is added to the user's loss.

    To do: return a float scalar that is finite: mean or sum over all axes, and an
    epsilon where it divides.
    """
    if not subject.implements("loss"):
        raise NotApplicable("it has no loss")
    for run in subject.runs():
        where = f"the loss of {run.case.name}"
        is_term = hasattr(run.raw, "type")
        require(is_term, f"{where} is {run.raw!r}: there is no term")
        value = evaluate(run.raw, {run.sample.x: run.sample.value})
        require(value.ndim == 0 and np.isfinite(value), f"{where} is {value!r}")


@check
def loss_is_unweighted(subject):
    """The manager multiplies the loss by the weight, so the loss must not do it, too.

    To do: return the unweighted penalty; `weight` is there for what is not a factor,
    such as a radius or a threshold.
    """
    if not subject.implements("loss"):
        raise NotApplicable("it has no loss")
    pairs = np.array([loss_per_weight(subject, case) for case in subject.cases])
    pairs = pairs[pairs.any(axis=1)]
    if not len(pairs):
        raise NotApplicable("its loss is 0")
    one, other = pairs.T
    # a loss that is capped at the weight is proportional to it on a model where all
    # values are large, so it must be so on each
    is_proportional = np.allclose(one, other, rtol=1e-6, atol=0)
    what = "the loss is proportional to the weight"
    require(not is_proportional, f"{what}, and the manager multiplies by it again")


@check
def gradient_agrees(subject):
    """Training follows the gradient: it must be finite, and that of what is computed.

    To do: look for functions whose gradient is wrong or infinite where the value is
    fine, such as sqrt at 0.
    """
    for run in subject.runs():
        where = f"on the model {run.case.name}"
        gradients = finite_gradients(run, run.sample.value, where)
        objective = function([run.sample.x], hold_constant(run.objective, run))
        random_state = np.random.default_rng(3)
        expected = scale = 0.0
        direction = []
        for gradient in gradients:
            direction.append(random_state.normal(size=gradient.shape))
            part = direction[-1] * gradient
            expected += float(part.sum())
            scale += float(abs(part).sum())
        measured = slope(objective, run.sample, direction)
        atol = 1e-6 * (1 + scale)
        require(
            np.isclose(measured, expected, rtol=1e-4, atol=atol),
            f"{where} the gradient along a random direction is {expected:.8g}, "
            f"finite differences give {measured:.8g}",
        )


@check
def dtypes_and_shapes_are_kept(subject):
    """A float32 model must not turn into float64, nor change its shapes.

    To do: bring numbers to the dtype of what matched: np.asarray(number, h.dtype),
    h.shape[0].astype(h.dtype).
    """
    for dtype in ("float32", "float64"):
        for run in subject.runs(dtype):
            require_dtype(run, dtype)
            found = run.steps(2)[-1]
            for name, before in baseline(run.case.kind, dtype).items():
                shape = found[name].shape
                fault = f"{name} had shape {before.shape} and has {shape}"
                require(shape == before.shape, fault)
    for name, value in subject.options_to_try():
        if isinstance(value, float):
            with contextlib.suppress(Refused, OptionError):
                option = {name: value}
                run = subject.apply(subject.first_case, "float32", **option)
                require_dtype(run, "float32", f" with {name}={value}")


@check
def weight_zero_is_off(subject):
    """0 is off, exactly, so that a regularizer can be switched off without a recompile.

    To do: write it so that weight 0 gives back what was there, such as
    `h + weight * noise`.
    """
    subject.require_weight()
    run = subject.without_weight(subject.first_run)
    what = "with weight 0 these differ from the model without it"
    require_equal(run.one_step(), baseline(run.case.kind), what)


@check
def weight_is_live(subject):
    """Assigning a weight changes compiled functions.

    To do: take `weight` as an argument of the hook and use it, in the place of
    `self.weight`.
    """
    subject.require_weight()
    run = subject.first_run
    fault = "its modify_graph does not take `weight` as an argument"
    require(run.is_live, f"{fault}: the number is baked in")
    other = next(weight for weight in subject.weights if weight != run.weight)
    anew = subject.apply(run.case, weight=other)
    # a penalty on the distance from the start is 0 there
    with run.scaled_params(1.1), anew.scaled_params(1.1):
        weight, before, composed = run.weight, run.steps(8), anew.steps(8)
        run.restart().weight = other
        after = run.steps(8)
    fault = f"the weights {weight} and {other} give the same numbers"
    require(differ(before, after), fault)
    fault = f"setting the weight to {other} does not do what composing with it does"
    require(not differ(composed, after), fault)


@check
def weight_is_declared(subject):
    """A weight that does nothing is refused at once, where the class says so.

    To do: write `weight = None` in the class, or use the weight.
    """
    is_option = subject.cases and "weight" in options_of(subject.cls)
    fault = "its hooks do not take `weight`, and do not read self.weight"
    require(subject.uses_weight or not is_option, fault)


@check
def model_is_unchanged(subject):
    """The caller's graph, maps and values, and the regularizer itself, serve several
    models.

    To do: return new variables and replace entries of `outputs` only; keep what you
    remember in `state`.
    """
    case = subject.first_case
    sample, instance = case.sample(), subject.make(**case.options)
    options = copy.deepcopy(vars(instance))
    before = snapshot(sample)
    result = compose([instance]).apply(sample.outputs, sample.params)
    result.constrain([(p, p * 1.25) for p in sample.params.values()], 0.1)
    after = snapshot(sample)
    for what, value in before.items():
        fault = f"applying it changed {what} of the caller's model"
        require(after[what] == value, fault)
    now = vars(instance)
    fault = f"applying it changed the regularizer: {options} became {now}"
    require(now == options, fault)


@check
def draws_through_noise_only(subject):
    """Only then are masks reproducible, the same on every engine, and independent of
    other regularizers.

    To do: draw with noise.keep, noise.normal or noise.uniform only.
    """
    before = random_states()
    subject.apply(subject.first_case)
    is_same = before == random_states()
    require(is_same, "it draws from the global generator of Python or NumPy")
    for run in subject.runs():
        # each once
        streams = list(dict.fromkeys(foreign_randomness(run)))
        fault = f"the graph draws from a stream of its own: {listing(streams)}"
        require(not streams, fault)


@check
def same_seed_gives_the_same(subject):
    """A run can be repeated; where noise is drawn, another seed gives other numbers.

    To do: draw through `noise` only, and let nothing depend on the order of a set, the
    time or a counter of your own.
    """
    run = subject.first_run
    numbers = run.steps(4)
    is_same = not differ(numbers, subject.apply(run.case).steps(4))
    require(is_same, "two managers with one seed give different numbers")
    if draws_noise(run):
        is_other = differ(numbers, subject.apply(run.case, seed=12).steps(4))
        require(is_other, "it draws noise, and two seeds give the same numbers")


@check
def labels_differ(subject):
    """Two regularizers of one kind must not share their masks.

    To do: draw through `noise` only, which is keyed by the label.
    """
    run = subject.first_run
    if not draws_noise(run):
        raise NotApplicable("it draws no noise")
    other = subject.apply(run.case, name="other")
    require(differ(run.steps(4), other.steps(4)), "two labels draw the same noise")


@check
def empty_match(subject):
    """With optional=True a pattern may match nothing; then nothing happens.

    To do: leave `optional` to the base class.
    """
    kind = subject.first_case.kind
    run = subject.apply(Case(kind, {"pattern": "no-such-*"}), optional=True)
    what = "the pattern matches nothing, and these differ"
    require_equal(run.one_step(), baseline(kind), what)


@check
def tied_parameter(subject):
    """A parameter that two layers share counts once.

    To do: work on `matched`, which holds each variable once.
    """
    case = subject.first_case
    sample = samples.tied(installed_engine(), "float64")
    if case.options:
        case = Case(case.kind, {"pattern": sample.focus[subject.cls.targets]})
    with refused_in_words("on the model with a tied parameter"):
        run = subject.apply(case, sample=sample)
    found = run.one_step()
    require_finite(found, " with a tied parameter")
    if subject.cls.targets == "params":
        del sample.params["hid2.w"]
        try:
            once = subject.apply(case, sample=sample)
        except Refused:
            return
        what = "with two names for one parameter these change"
        require_equal(once.one_step(), found, what)


@check
def state_resumes(subject):
    """A run that is resumed from manager.state() continues to the bit.

    To do: keep what changes from step to step in `state`, as arrays.
    """
    run = subject.first_run
    run.steps(2)
    state = run.manager.state()
    arrays = dict(state.pop("arrays"))
    state = json.loads(json.dumps(state)) | {"arrays": arrays}
    expected = run.steps(3)
    resumed = subject.apply(run.case, seed=4)
    resumed.manager.restore(state)
    is_same = not differ(expected, resumed.steps(3))
    require(is_same, "after restore(state()) the next steps give other numbers")


@check
def manager_is_copied(subject):
    """A run is sent to another process as it stands, by pickle.

    To do: keep what changes in `state`, and set no attribute in a hook; define the
    class at module level.
    """
    subject.require_picklable()
    run = subject.first_run
    run.steps(2)
    copied = pickle.loads(pickle.dumps(run.manager))
    try:
        np.testing.assert_equal(copied.state(), run.manager.state())
    except AssertionError as error:
        raise CheckFailure("the copy of a manager has another state") from error
    before = non_default_options(run.regularizer)
    after = non_default_options(copied.members[0].regularizer)
    require(before == after, f"the copy of a manager has {after}, not {before}")


def random_states():
    """Return the states of the generators of Python and NumPy."""
    return random.getstate(), pickle.dumps(np.random.get_state())


def loss_per_weight(subject, case):
    """Return the loss composed with two weights, divided by them."""
    found = []
    for weight in subject.weights:
        run = subject.apply(case, weight=weight)
        with run.scaled_params(1.1):
            # the manager has multiplied by it once
            found.append(run.one_step()["loss"] / weight**2)
    return found
