"""Checks of what a regularizer computes, on the kit's samples."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import random

import numpy as np

from regplug.authoring.regularizer import (
    hook_arguments,
    non_default_options,
    uses_weight,
)
from regplug.composition.compose import compose
from regplug.errors import OptionError, listing
from regplug.testing import samples
from regplug.testing.check import CheckFailure, NotApplicable, check
from regplug.testing.class_checks import tried_values
from regplug.testing.graphs import (
    evaluate,
    face,
    function,
    installed_engine,
    installed_engines,
)
from regplug.testing.inspection import (
    another_weight,
    differ,
    differences,
    draws,
    foreign_randomness,
    hold_constant,
    loss_by_weight,
    moved,
    require_dtype,
    require_finite,
    slope,
    snapshot,
)
from regplug.testing.subject import Case, Refused, Run, Subject, plain


@check(
    "see the message; if it needs another model, test an instance with the pattern of one that fits"
)
def works_on_each_engine(subject):
    """A plugin works on whichever engine built the model."""
    found = subject.cases
    if subject.error is not None:
        raise CheckFailure(str(subject.error)) from subject.error
    if not found:
        raise CheckFailure(
            "it takes none of the kit's models: " + " | ".join(subject.refusals)
        )
    require_finite(subject.run(found[0]).values()[0])
    for name in installed_engines()[1:]:
        run = subject.apply(found[0], sample=found[0].kind(face(name), "float64"))
        require_finite(run.values()[0], f" on {name}")
    models = (
        f"{case.kind.__name__} ({listing(subject.run(case).matched, 3)})"
        for case in found
    )
    return f"on {', '.join(installed_engines())}; on the models {', '.join(models)}"


@check(
    "refuse a value that cannot work with a ValueError that says so, and compute the others"
)
def every_value_works(subject):
    """What the declared type and range of an option allow either works or is refused in words."""
    case, works = main(subject), []
    for name, value in tried_values(subject):
        try:
            found = subject.apply(case, **{name: value}).values()[0]
        except (Refused, OptionError):
            continue
        require_finite(found, f" with {name}={value!r}")
        works.append(f"{name}={value!r}")
    return listing(works)


@check(
    "return a float scalar that is finite: mean or sum over all axes, and an epsilon where it divides"
)
def loss_is_a_finite_scalar(subject):
    """The term is added to the user's loss."""
    if not subject.implements("loss"):
        raise NotApplicable("it has no loss")
    for case in cases(subject):
        run = subject.run(case)
        raw = run.raw[0] if run.raw else None
        if not hasattr(raw, "type"):
            raise CheckFailure(
                f"the loss of {case.kind.__name__} is {raw!r}: there is no term"
            )
        value = evaluate(raw, {run.sample.x: run.sample.value})
        if value.ndim or not np.isfinite(value):
            raise CheckFailure(f"the loss of {case.kind.__name__} is {value!r}")


@check(
    "return the unweighted penalty; `weight` is there for what is not a factor, such as a radius or a threshold"
)
def loss_is_unweighted(subject):
    """The manager multiplies the loss by the weight, so the loss must not do it, too."""
    if "weight" not in (hook_arguments(subject.cls, "loss") or ()):
        raise NotApplicable("its loss does not take `weight`")
    pairs = [
        pair
        for case in cases(subject)
        if (pair := loss_by_weight(subject.run(case))) is not None
    ]
    if not pairs:
        raise NotApplicable("its loss is 0, or its weight is baked in")
    # on every model: a loss that is capped at the weight is proportional to it where all values are large
    if all(np.isclose(*pair, rtol=1e-6, atol=0) for pair in pairs):
        raise CheckFailure(
            "the loss is proportional to the weight, and the manager multiplies by it again"
        )


@check(
    "look for functions whose gradient is wrong or infinite where the value is fine, such as sqrt at 0"
)
def gradient_agrees(subject):
    """Training follows the gradient: it must be finite, and that of what is computed."""
    for case in cases(subject):
        run = subject.run(case)
        exact = run.backward(run.sample.value)
        measure = function([run.sample.x], hold_constant(run.objective, run))
        if not all(np.isfinite(each).all() for each in exact):
            raise CheckFailure(
                f"the gradient is not finite on the model {case.kind.__name__}"
            )
        direction = np.random.default_rng(3)
        along = [direction.normal(size=each.shape) for each in exact]
        parts = [step * gradient for step, gradient in zip(along, exact, strict=True)]
        expected, scale = (
            sum(float(part.sum()) for part in each) for each in (parts, map(abs, parts))
        )
        measured = slope(measure, run, along)
        if not np.isclose(measured, expected, rtol=1e-4, atol=1e-6 * (1 + scale)):
            raise CheckFailure(
                f"on the model {case.kind.__name__} the gradient along a random direction is {expected:.8g}, "
                f"finite differences give {measured:.8g}"
            )


