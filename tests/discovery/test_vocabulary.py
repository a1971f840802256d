"""The vocabulary: what it says of the packages here is what they offer."""

from __future__ import annotations

from pathlib import Path

from regplug.authoring.toml_values import tomllib
from regplug.discovery.vocabulary import PACKAGES

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
