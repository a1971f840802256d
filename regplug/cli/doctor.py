"""``regplug doctor``: load each regularizer; say what is wrong and what to do."""

import contextlib
import importlib
import io
import os
import platform
import re
import signal
import sys
import time
import traceback
import warnings
from typing import NamedTuple

import click

import regplug
from regplug.authoring.validation import deprecated_arguments
from regplug.cli.entries import find_entries, release
from regplug.cli.lazy_group import json_flag
from regplug.discovery.entry import Entry
from regplug.discovery.leftovers import find_leftovers
from regplug.discovery.metadata import installed_version
from regplug.discovery.registry import ADVICE, available, load
from regplug.discovery.vocabulary import pip_install
from regplug.errors import PluginLoadError
from regplug.output import print_json
from regplug.tables import console, labelled, table

# seconds; a plugin that imports its heavy needs inside its hooks takes milliseconds
SLOW = 5.0
# seconds; then the import is interrupted
LIMIT = 60.0
_LIBRARIES = ("numpy", "pluggy", "annotated-types", "packaging", "click", "rich")
# lines of these say nothing of where in a plugin an import failed
_IMPORTERS = ("<frozen", os.path.dirname(regplug.__file__), importlib.__path__[0])


class Finding(NamedTuple):
    """What loading one regularizer gave.

    Attributes
    ----------
    entry : Entry
    state : str
        ``ok``, ``deprecated``, ``wrong`` or ``blocked``.
    seconds : float
    faults : dict of str to str
        What is wrong -> what to do.
    """

    entry: Entry
    state: str
    seconds: float
    faults: dict[str, str]


@click.command("doctor")
@click.argument("names", nargs=-1)
@json_flag(
    "--report", help="Print JSON for a bug report: versions, packages, what is wrong."
)
def command(names: tuple[str, ...], report: bool) -> None:
    """Load each regularizer, and say what is wrong and what to do.

    NAMES are regularizers or packages; without any, all that are installed are loaded,
    in turn. Exits with 1 where anything is wrong.
    """
    # imports NumPy, which `--help` does not need
    from regplug.engine import ENGINES

    engines = _versions(ENGINES)
    entries = find_entries(names) if names else available()
    findings = list(map(examine, entries))
    if report:
        print_json(_as_json(findings, engines))
    else:
        _print(findings, engines)
    if not engines or any(finding.state == "wrong" for finding in findings):
        sys.exit(1)


def _print(findings, engines):
    output = console()
    engine = ", ".join(map(" ".join, engines.items())) or "none"
    about = f"regplug {regplug.__version__}  Python {platform.python_version()}"
    output.print(f"{about}  engine {engine}\n")
    rows, n_right = [], 0
    for entry, state, seconds, _ in findings:
        rows.append((entry.name, release(entry), f"{seconds * 1e3:.0f} ms", state))
        n_right += state == "ok"
    output.print(table(("Name", "Package", "Time", "State"), rows))
    for entry, _, _, faults in findings:
        if faults:
            output.print()
            output.print(labelled(entry.name, f" ({release(entry)})", "bold red"))
        for fault, remedy in faults.items():
            output.print(labelled("  ", fault))
            output.print(labelled("  What to do: ", f"{remedy}."))
    _print_leftovers(output)
    if not engines:
        # the one that it requires on this Python
        output.print(f"\nNo engine is installed: {pip_install()} regplug")
    output.print(f"\n{n_right} of {len(findings)} right.")


def _print_leftovers(output):
    for folder, what in find_leftovers().items():
        output.print(f"\n{folder} {what}: no package is seen in it.")
        output.print(labelled("  What to do: ", "delete this folder."))


def _as_json(findings, engines):
    from regplug.models import adapters

    models = adapters.available()
    regularizers, packages, blocked = [], {}, set()
    for entry, state, seconds, faults in findings:
        packages[entry.package] = entry.version
        blocked.add(entry.blocked)
        regularizers.append(
            {
                "name": entry.name,
                "package": entry.package,
                "object": entry.value,
                "state": state,
                "seconds": round(seconds, 4),
                "faults": list(faults),
            }
        )
    return {
        "regplug": regplug.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "engines": engines,
        "libraries": _versions(_LIBRARIES),
        "blocked": sorted(blocked - {""}),
        "packages": packages,
        "adapters": {entry.package: entry.version for entry in models},
        "models": _versions(entry.name for entry in models),
        "leftovers": find_leftovers(),
        "regularizers": regularizers,
    }