@check(
    "bring numbers to the dtype of what matched: np.asarray(number, h.dtype), h.shape[0].astype(h.dtype)"
)
def dtypes_and_shapes_are_kept(subject):
    """A float32 model must not turn into float64, nor change its shapes."""
    for case in cases(subject):
        for dtype in ("float32", "float64"):
            run = subject.run(case, dtype)
            require_dtype(run, dtype)
            for kept, new in run.result.updates.items():
                if (kept.dtype, kept.ndim) != (new.dtype, new.ndim):
                    raise CheckFailure(
                        f"the state {kept} of type {kept.type} is updated by {new.type}"
                    )
            now = run.values(2)[-1]
            for name, before in plain(case.kind, dtype).items():
                if now[name].shape != before.shape:
                    raise CheckFailure(
                        f"{name} had shape {before.shape} and has {now[name].shape}"
                    )
    for name, value in tried_values(subject):
        if isinstance(value, float):
            with contextlib.suppress(Refused, OptionError):
                run = subject.apply(main(subject), "float32", **{name: value})
                require_dtype(run, "float32", f" with {name}={value}")


@check(
    "write it so that weight 0 gives back what was there, such as `h + weight * noise`"
)
def weight_zero_is_off(subject):
    """0 is off, exactly, so that a regularizer can be switched off without a recompile."""
    run = weighted(subject)
    if run.is_live:
        run.manager.weights[run.label] = 0
    else:
        run = subject.apply(main(subject), weight=0)
    if differs := differences(run.values()[0], plain(main(subject).kind)):
        raise CheckFailure(
            f"with weight 0 these differ from the model without it: {listing(differs)}"
        )


@check(
    "take `weight` as an argument of the hook and use it, in the place of `self.weight`"
)
def weight_is_live(subject):
    """Assigning a weight changes compiled functions."""
    run = weighted(subject)
    if not run.is_live:
        raise CheckFailure(
            "its modify_graph does not take `weight` as an argument: the number is baked in"
        )
    with moved(run):
        weight, before = run.manager.weights[run.label], run.values(8)
        other = another_weight(run.restart())
        after = run.values(8)
    if not differ(before, after):
        raise CheckFailure(f"the weights {weight} and {other} give the same numbers")


@check(
    "return new variables and replace entries of `outputs` only; keep what you remember in `state`"
)
def model_is_unchanged(subject):
    """The caller's graph, maps and values, and the regularizer itself, serve several models."""
    case = main(subject)
    sample = case.kind(installed_engine(), "float64")
    instance = subject.make(
        **({} if case.pattern is None else {"pattern": case.pattern})
    )
    options = copy.deepcopy(vars(instance))
    before = snapshot(sample)
    result = compose([instance]).apply(sample.outputs, sample.params)
    result.constrain([(p, p * 1.25) for p in sample.params.values()], 0.1)
    after = snapshot(sample)
    for what, value in before.items():
        if after[what] != value:
            raise CheckFailure(f"applying it changed {what} of the caller's model")
    if vars(instance) != options:
        raise CheckFailure(
            f"applying it changed the regularizer: {options} became {vars(instance)}"
        )


@check("draw with noise.keep, noise.normal or noise.uniform only")
def draws_through_noise_only(subject):
    """Only then are masks reproducible, the same on every engine, and independent of other regularizers."""
    before = random.getstate(), pickle.dumps(np.random.get_state())
    subject.apply(main(subject))
    if before != (random.getstate(), pickle.dumps(np.random.get_state())):
        raise CheckFailure("it draws from the global generator of Python or NumPy")
    for case in cases(subject):
        if found := foreign_randomness(subject.run(case)):
            raise CheckFailure(
                f"the graph draws from a stream of its own: {listing(found)}"
            )


