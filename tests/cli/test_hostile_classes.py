"""Classes that raise whatever is asked of them: each is named, and no command ends in a foreign traceback."""

from __future__ import annotations

import io
import json
import sys

import pytest

import regplug
from regplug.errors import RegplugError

BEGINNING = "from regplug import Regularizer, hookimpl\n"
BODY = """
    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum(abs(w).sum() for w in matched.values())
"""
META = BEGINNING + "class Meta(type):\n    def {method}: {body}\n\n"
HOSTILE = META + "class Bad(Regularizer, metaclass=Meta):" + BODY
PANIC = "class PanicException(BaseException): pass\n"
UNSHOWN = """
class Unshown(Exception):
    def __str__(self): raise RuntimeError("no text")
    __repr__ = __str__
"""
DEFAULT = (
    BEGINNING
    + """
class Value:
    def {method}(self, *other): raise RuntimeError("no {method}")

class Bad(Regularizer):
    value: Value = Value()
"""
    + BODY
)

# what a module does -> what is said of it, by the commands that load it
REFUSED = {
    "panic": (PANIC + "raise PanicException('rust')\n", "PanicException: rust"),
    "exit": ("import sys\nsys.exit()\n", "SystemExit"),
    "exit_with_object": ("raise SystemExit(object)\n", "SystemExit"),
    "generator_exit": ("raise GeneratorExit\n", "GeneratorExit"),
    "stop_iteration": ("raise StopIteration\n", "StopIteration"),
    "error_without_text": (UNSHOWN + "raise Unshown\n", "Unshown: <Unshown, which"),
    "import_error_without_text": (
        UNSHOWN + "class Worse(Unshown, ImportError): pass\nraise Worse\n",
        "Worse: <Worse, which",
    ),
    "recursion": ("def f(): f()\nf()\n", "RecursionError"),
    "memory": ("raise MemoryError\n", "MemoryError"),
    "dir": (
        HOSTILE.format(method="__dir__(cls)", body="raise SystemExit"),
        "cannot be inspected: SystemExit",
    ),
    "getattribute": (
        HOSTILE.format(
            method="__getattribute__(cls, name)", body="raise OSError(name)"
        ),
        "cannot be inspected: OSError",
    ),
    "metaclass_hash": (
        HOSTILE.format(method="__hash__(cls)", body="raise OSError"),
        "cannot be inspected: OSError",
    ),
    "metaclass_repr": (
        META.format(method="__repr__(cls)", body="raise OSError")
        + "class Bad(metaclass=Meta): pass\n",
        "is not a subclass of regplug.Regularizer",
    ),
    "instance_check": (
        "class Odd:\n    @property\n    def __class__(self): raise OSError\nBad = Odd()\n",
        "cannot be inspected: OSError",
    ),
    "hash": (
        BEGINNING
        + "class Bad(Regularizer):\n    def __hash__(self): raise OSError\n"
        + BODY,
        "defines __hash__",
    ),
    "hook_without_self": (
        BEGINNING
        + "class Bad(Regularizer):\n    @hookimpl\n    def loss(): return 0\n",
        "hook 'loss' is no method whose first argument is self: write def loss(self, ...)",
    ),
    "hook_without_self_but_matched": (
        BEGINNING
        + "class Bad(Regularizer):\n    @hookimpl\n    def loss(matched): return 0\n",
        "hook 'loss' is no method whose first argument is self",
    ),
    "static_hook": (
        BEGINNING
        + "class Bad(Regularizer):\n    @staticmethod\n    @hookimpl\n    def loss(matched): return 0\n",
        "hook 'loss' is no method whose first argument is self",
    ),
    "name": (
        BEGINNING + "class Bad(Regularizer):\n    name = 3\n" + BODY,
        "has name = 3 is not",
    ),
    "pattern": (
        BEGINNING + "class Bad(Regularizer):\n    pattern = 3\n" + BODY,
        "has pattern = 3 is not",
    ),
    "optional": (
        BEGINNING + "class Bad(Regularizer):\n    optional = 'no'\n" + BODY,
        "has optional = 'no' is not",
    ),
    "weight": (
        BEGINNING + "class Bad(Regularizer):\n    weight = -1\n" + BODY,
        "has weight = -1.0 is out of range: >= 0",
    ),
    "annotation": (
        BEGINNING + "class Bad(Regularizer):\n    value: 1 / 0 = 3\n" + BODY,
        "could not be imported: ZeroDivisionError",
    ),
}