def _versions(packages):
    """Return the versions of those packages that are installed; none is imported."""
    found = {}
    for package in packages:
        version = installed_version(package)
        if version is not None:
            found[package] = version
    return found


def examine(entry: Entry) -> Finding:
    """Load one regularizer; what is blocked is left alone."""
    if entry.blocked:
        return Finding(entry, "blocked", 0, {})
    authors = f"report it to the authors of {entry.package}"
    start = time.perf_counter()
    with _capture_output() as (captured, output):
        faults, deprecated = _load(entry, authors)
        does = _what_it_does(captured, output)
    seconds = time.perf_counter() - start
    if not faults and seconds > SLOW:
        advice = "what is slow is best imported inside the hooks"
        faults[f"importing it took {seconds:.1f} s."] = f"{authors}: {advice}"
    for what in does:
        faults[f"it {what}."] = authors
    if not faults and entry.static_error:
        faults[f"{entry.static_error}."] = authors
    if entry.conflicts:
        rivals = ", ".join(entry.conflicts)
        remedy = f"write {entry.package}/{entry.name}, or uninstall one of the packages"
        faults[f"{rivals} offers something else under the same name."] = remedy
    state = "ok"
    if deprecated:
        state = "deprecated"
    if faults:
        state = "wrong"
    return Finding(entry, state, seconds, faults | deprecated)


def _load(entry, authors):
    """Return what is wrong, and what is deprecated, each with what to do."""
    try:
        with _limit(LIMIT):
            deprecated = deprecated_arguments(load(entry))
    except PluginLoadError as error:
        return {_fault(entry, error): _remedy(entry, error.__cause__)}, {}
    except _TooLong:
        return {f"importing it was interrupted after {LIMIT:g} s.": authors}, {}
    return {}, {f"{text}.": authors for text in deprecated}


class _Captured(io.BytesIO):
    is_closed = False

    def close(self):
        """Note it, for what was printed is still asked for."""
        self.is_closed = True


@contextlib.contextmanager
def _capture_output():
    """Take what is printed; warnings, which are no prints, are left out."""
    captured = _Captured()
    # a whole stream, for some ask for its buffer, or configure it
    output = io.TextIOWrapper(captured, "utf-8", "backslashreplace", write_through=True)
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield captured, output


def _what_it_does(captured, output):
    """Return what an import did to the standard streams, in words."""
    does = []
    is_replaced = sys.stdout is not output or sys.stderr is not output
    if is_replaced or captured.is_closed:
        does.append("closes or replaces sys.stdout or sys.stderr when it is imported")
    printed = " ".join(captured.getvalue().decode("utf-8", "replace").split())[:200]
    if printed:
        does.append(f"prints when it is imported: {printed!r}")
    return does


class _TooLong(KeyboardInterrupt):
    """Raised within a plugin's import; no Exception, for plugins catch these.

    regplug names whatever else a plugin raises, and lets an interrupt pass.
    """


@contextlib.contextmanager
def _limit(seconds):
    """Interrupt what runs for longer, where there is an alarm (Windows has none)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(signum, frame):
        raise _TooLong

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _fault(entry, error):
    """Return what an error says, with the file and line in which an import failed."""
    fault = str(error).removesuffix(ADVICE.format(entry.name)).strip()
    cause = error.__cause__
    place = ""
    # the message of a syntax error ends with its place
    if cause is not None and not isinstance(cause, SyntaxError):
        for frame in traceback.extract_tb(cause.__traceback__):
            if not frame.filename.startswith(_IMPORTERS):
                place = f" ({frame.filename}, line {frame.lineno})"
    return fault + place


def _remedy(entry, error):
    pip, package = pip_install(), entry.package
    remedy = f"upgrade it ({pip} --upgrade {package}), report it to its authors"
    if entry.incompatible:
        remedy = f"install versions that fit ({pip} --upgrade regplug {package})"
    elif isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        if module != re.split("[.:]", entry.value)[0]:
            what = f"install what has the module {module!r} (such as: {pip} {module})"
            return f"{what}; {package} should require it"
        remedy = f"install it anew ({pip} --force-reinstall {package})"
    return f"{remedy}, or uninstall it"
