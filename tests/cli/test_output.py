"""What the commands print, whatever plugins hold and do: terminals, JSON, encodings, closed streams."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from regplug.cli import installed
from regplug.composition.compose import compose
from regplug.output import as_json

# what a terminal obeys: C0, C1, marks of direction, separators of lines
OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
EVIL = "\x1b]0;owned\x07\x1b[31m\r\u202e\u2066\x9b2J[bold red]x[/] :smile:"
# as a terminal is to show it
SHOWN = r"\x1b]0;owned\x07\x1b[31m\r\u202e\u2066\x9b2J[bold red]x[/] :smile:"
HEAD = "from regplug import Regularizer, hookimpl\n"
CLASS = '''
class {name}(Regularizer):
    """Sum of {doc}."""
    targets = "params"
    text: str = {default!r}

    @hookimpl
    def loss(self, matched):
        return sum(abs(w).sum() for w in matched.values())
'''


def klass(name="Thing", doc="absolute values", default="a"):
    """Return the source of a regularizer class."""
    doc = doc.encode("unicode_escape").decode()
    return HEAD + CLASS.format(name=name, doc=doc, default=default)


def put(folder, package, names, source, version="0.1"):
    """Put a package with one module into a folder, as pip does."""
    module = package.replace("-", "_")
    info = folder / f"{module}-0.1.dist-info"
    info.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    (info / "METADATA").write_bytes(head.encode("utf-8"))
    points = "".join(f"{name} = {module}:Thing\n" for name in names)
    text = f"[regplug.regularizers]\n{points}"
    (info / "entry_points.txt").write_bytes(text.encode("utf-8"))
    (folder / f"{module}.py").write_bytes(source.encode("utf-8"))


def path_with(folder):
    before = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(folder), *filter(None, [before])])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of packages for all tests of this module, and a model."""
    folder = tmp_path_factory.mktemp("plugins")
    put(folder, "rp-foreign", ["foreign"], klass(doc="« é → 漢 »", default="漢"))
    put(folder, "rp-refused", ["refused"], "raise ValueError('« é → 漢 »')\n")
    for name, line in STREAMS.items():
        put(folder, f"rp-{name}", [name], f"import sys\n{line}\n{klass()}")
        put(folder, f"rp-{name}-bad", [f"{name}_bad"], f"import sys\n{line}\n1 / 0\n")
    hook = "def loss(self, matched):\n        import sys\n        "
    source = klass().replace(
        "def loss(self, matched):\n", hook + STREAMS["closes"] + "\n"
    )
    put(folder, "rp-hook", ["hook"], source)
    fork = "import os\nif os.fork() == 0:\n    print('{child')\n    os.sys.exit(3)\n"
    put(folder, "rp-forks", ["forks"], fork + klass())
    put(folder, "rp-loud", ["loud"], LOUD + klass())
    (folder / "mymodel.py").write_text(MODEL, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def call(folder):
    """Return a function that runs the command line in a process of its own."""

    def call(*words, flags=(), prefix=(), stdout=subprocess.PIPE, **env):
        command = [*prefix, sys.executable, *flags, "-m", "regplug", *words]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path_with(folder), **env},
            check=False,
        )
        text = (done.stdout or b"").decode("utf-8", "surrogateescape")
        errors = done.stderr.decode("utf-8", "surrogateescape")
        assert "Traceback" not in errors
        assert "Exception ignored" not in errors
        return SimpleNamespace(code=done.returncode, out=text, err=errors)

    return call


# what plugins do to the standard streams when they are imported
STREAMS = {
    "closes": "sys.stdout.close(); sys.stderr.close()",
    "nothing": "sys.stdout = sys.stderr = None",
    "junk": "sys.stdout = sys.stderr = 3",
    "detaches": "sys.stdout.detach(); sys.stderr.detach()",
    "descriptors": "import os; os.close(1); os.close(2)",
    "recodes": "import io; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'utf-16')",
}
LOUD = """
import atexit, os, subprocess, sys, threading, time
print("{print")
os.write(1, b"{write")
sys.__stdout__.write("{dunder")
subprocess.run([sys.executable, "-c", "print('{child')"])
atexit.register(print, "{atexit")
atexit.register(os.write, 1, b"{atexit")

def talk():
    for _ in range(20):
        print("{thread", flush=True)
        time.sleep(0.005)

threading.Thread(target=talk).start()
"""
MODEL = """
import numpy as np
from regplug.testing import installed_engine
engine = installed_engine()
w = engine.shared(np.zeros((4, 3), "float32"), name="é\\x1b[31m.w")
x = engine.T.matrix("x", dtype="float32")
outputs = {"in:out": x, "é\\x1b[31m:out": engine.T.dot(x, w)}
"""


