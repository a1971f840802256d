"""What the tests of the core share: equality of graphs, packages, and fresh virtual environments."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest


def pytest_addoption(parser):
    """Add how long the fuzzers run: `pytest tests/fuzz --seeds 5000` takes minutes."""
    parser.addoption("--seeds", type=int, default=40, help="how many the fuzzers try")


# readline, which pytest imports, sets it where os.environ does not show it
os.unsetenv("COLUMNS")


@pytest.fixture
def equal(engine):
    """Return a function that tells whether two variables are the same computation of the same inputs."""
    is_theano = engine.__name__.endswith("theano")
    module = importlib.import_module(
        "theano.scan_module.scan_utils" if is_theano else "pytensor.graph.basic"
    )
    return lambda one, other: module.equal_computations([one], [other])


@pytest.fixture
def package(tmp_path_factory, monkeypatch):
    """Return a function that puts a package on the path: metadata, entry points and one module, as pip does."""
    folder = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(str(folder))
    modules = []

    def add(name, points, module, source, version="0.1"):
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        lines = [f"{point} = {value}" for point, value in points.items()]
        (info / "entry_points.txt").write_text(
            "\n".join(["[regplug.regularizers]", *lines, ""])
        )
        (folder / f"{module}.py").write_text(source)
        modules.append(module)
        return folder

    yield add
    for module in modules:
        sys.modules.pop(module, None)


class Environment:
    """A virtual environment that sees what this one has, and has nothing of its own."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        self.python = str(
            Path(folder, "Scripts" if os.name == "nt" else "bin", "python")
        )
        packages = Path(
            self.run(
                "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
            ).stdout.strip()
        )
        # addsitedir, and not the bare path, because editable installs are .pth files themselves
        lines = [
            f"import site; site.addsitedir({path!r})"
            for path in sys.path
            if Path(path).name == "site-packages"
        ]
        (packages / "outer.pth").write_text("\n".join(lines) + "\n")

    def run(self, *words):
        """Run this environment's Python."""
        return self.run_in(None, *words)

    def run_in(self, folder, *words, **env):
        """Run this environment's Python in a folder, with environment variables."""
        options = {
            "cwd": folder,
            "env": {**os.environ, **env},
            "capture_output": True,
            "text": True,
        }
        return subprocess.run([self.python, *words], check=False, **options)

    def pip(self, *words):
        """Run pip for this environment."""
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            self.python,
            "--disable-pip-version-check",
            *words,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def install(self, *projects):
        """Install projects with pip, without what they depend on."""
        self.pip(
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            *map(str, projects),
        )

    def listed(self):
        """Return the rows of `regplug list`, by name."""
        done = self.run("-m", "regplug", "list", "--json")
        assert done.returncode == 0, done.stderr
        return {row["name"]: row for row in json.loads(done.stdout)}


@pytest.fixture
def environment(tmp_path):
    """Return a fresh virtual environment."""
    return Environment(tmp_path / "fresh")


@pytest.fixture(scope="module")
def shared_environment(tmp_path_factory):
    """Return a fresh virtual environment for all tests of one module."""
    return Environment(tmp_path_factory.mktemp("environment") / "fresh")
