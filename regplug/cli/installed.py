"""What ``regplug list`` prints.

It imports neither click nor rich (rich where a terminal takes the table): each of them
would double its time.
"""

import fnmatch
import itertools

from regplug.cli.entries import release
from regplug.discovery.registry import available, get_entry
from regplug.discovery.vocabulary import install_advice
from regplug.output import echo, one_line, print_json, width

# columns that the table of all columns needs
_WIDE = 150


def print_as(form: str = "", pattern: str = "", kind: str = "") -> None:
    """Print what is installed.

    Parameters
    ----------
    form : str
        A table by default; ``--json``, ``--names``, or ``--models``.
    pattern : str
        A glob of names and aliases, or a part of one.
    kind : str
        A part of what the regularizers do.

    Raises
    ------
    UnknownRegularizerError
        The table has no name for the pattern; the message has the nearest.
    """
    if form == "--models":
        print_models()
        return
    installed = available()
    entries = [entry for entry in installed if _is_meant(entry, pattern, kind)]
    if form == "--names":
        _print_names(entries)
    elif form == "--json":
        _print_json(entries)
    elif entries:
        _print_table(entries)
    elif installed:
        _print_nothing(installed, pattern, kind)
    else:
        install = install_advice("regplug-noise", "regplug-weights")
        echo(f"No regularizers are installed. Install some: {install}")


def _is_meant(entry, pattern, kind):
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    found = fnmatch.filter(map(str.lower, entry.names), pattern.lower())
    # without `kind`, no source is read
    return found and (not kind or kind.lower() in entry.kind)


def _print_nothing(installed, pattern, kind):
    if not any(_is_meant(entry, pattern, "") for entry in installed):
        get_entry(pattern)
    kinds = sorted({entry.kind for entry in installed} - {""})
    echo(f"None has the kind {kind!r}. Kinds: {'; '.join(kinds)}.")


def _print_names(entries):
    """Print what can be typed, one name a line; nothing that is blocked."""
    for entry in entries:
        if not entry.blocked:
            echo(entry.qualified_name)


def _print_json(entries):
    """Print all that is known without importing a plugin, as JSON."""
    keys = ["name", "aliases", "package", "version", "kind", "status", "summary"]
    keys.append("conflicts")
    print_json([{key: getattr(entry, key) for key in keys} for entry in entries])


def _print_table(entries):
    """Print a table, and how to name what several packages offer."""
    if (width() or _WIDE) < _WIDE:
        columns = ["Name", "Kind", "Status", "Summary"]
        _print_rows(columns, _rows_by_package(entries), wraps=["Summary"])
    else:
        columns = ["Name", "Aliases", "Package", "Kind", "Status", "Summary"]
        wraps = ["Aliases", "Kind", "Summary"]
        _print_rows(columns, map(_row, entries), wraps)
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
        names = ("regplug-pytensor-ml", "regplug-pymc", "regplug-theanets")
        echo("No adapters are installed. Install the one of your models:")
        for name in names:
            echo(f"  {install_advice(name)}")
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
    package, kind = release(entry), entry.kind
    return entry.name, aliases, package, kind, entry.status, entry.summary


def _rows_by_package(entries):
    """Return rows that leave room: each package and each name has its line."""
    rows: list[tuple[object, ...]] = []
    entries = sorted(entries, key=lambda entry: (release(entry), entry.name))
    for package, own in itertools.groupby(entries, key=release):
        rows.append((package, "", "", ""))
        for entry in own:
            names = [f"  {entry.name}", *(f"    {alias}" for alias in entry.aliases)]
            kind = entry.kind.partition(" ")[0]
            rows.append((names, kind, entry.status, entry.summary))
    return rows


def _print_rows(columns, rows, wraps):
    if width():
        from regplug.tables import console, table

        console().print(table(columns, rows, wraps))
        return
    lines = [list(map(one_line, row)) for row in (columns, *rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        echo("  ".join(map(str.ljust, line, widths)).rstrip())
