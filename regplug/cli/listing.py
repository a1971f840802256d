"""What ``regplug list`` prints. Neither click nor rich is imported for it, unless rich has a terminal to write to."""

from __future__ import annotations

import itertools
import sys

from regplug.discovery.registry import Entry, available


def show(form: str = "") -> None:
    """Print what is installed, in a form: a table, ``--json``, ``--names``, or ``--models``."""
    {
        "": print_table,
        "--json": print_json,
        "--names": print_names,
        "--models": print_models,
    }[form]()


def print_names() -> None:
    """Print one name a line, each of which can be typed; none of what is blocked."""
    sys.stdout.write(
        "".join(
            f"{entry.qualified_name}\n" for entry in available() if not entry.blocked
        )
    )


def print_json() -> None:
    """Print all that is known without importing a plugin."""
    import json

    keys = ("name", "aliases", "package", "version", "status", "summary", "conflicts")
    print(
        json.dumps(
            [{key: getattr(entry, key) for key in keys} for entry in available()],
            indent=2,
        )
    )


def print_table() -> None:
    """Print a table, and how to name what several packages offer."""
    entries = available()
    if not entries:
        print(
            "No regularizers are installed. Install a package that offers some, such as:"
        )
        print("python -m pip install regplug-noise regplug-weights")
        return
    if sys.stdout.isatty():
        _print_on_terminal(entries)
    else:
        _print_piped(
            [("Name", "Aliases", "Package", "Status", "Summary"), *map(_row, entries)]
        )
    faulty = [
        entry.name for entry in entries if entry.status in ("broken", "incompatible")
    ]
    if faulty:
        print(f"\nFor what to do: regplug doctor {' '.join(dict.fromkeys(faulty))}")
    offers: dict[str, list[str]] = {}
    for entry in entries:
        for name in (entry.name, *entry.aliases) if entry.status == "conflict" else ():
            offers.setdefault(name, []).append(f"{entry.package}/{name}")
    for name, handles in sorted(offers.items()):
        if len(handles) > 1:
            print(
                f"\n{name!r} is offered by several packages. Write {' or '.join(handles)}."
            )


def print_models() -> None:
    """Print the libraries whose models can be regularized as they are, and what their adapters need."""
    from regplug.models import adapters

    entries = adapters.available()
    if not entries:
        print(
            "No adapters for models of other libraries are installed. Install a package that offers one, such as:"
        )
        print("python -m pip install regplug-pytensor-ml regplug-pymc regplug-theanets")
        return
    columns = ("Models of", "Package", "Status", "Summary")
    rows = [
        (entry.name, f"{entry.package} {entry.version}", _needs(entry), entry.summary)
        for entry in entries
    ]
    if sys.stdout.isatty():
        from regplug.tables import console, table

        console().print(table(columns, rows, wraps=["Status", "Summary"]))
    else:
        _print_piped([columns, *rows])


def _needs(entry: Entry) -> str:
    from regplug.models import adapters

    faults = adapters.missing(entry)
    return (
        f"needs {'; '.join(faults)}"
        if entry.status == "installed" and faults
        else entry.status
    )


def _print_piped(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
        )


def _row(entry: Entry) -> tuple[str, str, str, str, str]:
    aliases, package = ", ".join(entry.aliases), f"{entry.package} {entry.version}"
    return entry.name, aliases, package, entry.status, entry.summary


def _print_on_terminal(entries: list[Entry]) -> None:
    from regplug.tables import console, table

    output = console()
    if output.width >= 120:
        columns: tuple[str, ...] = ("Name", "Aliases", "Package", "Status", "Summary")
        output.print(table(columns, map(_row, entries), wraps=["Aliases", "Summary"]))
        return
    rows: list[tuple[str, str, str]] = []
    packages = sorted(entries, key=lambda entry: (entry.package, entry.name))
    for package, own in itertools.groupby(
        packages, key=lambda entry: f"{entry.package} {entry.version}"
    ):
        rows += [
            (package, "", ""),
            *(
                ("  " + "\n    ".join([e.name, *e.aliases]), e.status, e.summary)
                for e in own
            ),
        ]
    output.print(table(("Name", "Status", "Summary"), rows, wraps=["Summary"]))
