"""The demo: every composition is reported, and only live weights tell them apart."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from rich.console import Console

from regplug.cli.demo import command
from regplug.demo import model, report, train
from regplug.errors import CompositionError
from regplug.testing import evaluate, function

COMPOSITIONS = ["none", "dropout", "weight_l2", "hidden_l1", "all"]


@pytest.fixture(scope="module")
def experiment():
    """Return an experiment whose functions run in the engine's Python mode."""
    return train.Experiment(function)


def printed(table):
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_demo_prints_every_composition_and_writes_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(model, "function", function)
    monkeypatch.setattr(train, "EPOCHS", 1)
    result = CliRunner().invoke(
        command, ["--seeds", "1", "--out", str(tmp_path / "made" / "here")]
    )
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines() if line.strip()]
    for composition in COMPOSITIONS:
        assert (
            sum(words[0] == composition for words in lines) >= 2
        )  # in the results and in the penalties
    assert "hid1:out, hid2:out" in result.output
    assert "hid1.w, hid2.w, out.w" in result.output
    png = (tmp_path / "made" / "here" / "demo.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert str(tmp_path / "made" / "here" / "demo.png") in result.output


def test_weights_alone_switch_the_compiled_step(experiment):
    runs = {name: experiment.run(name, seed=3, epochs=1) for name in COMPOSITIONS}
    again = experiment.run("none", seed=3, epochs=1)
    np.testing.assert_array_equal(again.weights, runs["none"].weights)
    for name in COMPOSITIONS[1:]:
        assert not np.array_equal(runs[name].weights, runs["none"].weights)
        used = experiment.compositions[name]
        assert {label for label, term in runs[name].terms.items() if term} == set(
            used
        ) - {"dropout"}
    assert runs["none"].terms == {"weight_l2": 0, "hidden_l1": 0}
    other = experiment.run("dropout", seed=4, epochs=1)
    assert not np.array_equal(other.weights, runs["dropout"].weights)


def test_penalties_are_those_of_the_clean_model_at_weight_1(experiment):
    run = experiment.run("all", seed=3, epochs=1)
    np.testing.assert_allclose(
        run.penalties["weight_l2"],
        (run.weights.astype("float64") ** 2).sum(),
        rtol=1e-5,
    )
    train_images = experiment.images[
        np.random.default_rng(3).permutation(len(experiment.images))[: train.N_TRAIN]
    ]
    value = {name: p.get_value() for name, p in experiment.params.items()}
    h1 = np.maximum(train_images @ value["hid1.w"] + value["hid1.b"], 0)
    h2 = np.maximum(h1 @ value["hid2.w"] + value["hid2.b"], 0)
    np.testing.assert_allclose(
        run.penalties["hidden_l1"], (h1.mean() + h2.mean()) / 2, rtol=1e-4
    )


def test_cross_entropy_is_that_of_numpy(T):
    logits = np.random.default_rng(0).normal(0, 30, (5, 10)).astype("float32")
    targets = np.eye(10, dtype="float32")[[0, 3, 3, 9, 5]]
    z, t = T.matrix("z", dtype="float32"), T.matrix("t", dtype="float32")
    log_p = (
        logits.astype("float64")
        - np.logaddexp.reduce(logits.astype("float64"), axis=1)[:, None]
    )
    got = evaluate(model.cross_entropy(z, t), {z: logits, t: targets})
    np.testing.assert_allclose(got, -(targets * log_p).sum(axis=1).mean(), rtol=1e-5)


def test_momentum_is_that_of_numpy(engine):
    p = engine.shared(np.array([1.0, -2.0], "float32"), name="p")
    step = function(
        [], [], model.momentum((p**2).sum(), {"p": p}, rate=0.1, friction=0.5)
    )
    value, velocity = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(3):
        step()
        velocity = 0.5 * velocity - 0.1 * 2 * value
        value = value + velocity
    np.testing.assert_allclose(p.get_value(), value, rtol=1e-6)


def test_tables_fit_80_columns_and_show_paired_differences():
    def run(composition, seed, accuracy):
        names = ("train loss", "train accuracy", "test loss", "test accuracy")
        curves = {name: np.array([0.5, accuracy]) for name in names}
        return train.Run(
            composition,
            seed,
            curves,
            {"weight_l2": 0.25},
            {"weight_l2": 600.0},
            np.ones(3),
        )

    runs = [
        run("none", 0, 0.90),
        run("all", 0, 0.91),
        run("none", 1, 0.94),
        run("all", 1, 0.97),
    ]
    rows = [line.split("  ") for line in printed(report.results(runs)).splitlines()]
    cells = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert cells["none"][:2] == ["92.00 ± 2.83", "0.920 ± 0.028"]
    assert cells["all"][:2] == ["94.00 ± 4.24", "+2.00 ± 1.41"]  # of 1 and 3
    assert "0.25" in printed(report.penalties(runs))
    assert "off" not in printed(report.penalties(runs))


def test_demo_says_what_to_install_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "regplug.demo.report")
    monkeypatch.delattr("regplug.demo.report")
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 1
    assert "-m pip install 'regplug[demo]'" in result.output


def test_demo_runs_where_a_notebook_names_a_backend_of_its_own(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://backend_of_a_notebook")

    class Refused(train.Experiment):
        def __init__(self, compile):
            raise CompositionError(os.environ.get("MPLBACKEND", "no backend"))

    monkeypatch.setattr(train, "Experiment", Refused)
    result = CliRunner().invoke(command, [])
    assert str(result.exception) == "no backend"


def test_demo_refuses_no_seeds_and_a_file_for_a_folder(tmp_path):
    assert CliRunner().invoke(command, ["--seeds", "0"]).exit_code == 2
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(command, ["--out", str(tmp_path / "file" / "below")])
    assert result.exit_code == 1
    assert "Not a directory" in result.output


def test_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "demo.png"
    monkeypatch.setattr(report, "_figure", lambda runs: Figure(figsize=(1, 1)))
    report.draw([], path)
    old = path.read_bytes()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CompositionError, match="demo.png: cannot be written: No space"):
        report.draw([], path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
