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
_NARROWEST, _USUAL, _ENDLESS = 40, 80, 1_000_000
# of a text that is broken into lines
_LEAST = 14
_WHOLE: dict[str, Any] = {"break_on_hyphens": False, "break_long_words": False}
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
        output.width = _ENDLESS
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
        soft_wrap=True,
        # a notebook would show it and return nothing, and asks for colours
        force_jupyter=False,
        color_system=None,
        width=shutil.get_terminal_size((100, 24)).columns,
    )
    print_sections(output, sections)
    return "\n".join(map(str.rstrip, file.getvalue().rstrip("\n").split("\n")))


def print_sections(output: Console, sections: Iterable[Section]) -> None:
    """Print tables and lines, an empty line between them.

    Where there is no room for a table, its rows go on in next lines.
    """
    for number, section in enumerate(sections):
        if number:
            output.print()
        if section.title:
            output.print(labelled(section.title, "", "bold"))
        if not section.columns:
            for line in section.rows:
                output.print(Text(_folded(line, output.width)))
            continue
        if section.spare and not _has_room(section, output.width):
            section = _without_wraps(section)
        if not section.rows:
            output.print("none")
        elif _has_room(section, output.width):
            output.print(_fitted(section, output.width))
        else:
            _print_folded(output, section)


def _fitted(section, width):
    """Return a table of a width, in which each word is whole."""
    result = table(section.columns, section.rows, section.wraps)
    room = width + 2
    wrapping = []
    for least, most, column in zip(*_widths(section), result.columns, strict=True):
        room -= least + 2
        if most > least:
            wrapping.append((most - least, least, column))
    # the narrow ones first: they need less than their share
    wrapping.sort(key=lambda each: each[0])
    for number, (wanted, least, column) in enumerate(wrapping):
        more = min(wanted, room // (len(wrapping) - number))
        column.width = least + more
        room -= more
    return result


def _widths(section):
    """Return the least width of each column, and the width at which nothing wraps."""
    least, most = [], []
    for place, column in enumerate(section.columns):
        texts = [column, *(_cell(row[place]) for row in section.rows)]
        widest = max(map(cell_len, texts))
        narrowest = min(widest, _LONGEST)
        if column in section.wraps:
            words = " ".join(texts).split()
            narrowest = min(narrowest, max(_LEAST, *map(cell_len, words)))
        least.append(narrowest)
        most.append(widest if column in section.wraps else narrowest)
    return least, most


def _folded(line, width):
    """Return a line, broken between words; one of a tree below its beginning."""
    if isinstance(line, str):
        return textwrap.fill(one_line(line), width, **_WHOLE)
    before, below, text = map(one_line, line)
    room = max(width - cell_len(below) - 2, _LEAST)
    first, *rest = textwrap.wrap(text, room, **_WHOLE) or [""]
    return "\n".join([before + first, *(f"{below}  {part}" for part in rest)])


def _has_room(section, width):
    """Tell whether names are whole, and other texts not broken into a word a line."""
    least, _ = _widths(section)
    return sum(least) + 2 * (len(least) - 1) <= width


def _without_wraps(section):
    kept = [at for at, each in enumerate(section.columns) if each not in section.wraps]
    rows = [[row[at] for at in kept] for row in section.rows]
    columns = [section.columns[at] for at in kept]
    return section._replace(columns=columns, rows=rows, wraps=())


def _print_folded(output, section):
    """Print each row in as many lines as it needs, and its cells whole."""
    for cells in (section.columns, *section.rows):
        lines: list[str] = []
        for cell in filter(None, map(_cell, cells)):
            longer = f"{lines[-1]}  {cell}" if lines else cell
            if lines and cell_len(longer) > output.width:
                # below the others' beginning
                lines.append(f"  {cell}")
            else:
                lines[-1:] = [longer]
        output.print(Text("\n".join(lines), "bold" * (cells is section.columns)))


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
            lines = (_folded(line, _ENDLESS) for line in section.rows or ["none"])
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
