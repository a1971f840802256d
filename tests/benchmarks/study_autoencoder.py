"""What kl_sparsity and contractive change, on an autoencoder of the digits, held out.

    python tests/benchmarks/study_autoencoder.py [--epochs N] [--seeds N]

An autoencoder 64-100-64 with logistic hidden units learns the 8x8 digits of scikit-learn, with and without a
penalty, from several seeds. Printed for the held-out fifth: the mean activation of the hidden units and its mean
distance from rho, unit by unit; the mean squared Frobenius norm of the Jacobian of the hidden units; and the error.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

import regplug
from regplug.testing import installed_engine

RHO, UNITS, BATCH, RATE = 0.05, 100, 100, 0.2
PENALTIES = {
    "none": [],
    "kl_sparsity": [("kl_sparsity", {"pattern": "hid:out", "weight": 0.5, "rho": RHO})],
    "contractive": [("contractive", {"pattern": "hid:out", "weight": 0.1})],
}


def digits():
    """Return training and held-out images, shape (images, 64), in [0, 1]; the same split every time."""
    images = (load_digits().data / 16).astype("float32")
    images = images[np.random.default_rng(0).permutation(len(images))]
    held_out = len(images) // 5
    return images[held_out:], images[:held_out]


def compiler():
    """Return the engine's own ``function``."""
    return __import__(installed_engine().T.__name__.partition(".")[0]).function


def trainer(regularizers, function):
    """Return the shared parameters, a step of gradient descent, and the hidden units and error of images."""
    engine = installed_engine()
    T = engine.T
    x = T.matrix("x", dtype="float32")
    shapes = {
        "hid.w": (64, UNITS),
        "hid.b": (UNITS,),
        "out.w": (UNITS, 64),
        "out.b": (64,),
    }
    params = {
        name: engine.shared(np.zeros(shape, "float32"), name=name)
        for name, shape in shapes.items()
    }
    w, b, v, c = params.values()
    hidden = 1 / (1 + T.exp(-(T.dot(x, w) + b)))
    image = 1 / (1 + T.exp(-(T.dot(hidden, v) + c)))
    outputs = {"in:out": x, "hid:out": hidden, "out:out": image}
    result = regplug.compose(regularizers).apply(outputs, params=params)
    error = ((result.clean["out:out"] - x) ** 2).sum(axis=1).mean()
    cost = ((result.outputs["out:out"] - x) ** 2).sum(axis=1).mean() + result.loss
    updates = OrderedDict(
        (p, p - np.float32(RATE) * engine.grad(cost, p)) for p in params.values()
    )
    updates.update(result.updates)
    return params, function([x], cost, updates=updates), function([x], [hidden, error])


def figures(params, predict, images):
    """Return what a trained autoencoder does on images, by name, computed in NumPy."""
    hidden, error = predict(images)
    slopes = (hidden * (1 - hidden)).astype("float64")
    jacobian = (
        (slopes**2 * (params["hid.w"].get_value() ** 2).sum(axis=0)).sum(axis=1).mean()
    )
    means = hidden.mean(axis=0)
    return {
        "mean activation": float(means.mean()),
        f"distance from {RHO}": float(abs(means - RHO).mean()),
        "Jacobian norm ** 2": float(jacobian),
        "error": float(error),
    }


def study(epochs, seeds, function):
    """Return the figures of each penalty, one list a name, one entry a seed."""
    train, held_out = digits()
    found = {name: [] for name in PENALTIES}
    for name, regularizers in PENALTIES.items():
        params, step, predict = trainer(regularizers, function)
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            for param in params.values():
                shape = param.get_value().shape
                scale = (6 / sum(shape)) ** 0.5 if len(shape) == 2 else 0
                param.set_value(random.uniform(-scale, scale, shape).astype("float32"))
            for _ in range(epochs):
                for batch in np.array_split(
                    random.permutation(len(train)), len(train) // BATCH
                ):
                    step(train[batch])
            found[name].append(figures(params, predict, held_out))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    found = study(options.epochs, options.seeds, compiler())
    names = list(found["none"][0])
    table = Table(
        "penalty",
        *names,
        title=f"held-out digits, {options.seeds} seeds: mean (min to max)",
    )
    for penalty, runs in found.items():
        columns = [[run[name] for run in runs] for name in names]
        table.add_row(
            penalty,
            *(f"{np.mean(c):.3f} ({min(c):.3f} to {max(c):.3f})" for c in columns),
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
