"""What ``regplug list`` prints.

It imports neither click nor rich (rich where a terminal takes the table): each of them
would double its time.
"""

import itertools
import shutil

from regplug.cli.entries import release
from regplug.discovery.registry import available
from regplug.output import echo, one_line, print_json, stdout


def print_as(form: str = "") -> None:
    """Print what is installed.

    Parameters
    ----------
    form : str
        A table by default; ``--json``, ``--names``, or ``--models``.
    """
    forms = {"--json": print_rows, "--names": print_names, "--models": print_models}
    forms.get(form, print_table)()


def print_names() -> None:
    """Print what can be typed, one name a line; nothing that is blocked."""
    for entry in available():
        if not entry.blocked:
            echo(entry.qualified_name)


def print_rows() -> None:
    """Print all that is known without importing a plugin, as JSON."""
    keys = ("name", "aliases", "package", "version", "status", "summary", "conflicts")
    rows = [{key: getattr(entry, key) for key in keys} for entry in available()]
    print_json(rows)


def print_table() -> None:
    """Print a table, and how to name what several packages offer."""
    entries = available()
    if not entries:
        install = "python -m pip install regplug-noise regplug-weights"
        echo(f"No regularizers are installed. Install some: {install}")
        return
    if stdout().isatty() and shutil.get_terminal_size().columns < 120:
        rows = _rows_by_package(entries)
        _print_rows(("Name", "Status", "Summary"), rows, wraps=["Summary"])
    else:
        columns = ("Name", "Aliases", "Package", "Status", "Summary")
        _print_rows(columns, map(_row, entries), wraps=["Aliases", "Summary"])
    bad = ("broken", "incompatible")
    faulty = [entry.name for entry in entries if entry.status in bad]
    if faulty:
        echo()
        echo(f"For what to do: regplug doctor {' '.join(faulty)}")
    _print_conflicts(entries)


def _print_conflicts(entries):
    offers: dict[str, list[str]] = {}
    for entry in entries:
        if entry.status == "conflict":
            for name in (entry.name, *entry.aliases):
                offers.setdefault(name, []).append(f"{entry.package}/{name}")
    for name, choices in sorted(offers.items()):
        # the other names of an entry with a conflict are its own
        if len(choices) > 1:
            how = " or ".join(choices)
            echo()
            echo(f"{name!r} is offered by several packages. Write {how}.")


def print_models() -> None:
    """Print the libraries whose models are taken as they are, and what is missing."""
    from regplug.models import adapters

    entries = adapters.available()
    if not entries:
        install = "python -m pip install regplug-pytensor-ml regplug-pymc"
        echo(f"No adapters are installed. Install some: {install} regplug-theanets")
        return
    rows = []
    for entry in entries:
        status = entry.status
        missing = "; ".join(adapters.missing(entry))
        if status == "installed" and missing:
            status = f"needs {missing}"
        rows.append((entry.name, release(entry), status, entry.summary))
    columns = ("Models of", "Package", "Status", "Summary")
    _print_rows(columns, rows, wraps=["Status", "Summary"])


def _row(entry):
    aliases = ", ".join(entry.aliases)
    return entry.name, aliases, release(entry), entry.status, entry.summary


def _rows_by_package(entries):
    """Return rows that leave room: each package and each name has its line."""
    rows: list[tuple[object, ...]] = []
    entries = sorted(entries, key=lambda entry: (release(entry), entry.name))
    for package, own in itertools.groupby(entries, key=release):
        rows.append((package, "", ""))
        for entry in own:
            names = [f"  {entry.name}", *(f"    {alias}" for alias in entry.aliases)]
            rows.append((names, entry.status, entry.summary))
    return rows


def _print_rows(columns, rows, wraps):
    if stdout().isatty():
        from regplug.tables import console, table

        console().print(table(columns, rows, wraps))
        return
    lines = [list(map(one_line, row)) for row in (columns, *rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        echo("  ".join(map(str.ljust, line, widths)).rstrip())