# --- terminals


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """Put packages on the path that try all that a terminal obeys."""
    monkeypatch.syspath_prepend(str(tmp_path))
    put(tmp_path, "rp-evil", ["evil", "other\x1b[2J"], klass(doc=EVIL), "1\x1b[31m")
    put(tmp_path, "rp-worse", ["worse"], f"raise ValueError({EVIL!r})\n")
    put(tmp_path, "rp-worst", ["worst"], klass(default=EVIL) + "    hook: 'x\\x1b' = 1")
    put(tmp_path, "rp-syntax\x1b[1m", ["syntax"], "x = (\x1b")
    put(tmp_path, "rp-left", ["same\x1b[1m"], klass())
    put(tmp_path, "rp-right", ["same\x1b[1m"], klass())
    (tmp_path / "mymodel.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [each for each in sys.modules if each.startswith(("rp_", "mymodel"))]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--names"],
        ["list", "--json"],
        ["show", "evil"],
        ["show", "other\x1b[2J"],
        ["show", "evil", "--json"],
        ["show", "worse"],
        ["show", "worst"],
        ["show", "same\x1b[1m"],
        ["show", "nowhere\x1b[1m\u202e"],
        ["doctor", "evil", "worse", "worst", "syntax", "rp-left", "rp-right"],
        ["doctor", "evil", "worse", "--report"],
        ["check", "worse"],
        ["check", "worst"],
        ["check", "mymodel\x1b[1m:x"],
        ["plan", "mymodel:outputs", "-r", "weight_l2=0.1"],
        ["plan", "mymodel:outputs", "-r", "evil=0.1@*"],
        ["plan", "mymodel:outputs\x1b[1m", "-r", "evil=0.1"],
        ["plan", "mymodel:outputs", "-r", "evil=0.1@\x1b[1m"],
        ["plan", "mymodel:outputs", "-c", "\x1b[1m.toml"],
        ["plan", "mymodel:outputs", "--seed", "\x1b[1m\u202e"],
        ["new", "\x1b[1m\u202e"],
        ["show", "evil", "-p", "\x1b[1m\u202e"],
        ["show", "evil", "--\x1b]0;x\x07\u202e"],
        ["\x1b[1m\u202edoctor"],
    ],
)
def test_nothing_that_a_terminal_obeys_is_printed(run, evil, words):
    result = run(*words)

    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.output
    assert not OBEYED.search(result.output)


def test_foreign_text_is_shown_as_it_is_and_markup_is_none(run, evil):
    assert SHOWN in run("list").output
    # a summary is one line
    assert SHOWN.replace(r"\r", " ") in run("show", "evil").output
    assert SHOWN in run("show", "worse").output
    assert SHOWN in run("doctor", "worse").output
    assert SHOWN in run("check", "worse").output
    assert r"rp-left/same\x1b[1m" in run("list", "--names").output.splitlines()
    assert r"é\x1b[31m.w" in run("plan", "mymodel:outputs", "-r", "weight_l2=1").output


def test_json_keeps_foreign_text_as_it_is(run, evil):
    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}

    assert rows["evil"]["version"] == "1\x1b[31m"
    # the parser of Python makes a line feed of a carriage return
    assert rows["evil"]["aliases"] == ["other\x1b[2J"]


def test_lines_of_a_table_stay_lines(run, package, source):
    text = source("Thing").replace("Sum of the absolute values.", "One\\n  two   x")
    package("rp-lines", {"lines": "rp_lines:Thing"}, "rp_lines", text, "1\n")

    output = run("show", "lines").output

    assert output.splitlines()[1] == "One two x"


