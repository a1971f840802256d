"""State: a run resumes to the bit, in a new process, too."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import regplug
from regplug import (
    CompositionError,
    OptionError,
    Regularizer,
    RegularizerError,
    hookimpl,
)
from regplug.noise import reference
from regplug.testing import function

COMPOSITION = [
    ("dropout", {"pattern": "h:out", "weight": 0.5}),
    ("noise", {"pattern": "in:out", "weight": 0.1}),
]


class Follow(Regularizer):
    """Keep a running mean of the output."""

    weight = 1.0
    size: int = 3

    @hookimpl
    def loss(self, matched, state):
        ((name, h),) = matched.items()
        kept = state.array(name, np.zeros(self.size))
        state.update(name, kept * 0.5 + h.sum(axis=0) * 0.5)
        return kept.sum()


def step_of(T, manager):
    x = T.matrix("x", dtype="float64")
    result = manager.apply({"in:out": x, "h:out": x * 2})
    return function([x], result.outputs["h:out"], updates=result.updates)


def test_state_is_a_dict_of_json_values():
    manager = regplug.compose(COMPOSITION, seed=7)
    weights = {"dropout": 0.5, "noise": 0.1}
    assert manager.state() == {
        "format": 2,
        "seed": 7,
        "step": 0,
        "weights": weights,
        "arrays": None,
    }
    assert json.loads(json.dumps(manager.state())) == manager.state()


def test_state_restored_in_the_same_process_repeats_the_run(T):
    manager = regplug.compose(COMPOSITION, seed=7)
    step = step_of(T, manager)
    ones = np.ones((4, 3))
    for _ in range(3):
        step(ones)
    manager.weights["dropout"] = 0.25
    state = manager.state()
    weights = {"dropout": 0.25, "noise": 0.1}
    assert state == {
        "format": 2,
        "seed": 7,
        "step": 3,
        "weights": weights,
        "arrays": {},
    }
    run = [step(ones) for _ in range(3)]
    manager.weights["dropout"] = 0.9
    manager.restore(state)
    for value in run:
        np.testing.assert_array_equal(step(ones), value)


def test_state_restored_before_or_after_apply_changes_the_seed_of_what_is_compiled(T):
    ones = np.ones((4, 3))
    expected = step_of(T, regplug.compose(COMPOSITION, seed=9))
    runs = [expected(ones) for _ in range(2)]
    state = {"seed": 9, "step": 0, "weights": {"dropout": 0.5, "noise": 0.1}}
    for early in (True, False):
        manager = regplug.compose(COMPOSITION, seed=7)
        if early:
            manager.restore(state)
        step = step_of(T, manager)
        if not early:
            step(ones)
            manager.restore(state)
        assert manager.seed == 9
        for value in runs:
            np.testing.assert_array_equal(step(ones), value)


def test_state_restored_in_a_new_process_continues_bit_for_bit(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        import json, sys
        import numpy as np
        import regplug
        from regplug.testing import function, installed_engine

        mode, path = sys.argv[1:]
        T = installed_engine().T
        names = ["h:out", "in:out"] if mode == "continue" else ["in:out", "h:out"]
        x = T.matrix("x", dtype="float32")
        outputs = {"in:out": x, "h:out": T.tanh(x)}
        seed = 0 if mode == "continue" else 2**64 - 1
        manager = regplug.compose(["noise=0.1@in:out", "dropout=0.5@h:out"], seed=seed)
        if mode == "continue":
            with open(path) as file:
                manager.restore(json.load(file))
        result = manager.apply({name: outputs[name] for name in names})
        step = function([x], result.outputs["h:out"], updates=result.updates)
        value = np.linspace(-1, 1, 40, dtype="float32").reshape(5, 8)
        for _ in range(0 if mode == "continue" else 3):
            step(value)
        manager.weights.update({"dropout": 0.25} if mode == "begin" else {})
        if mode == "begin":
            with open(path, "w") as file:
                json.dump(manager.state(), file)
        print(json.dumps([step(value).tobytes().hex() for _ in range(4)]))
    """)
    )
    runs = []
    for mode in ("begin", "continue"):
        command = [sys.executable, str(script), mode, str(tmp_path / "state.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout))
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 4


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"seed": True}, OptionError, "seed True is no integer"),
        ({"seed": np.array([7])}, OptionError, "is no integer"),
        ({"step": np.array(2.0)}, OptionError, "step 2.0 is no integer"),
        ({"step": 2**64}, OptionError, "is no integer from 0"),
        ({"seed": 1.5}, OptionError, "seed 1.5 is no integer"),
        ({"seed": "7"}, OptionError, "seed '7' is no integer"),
        ({"step": -1}, OptionError, "step -1 is no integer from 0"),
        ({"step": 2.0}, OptionError, "step 2.0 is no integer"),
        (
            {"weights": {"dropout": 0.5}},
            CompositionError,
            r"has weights of \['dropout'\], this composition of",
        ),
        (
            {"weights": {"dropout": 0.5, "noise": 1, "x": 1}},
            CompositionError,
            r"\['dropout', 'noise', 'x'\]",
        ),
        (
            {"weights": {"dropout": 1.5, "noise": 0.1}},
            OptionError,
            r"dropout\(weight=1.5\): 1.5 is out of range",
        ),
        (
            {"weights": {"dropout": None, "noise": 0.1}},
            OptionError,
            "None is not of type float",
        ),
        (
            {"weights": 5},
            CompositionError,
            "is no state: it needs seed, step, weights and arrays",
        ),
        ({"arrays": 5}, CompositionError, "arrays"),
        ({"arrays": {"follow/h:out": np.zeros(3)}}, CompositionError, "follow/h:out"),
        (
            {"arrays": {"dropout/h:out": np.zeros(3)}},
            CompositionError,
            "the arrays dropout/h:out; needed are none",
        ),
        (
            {"weights": {"dropout": np.zeros(1), "noise": 0.1}},
            OptionError,
            "is not of type float",
        ),
        (
            {"weights": {"dropout": np.array(True), "noise": 0.1}},
            OptionError,
            "True is not of type float",
        ),
        (
            {"weights": {"dropout": np.array(np.nan), "noise": 0.1}},
            OptionError,
            "nan is not a finite number",
        ),
        (
            {"format": 3},
            CompositionError,
            "is of format 3, and this regplug reads 2: upgrade regplug",
        ),
        ({"format": np.array(3)}, CompositionError, "upgrade regplug"),
        ({"format": 1}, CompositionError, "of format 1, .*there is no such format"),
        ({"format": "2"}, CompositionError, "of format '2', .*there is no such format"),
        (
            {"format": True},
            CompositionError,
            "of format True, .*there is no such format",
        ),
        (
            {"format": 2},
            CompositionError,
            "needs seed, step, weights and arrays; there is no arrays",
        ),
        ({"sed": 4}, CompositionError, "unknown key 'sed'. Did you mean 'seed'"),
        ({5: 4}, CompositionError, "unknown key 5"),
    ],
)
def test_state_of_another_composition_is_refused_and_nothing_changes(
    change, error, what, T
):
    manager = regplug.compose(COMPOSITION, seed=7)
    step_of(T, manager)(np.ones((2, 2)))
    before = manager.state()
    state = {"seed": 3, "step": 9, "weights": {"dropout": 0.1, "noise": 0.2}} | change
    with pytest.raises(error, match=what):
        manager.restore(state)
    assert manager.state() == before


