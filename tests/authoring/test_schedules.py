"""Schedules: weights that move with the step, in Python and TOML, without a recompile, also in a resumed run."""

from __future__ import annotations

import decimal
import importlib
import json
import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import regplug
from regplug import OptionError, Regularizer, hookimpl
from regplug.noise import reference
from regplug.testing import function

LINEAR = {"schedule": "linear", "start": 0.1, "stop": 0.7, "steps": 4}
SPECS = {
    "linear": (LINEAR, lambda step: 0.1 + 0.6 * min(step / 4, 1)),
    "linear down": (
        {**LINEAR, "start": 0.7, "stop": 0},
        lambda step: 0.7 - 0.7 * min(step / 4, 1),
    ),
    "cosine": (
        {"schedule": "cosine", "start": 0.1, "stop": 0.01, "steps": 5},
        lambda step: 0.01 + 0.09 * (1 + math.cos(math.pi * min(step / 5, 1))) / 2,
    ),
    "exponential": (
        {"schedule": "exponential", "start": 1e-2, "stop": 1e-4, "steps": 6},
        lambda step: 1e-2 * 1e-2 ** min(step / 6, 1),
    ),
    "piecewise": (
        {"schedule": "piecewise", "steps": [2, 5], "values": [0, 0.3, 0.1]},
        lambda step: 0 if step < 2 else 0.3 if step < 5 else 0.1,
    ),
    "piecewise without steps": (
        {"schedule": "piecewise", "steps": [], "values": [0.25]},
        lambda step: 0.25,
    ),
}


class Scale(Regularizer):
    """Multiply by the weight."""

    @hookimpl
    def modify_graph(self, value, weight):
        return value * weight


class ScaleParams(Scale):
    """Multiply parameters by the weight."""

    targets = "params"


class Baked(Regularizer):
    """Multiply by the number given."""

    weight = 1.0

    @hookimpl
    def modify_graph(self, value):
        return value * self.weight


class Subtract(Regularizer):
    """Subtract the weight from updated parameters."""

    targets = "params"

    @hookimpl
    def constrain(self, matched, weight):
        return {name: w - weight for name, w in matched.items()}


@pytest.mark.parametrize("floatX", ["float64", "float32"])
@pytest.mark.parametrize("case", SPECS)
def test_schedule_has_the_value_of_its_formula_at_each_step(
    case, floatX, engine, T, monkeypatch
):
    config = importlib.import_module(engine.__name__.rpartition(".")[2]).config
    monkeypatch.setattr(
        config, "floatX", floatX
    )  # the type that engines give to numbers of Python
    spec, formula = SPECS[case]
    x = T.vector("x", dtype="float64")
    manager = regplug.compose(
        [Scale(weight=spec), ("hidden_l1", {"pattern": "in:out", "weight": spec})]
    )
    result = manager.apply({"in:out": x})
    step = function(
        [x],
        [result.outputs["in:out"], result.terms["hidden_l1"]],
        updates=result.updates,
    )
    for number in range(9):
        expected = formula(number)
        assert manager.weights["scale"] == pytest.approx(expected, rel=1e-12, abs=1e-15)
        out, term = step([1.0])
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(term, expected**2, rtol=1e-12, atol=1e-15)
    assert manager.state()["step"] == 9


def closed_form(spec, step):
    """Return the value of a schedule's formula, by decimals of 60 digits."""
    with decimal.localcontext(decimal.Context(prec=60)):
        start, stop = (
            decimal.Decimal(float(spec["start"])),
            decimal.Decimal(float(spec["stop"])),
        )
        share = decimal.Decimal(int(min(step, spec["steps"]))) / int(spec["steps"])
        if spec["schedule"] == "exponential":
            return float((start.ln() * (1 - share) + stop.ln() * share).exp())
        if spec["schedule"] == "cosine":
            share = decimal.Decimal(math.sin(math.pi / 2 * float(share)) ** 2)
        return float(start + (stop - start) * share)


