"""The kit's interface: reports, expected failures, tests of pytest, the command, and the isolated registry."""

import json

import pytest
from click.testing import CliRunner

import regplug
from regplug import Regularizer, hookimpl
from regplug.cli.check import command
from regplug.discovery import registry
from regplug.testing import check_regularizer, parametrize_with_checks
from regplug.testing.check import CHECKS, CheckFailure
from regplug.testing.conformance import Outcome, Report
from regplug.testing.fixtures import isolated_registry  # noqa: F401
from regplug.testing.subject import Subject
from regplug.testing.values import values


class Undocumented(Regularizer):
    """Sum of the squares."""

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum((w**2).sum() for w in matched.values())


class Refused(Regularizer):
    """Implements nothing."""


def outcome(status):
    return Outcome(
        f"a check that {status}", status, "seen", "a reason", "a remedy", 0.0
    )


def test_report_counts_and_explains():
    statuses = [
        "passed",
        "passed",
        "failed",
        "unexpected pass",
        "expected failure",
        "skipped",
        "skipped",
    ]
    report = Report("Thing", map(outcome, statuses))
    assert not report.ok
    assert report.summary_line == (
        "Thing: 7 checks, 5 ran: 2 passed, 1 failed, 1 passed unexpectedly, 1 failed as expected; 2 skipped."
    )
    assert str(report).splitlines()[:3] == [
        "failed: a check that failed: seen",
        "    why: a reason",
        "    what to do: a remedy",
    ]
    assert str(report).endswith(report.summary_line)


def test_report_closes_with_every_count_but_that_of_a_rare_surprise():
    closing = Report("Thing", [outcome("passed")] * 2).summary_line
    assert (
        closing
        == "Thing: 2 checks, 2 ran: 2 passed, 0 failed, 0 failed as expected; 0 skipped."
    )


@pytest.mark.parametrize(
    ("status", "ok"),
    [("expected failure", True), ("skipped", True), ("unexpected pass", False)],
)
def test_report_is_ok_unless_a_result_is_unexpected(status, ok):
    assert Report("Thing", [outcome(status)]).ok is ok


def test_class_that_is_refused_is_not_checked_further():
    report = check_regularizer(Refused)
    assert [o.check for o in report if o.status == "failed"] == ["class_is_accepted"]
    assert {o.message for o in report if o.status == "skipped"} == {
        "not possible: see class_is_accepted"
    }


def test_expected_failures_must_name_checks():
    with pytest.raises(
        regplug.OptionError,
        match=r"no check named 'batch_of_on'\. Did you mean 'batch_of_one'\?",
    ):
        check_regularizer(Undocumented, expected_failures={"batch_of_on": "because"})


def test_expected_failure_keeps_its_reason_and_unexpected_pass_fails():
    expected = {
        "docstring_formula": "to be written",
        "docstring_reference": "mine",
        "docstring_summary": "none yet",
    }
    report = check_regularizer(Undocumented, expected_failures=expected)
    found = {o.check: (o.status, o.message) for o in report if o.check in expected}
    formula = "to be written (the docstring has no section Notes with a formula)"
    assert found["docstring_formula"] == ("expected failure", formula)
    assert found["docstring_summary"] == ("unexpected pass", "none yet")
    assert [o.check for o in report if o.is_wrong] == ["docstring_summary"]


def test_parametrize_makes_a_test_of_each_check():
    expected = {Undocumented: {"docstring_formula": "to be written"}}
    parameters = parametrize_with_checks(
        [Undocumented], expected_failures=expected
    ).args[1]
    assert [each.id for each in parameters] == [
        f"Undocumented-{name}" for name in CHECKS
    ]
    marked = {each.id: each.marks[0] for each in parameters if each.marks}
    assert list(marked) == ["Undocumented-docstring_formula"]
    assert marked["Undocumented-docstring_formula"].kwargs == {
        "reason": "to be written",
        "raises": CheckFailure,
        "strict": True,
    }
    tests = {each.id.partition("-")[2]: each.values[1] for each in parameters}
    tests["docstring_summary"](Undocumented)
    with pytest.raises(
        CheckFailure, match=r"(?s)no section Notes.*why: .*what to do: "
    ):
        tests["docstring_formula"](Undocumented)
    with pytest.raises(pytest.skip.Exception, match="it draws no noise"):
        tests["labels_differ"](Undocumented)


