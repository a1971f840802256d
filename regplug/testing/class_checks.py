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
from functools import lru_cache
from pathlib import Path

from regplug.authoring.options import REQUIRED, check_options, options_of
from regplug.authoring.regularizer import Regularizer, non_default_options
from regplug.authoring.validation import (
    deprecated_arguments,
    unannotated_attributes,
    validate_class,
)
from regplug.composition.compose import compose, read
from regplug.engine import ENGINES
from regplug.errors import OptionError, listing
from regplug.testing.check import CheckFailure, NotApplicable, check, require
from regplug.testing.isolation import isolated

# types whose values are short, and written as they are annotated
_SHOWN = (bool, int, float, str)
# times the import of NumPy, which regplug needs anyway
SLOW_IMPORT = 5
# seconds; then an import is interrupted
LONGEST = 60
# set in that process: a module that runs the kit must not start another one
_PROBING = "REGPLUG_CHECKS_AN_IMPORT"
_PROBE = """
import importlib, json, os, sys, time
# what is printed, at any time, is no answer
answer = os.dup(1)
os.dup2(2, 1)
start = time.perf_counter()
import numpy
numpy_seconds = time.perf_counter() - start
import regplug.authoring.regularizer, regplug.discovery.registry
before = set(sys.modules)
start = time.perf_counter()
importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - start
found = [seconds, numpy_seconds, list(set(sys.modules) - before)]
os.write(answer, json.dumps(found).encode())
"""


@check
def class_is_accepted(subject):
    """A class that breaks the rules of the interface is refused when it is loaded.

    To do: change the class as the message says; `python -m pydoc
    regplug.authoring.hookspecs` shows every hook.
    """
    fault = validate_class(subject.cls)
    require(not fault, f"the class {fault}")


@check
def no_deprecated_arguments(subject):
    """A deprecated hook argument goes away in a later regplug.

    To do: ask for the argument that takes its place, which the warning names.
    """
    found = deprecated_arguments(subject.cls)
    require(not found, "; ".join(found))


@check
def options_are_declared(subject):
    """What looks like an option must be one, or users cannot set it.

    To do: annotate what users may set; begin the name of a constant with an underscore.
    """
    faults = []
    for name, value in unannotated_attributes(subject.cls).items():
        remedy = "annotate it"
        if type(value) in _SHOWN:
            remedy = f"write `{name}: {type(value).__name__} = {value!r}`"
        faults.append(
            f"{name} has no annotation, so it is no option: "
            f"{remedy}, or `_{name}` for a constant"
        )
    require(not faults, "; ".join(faults))


@check
def constructs_with_defaults(subject):
    """Users begin with the defaults.

    To do: give every option a default that lies in its own range, or `...` if the user
    must give it.
    """
    instance = subject.make()
    defaults = {}
    for name, option in options_of(subject.cls).items():
        if option.default is not REQUIRED:
            defaults[name] = option.default
    check_options(subject.cls, f"the defaults of {subject.name}", defaults)
    compose([instance])
    return f"made as {instance!r}"


@check
def options_round_trip(subject):
    """A composition is kept in a TOML file.

    To do: keep options to numbers, texts, booleans and lists of them, and store each
    one under its own name.
    """
    written = []
    for name, value in subject.options_to_try():
        # options may exclude each other
        with contextlib.suppress(OptionError):
            written.append(non_default_options(subject.make(**{name: value})))
    with isolated() as registry, tempfile.TemporaryDirectory() as folder:
        name, path = registry.add(subject.cls).name, Path(folder) / "regplug.toml"
        compose([(name, options) for options in written]).write(path)
        members = read(path).members
    for before, member in zip(written, members, strict=True):
        after = non_default_options(member.regularizer)
        require(before == after, f"written as {before}, it was read as {after}")


@check
def unknown_option_is_refused(subject):
    """A misspelt option must not be ignored.

    To do: let options be class attributes, or name each in __init__; take no **kwargs
    of your own.
    """
    needed = non_default_options(subject.make())
    try:
        subject.cls(**needed, no_such_option=1)
    except (OptionError, TypeError):
        return
    raise CheckFailure("no_such_option=1 was taken without an error")


@check
def docstring_summary(subject):
    """`regplug list` shows the summary, read from the source.

    To do: begin the class's docstring with one line that says what it does, and a full
    stop.
    """
    first = docstring(subject.cls).partition("\n")[0]
    require(first, "the class has no docstring of its own")
    fault = f"the first line {first!r} is no sentence with a full stop"
    require(first.endswith("."), fault)


@check
def docstring_options(subject):
    """Users read what an option means, its unit and range where they look the class up.

    To do: describe each option in the section Parameters: `name : type, range`, and
    below it what it does.
    """
    described = set()
    for head in re.findall(r"(?m)^\S[^:\n]*", section(subject.cls, "Parameters")):
        described |= {name.strip(" `*") for name in head.split(",")}
    described |= set(options_of(Regularizer))
    missing = [name for name in options_of(subject.cls) if name not in described]
    lacking = ", ".join(missing)
    require(not missing, f"the docstring's section Parameters lacks {lacking}")


