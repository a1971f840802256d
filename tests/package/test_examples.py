"""The examples in the docstrings run, of regplug and of every package in plugins."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# what an example needs beside the core
NEEDS = {
    "regplug": "pytensor",
    "regplug.composition.manager": "pytensor",
    "regplug.engine.facade": "pytensor",
    "regplug_pymc": "pymc",
    "regplug_pytensor_ml": "pytensor_ml",
}


def modules_with_examples():
    """Return the names of the modules whose docstrings have examples.

    Those of regplug_theanets run in its own tests: theanets is not imported as it is.
    """
    names = []
    for root in [ROOT, *sorted(ROOT.glob("plugins/*/"))]:
        for path in sorted(root.glob("regplug*/**/*.py")):
            if root.name != "regplug-theanets" and ">>> " in path.read_text(
                encoding="utf-8"
            ):
                parts = path.relative_to(root).with_suffix("").parts
                names.append(".".join(parts).removesuffix(".__init__"))
    return names


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_run(name):
    pytest.importorskip(NEEDS.get(name, "regplug"))
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted
    assert failed == 0
