"""Arrays that regularizers keep between steps: started, updated, saved, restored, refused."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import regplug
from regplug import Regularizer, RegularizerError, hookimpl
from regplug.testing import function


class Count(Regularizer):
    """Count the steps at each output, and add the count to it."""

    @hookimpl
    def modify_graph(self, outputs, matched, state):
        for name, h in matched.items():
            count = state.array(name, np.zeros(1, h.dtype))
            state.update(name, count + 1)
            outputs[name] = h + count


class CountAlways(Count):
    """The same, at prediction time, too."""

    applies = "always"


class Anchor(Regularizer):
    """Penalize the distance from the values at the start."""

    targets = "params"

    @hookimpl
    def loss(self, matched, state):
        return sum(abs(w - state.array(name, lambda value: value)).sum() for name, w in matched.items())


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
    step = function([x], [result.outputs["in:out"], result.outputs["h:out"]], updates=result.updates)
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
    np.testing.assert_array_equal(manager.state()["arrays"]["anchor/layer.w"], np.array([1.0, 2.0], "float32"))
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
    assert set(manager.state()["arrays"]) == {"count/a:out", "count/b:out", "squared/b:out"}
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
    early.restore({**saved, "arrays": {key: each.tolist() for key, each in saved["arrays"].items()}})
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


def test_array_restored_serves_a_model_that_comes_later(T):
    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Count()])
    manager.apply({"first:out": x})
    manager.restore({**manager.state(), "arrays": {"count/first:out": [2.0], "count/second:out": [8.0]}})
    result = manager.apply({"second:out": 2 * x})
    assert function([x], result.outputs["second:out"])([0.0])[0] == 8


def test_array_continues_in_a_new_process_bit_for_bit(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent("""
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
    """))

    def run(*steps):
        (tmp_path / "state.pkl").unlink(missing_ok=True)
        rows = []
        for count in steps:
            command = [sys.executable, "-W", "ignore", str(script), str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            rows += done.stdout.split("\n")[:-1]
        return rows

    whole = run(5)
    assert run(2, 3) == whole
    assert len(set(whole)) == 5


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(3), r"'in:out' is float64 of shape \(3,\), and float64 of shape \(1,\) is needed"),
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
