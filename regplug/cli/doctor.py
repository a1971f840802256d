"""``regplug doctor``: load each regularizer in turn; say what is wrong and what to do."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import platform
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import click
from packaging.utils import canonicalize_name

import regplug
from regplug.authoring.validation import deprecated_arguments
from regplug.discovery import registry
from regplug.errors import PluginLoadError

SLOW = 5.0  # seconds; a plugin that imports its heavy needs inside its hooks takes milliseconds
_LIBRARIES = ("numpy", "pluggy", "annotated-types", "packaging", "click", "rich")
LIMIT = 60.0  # seconds; then the import is interrupted


class Finding(NamedTuple):
    """What loading one regularizer gave: the state, the time, and what is wrong -> what to do."""

    entry: registry.Entry
    state: str
    seconds: float
    faults: dict[str, str]


@click.command("doctor")
@click.argument("names", nargs=-1)
@click.option(
    "--report",
    is_flag=True,
    help="Print JSON for a bug report: versions, packages, what is wrong.",
)
def command(names: tuple[str, ...], report: bool) -> None:
    """Load each regularizer, and say what is wrong and what to do.

    NAMES are regularizers or packages; without any, all that are installed are loaded, in turn.
    Exits with 1 where anything is wrong.
    """
    is_right = _report(names) if report else _print(names)
    if not is_right:
        sys.exit(1)


def _print(names: tuple[str, ...]) -> bool:
    from rich.text import Text

    from regplug.tables import console, table

    output = console()
    from regplug.engine import ENGINES  # imports NumPy, which `--help` does not need

    found = versions(ENGINES)
    output.print(
        Text.assemble(
            ("regplug ", "bold"),
            regplug.__version__,
            "  ",
            ("Python ", "bold"),
            platform.python_version(),
            "  ",
            ("engine ", "bold"),
            ", ".join(f"{name} {version}" for name, version in found.items()) or "none",
            "\n",
        )
    )
    findings = []
    for entry in entries(names):
        with output.status(f"{entry.name} ({entry.package})"):
            findings.append(examine(entry))
    rows = [
        (f.entry.name, _who(f.entry), f"{f.seconds * 1e3:.0f} ms", f.state)
        for f in findings
    ]
    output.print(table(("Name", "Package", "Time", "State"), rows))
    faulty = [finding for finding in findings if finding.faults]
    for finding in faulty:
        output.print(
            Text.assemble(
                "\n", (finding.entry.name, "bold red"), f" ({_who(finding.entry)})"
            )
        )
        for fault, remedy in finding.faults.items():
            output.print(Text(f"  {fault}"), soft_wrap=True)
            output.print(
                Text.assemble(("  What to do: ", "bold"), f"{remedy}."), soft_wrap=True
            )
    if not found:
        engine = "theano" if sys.version_info < (3, 11) else "pytensor"
        output.print(f"\nNo engine is installed: python -m pip install {engine}")
    right = sum(finding.state == "ok" for finding in findings)
    output.print(
        f"\n{right} of {len(findings)} right."
        if findings
        else "No regularizers are installed."
    )
    return bool(found) and not any(finding.state == "wrong" for finding in findings)


def _report(names: tuple[str, ...]) -> bool:
    findings = [examine(entry) for entry in entries(names)]
    from regplug.engine import ENGINES
    from regplug.models import adapters

    found = versions(ENGINES)
    content = {
        "regplug": regplug.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "engines": found,
        "libraries": versions(_LIBRARIES),
        "blocked": sorted({finding.entry.blocked for finding in findings} - {""}),
        "packages": {
            finding.entry.package: finding.entry.version for finding in findings
        },
        "adapters": {entry.package: entry.version for entry in adapters.available()},
        "models": versions(entry.name for entry in adapters.available()),
        "regularizers": [
            {
                "name": entry.name,
                "package": entry.package,
                "object": entry.value,
                "state": state,
                "seconds": round(seconds, 4),
                "faults": list(faults),
            }
            for entry, state, seconds, faults in findings
        ],
    }
    click.echo(json.dumps(content, indent=2))
    return bool(found) and not any(finding.state == "wrong" for finding in findings)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed; none is imported."""
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _who(entry: registry.Entry) -> str:
    return f"{entry.package} {entry.version}"