@pytest.mark.parametrize("state", [None, 5, {}, {"seed": 1, "step": 2}, [("seed", 1)]])
def test_state_that_is_none_is_refused(state):
    with pytest.raises(
        CompositionError, match="is no state: it needs seed, step, weights and arrays"
    ):
        regplug.compose([]).restore(state)


@pytest.mark.parametrize("key", ["seed", "step", "weights", "arrays"])
def test_state_without_a_key_is_refused_by_its_name(key):
    manager = regplug.compose(COMPOSITION, seed=7)
    state = manager.state()
    del state[key]
    with pytest.raises(CompositionError, match=f"there is no {key}"):
        manager.restore(state)


def test_state_of_release_0_1_is_read(T):
    x = T.matrix("x", dtype="float64")
    old = {"seed": 3, "step": 9, "weights": {"follow": 0.5}}
    early, late = regplug.compose([Follow("h:out")]), regplug.compose([Follow("h:out")])
    early.restore(old)
    for manager in (early, late):
        result = manager.apply({"h:out": x * 2})
        step = function([x], result.loss, updates=result.updates)
        step(np.ones((2, 3)))
        manager.restore(old)  # without arrays: they are remade
        assert float(step(np.ones((2, 3)))) == 0
        assert float(step(np.ones((2, 3)))) == 3
        manager.restore({**old, "arrays": {"follow/h:out": [1.0, 2.0, 3.0]}})
        assert float(step(np.ones((2, 3)))) == 3
        assert (manager.seed, manager.state()["step"]) == (3, 10)


