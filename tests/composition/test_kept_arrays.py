"""Arrays that regularizers keep between steps: started, updated, saved, restored, refused."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import textwrap
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

import regplug
from regplug import (
    CompositionError,
    ModelError,
    NoMatchError,
    OptionError,
    Regularizer,
    RegularizerError,
    hookimpl,
)
from regplug.noise import reference
from regplug.testing import evaluate, function


class Count(Regularizer):
    """Count the steps at each output, and add the count to it."""

    @hookimpl
    def modify_graph(self, name, value, state):
        count = state.array(name, np.zeros(1, value.dtype))
        state.update(name, count + 1)
        return value + count


class CountAlways(Count):
    """The same, at prediction time, too."""

    applies = "always"


class Anchor(Regularizer):
    """Penalize the distance from the values at the start."""

    targets = "params"

    @hookimpl
    def loss(self, matched, state):
        return sum(
            abs(w - state.array(name, lambda value: value)).sum()
            for name, w in matched.items()
        )


class Squared(Regularizer):
    """Count in the loss, at every output that matched."""

    weight = 1.0

    @hookimpl
    def loss(self, matched, state):
        total = 0
        for name, h in matched.items():
            count = state.array(name, np.ones(2, "float64"))
            state.update(name, count * 2)
            total += (count * h.sum()).sum()
        return total


def test_array_begins_as_the_start_and_is_updated_with_the_step(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Count()])
    result = manager.apply({"in:out": x, "h:out": x * 10})
    assert len(result.updates) == 3  # the step, and one array at each output
    step = function(
        [x], [result.outputs["in:out"], result.outputs["h:out"]], updates=result.updates
    )
    rows = [[float(each[0]) for each in step([1.0])] for _ in range(3)]
    assert rows == [[1, 10], [2, 21], [3, 32]]
    state = manager.state()
    assert set(state["arrays"]) == {"count/in:out", "count/h:out"}
    assert state["arrays"]["count/h:out"] == 3
    assert state["step"] == 3


def test_array_stays_without_updates_and_in_what_predicts(T):
    x = T.vector("x", dtype="float64")
    result = regplug.compose([CountAlways()]).apply({"in:out": x})
    train = function([x], result.outputs["in:out"], updates=result.updates)
    predict = function([x], result.clean["in:out"])
    train([0.0])
    assert [float(predict([0.0])[0]) for _ in range(2)] == [1, 1]


def test_array_of_a_loss_is_kept_for_each_match(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Squared()])
    result = manager.apply({"in:out": x, "h:out": x * 10})
    step = function([x], result.loss, updates=result.updates)
    assert [float(step([1.0])) for _ in range(2)] == [22, 44]
    np.testing.assert_array_equal(manager.state()["arrays"]["squared/h:out"], [4, 4])


def test_array_of_two_of_one_name_is_kept_apart(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Count(), Count()])
    manager.apply({"in:out": x})
    assert set(manager.state()["arrays"]) == {"count/in:out", "count#2/in:out"}


def test_array_may_start_from_the_present_value_of_a_parameter(engine):
    w = engine.shared(np.array([1.0, 2.0], "float32"), name="w")
    manager = regplug.compose([Anchor(weight=1.0)])
    result = manager.apply({"out:out": w.sum()}, params={"layer.w": w})
    loss = function([], result.loss)
    w.set_value(np.array([4.0, 4.0], "float32"))
    assert float(loss()) == 5
    np.testing.assert_array_equal(
        manager.state()["arrays"]["anchor/layer.w"], np.array([1.0, 2.0], "float32")
    )
    assert not result.updates


def test_array_while_building_is_updated_for_every_layer(T, engine):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Count(), Squared("b:out")])
    first = {"a:out": x}
    manager.modify_graph(first)
    second = {"b:out": first["a:out"] * 10}
    manager.modify_graph(second)
    loss = manager.loss([], {**first, **second})
    step = function([x], [second["b:out"], loss], updates=manager.updates)
    outs = [float(step([1.0])[0][0]) for _ in range(3)]
    assert outs == [10, 21, 32]
    assert set(manager.state()["arrays"]) == {
        "count/a:out",
        "count/b:out",
        "squared/b:out",
    }
    np.testing.assert_array_equal(manager.state()["arrays"]["squared/b:out"], [8, 8])


def test_array_is_restored_before_and_after_apply(T):
    x = T.vector("x", dtype="float32")
    manager = regplug.compose([Count()])
    result = manager.apply({"in:out": x})
    step = function([x], result.outputs["in:out"], updates=result.updates)
    for _ in range(3):
        step([0.0])
    saved = manager.state()
    step([0.0])
    manager.restore(saved)
    assert step([0.0])[0] == 3

    early = regplug.compose([Count()])
    early.restore(
        {
            **saved,
            "arrays": {key: each.tolist() for key, each in saved["arrays"].items()},
        }
    )
    again = early.apply({"in:out": x})
    assert again.outputs["in:out"].dtype == "float32"
    assert function([x], again.outputs["in:out"])([0.0])[0] == 3


def test_array_saved_is_a_copy_and_so_is_what_is_restored(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Count()])
    kept = np.array([5.0])
    manager.restore({**manager.state(), "arrays": {"count/in:out": kept}})
    result = manager.apply({"in:out": x})
    kept[:] = 7
    manager.state()["arrays"]["count/in:out"][:] = 9
    assert function([x], result.outputs["in:out"])([0.0])[0] == 5


def test_array_restored_serves_each_of_two_models(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Count()])
    results = [manager.apply({name: x * 1}) for name in ("first:out", "second:out")]
    arrays = {"count/first:out": [2.0], "count/second:out": [8.0]}
    manager.restore({**manager.state(), "arrays": arrays})
    outputs = [next(iter(result.outputs.values())) for result in results]
    assert [float(each[0]) for each in function([x], outputs)([0.0])] == [2, 8]


def test_array_continues_in_a_new_process_bit_for_bit(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        import os, pickle, sys
        import numpy as np
        import regplug
        from regplug.testing import function, installed_engine

        engine = installed_engine()
        w = engine.shared(np.random.default_rng(0).normal(size=(6, 4)).astype("float32"), name="w")
        manager = regplug.compose([("spectral_norm", {}), ("l2_sp", 0.5)])
        if os.path.exists("state.pkl"):
            with open("state.pkl", "rb") as file:
                state, value = pickle.load(file)
            manager.restore(state)
            w.set_value(value)
        x = engine.T.matrix("x", dtype="float32")
        result = manager.apply({"out:out": x.dot(w)})
        cost = (result.outputs["out:out"] ** 2).sum() + result.loss
        (gradient,) = engine.grad(cost, [w])
        new = w - np.float32(0.1) * gradient
        step = function([x], cost, updates={**result.updates, w: new})
        for number in range(int(sys.argv[1])):
            cost = step(np.linspace(-1, 1, 12, dtype="float32").reshape(2, 6))
            print(cost.tobytes().hex(), manager.state()["arrays"]["spectral_norm/w"].tobytes().hex())
        with open("state.pkl", "wb") as file:
            pickle.dump((manager.state(), w.get_value()), file)
    """)
    )

    def run(*steps):
        (tmp_path / "state.pkl").unlink(missing_ok=True)
        rows = []
        for count in steps:
            command = [sys.executable, "-W", "ignore", str(script), str(count)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd=tmp_path
            )
            assert done.returncode == 0, done.stderr
            rows += done.stdout.split("\n")[:-1]
        return rows

    whole = run(5)
    assert run(2, 3) == whole
    assert len(set(whole)) == 5


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (
            np.zeros(3),
            r"'in:out' is float64 of shape \(3,\), and float64 of shape \(1,\) is needed",
        ),
        (np.zeros((1, 1)), r"is float64 of shape \(1, 1\)"),
    ],
)
def test_array_of_another_shape_than_the_model_needs_is_refused(array, words, T):
    manager = regplug.compose([Count()])
    manager.restore({**manager.state(), "arrays": {"count/in:out": array}})
    with pytest.raises(RegularizerError, match=words):
        manager.apply({"in:out": T.vector("x", dtype="float64")})


