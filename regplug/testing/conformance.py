"""Make the checks: of one regularizer, or as the tests of a plugin package."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from regplug.errors import (
    OptionError,
    PluginLoadError,
    RegplugError,
    did_you_mean,
    listing,
)
from regplug.testing.check import CHECKS, Check, CheckFailure, NotApplicable
from regplug.testing.graphs import installed_engine
from regplug.testing.slips import SLIPS
from regplug.testing.subject import Subject
from regplug.text import describe_error, printable

# each adds its checks, and these are made in this order
# isort: split
from regplug.testing import class_checks, slip_checks  # noqa: F401

# isort: split
from regplug.testing import graph_checks  # noqa: F401

# isort: split
from regplug.testing import edge_checks  # noqa: F401

PASSED = "passed"
FAILED = "failed"
UNEXPECTED = "unexpected pass"
EXPECTED = "expected failure"
SKIPPED = "skipped"

_IF_EXPECTED = {PASSED: UNEXPECTED, FAILED: EXPECTED}
# without these nothing else can be checked
_GATES = ("class_is_accepted", "constructs_with_defaults")


@dataclass(frozen=True)
class Outcome:
    """What one check gave.

    Attributes
    ----------
    check, reason, remedy : str
        Its name, why it is made, and what to do where it does not hold.
    status : str
        ``passed``, ``failed``, ``expected failure``, ``unexpected pass`` or
        ``skipped``.
    message : str
        What was seen; for an expected failure also the reason given.
    seconds : float
    """

    check: str
    status: str
    message: str
    reason: str
    remedy: str
    seconds: float

    @property
    def is_wrong(self) -> bool:
        """Whether it fails the whole: a failure, or a pass that was not expected."""
        return self.status in (FAILED, UNEXPECTED)


class Report(list):
    """The outcomes of all checks of one regularizer; its text is for people.

    Parameters
    ----------
    name : str
        The regularizer's.
    outcomes : iterable of Outcome
    """

    def __init__(self, name: str, outcomes: Iterable[Outcome]):
        super().__init__(outcomes)
        self.name = name

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and nothing passed that was expected to fail."""
        return not any(outcome.is_wrong for outcome in self)

    @property
    def summary_line(self) -> str:
        """How many checks there are, ran, passed, failed and were skipped."""
        counts = Counter(outcome.status for outcome in self)
        shown = [f"{counts[PASSED]} passed", f"{counts[FAILED]} failed"]
        if counts[UNEXPECTED]:
            shown.append(f"{counts[UNEXPECTED]} passed unexpectedly")
        shown.append(f"{counts[EXPECTED]} failed as expected")
        skipped = counts[SKIPPED]
        ran = f"{len(self)} checks, {len(self) - skipped} ran"
        return f"{self.name}: {ran}: {', '.join(shown)}; {skipped} skipped."

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "regularizer": self.name,
            "ok": self.ok,
            "closing": self.summary_line,
            "checks": [asdict(outcome) for outcome in self],
        }

    def __str__(self) -> str:
        lines = []
        for outcome in self:
            if outcome.status != PASSED:
                lines.append(f"{outcome.status}: {outcome.check}: {outcome.message}")
            if outcome.is_wrong:
                # python -OO takes both away
                if outcome.reason:
                    lines.append(f"    why: {outcome.reason}")
                if outcome.remedy:
                    lines.append(f"    what to do: {outcome.remedy}")
        return printable("\n".join([*lines, self.summary_line]))