LARGE, SMALL, MOST = sys.float_info.max, 5e-324, 2**63 - 1
RANGES = {
    "up from the least to the largest": ("exponential", 1e-308, 1e10, 7),
    "down over 400 decades": ("exponential", 1e200, 1e-200, 7),
    "all floats up": ("exponential", SMALL, LARGE, 10),
    "all floats down": ("exponential", LARGE, SMALL, 10),
    "exponential of equal values": ("exponential", 0.3, 0.3, 7),
    "exponential to below 1": ("exponential", 0.1, 1 - 2**-53, 7),
    "exponential of integers": ("exponential", 1, 1000, 3),
    "linear from the negative largest": ("linear", -LARGE, LARGE, 7),
    "linear down": ("linear", LARGE, -LARGE, 7),
    "linear of large values": ("linear", 0, LARGE, 7),
    "linear to below 1": ("linear", 0.1, 1 - 2**-53, 7),
    "linear of tenths": ("linear", 0.1, 0.7, 10),
    "linear over all steps": ("linear", 0.7, 0.1, MOST),
    "linear in one step": ("linear", 0.1, 0.7, 1),
    "linear of small values": ("linear", 0, SMALL, 4),
    "cosine over all floats": ("cosine", -LARGE, LARGE, 7),
    "cosine down": ("cosine", LARGE, -LARGE, 7),
    "cosine to below 1": ("cosine", 0.1, 1 - 2**-53, 7),
    "cosine of tenths": ("cosine", 0.3, 0.1, 10),
    "cosine over all steps": ("cosine", 0.1, 0.3, MOST),
    "of NumPy": ("linear", np.uint8(3), np.float32(0.5), np.int16(6)),
    "cosine of NumPy": ("cosine", np.int8(3), np.int8(-100), np.uint64(6)),
}


class Anything(Scale):
    """Multiply by any weight."""

    weight: float


