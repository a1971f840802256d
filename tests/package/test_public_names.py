"""Public names: `__all__` says what is public, and plugins use nothing else."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import string
from pathlib import Path

import pytest

import regplug
from regplug.engine.facade import NAMES

ROOT = Path(__file__).parents[2]
PUBLIC = {
    "regplug",
    "regplug.engine",
    "regplug.graph",
    "regplug.models",
    "regplug.noise",
    "regplug.testing",
}
PLUGINS = sorted(
    path
    for path in [
        *ROOT.glob("plugins/*/regplug_*.py"),
        *ROOT.glob("plugins/*/regplug_*/**/*.py"),
        *ROOT.glob("tests/sample-plugin/*.py"),
        *ROOT.glob("regplug/cli/template/**/*.py.in"),
    ]
    if not path.name.startswith(".")
)


# of these nothing is public, but what the package itself offers
SILENT = ("regplug.cli", "regplug.testing.")


def source_of(path):
    """Return a module's source; a template's with its gaps filled."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".in":
        return text
    template = string.Template(text)
    gaps = {match["named"] for match in template.pattern.finditer(text)}
    return template.safe_substitute({gap: gap for gap in gaps if gap})


def imports_of(path):
    """Return the modules of regplug that a file imports, each with a name or none."""
    found = []
    for node in ast.walk(ast.parse(source_of(path))):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [(node.module, alias.name) for alias in node.names]
    return [each for each in found if each[0].split(".")[0] == "regplug"]


@pytest.mark.parametrize(
    "path", PLUGINS, ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_plugins_import_public_names_only(path):
    for module, name in imports_of(path):
        assert module in PUBLIC
        assert name is None or name in importlib.import_module(module).__all__


def test_plugins_there_are():
    assert len(PLUGINS) > 10
    assert any(path.suffix == ".in" for path in PLUGINS)


def test_each_module_says_what_is_public():
    silent = []
    for module in pkgutil.walk_packages(regplug.__path__, "regplug."):
        path = ROOT / (module.name.replace(".", "/") + ".py")
        if module.name.startswith(SILENT):
            continue
        if path.is_file() and "__all__" not in path.read_text(encoding="utf-8"):
            silent.append(module.name)
    assert silent == []


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_public_names_are_there(module):
    module = importlib.import_module(module)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_each_engine_has_the_names_of_the_facade(engine):
    assert [name for name in NAMES if not hasattr(engine, name)] == []