# these may be used
ACCEPTED = {
    "default_repr": DEFAULT.format(method="__repr__"),
    "default_eq": DEFAULT.format(method="__eq__"),
    "default_ne": DEFAULT.format(method="__ne__"),
    "default_bool": DEFAULT.format(method="__bool__"),
    "default_array": BEGINNING
    + "import numpy as np\nclass Bad(Regularizer):\n    value: np.ndarray = np.zeros(3)\n"
    + BODY,
    "default_nan": BEGINNING
    + "class Bad(Regularizer):\n    value: float = float('nan')\n"
    + BODY,
}

HOOKS = {
    "panic": (PANIC, "raise PanicException('rust')", "PanicException: rust"),
    "exit": ("", "raise SystemExit(3)", "SystemExit: 3"),
    "generator_exit": ("", "raise GeneratorExit", "GeneratorExit"),
    "stop_iteration": ("", "raise StopIteration", "StopIteration"),
    "error_without_text": (UNSHOWN, "raise Unshown", "Unshown: <Unshown, which"),
    "result_without_text": (UNSHOWN, "return Unshown()", "returned <Unshown, which"),
    "result_without_class": (
        "class Odd:\n    @property\n    def __class__(self): raise OSError\n",
        "return Odd()",
        "returned ",
    ),
    "result_without_attributes": (
        "class Odd:\n    def __getattribute__(self, name): raise OSError\n",
        "return Odd()",
        "returned ",
    ),
}
RAISING = [kind for kind, (_, body, _) in HOOKS.items() if body.startswith("raise")]
HOOK = (
    "{beginning}"
    + BEGINNING
    + """
class Bad(Regularizer):
    targets = "params"

    @hookimpl
    def {hook}(self, {argument}):
        {statement}
"""
)
ARGUMENTS = {"modify_graph": "value", "loss": "matched", "constrain": "matched"}


@pytest.fixture
def bad(package, model, monkeypatch):
    """Return a function that offers a module's `Bad`, as `bad`; and a good one beside it."""
    monkeypatch.syspath_prepend(str(model))
    good = BEGINNING + "class Good(Regularizer):" + BODY
    package("rp-good", {"good": "rp_good:Good"}, "rp_good", good)
    return lambda source: package("rp-bad", {"bad": "rp_bad:Bad"}, "rp_bad", source)


def said(result):
    """Return what a command printed, on one line; it ended as commands do."""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def check_listing(run):
    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}
    assert rows["good"]["status"] == "installed"
    assert {"bad", "good"} <= rows.keys()
    assert "good" in said(run("list"))


@pytest.mark.parametrize("kind", REFUSED)
def test_class_that_is_refused_is_named_by_every_command(kind, bad, run):
    source, expected = REFUSED[kind]
    bad(source)

    check_listing(run)
    for words in (
        ["show", "bad"],
        ["check", "bad"],
        ["plan", "mymodel:outputs", "-r", "bad=1"],
        ["doctor", "rp-bad", "rp-good"],
    ):
        result = run(*words)
        assert result.exit_code == 1
        text = said(result)
        assert "rp-bad 0.1" in text
        assert expected in text
    assert "1 of 2 right" in text
    with pytest.raises(regplug.PluginLoadError) as caught:
        regplug.compose(["bad=1"])
    assert expected in str(caught.value)
    regplug.compose(["good=1"])