def test_table_folds_the_lines_of_a_cell():
    from regplug.tables import console, labelled, table

    output = console()
    with output.capture() as capture:
        output.print(table(("A\x1b", "B"), [("1\n2", ["3\n4", "5\t6"])]))
        output.print(labelled("a\nb: ", "c\nd"))

    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert lines == [r"A\x1b  B", "1 2    3 4", "       5 6", "a b: c d"]


@pytest.mark.parametrize("columns", ["0", "1", "-3", "many"])
def test_terminal_that_does_not_know_its_width_shows_all(run, monkeypatch, columns):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)

    output = re.sub("\x1b\\[[0-9;]*m", "", run("show", "weight_l2").output)

    assert {"reduction", "half", "biases"} <= set(output.split())


@pytest.mark.parametrize("width", [80, 160])
def test_long_name_leaves_room_for_the_other_ones(monkeypatch, capsys, tmp_path, width):
    monkeypatch.syspath_prepend(str(tmp_path))
    put(tmp_path, "rp-long", ["n" * 300], klass(), "1." + "0" * 300)
    console = Console(width=width, color_system=None)
    monkeypatch.setattr("regplug.tables.console", lambda: console)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))

    installed.print_as()

    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if "weight_l2 " in line)
    assert "installed  Penalize the" in line
    assert sum(line.count("n" * 20) for line in lines) > 5


@pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals of Linux")
@pytest.mark.parametrize("words", [["list"], ["show", "evil"], ["doctor", "worse"]])
def test_terminal_gets_styles_and_no_sequence_of_others(evil, words):
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "regplug", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **os.environ,
            "PYTHONPATH": path_with(evil),
            "TERM": "xterm",
            "COLUMNS": "100",
        },
    )
    os.close(theirs)
    output = b""
    # the end of a terminal is an error
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65536):
            output += part
    os.close(ours)
    process.wait()

    text = output.decode("utf-8").replace("\r\n", "\n")
    styles = re.findall("\x1b\\[[0-9;]*m", text)
    assert styles
    assert not set(styles) & {"\x1b[1;31mx", "\x1b[31m\r"}
    assert not OBEYED.search(re.sub("\x1b\\[[0-9;]*m", "", text))
    assert r"\x1b]0;owned" in "".join(text.split())


def test_log_line_is_safe(caplog, engine, evil):
    x = engine.T.matrix("x")
    manager = compose([("weight_l2", 0.1)])
    w = engine.shared(np.zeros((2, 2), "float32"), name="w\x1b[1m")
    outputs = {"in:out": x, "out:out": engine.T.dot(x, w)}

    with caplog.at_level(logging.INFO, logger="regplug"):
        manager.apply(outputs)
        manager.log()

    assert r"w\x1b[1m" in caplog.text
    assert not OBEYED.search(caplog.text)


# --- the standard streams


@pytest.mark.parametrize("name", STREAMS)
def test_plugin_cannot_take_the_output_away(call, name):
    shown = call("show", name)

    if name in ("closes", "detaches"):
        assert (shown.code, shown.out) == (1, "")
        assert "is refused: importing it closes sys.stdout" in shown.err
    else:
        assert (shown.code, shown.err) == (0, "")
        assert "Sum of absolute values." in shown.out


def test_hook_cannot_take_the_output_away(call):
    done = call("plan", "mymodel:outputs", "-r", "hook=0.1@*")

    assert done.code == 0, done.err
    assert "penalizes it" in done.out


@pytest.mark.parametrize("name", STREAMS)
def test_plugin_cannot_take_errors_away(call, name):
    done = call("show", f"{name}_bad")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Error: '{name}_bad' (rp-{name}-bad 0.1) could not be")


@pytest.mark.parametrize("name", [each for each in STREAMS if each != "descriptors"])
def test_doctor_names_what_takes_the_output_away(run, folder, monkeypatch, name):
    monkeypatch.syspath_prepend(str(folder))

    result = run("doctor", name, "weight_l2")

    assert result.exit_code == 1
    assert "1 of 2 right." in result.output
    # the two streams are one there, and a second time is an error
    if name != "detaches":
        assert "it closes or replaces sys.stdout or sys.stderr" in result.output


def test_doctor_lets_a_module_configure_the_output(run, package, source):
    first = "import sys; sys.stdout.reconfigure(encoding='utf-8'); sys.stdout.buffer"
    package("rp-utf8", {"utf8": "rp_utf8:Thing"}, "rp_utf8", source("Thing", first))

    assert run("doctor", "utf8").exit_code == 0