def check_regularizer(
    regularizer: Any, *, expected_failures: Mapping[str, str] | None = None
) -> Report:
    """Make every check of one regularizer.

    Parameters
    ----------
    regularizer : subclass or instance of Regularizer
        A class is tested with its defaults, and a value from its range for each option
        that must be given; an instance with its own options. Patterns of an instance
        name outputs and parameters of the kit's models: see `regplug.testing.samples`.
    expected_failures : mapping of str to str, optional
        Check -> the reason why it is known not to hold. Where it holds after all, that
        is wrong, too.

    Returns
    -------
    Report, a list of Outcome
        ``report.ok`` tells whether all is well, ``str(report)`` what is not.

    Raises
    ------
    OptionError
        `expected_failures` names a check that does not exist.

    Examples
    --------
    >>> import regplug
    >>> from regplug.testing import check_regularizer
    >>> report = check_regularizer(regplug.load("weight_l2"))
    >>> report.ok
    True
    """
    expected = _known_checks(expected_failures)
    subject = Subject(regularizer)
    report = Report(subject.name, [])
    failed_gate = None
    for check in CHECKS.values():
        start = time.perf_counter()
        status, message = SKIPPED, f"not possible: see {failed_gate}"
        if failed_gate is None:
            with installed_engine().no_traceback():
                status, message = attempt(check, subject)
        if status == FAILED and check.name in _GATES:
            failed_gate = check.name
        if check.name in expected and status != SKIPPED:
            status = _IF_EXPECTED[status]
            seen = f" ({message})" if message else ""
            message = expected[check.name] + seen
        seconds = time.perf_counter() - start
        report.append(
            Outcome(check.name, status, message, check.reason, check.remedy, seconds)
        )
    return report


def not_loaded(error: PluginLoadError) -> Report:
    """Return the report on a regularizer that could not be loaded."""
    reason = "A class that cannot be loaded cannot be used."
    remedy = "change the package as the message says"
    return Report("", [Outcome("loads", FAILED, str(error), reason, remedy, 0.0)])


def attempt(check: Check, subject: Subject) -> tuple[str, str]:
    """Make one check; return its status and what was seen.

    What another check has seen is said once.
    """
    status, message = _attempt(check, subject)
    first = subject.said.setdefault(message, check.name)
    if status == FAILED and first != check.name:
        return SKIPPED, f"it fails as {first} does"
    return status, message


def _attempt(check, subject):
    try:
        slip = subject.slip if check.name in SLIPS else None
        if slip is not None and slip.check == check.name:
            return FAILED, slip.message
        return PASSED, check.function(subject) or ""
    except NotApplicable as error:
        return SKIPPED, str(error)
    except (CheckFailure, RegplugError) as error:
        return FAILED, str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return FAILED, f"raised {describe_error(error)}"


def parametrize_with_checks(
    regularizers: Iterable[Any],
    *,
    expected_failures: Mapping[Any, Mapping[str, str]] | None = None,
) -> Any:
    """Parametrize a test of pytest: one test for each check of each regularizer.

    Parameters
    ----------
    regularizers : iterable of subclasses or instances of Regularizer
    expected_failures : mapping of regularizer to mapping of str to str, optional
        For each of `regularizers`: check -> reason. They are marked
        ``xfail(strict=True)``.

    Examples
    --------
    ::

        @parametrize_with_checks([Lasso])
        def test_conformance(regularizer, check):
            check(regularizer)
    """
    import pytest

    xfail = pytest.mark.xfail
    parameters = []
    for regularizer in regularizers:
        expected = _known_checks((expected_failures or {}).get(regularizer))
        subject = Subject(regularizer)
        for name, check in CHECKS.items():
            test, label = _as_test(check, subject), f"{subject.name}-{name}"
            marks = []
            if name in expected:
                reason = expected[name]
                marks.append(xfail(reason=reason, raises=CheckFailure, strict=True))
            parameters.append(pytest.param(regularizer, test, id=label, marks=marks))
    return pytest.mark.parametrize(("regularizer", "check"), parameters)


def _as_test(check, subject):
    """Return one check as a test calls it."""
    import pytest

    def test(regularizer):
        status, message = attempt(check, subject)
        if status == SKIPPED:
            pytest.skip(message)
        if status == FAILED:
            texts = f"why: {check.reason}\nwhat to do: {check.remedy}"
            raise CheckFailure(f"{message}\n{texts}")

    return test


def _known_checks(expected):
    """Return check -> reason; refuse the names of checks that do not exist."""
    expected = dict(expected or {})
    for name in expected:
        if name not in CHECKS:
            hint = did_you_mean(name, CHECKS)
            raise OptionError(
                f"expected_failures: no check named {name!r}.{hint} "
                f"Checks: {listing(CHECKS, 99)}."
            )
    return expected