@check
def docstring_formula(subject):
    """Peers disagree about formulas of one name, so each says its own.

    To do: add a section Notes with the formula between double backquotes, as computed:
    mean or sum, and factors.
    """
    formula = re.search(r"``[^`]+``|.. math::|::\n", section(subject.cls, "Notes"))
    require(formula, "the docstring has no section Notes with a formula")


@check
def docstring_reference(subject):
    """Users want to know where it comes from.

    To do: add a section References: authors (year). Title. Where; or
    `The authors of PACKAGE.` if it is your own.
    """
    references = section(subject.cls, "References").strip()
    require(references, "the docstring has no section References")


@check
def imports_are_light(subject):
    """Composing imports the module, and a plugin serves the engine that built the
    model.

    To do: use regplug.engine.tensor(x) and regplug.engine.engine_of(x), and import what
    is slow inside the hooks.
    """
    name = subject.cls.__module__
    if _PROBING in os.environ:
        raise NotApplicable(
            "this process is such an import itself: the module runs the kit"
        )
    if name == "__main__":
        raise NotApplicable("another process cannot import '__main__'")
    found = ", ".join(engine_imports(sys.modules.get(name)))
    what = "a plugin serves whichever engine is there"
    require(not found, f"{name} imports {found}: {what}")
    seconds, numpy_seconds, packages = import_report(name)
    imports = listing(packages or ["nothing but regplug and NumPy"])
    note = f"{seconds * 1e3:.0f} ms, imports {imports}"
    engines = ", ".join(name for name in ENGINES if name in packages)
    require(not engines, f"what {name} imports brings {engines} with it ({note})")
    peer = f"NumPy took {numpy_seconds * 1e3:.0f} ms"
    is_quick = seconds <= SLOW_IMPORT * numpy_seconds
    require(is_quick, f"{name} is slow to import ({note}; {peer})")
    return note


@check
def survives_pickling(subject):
    """Work is sent to other processes.

    To do: keep nothing in the instance but its options, and define the class at module
    level.
    """
    subject.require_picklable()
    instance = subject.make()
    again = pickle.loads(pickle.dumps(instance))
    is_same = type(again) is subject.cls and vars(again) == vars(instance)
    require(is_same, f"{instance!r} came back as {again!r}")


def docstring(cls):
    """Return the class's own docstring, without indentation."""
    if sys.flags.optimize > 1:
        raise NotApplicable("python -OO takes all docstrings away")
    return inspect.cleandoc(cls.__doc__ or "")


def section(cls, title):
    """Return a section of a numpydoc docstring; empty where there is none."""
    pattern = rf"(?ms)^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)"
    return "".join(re.findall(pattern, docstring(cls)))


class EngineImports(ast.NodeVisitor):
    """Collect the engines that a module imports at any depth; not those for types."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_If(self, node):
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            # it never runs
            node.body = []
        self.generic_visit(node)

    def visit_Import(self, node):
        for alias in node.names:
            self._add(alias.name, node.lineno)

    def visit_ImportFrom(self, node):
        # a relative import is of the package itself
        if node.module and not node.level:
            self._add(node.module, node.lineno)

    def _add(self, name, line):
        if name.partition(".")[0] in ENGINES:
            self.found.append(f"{name} in line {line}")


def engine_imports(module):
    """Return the engines that the source of a module imports, with their lines."""
    visitor = EngineImports()
    # it may have no source, or one that was changed since
    with contextlib.suppress(TypeError, OSError, SyntaxError):
        visitor.visit(ast.parse(inspect.getsource(module)))
    return visitor.found


def import_report(name):
    """Import a module in a new process.

    Returns
    -------
    tuple of float, float, list of str
        The seconds that it takes, those of NumPy, and the other packages it imports.
    """
    done = _import_elsewhere(name, os.pathsep.join(sys.path))
    if done.returncode or not done.stdout:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise NotApplicable(f"another process could not import {name!r}: {reason}")
    seconds, numpy_seconds, modules = json.loads(done.stdout)
    packages = {module.partition(".")[0] for module in modules}
    packages -= {"numpy", "regplug", "cython_runtime", name.partition(".")[0]}
    packages -= sys.stdlib_module_names
    others = [each for each in packages if not each.startswith("_cython_")]
    return seconds, numpy_seconds, sorted(others)


@lru_cache
def _import_elsewhere(name, path):
    command = [sys.executable, "-c", _PROBE, name]
    env = os.environ | {_PROBING: "1", "PYTHONPATH": path}
    try:
        return subprocess.run(
            command,
            env=env,
            timeout=LONGEST,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        fault = f"importing {name} was interrupted after {LONGEST} s"
        raise CheckFailure(fault) from error
