"""The demo's report: tables of what was measured, and a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from regplug.authoring.regularizer import non_default_options
from regplug.demo.train import N_TRAIN, Experiment, Run
from regplug.tables import table

__all__ = [
    "COLOURS",
    "by_composition",
    "last",
    "matches",
    "penalties",
    "picture",
    "results",
    "spread",
]

# Okabe and Ito's colours, which the colour-blind tell apart
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def by_composition(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of each composition, in the order of the seeds."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.composition, []).append(run)
    return found


def spread(values: Iterable[float], digits: int, sign: str = "") -> str:
    """Return the mean and the standard deviation (n - 1) as a user reads them; of one value, the value."""
    values = np.asarray(list(values))
    text = f"{values.mean():{sign}.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {values.std(ddof=1):.{digits}f}"


def last(runs: Iterable[Run], curve: str) -> np.ndarray:
    """Return the last value of one curve, for each run."""
    return np.array([run.curves[curve][-1] for run in runs])


def results(runs: list[Run]) -> Table:
    """Return the table of accuracy (in percent) and loss after the last epoch; differences are taken seed by seed."""
    groups = by_composition(runs)
    base = last(groups["none"], "test accuracy")
    rows = []
    for composition, group in groups.items():
        accuracy = last(group, "test accuracy")
        rows.append(
            (
                composition,
                spread(100 * accuracy, 2),
                ""
                if composition == "none"
                else spread(100 * (accuracy - base), 2, "+"),
                spread(last(group, "test loss"), 3),
                f"{100 * last(group, 'train accuracy').mean():.1f}",
                f"{last(group, 'train loss').mean():.4f}",
            )
        )
    return table(
        (
            "Composition",
            "Test accuracy",
            "minus none",
            "Test loss",
            "Train",
            "Train loss",
        ),
        rows,
    )


def penalties(runs: list[Run]) -> Table:
    """Return the table of penalty terms: mean over seeds, weighted in the training step and at weight 1."""
    groups = by_composition(runs)
    labels = list(runs[0].terms)
    columns = ["Composition"] + [
        what for label in labels for what in (f"{label} term", "at weight 1")
    ]
    rows = []
    for composition, group in groups.items():
        cells = [composition]
        for label in labels:
            term = np.mean([run.terms[label] for run in group])
            cells += [
                f"{term:.3g}" if term else "off",
                f"{np.mean([run.penalties[label] for run in group]):.3g}",
            ]
        rows.append(cells)
    return table(columns, rows)


def matches(experiment: Experiment) -> Table:
    """Return the table of what each regularizer acts on."""
    rows = []
    for m in experiment.manager.members:
        options = {
            k: v
            for k, v in non_default_options(m.regularizer).items()
            if k not in ("weight", "pattern")
        }
        others = ", ".join(f"{key}={value}" for key, value in options.items())
        weight, matched = (
            f"{experiment.compositions['all'][m.label]:g}",
            ", ".join(experiment.result.matches[m.label]),
        )
        rows.append(
            (m.label, m.provenance, weight, m.regularizer.pattern, others, matched)
        )
    columns = ("Regularizer", "From", "Weight", "Pattern", "Options", "Matched")
    return table(columns, rows, wraps=["From", "Matched"])


def picture(runs: list[Run], path: Path) -> None:
    """Draw learning curves and weight histograms, one column a composition, into a PNG."""
    groups = by_composition(runs)
    with matplotlib.rc_context(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(2.3 * len(groups) + 0.8, 6.6), layout="constrained")
        axes = figure.subplots(3, len(groups), sharey="row", squeeze=False)
        colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(groups)}
        for column, (name, group) in zip(axes.T, groups.items(), strict=True):
            column[0].set_title(name, color=colours[name], fontweight="bold")
            for row, what in enumerate(("loss", "accuracy")):
                if name != "none":
                    _curve(
                        column[row],
                        groups["none"],
                        f"test {what}",
                        color="0.6",
                        linestyle=":",
                    )
                _curve(
                    column[row],
                    group,
                    f"train {what}",
                    color=colours[name],
                    linestyle="--",
                )
                _curve(
                    column[row],
                    group,
                    f"test {what}",
                    band=True,
                    color=colours[name],
                    linewidth=2,
                )
                column[row].set_xlabel("epoch")
            _histogram(column[2], groups, name, colours[name])
        axes[0, 0].set(yscale="log", ylabel="cross-entropy")
        axes[1, 0].set(ylabel="accuracy", ylim=(0.75, 1.005))
        axes[2, 0].set(yscale="log", ylabel="weights a bin (mean over seeds)")
        handles = [
            Line2D([], [], color="black", linewidth=2, label="test"),
            Line2D([], [], color="black", linestyle="--", label="train"),
            Line2D([], [], color="0.6", linestyle=":", label="test, none"),
        ]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=3, frameon=False
        )
        n = len(groups["none"])
        figure.suptitle(
            f"Handwritten digits, {N_TRAIN} to train: one compiled step, compositions switched by their weights. "
            f"Mean of {n} seed{'s' * (n > 1)}"
            + "; band: one standard deviation"
            * (n > 1)
        )
        figure.savefig(path, dpi=100)


def _curve(axis, group: list[Run], curve: str, band: bool = False, **style) -> None:
    values = np.array([run.curves[curve] for run in group])
    epochs = np.arange(1, values.shape[1] + 1)
    mean = values.mean(axis=0)
    axis.plot(epochs, mean, **style)
    if band and len(group) > 1:
        std = values.std(axis=0, ddof=1)
        axis.fill_between(
            epochs, mean - std, mean + std, color=style["color"], alpha=0.2, linewidth=0
        )


def _histogram(axis, groups: Mapping[str, list[Run]], name: str, colour: str) -> None:
    largest = max(abs(run.weights).max() for group in groups.values() for run in group)
    bins = np.linspace(-largest, largest, 61)
    for shown, style in (
        (name, {"fill": True, "color": colour, "alpha": 0.6}),
        ("none", {"color": "0.4"}),
    ):
        group = groups[shown]
        counts = np.histogram(np.concatenate([run.weights for run in group]), bins)[
            0
        ] / len(group)
        axis.stairs(counts, bins, **style)
    axis.set_xlabel("weight (outline: none)" if name != "none" else "weight")
