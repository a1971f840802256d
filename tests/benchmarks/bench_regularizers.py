"""Measure each installed regularizer: a training step with it over the same step without.

    python tests/benchmarks/bench_regularizers.py [NAME ...] [--json FILE] [--repeats N]

Compile time is that of applying, differentiating, compiling and the first call, once the engine's
kernels are on disk. Both sides of a ratio are timed in turn. Regularizers are whatever packages
offer; each is applied with its own defaults to the first model here that it takes. Then follow
the targets of the Jacobian penalties; the row against torch is there where torch is installed.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import OrderedDict
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import regplug
from regplug.authoring.options import REQUIRED, options_of
from regplug.authoring.regularizer import uses_weight
from regplug.testing import installed_engine
from regplug.testing.values import example

RATE = np.float32(0.01)


class Model:
    """A small model under construction, in float32: its parameters, outputs and inputs."""

    def __init__(self, *shape: int):
        self.engine = installed_engine()
        self.T = self.engine.T
        self.random = np.random.default_rng(0)
        self.x = self.T.TensorType("float32", (None,) * len(shape))("x")
        self.value = self.random.normal(size=shape).astype("float32")
        self.params, self.outputs = {}, {"in:out": self.x}

    def dense(self, h, name, rows, columns):
        w = self.random.normal(size=(rows, columns)) / rows**0.5
        for param, value in ((f"{name}.w", w), (f"{name}.b", np.zeros(columns))):
            self.params[param] = self.engine.shared(value.astype("float32"), name=param)
        return self.T.dot(h, self.params[f"{name}.w"]) + self.params[f"{name}.b"]

    def finish(self, h, units):
        e = self.T.exp(self.dense(h, "out", units, 10))
        self.outputs["out:out"] = e / e.sum(axis=-1, keepdims=True)
        return self

    def cost(self, outputs):
        """Return the loss of the data: every row is of class 0."""
        return -self.T.log(outputs["out:out"][:, 0]).mean()

    def apply(self, options):
        """Regularize the model; its cost is one of the outputs only where the pattern asks for it."""
        asks = options[1].get("pattern") == "cost:out"
        outputs = self.outputs | ({"cost:out": self.cost(self.outputs)} if asks else {})
        return regplug.compose([options]).apply(outputs, params=self.params)

    def logistic(self, z):
        return 1 / (1 + self.T.exp(-z))


def dense():
    """(128, 64) -> 256 -> 256 -> 10."""
    m = Model(128, 64)
    m.outputs["hid1:out"] = m.logistic(m.dense(m.x, "hid1", 64, 256))
    m.outputs["hid2:out"] = m.logistic(m.dense(m.outputs["hid1:out"], "hid2", 256, 256))
    return m.finish(m.outputs["hid2:out"], 256)


def sequence():
    """(32, 20, 32) -> (32, 20, 64) -> 10."""
    m = Model(32, 20, 32)
    m.outputs["rnn:out"] = m.logistic(m.dense(m.x, "rnn", 32, 64))
    return m.finish(m.outputs["rnn:out"].mean(axis=1), 64)


def feature_map():
    """(8, 28, 28, 3) -> (8, 28, 28, 16) -> 10."""
    m = Model(8, 28, 28, 3)
    m.outputs["conv:out"] = m.logistic(m.dense(m.x, "conv", 3, 16))
    return m.finish(m.outputs["conv:out"].mean(axis=(1, 2)), 16)


MODELS = (dense, sequence, feature_map)
PATTERNS = {
    "params": ["*.w"],
    "outputs": ["cost:out", "rnn:out", "hid1:out"],
}  # where one must be given


def training_step(model, options=None):
    """Return the compiled step of a model, called once, with what it took to make it, in seconds."""
    start = time.perf_counter()
    engine, m = model.engine, model
    cost, updates, result = m.cost(m.outputs), {}, None
    if options is not None:
        result = m.apply(options)
        cost, updates = m.cost(result.outputs) + result.loss, result.updates
    params = list(m.params.values())
    gradients = engine.grad(cost, params, disconnected_inputs="ignore")
    steps = OrderedDict(
        (p, p - RATE * g) for p, g in zip(params, gradients, strict=True)
    )
    if result is not None:
        steps = result.constrain(steps, RATE)
    step = partial(
        library().function(
            [m.x], cost, updates=OrderedDict([*steps.items(), *updates.items()])
        ),
        m.value,
    )
    step()
    return step, time.perf_counter() - start


def library():
    """Return the engine's package."""
    return __import__(installed_engine().T.__name__.partition(".")[0])


def fitting(entry):
    """Return the first model that a regularizer takes, and what to compose.

    Raises
    ------
    RegplugError
        It takes none of them.
    """
    cls = regplug.load(entry)
    declared = options_of(cls)
    given = {
        name: example(option)
        for name, option in declared.items()
        if option.default is REQUIRED and name not in ("pattern", "weight")
    }
    if uses_weight(cls) and declared["weight"].default is REQUIRED:
        given["weight"] = 0.1
    patterns = (
        PATTERNS[cls.targets] if declared["pattern"].default is REQUIRED else [None]
    )
    error = None
    for build in MODELS:
        for pattern in patterns:
            options = (
                f"{entry.package}/{entry.name}",
                given if pattern is None else given | {"pattern": pattern},
            )
            try:
                build().apply(options)
            except regplug.RegplugError as fault:
                error = error or fault
                continue
            return build, options
    raise error


