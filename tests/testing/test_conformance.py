"""The kit's interface: reports, expected failures, tests, the command, a registry."""

import json
import sys

import pytest
from click.testing import CliRunner

import regplug
from regplug import Regularizer, hookimpl
from regplug.cli.check import command
from regplug.discovery import registry
from regplug.testing import check_regularizer, parametrize_with_checks
from regplug.testing.check import CHECKS, CheckFailure
from regplug.testing.conformance import Outcome, Report
from regplug.testing.isolation import isolated
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
    return Outcome(f"one that {status}", status, "seen", "a reason", "a remedy", 0.0)


def report_of(*statuses):
    return Report("Thing", map(outcome, statuses))


def test_report_counts_and_explains():
    skips = ["skipped", "skipped"]
    passes = ["passed", "passed", "unexpected pass"]
    report = report_of("failed", *passes, "expected failure", *skips)
    assert not report.ok
    assert report.summary_line == (
        "Thing: 7 checks, 5 ran: 2 passed, 1 failed, 1 passed unexpectedly, "
        "1 failed as expected; 2 skipped."
    )
    first, why, remedy, *_, last = str(report).splitlines()
    assert first == "failed: one that failed: seen"
    assert "a reason" in why
    assert "a remedy" in remedy
    assert last == report.summary_line


class FailsAlike(Undocumented):
    __doc__ = Undocumented.__doc__

    @hookimpl
    def loss(self, matched):
        if "hid1.w" not in matched:
            raise RuntimeError("no hid1.w")
        return sum((w**2).sum() for w in matched.values())


def test_report_says_once_what_is_wrong_in_many_checks():
    report = {each.check: each for each in check_regularizer(FailsAlike)}

    said = [each for each in report.values() if "no hid1.w" in each.message]
    assert [each.check for each in said] == ["works_on_each_engine"]
    alike = [each for each in report.values() if "fails as" in each.message]
    assert {each.status for each in alike} <= {"skipped"}


def test_report_leaves_out_the_count_of_a_rare_surprise():
    report = report_of("passed", "passed")
    assert "2 ran: 2 passed, 0 failed, 0 failed as expected;" in report.summary_line


@pytest.mark.parametrize(
    ("status", "ok"),
    [("expected failure", True), ("skipped", True), ("unexpected pass", False)],
)
def test_report_is_ok_unless_a_result_is_unexpected(status, ok):
    assert report_of(status).ok is ok


def test_class_that_is_refused_is_not_checked_further():
    failed, *others = check_regularizer(Refused)
    assert (failed.check, failed.status) == ("class_is_accepted", "failed")
    assert {o.status for o in others} == {"skipped"}
    assert all("see class_is_accepted" in o.message for o in others)


def test_expected_failures_must_name_checks():
    with pytest.raises(regplug.OptionError, match="'batch_of_on'.*'batch_of_one'"):
        check_regularizer(Undocumented, expected_failures={"batch_of_on": "because"})


def test_expected_failure_keeps_its_reason_and_unexpected_pass_fails():
    expected = {
        "docstring_formula": "to be written",
        "docstring_reference": "mine",
        "docstring_summary": "none yet",
    }
    report = check_regularizer(Undocumented, expected_failures=expected)
    found = {o.check: o for o in report}
    formula, summary = found["docstring_formula"], found["docstring_summary"]
    assert formula.status == "expected failure"
    assert formula.message.startswith("to be written (the docstring has no ")
    assert (summary.status, summary.message) == ("unexpected pass", "none yet")
    assert [o.check for o in report if o.is_wrong] == ["docstring_summary"]


def test_parametrize_makes_a_test_of_each_check():
    expected = {Undocumented: {"docstring_formula": "to be written"}}
    mark = parametrize_with_checks([Undocumented], expected_failures=expected)
    parameters = {each.id: each for each in mark.args[1]}
    assert list(parameters) == [f"Undocumented-{name}" for name in CHECKS]
    marked = [each for each in parameters.values() if each.marks]
    assert [each.id for each in marked] == ["Undocumented-docstring_formula"]
    assert marked[0].marks[0].kwargs == {
        "reason": "to be written",
        "raises": CheckFailure,
        "strict": True,
    }


