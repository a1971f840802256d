"""Measure noise side by side with what it is compared with, on the engine of this Python.

    python tests/benchmarks/bench_noise.py [--json FILE] [--repeats N] [--quick]

Each row is a ratio: ours over the peer's, the two timed in turn. Peers that are not
installed (torch, pytensor-ml) have no row. Speed rows run in a process of their own, once
with one thread and once with the default number; compile rows run in fresh processes with a
folder of kernels of their own. `--quick` leaves the compile rows out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import regplug

SHAPES = [(1024, 4096), (128, 1024), (32, 56, 56, 64)]
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
RATE, STD = 0.3, 0.1


def load_engine():
    """Return the engine's module and its tensor module."""
    try:
        import pytensor

        return pytensor, pytensor.tensor
    except ImportError:
        import theano

        return theano, theano.tensor


def regularized(x, regularizer):
    """Return `x` with noise, and the updates."""
    result = regplug.compose([regularizer]).apply({"in:out": x})
    return result.outputs["in:out"], result.updates


def tensor_of(T, ndim):
    if hasattr(T, "random"):
        return T.tensor(shape=(None,) * ndim, dtype="float32")
    return T.TensorType("float32", [False] * ndim)()


def compiled(x, output, updates=None):
    return load_engine()[0].function([x], output, updates=updates or {})


def peers(shape, value):
    """Return the peers' whole functions on `value`: name -> (what it is compared with, function, target)."""
    engine, T = load_engine()
    x = tensor_of(T, len(shape))
    old = engine.__name__ == "pytensor" and engine.__version__ < "3.1"
    found = {}
    if engine.__name__ == "pytensor":
        memory = partial(compiled(x, x * np.float32(1.5)), value)
        found["dropout / x * 1.5"] = ("dropout", memory, None if old else 4.0)
        rng, other = (engine.shared(np.random.default_rng(i)) for i in range(2))
        next_rng, mask = T.random.bernoulli(
            1 - RATE, size=x.shape, rng=rng
        ).owner.outputs
        dropped = T.switch(mask, x * np.float32(1 / (1 - RATE)), np.float32(0))
        dropped = partial(compiled(x, dropped, {rng: next_rng}), value)
        found["dropout / PyTensor bernoulli"] = (
            "dropout",
            dropped,
            1 / 2 if old else 1 / 8,
        )
        next_rng, noise = T.random.normal(
            0, 1, size=x.shape, rng=other, dtype="float32"
        ).owner.outputs
        noisy = compiled(x, x + np.float32(STD) * noise, {other: next_rng})
        found["noise / PyTensor normal"] = ("normal", partial(noisy, value), 1 / 5)
    else:
        from theano.sandbox.rng_mrg import MRG_RandomStreams

        random = MRG_RandomStreams(1)
        mask = random.binomial(size=x.shape, p=1 - RATE, dtype="float32")
        found["dropout / x * 1.5"] = (
            "dropout",
            partial(compiled(x, x * np.float32(1.5)), value),
            None,
        )
        dropped = x * mask * np.float32(1 / (1 - RATE))
        found["dropout / Theano MRG"] = (
            "dropout",
            partial(compiled(x, dropped), value),
            1 / 5,
        )
        noisy = x + np.float32(STD) * random.normal(size=x.shape, dtype="float32")
        found["noise / Theano MRG"] = (
            "normal",
            partial(compiled(x, noisy), value),
            None,
        )
    try:
        import torch

        tensor = torch.from_numpy(value)
        if "OMP_NUM_THREADS" in os.environ:
            torch.set_num_threads(1)
        dropout = partial(torch.nn.functional.dropout, tensor, RATE, training=True)
        found["dropout / torch"] = ("dropout", dropout, 1 / 15)
        found["noise / torch"] = (
            "normal",
            lambda: tensor + STD * torch.randn_like(tensor),
            1 / 5,
        )
    except ImportError:
        pass
    try:
        from pytensor_ml.layers import Dropout
        from pytensor_ml.pytensorf import function

        layer = function([x], Dropout(p=RATE, random_state=0)(x))
        found["dropout / pytensor-ml Dropout"] = (
            "dropout",
            partial(layer, value),
            None,
        )
    except ImportError:
        pass
    return found