def test_array_in_a_graph_of_another_dtype_is_refused(T):
    manager = regplug.compose([Count()])
    manager.apply({"in:out": T.vector("x", dtype="float32")})
    words = r"'in:out' is float32 of shape \(1,\), and float64 .* manager of its own"
    with pytest.raises(RegularizerError, match=words):
        manager.apply({"in:out": T.vector("x", dtype="float64")})


def test_array_restored_before_apply_is_not_the_one_handed_over(T):
    outputs = {"h:out": T.vector("x", dtype="float64") * 1}
    one, other = regplug.compose([Count("h:out")]), regplug.compose([Count("h:out")])
    one.apply(outputs)
    state = one.state()
    other.restore(state)
    (array,) = state["arrays"].values()
    array[:] = 99
    assert not any(kept.any() for kept in other.state()["arrays"].values())


class Flags(Regularizer):
    """Keep which entries of a parameter were positive at the start, and how often a step was made."""

    targets = "params"
    weight = 1.0

    @hookimpl
    def loss(self, matched, state):
        total = 0
        for name, w in matched.items():
            flags = state.array(name, lambda value: value > 0)
            count = state.array(f"{name}/count", np.zeros((), "int64"))
            state.update(f"{name}/count", count + 1)
            total += (w * flags).sum()
        return total


