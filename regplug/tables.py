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
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from regplug.output import one_line, shown, stdout, width

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

# columns of a name on a terminal, and of a text that goes on in the next line
_LONGEST, _SHORTEST = 34, 16
_UNLIMITED = 1_000_000
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
    """Return the console, as wide as the terminal or COLUMNS; else as the lines.

    Long lines of text stay whole, so that what is copied from a terminal is, too.
    """
    output = _Console(
        file=stdout(), highlight=False, emoji=False, markup=False, soft_wrap=True
    )
    output.width = width() or _UNLIMITED
    return output


def labelled(label: object, text: object, style: str = "bold") -> Text:
    """Return a line whose beginning has a style."""
    return Text.assemble((one_line(label), style), one_line(text))


def paragraphs(text: object) -> Text:
    """Return a text that keeps its lines."""
    return Text(shown(text))


def table(
    columns: Iterable[str], rows: Iterable[Iterable[object]], wraps: Iterable[str] = ()
) -> RenderableType:
    """Return a table.

    Names are never cut; the columns in `wraps` take the width that is left. Where that
    is too narrow to read, each row becomes some lines, one a cell. On a terminal a name
    that would leave none goes on in the next line. A cell is one line, or a list of
    lines.
    """
    lines = [list(map(_cell, row)) for row in rows]
    return _Table(list(columns), lines, set(wraps))


class _Table:
    def __init__(self, columns, lines, wraps):
        self.columns, self.lines, self.wraps = columns, lines, wraps

    def __rich_console__(self, console, options):
        if self._fits(options.max_width):
            yield self._as_columns(options.max_width)
            return
        options = options.update(no_wrap=False, overflow="fold")
        for line in self._as_lines():
            yield from console.render(line, options)

    def _widths(self):
        for place, column in enumerate(self.columns):
            cells = [column, *(line[place] for line in self.lines)]
            yield column, max(map(cell_len, "\n".join(cells).split("\n")))

    def _fits(self, room):
        """Tell whether each text has room enough beside the names."""
        # two between columns
        room += 2
        for column, needed in self._widths():
            longest = _SHORTEST if column in self.wraps else _LONGEST
            room -= min(needed, longest) + 2
        return room >= 0

    def _as_columns(self, room):
        form: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0)}
        result = Table(**form, header_style="bold", pad_edge=False)
        for column, needed in self._widths():
            form = {"no_wrap": column not in self.wraps}
            if form["no_wrap"] and needed > _LONGEST and room < _UNLIMITED:
                form = {"min_width": _LONGEST, "max_width": _LONGEST}
            result.add_column(column, overflow="fold", **form)
        for line in self.lines:
            result.add_row(*map(_coloured, line))
        return result

    def _as_lines(self):
        for first, *others in self.lines:
            yield Text(first, "bold")
            for column, text in zip(self.columns[1:], others, strict=True):
                if text:
                    line = Text.assemble(f"{column}: ", _coloured(text))
                    yield Padding.indent(line, 4)


def _coloured(text):
    return Text(text, COLOURS.get(text, ""))


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