@pytest.mark.parametrize("is_applied", [True, False])
def test_state_from_an_npz_file_is_taken(is_applied, tmp_path, T):
    x = T.matrix("x", dtype="float64")
    outputs = {"h:out": x * 2}
    manager = regplug.compose([Follow("h:out", weight=0.25)], seed=2**64 - 1)
    result = manager.apply(outputs)
    function([x], result.loss, updates=result.updates)(np.ones((2, 3)))
    state = manager.state()
    np.savez(tmp_path / "state.npz", **state)
    other = regplug.compose([Follow("h:out")])
    if is_applied:
        other.apply(outputs)
    with np.load(tmp_path / "state.npz", allow_pickle=True) as saved:
        assert saved["seed"].ndim == saved["step"].ndim == 0
        other.restore(saved)
    found = other.state()
    np.testing.assert_equal(found, state)
    assert (type(found["seed"]), type(found["step"])) == (int, int)
    with (
        np.load(tmp_path / "state.npz") as closed,
        pytest.raises(CompositionError, match="cannot be read"),
    ):
        other.restore(closed)


def test_state_takes_weights_of_no_dimensions():
    manager = regplug.compose(COMPOSITION)
    weights = {"dropout": np.array(0.25, "float32"), "noise": np.float64(2)}
    manager.restore({**manager.state(), "weights": weights})
    assert dict(manager.weights) == {"dropout": 0.25, "noise": 2}
    manager.weights["noise"] = np.array(1)
    assert manager.weights["noise"] == 1


def test_state_beyond_the_largest_step_of_int64_is_restored_to_the_same_masks(T):
    ramp = {"schedule": "linear", "start": 0.0, "stop": 0.5, "steps": 10}
    steps = {"schedule": "piecewise", "steps": [3], "values": [0.0, 2.0]}
    schedules = [
        ("hidden_l1", {"pattern": "h:out", "weight": each}) for each in (ramp, steps)
    ]
    manager = regplug.compose([*COMPOSITION, *schedules], seed=7)
    x = T.matrix("x", dtype="float64")
    result = manager.apply({"in:out": x, "h:out": x * 2})
    step = function(
        [x], [result.outputs["h:out"], *result.terms.values()], updates=result.updates
    )
    manager.restore({**manager.state(), "step": 2**63 - 2})
    for number in range(2**63 - 2, 2**63 + 2):
        state = manager.state()
        assert state["step"] == number
        manager.restore(state)
        assert (manager.weights["hidden_l1"], manager.weights["hidden_l1#2"]) == (
            0.5,
            2,
        )
        h, one, other = step(np.ones((4, 3)))
        mask = reference.keep(7, "dropout", "h:out", (4, 3), number, 0.5)
        np.testing.assert_array_equal(h != 0, mask)
        np.testing.assert_allclose([one, other], np.array([0.5, 2]) * abs(h).mean())
    manager.restore({**manager.state(), "step": 2**64 - 1})
    step(np.ones((4, 3)))
    assert manager.state()["step"] == 0


