"""Description: what patterns can match in a model."""

from __future__ import annotations

import time

import numpy as np
import pytest

import regplug
from regplug.testing import installed_engine


def named(variable, name):
    variable.name = name
    return variable


@pytest.fixture
def P(engine):
    """Return a function that makes a parameter."""
    return lambda name, *shape: engine.shared(np.zeros(shape), name=name)


def tree(model):
    """Return the lines of who feeds whom."""
    sections = regplug.describe(model).sections()
    [rows] = [each.rows for each in sections if each.title.startswith("Who feeds")]
    return [line.before + line.text for line in rows]


def by_name(items):
    return {item.name: item for item in items}


def test_description_has_names_roles_shapes_and_who_feeds_whom(T, P):
    x, w, b, v = T.matrix("x"), P("hid.w", 4, 3), P("hid.b", 3), P("out.w", 3, 2)
    pre = T.dot(x, w) + b
    h = T.tanh(pre)
    y = T.dot(h, v)
    outputs = {"in:out": x, "hid:pre": pre, "hid:out": h, "out:out": y, "out:pre": y}

    description = regplug.describe(outputs)

    assert [item.name for item in description.outputs] == [
        "in:out",
        "hid:pre",
        "hid:out",
        "out:out = out:pre",
    ]
    assert [item.role for item in description.outputs] == [
        "input",
        "",
        "hidden",
        "output",
    ]
    assert [item.name for item in description.params] == ["hid.w", "hid.b", "out.w"]
    found = by_name(description.outputs + description.params)
    assert found["hid:pre"].fed_by == ("in:out", "hid.w", "hid.b")
    assert found["hid:pre"].feeds == ("hid:out",)
    assert found["hid.w"].feeds == ("hid:pre",)
    assert (found["hid.w"].shape, found["hid.w"].dtype) == ("(4, 3)", "float64")
    assert repr(description) == "<regplug description of 4 outputs and 3 parameters>"
    assert tree(outputs) == [
        "in:out",
        "↓ hid:pre  (hid.w, hid.b)",
        "↓ hid:out",
        "↓ out:out  (out.w)",
    ]


def test_state_of_a_scan_has_that_role(engine, T, P):
    x, u = T.tensor3("x"), P("u", 3, 3)
    start = T.zeros((x.shape[1], 3))
    is_theano = T.__name__.startswith("theano")
    options = {} if is_theano else {"return_updates": False}
    states = engine.scan(
        lambda x_t, h: T.tanh(x_t + T.dot(h, u)),
        sequences=[x],
        outputs_info=[start],
        **options,
    )
    states = states[0] if is_theano else states
    named(states, "h")
    y = named(T.dot(named(states[-1], "last"), P("v", 3, 2)), "y")

    found = by_name(regplug.describe(y).outputs)

    assert "state" in found["h"].role
    assert "state" in found["last"].role
    assert found["y"].role == "output"


def test_tree_shows_each_output_once_whatever_feeds_it(T, P):
    x, t = T.matrix("x"), T.matrix("t")
    a = T.tanh(T.dot(x, P("a.w", 3, 3)))
    b = x + T.dot(a, P("b.w", 3, 3))
    one, two = T.dot(b, P("one.w", 3, 2)), T.dot(b, P("two.w", 3, 2))
    cost = ((one - t) ** 2).mean()
    outputs = {"x": x, "a": a, "b": b, "one": one, "two": two, "t": t, "cost": cost}

    lines = tree(outputs)

    assert lines == [
        "x  → b",
        "↓ a  (a.w)",
        "↓ b  (b.w)",
        "├── two  (two.w)",
        "↓ one  (one.w)",
        "↓ cost",
        "t  → cost",
    ]


def test_branches_that_end_are_leaves(T):
    x = T.matrix("x")
    outputs = {"x": x, "a": x + 1, "b": x + 2}
    assert tree(outputs) == ["x", "├── a", "└── b"]


def test_description_of_hundreds_of_outputs_is_quick_and_narrow(T, P):
    x = h = T.matrix("x")
    outputs, sums = {"x": x}, []
    for number in range(300):
        sums.append(h)
        h = outputs[f"h{number:03}"] = T.dot(sum(sums[-20:]), P(f"w{number}", 2, 2))

    started = time.perf_counter()
    description = regplug.describe(outputs)
    text = str(description)
    seconds = time.perf_counter() - started

    # 1 s; without end where each way through the graph is walked
    assert seconds < 30
    assert max(map(len, text.splitlines())) <= 100
    assert max(line.index("h") for line in tree(outputs)[1:]) == 2
    assert "... (" in text