def in_turn(ours, peer, repeats):
    """Return the ratios of `repeats` pairs of times, each the best of three; short calls are repeated up to 2 ms."""

    def clock(function, calls):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            times.append((time.perf_counter() - start) / calls)
        return min(times)

    calls = []
    for function in (ours, peer):
        clock(function, 2)
        calls.append(max(1, int(2e-3 / clock(function, 2))))
    return summary(
        [(clock(ours, calls[0]), clock(peer, calls[1])) for _ in range(repeats)]
    )


def summary(pairs):
    times = zip(*pairs, strict=True)
    return {
        "ratios": [one / other for one, other in pairs],
        "ms": [1e3 * statistics.median(t) for t in times],
    }


def measure_arrays(repeats):
    for shape in SHAPES:
        value = np.random.default_rng(0).standard_normal(shape).astype("float32")
        x = tensor_of(load_engine()[1], len(shape))
        ours = {
            kind: partial(compiled(x, *regularized(x, regularizer)), value)
            for kind, regularizer in (
                ("dropout", f"dropout={RATE}@*"),
                ("normal", f"noise={STD}@*"),
            )
        }
        for name, (kind, peer, target) in peers(shape, value).items():
            label = f"{name}, {' x '.join(map(str, shape))}"
            yield {"row": label, "target": target, **in_turn(ours[kind], peer, repeats)}


def mlp(sizes, sites, relu=True):
    """Return the inputs, cost and updates of an MLP with dropout on its first `sites` hidden layers."""
    (engine, T), random = load_engine(), np.random.default_rng(0)
    x, labels = T.matrix("x", dtype="float32"), T.ivector("labels")
    h, params, outputs = x, [], {}
    for i, (rows, columns) in enumerate(zip(sizes, sizes[1:], strict=False)):
        w = engine.shared(
            (random.standard_normal((rows, columns)) / rows**0.5).astype("float32"),
            name=f"hid{i}.w",
        )
        b = engine.shared(np.zeros(columns, "float32"), name=f"hid{i}.b")
        params += [w, b]
        h = T.dot(h, w) + b
        if relu and i < len(sizes) - 2:
            h = T.maximum(h, np.float32(0))
        outputs[f"hid{i}:out"] = h
    patterns = [f"hid{i}:out" for i in range(sites)]
    result = regplug.compose(
        [("dropout", {"weight": RATE, "pattern": patterns})] if sites else []
    ).apply(outputs)
    h = result.outputs[f"hid{len(sizes) - 2}:out"]
    h = h - h.max(axis=1, keepdims=True)
    likelihood = h[T.arange(labels.shape[0]), labels] - T.log(T.exp(h).sum(axis=1))
    cost = -likelihood.mean()
    gradients = engine.grad(cost, params)
    updates = {
        param: param - np.float32(0.01) * g
        for param, g in zip(params, gradients, strict=True)
    }
    return [x, labels], cost, {**updates, **result.updates}


def measure_step(repeats):
    engine, T = load_engine()
    data = (
        np.random.default_rng(0).random((128, 784)).astype("float32"),
        np.zeros(128, "int32"),
    )
    steps = []
    for sites in (2, 0):
        inputs, cost, updates = mlp([784, 1024, 1024, 10], sites)
        steps.append(partial(engine.function(inputs, cost, updates=updates), *data))
    target = 1.03 if engine.__name__ == "pytensor" else None
    yield {
        "row": "training step, two dropouts / none",
        "target": target,
        **in_turn(*steps, 3 * repeats),
    }


def measure_memory():
    """Yield the bytes an element that one site adds to what the backward pass keeps.

    The layers are linear: where an activation's gradient is made from its output, a layer
    after it, whatever it does, keeps an array more, and the engines differ in that.
    """
    engine, T = load_engine()
    kept = []
    for sites in (2, 0):
        inputs, cost, updates = mlp([784, 1024, 1024, 10], sites, relu=False)
        graph = engine.function(inputs, cost, updates=updates).maker.fgraph
        forward, stack = set(), [graph.outputs[0]]
        while stack:
            variable = stack.pop()
            if variable not in forward:
                forward.add(variable)
                stack += variable.owner.inputs if variable.owner else []
        nodes = [
            node
            for node in graph.toposort()
            if not any(output in forward for output in node.outputs)
        ]
        fused = {
            output
            for variable in forward
            if variable.owner
            for output in variable.owner.outputs
        } - forward
        used = {
            variable for node in nodes for variable in node.inputs if variable.owner
        } & (forward | fused)
        whole = [
            variable
            for variable in used
            if getattr(variable, "broadcastable", None) == (False, False)
        ]
        kept.append(sum(np.dtype(variable.dtype).itemsize for variable in whole))
    ratio = (kept[0] - kept[1]) / 2
    yield {
        "row": "bytes kept for the backward pass, an element and site",
        "target": 1.0,
        "ratios": [ratio],
        "ms": [],
    }