class Late(Regularizer):
    """Keep an array, draw, and fail."""

    weight = 1.0
    is_broken = True

    @hookimpl
    def loss(self, matched, noise, state):
        for name, h in matched.items():
            state.update(
                name,
                state.array(name, np.ones(1, h.dtype)) + noise.at(name).normal(h).sum(),
            )
        if Late.is_broken:
            raise KeyError("late")
        return sum(
            state.array(name, np.ones(1, h.dtype)).sum() for name, h in matched.items()
        )


def shared(engine, *values, name="w"):
    return engine.shared(np.array(values), name=name)


def test_array_of_the_same_variable_is_kept_at_a_second_apply(engine):
    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose([Anchor(weight=1.0)])
    manager.apply({"out:out": w.sum()}, params={"w": w})
    w.set_value(np.array([5.0, 5.0]))
    again = manager.apply(
        {"other:out": w.prod()}, params={"w": w}
    )  # another graph of it
    renamed = manager.apply({"out:out": w.sum()}, params={"layer.w": w})
    assert [float(each) for each in evaluate([again.loss, renamed.loss])] == [7, 7]
    assert list(manager.state()["arrays"]) == ["anchor/w"]


def test_array_goes_with_the_variable_where_numbered_names_change(engine):
    one, other = shared(engine, 1.0, name="w"), shared(engine, 10.0, name="w")
    manager = regplug.compose([Anchor("*", weight=1.0)])
    manager.apply({"out:out": one * 2 + other})
    swapped = manager.apply({"out:out": other * 2 + one})
    assert float(evaluate(swapped.loss)) == 0


@pytest.mark.parametrize("targets", ["params", "outputs"])
def test_array_of_another_variable_of_that_name_is_refused(targets, engine):
    cls = {"params": Anchor, "outputs": Squared}[targets]
    first, second = shared(engine, 1.0, 2.0), shared(engine, 3.0, 4.0)
    manager = regplug.compose([cls(weight=1.0)])
    result = manager.apply({"out:out": first * 1}, params={"w": first})
    before, loss = manager.state(), evaluate(result.loss)
    with pytest.raises(
        ModelError, match="belongs to another model.*: compose a manager of its own"
    ):
        manager.apply({"out:out": second * 1}, params={"w": second})
    np.testing.assert_equal(manager.state(), before)
    assert evaluate(result.loss) == loss


