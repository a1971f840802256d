"""``regplug doctor``."""

from __future__ import annotations

import time

import pytest

from regplug.cli import doctor


def about(output, name):
    """Return what doctor says of one regularizer below its table."""
    return output.partition(f"\n{name} (")[2].partition("\n\n")[0]


def test_doctor_exits_with_0_where_all_is_right(run):
    result = run("doctor", "dropout", "weight_l2")

    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()]
    assert ["dropout", "regplug-noise", "0.2.0"] in [row[:3] for row in rows]
    assert [row[-1] for row in rows if row[:1] in (["dropout"], ["weight_l2"])] == [
        "ok",
        "ok",
    ]
    assert "2 of 2 right." in result.output


def test_doctor_names_the_versions_that_are_at_work(run, engine):
    name = engine.T.__name__.partition(".")[0]

    first = run("doctor", "dropout").output.splitlines()[0]

    assert first.startswith("regplug 0.2.0  Python 3.")
    assert f"engine {name} " in first


@pytest.mark.parametrize(
    ("first", "fault", "remedy"),
    [
        (
            "import nowhere_found",
            "No module named 'nowhere_found'. (",
            "python -m pip install nowhere_found",
        ),
        ("import sys; sys.exit(3)", "SystemExit: 3. (", "report it to its authors"),
        ("1 / 0", "division by zero. (", "python -m pip install --upgrade rp-bad"),
        (
            "x = (",
            "'(' was never closed (rp_bad.py, line 1).",
            "report it to its authors",
        ),
        (
            "print('hello', 'world')",
            "it prints when it is imported: 'hello world'.",
            "authors of rp-bad",
        ),
    ],
)
def test_doctor_names_what_is_wrong_and_what_to_do(
    run, package, source, first, fault, remedy
):
    folder = package("rp-bad", {"bad": "rp_bad:Bad"}, "rp_bad", source("Bad", first))

    result = run("doctor", "bad", "dropout")

    assert result.exit_code == 1
    said = about(result.output, "bad")
    assert fault in said
    assert remedy in said.partition("What to do: ")[2]
    if "(" in fault[-2:]:
        assert f"{folder / 'rp_bad.py'}, line 1)" in said
    assert "1 of 2 right." in result.output


def test_doctor_names_a_class_that_breaks_the_rules(run, package, source):
    package(
        "rp-bad",
        {"bad": "rp_bad:Bad"},
        "rp_bad",
        source("Bad").replace("matched)", "matches)", 1),
    )

    said = about(run("doctor", "bad").output, "bad")

    assert (
        "is refused: rp_bad:Bad hook 'loss' has no argument 'matches'; it has: regularizer, "
        in said
    )
    assert "Other regularizers" not in said


def test_doctor_names_an_entry_point_to_nothing(run, package, source):
    package(
        "rp-bad",
        {"bad": "rp_bad:Worse", "lost": "rp_not_there:X"},
        "rp_bad",
        source("Bad"),
    )

    output = run("doctor", "bad", "lost").output

    assert "module 'rp_bad' has no attribute 'Worse'." in about(output, "bad")
    assert "No module named 'rp_not_there'." in about(output, "lost")
    assert "python -m pip install --force-reinstall rp-bad" in about(output, "lost")


def test_doctor_names_a_conflict_and_the_way_out(run, package, source):
    package("rp-other", {"dropout": "rp_other:Dropout"}, "rp_other", source("Dropout"))

    result = run("doctor", "dropout")

    assert result.exit_code == 1
    assert "0 of 2 right." in result.output
    assert (
        "regplug-noise (regplug_noise:Dropout) offers something else under the same name."
        in result.output
    )
    assert "write rp-other/dropout, or uninstall one of the packages" in result.output


def test_doctor_names_a_slow_import_with_its_time(run, package, source, monkeypatch):
    monkeypatch.setattr(doctor, "SLOW", 0.05)
    package(
        "rp-slow",
        {"slow": "rp_slow:Slow"},
        "rp_slow",
        source("Slow", "import time; time.sleep(0.15)"),
    )

    result = run("doctor", "slow")

    assert result.exit_code == 1
    assert "importing it took 0." in about(result.output, "slow")
    assert "inside the hooks" in about(result.output, "slow")


@pytest.mark.skipif(
    not hasattr(doctor.signal, "setitimer"), reason="the system has no alarm"
)
def test_doctor_interrupts_an_import_that_hangs_and_goes_on(
    run, package, source, monkeypatch
):
    monkeypatch.setattr(doctor, "LIMIT", 0.1)
    package(
        "rp-hang",
        {"a_hang": "rp_hang:Hang"},
        "rp_hang",
        source("Hang", "import time; time.sleep(60)"),
    )
    start = time.monotonic()

    result = run("doctor", "a_hang", "dropout")

    assert time.monotonic() - start < 50
    assert "importing it was interrupted after 0.1 s." in about(result.output, "a_hang")
    assert "1 of 2 right." in result.output


def test_doctor_takes_a_warning_at_import_for_no_print(run, package, source):
    first = "import warnings; warnings.warn('old', UserWarning)"
    package("rp-warns", {"warns": "rp_warns:Warns"}, "rp_warns", source("Warns", first))

    assert run("doctor", "warns").exit_code == 0


def test_doctor_on_a_terminal_takes_nothing_of_its_own_for_a_print(
    run, package, source, monkeypatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    first = "import time; time.sleep(0.3)"
    package("rp-slow", {"slow": "rp_slow:Slow"}, "rp_slow", source("Slow", first))

    result = run("doctor", "slow")

    assert result.exit_code == 0
    assert "it prints" not in result.output


def test_doctor_shows_a_deprecated_argument_and_exits_with_0(run, monkeypatch):
    monkeypatch.setattr(
        doctor,
        "deprecated_arguments",
        lambda cls: ["hook 'loss', argument 'layers': use outputs"],
    )

    result = run("doctor", "dropout")

    assert result.exit_code == 0
    assert "hook 'loss', argument 'layers': use outputs." in about(
        result.output, "dropout"
    )
    assert "deprecated" in result.output


def test_doctor_takes_the_name_of_a_package(run, package, source):
    points = {"one": "rp_pair:One", "two": "rp_pair:Two"}
    package("rp-pair", points, "rp_pair", source("One") + source("Two"))

    assert "2 of 2 right." in run("doctor", "rp-pair").output


def test_doctor_takes_a_regularizer_and_its_package_for_one(run):
    assert "10 of 10 right." in run("doctor", "dropout", "regplug-noise").output


def test_doctor_of_an_unknown_name_is_an_error(run):
    result = run("doctor", "droput")

    assert result.exit_code == 1
    assert "no regularizer named 'droput'. Did you mean 'dropout'" in result.output


def test_doctor_says_that_no_engine_is_installed(run, monkeypatch):
    monkeypatch.setattr("regplug.engine.ENGINES", ("no_such_engine",))

    result = run("doctor", "dropout")

    assert result.exit_code == 1
    assert "No engine is installed: python -m pip install " in result.output


def test_doctor_takes_the_name_of_a_package_in_every_spelling(run):
    assert "10 of 10 right." in run("doctor", "Regplug_noise").output
