"""The direction of two penalties on held-out digits, by a short run of the study in tests/benchmarks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from regplug.testing import function

STUDY = Path(__file__).parents[1] / "benchmarks" / "study_autoencoder.py"


def test_penalties_change_what_they_say_on_held_out_digits():
    spec = importlib.util.spec_from_file_location("study_autoencoder", STUDY)
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    found = study.study(epochs=3, seeds=2, function=function)
    for plain, sparse, flat in zip(
        found["none"], found["kl_sparsity"], found["contractive"], strict=True
    ):
        distance = f"distance from {study.RHO}"
        assert sparse[distance] < 0.3 * plain[distance]
        assert flat["Jacobian norm ** 2"] < 0.9 * plain["Jacobian norm ** 2"]