def test_array_of_an_output_is_kept_for_a_graph_of_the_same_parameters(engine, T):
    w, v, head = (
        shared(engine, value, name=name)
        for value, name in ((1.0, "w"), (2.0, "v"), (3.0, "v"))
    )
    manager = regplug.compose([Count()])

    def outputs(last):
        x = T.vector("x", dtype="float64")
        h = x * w
        return {"in:out": x, "h:out": h, "y:out": h * last}

    result = manager.apply(outputs(v))
    function(
        [result.outputs["in:out"].owner.inputs[0]],
        result.outputs["y:out"],
        updates=result.updates,
    )([1.0])
    for part in (outputs(v), {"h:out": outputs(v)["h:out"]}):
        manager.apply(part)
    before = manager.state()
    assert before["arrays"] == {"count/in:out": 1, "count/h:out": 1, "count/y:out": 1}
    with pytest.raises(ModelError, match="for 'y:out' belongs to another model"):
        manager.apply(outputs(head))
    assert manager.state() == before


def test_array_holds_its_parameter_and_no_graph(engine):
    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose([Anchor(weight=1.0), Squared("out:out")])
    outputs = {"out:out": w * 2}
    graph = weakref.ref(outputs["out:out"])
    manager.apply(outputs)
    outputs = {"out:out": w * 3}
    manager.apply(outputs)
    gc.collect()
    assert graph() is None


def test_array_of_another_variable_is_refused_where_it_is_garbage(engine):
    manager = regplug.compose([Anchor(weight=1.0)])
    manager.apply({"out:out": shared(engine, 1.0).sum()})
    gc.collect()
    with pytest.raises(ModelError, match="manager of its own"):
        manager.apply({"out:out": shared(engine, 3.0).sum()})


def test_array_under_a_name_of_its_own_belongs_to_all_that_matched(engine):
    class Total(Regularizer):
        targets = "params"
        weight = 1.0

        @hookimpl
        def loss(self, matched, state):
            count = state.array("all", np.zeros(()))
            state.update("all", count + 1)
            return count + 0 * sum(w.sum() for w in matched.values())

    w, v = shared(engine, 1.0, name="w"), shared(engine, 2.0, name="v")
    manager = regplug.compose([Total()])
    result = manager.apply({"out:out": (w * v).sum()})
    step = function([], result.loss, updates=result.updates)
    assert [float(step()) for _ in range(2)] == [0, 1]
    assert float(evaluate(manager.apply({"out:out": (w * v).sum()}).loss)) == 2
    with pytest.raises(ModelError, match="'all' belongs to another model"):
        manager.apply({"out:out": (w * shared(engine, 2.0, name="v")).sum()})


def test_array_start_of_what_is_no_parameter_is_refused(T):
    class Wrong(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, matched, state):
            return sum(state.array(name, lambda value: value).sum() for name in matched)

    with pytest.raises(
        RegularizerError, match="'h:out' is no parameter .* start with an array"
    ):
        regplug.compose([Wrong("h:out")]).apply({"h:out": T.vector("x") * 1})


