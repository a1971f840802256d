"""The author's guide: its code runs, and its tables are the truth."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import regplug
from regplug.authoring import hookspecs
from regplug.authoring.regularizer import HOOKS
from regplug.testing import samples
from regplug.testing.check import CHECKS
from regplug.testing.conformance import check_regularizer  # noqa: F401  fills CHECKS

GUIDE = (Path(__file__).parents[2] / "plugins" / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def rows(heading):
    table = GUIDE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in table.splitlines()[2:]
    ]


def test_guide_code_runs(tmp_path):
    module, *others = blocks("python")
    assert module.startswith("# regplug_elastic.py\n")
    (tmp_path / "regplug_elastic.py").write_text(module, "utf-8")
    (tmp_path / "test_guide_code.py").write_text("\n".join(others), "utf-8")
    flags = "mode=Mode,linker=py,optimizer=None,cxx="  # nothing is compiled: quick
    options = ["-q", "-rN", "-p", "no:cacheprovider", "-W", "ignore", "-s"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_guide_code.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTENSOR_FLAGS": flags, "THEANO_FLAGS": flags},
    )
    assert done.returncode == 0, done.stdout
    assert "elastic_net(l1_ratio=0.9)=0.0001@hid.w" in done.stdout
    assert (
        "'elastic_net': ['hid.w'], 'input_gradient': ['hid:out'], 'box': ['hid.w']"
        in done.stdout
    )
    assert "[regplug.step, regplug.state:drift/hid.w]" in done.stdout
    assert (
        "loss): raised ValueError: 'hid:out' has 2 dimensions, not (batch, time, units)"
        in done.stdout
    )


def test_guide_table_of_hooks_is_that_of_the_hookspecs():
    table = rows("hook | argument | since")
    assert [(hook.strip("`"), argument.strip("`")) for hook, argument, _ in table] == [
        (hook, argument) for hook, arguments in HOOKS.items() for argument in arguments
    ]
    assert all(re.fullmatch(r"\d+\.\d+", since) for *_, since in table)


def test_guide_signatures_are_those_of_the_hookspecs():
    found = re.findall(r"^### `(\w+)(\(.*\))`$", GUIDE, re.MULTILINE)
    assert found == [
        (hook, str(inspect.signature(getattr(hookspecs, hook)))) for hook in HOOKS
    ]


def test_guide_table_of_checks_is_that_of_the_kit():
    table = {name.strip("`"): reason for name, reason in rows("check | what it is for")}
    assert table == {name: check.reason for name, check in CHECKS.items()}


@pytest.mark.parametrize("kind", samples.KINDS)
def test_guide_table_of_models_is_that_of_the_kit(kind, engine):
    sample = kind(engine, "float64")
    _, outputs, params = next(
        row for row in rows("model | outputs | parameters") if row[0] == kind.__name__
    )
    if kind is samples.cost:
        assert outputs == "those of layers, and **`cost:out`**, a scalar"
    else:
        assert re.findall(r"`(\S+:\w+)`", outputs) == list(sample.outputs)
        assert re.findall(r"`(\S+\.\w+)`", params) == list(sample.params)
    assert re.findall(r"\*\*`(.*?)`\*\*", outputs) == [sample.focus["outputs"]]


def test_guide_noise_calls_are_those_of_noise():
    for call in (row[0].strip("`") for row in rows("call | gives")):
        name, arguments = re.fullmatch(r"noise\.(\w+)\((.*)\)", call).groups()
        parameters = list(
            inspect.signature(getattr(regplug.composition.noise.Noise, name)).parameters
        )[1:]
        wanted = [argument.partition("=")[0] for argument in arguments.split(", ")]
        assert wanted == (["name"] if name == "at" else parameters)


def test_guide_links_lead_somewhere():
    anchors = {
        re.sub(r"[^\w\s-]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", GUIDE, re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]+)\)", GUIDE)
    assert links
    assert set(links) <= anchors
