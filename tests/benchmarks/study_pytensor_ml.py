"""Replace pytensor-ml's Dropout by regplug's in the same network, and compare accuracy and speed.

The digits of scikit-learn, 300 of them to train on, and a network of two hidden layers after the library's quickstart,
trained with its Adam: with its own Dropout, with regplug's dropout in the same places, and without. Each variant is
compiled once and trained from the same initial weights on the same batches, for each seed. Prints test accuracy over
the seeds, the difference with its standard error, and the time of a step, the variants' steps interleaved.

    python tests/benchmarks/study_pytensor_ml.py [--seeds 10] [--steps 600] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.datasets import load_digits

import regplug

pytensor.config.floatX = "float32"  # before the library's layers are built

from pytensor_ml.activations import ReLU  # noqa: E402
from pytensor_ml.layers import Dropout, Input, Linear, Sequential  # noqa: E402
from pytensor_ml.loss import CrossEntropy, supervised_loss  # noqa: E402
from pytensor_ml.model import Model  # noqa: E402
from pytensor_ml.optim import adam  # noqa: E402
from pytensor_ml.optim import compile_train as compile_own  # noqa: E402
from pytensor_ml.pytensorf import collect_graph_inputs  # noqa: E402
from regplug_pytensor_ml import PytensorML  # noqa: E402

RATE, HIDDEN, BATCH, TRAIN = 0.5, 256, 64, 300
LOSS = CrossEntropy(expect_onehot_labels=True, expect_logits=True)


@dataclass
class Variant:
    """A compiled training step, and how it is begun anew."""

    model: Any
    step: Any
    updates: dict
    manager: Any = None
    dropouts: tuple = ()

    def __post_init__(self):
        self.start = {variable: variable.get_value() for variable in self.updates}
        self.accuracies: list[float] = []

    def begin(self, seed):
        """Return to the start, with other weights and other masks."""
        for variable, value in self.start.items():
            variable.set_value(value)
        self.model.initialize(seed=seed)
        for dropout in self.dropouts:
            for number, generator in enumerate(dropout.generators):
                generator.set_value(
                    np.random.default_rng((seed, number, len(dropout.name)))
                )
        if self.manager is not None:
            self.manager.restore(
                {"seed": seed, "step": 0, "weights": {"dropout": RATE}}
            )


def variant(kind):
    """Return the network with ``own`` dropout, ``regplug``'s or ``none``."""
    dropouts = [Dropout(f"drop{i}_", p=RATE) for i in range(2)] if kind == "own" else []
    parts = []
    for i, n_in in enumerate((64, HIDDEN)):
        parts += [
            Linear(f"fc{i}", n_in=n_in, n_out=HIDDEN),
            ReLU(),
            *dropouts[i : i + 1],
        ]
    model = Model(
        Sequential(*parts, Linear("logits", n_in=HIDDEN, n_out=10))(
            Input("X", shape=(None, 64))
        )
    )
    manager = regplug.compose([f"dropout={RATE}"])
    result = manager.apply(model)
    assert result.matches == {"dropout": ["fc0:ReLU", "fc1:ReLU"]}
    loss, target = supervised_loss(
        result.outputs["logits:out"] if kind == "regplug" else model.y, LOSS
    )
    updates = adam(1e-3)(loss, model.weights)
    inputs = [*collect_graph_inputs(model.y), target]
    if kind == "regplug":
        step = PytensorML.compile_train(
            model, result, updates, loss=loss, inputs=inputs
        )
        return Variant(model, step, updates, manager)
    step = compile_own(loss, updates, parameters=model.weights, inputs=inputs)
    return Variant(model, step, updates, None, tuple(dropouts))


def digits(seed):
    """Return training images and labels, and test images and labels, split by the seed."""
    images, labels = load_digits(return_X_y=True)
    images, onehot = (
        (images / 16).astype("float32"),
        np.eye(10, dtype="float32")[labels],
    )
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = order[:TRAIN], order[TRAIN:]
    return images[train], onehot[train], images[test], labels[test]


def train(each, seed, steps):
    """Train once; return the test accuracy."""
    images, onehot, test_images, test_labels = digits(seed)
    rng = np.random.default_rng(seed)
    each.begin(seed)
    for _ in range(steps):
        rows = rng.integers(TRAIN, size=BATCH)
        each.step(images[rows], onehot[rows])
    return float(
        (each.model.predict(test_images).argmax(axis=-1) == test_labels).mean()
    )


def step_times(variants, repeats=400):
    """Return the milliseconds of each variant's steps, interleaved."""
    images, onehot, *_ = digits(0)
    taken = {name: [] for name in variants}
    for repeat in range(repeats + 20):
        for name, each in variants.items():
            start = time.perf_counter()
            each.step(images[:BATCH], onehot[:BATCH])
            if repeat >= 20:
                taken[name].append((time.perf_counter() - start) * 1e3)
    return taken


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file")
    arguments = parser.parse_args()

    variants = {name: variant(name) for name in ("none", "own", "regplug")}
    for seed in track(range(arguments.seeds), "Training"):
        for each in variants.values():
            each.accuracies.append(train(each, seed, arguments.steps))
    taken = step_times(variants)

    title = f"test accuracy after {arguments.steps} steps, {arguments.seeds} seeds, {TRAIN} training digits"
    table = Table(title=title)
    for heading in ("dropout", "accuracy", "deviation", "step ms", "of own"):
        table.add_column(heading, justify="left" if heading == "dropout" else "right")
    figures = {}
    for name, each in variants.items():
        ratio = statistics.median(
            mine / own for mine, own in zip(taken[name], taken["own"], strict=True)
        )
        figures[name] = {
            "accuracy": statistics.mean(each.accuracies),
            "deviation": statistics.stdev(each.accuracies),
            "step_ms": statistics.median(taken[name]),
            "of_own": ratio,
        }
        row = figures[name]
        cells = (
            f"{row['accuracy']:.4f}",
            f"{row['deviation']:.4f}",
            f"{row['step_ms']:.2f}",
            f"{ratio:.2f}",
        )
        table.add_row(name, *cells)
    console = Console(width=100)
    console.print(table)
    pairs = zip(variants["regplug"].accuracies, variants["own"].accuracies, strict=True)
    differences = [mine - own for mine, own in pairs]
    mean, error = (
        statistics.mean(differences),
        statistics.stdev(differences) / len(differences) ** 0.5,
    )
    verdict = "within" if abs(mean) <= 2 * error else "beyond"
    console.print(
        f"regplug - own, by seed: {mean:+.4f}, standard error {error:.4f}: {verdict} two standard errors"
    )
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {"variants": figures, "difference": mean, "standard_error": error},
                file,
                indent=2,
            )


if __name__ == "__main__":
    main()