def test_restart_remakes_arrays_from_the_present_values_in_compiled_functions(
    engine, T
):
    x = T.vector("x", dtype="float64")
    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose(
        [
            Anchor(weight=1.0),
            Count("out:out"),
            ("noise", {"pattern": "out:out", "weight": 0.5}),
        ]
    )
    result = manager.apply({"out:out": x * w.sum()}, params={"w": w})
    step = function(
        [x], [result.loss, result.outputs["out:out"]], updates=result.updates
    )
    first = step([1.0])
    w.set_value(np.array([4.0, 4.0]))
    assert float(step([1.0])[0]) == 5
    manager.weights["anchor"] = 3
    manager.row_offset = 2
    assert manager.restart() is None
    assert manager.state()["step"] == 0
    assert manager.row_offset == 2
    np.testing.assert_array_equal(manager.state()["arrays"]["anchor/w"], [4, 4])
    manager.row_offset = 0
    loss, out = step([1.0])
    assert loss == 0
    np.testing.assert_allclose(out - 8, first[1] - 3)  # the masks of the first step
    w.set_value(np.array([5.0, 4.0]))
    assert float(step([1.0])[0]) == 3  # the weight stays
    manager.restart(seed=9)
    fresh = regplug.compose([("noise", {"pattern": "out:out", "weight": 0.5})], seed=9)
    expected = evaluate(
        fresh.apply({"out:out": x * w.sum()}).outputs["out:out"], {x: [1.0]}
    )
    np.testing.assert_array_equal(step([1.0])[1], expected)
    assert manager.seed == manager.state()["seed"] == 9


def test_restart_takes_a_parameter_of_another_shape(engine):
    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose([Anchor(weight=1.0)])
    loss = function([], manager.apply({"out:out": w.sum()}).loss)
    w.set_value(np.ones(5))
    manager.restart()
    assert float(loss()) == 0
    assert manager.state()["arrays"]["anchor/w"].shape == (5,)


def test_restart_that_fails_changes_nothing(engine):
    class Picky(Regularizer):
        targets = "params"
        weight = 1.0

        @hookimpl
        def loss(self, matched, state):
            return sum(state.array(name, self.begin).sum() for name in matched)

        def begin(self, value):
            if not np.isfinite(value).all():
                raise ValueError("weights of NaN")
            return value

    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose([Anchor(weight=1.0), Picky()], seed=3)
    manager.apply({"out:out": w.sum()})
    manager.restore({**manager.state(), "step": 4})
    before = manager.state()
    w.set_value(np.array([np.nan, 1]))
    for call in (
        lambda: manager.restart(5),
        lambda: manager.restore({**before, "step": 2, "arrays": None}),
    ):
        with pytest.raises(
            RegularizerError,
            match="kept array 'picky/w': .* raised ValueError: weights of NaN",
        ):
            call()
    for seed in (1.5, 2**64, "7", True):
        with pytest.raises(OptionError, match="seed .* is no integer"):
            manager.restart(seed)
    np.testing.assert_equal(manager.state(), before)


def test_restart_before_a_model_drops_what_was_restored(engine):
    w = shared(engine, 1.0)
    manager = regplug.compose([Anchor(weight=1.0)])
    manager.restore({**manager.state(), "step": 3, "arrays": {"anchor/w": [9.0]}})
    manager.restart()
    assert manager.state()["arrays"] is None
    assert float(evaluate(manager.apply({"out:out": w.sum()}).loss)) == 0


def test_array_restored_wins_over_the_start_and_at_the_second_apply(engine):
    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose([Anchor(weight=1.0)])
    manager.restore({**manager.state(), "arrays": {"anchor/w": [0.0, 0.0]}})
    for expected in (3, 4):
        assert float(evaluate(manager.apply({"out:out": w.sum()}).loss)) == expected
        manager.restore({**manager.state(), "arrays": {"anchor/w": [0.0, -1.0]}})


def test_array_restored_is_for_the_first_model_and_a_later_one_begins_its_own(engine):
    w, v = shared(engine, 1.0, name="w"), shared(engine, 5.0, name="v")
    manager = regplug.compose([Anchor(weight=1.0)])
    manager.restore({**manager.state(), "arrays": {"anchor/w": [0.0]}})
    losses = [manager.apply({"out:out": param.sum()}).loss for param in (w, v)]
    assert [float(each) for each in evaluate(losses)] == [1, 0]
    assert list(manager.state()["arrays"]) == ["anchor/w", "anchor/v"]


