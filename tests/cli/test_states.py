"""The states of what is installed: blocked, incompatible, conflict; packages made of folders alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import regplug
from regplug.discovery import entry as entries

SOURCE = '''
from regplug import Regularizer, hookimpl

class {name}(Regularizer):
    """Sum of the absolute values."""
    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum(abs(w).sum() for w in matched.values())
'''


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a function that puts a package with one regularizer on the path: folder, metadata, entry points."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(entries, "_blocked", {})
    monkeypatch.delenv("REGPLUG_BLOCK", raising=False)
    before = set(sys.modules)

    def add(package, names, requires=(), version="0.1"):
        module = package.replace("-", "_")
        cls = names.split()[0].title()
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {package}", f"Version: {version}"]
        body = [
            *(f"Requires-Dist: {each}" for each in requires),
            "",
            "Requires-Dist: regplug>=99",
            "",
        ]
        (info / "METADATA").write_text("\n".join(head + body))
        points = [f"{name} = {module}:{cls}" for name in names.split()]
        (info / "entry_points.txt").write_text(
            "\n".join(["[regplug.regularizers]", *points, ""])
        )
        (tmp_path / f"{module}.py").write_text(SOURCE.format(name=cls))
        return tmp_path

    yield add
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def statuses(package):
    return {
        entry.name: entry.status
        for entry in regplug.available()
        if entry.package == package
    }


@pytest.mark.parametrize(
    "requirement",
    [
        "regplug>=99",
        "regplug (>=99)",
        "RegPlug<0.0.1",
        "regplug[demo]==7; python_version>'3'",
    ],
)
def test_requirement_that_this_regplug_does_not_meet_is_incompatible(
    site, run, requirement
):
    site("rp-newer", "newer", ["numpy", requirement])

    assert statuses("rp-newer") == {"newer": "incompatible"}
    with pytest.raises(regplug.PluginLoadError) as raised:
        regplug.load("newer")
    text = f"'newer' (rp-newer 0.1) is refused: it needs {requirement}, and regplug {regplug.__version__} is installed."
    assert str(raised.value).startswith(text)
    assert "rp_newer" not in sys.modules
    assert (
        "python -m pip install --upgrade regplug rp-newer"
        in run("doctor", "newer").output
    )


@pytest.mark.parametrize(
    "requirement",
    [
        "regplug>=0.1",
        "regplug",
        "regplug-noise>=99",
        "regplug.extra>=99",
        "regplug>=99; python_version<'3'",
        "regplug>=99; extra == 'new'",
    ],
)
def test_requirement_that_this_regplug_meets_is_installed(site, requirement):
    site("rp-fits", "fits", [requirement])

    assert statuses("rp-fits") == {"fits": "installed"}
    assert regplug.load("fits").__name__ == "Fits"


def test_development_version_of_regplug_meets_a_requirement(site, monkeypatch):
    monkeypatch.setattr(entries, "__version__", "2.0.dev1")
    site("rp-fits", "fits", ["regplug>=1,<3"])

    assert statuses("rp-fits") == {"fits": "installed"}


def test_requirement_that_cannot_be_read_is_incompatible(site):
    site("rp-odd", "odd", ["regplug >> 1"])

    assert statuses("rp-odd") == {"odd": "incompatible"}


@pytest.mark.parametrize(
    "word", ["thing", "other_name", "rp-things", "RP_things", "rp-things/thing"]
)
def test_block_keeps_out_by_name_alias_and_package_before_any_import(site, word):
    site("rp-things", "thing other_name")

    regplug.block(word)

    assert statuses("rp-things") == {"thing": "blocked"}
    for name in ("thing", "other_name", "rp-things/thing"):
        with pytest.raises(regplug.PluginLoadError) as raised:
            regplug.compose([(name, 0.1)])
        where = "in regplug.block, -p no:NAME or REGPLUG_BLOCK"
        assert (
            f"'thing' (rp-things 0.1) is refused: blocked by {word!r} ({where})."
            in str(raised.value)
        )
    assert "rp_things" not in sys.modules


def test_block_of_one_package_leaves_the_other_ones(site):
    site("rp-things", "thing")

    regplug.block("rp-thing", "rp-things-2", "other/thing")

    assert statuses("rp-things") == {"thing": "installed"}


def test_environment_blocks_too(site, monkeypatch):
    site("rp-one", "one")
    site("rp-two", "two")
    site("rp-three", "three")
    monkeypatch.setenv("REGPLUG_BLOCK", "one, rp-two,")

    assert statuses("rp-one") | statuses("rp-two") | statuses("rp-three") == {
        "one": "blocked",
        "two": "blocked",
        "three": "installed",
    }


def test_short_name_works_again_where_the_rival_is_blocked(site):
    site("rp-left", "same")
    site("rp-right", "same")
    assert statuses("rp-left") == statuses("rp-right") == {"same": "conflict"}
    with pytest.raises(
        regplug.NameConflictError, match="Write 'rp-left/same' or 'rp-right/same'"
    ):
        regplug.load("same")
    assert regplug.load("rp-right/same").__module__ == "rp_right"

    regplug.block("rp-right")

    assert regplug.load("same").__module__ == "rp_left"
    assert (statuses("rp-left"), statuses("rp-right")) == (
        {"same": "installed"},
        {"same": "blocked"},
    )


@pytest.mark.parametrize("words", [("same",), ("rp-left", "rp-right")])
def test_short_name_of_two_that_are_both_blocked_says_so(site, words):
    site("rp-left", "same")
    site("rp-right", "same")

    regplug.block(*words)

    assert statuses("rp-left") == statuses("rp-right") == {"same": "blocked"}
    with pytest.raises(
        regplug.PluginLoadError, match=r"^'same' \(rp-\w+ 0.1\) is refused: blocked by"
    ):
        regplug.load("same")
    with pytest.raises(
        regplug.PluginLoadError,
        match=r"^'same' \(rp-right 0.1\) is refused: blocked by",
    ):
        regplug.load("rp-right/same")


@pytest.mark.parametrize(
    "words",
    [["list", "--json", "-p", "no:thing"], ["-p", "no:rp-things", "list", "--json"]],
)
def test_option_blocks_on_the_group_and_on_each_command(site, run, words):
    site("rp-things", "thing")

    rows = {row["name"]: row["status"] for row in json.loads(run(*words).output)}

    assert (rows["thing"], rows["dropout"]) == ("blocked", "installed")


@pytest.mark.parametrize("command", ["list", "show", "doctor", "plan"])
def test_every_command_has_the_option(run, command):
    assert "-p no:NAME" in run(command, "--help").output


def test_option_that_blocks_nothing_by_its_form_is_refused(run):
    result = run("list", "-p", "dropout")

    assert result.exit_code == 2
    assert "'dropout' is not of the form no:NAME." in result.output


def test_show_of_what_is_blocked_says_so(site, run):
    site("rp-things", "thing")

    result = run("show", "thing", "-p", "no:thing")

    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: 'thing' (rp-things 0.1) is refused: blocked by 'thing' ("
    )


def test_names_leave_out_what_is_blocked(site, run):
    site("rp-things", "thing")

    assert "thing" in run("list", "--names").output.splitlines()
    assert (
        "thing" not in run("list", "--names", "-p", "no:rp-things").output.splitlines()
    )


def test_doctor_leaves_alone_what_is_blocked(site, run):
    folder = site("rp-things", "thing")
    (folder / "rp_things.py").write_text("raise SystemError")

    result = run("doctor", "rp-things", "dropout", "-p", "no:thing")

    assert result.exit_code == 0
    assert "1 of 2 right." in result.output
    assert (
        next(
            line.split()[-1]
            for line in result.output.splitlines()
            if line.startswith("thing")
        )
        == "blocked"
    )


def test_available_sees_what_was_installed_a_moment_ago(site):
    assert statuses("rp-late") == {}

    site("rp-late", "late")

    assert statuses("rp-late") == {"late": "installed"}
    assert regplug.load("late").__name__ == "Late"


def test_package_earlier_on_the_path_hides_one_of_the_same_name(
    site, tmp_path, monkeypatch
):
    site("rp-twice", "twice", version="2.0")
    later = tmp_path / "later"
    later.mkdir()
    info = later / "rp_twice-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: rp-twice\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[regplug.regularizers]\ntwice = rp_twice:Twice\nolder = rp_twice:Older\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(later)])

    assert [
        (e.name, e.version) for e in regplug.available() if e.package == "rp-twice"
    ] == [("twice", "2.0")]


def test_composing_two_regularizers_imports_two_plugin_modules(site, tmp_path):
    for name in ("one", "two", "three", "four"):
        site(f"rp-{name}", name)
    code = (
        "import sys, regplug\n"
        "regplug.compose([('one', 0.1), ('three', 0.1)])\n"
        "print(sorted(name for name in sys.modules if name.startswith(('rp_', 'regplug_'))))"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )

    assert result.stdout == "['rp_one', 'rp_three']\n"


def test_report_is_json_with_versions_packages_and_faults(site, run, engine):
    folder = site("rp-bad", "bad")
    (folder / "rp_bad.py").write_text("print('noise')\n1 / 0\n")

    result = run("doctor", "--report", "bad", "dropout")

    report = json.loads(result.output)
    assert result.exit_code == 1
    assert report["regplug"] == regplug.__version__
    assert report["python"].startswith(
        f"{sys.version_info.major}.{sys.version_info.minor}."
    )
    assert list(report["engines"]) == [engine.T.__name__.partition(".")[0]]
    assert {"numpy", "pluggy"} <= set(report["libraries"])
    assert report["packages"] == {"rp-bad": "0.1", "regplug-noise": "0.2.0"}
    assert set(report["adapters"]) == {
        "regplug-pymc",
        "regplug-pytensor-ml",
        "regplug-theanets",
    }
    bad, dropout = report["regularizers"]
    assert (bad["name"], bad["object"], bad["state"]) == ("bad", "rp_bad:Bad", "wrong")
    assert "division by zero" in bad["faults"][0]
    assert "'noise'" in bad["faults"][1]
    assert (dropout["state"], dropout["faults"]) == ("ok", [])


def test_block_of_what_is_no_name_is_refused_and_blocks_nothing():
    with pytest.raises(regplug.CompositionError, match="^3 is no name"):
        regplug.block("dropout", 3)
    assert not any(entry.blocked for entry in regplug.available())
