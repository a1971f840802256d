"""Tables for people: they fit a terminal, and are complete where the output is piped."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["COLOURS", "console", "table"]

COLOURS = {
    "installed": "green",
    "ok": "green",
    "blocked": "dim",
    "conflict": "yellow",
    "broken": "red",
    "incompatible": "red",
    "wrong": "red",
    "deprecated": "yellow",
}


def console() -> Console:
    """Return the console: as wide as the terminal; as wide as the lines, where there is none."""
    output = Console(highlight=False, emoji=False, markup=False)
    if not output.is_terminal:
        output.width = 1_000_000
    return output


def table(
    columns: Iterable[str], rows: Iterable[Iterable[object]], wraps: Iterable[str] = ()
) -> Table:
    """Return a table; names are never cut, and the columns in `wraps` take the width that is left."""
    result = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    wraps = set(wraps)
    for column in columns:
        result.add_column(column, no_wrap=column not in wraps, overflow="fold")
    for row in rows:
        result.add_row(
            *(Text(str(cell), style=COLOURS.get(str(cell), "")) for cell in row)
        )
    return result