def test_state_of_no_arrays_remakes_them(engine):
    # taken before apply, it stands for a run from the start
    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose([Anchor(weight=1.0)])
    before = manager.state()
    assert before["arrays"] is None
    loss = function([], manager.apply({"out:out": w.sum()}).loss)
    w.set_value(np.array([4.0, 4.0]))
    assert float(loss()) == 5
    manager.restore(before)
    assert float(loss()) == 0


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"], "lacks the array.*'?anchor/b"),
        ([], "lacks the array"),
        (["a", "b", "c"], "anchor/c"),
        (["a", "c"], "anchor/b"),
    ],
)
def test_state_that_has_not_the_arrays_of_the_model_is_refused(
    names, words, is_early, engine
):
    a, b = shared(engine, 1.0, name="a"), shared(engine, 2.0, name="b")
    outputs = {"out:out": a + b}
    manager = regplug.compose([Anchor(weight=1.0)], seed=3)
    arrays = {f"anchor/{name}": [7.0] for name in names}
    state = {**manager.state(), "seed": 4, "arrays": arrays}
    if is_early:
        manager.restore(state)
        before = manager.state()
        with pytest.raises(CompositionError, match=words):
            manager.apply(outputs)
        np.testing.assert_equal(manager.state(), before)
        manager.restart()  # the way out that the error names
        assert float(evaluate(manager.apply(outputs).loss)) == 0
    else:
        manager.apply(outputs)
        before = manager.state()
        with pytest.raises(CompositionError, match=words):
            manager.restore(state)
        np.testing.assert_equal(manager.state(), before)


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("as_list", [True, False])
def test_array_of_flags_and_of_counts_survives_restore(as_list, is_early, engine):
    w = shared(engine, 1.0, -2.0, 3.0)
    manager = regplug.compose([Flags()])
    result = manager.apply({"out:out": w.sum()})
    step = function([], result.loss, updates=result.updates)
    step()
    state = manager.state()
    assert state["arrays"]["flags/w"].dtype == bool
    other, v = regplug.compose([Flags()]), shared(engine, -1.0, -2.0, 3.0)
    saved = state
    if as_list:
        arrays = {key: each.tolist() for key, each in state["arrays"].items()}
        saved = json.loads(json.dumps({**state, "arrays": arrays}))
    if is_early:
        other.restore(saved)
    resumed = other.apply({"out:out": v.sum()}, params={"w": v})
    if not is_early:
        other.restore(saved)
    step = function([], resumed.loss, updates=resumed.updates)
    assert float(step()) == 2  # by the flags restored: -1 and 3
    found = other.state()["arrays"]
    assert found["flags/w"].dtype == bool
    assert found["flags/w"].tolist() == [True, False, True]
    assert (found["flags/w/count"].dtype, int(found["flags/w/count"])) == ("int64", 2)


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize(
    "arrays",
    [
        {"flags/w": [0.5, 0, 1]},
        {"flags/w": [2, 0, 1]},
        {"flags/w/count": 0.5},
        {"flags/w/count": 2.0**80},
    ],
)
def test_array_that_does_not_fit_the_dtype_is_refused(arrays, is_early, engine):
    w = shared(engine, 1.0, -2.0, 3.0)
    manager = regplug.compose([Flags()])
    arrays = {"flags/w": [True, False, True], "flags/w/count": 3, **arrays}
    state = {**manager.state(), "arrays": arrays}
    calls = [
        lambda: manager.apply({"out:out": w.sum()}),
        lambda: manager.restore(state),
    ]
    first, second = reversed(calls) if is_early else calls
    first()
    with pytest.raises(CompositionError, match="has entries that do not fit"):
        second()


def test_array_of_a_float32_model_refuses_what_overflows_there(T):
    manager = regplug.compose([Count()])
    manager.restore({**manager.state(), "arrays": {"count/in:out": [1e300]}})
    with pytest.raises(CompositionError, match="do not fit float32"):
        manager.apply({"in:out": T.vector("x", dtype="float32")})


