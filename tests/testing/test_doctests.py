"""The examples in the kit's docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import regplug.testing

NAMES = [module.name for module in pkgutil.iter_modules(regplug.testing.__path__)]


@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name):
    module = importlib.import_module(f"regplug.testing.{name}")
    failed, attempted = doctest.testmod(module)
    assert failed == 0
    assert (attempted > 0) == (name in {"conformance", "values"})
