"""``regplug plan``."""

from __future__ import annotations

import pytest
from rich.console import Console


def rows(output):
    """Return the cells of the numbered lines."""
    return [line.split() for line in output.splitlines() if line[:1].isdigit()]


def test_plan_lists_replacements_along_the_graph_then_penalties(run, model):
    forms = [
        "-r",
        "noise=0.1@out:out,hid1:out",
        "-r",
        "weight_l2=1e-4@*.w",
        "-r",
        "dropout=0.5",
    ]

    result = run("plan", "mymodel:outputs", *forms)

    assert result.exit_code == 0
    cells = [(row[1], row[2], row[3]) for row in rows(result.output)]
    assert cells == [
        ("noise", "0.1", "replaces"),
        ("dropout", "0.5", "replaces"),
        ("noise", "0.1", "replaces"),
        ("weight_l2", "0.0001", "penalizes"),
        ("weight_l2", "0.0001", "penalizes"),
    ]
    places = [row[5] for row in rows(result.output)]
    assert places == ["hid1:out", "hid1:out", "out:out", "hid1.w", "out.w"]


def test_plan_shows_dtypes_shapes_and_second_names(run, model):
    output = run(
        "plan", "mymodel:outputs", "-r", "noise=0.1@out:*", "-r", "weight_l2=1e-4@*.w"
    ).output

    noise, first, second = rows(output)
    assert noise[5:9] == ["out:out", "=", "out:pre", "float32"]
    assert first[5:] == ["hid1.w", "float32", "(4,", "3)"]
    assert second[5:] == ["out.w", "float32", "(3,", "2)"]


def test_plan_infers_shapes_from_the_parameters_values(run, model, engine):
    shape = rows(run("plan", "mymodel:outputs", "-r", "noise=0.1@hid1:out").output)[0][
        -2:
    ]

    knows_shapes = engine.T.__name__.startswith("pytensor")
    assert shape == (["(?,", "3)"] if knows_shapes else ["(?,", "?)"])


def test_plan_of_a_model_whose_shapes_do_not_fit_has_those_that_do(run, model):
    (model / "unfit.py").write_text(
        "from mymodel import engine, np, w, x\n"
        "u = engine.shared(np.zeros((9, 2), 'float32'), name='out.u')\n"
        "h = engine.T.dot(x, w)\n"
        "outputs = {'in:out': x, 'hid:out': h, 'out:out': engine.T.dot(h, u)}\n"
    )

    result = run("plan", "unfit:outputs", "-r", "weight_l2=0.1")

    assert result.exit_code == 0
    assert [row[-2:] for row in rows(result.output)] == [["(4,", "3)"], ["(9,", "2)"]]


def test_plan_names_what_nothing_touches(run, model):
    lines = run(
        "plan", "mymodel:outputs", "-r", "noise=0.1@hid1:out", "-r", "weight_l2=1e-4"
    ).output.splitlines()

    assert "Untouched outputs: in:out, hid1:pre, out:out, out:pre" in lines
    assert (
        "Untouched parameters: hid1.b" in lines
    )  # the pattern matches it, and weight_l2 leaves biases out


def test_plan_names_a_regularizer_that_touches_nothing(run, model):
    (model / "c.toml").write_text(
        '[[regularizer]]\nuse = "noise"\nweight = 0.1\npattern = "none*"\noptional = true\n'
    )

    assert (
        "Regularizers that touch nothing: noise"
        in run("plan", "mymodel:outputs", "-c", "c.toml").output
    )


@pytest.mark.parametrize("name", ["build", "net", "Net"])
def test_plan_takes_objects_and_calls_what_is_no_model(run, model, name):
    result = run("plan", f"mymodel:{name}", "-r", "noise=0.1@hid1:out")

    assert result.exit_code == 0
    assert rows(result.output)[0][5] == "hid1:out"