def compile_step(sites):
    engine, _ = load_engine()
    regplug.load("dropout")
    start = time.perf_counter()
    inputs, cost, updates = mlp([64, *[128] * 6, 10], sites)
    step = engine.function(inputs, cost, updates=updates)
    step(np.ones((32, 64), "float32"), np.zeros(32, "int32"))
    return time.perf_counter() - start


def compile_sites(sites):
    engine, T = load_engine()
    inputs = [T.matrix(dtype="float32") for _ in range(sites)]
    result = regplug.compose([f"dropout={RATE}@*"]).apply(
        {f"in{i}:out": x for i, x in enumerate(inputs)}
    )
    function = engine.function(
        inputs, list(result.outputs.values()), updates=result.updates
    )
    function(*[np.ones((3, 4), "float32")] * sites)
    folder = Path(engine.config.base_compiledir)
    kernels = [
        path for path in folder.rglob("*.nbi") if "fgraph" not in path.name
    ]  # numba; else C
    return len(kernels) or len(list(folder.rglob("key.pkl")))


def child(task, *, one_thread=False, folder=None):
    """Run a task of this script in a fresh process; return what it printed as JSON."""
    environment = dict(os.environ)
    if one_thread:
        environment.update(dict.fromkeys(THREADS, "1"))
    if folder is not None:
        environment["PYTENSOR_FLAGS"] = environment["THEANO_FLAGS"] = (
            f"base_compiledir={folder}"
        )
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    result = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(result.stdout.splitlines()[-1])


def compile_rows(repeats):
    with tempfile.TemporaryDirectory() as folder:
        for sites in (6, 0):
            child(["compile_step", sites], folder=folder)
        pairs = [
            [child(["compile_step", sites], folder=folder) for sites in (6, 0)]
            for _ in range(repeats)
        ]
    yield {
        "row": "compile time with a warm cache, six dropouts / none",
        "target": 1.5,
        **summary(pairs),
    }
    counts = []
    for sites in (6, 1):
        with tempfile.TemporaryDirectory() as folder:
            counts.append(child(["compile_sites", sites], folder=folder))
    ratio = counts[0] / counts[1]
    yield {
        "row": "kernels with a cold cache, six sites / one",
        "target": 1.0,
        "ratios": [ratio],
        "ms": [],
    }


def show(rows):
    table = Table(
        "row",
        "threads",
        "min",
        "median",
        "max",
        "ours, ms",
        "peer, ms",
        "target",
        "met",
    )
    for row in rows:
        low, middle, high = (
            min(row["ratios"]),
            statistics.median(row["ratios"]),
            max(row["ratios"]),
        )
        target = row["target"]
        met = (
            ""
            if target is None
            else "yes"
            if middle <= target
            else f"no: {middle / target:.2f} x"
        )
        times = [f"{value:.2f}" for value in row["ms"]] or ["", ""]
        ratios = [f"{value:.3f}" for value in (low, middle, high)]
        table.add_row(
            row["row"],
            row["threads"],
            *ratios,
            *times,
            "" if target is None else f"{target:.3f}",
            met,
        )
    Console(width=160).print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of times a row")
    parser.add_argument(
        "--quick", action="store_true", help="leave the compile rows out"
    )
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        name, *arguments = options.task
        result = globals()[name](*arguments)
        print(json.dumps(result if isinstance(result, (int, float)) else list(result)))
        return
    tasks = [
        (task, one)
        for one in (True, False)
        for task in ("measure_arrays", "measure_step")
    ]
    rows = []
    for task, one in track(tasks, "speed"):
        threads = "1" if one else "default"
        rows += [
            {**row, "threads": threads}
            for row in child([task, options.repeats], one_thread=one)
        ]
    rows += [{**row, "threads": ""} for row in child(["measure_memory"])]
    if not options.quick:
        rows += [
            {**row, "threads": ""} for row in track(compile_rows(3), "compile", total=2)
        ]
    show(rows)
    if options.json:
        engine = load_engine()[0]
        where = {
            "python": platform.python_version(),
            "engine": f"{engine.__name__} {engine.__version__}",
        }
        where["numpy"] = importlib.metadata.version("numpy")
        options.json.write_text(json.dumps({**where, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
