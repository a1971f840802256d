"""The vocabulary: what it says of the packages here is what they offer."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from regplug.authoring.toml_values import tomllib
from regplug.discovery.vocabulary import PACKAGES, install_advice

PLUGINS = Path(__file__).parents[2] / "plugins"


def test_known_packages_are_those_of_this_checkout():
    offered = {}
    for path in PLUGINS.glob("*/pyproject.toml"):
        project = tomllib.loads(path.read_text("utf-8"))["project"]
        points = project["entry-points"].get("regplug.regularizers")
        if points:
            offered[project["name"]] = sorted(points)

    assert {
        package: sorted(names.split()) for package, names in PACKAGES.items()
    } == offered


def test_install_advice_names_this_python_where_another_is_first(monkeypatch, tmp_path):
    folder = os.path.dirname(sys.executable)
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{tmp_path}")
    assert install_advice("regplug-noise") == (
        "python -m pip install regplug-noise (or, in a checkout of regplug: "
        "python -m pip install ./plugins/regplug-noise)"
    )

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{folder}")
    advice = install_advice("regplug[demo]", upgrade=True)
    python = shlex.quote(sys.executable)
    assert advice == (
        f"{python} -m pip install --upgrade 'regplug[demo]' (or, in a checkout of "
        f"regplug: {python} -m pip install '.[demo]')"
    )
