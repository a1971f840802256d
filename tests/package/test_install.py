"""Packages of third parties: a real pip install into a fresh virtual environment, and its undoing."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLE = Path(__file__).parent.parent / "sample-plugin"


COMPOSE = """
import numpy as np
import regplug
from regplug.testing import evaluate, installed_engine

engine = installed_engine()
x = engine.T.matrix("x", dtype="float64")
w = engine.shared(np.array([[1.0, -2.0], [3.0, -4.0]]), name="hid.w")
outputs = {"in:out": x, "hid:out": engine.T.dot(x, w)}
manager = regplug.compose(["dropout=0.5@hid:out", "lasso=0.5"])
result = manager.apply(outputs)
print(result.matches, float(evaluate(result.terms["lasso"])), manager.members[1].provenance)
"""


def test_install_makes_a_regularizer_appear_and_uninstall_makes_it_go(
    environment, tmp_path
):
    project = shutil.copytree(SAMPLE, tmp_path / "project")
    before = environment.listed()
    assert "lasso" not in before
    assert "dropout" in before

    environment.install(project)
    row = environment.listed()["lasso"]
    assert {key: row[key] for key in ("package", "version", "status", "summary")} == {
        "package": "regplug-lasso",
        "version": "0.1",
        "status": "installed",
        "summary": "Sum of the absolute values of the weights.",
    }
    done = environment.run("-c", COMPOSE)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.strip()
        == "{'dropout': ['hid:out'], 'lasso': ['hid.w']} 5.0 regplug-lasso 0.1"
    )
    assert environment.run("-m", "regplug", "doctor", "lasso").returncode == 0

    environment.pip("uninstall", "--quiet", "--yes", "regplug-lasso")
    assert environment.listed() == before
    done = environment.run("-c", "import regplug; regplug.compose(['lasso=1'])")
    assert done.returncode == 1
    assert "UnknownRegularizerError: no regularizer named 'lasso'" in done.stderr


def test_install_of_a_package_that_does_not_import_is_reported_and_harms_no_other(
    environment, tmp_path
):
    environment.install(shutil.copytree(SAMPLE, tmp_path / "project"))
    broken = shutil.copytree(SAMPLE, tmp_path / "broken")
    (broken / "regplug_lasso.py").unlink()
    text = (broken / "pyproject.toml").read_text()
    (broken / "pyproject.toml").write_text(
        text.replace("lasso", "broken").replace("Lasso", "Broken")
    )
    (broken / "regplug_broken.py").write_text(
        textwrap.dedent('''
        """A package that lacks what it needs."""
        import a_module_that_is_nowhere
        from regplug import Regularizer

        class Broken(Regularizer):
            """Never seen."""
    ''')
    )
    environment.install(broken)

    rows = environment.listed()
    assert rows["broken"]["status"] == "broken"
    assert "needs 'a_module_that_is_nowhere', which is not installed" in json.dumps(
        rows["broken"]
    )
    assert rows["lasso"]["status"] == "installed"
    done = environment.run("-m", "regplug", "doctor")
    assert done.returncode == 1
    assert "a_module_that_is_nowhere" in done.stdout + done.stderr
    assert "regplug-broken" in done.stdout + done.stderr
    done = environment.run("-m", "regplug", "show", "lasso")
    assert done.returncode == 0, done.stderr
    done = environment.run("-c", COMPOSE)
    assert done.returncode == 0, done.stderr
    assert "regplug-lasso 0.1" in done.stdout
    done = environment.run("-c", "import regplug; regplug.load('broken')")
    assert (
        "PluginLoadError: 'broken' (regplug-broken 0.1) could not be imported: ModuleNotFoundError: No module named"
        in done.stderr
    )


def bare(environment):
    """Have an environment see all but the packages here: nothing offers a regularizer."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = Path(environment.run("-c", code).stdout.strip())
    (folder / "sitecustomize.py").write_text(HIDE)


# what is not in the environment itself, and is a plugin package
HIDE = """
import importlib.metadata, sys

found = importlib.metadata.distributions


def distributions(**context):
    for each in found(**context):
        is_own = str(getattr(each, "_path", "")).startswith(sys.prefix)
        if is_own or not each.metadata["name"].startswith("regplug-"):
            yield each


importlib.metadata.distributions = distributions
"""


def test_install_advice_of_list_and_compose_is_what_pip_does_in_a_checkout(environment):
    bare(environment)
    said = environment.run("-m", "regplug", "list")
    assert said.returncode == 0, said.stderr
    in_list = commands(said.stdout)
    said = environment.run("-m", "regplug", "list", "--models")
    in_models = commands(said.stdout)
    said = environment.run("-c", "import regplug; regplug.compose(['dropout=0.5'])")
    in_compose = commands(said.stderr)

    assert in_list == [["./plugins/regplug-noise", "./plugins/regplug-weights"]]
    assert len(in_models) == 3
    assert in_compose == [["./plugins/regplug-noise"]]
    for words in [*in_list, *in_models, *in_compose]:
        environment.install(*(ROOT / word for word in words))
    assert {"dropout", "weight_l2"} <= environment.listed().keys()
    done = environment.run("-c", "import regplug; regplug.compose(['dropout=0.5'])")
    assert done.returncode == 0, done.stderr
    models = environment.run("-m", "regplug", "list", "--models").stdout
    assert all(name in models for name in ("pymc", "pytensor_ml", "theanets"))


def commands(text):
    """Return what the advice for a checkout hands to pip, command by command."""
    found = re.findall(r"checkout of regplug: \S+ -m pip install (.*?)\)", text)
    return [part.split() for part in found]
