"""``regplug check``: what it takes; the kit itself is tested in tests/testing."""

from __future__ import annotations

import json

import pytest


def subjects(output):
    return [report["regularizer"] for report in json.loads(output)]


def test_check_takes_all_that_a_name_may_mean(run, package):
    package("rp-other", {"dropout": "rp_other:Dropout"}, "rp_other", "1 / 0")
    package("rp-third", {"drop": "rp_third:Drop"}, "rp_third", "1 / 0")

    assert subjects(run("check", "rp-other/dropout", "--json").output) == [
        "dropout (rp-other 0.1)"
    ]
    assert subjects(run("check", "RP_third", "--json").output) == [
        "drop (rp-third 0.1)"
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (":Thing", "':Thing' is not of the form MODULE:OBJECT"),
        (
            "rp_there:Thin",
            "rp_there:Thin: rp_there has no 'Thin'. Did you mean 'Thing'",
        ),
        ("rp_bad:Thing", "'rp_bad:Thing' could not be imported: ZeroDivisionError: "),
    ],
)
def test_check_refuses_what_cannot_be_imported(run, package, target, message):
    package("rp-there", {}, "rp_there", "class Thing: pass")
    package("rp-bad", {}, "rp_bad", "1 / 0")

    result = run("check", target)

    assert result.exit_code == 1
    assert message in result.output