@pytest.mark.parametrize("exception", ["pattern", "hook", "interrupt", "restored"])
def test_apply_that_fails_leaves_nothing_behind(exception, engine, T, monkeypatch):
    x = T.vector("x", dtype="float64")
    w, v = shared(engine, 1.0, 2.0), shared(engine, 4.0, 4.0)
    if exception == "interrupt":
        monkeypatch.setattr(Late, "loss", interrupted(Late.loss))
    last = {
        "pattern": Squared("missing:out"),
        "interrupt": Late("out:out"),
        "hook": Late("out:out"),
    }
    manager = regplug.compose(
        [
            Anchor(weight=1.0),
            CountAlways("out:out"),
            last.get(exception, Squared("out:out")),
        ]
    )
    if exception == "restored":
        manager.restore({**manager.state(), "arrays": {"anchor/w": [0.0, 0.0]}})
    before = manager.state()
    errors = {
        "pattern": NoMatchError,
        "hook": RegularizerError,
        "interrupt": KeyboardInterrupt,
        "restored": CompositionError,
    }
    with pytest.raises(errors[exception]):
        manager.apply({"out:out": x * w}, params={"w": w})
    np.testing.assert_equal(manager.state(), before)
    assert manager._run_state.engine is None
    assert manager._run_state.step.variable is None
    assert manager._run_state.keys.get().shape == (0, 2)
    assert not manager._run_state._sites

    manager.restart()
    monkeypatch.setattr(Late, "is_broken", False)
    outputs = {"out:out": x * v, "missing:out": x * 2}
    result = manager.apply(outputs, params={"w": v})
    assert (
        float(evaluate(result.terms["anchor"])) == 0
    )  # and not the distance from the first model's


def interrupted(hook):
    def loss(self, matched, noise, state):
        try:
            hook(self, matched, noise, state)
        except KeyError:
            raise KeyboardInterrupt from None

    loss.regplug_impl = hook.regplug_impl
    return loss


def test_apply_that_fails_leaves_what_an_earlier_one_made(engine, T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose(
        [Count("a:out"), "noise=1@a:out", Late("b:out", optional=True)], seed=3
    )
    result = manager.apply({"a:out": x})
    step = function([x], result.outputs["a:out"], updates=result.updates)
    step(np.zeros(1))
    before = manager.state()
    with pytest.raises(RegularizerError, match="late"):
        manager.apply({"a:out": x, "b:out": x * 2})
    np.testing.assert_equal(manager.state(), before)
    expected = 1 + reference.normal(3, "noise", "a:out", (2,), 1, "float64")[:1]
    np.testing.assert_allclose(step(np.zeros(1)), expected)


def test_building_that_fails_leaves_no_array_of_the_layers_before(T):
    x = T.vector("x", dtype="float64")

    class Bad(Regularizer):
        is_broken = True

        @hookimpl
        def modify_graph(self, value):
            if self.is_broken:
                raise KeyError("second")
            return value * 1

    bad = Bad("b:out")
    manager = regplug.compose([Count(), "noise=1@b:out", bad])
    first = {"a:out": x}
    manager.modify_graph(first)
    second = {"b:out": first["a:out"] * 10}
    kept = dict(second)
    with pytest.raises(RegularizerError, match="second"):
        manager.modify_graph(second)
    assert second == kept
    assert manager.state()["arrays"] is None
    assert manager.updates == {}

    bad.is_broken = False
    outputs = {"a:out": T.vector("other", dtype="float64")}
    manager.modify_graph(outputs)
    more = {"b:out": outputs["a:out"] * 10}
    manager.modify_graph(more)
    manager.loss([], {**outputs, **more})
    assert set(manager.state()["arrays"]) == {"count/a:out", "count/b:out"}


def test_building_loss_that_fails_leaves_no_array_and_a_later_one_those_in_use(
    T, monkeypatch
):
    manager = regplug.compose([Count(), Late("b:out")])

    def build():
        outputs = {"a:out": T.vector("x", dtype="float64")}
        manager.modify_graph(outputs)
        more = {"b:out": outputs["a:out"] * 10}
        manager.modify_graph(more)
        return {**outputs, **more}

    with pytest.raises(RegularizerError, match="late"):
        manager.loss([], build())
    assert manager.state()["arrays"] is None
    monkeypatch.setattr(Late, "is_broken", False)
    outputs = build()
    manager.loss([], outputs)
    monkeypatch.undo()
    before = manager.state()
    with pytest.raises(RegularizerError, match="late"):
        manager.loss([], outputs)
    np.testing.assert_equal(manager.state(), before)


def test_building_keeps_one_array_for_what_a_hook_replaces_and_the_loss_gets(engine, T):
    class Both(Regularizer):
        weight = 1.0

        @hookimpl
        def modify_graph(self, name, value, state):
            return value + state.array(name, np.ones(1, value.dtype))

        @hookimpl
        def loss(self, matched, state):
            return sum(
                state.array(name, np.ones(1, h.dtype)).sum()
                for name, h in matched.items()
            )

    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Both()])
    outputs = {}
    for name in (
        "a",
        "b",
    ):  # the second layer's own parameter is one of the two that its output is made of
        layer = {
            f"{name}:out": outputs.get("a:out", x)
            * shared(engine, 1.0, name=f"{name}.w")
        }
        manager.modify_graph(layer)
        outputs.update(layer)
    assert float(evaluate(manager.loss([], outputs))) == 2
    assert list(manager.state()["arrays"]) == ["both/a:out", "both/b:out"]
    assert float(evaluate(regplug.compose([Both()]).apply({"a:out": x * 1}).loss)) == 1