def test_long_names_stay_whole_at_fifty_columns(T, P, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    x, name = T.matrix("x"), "encoder.block." + "n" * 40
    y = T.dot(x, P(f"{name}.w", 3, 2))

    text = str(regplug.describe({"x": x, f"{name}:out": y}))

    assert f"\n{name}.w\n" in text
    assert "    Role: output\n" in text


def test_tree_is_ascii_where_the_terminal_is(T, monkeypatch):
    x = T.matrix("x")
    outputs = {"x": x, "a": x + 1, "b": x + 2}

    class Stream:
        encoding = "ascii"

    monkeypatch.setattr("regplug.output.stdout", Stream)
    assert tree(outputs) == ["x", "|-- a", "`-- b"]
    assert str(regplug.describe(outputs)).isascii()


def test_notes_say_what_no_pattern_reaches(engine, T, P):
    x = T.matrix()
    y = T.dot(T.dot(x, P(None, 3, 3)), P("w", 3, 2))

    one, other = regplug.describe(y).notes

    assert one.startswith("1 of the model's parameters have no name, and no pattern")
    assert one.endswith("Name them: w.name = 'w', or pass params={'w': w}.")
    assert other == (
        "No variable of this graph has a name: name those that you mean, "
        "h.name = 'h', or hand over a mapping, {'hid:out': h}."
    )


def test_notes_say_how_repeated_and_given_names_are_matched(T, P):
    x = T.matrix("x")
    h = named(T.dot(x, P("w", 2, 2)), "h")
    y = named(T.dot(h, P("w", 2, 2)).mean(axis=0) + 1, "h")

    given, repeated = regplug.describe(y).notes

    assert given == "Named by the engine, and matched by that very name: mean."
    assert repeated == (
        "Names that occur twice are numbered: 'h' matches all of that name, "
        "'h#2' that one."
    )


def test_roles_of_a_graph_without_layers_are_doubtful_there_and_still_a_warning(T):
    x = T.matrix("x")
    model = regplug.as_model(named(x + 1, "y"))

    [note] = regplug.describe(model).notes
    assert note.startswith("no layer was found in the graph")
    with pytest.warns(regplug.RegplugWarning, match="no layer was found"):
        assert model.roles["@output"] == {"y"}


def test_notebooks_show_names_as_they_are(T, P):
    x = T.matrix("x")
    html = regplug.describe({"x": x, "<b>:out": T.dot(x, P("w", 2, 2))})._repr_html_()
    assert ">&lt;b&gt;:out</td>" in html
    assert "\n↓ &lt;b&gt;:out  (w)</pre>" in html


def test_pattern_on_a_graph_without_names_shows_the_line_to_write(T, P):
    x = T.matrix()
    y = T.dot(T.tanh(T.dot(x, P("w", 2, 2))), P("v", 2, 2))
    manager = regplug.compose(["dropout=0.5@h"])

    with pytest.raises(regplug.NoMatchError) as caught:
        manager.apply(y)

    assert str(caught.value) == (
        "dropout: pattern 'h' matches none of the 1 outputs. Outputs: output. "
        "No variable of the graph has a name: name those that you mean, "
        "h.name = 'h', or hand over a mapping, {'hid:out': h}."
    )


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [("hidd", False), ("zzz", True)],
)
def test_pattern_that_is_near_none_says_that_a_name_is_needed(T, P, pattern, advice):
    h = named(T.dot(T.matrix("x"), P("w", 2, 2)), "hidden")
    manager = regplug.compose([f"dropout=0.5@{pattern}"])

    with pytest.raises(regplug.NoMatchError) as caught:
        manager.apply(h * 2)

    text = "Variables without a name are no outputs: name those that you mean"
    assert (text in str(caught.value)) == advice
    assert ("Nearest: 'hidden'" in str(caught.value)) != advice


@pytest.mark.parametrize(
    ("where", "missing", "message"),
    [
        ("outputs", "hidd", "no output 'hidd'. Did you mean 'hid:out'? Outputs: "),
        ("clean", "HID:OUT", "no output 'HID:OUT'. Did you mean 'hid:out'? "),
        ("terms", "weight", "no term 'weight'. Did you mean 'weight_l2'? Terms: "),
        ("matches", "dropuot", "no regularizer 'dropuot'. Did you mean 'dropout'? "),
    ],
)
def test_missing_name_of_a_result_has_the_nearest(T, P, where, missing, message):
    x = T.matrix("x")
    outputs = {"in:out": x, "hid:out": T.dot(x, P("hid.w", 2, 2))}
    result = regplug.compose(["dropout=0.5@hid:out", "weight_l2=1"]).apply(outputs)

    for kind in (KeyError, regplug.RegplugError):
        with pytest.raises(kind) as caught:
            getattr(result, where)[missing]
        assert str(caught.value).startswith(message)
    assert getattr(result, where).get(missing) is None
    assert missing not in getattr(result, where)


def test_missing_name_of_a_model_has_the_nearest(T, P):
    x = T.matrix("x")
    model = regplug.as_model({"in:out": x, "hid:out": T.dot(x, P("hid.w", 2, 2))})

    with pytest.raises(regplug.UnknownNameError, match="Did you mean 'hid.w'"):
        model.params["hid.W"]
    with pytest.raises(regplug.UnknownNameError, match="no output 3. Outputs: in:out"):
        model.outputs[3]
    engine = installed_engine().T.__name__.partition(".")[0]
    assert repr(model) == f"<regplug.Model of {engine}: 2 outputs and 1 parameters>"
