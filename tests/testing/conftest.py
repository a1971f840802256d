"""What the tests of the kit share: one check made, modules of plugins, a registry."""

import importlib
import sys

import pytest

from regplug.testing.check import CHECKS
from regplug.testing.conformance import attempt
from regplug.testing.fixtures import isolated_registry  # noqa: F401
from regplug.testing.subject import Subject

PLUGIN = """
{}
from regplug import Regularizer, hookimpl

class Imports(Regularizer):
    @hookimpl
    def loss(self, matched):
        return None
"""


@pytest.fixture
def make_check():
    """Return a function that makes a check, by its name: the status and the message."""
    return lambda name, regularizer: attempt(CHECKS[name], Subject(regularizer))


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return a function that imports a class whose module begins with some lines."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def load(name, lines):
        names.append(name)
        (tmp_path / f"{name}.py").write_text(PLUGIN.format(lines))
        return importlib.import_module(name).Imports

    yield load
    for name in names:
        sys.modules.pop(name, None)
