"""Make the checks: of one regularizer, or as the tests of a plugin package."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from regplug.errors import OptionError, PluginLoadError, RegplugError, listing, nearest
from regplug.testing import class_checks, edge_checks, graph_checks  # noqa: F401  each adds its checks
from regplug.testing.check import CHECKS, Check, CheckFailure, NotApplicable
from regplug.testing.graphs import installed_engine
from regplug.testing.subject import Subject

PASSED, FAILED, EXPECTED, UNEXPECTED, SKIPPED = (
    "passed",
    "failed",
    "expected failure",
    "unexpected pass",
    "skipped",
)
_WORDS = {
    PASSED: "passed",
    FAILED: "failed",
    UNEXPECTED: "passed unexpectedly",
    EXPECTED: "failed as expected",
}
_GATES = (
    "class_is_accepted",
    "constructs_with_defaults",
)  # without these nothing else can be checked


@dataclass(frozen=True)
class Outcome:
    """What one check gave.

    Attributes
    ----------
    check, reason, remedy : str
        Its name, why it is made, and what to do where it does not hold.
    status : str
        ``passed``, ``failed``, ``expected failure``, ``unexpected pass`` or ``skipped``.
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
    def closing(self) -> str:
        """The closing line: how many checks there are, ran, passed, failed, failed as expected, and were skipped."""
        counts = Counter(outcome.status for outcome in self)
        words = [status for status in _WORDS if counts[status] or status != UNEXPECTED]
        shown = ", ".join(f"{counts[status]} {_WORDS[status]}" for status in words)
        ran = len(self) - counts[SKIPPED]
        return f"{self.name}: {len(self)} checks, {ran} ran: {shown}; {counts[SKIPPED]} skipped."

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        checks = [asdict(outcome) for outcome in self]
        return {
            "regularizer": self.name,
            "ok": self.ok,
            "closing": self.closing,
            "checks": checks,
        }

    def __str__(self) -> str:
        lines = []
        for outcome in self:
            if outcome.status != PASSED:
                lines.append(f"{outcome.status}: {outcome.check}: {outcome.message}")
            if outcome.is_wrong:
                lines += [
                    f"    why: {outcome.reason}",
                    f"    what to do: {outcome.remedy}",
                ]
        return "\n".join([*lines, self.closing])


def check_regularizer(
    regularizer: Any, *, expected_failures: Mapping[str, str] | None = None
) -> Report:
    """Make every check of one regularizer.

    Parameters
    ----------
    regularizer : subclass or instance of Regularizer
        A class is tested with its defaults, and a value from its range for each option that must
        be given; an instance with its own options. Patterns of an instance name outputs and
        parameters of the kit's models: see `regplug.testing.samples`.
    expected_failures : mapping of str to str, optional
        Check -> the reason why it is known not to hold. Where it holds after all, that is wrong, too.

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
    >>> from regplug.testing import check_regularizer
    >>> report = check_regularizer(regplug.load("weight_l2"))
    >>> report.ok
    True
    """
    expected = dict(expected_failures or {})
    check_names(expected)
    subject = Subject(regularizer)
    outcomes: list[Outcome] = []
    for check in CHECKS.values():
        failed = next(
            (
                o.check
                for o in outcomes
                if o.check in _GATES and o.status in (FAILED, EXPECTED)
            ),
            None,
        )
        start = time.perf_counter()
        with installed_engine().no_traceback():
            status, message = (
                (SKIPPED, f"not possible: see {failed}")
                if failed
                else attempt(check, subject)
            )
        if check.name in expected and status in (FAILED, PASSED):
            status = EXPECTED if status == FAILED else UNEXPECTED
            message = (
                f"{expected[check.name]} ({message})"
                if message
                else expected[check.name]
            )
        seconds = time.perf_counter() - start
        outcomes.append(
            Outcome(check.name, status, message, check.reason, check.remedy, seconds)
        )
    return Report(subject.name, outcomes)


def not_loaded(error: PluginLoadError) -> Report:
    """Return the report on a regularizer that could not be loaded."""
    reason, remedy = (
        "A class that cannot be loaded cannot be used.",
        "change the package as the message says",
    )
    return Report("", [Outcome("loads", FAILED, str(error), reason, remedy, 0.0)])


def attempt(check: Check, subject: Subject) -> tuple[str, str]:
    """Make one check; return its status and what was seen."""
    try:
        return PASSED, check.function(subject) or ""
    except NotApplicable as error:
        return SKIPPED, str(error)
    except (CheckFailure, RegplugError) as error:
        return FAILED, str(error)
    except (Exception, SystemExit) as error:
        return FAILED, f"raised {type(error).__name__}: {error}"


def check_names(expected: Mapping[str, str]) -> None:
    """Refuse names of checks that do not exist."""
    for name in expected:
        if name not in CHECKS:
            near = nearest(name, CHECKS)
            hint = f" Did you mean {near!r}?" if near else ""
            raise OptionError(
                f"expected_failures: no check named {name!r}.{hint} Checks: {listing(CHECKS, 99)}."
            )


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
        For each of `regularizers`: check -> reason. They are marked ``xfail(strict=True)``.

    Examples
    --------
    ::

        @parametrize_with_checks([Lasso])
        def test_conformance(regularizer, check):
            check(regularizer)
    """
    import pytest

    parameters = []
    for regularizer in regularizers:
        expected = dict((expected_failures or {}).get(regularizer, {}))
        check_names(expected)
        subject = Subject(regularizer)
        for name, check in CHECKS.items():
            marks = []
            if name in expected:
                marks.append(
                    pytest.mark.xfail(
                        reason=expected[name], raises=CheckFailure, strict=True
                    )
                )
            test = _Test(check, subject)
            parameters.append(
                pytest.param(
                    regularizer, test, id=f"{subject.name}-{name}", marks=marks
                )
            )
    return pytest.mark.parametrize(("regularizer", "check"), parameters)


class _Test:
    """One check as a test calls it."""

    def __init__(self, check: Check, subject: Subject):
        self._check, self._subject = check, subject

    def __call__(self, regularizer: Any) -> None:
        import pytest

        status, message = attempt(self._check, self._subject)
        if status == SKIPPED:
            pytest.skip(message)
        if status == FAILED:
            raise CheckFailure(
                f"{message}\nwhy: {self._check.reason}\nwhat to do: {self._check.remedy}"
            )
