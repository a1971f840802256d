"""The check of what a plugin's module imports, and how long that takes."""

import pytest

from regplug import engine
from regplug.testing import class_checks, installed_engine
from regplug.testing.conformance import FAILED, PASSED

IN_ANOTHER_PROCESS = "import os\nif 'REGPLUG_CHECKS_AN_IMPORT' in os.environ: "
IMPORTS = {
    "module": (
        "try:\n    import os, {}\nexcept ImportError:\n    pass",
        "{} in line 3",
    ),
    "function": ("def late():\n    from {}.tensor import tanh", "{}.tensor in line 3"),
    "method": (
        "class Late:\n    def late(self):\n        import {}\n"
        "        import {}.graph as g",
        "{} in line 4, {}.graph in line 5",
    ),
    "else": ("if 1:\n    pass\nelse:\n    import {}", "{} in line 5"),
}


@pytest.fixture
def attempt(make_check, plugin):
    """Return a function that checks a module of a name, with its first lines."""
    return lambda name, lines: make_check("imports_are_light", plugin(name, lines))


@pytest.fixture
def engine_name():
    return installed_engine().__name__.rpartition(".")[2]


def test_imports_are_reported(attempt):
    status, message = attempt("rp_light", "import packaging")
    assert status == PASSED
    assert message.endswith("ms, imports packaging")


@pytest.mark.parametrize("where", IMPORTS)
@pytest.mark.parametrize("name", engine.ENGINES)
def test_import_of_an_engine_is_named_wherever_it_stands(attempt, name, where):
    lines, what = (text.replace("{}", name) for text in IMPORTS[where])
    status, message = attempt(f"rp_{name}_{where}", lines)
    assert status == FAILED
    assert message.startswith(f"rp_{name}_{where} imports {what}: ")


def test_import_of_an_engine_for_types_only_is_none(attempt, engine_name):
    status, _ = attempt(
        "rp_types",
        "import typing\nfrom typing import TYPE_CHECKING\n"
        f"if TYPE_CHECKING:\n    from {engine_name}.tensor import TensorVariable\n"
        f"if typing.TYPE_CHECKING:\n    import {engine_name}\n",
    )
    assert status == PASSED


def test_import_of_an_engine_by_another_module_is_named(attempt, engine_name):
    lines = f"import importlib; importlib.import_module({engine_name!r})"
    status, message = attempt("rp_engine", lines)
    assert status == FAILED
    assert f"brings {engine_name} with it (" in message


def test_internals_of_cython_are_no_imports(attempt):
    lines = "import sys; sys.modules['cython_runtime'] = sys.modules['_cython_3'] = sys"
    status, message = attempt("rp_cython", IN_ANOTHER_PROCESS + lines)
    assert status == PASSED
    assert message.endswith("ms, imports nothing but regplug and NumPy")


def test_import_that_prints_at_any_time_is_measured(attempt):
    lines = "import atexit; atexit.register(print, 'bye'); os.write(1, b'\\xff')"
    status, message = attempt("rp_prints", IN_ANOTHER_PROCESS + lines)
    assert (status, message.endswith("nothing but regplug and NumPy")) == (PASSED, True)


def test_slow_import_is_named(attempt, monkeypatch):
    monkeypatch.setattr(class_checks, "SLOW_IMPORT", 0)
    status, message = attempt("rp_slow", "import json")
    assert status == FAILED
    assert message.startswith("rp_slow is slow to import")


def test_import_that_hangs_is_interrupted(attempt, monkeypatch):
    monkeypatch.setattr(class_checks, "LONGEST", 1)
    lines = IN_ANOTHER_PROCESS + "import time; time.sleep(30)"
    status, message = attempt("rp_hangs", lines)
    assert status == FAILED
    assert "rp_hangs was interrupted after 1 s" in message


def test_module_that_runs_the_kit_is_imported_once_more_only(
    make_check, plugin, tmp_path
):
    log = tmp_path / "imports"
    log.write_text("")
    found = plugin(
        "rp_checks",
        f"from pathlib import Path; log = Path({str(log)!r})\n"
        "assert log.write_text(log.read_text() + 'x') < 5",
    )
    with (tmp_path / "rp_checks.py").open("a") as file:
        file.write("from regplug.testing import check_regularizer\n")
        file.write("check_regularizer(Imports)\n")
    make_check("imports_are_light", found)
    assert log.read_text() == "xx"