def entries(names: tuple[str, ...]) -> list[registry.Entry]:
    """Return the entries behind the names, all of a conflict; all there are, where no name is given."""
    everything = registry.available()
    if not names:
        return everything
    found = []
    for name in names:
        offers = [
            entry
            for entry in everything
            if name in (entry.name, *entry.aliases)
            or canonicalize_name(name) == canonicalize_name(entry.package)
        ]
        found += offers or [registry.get_entry(name)]
    return list({(entry.package, entry.value): entry for entry in found}.values())


def examine(entry: registry.Entry) -> Finding:
    """Load one regularizer; note the time it takes and what is wrong. What is blocked is left alone."""
    if entry.blocked:
        return Finding(entry, "blocked", 0, {})
    author = f"report it to the authors of {entry.package}"
    faults: dict[str, str] = {}  # what is wrong -> what to do
    deprecated: list[str] = []
    output = io.StringIO()
    start = time.perf_counter()
    try:
        with (
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            warnings.catch_warnings(),
            _limit(LIMIT),
        ):
            warnings.simplefilter("ignore")
            deprecated = deprecated_arguments(registry.load(entry))
    except PluginLoadError as error:
        fault = str(error).removesuffix(registry.ADVICE.format(entry.name)).strip()
        faults[fault + _place(error.__cause__)] = _remedy(entry, error.__cause__)
    except TimeoutError:
        faults[f"importing it was interrupted after {LIMIT:g} s."] = author
    seconds = time.perf_counter() - start
    if not faults and seconds > SLOW:
        faults[f"importing it took {seconds:.1f} s."] = (
            f"{author}: what is slow is best imported inside the hooks"
        )
    if text := output.getvalue().strip():
        faults[f"it prints when it is imported: {' '.join(text.split())[:200]!r}."] = (
            author
        )
    if not faults and entry.static_error:
        faults[f"{entry.static_error}."] = author
    if entry.conflicts:
        faults[
            f"{', '.join(entry.conflicts)} offers something else under the same name."
        ] = f"write {entry.package}/{entry.name}, or uninstall one of the packages"
    state = "wrong" if faults else "deprecated" if deprecated else "ok"
    return Finding(
        entry,
        state,
        seconds,
        faults | dict.fromkeys((f"{text}." for text in deprecated), author),
    )


@contextlib.contextmanager
def _limit(seconds: float) -> Iterator[None]:
    """Interrupt what runs for longer, where the system has an alarm (Windows has none)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(signum, frame):
        raise _TooLong

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _TooLong:
        raise TimeoutError from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _TooLong(BaseException):
    """Raised within a plugin's import: it is no Exception, so that plugins do not catch it."""


def _place(error: BaseException | None) -> str:
    """Return the file and line in which an import failed; nothing where that was in the import system."""
    if error is None or isinstance(
        error, SyntaxError
    ):  # whose message ends with the place
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        (frame.filename, frame.lineno)
        for frame in frames
        if not frame.filename.startswith("<frozen")
    ]
    file, line = places[-1] if places else ("", 0)
    inside = file.startswith((os.path.dirname(regplug.__file__), importlib.__path__[0]))
    return "" if inside or not file else f" ({file}, line {line})"


def _remedy(entry: registry.Entry, error: BaseException | None) -> str:
    package = entry.package
    if entry.incompatible:
        return f"install versions that fit (python -m pip install --upgrade regplug {package}), or uninstall it"
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if top == re.split("[.:]", entry.value)[0]:
            return f"install it anew (python -m pip install --force-reinstall {package}), or uninstall it"
        how = f"such as: python -m pip install {top}"
        return (
            f"install what has the module {top!r} ({how}); {package} should require it"
        )
    return f"upgrade it (python -m pip install --upgrade {package}), report it to its authors, or uninstall it"