@pytest.mark.parametrize("case", RANGES)
def test_schedule_is_right_over_its_whole_range(case, T):
    spec = dict(zip(("schedule", "start", "stop", "steps"), RANGES[case], strict=True))
    manager = regplug.compose([Anything(weight=spec)])
    x = T.TensorType("float64", ())("x")
    weight = function([x], manager.apply({"in:out": x}).outputs["in:out"])
    end = int(spec["steps"])
    inner = sorted({1, *(end * i // 7 for i in range(7)), end - 1} - {0, end})
    values = []
    for step in (
        0,
        *inner,
        *(step for step in (end, end + 1, MOST - 1) if step < MOST),
    ):
        manager.restore({**manager.state(), "step": step})
        values.append(manager.weights["anything"])
        assert weight(1.0) == pytest.approx(values[-1], rel=4e-16, abs=0)
        expected = closed_form(spec, step)
        scale = max(abs(float(spec["start"])), abs(float(spec["stop"])))
        bound = {"exponential": 1e-12 * expected}.get(spec["schedule"], scale * 4e-16)
        assert abs(values[-1] - expected) <= max(bound, SMALL), step
    start, stop = float(spec["start"]), float(spec["stop"])
    assert values[0] == start
    assert all(value == stop for value in values[len(inner) + 1 :])
    assert values == sorted(values, reverse=stop < start)
    assert all(min(start, stop) <= value <= max(start, stop) for value in values)


@pytest.mark.parametrize("kind", ["linear", "cosine", "exponential"])
@pytest.mark.parametrize(
    ("start", "stop"),
    [(0.1, 0.7), (0.3, 1e-9), (1 - 2**-53, 1 - 2**-40), (1e-300, 1e300)],
)
def test_schedule_never_turns_back_nor_leaves_its_range(kind, start, stop):
    manager = regplug.compose(
        [
            Anything(
                weight={"schedule": kind, "start": start, "stop": stop, "steps": 3000}
            )
        ]
    )
    values = manager.members[0].weight.at(np.arange(3003), np)
    assert (values[0], *values[-3:]) == (start, stop, stop, stop)
    assert (np.diff(values) * np.sign(stop - start) >= 0).all()


def test_schedule_of_numbers_of_numpy_is_written_as_of_python(tmp_path):
    spec = {
        "schedule": "piecewise",
        "steps": (np.int32(2),),
        "values": (np.float32(0.5), np.int8(0)),
    }
    manager = regplug.compose([("hidden_l1", {"weight": spec})])
    manager.write(tmp_path / "copy.toml")
    weight = regplug.read(tmp_path / "copy.toml").members[0].weight
    assert weight == {"schedule": "piecewise", "steps": [2], "values": [0.5, 0.0]}


def test_schedule_is_in_the_dtype_of_what_matched(T):
    x = T.vector("x", dtype="float32")
    result = regplug.compose([Scale(weight=LINEAR)]).apply({"in:out": x})
    assert result.outputs["in:out"].dtype == "float32"


def test_schedule_moves_the_rate_of_dropout_exactly(T):
    x = T.matrix("x", dtype="float32")
    manager = regplug.compose(
        [("dropout", {"pattern": "in:out", "weight": LINEAR})], seed=3
    )
    result = manager.apply({"in:out": x})
    step = function([x], result.outputs["in:out"], updates=result.updates)
    for number in range(6):
        rate = 0.1 + (0.7 - 0.1) * min(number / 4, 1)
        mask = reference.keep(3, "dropout", "in:out", (40, 50), number, rate)
        np.testing.assert_array_equal(step(np.ones((40, 50), "float32")) != 0, mask)


def test_schedule_also_moves_the_penalty_on_the_clean_graph(T):
    x = T.vector("x", dtype="float64")
    result = regplug.compose(
        [("hidden_l1", {"pattern": "in:out", "weight": LINEAR})]
    ).apply({"in:out": x})
    step = function([x], result.clean_loss, updates=result.updates)
    assert [float(step([2.0])) for _ in range(2)] == pytest.approx([0.2, 0.5])


def test_schedule_of_a_constraint_alone_advances_the_step(engine):
    w = engine.shared(np.ones(2), name="w")
    manager = regplug.compose(
        [Subtract(weight={"schedule": "piecewise", "steps": [1], "values": [0, 0.5]})]
    )
    result = manager.apply({"out:out": w.sum()}, params={"w": w})
    step = function([], [], updates={**result.constrain({w: 1 * w}), **result.updates})
    values = []
    for _ in range(3):
        step()
        values.append(float(w.get_value()[0]))
    assert values == [1, 0.5, 0]


def test_schedule_while_building_advances_the_step_for_parameters_of_the_first_layer(
    engine, T
):
    x = T.matrix("x", dtype="float64")
    w, v = (engine.shared(np.eye(2), name=name) for name in ("a.w", "b.w"))
    manager = regplug.compose([ScaleParams("a.w", weight=LINEAR)])
    first = {"a:out": x.dot(w)}
    manager.modify_graph(first)
    second = {"b:out": first["a:out"].dot(v)}
    manager.modify_graph(second)
    manager.loss([], {**first, **second})
    step = function([x], second["b:out"], updates=manager.updates)
    assert [float(step([[1.0, 0.0]])[0, 0]) for _ in range(3)] == pytest.approx(
        [0.1, 0.25, 0.4]
    )


def test_schedule_cannot_be_assigned_nor_restored_over(T):
    manager = regplug.compose([("hidden_l1", {"weight": LINEAR}), ("noise", 0.1)])
    with pytest.raises(
        OptionError,
        match=r"hidden_l1: its weight follows the schedule .*'linear'.*compose anew",
    ):
        manager.weights["hidden_l1"] = 0.5
    with pytest.raises(OptionError, match="noise: the schedule .*compose anew"):
        manager.weights["noise"] = LINEAR
    assert manager.state()["weights"] == {"noise": 0.1}
    assert dict(manager.weights) == {"hidden_l1": 0.1, "noise": 0.1}


def test_schedule_is_read_from_toml_and_written_back(tmp_path):
    path, copy = tmp_path / "one.toml", tmp_path / "two.toml"
    path.write_text(
        textwrap.dedent("""
        seed = 5
        [[regularizer]]
        use = "weight_l2"
        weight = {schedule = "linear", start = 0, stop = 1e-3, steps = 1000}
        [[regularizer]]
        use = "weight_l1"
        weight = {schedule = "piecewise", steps = [100, 200], values = [0, 1e-5, 1e-4]}
        [[regularizer]]
        use = "dropout"
        weight.schedule = "cosine"
        weight.start = 0.5
        weight.stop = 0.25
        weight.steps = 10
    """)
    )
    manager = regplug.read(path)
    manager.write(copy)
    again = regplug.read(copy)
    spec = {"schedule": "linear", "start": 0, "stop": 1e-3, "steps": 1000}
    assert dict(again.members[0].regularizer.weight) == spec
    for step in (0, 50, 150, 1500):
        for each in (manager, again):
            each.restore({**each.state(), "step": step})
        assert dict(manager.weights) == dict(again.weights)
        assert manager.weights["weight_l2"] == pytest.approx(min(step / 1000, 1) * 1e-3)
    assert manager.weights["dropout"] == 0.25


def test_schedule_continues_in_a_new_process(tmp_path):
    (tmp_path / "run.toml").write_text(
        textwrap.dedent("""
        [[regularizer]]
        use = "dropout"
        pattern = "in:out"
        weight = {schedule = "exponential", start = 0.5, stop = 0.01, steps = 6}
    """)
    )
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        import json, os, sys
        import numpy as np
        import regplug
        from regplug.testing import function, installed_engine

        T = installed_engine().T
        x = T.matrix("x", dtype="float32")
        manager = regplug.read("run.toml")
        if os.path.exists("state.json"):
            manager.restore(json.load(open("state.json")))
        result = manager.apply({"in:out": x})
        step = function([x], result.outputs["in:out"], updates=result.updates)
        rows = []
        for _ in range(int(sys.argv[1])):
            weight = manager.weights["dropout"]
            rows.append([weight, step(np.ones((6, 6), "float32")).tobytes().hex()])
        json.dump(manager.state(), open("state.json", "w"))
        print(json.dumps(rows))
    """)
    )

    def run(*steps):
        (tmp_path / "state.json").unlink(missing_ok=True)
        rows = []
        for count in steps:
            command = [sys.executable, "-W", "ignore", str(script), str(count)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, cwd=tmp_path
            )
            assert done.returncode == 0, done.stderr
            rows += json.loads(done.stdout)
        return rows

    whole = run(7)
    assert run(3, 4) == whole
    assert len({weight for weight, _ in whole}) == 7


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({**LINEAR, "steps": -5}, "-5: steps are integers > 0"),
        ({**LINEAR, "steps": 0}, "0: steps are integers > 0"),
        ({**LINEAR, "steps": 10.0}, "10.0: steps are integers > 0"),
        ({**LINEAR, "steps": True}, "True: steps are integers > 0"),
        (
            {**LINEAR, "steps": 2**63},
            "9223372036854775808: steps are integers > 0, < 2\\*\\*63",
        ),
        ({**LINEAR, "steps": np.bool_(True)}, "True.*: steps are integers > 0"),
        ({**LINEAR, "start": True}, "True is not of type float"),
        ({**LINEAR, "start": 10**400}, "is not a finite number"),
        ({**LINEAR, "stop": 2**64}, "is not a finite number within 64 bits"),
        ({**LINEAR, "stop": 10**5000}, "is not a finite number within 64 bits"),
        ({**LINEAR, "steps": 10**5000}, "steps are integers > 0, < "),
        ({**LINEAR, "steps": b"12"}, "steps are integers > 0, < "),
        (
            {"schedule": "piecewise", "steps": [5, 2**64], "values": [0, 0, 0]},
            "steps are integers > 0, <",
        ),
        (
            {"schedule": "piecewise", "steps": [5], "values": [0, True]},
            "True is not of type float",
        ),
        ({**LINEAR, "steps": [5]}, r"\[5\]: steps are integers > 0"),
        ({**LINEAR, "start": -0.1}, "-0.1 is out of range: >= 0"),
        ({**LINEAR, "stop": 1.0}, "1.0 is out of range: >= 0, < 1"),
        ({**LINEAR, "stop": "1"}, "'1' is not of type float"),
        ({**LINEAR, "stop": float("nan")}, "nan is not a finite number"),
        (
            {**LINEAR, "schedule": "lineal"},
            "'lineal' is no schedule. Did you mean 'linear'",
        ),
        (
            {**LINEAR, "schedule": ["linear"]},
            "is no schedule. Schedules: linear, cosine",
        ),
        (
            {"start": 0, "stop": 1, "steps": 5},
            "has no key 'schedule'. Schedules: linear, cosine",
        ),
        (
            {"schedule": "linear", "start": 0, "steps": 5},
            "a linear schedule has the keys start, stop, steps",
        ),
        (
            {**LINEAR, "values": [1]},
            "a linear schedule has the keys start, stop, steps",
        ),
        (
            {"schedule": "exponential", "start": 0, "stop": 0.1, "steps": 5},
            "needs start and stop > 0",
        ),
        (
            {"schedule": "piecewise", "steps": [5, 5], "values": [0, 0, 0]},
            "steps must increase",
        ),
        (
            {"schedule": "piecewise", "steps": [5, -3], "values": [0, 0, 0]},
            "steps are integers > 0",
        ),
        (
            {"schedule": "piecewise", "steps": 5, "values": [0, 0]},
            "steps are integers > 0",
        ),
        (
            {"schedule": "piecewise", "steps": [5], "values": [0]},
            "1 steps need 2 values",
        ),
        (
            {"schedule": "piecewise", "steps": [5], "values": 0.5},
            "1 steps need 2 values",
        ),
        (
            {"schedule": "piecewise", "steps": [5], "values": [0, 1.5]},
            "1.5 is out of range",
        ),
        (
            {"schedule": "piecewise", "steps": [5], "values": [0, None]},
            "None is not of type float",
        ),
    ],
)
def test_schedule_that_does_not_fit_is_refused_when_composing(spec, words):
    with pytest.raises(OptionError, match=rf"dropout\(weight=.*{words}"):
        regplug.compose([("dropout", {"weight": spec})])


def test_schedule_that_does_not_fit_is_refused_in_toml_with_the_file(tmp_path):
    path = tmp_path / "bad.toml"
    weight = '{schedule = "linear", start = 0, stop = 0.1, steps = -1}'
    path.write_text(f'[[regularizer]]\nuse = "dropout"\nweight = {weight}\n')
    with pytest.raises(OptionError, match="bad.toml: .*-1: steps are integers > 0"):
        regplug.read(path)


def test_schedule_of_a_weight_that_is_baked_in_is_refused():
    with pytest.raises(
        OptionError,
        match="baked .*does not take `weight`, so the schedule .*cannot act: give a number",
    ):
        regplug.compose([Baked(weight=LINEAR)])