@pytest.mark.parametrize("kind", ACCEPTED)
def test_class_with_a_hostile_default_works(kind, bad, run):
    bad(ACCEPTED[kind])

    check_listing(run)
    assert "2 of 2 right" in said(run("doctor", "rp-bad", "rp-good"))
    assert said(run("show", "bad")).startswith("bad ")
    json.loads(run("show", "bad", "--json").output)
    assert "penalizes it" in said(run("plan", "mymodel:outputs", "-r", "bad=1"))
    manager = regplug.compose(["bad=1"])
    assert repr(manager.members[0].regularizer).startswith("Bad(weight=1.0")


def hook_source(hook, beginning, statement):
    argument = ARGUMENTS[hook]
    return HOOK.format(
        beginning=beginning, hook=hook, argument=argument, statement=statement
    )


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize("hook", ARGUMENTS)
def test_hook_that_raises_whatever_is_named_with_its_package(hook, kind, bad, run):
    beginning, statement, expected = HOOKS[kind]
    bad(hook_source(hook, beginning, statement))
    weight = {"loss": "=1"}.get(hook, "")

    check_listing(run)
    for words in (["plan", "mymodel:outputs", "-r", f"bad{weight}"], ["check", "bad"]):
        if hook != "constrain" or words[0] == "check":
            result = run(*words)
            assert result.exit_code == 1
            # of what is returned the kit has words of its own
            is_returned = words[0] == "check" and kind not in RAISING
            assert expected in said(result) or is_returned
    manager = regplug.compose(["good=1", f"bad{weight}"])
    with pytest.raises(regplug.RegularizerError) as caught:
        use(manager)
    assert expected in str(caught.value)
    assert f"rp-bad 0.1, {hook}" in str(caught.value)


def use(manager):
    """Apply a manager to the model, and constrain an update."""
    from mymodel import outputs, w

    manager.apply(outputs).constrain({w: w * 2})


@pytest.mark.parametrize("kind", RAISING)
def test_wrapper_that_raises_whatever_is_named(kind, bad):
    beginning, statement, expected = HOOKS[kind]
    source = f"""
{beginning}
from regplug import hookimpl

class Bad:
    @hookimpl(wrapper=True)
    def loss(self):
        yield
        {statement}
"""
    bad(source)
    from rp_bad import Bad

    with pytest.raises(regplug.RegularizerError, match=expected.partition(":")[0]):
        use(regplug.compose(["good=1"], plugins=[Bad()]))


@pytest.mark.parametrize("where", ["import", "hook"])
def test_interrupt_stays_what_it_is(where, bad):
    raising = "raise KeyboardInterrupt"
    source = hook_source("loss", "", raising)
    if where == "import":
        source = raising
    bad(source)

    with pytest.raises(KeyboardInterrupt):
        use(regplug.compose(["bad=1"]))


INSTANCES = {
    "getattribute": "def __getattribute__(self, name): raise OSError(name)",
    "constructor": "def __init__(self, weight=1): raise SystemExit(3)",
    "name": "@property\n    def name(self): raise OSError",
    "selects": "def selects(self, name, variable): raise SystemExit(3)",
    "new": "def __new__(cls, *args, **options): raise GeneratorExit",
}


@pytest.mark.parametrize("kind", INSTANCES)
def test_instance_that_raises_is_named_with_its_package(kind, bad, run):
    bad(f"{BEGINNING}\nclass Bad(Regularizer):\n    {INSTANCES[kind]}\n{BODY}")

    check_listing(run)
    for words in (
        ["plan", "mymodel:outputs", "-r", "bad=1"],
        ["show", "bad"],
        ["check", "bad"],
        ["doctor", "bad"],
    ):
        text = said(run(*words))
        assert "rp-bad" in text, words
    with pytest.raises(RegplugError, match="rp-bad 0.1"):
        use(regplug.compose(["good=1", "bad=1"]))


def test_plugin_that_closes_stdout_is_refused(bad, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    bad("import sys\nsys.stdout.close()\nclass Bad: pass\n")

    with pytest.raises(regplug.PluginLoadError, match="rp-bad 0.1.* closes sys.stdout"):
        regplug.compose(["bad=1"])