@check(
    "draw through `noise` only, and let nothing depend on the order of a set, the time or a counter of your own"
)
def same_seed_gives_the_same(subject):
    """A run can be repeated; where noise is drawn, another seed gives other numbers."""
    case = main(subject)
    run = subject.run(case)
    numbers = run.values(4)
    if differ(numbers, subject.apply(case).values(4)):
        raise CheckFailure("two managers with one seed give different numbers")
    if draws(run) and not differ(numbers, subject.apply(case, seed=12).values(4)):
        raise CheckFailure("it draws noise, and two seeds give the same numbers")


@check("draw through `noise` only, which is keyed by the label")
def labels_differ(subject):
    """Two regularizers of one kind must not share their masks."""
    case = main(subject)
    run = subject.run(case)
    if not draws(run):
        raise NotApplicable("it draws no noise")
    if not differ(run.values(4), subject.apply(case, name="other").values(4)):
        raise CheckFailure("two labels draw the same noise")


@check("leave `optional` to the base class")
def empty_match(subject):
    """With optional=True a pattern may match nothing; then nothing happens."""
    case = main(subject)
    run = subject.apply(Case(case.kind, "no-such-*"), optional=True)
    if differs := differences(run.values()[0], plain(case.kind)):
        raise CheckFailure(
            f"the pattern matches nothing, and these differ: {listing(differs)}"
        )


@check("work on `matched`, which holds each variable once")
def tied_parameter(subject):
    """A parameter that two layers share counts once."""
    engine = installed_engine()
    case = main(subject)
    sample = samples.tied(engine, "float64")
    if case.pattern is not None and "pattern" not in subject.given:
        case = Case(case.kind, sample.focus[subject.cls.targets])
    try:
        run = subject.apply(case, sample=sample)
    except Refused as error:
        raise NotApplicable(
            f"it refuses the model with a tied parameter: {error}"
        ) from error
    found = run.values()[0]
    require_finite(found, " with a tied parameter")
    if subject.cls.targets == "params":
        alone = dict(sample.params)
        del alone["hid2.w"]
        once = samples.Sample(
            sample.x, sample.value, sample.outputs, alone, sample.focus
        )
        try:
            other = subject.apply(case, sample=once)
        except Refused:
            return
        if differs := differences(other.values()[0], found):
            raise CheckFailure(
                f"with two names for one parameter these change: {listing(differs)}"
            )


@check("keep what changes from step to step in `state`, as arrays")
def state_resumes(subject):
    """A run that is resumed from manager.state() continues to the bit."""
    case = main(subject)
    run = subject.run(case)
    run.values(2)
    state = run.manager.state()
    numbers = {key: value for key, value in state.items() if key != "arrays"}
    state = json.loads(json.dumps(numbers)) | {"arrays": dict(state["arrays"])}
    expected = run.values(3)
    resumed = subject.apply(case, seed=4)
    resumed.manager.restore(state)
    if differ(expected, resumed.values(3)):
        raise CheckFailure("after restore(state()) the next steps give other numbers")


@check(
    "keep what changes in `state`, and set no attribute in a hook; define the class at module level"
)
def manager_is_copied(subject):
    """A run is sent to another process as it stands, by pickle."""
    if "<locals>" in subject.cls.__qualname__ or subject.cls.__module__ == "__main__":
        raise NotApplicable(
            "a class that is defined inside a function cannot be pickled"
        )
    run = subject.run(main(subject))
    run.values(2)
    again = pickle.loads(pickle.dumps(run.manager))
    state, copied = run.manager.state(), again.state()
    arrays, copied_arrays = (each.pop("arrays") or {} for each in (state, copied))
    if (
        state != copied
        or set(arrays) != set(copied_arrays)
        or differences(arrays, copied_arrays)
    ):
        raise CheckFailure("the copy of a manager has another state")
    before, after = (
        non_default_options(each.members[0].regularizer)
        for each in (run.manager, again)
    )
    if before != after:
        raise CheckFailure(f"the copy of a manager has {after}, not {before}")


def main(subject: Subject) -> Case:
    """Return the first case that the regularizer accepts."""
    return cases(subject)[0]


def cases(subject: Subject) -> list[Case]:
    """Return the cases that the regularizer accepts."""
    if not subject.cases:
        raise NotApplicable(
            "it takes none of the kit's models: see works_on_each_engine"
        )
    return subject.cases


def weighted(subject: Subject) -> Run:
    """Return the main case of a regularizer that uses its weight."""
    if uses_weight(subject.cls):
        return subject.run(main(subject))
    raise NotApplicable("it uses no weight")