def in_turn(ours, peer, repeats):
    """Return the ratios of `repeats` pairs of times, each the best of three; short calls are repeated up to 10 ms."""

    def clock(function, calls):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            times.append((time.perf_counter() - start) / calls)
        return min(times)

    calls = [max(1, int(1e-2 / clock(function, 1))) for function in (ours, peer)]
    return [(clock(ours, calls[0]), clock(peer, calls[1])) for _ in range(repeats)]


def row(name, what, pairs, target=None):
    """Return one row of the table."""
    ratios = [one / other for one, other in pairs]
    ours, peer = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "row": name,
        "what": what,
        "ratios": ratios,
        "ms": [ours, peer],
        "target": target,
    }


def regularizer_rows(entry, repeats):
    """Yield the compile time and the step time of one regularizer over those without."""
    build, options = fitting(entry)
    model = build()
    for each in (options, None):
        training_step(model, each)  # puts the kernels on disk
    made = [(training_step(model, options), training_step(model)) for _ in range(3)]
    yield row(
        entry.name,
        f"compile, {build.__name__}",
        [(one[1], other[1]) for one, other in made],
    )
    ours, plain = made[-1][0][0], made[-1][1][0]
    yield row(entry.name, f"step, {build.__name__}", in_turn(ours, plain, repeats))


def layer(units):
    """Return the input, W, and the logistic activations of a 784-`units` layer, with a batch of 64."""
    m = Model(64, 784)
    m.outputs["hid:out"] = m.logistic(m.dense(m.x, "hid", 784, units))
    return m, m.params["hid.w"], m.outputs["hid:out"]


def contractive_row(repeats):
    """Yield the value and gradient of the exact penalty over those by torch.func.jacrev."""
    try:
        import torch
    except ImportError:
        return
    m, w, h = layer(256)
    loss = regplug.compose(["contractive=1@hid:out"]).apply(m.outputs).loss
    ours = partial(library().function([m.x], [loss, m.engine.grad(loss, w)]), m.value)
    x = torch.tensor(m.value)
    weights = torch.tensor(w.get_value(), requires_grad=True)

    def peer():
        jacobians = torch.func.vmap(
            torch.func.jacrev(lambda each: torch.sigmoid(each @ weights))
        )(x)
        value = (jacobians**2).sum() / len(x)
        return value.item(), torch.autograd.grad(value, weights)[0].numpy()

    for found, expected in zip(ours(), peer(), strict=True):
        np.testing.assert_allclose(
            found, expected, rtol=1e-3, atol=1e-3 * abs(np.asarray(expected)).max()
        )
    yield row(
        "contractive", "/ torch.func.jacrev, 784-256", in_turn(ours, peer, repeats), 1.5
    )


def jacobian_rows(repeats):
    """Yield a forward-backward pass with one random projection over one without."""
    for units in (64, 256, 1024):
        m, w, h = layer(units)
        cost = (h**2).mean()
        result = regplug.compose(["jacobian=1@hid:out"]).apply(m.outputs)
        total = cost + result.loss
        function = library().function
        ours = function([m.x], [total, m.engine.grad(total, w)], updates=result.updates)
        plain = function([m.x], [cost, m.engine.grad(cost, w)])
        pairs = in_turn(partial(ours, m.value), partial(plain, m.value), repeats)
        yield row("jacobian", f"/ plain forward-backward, 784-{units}", pairs, 3.0)


def show(rows, failed):
    """Print all rows in one table, and what could not be measured below it."""
    table = Table(
        "regularizer",
        "what",
        "min",
        "median",
        "max",
        "with, ms",
        "without, ms",
        "target",
        "met",
    )
    for each in rows:
        middle, target = statistics.median(each["ratios"]), each["target"]
        ratios = [
            f"{value:.2f}"
            for value in (min(each["ratios"]), middle, max(each["ratios"]))
        ]
        met = (
            ["", ""]
            if target is None
            else [f"{target:g}", "yes" if middle <= target else "no"]
        )
        table.add_row(
            each["row"],
            each["what"],
            *ratios,
            *(f"{value:.2f}" for value in each["ms"]),
            *met,
        )
    console = Console(width=140)
    console.print(table)
    for name, fault in failed.items():
        console.print(f"{name}: {fault}", style="red", markup=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="only these regularizers")
    parser.add_argument("--json", type=Path, help="write the rows to this file, too")
    parser.add_argument("--repeats", type=int, default=9, help="pairs of times a row")
    options = parser.parse_args()
    entries = [
        e for e in regplug.available() if not options.names or e.name in options.names
    ]
    rows, failed = [], {}
    with Progress(console=Console(stderr=True)) as progress:
        for entry in progress.track(entries, description="regularizers"):
            try:
                rows += regularizer_rows(entry, options.repeats)
            except regplug.RegplugError as fault:
                failed[entry.name] = str(fault)
    targets = {"contractive": contractive_row, "jacobian": jacobian_rows}
    for measure in (
        measure
        for name, measure in targets.items()
        if name in [e.name for e in entries]
    ):
        rows += measure(options.repeats)
    show(rows, failed)
    if options.json:
        engine = library()
        where = {
            "python": platform.python_version(),
            "engine": f"{engine.__name__} {engine.__version__}",
        }
        options.json.write_text(
            json.dumps({**where, "rows": rows, "failed": failed}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
