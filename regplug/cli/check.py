"""``regplug check``: the conformance kit, from the command line."""

import sys
from functools import partial

import click

from regplug.cli.entries import find_entries
from regplug.cli.imports import import_object
from regplug.cli.lazy_group import json_flag
from regplug.discovery import registry
from regplug.discovery.vocabulary import pip_install
from regplug.errors import PluginLoadError
from regplug.output import print_json
from regplug.tables import console, labelled, table
from regplug.text import describe_error


@click.command("check")
@click.argument("target")
@json_flag("--json", "as_json", help="Print JSON.")
def command(target: str, as_json: bool) -> None:
    """Check that a regularizer keeps what all regularizers promise.

    TARGET is the name of an installed regularizer, the name of an installed package
    (all its regularizers), or module:Class. In the place of the class there may be an
    instance, which says with which options to check. Exits with 1 where anything is
    wrong.
    """
    subjects = _subjects(target)
    _require_engine()
    # imports NumPy, which `--help` does not need
    from regplug.testing.conformance import check_regularizer, not_loaded

    reports = []
    for name, load in subjects.items():
        try:
            report = check_regularizer(load())
        except PluginLoadError as error:
            report = not_loaded(error)
        report.name = name
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        print_json([report.as_json() for report in reports])
    if not all(report.ok for report in reports):
        sys.exit(1)


def _require_engine():
    from regplug.testing.graphs import installed_engine

    try:
        installed_engine()
    except Exception as error:
        what = f"The engine cannot be imported ({describe_error(error)})"
        engine = "pytensor" if sys.version_info >= (3, 11) else "theano==1.0.5"
        remedy = f"install it anew: {pip_install()} --force-reinstall {engine}"
        if sys.flags.optimize > 1:
            remedy = "run Python without -OO, which takes all docstrings away"
        raise click.ClickException(f"{what}: {remedy}.") from error


def _subjects(target):
    """Return what is meant, by name: functions that load a class, or an instance."""
    if ":" in target:
        return {target: partial(import_object, target)}
    entries = find_entries([target])
    return {str(entry): partial(registry.load, entry) for entry in entries}


def _print(report):
    rows, wrong = [], []
    for outcome in report:
        seen = outcome.message
        if outcome.is_wrong:
            wrong.append(outcome)
            seen = "see below"
        rows.append((outcome.check, outcome.status, seen))
    output = console()
    output.print()
    output.print(labelled(report.name, ""))
    columns = ("Check", "Result", "What was seen")
    output.print(table(columns, rows, wraps=["What was seen"]))
    for outcome in wrong:
        output.print()
        output.print(labelled(outcome.check, f": {outcome.message}", "bold red"))
        # python -OO takes both away
        if outcome.reason:
            output.print(labelled("  Why: ", outcome.reason))
        if outcome.remedy:
            output.print(labelled("  What to do: ", f"{outcome.remedy}."))
    output.print()
    output.print(labelled("", report.summary_line))
