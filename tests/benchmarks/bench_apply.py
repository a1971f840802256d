"""Time `apply` against building the graph.

Three rows for each number of layers, repeats interleaved, as ratios:

walk
    `apply` of noise on the input, which rebuilds every node, over building the network.
by hand
    Building the network and `apply` of dropout on every hidden output and weight_l2 on every weight, over building the
    same graph by hand from the same pieces.
nodes
    The same `apply` over building the network alone. It adds five times as many nodes as the network has: this row has
    no target, it says what those nodes cost.

    python tests/benchmarks/bench_apply.py [--layers 100 1000 10000] [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import time
from collections import Counter

import numpy as np
from rich.console import Console
from rich.table import Table

import regplug
from regplug.composition.noise import Noise
from regplug.composition.run_state import RunState
from regplug.testing import installed_engine

TARGET = 1.5
WALK = ["noise=0.1@in:out"]
FULL = ["dropout=0.5@hid*:out", "weight_l2=1e-4@*.w"]


def parameters(layers):
    """Return the weights and biases of that many layers."""
    shared = installed_engine().shared
    weights = [
        shared(np.eye(2, dtype="float32"), name=f"hid{i}.w") for i in range(layers)
    ]
    return weights, [
        shared(np.zeros(2, dtype="float32"), name=f"hid{i}.b") for i in range(layers)
    ]


def network(weights, biases, change=lambda name, h: h):
    """Return the outputs of a network, each hidden one as `change` leaves it."""
    T = installed_engine().T
    h = T.matrix("x", dtype="float32")
    outputs = {"in:out": h}
    for number, (w, b) in enumerate(zip(weights, biases, strict=True)):
        h = change(f"hid{number}:out", T.tanh(T.dot(h, w) + b))
        outputs[f"hid{number}:out"] = h
    outputs["out:out"] = h * 2
    return outputs


def by_hand(weights, biases):
    """Return what `apply` makes of the network, written out."""
    engine = installed_engine()
    T, live, draws = engine.T, RunState(7, []), Counter()
    live.connect(engine)
    exact, strength = (engine.shared(np.float64(value)) for value in (0.5, 1e-4))
    rate = T.cast(exact, "float32")

    def dropout(name, h):
        keep = Noise(live, ("dropout", name, 0), draws, {rate: exact}, True).keep(
            h, rate
        )
        return T.switch(keep, h * (1 / (1 - rate)), 0)

    outputs = network(weights, biases, dropout)
    return outputs, T.cast(strength, "float32") * (
        sum((w**2).mean() for w in weights) / len(weights)
    )


def seconds(work):
    """Return how much processor time a piece of work took, with what it returned."""
    gc.collect()
    start = time.process_time()
    returned = work()
    return time.process_time() - start, returned


def measure(layers, repeats):
    """Return the ratios of each repeat, by row, and the seconds that building the network took."""
    weights, biases = parameters(layers)
    ratios, builds = {"walk": [], "by hand": [], "nodes": []}, []
    for repeat in range(repeats + 1):
        build, outputs = seconds(lambda: network(weights, biases))
        walk, result = seconds(
            lambda outputs=outputs: regplug.compose(WALK).apply(outputs)
        )
        assert result.outputs["out:out"] is not outputs["out:out"]
        hand, _ = seconds(lambda: by_hand(weights, biases))
        full, result = seconds(
            lambda outputs=outputs: regplug.compose(FULL).apply(outputs)
        )
        assert (
            len(result.matches["weight_l2"]) == len(result.matches["dropout"]) == layers
        )
        if repeat:  # the first is to warm up
            builds.append(build)
            for row, ratio in (
                ("walk", walk / build),
                ("by hand", (build + full) / hand),
                ("nodes", full / build),
            ):
                ratios[row].append(ratio)
    return ratios, builds


def rows_of(layers, ratios, builds):
    """Return a dict for each row of the table."""
    return [
        {
            "row": row,
            "layers": layers,
            "build_ms": statistics.median(builds) * 1e3,
            "min": min(values),
            "median": statistics.median(values),
            "max": max(values),
            "target": None if row == "nodes" else TARGET,
        }
        for row, values in ratios.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[100, 1000, 10000])
    parser.add_argument(
        "--repeats", type=int, default=5, help="at most 2 are made above 1,000 layers"
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows to a file")
    arguments = parser.parse_args()

    engine = installed_engine().__name__.rpartition(".")[2]
    rows = []
    for layers in arguments.layers:
        repeats = arguments.repeats if layers <= 1000 else min(arguments.repeats, 2)
        rows += rows_of(layers, *measure(layers, repeats))
    table = Table(
        title=f"apply over building the graph ({engine}, Python {platform.python_version()})"
    )
    for heading in ("row", "layers", "build ms", "min", "median", "max", "target"):
        table.add_column(heading, justify="left" if heading == "row" else "right")
    for row in rows:
        missed = " missed" if row["target"] and row["median"] > row["target"] else ""
        ratios = (f"{row[key]:.2f}" for key in ("min", "median", "max"))
        target = f"<= {row['target']}{missed}" if row["target"] else "none"
        table.add_row(
            row["row"], f"{row['layers']:,}", f"{row['build_ms']:.1f}", *ratios, target
        )
    Console(width=100).print(table)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {"engine": engine, "python": platform.python_version(), "rows": rows},
                file,
                indent=2,
            )


if __name__ == "__main__":
    main()
