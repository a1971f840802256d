"""Text and tables for people: they fit a terminal, and are complete in a pipe.

All text passes `regplug.output`, so that what plugins say is shown and not obeyed.
"""

from __future__ import annotations

import html
import io
import shutil
import textwrap
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
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
_LONGEST, _SHORTEST = 38, 16
_UNLIMITED = 1_000_000
_WHOLE: dict[str, Any] = {"break_on_hyphens": False, "break_long_words": False}
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
) -> _Table:
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
        self.columns, self.lines = list(map(_cell, columns)), lines
        self.wraps = [column in wraps for column in columns]
        self.spans = []
        for place, column in enumerate(self.columns):
            cells = [column, *(line[place] for line in lines)]
            self.spans.append(_span(cells, self.wraps[place]))

    def __rich_console__(self, console, options):
        if self.fits(options.max_width):
            yield self._as_columns(options.max_width)
            return
        for first, *others in self.lines:
            # whole, so that it can be copied
            yield from console.render(Text(first, "bold"), options)
            for line in self._below(others):
                form = options.update(no_wrap=False, overflow="fold")
                yield from console.render(line, form)

    def __rich_measure__(self, console, options):
        widest = _total(most for _, most in self.spans)
        return Measurement(1, min(widest, options.max_width))

    def fits(self, room):
        """Tell whether names are whole, and texts not broken into a word a line."""
        return _total(least for least, _ in self.spans) <= room

    def _as_columns(self, room):
        form: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0)}
        result = Table(**form, header_style="bold", pad_edge=False)
        for column, space in zip(self.columns, self._widths(room), strict=True):
            result.add_column(column, overflow="fold", width=space)
        for line in self.lines:
            result.add_row(*map(_coloured, line))
        return result

    def _widths(self, room):
        """Return the width of each column; those that need little more have it all."""
        widths = [most for _, most in self.spans]
        if _total(widths) <= room:
            return widths
        widths = [least for least, _ in self.spans]
        room -= _total(widths)
        wanted = []
        for at, (least, most) in enumerate(self.spans):
            if self.wraps[at]:
                wanted.append((most - least, at))
        for number, (more, at) in enumerate(sorted(wanted)):
            more = min(more, room // (len(wanted) - number))
            widths[at] += more
            room -= more
        return widths

    def _below(self, cells):
        for column, text in zip(self.columns[1:], cells, strict=True):
            if text:
                line = Text.assemble(f"{column}: ", _coloured(text))
                yield Padding.indent(line, 4)


def _span(cells, wraps):
    """Return the least width of a column, and the one at which nothing is broken."""
    text = "\n".join(cells)
    most = max(map(cell_len, text.split("\n")))
    least = most
    if wraps:
        least = min(most, max(_SHORTEST, *map(cell_len, text.split())))
    return min(least, _LONGEST), most


def _total(widths):
    # two between columns
    return sum(width + 2 for width in widths) - 2


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
        soft_wrap=True,
        # a notebook would show it and return nothing, and asks for colours
        force_jupyter=False,
        color_system=None,
        width=shutil.get_terminal_size((100, 24)).columns,
    )
    print_sections(output, sections)
    return "\n".join(map(str.rstrip, file.getvalue().rstrip("\n").split("\n")))


def print_sections(output: Console, sections: Iterable[Section]) -> None:
    """Print tables and lines, an empty line between them."""
    for number, section in enumerate(sections):
        if number:
            output.print()
        if section.title:
            output.print(labelled(section.title, "", "bold"))
        if not section.columns:
            for line in section.rows:
                output.print(Text(_folded(line, output.width)))
        elif section.rows:
            output.print(_table_of(section, output.width))
        else:
            output.print("none")


def _table_of(section, width):
    result = table(section.columns, section.rows, section.wraps)
    if section.spare and not result.fits(width):
        section = _without_wraps(section)
        result = table(section.columns, section.rows)
    return result


def _folded(line, width):
    """Return a line, broken between words; one of a tree below its beginning."""
    if isinstance(line, str):
        return textwrap.fill(one_line(line), width, **_WHOLE)
    before, below, text = map(one_line, line)
    room = max(width - cell_len(below) - 2, _SHORTEST)
    first, *rest = textwrap.wrap(text, room, **_WHOLE) or [""]
    return "\n".join([before + first, *(f"{below}  {part}" for part in rest)])


def _without_wraps(section):
    kept = [at for at, each in enumerate(section.columns) if each not in section.wraps]
    rows = [[row[at] for at in kept] for row in section.rows]
    columns = [section.columns[at] for at in kept]
    return section._replace(columns=columns, rows=rows, wraps=())


def as_html(sections: Iterable[Section]) -> str:
    """Return tables and lines as HTML, for notebooks."""
    parts = []
    for section in sections:
        parts.append(f"<p><b>{_escaped(section.title)}</b></p>")
        if section.columns and section.rows:
            parts.append("<table><thead>")
            parts.append(_html_row("th", section.columns))
            parts.append("</thead><tbody>")
            parts.extend(_html_row("td", row) for row in section.rows)
            parts.append("</tbody></table>")
        else:
            lines = (_folded(line, _UNLIMITED) for line in section.rows or ["none"])
            text = html.escape("\n".join(lines))
            parts.append(f'<pre style="font-family: monospace">{text}</pre>')
    return "\n".join(parts)


def _html_row(tag, cells):
    # notebooks have cells of tables to the right
    begin = f'<{tag} style="text-align: left">'
    row = "".join(f"{begin}{_escaped(cell)}</{tag}>" for cell in cells)
    return f"<tr>{row}</tr>"


def _escaped(value):
    return html.escape(_cell(value))


def counted(things: Sized, noun: str) -> str:
    """Return how many there are, such as ``1 output`` or ``5 outputs``."""
    ending = "s" * (len(things) != 1)
    return f"{len(things)} {noun}{ending}"
