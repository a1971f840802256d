"""Text and tables for people: they fit a terminal, and are complete in a pipe.

All text passes `regplug.output`, so that what plugins say is shown and not obeyed.
"""

from __future__ import annotations

import html
import io
import shutil
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from regplug.output import one_line, shown, stdout

if TYPE_CHECKING:
    from regplug.readable import Section

__all__ = [
    "COLOURS",
    "as_html",
    "as_text",
    "console",
    "counted",
    "labelled",
    "paragraphs",
    "print_sections",
    "table",
]

# columns
_NARROWEST, _USUAL = 40, 80
# of a name on a terminal, in columns
_LONGEST = 40
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
    elif output.width < _NARROWEST:
        # COLUMNS=0 comes of shells that do not know, and cells of no width are lost
        output.width = _USUAL
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

    Names are never cut; the columns in `wraps` take the width that is left. On a
    terminal a name that would leave none goes on in the next line. A cell is one line,
    or a list of lines.
    """
    result = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    wraps = set(wraps)
    lines = [list(map(_cell, row)) for row in rows]
    for place, column in enumerate(columns):
        form: dict[str, Any] = {"no_wrap": column not in wraps}
        if column not in wraps and stdout().isatty():
            parts = "\n".join(line[place] for line in lines).split("\n")
            if max(map(cell_len, parts)) > _LONGEST:
                form = {"min_width": _LONGEST, "max_width": _LONGEST}
        result.add_column(column, overflow="fold", **form)
    for line in lines:
        result.add_row(*(Text(text, style=COLOURS.get(text, "")) for text in line))
    return result


def _cell(value):
    lines = value if isinstance(value, list) else [value]
    return "\n".join(map(one_line, lines))


def as_text(sections: Iterable[Section]) -> str:
    """Return tables and lines as text, as wide as the terminal."""
    file = io.StringIO()
    output = Console(
        file=file,
        highlight=False,
        emoji=False,
        markup=False,
        width=shutil.get_terminal_size((100, 24)).columns,
    )
    print_sections(output, sections)
    return "\n".join(map(str.rstrip, file.getvalue().rstrip("\n").split("\n")))


def print_sections(output: Console, sections: Iterable[Section]) -> None:
    """Print tables and lines, an empty line between them."""
    for number, section in enumerate(sections):
        if number:
            output.print()
        output.print(labelled(section.title, "", "bold"))
        if section.columns:
            output.print(table(section.columns, section.rows, section.wraps))
        for line in () if section.columns else section.rows:
            output.print(paragraphs(line))


def as_html(sections: Iterable[Section]) -> str:
    """Return tables and lines as HTML, for notebooks."""
    parts = []
    for section in sections:
        parts.append(f"<p><b>{_escaped(section.title)}</b></p>")
        if section.columns:
            head = "".join(f"<th>{_escaped(each)}</th>" for each in section.columns)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>")
            for row in section.rows:
                cells = "".join(f"<td>{_escaped(cell)}</td>" for cell in row)
                parts.append(f"<tr>{cells}</tr>")
            parts.append("</tbody></table>")
        else:
            parts.append(f"<pre>{_escaped(list(section.rows))}</pre>")
    return "\n".join(parts)


def _escaped(value):
    return html.escape(_cell(value))


def counted(things: Sized, noun: str) -> str:
    """Return how many there are, such as ``1 output`` or ``5 outputs``."""
    ending = "s" * (len(things) != 1)
    return f"{len(things)} {noun}{ending}"
