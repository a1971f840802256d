"""``regplug list``: what is installed, importing no plugin and no engine."""

import click

from regplug.cli import installed
from regplug.cli.lazy_group import json_flag


@click.command("list")
@click.argument("pattern", required=False)
@json_flag("--json", help="Print JSON.")
@click.option("--names", is_flag=True, help="Print the names only, one a line.")
@click.option(
    "--models",
    is_flag=True,
    help="List the libraries whose models are taken as they are.",
)
@click.option(
    "--kind",
    default="",
    metavar="WORDS",
    help="Those that do this only: penalty, changes, constrains, 'penalty on outputs'.",
)
def command(pattern: str | None, kind: str, **forms: bool) -> None:
    """List the regularizers that are installed.

    PATTERN is a glob of names and aliases, or a part of one. Nothing is imported: what
    a package says of itself is read from its metadata and its source.
    """
    chosen = [f"--{form}" for form, is_chosen in forms.items() if is_chosen]
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} exclude each other.")
    if forms["models"] and (pattern or kind):
        raise click.UsageError("--models takes no PATTERN and no --kind.")
    installed.print_as("".join(chosen), pattern or "", kind)
