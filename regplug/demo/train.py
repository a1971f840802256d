"""The demo's experiment: one compiled training step, and compositions switched by live weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from regplug import Manager, compose
from regplug.demo import model

__all__ = ["Experiment", "REGULARIZERS", "Run", "train_all"]

# Set by hand after a few trials: strengths on seeds 100 to 104, but what made batch and dropout be revised was a run on
# seeds 0 to 4, which the demo uses. What it prints by default is therefore no independent test of these settings.
REGULARIZERS = [
    ("dropout", {"pattern": "@hidden", "weight": 0.3}),
    ("weight_l2", {"pattern": "*.w", "weight": 0.003, "reduction": "sum"}),
    ("hidden_l1", {"pattern": "@hidden", "weight": 0.3}),
]
N_TRAIN, BATCH, EPOCHS = 150, 25, 40
RATE, FRICTION = 0.05, 0.9


@dataclass(frozen=True)
class Run:
    """What one training under one composition gave.

    Attributes
    ----------
    composition, seed : str, int
    curves : dict of str to array, shape (epochs,)
        ``train`` and ``test``, each ``loss`` (cross-entropy) and ``accuracy`` (in [0, 1]), of the clean model.
    terms : dict of str to float
        Each weighted term, as the training step saw it: the mean over the last epoch.
    penalties : dict of str to float
        The same penalties of the clean model on the training images, at weight 1.
    weights : array
        All weights after training, without biases.
    """

    composition: str
    seed: int
    curves: dict[str, np.ndarray]
    terms: dict[str, float]
    penalties: dict[str, float]
    weights: np.ndarray


class Experiment:
    """One network with all the regularizers: one training step and one measurement, compiled here, once.

    Parameters
    ----------
    compile : function of (inputs, outputs, updates)
        Compiles a function, as `model.function` does.
    """

    def __init__(self, compile: Callable[..., Any]):
        images, labels = load_digits(return_X_y=True)
        self.images = (images / 16).astype("float32")
        self.targets = np.eye(10, dtype="float32")[labels]
        self.manager: Manager = compose(REGULARIZERS)
        outputs, self.params = model.perceptron(n_inputs=64)
        self.result = result = self.manager.apply(outputs)
        x, t = outputs["in:out"], model.T.matrix("t", dtype="float32")
        cost = model.cross_entropy(result.outputs["out:out"], t) + result.loss
        updates = model.momentum(cost, self.params, RATE, FRICTION)
        self._velocities = [v for v in updates if v not in self.params.values()]
        self._step = compile(
            [x, t], list(result.terms.values()), {**updates, **result.updates}
        )
        clean = result.clean["out:out"]
        self._measure = compile(
            [x, t], [model.cross_entropy(clean, t), clean, result.clean_loss], {}
        )
        full = dict(self.manager.weights)
        self.compositions: dict[str, dict[str, float]] = {
            "none": {},
            **{label: {label: weight} for label, weight in full.items()},
            "all": full,
        }

    def weigh(self, weights: dict[str, float]) -> None:
        """Switch the composition: all else is as it was compiled. What is not named is off."""
        for label in self.manager.weights:
            self.manager.weights[label] = weights.get(label, 0)

    def run(
        self,
        composition: str,
        seed: int,
        epochs: int,
        on_epoch: Callable[[], None] = lambda: None,
    ) -> Run:
        """Train from the seed's initial weights on the seed's choice of images."""
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.images))
        train, test = order[:N_TRAIN], order[N_TRAIN:]
        model.initialize(self.params, rng)
        for v in self._velocities:
            v.set_value(np.zeros_like(v.get_value()))
        self.manager.restore(self.manager.state() | {"seed": seed, "step": 0})
        self.weigh(self.compositions[composition])
        curves: dict[str, list[float]] = {}
        for _ in range(epochs):
            terms = [
                self._step(self.images[batch], self.targets[batch])
                for batch in rng.permutation(train).reshape(-1, BATCH)
            ]
            for name, chosen in (("train", train), ("test", test)):
                loss, logits, _ = self._measure(
                    self.images[chosen], self.targets[chosen]
                )
                right = logits.argmax(axis=1) == self.targets[chosen].argmax(axis=1)
                curves.setdefault(f"{name} loss", []).append(float(loss))
                curves.setdefault(f"{name} accuracy", []).append(right.mean())
            on_epoch()
        return Run(
            composition,
            seed,
            {name: np.array(values) for name, values in curves.items()},
            dict(zip(self.result.terms, np.mean(terms, axis=0).tolist(), strict=True)),
            {label: self.penalty(label, train) for label in self.result.terms},
            np.concatenate(
                [
                    p.get_value().ravel()
                    for name, p in self.params.items()
                    if name.endswith(".w")
                ]
            ),
        )

    def penalty(self, label: str, chosen: np.ndarray) -> float:
        """Return one penalty of the clean model at weight 1."""
        self.weigh({label: 1})
        return float(self._measure(self.images[chosen], self.targets[chosen])[2])


def train_all(
    experiment: Experiment,
    seeds: Iterable[int],
    epochs: int,
    on_epoch: Callable[[str, int], None] = lambda *_: None,
) -> list[Run]:
    """Train under every composition with every seed; `on_epoch` is told composition and seed."""
    with threadpool_limits(
        1
    ):  # on matrices this small, BLAS threads cost more than they bring
        return [
            experiment.run(
                composition, seed, epochs, partial(on_epoch, composition, seed)
            )
            for seed in seeds
            for composition in experiment.compositions
        ]
