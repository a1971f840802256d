"""Classes put together at random, of parts that are right, careless or hostile."""

from __future__ import annotations

import io
import json
import random
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress

import numpy as np
import pytest
from click.testing import CliRunner

import regplug
from regplug.cli.lazy_group import command_line
from regplug.errors import RegplugError

BEGINNING = """
import os, sys, threading
import numpy as np
from typing import Annotated, Any, Literal
from regplug import Regularizer, hookimpl

class Panic(BaseException):
    def __str__(self): raise Panic

class Odd:
    def __getattribute__(self, name): raise Panic

class Text(str):
    def __str__(self): raise Panic
    def __format__(self, spec): raise Panic
    def __eq__(self, other): raise Panic
    __hash__ = str.__hash__

class Meta(type):
    pass
"""
VALUES = [
    *("None", "...", "3", "-1", "0.5", "float('nan')", "10 ** 400", "1j", "True"),
    *("''", "'a/b'", "'\\x1b[31m\\u202e'", "'\\ud800'", "b'*'", "Text('x')", "'*.w'"),
    *(
        "[]",
        "['*']",
        "[[]]",
        "{}",
        "{(1, 2): 3}",
        "set()",
        "np.zeros(3)",
        "np.float32(1)",
    ),
    *(
        "Odd()",
        "Odd",
        "Panic",
        "Panic()",
        "lambda *args: None",
        "property(len)",
        "object()",
    ),
    *("{'schedule': 'linear'}", "type('T', (), {'__repr__': None})()", "range(3)"),
]
ANNOTATIONS = [
    "float",
    "int",
    "str",
    "Any",
    "'Missing'",
    "Odd",
    "list[str]",
    "3",
    "None",
]
ANNOTATIONS += [
    "Annotated[float, 3]",
    "Literal['a']",
    "tuple[int, ...]",
    "float | None",
]
NAMES = ["name", "weight", "pattern", "optional", "targets", "applies", "loss", "value"]
NAMES += [
    "selects",
    "log",
    "__doc__",
    "__slots__",
    "__module__",
    "__qualname__",
    "target",
]
STATEMENTS = [
    *("raise Panic", "raise SystemExit", "raise GeneratorExit", "raise StopIteration"),
    *(
        "raise ValueError('\\x1b]0;title\\x07')",
        "raise Text('x')",
        "yield",
        "return Odd()",
    ),
    *(
        "return None",
        "return 0",
        "return value",
        "return matched",
        "return {}",
        "return 1j",
    ),
    *("print('noise')", "warnings.warn('x')", "outputs['x'] = 3", "value.name = 3"),
    *("return {name: None for name in matched}", "return np.zeros(3)", "return weight"),
    *("return sum((w ** 2).sum() for w in matched.values())", "return value * 2"),
    *(
        "return self.missing",
        "self.weight = 3; return 0",
        "del self.weight",
        "return self",
    ),
    *(
        "outputs.clear()",
        "return -value",
        "return value.T",
        "matched.clear(); return 0",
    ),
]
METHODS = [
    "__repr__",
    "__eq__",
    "__hash__",
    "__init__",
    "__new__",
    "__getattr__",
    "__bool__",
]
METHODS += [
    "__getattribute__",
    "__setattr__",
    "__dir__",
    "__class__",
    "__init_subclass__",
]
HOOKS = ["modify_graph", "loss", "constrain", "log", "selects"]
ARGUMENTS = ["self", "value", "matched", "outputs", "weight", "name", "layers", "noise"]
ARGUMENTS += ["state", "epoch", "weight=1", "*args", "**options", "variable", "before"]
MODULE = [
    "",
    "",
    "",
    "",
    "raise Panic",
    "sys.exit()",
    "import no_such_module",
    "print('noise')",
]
MODULE += [
    "raise Text('x')",
    "del Meta",
    "sys.stdout = None",
    "Bad = 3",
    "{",
    "raise Odd()",
]


