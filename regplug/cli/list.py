"""``regplug list``: what is installed, importing no plugin and no engine."""

from __future__ import annotations

import click

from regplug.cli import listing


@click.command("list")
@click.option("--json", "form", flag_value="--json", help="Print JSON.")
@click.option("--names", "form", flag_value="--names", help="Print the names only, one a line.")
@click.option("--models", "form", flag_value="--models", help="List the libraries whose models are taken as they are.")
def command(form: str | None) -> None:
    """List the regularizers that are installed.

    Nothing is imported: what a package says of itself is read from its metadata and its source.
    """
    listing.show(form or "")
