"""Time planning and applying on a network of 200 layers from each library that this Python has.

Four rows for each library, repeats interleaved:

plan
    What ``regplug plan`` does with the model once it is there: seeing it, applying the composition and collecting what
    touches what. In seconds; the target is 1.
walk
    `apply` of noise on the input, which rebuilds every node, over building the network. The target is 1.5.
by hand
    Building the network and `apply` of hidden_l1 and weight_l2, over building it with the same two penalties written by
    hand. The target is 1.5.
nodes
    `apply` of the composition over building the network alone. It adds several times as many nodes as the network has:
    this row has no target, it says what those nodes cost.

The composition is dropout on every hidden output and weight_l2 on every weight; for PyMC, which takes no dropout, the
two penalties.

    python tests/benchmarks/bench_models.py [--layers 200] [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import collections
import collections.abc
import gc
import importlib.metadata
import json
import logging
import platform
import statistics
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import regplug
from regplug.cli.plan import find_actions
from regplug.models import adapters

TARGETS = {"plan": 1.0, "walk": 1.5, "by hand": 1.5, "nodes": None}


@dataclass
class Case:
    """How a library builds the network; the variables that penalties by hand are about; and patterns."""

    build: Callable[[], Any]
    penalized: Callable[[Any], tuple[list[Any], list[Any]]]
    inputs: str
    hidden: str
    weights: str


def pytensor_ml(layers):
    from pytensor_ml.activations import ReLU
    from pytensor_ml.layers import Input, Linear, Sequential
    from pytensor_ml.model import Model

    def build():
        def hidden(h):
            for i in range(layers):
                h = ReLU()(Linear(f"hid{i}", n_in=4, n_out=4)(h))
                model.hidden.append(h)
            return h

        model = Model(None)
        model.hidden = []
        model.y = Sequential(hidden, Linear("out", n_in=4, n_out=1))(
            Input("X", shape=(None, 4))
        )
        return model

    def penalized(model):
        return model.hidden, [w for w in model.weights if w.ndim > 1]

    return Case(build, penalized, "X:out", "hid*:ReLU", "*.W")


def pymc(layers):
    import pymc as pm

    def build():
        with pm.Model() as model:
            h = pm.Data("X", np.zeros((8, 4)))
            for i in range(layers):
                w = pm.Flat(f"hid{i}.w", shape=(4, 4))
                h = pm.Deterministic(f"hid{i}", pm.math.tanh(pm.math.dot(h, w)))
            pm.Normal("y", h.sum(axis=1), 1, observed=np.zeros(8))
        return model

    return Case(
        build, lambda model: (model.deterministics, model.free_RVs), "X", "hid*", "*.w"
    )


def theanets(layers):
    collections.Callable = (
        collections.abc.Callable
    )  # what its helpers expect is gone from Python 3.10
    sys.modules["climate"] = types.SimpleNamespace(
        get_logger=logging.getLogger
    )  # and from PyPI
    import theanets

    def build():
        network = theanets.Regressor([4] * (layers + 1) + [1])
        network.build_graph()
        return network

    def penalized(network):
        outputs, _ = network.build_graph()
        hidden = [outputs[layer.output_name()] for layer in network.layers[1:-1]]
        return hidden, [w for w in network.params if w.ndim > 1]

    return Case(build, penalized, "in:out", "hid*:out", "*.w")


def seconds(work):
    """Return how much processor time a piece of work took, with what it returned."""
    gc.collect()
    start = time.process_time()
    returned = work()
    return time.process_time() - start, returned


def by_hand(case):
    """Build the network with penalties of its hidden outputs and weights."""
    outputs, weights = case.penalized(case.build())
    activity = sum(abs(h).mean() for h in outputs) / len(outputs)
    return 0.1 * activity + 1e-4 * sum((w**2).mean() for w in weights) / len(weights)


def apply(model, composition):
    """Return the result of a new manager."""
    return regplug.compose(composition).apply(model)


def plan(model, composition):
    """Return what touches what, as ``regplug plan`` does."""
    return find_actions(regplug.compose(composition), regplug.as_model(model))


def measure(library, layers, repeats):
    """Return the rows of one library."""
    case = {"pytensor_ml": pytensor_ml, "pymc": pymc, "theanets": theanets}[library](
        layers
    )
    penalties = [f"hidden_l1=0.1@{case.hidden}", f"weight_l2=1e-4@{case.weights}"]
    composition = (
        penalties if library == "pymc" else [f"dropout=0.5@{case.hidden}", penalties[1]]
    )
    values = {row: [] for row in TARGETS}
    for repeat in range(repeats + 1):
        build, model = seconds(case.build)
        walk, _ = seconds(partial(apply, model, [f"noise=0.1@{case.inputs}"]))
        hand, _ = seconds(partial(by_hand, case))
        penalized, result = seconds(partial(apply, model, penalties))
        assert min(len(found) for found in result.matches.values()) >= layers
        full, _ = seconds(partial(apply, model, composition))
        planned, touched = seconds(partial(plan, model, composition))
        assert len(touched) >= 2 * layers
        if repeat:  # the first is to warm up
            ratios = (planned, walk / build, (build + penalized) / hand, full / build)
            for row, value in zip(TARGETS, ratios, strict=True):
                values[row].append(value)
    return [
        {
            "library": f"{library} {importlib.metadata.version(library)}",
            "layers": layers,
            "row": row,
            "min": min(each),
            "median": statistics.median(each),
            "max": max(each),
            "target": TARGETS[row],
        }
        for row, each in values.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write the rows to a file")
    arguments = parser.parse_args()

    libraries = [
        entry.name for entry in adapters.available() if not adapters.missing(entry)
    ]
    rows = [
        row
        for library in libraries
        for row in measure(library, arguments.layers, arguments.repeats)
    ]
    table = Table(title=f"models of libraries (Python {platform.python_version()})")
    for heading in ("library", "layers", "row", "min", "median", "max", "target"):
        table.add_column(
            heading,
            justify="right"
            if heading in ("layers", "min", "median", "max")
            else "left",
        )
    for row in rows:
        unit = " s" if row["row"] == "plan" else ""
        missed = " missed" if row["target"] and row["median"] > row["target"] else ""
        target = f"<= {row['target']}{unit}{missed}" if row["target"] else "none"
        figures = (f"{row[key]:.2f}{unit}" for key in ("min", "median", "max"))
        table.add_row(row["library"], f"{row['layers']}", row["row"], *figures, target)
    Console(width=100).print(table)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {"python": platform.python_version(), "rows": rows}, file, indent=2
            )


if __name__ == "__main__":
    main()
