"""The demo's report: tables of what was measured, and a picture."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.console import RenderableType

from regplug.authoring.regularizer import non_default_options
from regplug.demo.train import N_TRAIN, Experiment, Run
from regplug.files import write_whole
from regplug.tables import counted, table

__all__ = [
    "COLOURS",
    "by_composition",
    "curves",
    "draw",
    "last",
    "matches",
    "penalties",
    "results",
    "spread",
    "tables",
]

# Okabe and Ito's colours, which the colour-blind tell apart
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def by_composition(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of each composition, in the order of the seeds."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.composition, []).append(run)
    return groups


def spread(values: np.ndarray, digits: int, sign: str = "") -> str:
    """Return mean and standard deviation (n - 1) as text; of one value, the value."""
    text = f"{values.mean():{sign}.{digits}f}"
    if len(values) > 1:
        text += f" ± {values.std(ddof=1):.{digits}f}"
    return text


def curves(runs: Iterable[Run], name: str) -> np.ndarray:
    """Return one curve of each run, shape (runs, epochs)."""
    return np.array([run.curves[name] for run in runs])


def last(runs: Iterable[Run], name: str) -> np.ndarray:
    """Return the last value of one curve, for each run."""
    return curves(runs, name)[:, -1]


def tables(runs: list[Run], experiment: Experiment) -> dict[str, RenderableType]:
    """Return what was measured: title -> table."""
    none = by_composition(runs)["none"]
    over = counted(none, "seed")
    if len(none) > 1:
        over += ": mean ± standard deviation"
    return {
        "Accuracy in percent and cross-entropy of the clean model after the last "
        f"epoch, over {over}": results(runs),
        "Penalty terms, mean over seeds: in the training step; of the clean model at "
        "weight 1": penalties(runs),
        "What matched what": matches(experiment),
    }


def results(runs: list[Run]) -> RenderableType:
    """Return the table of accuracy (in percent) and loss after the last epoch.

    Differences are taken seed by seed.
    """
    groups = by_composition(runs)
    base = last(groups["none"], "test accuracy")
    rows = []
    for composition, group in groups.items():
        accuracy = last(group, "test accuracy")
        gain = ""
        if composition != "none":
            gain = spread(100 * (accuracy - base), 2, "+")
        rows.append(
            (
                composition,
                spread(100 * accuracy, 2),
                gain,
                spread(last(group, "test loss"), 3),
                f"{100 * last(group, 'train accuracy').mean():.1f}",
                f"{last(group, 'train loss').mean():.4f}",
            )
        )
    columns = ["Composition", "Test accuracy", "minus none", "Test loss", "Train"]
    return table([*columns, "Train loss"], rows)


def penalties(runs: list[Run]) -> RenderableType:
    """Return the table of penalty terms, means over seeds.

    Weighted, in the training step; and at weight 1.
    """
    labels = list(runs[0].terms)
    columns = ["Composition"]
    for label in labels:
        columns += [f"{label} term", "at weight 1"]
    rows = []
    for composition, group in by_composition(runs).items():
        cells = [composition]
        for label in labels:
            term = np.mean([run.terms[label] for run in group])
            penalty = np.mean([run.penalties[label] for run in group])
            cells += [f"{term:.3g}" if term else "off", f"{penalty:.3g}"]
        rows.append(cells)
    return table(columns, rows)


def matches(experiment: Experiment) -> RenderableType:
    """Return the table of what each regularizer acts on."""
    rows = []
    for member in experiment.manager.members:
        options = non_default_options(member.regularizer)
        for shown in ("weight", "pattern"):
            options.pop(shown, None)
        others = [f"{key}={value}" for key, value in options.items()]
        matched = ", ".join(experiment.result.matches[member.label])
        weight = experiment.compositions["all"][member.label]
        rows.append(
            (
                member.label,
                member.provenance,
                f"{weight:g}",
                member.regularizer.pattern,
                ", ".join(others),
                matched,
            )
        )
    columns = ("Regularizer", "From", "Weight", "Pattern", "Options", "Matched")
    return table(columns, rows, wraps=["From", "Matched"])


def draw(runs: list[Run], path: Path) -> None:
    """Draw learning curves and weight histograms, one column a composition, as PNG."""
    style: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    picture = io.BytesIO()
    with matplotlib.rc_context(style):
        _figure(by_composition(runs)).savefig(picture, format="png", dpi=100)
    write_whole(path, picture.getvalue())


def _figure(groups):
    figure = Figure(figsize=(2.3 * len(groups) + 0.8, 6.6), layout="constrained")
    axes = figure.subplots(3, len(groups), sharey="row", squeeze=False)
    for column, name, colour in zip(axes.T, groups, cycle(COLOURS), strict=False):
        column[0].set_title(name, color=colour, fontweight="bold")
        _curves(column[0], groups, name, "loss", colour)
        _curves(column[1], groups, name, "accuracy", colour)
        _histogram(column[2], groups, name, colour)
    axes[0, 0].set(yscale="log", ylabel="cross-entropy")
    axes[1, 0].set(ylabel="accuracy", ylim=(0.75, 1.005))
    axes[2, 0].set(yscale="log", ylabel="weights a bin (mean over seeds)")
    _legend(figure)
    mean = f"Mean of {counted(groups['none'], 'seed')}"
    if len(groups["none"]) > 1:
        mean += "; band: one standard deviation"
    figure.suptitle(
        f"Handwritten digits, {N_TRAIN} to train: one compiled step, compositions "
        f"switched by their weights. {mean}"
    )
    return figure


def _legend(figure):
    handles = [
        Line2D([], [], color="black", linewidth=2, label="test"),
        Line2D([], [], color="black", linestyle="--", label="train"),
        Line2D([], [], color="0.6", linestyle=":", label="test, none"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)


def _curves(axis, groups, name, what, colour):
    """Plot the means over the seeds, and a band of one standard deviation."""
    test = curves(groups[name], f"test {what}")
    train = curves(groups[name], f"train {what}")
    none = curves(groups["none"], f"test {what}")
    epochs = np.arange(1, test.shape[1] + 1)
    mean = test.mean(axis=0)
    axis.plot(epochs, none.mean(axis=0), color="0.6", linestyle=":")
    axis.plot(epochs, train.mean(axis=0), color=colour, linestyle="--")
    axis.plot(epochs, mean, color=colour, linewidth=2)
    if len(test) > 1:
        std = test.std(axis=0, ddof=1)
        band = mean - std, mean + std
        axis.fill_between(epochs, *band, color=colour, alpha=0.2, linewidth=0)
    axis.set_xlabel("epoch")


def _histogram(axis, groups, name, colour):
    weights = {}
    for each, group in groups.items():
        weights[each] = np.array([run.weights for run in group])
    largest = max(abs(values).max() for values in weights.values())
    bins = np.linspace(-largest, largest, 61)
    label = "weight"
    if name != "none":
        label += " (outline: none)"
    axis.set_xlabel(label)
    filled = {"fill": True, "color": colour, "alpha": 0.6}
    for shown, style in ((name, filled), ("none", {"color": "0.4"})):
        counts, _ = np.histogram(weights[shown], bins)
        axis.stairs(counts / len(weights[shown]), bins, **style)