COMMANDS = {
    "list": ["list"],
    "list --names": ["list", "--names"],
    "list --json": ["list", "--json"],
    "show": ["show", "foreign"],
    "show --json": ["show", "foreign", "--json"],
    "doctor": ["doctor", "foreign"],
    "doctor --report": ["doctor", "foreign", "--report"],
    "check --json": ["check", "refused", "--json"],
    "plan": ["plan", "mymodel:outputs", "-r", "weight_l2=0.1@*"],
    "new": ["new", "thing", "--dir"],
    "--help": ["--help"],
    "plan --help": ["plan", "--help"],
    "--version": ["--version"],
}


def words_of(command, tmp_path):
    words = COMMANDS[command]
    return [*words, str(tmp_path)] if command == "new" else words


@pytest.mark.skipif(os.name == "nt", reason="of POSIX's shells")
@pytest.mark.parametrize("command", [each for each in COMMANDS if each != "plan"])
def test_closed_output_ends_no_command(call, tmp_path, command):
    shell = ["sh", "-c", 'exec "$@" >&-', "sh"]

    done = call(*words_of(command, tmp_path), prefix=shell)

    assert done.code == (command == "check --json")


@pytest.mark.skipif(os.name == "nt", reason="of POSIX's shells")
def test_closed_errors_end_no_command(call):
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh"]

    done = call("show", "loud", "--json", prefix=shell)
    assert (done.code, json.loads(done.out)["name"]) == (0, "loud")

    done = call("show", "nowhere", prefix=shell)
    assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_reader_that_has_had_enough_ends_a_command_quietly(call, tmp_path, command):
    reader, writer = os.pipe()
    os.close(reader)

    done = call(*words_of(command, tmp_path), stdout=writer)
    os.close(writer)

    assert done.code == 1
    assert "rror" not in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("command", ["list", "show", "doctor --report", "--help"])
def test_full_disk_ends_a_command_in_words(call, command):
    with open("/dev/full", "wb") as full:
        done = call(*COMMANDS[command], stdout=full)

    assert done.code == 1
    assert "Error: the output cannot be written: No space left on device." in done.err


# --- JSON


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


@pytest.mark.parametrize(
    "words",
    [["show", "loud", "--json"], ["doctor", "loud", "--report"]],
)
def test_json_is_all_that_a_loud_plugin_leaves_on_stdout(call, words):
    done = call(*words)

    assert json.loads(done.out)["regplug" if "doctor" in words else "name"]
    assert done.out.isascii()
    said = ["write", "child", "atexit", "thread", "dunder"]
    for word in [*said, "print"][: 6 if "show" in words else 2]:
        assert f"{{{word}" in done.err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="of POSIX")
@pytest.mark.parametrize(
    "words", [["show", "forks", "--json"], ["doctor", "forks", "weight_l2", "--report"]]
)
def test_json_is_one_where_a_plugin_forks(call, words):
    assert json.loads(call(*words).out)


def test_json_of_check_is_all_that_a_loud_plugin_leaves_on_stdout(call):
    done = call("check", "rp_loud:Thing", "--json")

    assert json.loads(done.out)[0]["regularizer"] == "rp_loud:Thing"
    assert "{print" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["show", "--json"],
        ["show", "--json", "nowhere"],
        ["show", "--json", "refused"],
        ["check", "--json", "nowhere"],
        ["check", "--json", "loud:Nothing"],
        ["doctor", "--report", "nowhere"],
        ["list", "--json", "--names"],
        ["show", "--json", "loud", "--nonsense"],
    ],
)
def test_error_leaves_nothing_on_stdout(call, words):
    done = call(*words)

    assert done.code != 0
    assert done.out == ""
    assert "Error: " in done.err


@pytest.mark.parametrize("words", [["show", "--json", "-h"], ["-h", "list", "--json"]])
def test_help_is_help_beside_json(call, words):
    done = call(*words)

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: ")


class Hostile:
    """Fails wherever it is asked."""

    def __getattribute__(self, name):
        raise SystemExit(name)

    def __repr__(self):
        raise SystemExit("repr")

    def __hash__(self):
        return 1


