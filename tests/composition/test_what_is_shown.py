"""What a person sees of managers, results and other objects, in a terminal and in a notebook."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import OptionError, UnknownNameError
from regplug.composition.noise import Noise
from regplug.discovery.source import SourceInfo
from regplug.testing import function, installed_engine

FORMS = [
    "dropout=0.5@hid:out",
    "weight_l2=1e-4@*.w",
    "max_norm(limit=3)@*.w",
    ("noise", {"pattern": "in:out", "weight": {"schedule": "linear", "start": 0.0}}),
]
FORMS[-1][1]["weight"] |= {"stop": 1.0, "steps": 10}


@pytest.fixture
def model(engine, T):
    """Return the outputs of a small model."""
    x = T.matrix("x")
    w, v = (engine.shared(np.ones((2, 2)), name=name) for name in ("hid.w", "out.w"))
    h = T.tanh(T.dot(x, w))
    return {"in:out": x, "hid:out": h, "out:out": T.dot(h, v)}


@pytest.fixture
def wide(monkeypatch):
    """Have tables whose lines are whole."""
    monkeypatch.setenv("COLUMNS", "300")


def cells(text, label):
    """Return the cells of the line that begins with a label."""
    [line] = [line for line in text.splitlines() if line.startswith(f"{label} ")]
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_manager_is_a_table_of_what_it_holds(wide):
    text = str(regplug.compose(FORMS, seed=7))

    version = regplug.available()[0].version
    assert cells(text, "dropout") == [
        "dropout",
        "dropout=0.5@hid:out",
        "0.5",
        "changes outputs",
        f"regplug-noise {version}",
    ]
    assert cells(text, "weight_l2")[2:4] == ["0.0001", "penalty on parameters"]
    assert cells(text, "max_norm")[2] == "constrains parameters after updates"
    assert "0, scheduled" in text
    assert text.endswith("seed 7, step 0")
    assert "Matches" not in text


def test_manager_shows_live_weights_and_what_matched_last(wide, model):
    manager = regplug.compose(FORMS)
    manager.apply(model)
    manager.weights["dropout"] = 0.25

    assert "0.25" in cells(str(manager), "dropout")
    assert cells(str(manager), "weight_l2")[-1] == "hid.w, out.w"


def test_result_is_a_table_of_matches_terms_and_updates(wide, model):
    manager = regplug.compose(FORMS)
    result = manager.apply(model)
    manager.weights["dropout"] = 0.25

    text = str(result)

    assert cells(text, "dropout")[2:] == ["0.25", "changes outputs", "hid:out"]
    assert cells(text, "weight_l2")[-2:] == ["hid.w, out.w", "in loss"]
    assert cells(text, "max_norm")[-1] == "hid.w, out.w"
    assert "Updates of the function that trains" in text
    assert cells(text, "regplug.step")
    assert "result.clean" not in text
    assert repr(result) == (
        "<regplug.Result of dropout, weight_l2, max_norm, noise: 3 outputs, 1 terms, "
        "1 updates>"
    )


def test_result_shows_the_updates_of_the_models_own(wide, engine, model):
    mean = engine.shared(np.zeros(2), name="<mean>")
    updates = {mean: mean * 0.9 + model["hid:out"].mean(axis=0)}
    result = regplug.compose(["dropout=0.5@hid:out"]).apply(model, updates=updates)

    assert "Updates of a function of result.clean\nShared variable" in str(result)
    assert ">&lt;mean&gt;</td>" in result._repr_html_()
    assert ">Matches</th>" in result._repr_html_()


@pytest.mark.parametrize("columns", [50, 120])
def test_tables_fit_the_terminal_with_whole_words(monkeypatch, model, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    manager = regplug.compose(FORMS[:3])
    result = manager.apply(model)

    for text in (str(manager), str(result)):
        assert max(map(len, text.splitlines())) <= columns
        assert {"dropout=0.5@hid:out", "parameters", "updates"} <= set(text.split())


def test_text_is_text_in_notebooks_too(monkeypatch):
    # whose kernels ask for colours, and where rich shows what it is to print
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)

    text = str(regplug.compose(["dropout=0.5"]))

    assert text.startswith("Regularizers\nLabel ")
    assert "\x1b" not in text


def test_table_without_rows_says_so(monkeypatch):
    manager = regplug.compose([])
    assert str(manager) == "Regularizers\nnone\n\nRun\nseed 0, step 0"
    assert ">none</pre>" in manager._repr_html_()


def test_words_of_wide_columns_stay_whole_beside_each_other(monkeypatch, model):
    monkeypatch.setenv("COLUMNS", "100")
    result = regplug.compose(FORMS).apply(model)

    text = str(result)

    assert max(map(len, text.splitlines())) <= 100
    assert {"dropout=0.5@hid:out", "constrains", '"linear",'} <= set(text.split())


def test_manager_is_read_as_a_collection_of_its_regularizers():
    manager = regplug.compose([*FORMS, "dropout=0.1@out:out"])

    assert len(manager) == 5
    assert manager["dropout"].weight == 0.5
    assert manager["dropout#2"].pattern == "out:out"
    assert [type(each).__name__ for each in manager][:2] == ["Dropout", "WeightL2"]
    assert list(manager) == [member.regularizer for member in manager.members]
    assert "dropout" in manager
    assert manager["dropout"] in manager
    assert "droput" not in manager
    assert regplug.load("dropout")(weight=0.5) not in manager
    # of nothing it is a manager, too
    assert len(regplug.compose([])) == 0
    assert regplug.compose([])


def test_label_that_is_unknown_has_the_nearest():
    manager = regplug.compose(FORMS)

    for mapping in (manager, manager.weights):
        with pytest.raises(UnknownNameError, match="Did you mean 'dropout'"):
            mapping["droput"]
    with pytest.raises(KeyError, match="^no regularizer 0. Regularizers: dropout, "):
        manager[0]
    with pytest.raises(OptionError):
        manager.weights["droput"] = 0.1
    assert manager.weights.get("droput") is None


def test_weight_that_is_symbolic_or_a_function_is_refused_with_the_way(engine, T):
    manager = regplug.compose(["dropout=0.5"])
    shared = engine.shared(np.float64(0.5), name="rate")
    cls = regplug.load("dropout")

    for weight in (T.scalar("rate"), T.scalar("rate") * 2, shared, lambda step: 0.5):
        for give in (
            lambda weight: regplug.compose([("dropout", weight)]),
            lambda weight: regplug.compose([("dropout", {"weight": weight})]),
            lambda weight: regplug.compose({"dropout": weight}),
            lambda weight: cls(weight=weight),
            lambda weight: manager.weights.update(dropout=weight),
        ):
            with pytest.raises(OptionError) as caught:
                give(weight)
            text = str(caught.value)
            assert "assign manager.weights['dropout'] = another between steps" in text
            assert "{'schedule': 'linear', 'start': 0, " in text


def test_ways_that_are_named_in_the_place_of_a_symbolic_weight_work(model):
    with pytest.raises(OptionError) as caught:
        regplug.compose([("dropout", lambda step: step)])
    schedule = str(caught.value).partition("step, ")[2].rstrip(".")

    forms = [("dropout", {"weight": eval(schedule), "pattern": "hid:out"})]
    result = regplug.compose(forms).apply(model)

    h = result.outputs["hid:out"]
    step = function([model["in:out"]], h, updates=result.updates)
    # at step 0 it is off
    assert (step(np.ones((4, 2))) > 0).all()


def test_objects_say_in_one_line_what_they_are(model):
    seen = {}

    class Watching(regplug.Regularizer):
        weight = 0.5

        @regplug.hookimpl
        def loss(self, matched, noise, state, outputs):
            seen.update(noise=noise, state=state, outputs=outputs)
            return sum(value.sum() for value in matched.values())

    manager = regplug.compose([Watching("hid:out")])
    manager.apply(model)
    [entry] = [each for each in regplug.available() if each.name == "dropout"]
    layer = regplug.as_model(model).layers[1]
    engine = installed_engine().T.__name__.partition(".")[0]

    assert repr(manager) == "<regplug.Manager of watching, seed 0>"
    assert repr(manager.members[0]).startswith("<'watching': Watching(pattern='hid:out")
    assert repr(manager.weights) == "{'watching': 0.5}"
    assert repr(entry) == (
        f"<regplug entry 'dropout' of regplug-noise {entry.version}, "
        "regplug_noise:Dropout>"
    )
    assert repr(layer).startswith("Layer(name='hid', params=(hid.w,), outputs=('hid:o")
    expected = f"<regplug.Model of {engine}: 3 outputs and 2 parameters>"
    assert repr(regplug.as_model(model)) == expected
    assert isinstance(seen["noise"], Noise)
    assert repr(seen["noise"]) == "<regplug noise of 'watching'>"
    assert repr(seen["noise"].at("hid:out")) == (
        "<regplug noise of 'watching' at 'hid:out'>"
    )
    assert repr(seen["state"]) == "<regplug arrays kept by 'watching' for hid:out>"
    assert repr(SourceInfo("a.py")).startswith("SourceInfo(path='a.py', ")
