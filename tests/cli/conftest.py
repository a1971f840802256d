"""What the tests of the command line share: running a command, and a model to plan for."""

from __future__ import annotations

import os
import sys

import pytest
from click.testing import CliRunner

from regplug.cli.lazy_group import command_line

MODEL = """
import numpy as np
from regplug.testing import installed_engine

engine = installed_engine()
x = engine.T.matrix("x", dtype="float32")
w = engine.shared(np.zeros((4, 3), "float32"), name="hid1.w")
b = engine.shared(np.zeros(3, "float32"), name="hid1.b")
v = engine.shared(np.zeros((3, 2), "float32"), name="out.w")
pre = engine.T.dot(x, w) + b
h = pre * (pre > 0)
out = engine.T.dot(h, v)
outputs = {"in:out": x, "hid1:pre": pre, "hid1:out": h, "out:out": out, "out:pre": out}
number = 3

def build():
    return outputs

def count():
    return number

def sized(units):
    return outputs

def failing():
    raise ValueError("no data")

class Net:
    layers = []
    outputs = outputs

net = Net()
"""


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs the command line in this process, as in a pipe."""
    monkeypatch.delenv("COLUMNS", raising=False)
    # as where the environment is activated
    folders = [os.path.dirname(sys.executable), os.environ.get("PATH", "")]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    return lambda *words: CliRunner().invoke(
        command_line, list(words), prog_name="regplug"
    )


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Put a module `mymodel` into the current directory; return the directory."""
    (tmp_path / "mymodel.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if (
            getattr(sys.modules[name], "__file__", None)
            and str(tmp_path) in sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.fixture
def source():
    """Return a function that writes the source of one good regularizer, after a first line."""
    return lambda name, first="": (
        f'''{first}
from regplug import Regularizer, hookimpl

class {name}(Regularizer):
    """Sum of the absolute values."""
    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum(abs(w).sum() for w in matched.values())
'''
    )