class Liar:
    __class__ = bool

    def __repr__(self):
        return "liar"


class Text(str):
    __slots__ = ()

    def __str__(self):
        raise ValueError

    __repr__ = encode = __str__


def nested(depth):
    inner = []
    for _ in range(depth):
        inner = [inner]
    return inner


class Selves:
    own_list = [1]
    own_list.append(own_list)
    own_dict = {"a": 1}
    own_dict["b"] = own_dict


# what cannot be shown is made within the test, for pytest would show it
VALUES = [
    (lambda: {(1, 2): 3, None: 4, 5: 6, "b": 7}, {"(1, 2)": 3, "None": 4, "5": 6, "b": 7}),
    (lambda: [float("nan"), float("inf"), -float("inf"), 1e300], ["nan", "inf", "-inf", 1e300]),
    (lambda: [np.float32(0.5), np.int64(3), np.bool_(True)], [0.5, 3, True]),
    (lambda: np.float64("nan"), "nan"),
    (lambda: np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (lambda: np.array([1.5, np.inf]), [1.5, "inf"]),
    (lambda: np.array(2.5), 2.5),
    (lambda: np.array([{1: ()}], dtype=object), [{"1": []}]),
    (lambda: {3}, "{3}"),
    (lambda: Path("a"), repr(Path("a"))),
    (lambda: 1j, "1j"),
    (lambda: b"\xff", "b'\\xff'"),
    (lambda: [-(2**70)], [-(2**70)]),
    (lambda: (True, None, "é", ()), [True, None, "é", []]),
    (lambda: "\ud800\x1b", "\\ud800\x1b"),
    (Hostile, "<Hostile, which cannot be shown>"),
    (lambda: {Hostile(): Hostile()}, {"<Hostile, which cannot be shown>": "<Hostile, which cannot be shown>"}),
    (Liar, "liar"),
    (lambda: Text("x"), "x"),
    (lambda: {Text("x"): 1}, {"x": 1}),
    (lambda: Selves.own_list, [1, "[1, [...]]"]),
    (lambda: Selves.own_dict, {"a": 1, "b": "{'a': 1, 'b': {...}}"}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), VALUES)
def test_every_value_has_a_form_in_json(make, expected):
    found = as_json(make())

    assert found == expected
    assert json.loads(json.dumps(found, allow_nan=False)) == expected


def test_integer_beyond_all_readers_is_text():
    assert isinstance(as_json(10**5000), str)


@pytest.mark.parametrize("depth", [100, 50_000])
def test_json_is_bounded_in_depth(depth):
    value = nested(depth)
    try:
        text = json.dumps(as_json(value))
    finally:
        # Python's own way down is too deep
        while value:
            value = value.pop()

    assert len(text) < 500


def test_show_json_of_odd_defaults_is_json(run, package):
    source = '''
import math
import numpy as np
from typing import Any
from regplug import Regularizer, hookimpl

class Odd(Regularizer):
    """Odd."""
    keys: Any = {(1, 2): math.nan, frozenset(): math.inf}
    array: Any = np.array([1.5, math.nan])
    number: Any = np.float32(2)

    @hookimpl
    def modify_graph(self, value):
        return value
'''
    package("rp-odd", {"odd": "rp_odd:Odd"}, "rp_odd", source)

    result = run("show", "odd", "--json")

    shown = json.loads(result.output, parse_constant=no_constant)
    options = shown["options"]["properties"]
    assert options["keys"]["default"] == {"(1, 2)": "nan", "frozenset()": "inf"}
    assert options["array"]["default"] == [1.5, "nan"]
    assert options["number"]["default"] == 2
    assert run("show", "odd").exit_code == 0


def test_show_names_a_class_that_cannot_be_shown(run, package):
    source = '''
from typing import Annotated, Any
from annotated_types import Ge
from regplug import Regularizer, hookimpl

class Odd(Regularizer):
    """Odd."""
    key: Annotated[Any, Ge("a")] = "b"

    @hookimpl
    def modify_graph(self, value):
        return value
'''
    package("rp-odd", {"odd": "rp_odd:Odd"}, "rp_odd", source)

    result = run("show", "odd")

    assert result.exit_code == 1
    assert result.output.startswith("Error: 'odd' (rp-odd 0.1) cannot be shown: ")
    assert result.output.endswith("Report it to the authors of rp-odd.\n")


# --- encodings

ENCODINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "utf-16": {"PYTHONIOENCODING": "utf-16"},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list"], 0),
        (["show", "foreign"], 0),
        (["show", "refused"], 1),
        (["show", "→漢"], 1),
        (["doctor", "foreign", "refused"], 1),
    ],
)
def test_every_encoding_is_survived(call, encoding, words, code):
    done = call(*words, **ENCODINGS[encoding])

    assert done.code == code
    if encoding == "ascii":
        text = done.out + done.err
        assert text.isascii()
        assert r"\u6f22" in text or r"\xe9" in text


