"""``regplug list``, and what the command line leaves unimported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from regplug.cli import installed

HEAVY = ("theano", "pytensor", "numpy", "regplug_noise", "regplug_weights")


def python(*words):
    # not what readline, which pytest imports, adds to it beyond Python's sight
    env = {key: os.environ[key] for key in os.environ if key != "COLUMNS"}
    command = [sys.executable, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_list_has_a_line_for_each_regularizer_with_aliases_package_status_and_summary(
    run,
):
    result = run("list")

    assert result.exit_code == 0
    line = next(
        line for line in result.output.splitlines() if line.startswith("weight_l2")
    )
    assert line.split("  ")[0] == "weight_l2"
    for part in (
        "weight_decay",
        "regplug-weights 0.2.0",
        "installed",
        "penalty on parameters",
        "Penalize the squares of the weights.",
    ):
        assert part in line


def test_list_cuts_nothing_where_it_is_piped(run, package, source):
    name = "a_regularizer_with_a_name_that_is_longer_than_the_eighty_columns_of_an_old_terminal_are_wide"
    package("regplug-long-name", {name: "rp_long:Long"}, "rp_long", source("Long"))

    assert f"{name}  " in run("list").output


@pytest.mark.parametrize("width", [50, 80, 160])
def test_list_on_a_terminal_fits_it_and_cuts_no_name(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    installed.print_as()

    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {
        "weight_l2",
        "weight_decay",
        "recurrent_state",
        "regplug-recurrent",
        "installed",
    } <= words


@pytest.mark.parametrize("width", [40, 50, 80, 160])
def test_list_in_a_pipe_is_as_wide_as_columns_say(run, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))

    lines = run("list").output.splitlines()

    assert width - 40 < max(map(len, map(str.rstrip, lines))) <= width


def test_list_stacks_what_would_be_too_narrow_to_read(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")

    lines = list(map(str.rstrip, run("list", "hidden_l1").output.splitlines()))

    assert lines == [
        "regplug-activations 0.2.0",
        "  hidden_l1",
        "    hidden_sparsity",
        "    Kind: penalty",
        "    Status: installed",
        "    Summary: Penalize the absolute values of",
        "    activations, which makes them sparse.",
    ]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["weight_l?"], {"weight_l1", "weight_l2"}),
        (["DECAY"], {"weight_l2"}),
        (["--kind", "constrains", "soft"], {"soft_threshold", "group_soft_threshold"}),
        (["--kind", "penalty on outputs", "l?"], set()),
        (["*l2", "--kind", "penalty"], {"hidden_l2", "weight_l2"}),
    ],
)
def test_list_shows_what_a_pattern_and_a_kind_mean(run, words, names):
    assert {
        row["name"] for row in json.loads(run("list", "--json", *words).output)
    } == names
    assert set(run("list", "--names", *words).output.split()) == names


def test_list_of_nothing_says_what_is_there(run):
    result = run("list", "weight", "--kind", "drawing")
    assert result.output.startswith(
        "None has the kind 'drawing'. Kinds: changes outputs;"
    )

    result = run("list", "droput")
    assert result.exit_code == 1
    assert "Did you mean 'dropout'" in result.output

    result = run("list", "--models", "dropout")
    assert result.exit_code == 2


def test_list_ends_quietly_where_the_reader_has_had_enough():
    code = "import os, sys; r, w = os.pipe(); os.dup2(w, 1); os.close(r); os.close(w)\n"
    code += "from regplug.cli import main; sys.argv[1:] = ['list']; main()"

    result = python("-c", code)

    assert (result.returncode, result.stderr) == (1, "")


def test_list_json_has_what_the_table_has(run):
    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}

    assert rows["weight_l2"] == {
        "name": "weight_l2",
        "aliases": ["weight_decay"],
        "package": "regplug-weights",
        "version": "0.2.0",
        "kind": "penalty on parameters",
        "status": "installed",
        "summary": "Penalize the squares of the weights.",
        "conflicts": [],
    }


def test_list_names_prints_what_can_be_typed(run, package, source):
    package(
        "regplug-other", {"dropout": "rp_other:Dropout"}, "rp_other", source("Dropout")
    )

    names = run("list", "--names").output.splitlines()

    assert {
        "weight_l2",
        "noise",
        "regplug-other/dropout",
        "regplug-noise/dropout",
    } <= set(names)
    assert not {"dropout", "weight_decay"} & set(names)


def test_list_reports_what_is_broken_and_shows_the_others(run, package, source):
    package("rp-syntax", {"syntax": "rp_syntax:X"}, "rp_syntax", "class X(:\n")
    package(
        "rp-needs",
        {"needs": "rp_needs:X"},
        "rp_needs",
        source("X", "import nowhere_to_be_found"),
    )
    package("rp-nothing", {"nothing": "rp_nothing:Y"}, "rp_nothing", source("X"))
    package("rp-form", {"form": "rp_form"}, "rp_form", source("X"))
    folder = package("rp-lost", {"lost": "rp_lost:X"}, "rp_lost", source("X"))
    (folder / "rp_lost-0.1.dist-info" / "METADATA").unlink()
    (folder / "rp_lost.py").write_text(source("X"))
    info = folder / "rp_garbled-0.1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        "[console_scripts]\nno equals sign\n[regplug.regularizers]\ngarbled\n"
    )

    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}

    bad = ["syntax", "needs", "nothing", "form", "lost", "garbled"]
    assert [rows[name]["status"] for name in bad] == ["broken"] * 6
    assert "rp_syntax.py, line 1" in rows["syntax"]["summary"]
    assert (
        rows["needs"]["summary"]
        == "needs 'nowhere_to_be_found', which is not installed"
    )
    assert rows["nothing"]["summary"].endswith("rp_nothing.py has no 'Y'")
    assert (
        rows["form"]["summary"]
        == "the entry point form = 'rp_form' is not of the form module:Class"
    )
    assert rows["lost"]["summary"] == "the package's metadata has no name or version"
    assert (rows["dropout"]["status"], rows["weight_l2"]["status"]) == (
        "installed",
        "installed",
    )
    assert "regplug doctor form garbled lost needs nothing syntax" in run("list").output


def test_list_says_how_to_name_what_two_packages_offer(run, package, source):
    package("rp-orth", {"orth": "rp_orth:Orth"}, "rp_orth", source("Orth"))
    package("rp-geom", {"orth": "rp_geom:Orthogonal"}, "rp_geom", source("Orthogonal"))

    output = run("list").output

    assert output.count("conflict") == 2
    assert (
        "'orth' is offered by several packages. Write rp-geom/orth or rp-orth/orth."
        in output
    )


def test_list_without_regularizers_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr("regplug.cli.installed.available", list)

    output = run("list").output

    assert "python -m pip install regplug-noise regplug-weights" in output
    assert "python -m pip install ./plugins/regplug-noise ./plugins/" in output


@pytest.mark.parametrize(
    "words",
    [["list"], ["list", "--names"], ["list", "--json"], ["--help"], ["--version"]],
)
def test_command_imports_no_engine_no_numpy_and_no_plugin(words):
    code = (
        "import sys; from regplug.cli import main; sys.argv[1:] = " + repr(words) + "\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('imported:', sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )

    assert python("-c", code).stderr == "imported: []\n"


@pytest.mark.parametrize(
    ("words", "aside"),
    [
        (["list"], {"click", "rich", "pluggy", "docstring_parser"}),
        (
            ["list", "--names"],
            {"click", "rich", "pluggy", "packaging", "regplug.discovery.source"},
        ),
    ],
)
def test_list_leaves_aside_what_would_double_its_time(words, aside):
    code = (
        f"import sys; from regplug.cli import main; sys.argv[1:] = {words!r}; main()\n"
        f"print('imported:', sorted({aside!r} & set(sys.modules)))"
    )

    assert python("-c", code).stdout.endswith("imported: []\n")


def test_help_lists_the_commands_without_importing_them():
    code = (
        "import sys; from regplug.cli import main; sys.argv[1:] = ['--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "from regplug.cli.lazy_group import COMMANDS\n"
        "print('imported:', [name for name in COMMANDS if f'regplug.cli.{name}' in sys.modules])"
    )

    output = python("-c", code).stdout

    assert "Load each regularizer, and say what is wrong" in output
    assert output.endswith("imported: []\n")


def test_module_runs_the_command_line():
    result = python("-m", "regplug", "list", "--names")

    assert "weight_l2" in result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "")


def test_unknown_command_is_told_the_nearest_one(run):
    result = run("docter")

    assert result.exit_code == 2
    assert "No such command 'docter'. Did you mean 'doctor'?" in result.output


def test_list_in_two_forms_is_refused(run):
    result = run("list", "--models", "--json")

    assert result.exit_code == 2
    assert "exclude each other" in result.output