@pytest.mark.parametrize(
    ("check", "error", "texts"),
    [
        ("docstring_formula", CheckFailure, "(?s)Notes.*why: .*what to do: "),
        ("labels_differ", pytest.skip.Exception, "it draws no noise"),
    ],
)
def test_parametrized_test_fails_or_is_skipped(check, error, texts):
    parameters = parametrize_with_checks([Undocumented]).args[1]
    tests = {each.id: each.values[1] for each in parameters}
    tests["Undocumented-docstring_summary"](Undocumented)
    with pytest.raises(error, match=texts):
        tests[f"Undocumented-{check}"](Undocumented)


def test_subject_takes_the_models_that_an_instance_names():
    conv = regplug.load("dropout")(pattern="conv:out", weight=0.1)
    assert [case.kind.__name__ for case in Subject(conv).cases] == ["feature_map"]


def test_values_come_from_types_and_ranges():
    options = regplug.authoring.options.options_of(regplug.load("dropout"))
    assert values(options["weight"]) == [0.3, 0.0, 0.999]
    assert values(options["rescale"]) == [True, False]
    assert values(options["shared_axes"]) == [(1,), ()]
    assert values(options["name"]) == ["*", None]


def test_command_checks_a_class_of_a_module(plugin):
    plugin("rp_thing", "")
    found = CliRunner().invoke(command, ["rp_thing:Imports"])
    assert found.exit_code == 1
    assert "rp_thing:Imports: " in found.output.splitlines()[-1]
    assert "loss returned None: is `return` missing?" in found.output
    assert "What to do: add a section Notes" in found.output


def test_command_checks_all_of_a_package(isolated_registry):
    isolated_registry.add(Undocumented, package="regplug-two", version="2.0")
    isolated_registry.add(Refused, package="regplug-two", version="2.0")
    found = CliRunner().invoke(command, ["regplug_two", "--json"])
    assert found.exit_code == 1
    refused, undocumented = json.loads(found.output)
    assert refused["regularizer"] == "refused (regplug-two 2.0)"
    assert "is refused: " in refused["checks"][0]["message"]
    assert undocumented["regularizer"] == "undocumented (regplug-two 2.0)"
    checks = undocumented["checks"]
    failed = [each["check"] for each in checks if each["status"] == "failed"]
    assert failed == ["docstring_formula", "docstring_reference"]


def test_command_refuses_what_there_is_not(isolated_registry):
    isolated_registry.add(Undocumented)
    found = CliRunner().invoke(command, ["undocumente"])
    assert isinstance(found.exception, regplug.UnknownRegularizerError)
    found = CliRunner().invoke(command, ["no_such_module:Thing"])
    assert isinstance(found.exception, regplug.RegplugError)
    assert "ModuleNotFoundError" in str(found.exception)


def test_isolated_registry_sees_only_what_is_added(isolated_registry):
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


def test_isolated_registry_has_conflicts_and_aliases(isolated_registry):
    isolated_registry.add(Undocumented, "penalty", package="a")
    isolated_registry.add(Refused, "penalty", package="b")
    with pytest.raises(
        regplug.NameConflictError, match="Write 'a/penalty' or 'b/penalty'"
    ):
        regplug.load("penalty")
    assert regplug.load("a/penalty") is Undocumented


def test_isolated_registry_is_gone_afterwards():
    before = [entry.name for entry in registry.available()]
    with isolated() as found:
        module = found.add(Undocumented).value.partition(":")[0]
        regplug.load("undocumented")
    assert [entry.name for entry in registry.available()] == before
    assert registry.origin(Undocumented) is None
    assert module not in sys.modules