def test_plan_reads_a_composition_and_adds_to_its_end(run, model):
    (model / "c.toml").write_text(
        'seed = 7\n[[regularizer]]\nuse = "noise"\nweight = 0.1\n'
    )

    output = run("plan", "mymodel:outputs", "-c", "c.toml", "-r", "noise=0.2").output

    assert "seed 7" in output
    assert [row[1:3] for row in rows(output)] == [["noise", "0.1"], ["noise#2", "0.2"]]
    assert (
        "seed 0" in run("plan", "mymodel:outputs", "-c", "c.toml", "--seed", "0").output
    )


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mymodel", "'mymodel' is not of the form MODULE:OBJECT"),
        (
            "nomodel:x",
            "'nomodel:x' could not be imported: ModuleNotFoundError: No module named 'nomodel'. ",
        ),
        (
            "mymodel.py:outputs",
            "'mymodel.py:outputs' is not of the form MODULE:OBJECT, such as mymodel:outputs",
        ),
        (
            "broken:x",
            "'broken:x' could not be imported: ZeroDivisionError: division by zero (broken.py, line 2).",
        ),
        (
            "needing:x",
            "No module named 'nowhere_found' (needing.py, line 1)",
        ),
        ("leaving:x", "'leaving:x' could not be imported: SystemExit: 4"),
        (
            "mymodel:output",
            "mymodel:output: mymodel has no 'output'. Did you mean 'outputs'?",
        ),
        ("mymodel:number", "mymodel:number: 3 (builtins.int) is no model: "),
        (
            "mymodel:sized",
            "TypeError: sized() missing 1 required positional argument: 'units'.",
        ),
        (
            "mymodel:failing",
            "calling it without arguments led to ValueError: no data (mymodel.py, line ",
        ),
        (
            "mymodel:np.zeros",
            "mymodel:np.zeros is no model, and calling it without arguments led to TypeError",
        ),
        ("mymodel:dict", "mymodel has no 'dict'"),
        ("mymodel:count", "mymodel:count is no model, and calling it without"),
        ("mymodel:count", "ModelError: 3 (builtins.int) is no model: "),
    ],
)
def test_plan_refuses_what_is_no_model(run, model, reference, message):
    (model / "broken.py").write_text("x = 1\nx / 0\n")
    (model / "needing.py").write_text("import nowhere_found\n")
    (model / "leaving.py").write_text("import sys\nsys.exit(4)\n")

    result = run("plan", reference, "-r", "dropout=0.5")

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert message in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["-r", "dropout=0.5@hdi*:out"],
            "dropout: pattern 'hdi*:out' matches none of the 5 outputs. Nearest: ",
        ),
        (["-r", "droput=0.5"], "no regularizer named 'droput'. Did you mean 'dropout'"),
        (["-r", "dropout=1.5"], "dropout(weight=1.5): 1.5 is out of range: >= 0, < 1."),
        (["-r", "dropout"], "dropout: no weight given"),
        (
            ["-c", "absent.toml"],
            "absent.toml: cannot be read: No such file or directory",
        ),
        (["-c", "wrong.toml"], "wrong.toml: "),
    ],
)
def test_plan_refuses_a_composition_that_is_wrong(run, model, words, message):
    (model / "wrong.toml").write_text("seed = \n")

    result = run("plan", "mymodel:outputs", *words)

    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert message in result.output
    assert result.output.count("\n") == 1


def test_plan_without_regularizers_describes_what_patterns_can_match(run, model):
    result = run("plan", "mymodel:outputs")

    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0].startswith("mymodel:outputs 5 outputs, 3 parameters, ")
    assert "hid1:pre (?, 3) float32 in:out, hid1.w, hid1.b" in [
        line.replace("(?, ?)", "(?, 3)") for line in lines
    ]
    assert "out.w (3, 2) float32 out:out" in lines
    assert "↓ out:out (out.w)" in lines
    assert lines[-1].endswith("Add: -r 'dropout=0.5@hid1:out'")


@pytest.mark.parametrize("width", [50, 120])
def test_plan_has_whole_words_on_a_narrow_terminal(run, model, monkeypatch, width):
    console = Console(width=width, color_system=None, soft_wrap=True)
    monkeypatch.setattr("regplug.cli.plan.console", lambda: console)
    forms = ["-r", "noise=0.1@hid1:out,out:out", "-r", "weight_l2=1e-4"]

    described = run("plan", "mymodel:outputs").output.splitlines()
    planned = run("plan", "mymodel:outputs", *forms).output.splitlines()

    assert max(map(len, described[1:-1])) <= width
    assert {"hid1:out", "float32", "hidden"} <= set(" ".join(described).split())
    table = planned[2 : planned.index("", 3)]
    assert max(map(len, table)) <= width
    words = set(" ".join(table).replace(":\n", "\n").split())
    assert {"out:out", "float32", "penalizes", "weight_l2"} <= words
    # on the wide one it is a table, with a line for each row
    assert (len(table) == 5) == (width == 120)


def test_plan_takes_options_in_the_short_form(run, model):
    output = run("plan", "mymodel:outputs", "-r", "max_norm(limit=3)@hid1.w").output

    assert "max_norm" in output
    assert "constrains it after updates" in output


def test_plan_shows_where_a_line_stops_being_understood(run, model):
    result = run("plan", "mymodel:outputs", "-r", "dropout=0,5@x")

    assert (result.exit_code, result.output.splitlines()) == (
        1,
        [
            "Error: '0,5' is no weight: write a number, or a schedule in braces:",
            "  dropout=0,5@x",
            "          ^",
            "Write NAME(option=VALUE, ...)=WEIGHT@PATTERN.",
        ],
    )


FORGED = [
    "dropout=0.5@a=1\nError: x\n  ^\n",
    "dropout\n  ^\nb",
    'dropout(a="""b\nError: c)',
    "dropout(rescale=\nError: x\n  ^\n)",
]


@pytest.mark.parametrize("text", FORGED)
def test_plan_lets_no_text_write_lines_of_an_error(run, model, text):
    lines = run("plan", "mymodel:outputs", "-r", text).output.splitlines()

    assert len(lines) in (1, 4)
    assert [line for line in lines if line.startswith("Error:")] == lines[:1]
    assert [line.strip() for line in lines].count("^") == (len(lines) == 4)


def test_plan_keeps_an_error_of_a_plugin_in_one_line(run, package, model):
    raises = """
from regplug import Regularizer, hookimpl

class Raises(Regularizer):
    @hookimpl
    def loss(self, matched):
        raise ValueError("one\\n  ^\\nError: two")
"""
    package("rp-raises", {"raises": "rp_raises:Raises"}, "rp_raises", raises)

    result = run("plan", "mymodel:outputs", "-r", "raises=1@hid1:out")

    assert result.exit_code == 1
    assert "ValueError: one ^ Error: two" in result.output
    assert result.output.count("\n") == 1