def method(chance, name, decorator=""):
    arguments = ["self", *chance.sample(ARGUMENTS[1:], chance.randrange(3))]
    if chance.random() < 0.15:
        arguments = chance.sample(ARGUMENTS, chance.randrange(4))
    if chance.random() < 0.1:
        decorator = chance.choice(
            ["", "@staticmethod", "@hookimpl(wrapper=True)", "@property"]
        )
    lines = [
        decorator,
        f"def {name}({', '.join(arguments)}):",
        f"    {chance.choice(STATEMENTS)}",
    ]
    return [f"    {line}" for line in lines if line]


def written(chance):
    """Return the source of a module with a class `Bad`."""
    lines = [BEGINNING]
    if chance.random() < 0.3:
        lines += ["class Meta(type):", *method(chance, chance.choice(METHODS))]
    lines += ["class Bad(Regularizer, metaclass=Meta):"]
    lines += [f"    {chance.choice(['pass', repr('text'), '__doc__ = 3'])}"]
    lines += [f"    targets = {chance.choice(['outputs', 'params', 'params'])!r}"]
    for _ in range(chance.randrange(3)):
        name, value = chance.choice(NAMES), chance.choice(VALUES)
        annotation = f": {chance.choice(ANNOTATIONS)}" * (chance.random() < 0.5)
        lines.append(f"    {name}{annotation} = {value}")
    for hook in chance.sample(HOOKS, chance.randrange(1, 3)):
        lines += method(chance, hook, "@hookimpl" * (hook != "selects"))
    if chance.random() < 0.3:
        lines += method(chance, chance.choice(METHODS))
    if chance.random() < 0.2:
        lines.append(f"Bad.{chance.choice(NAMES)} = {chance.choice(VALUES)}")
    return "\n".join([*lines, chance.choice(MODULE), ""])


@pytest.fixture
def outputs(engine, T):
    x, y = T.matrix("x", dtype="float64"), T.matrix("y", dtype="float64")
    w = engine.shared(np.eye(2), name="hid.w")
    return {"in:out": x, "hid:out": T.dot(x, w), "y": y}, w


def test_random_classes_are_named_and_harm_no_other(package, outputs, seeds):
    good = "from regplug import Regularizer, hookimpl\nclass Good(Regularizer):\n    targets = 'params'\n"
    good += "    @hookimpl\n    def loss(self, matched):\n        return sum(w.sum() for w in matched.values())\n"
    package("rp-good", {"good": "rp_good:Good"}, "rp_good", good)
    folder = package("rp-bad", {"bad": "rp_bad:Bad"}, "rp_bad", "")
    for seed in seeds:
        source = written(random.Random(seed))
        (folder / "rp_bad.py").write_text(source, "utf-8", "surrogatepass")
        sys.modules.pop("rp_bad", None)
        with suppress(OSError):
            for file in (folder / "__pycache__").glob("rp_bad*"):
                file.unlink()
        try:
            use(*outputs)
        except BaseException:
            print(f"seed {seed}:\n{source.removeprefix(BEGINNING)}")
            raise


def use(outputs, w):
    """Have each command, and a composition, meet the class; each may refuse it with words."""
    rows = {row["name"]: row for row in json.loads(said("list", "--json"))}
    assert rows["good"]["status"] == "installed"
    for words in (["list"], ["show", "bad"], ["show", "bad", "--json"]):
        said(*words)
    said("doctor", "rp-good", "rp-bad")
    assert "good" in said("show", "good")
    stdout = sys.stdout
    for item in ("bad", "bad=1"):
        with (
            suppress(RegplugError),
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            manager = regplug.compose(["good=1", item])
            repr(manager)
            manager.apply(outputs, [w]).constrain({w: w * 2})
    sys.stdout = stdout
    regplug.compose(["good=1"]).apply(outputs, [w])


def said(*words):
    """Return what a command printed; it ended as commands do."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(command_line, words, prog_name="regplug")
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    return result.output