def test_plan_survives_every_encoding(call):
    words = ["plan", "mymodel:outputs", "-r", "weight_l2=0.1@*.w"]

    done = call(*words, **ENCODINGS["C"])

    assert done.code == 0
    assert r"\x1b[31m.w" in done.out


def test_columns_stay_columns_in_every_encoding(call):
    lines = call("list", PYTHONIOENCODING="ascii").out.splitlines()

    place = lines[0].index("Status")
    assert {line[place - 2 : place] for line in lines if "  installed  " in line} == {
        "  "
    }


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_ascii_in_every_encoding(call, encoding):
    done = call("show", "foreign", "--json", **ENCODINGS[encoding])

    assert done.out.isascii()
    assert json.loads(done.out)["summary"] == "Sum of « é → 漢 »."


# --- no docstrings


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["list"], "Penalize the squares of the weights."),
        (["show", "weight_l2"], "Penalize the squares of the weights."),
        (["show", "weight_l2", "--json"], '"formula": "``'),
        (["doctor", "weight_l2"], "1 of 1 right."),
        (["doctor", "weight_l2", "--report"], '"state": "ok"'),
        (["plan", "mymodel:outputs", "-r", "weight_l2=0.1@*"], "penalizes it"),
        (["new", "thing", "--dir", "out"], "Next:"),
        (["check", "weight_l2"], "0 failed"),
        (["--help"], "Show one regularizer"),
        (["show", "--help"], "--json"),
    ],
)
def test_commands_work_without_docstrings(call, engine, words, part):
    is_theano = engine.T.__name__.startswith("theano")

    done = call(*words, flags=["-OO"])

    # Theano adds texts to its own docstrings
    if is_theano and words[0] in ("plan", "check"):
        assert done.code == 1
        assert "TypeError: unsupported operand" in done.err
        assert words[0] == "plan" or "run Python without -OO" in done.err
    else:
        assert done.code == 0, done.err
        assert part in done.out


DOCSTRINGS = [
    "",
    "None",
    "3",
    "'\\n\\n'",
    "'Parameters\\n----------\\n'",
    "'Parameters\\n----------\\n: :\\n\\n  : x : y\\n, ,\\n'",
    "'A.\\n\\nReturns\\n-------\\n\\nRaises\\n------\\n:::\\n'",
    "'Notes\\n-----\\nNotes\\n-----\\n\\nReferences\\n----------\\n'",
    "'x' * 100_000",
    "'\\0\\ud800'",
    "property(lambda self: 1 / 0)",
]


@pytest.mark.parametrize("docstring", DOCSTRINGS)
def test_any_docstring_is_shown(run, package, docstring):
    source = klass().replace('"""Sum of absolute values."""', "pass")
    if docstring:
        source += f"\nThing.__doc__ = {docstring}\n"
    package("rp-doc", {"doc": "rp_doc:Thing"}, "rp_doc", source)

    result = run("show", "doc")
    assert result.exit_code == 0, result.output
    assert json.loads(run("show", "doc", "--json").output)["options"]["properties"]
    assert run("doctor", "doc").exit_code == 0
    assert "doc  " in run("list").output


def test_docstring_that_the_parser_refuses_is_text(run, monkeypatch):
    def refuse(text):
        raise IndexError(text)

    monkeypatch.setattr("regplug.cli.show.parse", refuse)

    output = run("show", "weight_l2").output

    assert output.splitlines()[1] == "Penalize the squares of the weights."
    assert "Formula" not in output
