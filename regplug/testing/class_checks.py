"""Checks of the class: the rules of the interface, options, docstring, imports."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from regplug.authoring.options import REQUIRED, options_of
from regplug.authoring.regularizer import non_default_options
from regplug.authoring.validation import (
    deprecated_arguments,
    unannotated_attributes,
    validate_class,
)
from regplug.composition.compose import compose, read
from regplug.engine import ENGINES
from regplug.errors import OptionError, listing
from regplug.testing.check import CheckFailure, NotApplicable, check
from regplug.testing.isolation import isolated
from regplug.testing.subject import Subject
from regplug.testing.values import BASE, values

_SHOWN = (
    bool,
    int,
    float,
    str,
)  # types whose values are short, and written as they are annotated
SLOW_IMPORT = 5  # times the import of NumPy, which regplug needs anyway
LONGEST = 60  # seconds; then an import is interrupted
_PROBING = "REGPLUG_CHECKS_AN_IMPORT"  # set in that process: a module that runs the kit must not start another one
_PROBE = """
import importlib, json, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import regplug, regplug.authoring.regularizer, regplug.discovery.registry
sys.path[:] = json.loads(sys.argv[2])
before = set(sys.modules)
begin = time.perf_counter()
try:
    importlib.import_module(sys.argv[1])
except BaseException as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
else:
    seconds = time.perf_counter() - begin
    tops = {name.partition(".")[0] for name in set(sys.modules) - before}
    known = {"numpy", "regplug", "cython_runtime", sys.argv[1].partition(".")[0], *sys.stdlib_module_names}
    names = sorted(top for top in tops - known if not top.startswith("_cython_"))
    print(json.dumps({"seconds": seconds, "numpy": middle - start, "names": names}))