@pytest.mark.parametrize("is_applied", [True, False])
@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"follow/h:out": [0.0, np.nan, 0.0]},
            "'follow/h:out' has entries that are NaN or infinite",
        ),
        ({"follow/h:out": [0.0, -np.inf, 0.0]}, "NaN or infinite"),
        ({"follow/h:out": [1j, 0, 0]}, "no array of real numbers"),
        ({"follow/h:out": [None, 0, 0]}, "no array of real numbers"),
        ({"follow/h:out": [[1.0], [1.0, 2.0]]}, "no array"),
        (
            {"follow/h:out": np.array(["2020-01-01"], "datetime64[D]")},
            "no array of real numbers",
        ),
    ],
)
def test_state_of_arrays_that_cannot_be_is_refused(arrays, words, is_applied, T):
    manager = regplug.compose([Follow("h:out")])
    if is_applied:
        manager.apply({"h:out": T.matrix("x", dtype="float64") * 2})
    before = manager.state()
    with pytest.raises(CompositionError, match=words):
        manager.restore({**before, "seed": 9, "step": 77, "arrays": arrays})
    np.testing.assert_equal(manager.state(), before)


def test_state_has_the_arrays_that_regularizers_keep(T):
    x = T.matrix("x", dtype="float64")
    manager = regplug.compose([Follow("h:out")])
    result = manager.apply({"h:out": x * 2})
    step = function([x], result.loss, updates=result.updates)
    assert [float(step(np.ones((2, 3)))) for _ in range(3)] == [0, 6, 9]
    state = manager.state()
    assert list(state["arrays"]) == ["follow/h:out"]
    np.testing.assert_array_equal(state["arrays"]["follow/h:out"], np.full(3, 3.5))
    assert state["step"] == 3

    other = regplug.compose([Follow("h:out")])
    other.restore(state)  # before there is a graph
    result = other.apply({"h:out": x * 2})
    resumed = function([x], result.loss, updates=result.updates)
    assert float(resumed(np.ones((2, 3)))) == float(step(np.ones((2, 3)))) == 10.5


def test_state_of_arrays_of_another_shape_is_refused(T):
    x = T.matrix("x", dtype="float64")
    manager = regplug.compose([Follow("h:out")])
    manager.apply({"h:out": x * 2})
    state = manager.state()
    state["arrays"] = {"follow/h:out": np.zeros(4)}
    with pytest.raises(
        CompositionError, match=r"'follow/h:out' has shape \(4,\), not \(3,\)"
    ):
        manager.restore(state)
    other = regplug.compose([Follow("h:out")])
    other.restore(state)
    with pytest.raises(
        RegularizerError,
        match=r"follow \(.*, loss\): raised ValueError: .*'h:out'.*\(4,\).*\(3,\)",
    ):
        other.apply({"h:out": x * 2})


def test_state_is_a_copy(T):
    x = T.matrix("x", dtype="float64")
    manager = regplug.compose([Follow("h:out")])
    manager.apply({"h:out": x * 2})
    state = manager.state()
    state["arrays"]["follow/h:out"][:] = 5
    state["weights"]["follow"] = 5
    assert not manager.state()["arrays"]["follow/h:out"].any()
    assert manager.weights["follow"] == 1


def test_state_of_arrays_that_are_no_numbers_is_refused_and_nothing_changes(T):
    manager = regplug.compose([Follow("h:out")])
    manager.apply({"h:out": T.vector("x", dtype="float64") * 1})
    before = manager.state()
    label = manager.members[0].label
    for array in (np.array(["a"]), np.array([1j])):
        with pytest.raises(CompositionError, match="and no array of real numbers"):
            manager.restore(
                {**before, "seed": 9, "step": 77, "arrays": {f"{label}/h:out": array}}
            )
    with pytest.raises(CompositionError, match="is of no regularizer"):
        manager.restore({**before, "step": 77, "arrays": {3: np.zeros(2)}})
    assert manager.state()["step"] == before["step"]
    assert manager.state()["seed"] == before["seed"]


def test_state_of_a_baked_weight_is_refused_where_it_differs():
    class Baked(Regularizer):
        weight: float = 0.5

        @hookimpl
        def modify_graph(self, value):
            return value * self.weight

    manager = regplug.compose([Baked(weight=0.5)])
    manager.restore(manager.state())
    with pytest.raises(OptionError, match="baked into the graph"):
        manager.restore(regplug.compose([Baked(weight=0.7)]).state())
    assert manager.weights["baked"] == 0.5