def test_building_keeps_the_arrays_of_parameters_and_refuses_other_ones(engine, T):
    w, v = shared(engine, 1.0, name="h.w"), shared(engine, 3.0, name="h.w")
    manager = regplug.compose([Anchor(weight=1.0), Count()])

    def build(param):
        outputs = {"h:out": T.vector("x", dtype="float64") * param}
        manager.modify_graph(outputs)
        return manager.loss([SimpleNamespace(name="h", params=[param])], outputs)

    build(w)
    w.set_value(np.array([4.0]))
    assert float(evaluate(build(w))) == 3
    with pytest.raises(ModelError, match="'h:out' belongs to another model"):
        build(v)
    alone = regplug.compose([Anchor(weight=1.0)])
    for param, is_refused in ((w, False), (v, True)):
        with (
            pytest.raises(ModelError, match="manager of its own")
            if is_refused
            else contextlib.nullcontext()
        ):
            alone.loss(
                [SimpleNamespace(name="h", params=[param])], {"h:out": param * 1}
            )


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a"], "lacks the array 'count/b:out'"), (["a", "b", "c"], "count/c:out")],
)
def test_building_refuses_a_restored_state_of_another_model(names, words, T):
    manager = regplug.compose([Count()])
    manager.restore(
        {**manager.state(), "arrays": {f"count/{name}:out": [3.0] for name in names}}
    )
    before = manager.state()

    def build():
        outputs = {"a:out": T.vector("x", dtype="float64")}
        manager.modify_graph(outputs)
        more = {"b:out": outputs["a:out"] * 10}
        manager.modify_graph(more)
        manager.loss([], {**outputs, **more})

    with pytest.raises(CompositionError, match=words):
        build()
    np.testing.assert_equal(manager.state(), before)


def test_constrain_that_fails_leaves_nothing_behind(engine):
    w = shared(engine, 1.0, 2.0)
    manager = regplug.compose([("max_norm", {"pattern": "v", "limit": 1.0})])
    with pytest.raises(NoMatchError):
        manager.constrain([w], {w: w + 1})
    assert manager._run_state.engine is None