"""


@check("change the class as the message says; plugins/README.md shows every hook")
def class_is_accepted(subject):
    """A class that breaks the rules of the interface is refused when it is loaded."""
    fault = validate_class(subject.cls)
    if fault:
        raise CheckFailure(f"the class {fault}")


@check("ask for the argument that takes its place, which the warning names")
def no_deprecated_arguments(subject):
    """A deprecated hook argument goes away in a later regplug."""
    if found := deprecated_arguments(subject.cls):
        raise CheckFailure("; ".join(found))


@check("annotate what users may set; begin the name of a constant with an underscore")
def options_are_declared(subject):
    """What looks like an option must be one, or users cannot set it."""
    faults = []
    for name, value in unannotated_attributes(subject.cls).items():
        option = (
            f"write `{name}: {type(value).__name__} = {value!r}`"
            if type(value) in _SHOWN
            else "annotate it"
        )
        faults.append(
            f"{name} has no annotation, so it is no option: {option}, or `_{name}` for a constant"
        )
    if faults:
        raise CheckFailure("; ".join(faults))


@check(
    "give every option a default that lies in its own range, or `...` if the user must give it"
)
def constructs_with_defaults(subject):
    """Users begin with the defaults."""
    instance = subject.make()
    for name, option in options_of(subject.cls).items():
        if option.default is not REQUIRED and not isinstance(option.default, Mapping):
            try:
                option.check(option.default)
            except ValueError as error:
                raise CheckFailure(
                    f"the default of {name!r} is not valid: {error}"
                ) from error
    compose([instance])
    return f"made as {instance!r}"


@check(
    "keep options to numbers, texts, booleans and lists of them, and store each one under its own name"
)
def options_round_trip(subject):
    """A composition is kept in a TOML file."""
    asked = []
    for name, value in tried_values(subject):
        with contextlib.suppress(OptionError):  # options may exclude each other
            asked.append(non_default_options(subject.make(**{name: value})))
    with isolated() as registry, tempfile.TemporaryDirectory() as folder:
        name, path = registry.add(subject.cls).name, Path(folder) / "regplug.toml"
        compose([(name, options) for options in asked]).write(path)
        found = [
            non_default_options(member.regularizer) for member in read(path).members
        ]
    for before, after in zip(asked, found, strict=True):
        if before != after:
            raise CheckFailure(f"written as {before}, it was read as {after}")


@check(
    "let options be class attributes, or name each in __init__; take no **kwargs of your own"
)
def unknown_option_is_refused(subject):
    """A misspelt option must not be ignored."""
    known = options_of(subject.cls)
    needed = {key: value for key, value in vars(subject.make()).items() if key in known}
    try:
        subject.cls(**needed, no_such_option=1)
    except (OptionError, TypeError):
        return
    raise CheckFailure("no_such_option=1 was taken without an error")


@check(
    "begin the class's docstring with one line that says what it does, and a full stop"
)
def docstring_summary(subject):
    """`regplug list` shows the summary, read from the source."""
    first = docstring(subject.cls).partition("\n")[0]
    if not first:
        raise CheckFailure("the class has no docstring of its own")
    if not first.endswith("."):
        raise CheckFailure(f"the first line {first!r} is no sentence with a full stop")


@check(
    "describe each option in the section Parameters: `name : type, range`, and below it what it does"
)
def docstring_options(subject):
    """Users read what an option means, its unit and range where they look the class up."""
    options = [name for name in options_of(subject.cls) if name not in BASE]
    heads = re.findall(r"(?m)^\S[^:\n]*", section(subject.cls, "Parameters"))
    described = {name.strip(" `*") for head in heads for name in head.split(",")}
    if missing := [name for name in options if name not in described]:
        raise CheckFailure(
            f"the docstring's section Parameters lacks {', '.join(missing)}"
        )


@check(
    "add a section Notes with the formula between double backquotes, as computed: mean or sum, and factors"
)
def docstring_formula(subject):
    """Peers disagree about formulas of one name, so each says its own."""
    notes = section(subject.cls, "Notes")
    if not re.search(r"``[^`]+``|.. math::|::\n", notes):
        raise CheckFailure("the docstring has no section Notes with a formula")


@check(
    "add a section References: authors (year). Title. Where; or `The authors of PACKAGE.` if it is your own"
)
def docstring_reference(subject):
    """Users want to know where it comes from."""
    if not section(subject.cls, "References").strip():
        raise CheckFailure("the docstring has no section References")


@check(
    "use regplug.engine.tensor(x) and regplug.engine.engine_of(x), and import what is slow inside the hooks"
)
def imports_are_light(subject):
    """Composing imports the module, and a plugin serves the engine that built the model."""
    if _PROBING in os.environ:
        raise NotApplicable(
            "this process is such an import itself: the module runs the kit when it is imported"
        )
    module: Any = sys.modules.get(subject.cls.__module__)
    if not getattr(module, "__file__", None) or module.__name__ == "__main__":
        raise NotApplicable(
            f"the module {subject.cls.__module__!r} cannot be imported by another process"
        )
    if found := engine_imports(module):
        raise CheckFailure(
            f"{module.__name__} imports {', '.join(found)}: a plugin serves whichever engine is there"
        )
    seen = import_report(module.__name__, tuple(sys.path))
    if "error" in seen:
        raise NotApplicable(
            f"another process could not import {module.__name__!r}: {seen['error']}"
        )
    names = listing(seen["names"]) if seen["names"] else "nothing but regplug and NumPy"
    note = f"{seen['seconds'] * 1e3:.0f} ms, imports {names}"
    if engines := set(ENGINES) & set(seen["names"]):
        raise CheckFailure(
            f"what {module.__name__} imports brings {', '.join(engines)} with it ({note})"
        )
    if seen["seconds"] > SLOW_IMPORT * seen["numpy"]:
        raise CheckFailure(
            f"{module.__name__} is slow to import ({note}; NumPy took {seen['numpy'] * 1e3:.0f} ms)"
        )
    return note


@check(
    "keep nothing in the instance but its options, and define the class at module level"
)
def survives_pickling(subject):
    """Work is sent to other processes."""
    if "<locals>" in subject.cls.__qualname__ or subject.cls.__module__ == "__main__":
        raise NotApplicable(
            "a class that is defined inside a function cannot be pickled"
        )
    instance = subject.make()
    again = pickle.loads(pickle.dumps(instance))
    if type(again) is not subject.cls or vars(again) != vars(instance):
        raise CheckFailure(f"{instance!r} came back as {again!r}")


def tried_values(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Yield each option of the class's own, and the weight, with each value that its type and range suggest."""
    for name, option in options_of(subject.cls).items():
        if name in ("pattern", "name", "optional") or (
            name == "weight" and name not in vars(subject.make())
        ):
            continue
        for value in values(option):
            yield name, value


def docstring(cls: type) -> str:
    """Return the class's own docstring, without indentation."""
    return inspect.cleandoc(vars(cls).get("__doc__") or "")


def section(cls: type, title: str) -> str:
    """Return a section of a numpydoc docstring; empty where there is none."""
    found = re.search(
        rf"(?ms)^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", docstring(cls)
    )
    return found.group(1) if found else ""


def engine_imports(module: ModuleType) -> list[str]:
    """Return the engines that the source of a module imports, at any depth, with their lines; not those for types."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, SyntaxError):  # it has no source, or one that was changed since
        return []
    found: list[tuple[int, str]] = []
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in (
            "TYPE_CHECKING",
            "typing.TYPE_CHECKING",
        ):
            nodes += node.orelse  # nothing else runs
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = (
                    [] if node.level else [node.module or ""]
                )  # a relative import is of the package itself
            found += [
                (node.lineno, name)
                for name in names
                if name.partition(".")[0] in ENGINES
            ]
        nodes += ast.iter_child_nodes(node)
    return [f"{name} in line {line}" for line, name in sorted(found)]


@lru_cache
def import_report(module: str, path: tuple[str, ...]) -> dict[str, Any]:
    """Import a module in a new process; return the seconds, those of NumPy, and the other packages it imports."""
    command = [sys.executable, "-c", _PROBE, module, json.dumps(path)]
    try:
        done = subprocess.run(
            command,
            env=os.environ | {_PROBING: "1"},
            timeout=LONGEST,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckFailure(
            f"importing {module} was interrupted after {LONGEST} s"
        ) from error
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else {"error": done.stderr.strip()[-300:]}
