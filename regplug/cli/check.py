"""``regplug check``: the conformance kit, from the command line."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import click
from packaging.utils import canonicalize_name

from regplug.discovery import registry
from regplug.errors import OptionError, PluginLoadError


@click.command("check")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(target: str, as_json: bool) -> None:
    """Check that a regularizer keeps what all regularizers promise.

    TARGET is the name of an installed regularizer, the name of an installed package (all its
    regularizers), or module:Class. In the place of the class there may be an instance, which
    says with which options to check. Exits with 1 where anything is wrong.
    """
    from regplug.testing.conformance import check_regularizer, not_loaded

    reports = []
    for name, load in found(target).items():
        try:
            report = check_regularizer(load())
        except PluginLoadError as error:
            report = not_loaded(error)
        report.name = name
        reports.append(report)
        if not as_json:
            _print(report)
    if as_json:
        click.echo(json.dumps([report.as_json() for report in reports], indent=2))
    if not all(report.ok for report in reports):
        sys.exit(1)


def found(target: str) -> dict[str, Callable[[], Any]]:
    """Return what is meant, by name: functions that load a class, or an instance."""
    if ":" in target:
        return {target: partial(_imported, target)}
    entries = registry.available()
    package = [
        entry
        for entry in entries
        if canonicalize_name(entry.package) == canonicalize_name(target)
    ]
    if any(target in (entry.name, *entry.aliases) for entry in entries) or not package:
        package = [registry.get_entry(target)]
    return {str(entry): partial(registry.load, entry) for entry in package}


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {error}"
        raise OptionError(
            f"{target!r} could not be imported: {what}. Write module:Class."
        ) from error


def _print(report: Any) -> None:
    from rich.text import Text

    from regplug.tables import console, table

    output = console()
    rows = [
        (o.check, o.status, "see below" if o.is_wrong else o.message) for o in report
    ]
    output.print(f"\n{report.name}", style="bold")
    output.print(
        table(("Check", "Result", "What was seen"), rows, wraps=["What was seen"])
    )
    for outcome in report:
        if outcome.is_wrong:
            output.print(
                Text.assemble(
                    "\n", (outcome.check, "bold red"), f": {outcome.message}"
                ),
                soft_wrap=True,
            )
            output.print(
                Text.assemble(("  Why: ", "bold"), outcome.reason), soft_wrap=True
            )
            output.print(
                Text.assemble(("  What to do: ", "bold"), f"{outcome.remedy}."),
                soft_wrap=True,
            )
    output.print(f"\n{report.closing}", soft_wrap=True)
