"""Every regularizer that is installed passes the conformance kit."""

import pytest

import regplug
from regplug.testing import check_regularizer

EXPECTED_FAILURES = {}


@pytest.mark.parametrize(
    "entry", regplug.available(), ids=lambda entry: entry.qualified_name
)
def test_regularizer_conforms(entry):
    report = check_regularizer(
        regplug.load(entry), expected_failures=EXPECTED_FAILURES.get(entry.name)
    )
    assert report.ok, f"\n{report}"


def test_expected_failures_are_of_installed_regularizers():
    assert set(EXPECTED_FAILURES) <= {entry.name for entry in regplug.available()}
