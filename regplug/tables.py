"""Text and tables for people: they fit a terminal, and are complete in a pipe.

All text passes `regplug.output`, so that what plugins say is shown and not obeyed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from regplug.output import one_line, shown, stdout

__all__ = ["COLOURS", "console", "counted", "labelled", "paragraphs", "table"]

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


class _Console(Console):
    def render_str(self, text: str, **options: Any) -> Text:
        """Make every text that is printed without a style of its own safe."""
        return super().render_str(shown(text), **options)


def console() -> Console:
    """Return the console, as wide as the terminal; in a pipe, as wide as the lines.

    Long lines of text stay whole, so that what is copied from a terminal is, too.
    """
    output = _Console(
        file=stdout(), highlight=False, emoji=False, markup=False, soft_wrap=True
    )
    if not output.is_terminal:
        output.width = 1_000_000
    return output


def labelled(label: object, text: object, style: str = "bold") -> Text:
    """Return a line whose beginning has a style."""
    return Text.assemble((one_line(label), style), one_line(text))


def paragraphs(text: object) -> Text:
    """Return a text that keeps its lines."""
    return Text(shown(text))


def table(
    columns: Iterable[str], rows: Iterable[Iterable[object]], wraps: Iterable[str] = ()
) -> Table:
    """Return a table.

    Names are never cut; the columns in `wraps` take the width that is left. A cell is
    one line, or a list of lines.
    """
    result = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    wraps = set(wraps)
    for column in columns:
        result.add_column(column, no_wrap=column not in wraps, overflow="fold")
    for row in rows:
        texts = map(_cell, row)
        result.add_row(*(Text(text, style=COLOURS.get(text, "")) for text in texts))
    return result


def _cell(value):
    lines = value if isinstance(value, list) else [value]
    return "\n".join(map(one_line, lines))


def counted(things: Sized, noun: str) -> str:
    """Return how many there are, such as ``1 output`` or ``5 outputs``."""
    ending = "s" * (len(things) != 1)
    return f"{len(things)} {noun}{ending}"
