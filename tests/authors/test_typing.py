"""Type checkers: a package of a third party is checked against regplug's own types."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("mypy")

PLUGIN = """
from typing import Annotated, Any

import regplug
from annotated_types import Interval
from regplug import Manager, Regularizer, Result, hookimpl
from regplug.engine import mean, tensor
from regplug.testing import check_regularizer


class Lasso(Regularizer):
    targets = "params"
    pattern = "*.w"
    scale: Annotated[float, Interval(gt=0)] = 1.0

    @hookimpl
    def loss(self, matched: dict[str, Any]) -> Any:
        return sum(mean(abs(w)) for w in matched.values()) * self.scale


class Centred(Regularizer):
    pattern = ...
    weight = None

    def selects(self, name: str, variable: Any) -> bool:
        return bool(variable.ndim > 1)

    @hookimpl
    def modify_graph(self, value: Any) -> Any:
        return value - value.mean(axis=0, keepdims=True)


manager: Manager = regplug.compose([Lasso("hid.w", 0.1, scale=2.0), Centred("*")])
decay: regplug.Spec = ("weight_l2", {"pattern": "*.w", "weight": 1e-4})
forms: list[regplug.Spec] = ["dropout=0.5@hid", ("noise", 1), decay, Lasso(weight=1)]
regplug.compose(forms, seed=7)
regplug.compose({"dropout": 0.5, "weight_l2": {"weight": 1e-4}})
regularizer: Regularizer = manager["lasso"]
count: int = len([each.weight for each in manager]) + len(manager)
described: list[str] = [item.name for item in regplug.describe({}).outputs]
result: Result = manager.apply({}, updates=[])
total: float = manager.weights["lasso"] + manager.seed
names: list[str] = result.matches["lasso"]
text: str = str(check_regularizer(Lasso))
"""
WRONG = """
import regplug
from plugin import Lasso, manager
Lasso(scale="wide")
Lasso(scales=1.0)
manager.apply()
manager.weights["lasso"] = "much"
manager.nothing
regplug.compose([3.0])
regplug.compose([("dropout", "0.5")])
regplug.compose([("dropout", 0.5, "hid:out")])
regplug.compose({"dropout": True, 3: 0.5})
manager[0]
"""


def mypy(folder, name):
    """Check a file in strict mode, away from this checkout's settings."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", name]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def test_typing_of_a_package_of_a_third_party_is_right(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    done = mypy(tmp_path, "plugin.py")
    assert done.returncode == 0, done.stdout


def test_typing_finds_what_is_wrong(tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "wrong.py").write_text(WRONG)
    done = mypy(tmp_path, "wrong.py")
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines()[:-1]}
    assert found == {*range(4, 14)}, done.stdout