def test_subject_takes_the_models_that_an_instance_names():
    conv = regplug.load("dropout")(pattern="conv:out", weight=0.1)
    assert [case.kind.__name__ for case in Subject(conv).cases] == ["feature_map"]


def test_values_come_from_types_and_ranges():
    options = regplug.authoring.options.options_of(regplug.load("dropout"))
    assert values(options["weight"]) == [0.3, 0.0, 0.999]
    assert values(options["rescale"]) == [True, False]
    assert values(options["shared_axes"]) == [(1,), ()]
    assert values(options["name"]) == ["*", None]


def test_command_checks_a_class_of_a_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "rp_thing.py").write_text(
        "from regplug import Regularizer, hookimpl\n"
        "class Thing(Regularizer):\n"
        "    @hookimpl\n"
        "    def loss(self, matched):\n"
        "        raise KeyError('wheels')\n"
    )
    found = CliRunner().invoke(command, ["rp_thing:Thing"])
    assert found.exit_code == 1
    assert "rp_thing:Thing: " in found.output.splitlines()[-1]
    assert "raised KeyError: 'wheels'" in found.output
    assert "What to do: add a section Notes" in found.output


def test_command_checks_all_of_a_package(isolated_registry):  # noqa: F811
    isolated_registry.add(Undocumented, package="regplug-two", version="2.0")
    isolated_registry.add(Refused, package="regplug-two", version="2.0")
    found = CliRunner().invoke(command, ["regplug_two", "--json"])
    assert found.exit_code == 1
    reports = {each["regularizer"]: each for each in json.loads(found.output)}
    assert list(reports) == [
        "refused (regplug-two 2.0)",
        "undocumented (regplug-two 2.0)",
    ]
    assert (
        "is refused: " in reports["refused (regplug-two 2.0)"]["checks"][0]["message"]
    )
    checks = reports["undocumented (regplug-two 2.0)"]["checks"]
    failed = [each["check"] for each in checks if each["status"] == "failed"]
    assert failed == ["docstring_formula", "docstring_reference"]


def test_command_refuses_what_there_is_not(isolated_registry):  # noqa: F811
    isolated_registry.add(Undocumented)
    found = CliRunner().invoke(command, ["undocumente"])
    assert isinstance(found.exception, regplug.UnknownRegularizerError)
    found = CliRunner().invoke(command, ["no_such_module:Thing"])
    assert str(found.exception).startswith(
        "'no_such_module:Thing' could not be imported: ModuleNotFoundError"
    )


def test_isolated_registry_sees_only_what_is_added(isolated_registry):  # noqa: F811
    assert regplug.available() == []

    class Local(Undocumented):
        """A class of this test."""

    entry = isolated_registry.add(Local, package="regplug-mine", version="3.1")
    assert str(entry) == "local (regplug-mine 3.1)"
    assert (entry.status, entry.conflicts) == ("installed", ())
    assert [each.name for each in regplug.available()] == ["local"]
    assert regplug.load("regplug-mine/local") is Local
    manager = regplug.compose({"local": 0.5})
    assert manager.members[0].provenance == "regplug-mine 3.1"


def test_isolated_registry_has_conflicts_and_aliases(isolated_registry):  # noqa: F811
    isolated_registry.add(Undocumented, "penalty", package="a")
    isolated_registry.add(Refused, "penalty", package="b")
    with pytest.raises(
        regplug.NameConflictError, match="Write 'a/penalty' or 'b/penalty'"
    ):
        regplug.load("penalty")
    assert regplug.load("a/penalty") is Undocumented


def test_isolated_registry_is_gone_afterwards():
    before = [entry.name for entry in registry.available()]
    with regplug.testing.isolation.isolated() as found:
        module = found.add(Undocumented).value.partition(":")[0]
        regplug.load("undocumented")
    assert [entry.name for entry in registry.available()] == before
    assert registry.origin(Undocumented) is None
    assert module not in regplug.testing.isolation.sys.modules
