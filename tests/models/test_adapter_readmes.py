"""The READMEs of the packages in plugins/: their code runs as it stands, and they name all that is in the package."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import regplug

PACKAGES = sorted(
    readme.parent for readme in Path(__file__).parents[2].glob("plugins/*/README.md")
)
LIBRARIES = {"pymc", "pytensor", "pytensor_ml", "safetensors", "sklearn", "theanets"}


def code_of(package):
    text = (package / "README.md").read_text("utf-8")
    return "\n".join(
        re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    )


def imported(code):
    """Return the top-level modules that a text of Python imports."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [
        alias.name
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_readme_code_runs(package, tmp_path):
    code = code_of(package)
    needed = imported(code) & LIBRARIES
    assert needed
    if missing := [
        name for name in sorted(needed) if importlib.util.find_spec(name) is None
    ]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    (tmp_path / "readme.py").write_text(code, "utf-8")
    flags = (
        "mode=Mode,linker=py,optimizer=fast_compile,cxx="  # nothing is compiled: quick
    )
    done = subprocess.run(
        [sys.executable, "readme.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTENSOR_FLAGS": flags, "THEANO_FLAGS": flags},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_readme_names_each_regularizer_of_the_package(package):
    text = (package / "README.md").read_text("utf-8")
    own = [entry for entry in regplug.available() if entry.package == package.name]
    names = [name for entry in own for name in (entry.name, *entry.aliases)]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
