"""The author's whole way, with real pip in a fresh virtual environment; it begins with the commands of the guide."""

import re
import shlex
from pathlib import Path

GUIDE = (Path(__file__).parents[2] / "plugins" / "README.md").read_text("utf-8")

TRAIN = """
import numpy as np
import regplug
from regplug.testing import function, installed_engine

engine = installed_engine()
x = engine.T.matrix("x", dtype="float64")
w = engine.shared(np.array([[1.0, -2.0], [3.0, -4.0]]), name="hid.w")
manager = regplug.compose(["dropout=0.5@hid:out", "soft_l1=0.1@*.w"], seed=1)
result = manager.apply({"in:out": x, "hid:out": engine.T.dot(x, w)})
cost = (result.outputs["hid:out"] ** 2).mean() + result.loss
step = function([x], [cost, *result.terms.values()], updates={w: w - 0.01 * engine.grad(cost, w), **result.updates})
value = np.arange(6.0).reshape(3, 2)
expected = 0.1 * np.sum(np.sqrt(1 + w.get_value() ** 2) - 1)
first = step(value)
assert abs(first[1] - expected) < 1e-12
costs = [float(first[0])] + [float(step(value)[0]) for _ in range(20)]
assert min(costs[-5:]) < costs[0]
print(manager.members[1].provenance)
"""


def follow(environment, folder, text):
    """Run the first commands of a text in Markdown; return what each said, by command."""
    said = {}
    for line in (
        re.search(r"```console\n(.*?)```", text, re.DOTALL).group(1).splitlines()
    ):
        program, *words = shlex.split(line)
        if program == "cd":
            folder /= words[0]
        elif line == "python -m pip install -e '.[test]'":
            environment.install("-e", folder)  # what it depends on is there
        else:
            done = environment.run_in(
                folder, *(words if program == "python" else ["-m", program, *words])
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            said[line] = done.stdout
    return said


def test_author_goes_from_nothing_to_an_uninstalled_package(environment, tmp_path):
    def regplug(*words, code=0, **env):
        done = environment.run_in(tmp_path, "-m", "regplug", *words, **env)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    # new, install, list, show, its own tests, check
    assert "soft_l1" not in environment.listed()
    said = follow(environment, tmp_path, GUIDE)
    assert "soft_l1" in said["regplug list --names"].split()
    assert re.search(r"\d+ passed, \d skipped", said["python -m pytest"])
    assert " 0 failed" in said["regplug check soft_l1"].splitlines()[-1]
    project = tmp_path / "regplug-soft-l1"
    row = environment.listed()["soft_l1"]
    assert (row["package"], row["version"], row["status"]) == (
        "regplug-soft-l1",
        "0.1.0",
        "installed",
    )
    assert row["summary"].startswith("Penalize large weights")

    # compose and train a step
    done = environment.run("-c", TRAIN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "regplug-soft-l1 0.1.0"

    # block
    assert "blocked" in regplug("list", "-p", "no:soft_l1")
    assert "blocked by 'regplug-soft-l1'" in regplug(
        "show", "soft_l1", code=1, REGPLUG_BLOCK="regplug-soft-l1"
    )

    # upgrade to a version that offers another package's name
    text = (project / "pyproject.toml").read_text()
    name = 'soft_l1 = "regplug_soft_l1:SoftL1"\n'
    conflicting = text.replace(name, name + name.replace("soft_l1 ", "dropout "))
    (project / "pyproject.toml").write_text(
        conflicting.replace('version = "0.1.0"', 'version = "0.2.0"')
    )
    environment.install("--upgrade", project)
    rows = environment.listed()
    assert (rows["soft_l1"]["version"], rows["soft_l1"]["status"]) == (
        "0.2.0",
        "conflict",
    )
    assert rows["dropout"]["status"] == "conflict"
    assert "Write 'regplug-noise/dropout' or 'regplug-soft-l1/dropout'" in regplug(
        "show", "dropout", code=1
    )
    regplug("show", "soft_l1")
    regplug("show", "regplug-noise/dropout")
    regplug("show", "dropout", "-p", "no:regplug-soft-l1")

    # upgrade to a version that needs a newer regplug
    (project / "pyproject.toml").write_text(
        text.replace('"0.1.0"', '"0.3.0"').replace("regplug>=0.2", "regplug>=99")
    )
    environment.install("--upgrade", project)
    rows = environment.listed()
    assert (rows["soft_l1"]["version"], rows["soft_l1"]["status"]) == (
        "0.3.0",
        "incompatible",
    )
    assert rows["dropout"]["status"] == "installed"
    assert "it needs regplug>=99" in regplug("show", "soft_l1", code=1)

    # uninstall
    environment.pip("uninstall", "--quiet", "--yes", "regplug-soft-l1")
    assert "soft_l1" not in environment.listed()
    assert "no regularizer named 'soft_l1'" in regplug("show", "soft_l1", code=1)


def test_package_that_modifies_outputs_passes_its_own_tests(environment, tmp_path):
    done = environment.run_in(
        tmp_path, "-m", "regplug", "new", "a_b", "--target", "outputs"
    )
    assert done.returncode == 0, done.stderr
    project = tmp_path / "regplug-a-b"
    environment.install(project)
    done = environment.run_in(project, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    done = environment.run_in(project, "-m", "regplug", "check", "regplug-a-b")
    assert done.returncode == 0, done.stdout
