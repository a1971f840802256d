"""The short form: what it says, where it stops being understood, and back again."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regplug
from regplug import CompositionError
from regplug.authoring.options import REQUIRED, options_of
from regplug.authoring.short_form import format_short, parse_short
from regplug.authoring.validation import validate_class


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dropout", {}),
        ("dropout=0.5", {"weight": 0.5}),
        ("dropout=.5", {"weight": 0.5}),
        ("dropout=1_000", {"weight": 1000.0}),
        ("dropout@hid*:out", {"pattern": "hid*:out"}),
        (" dropout = 5e-1 @ a , b ", {"weight": 0.5, "pattern": ["a", "b"]}),
        (
            "dropout=0.5@@hidden,!hid1:*",
            {"weight": 0.5, "pattern": ["@hidden", "!hid1:*"]},
        ),
        ("dropout(shared_axes=[1])=0.5", {"shared_axes": [1], "weight": 0.5}),
        (
            "dropout ( a = '()', b = {c = 1} ) @x",
            {"a": "()", "b": {"c": 1}, "pattern": "x"},
        ),
        (r'dropout(a="\"@=(")@x(y)=z', {"a": '"@=(', "pattern": "x(y)=z"}),
        ('dropout@"a, b", c', {"pattern": ["a, b", "c"]}),
        (r'dropout@"say \"x\""', {"pattern": 'say "x"'}),
        ("dropout()=1", {"weight": 1.0}),
        (
            'dropout={schedule="linear", start=0}@x',
            {"weight": {"schedule": "linear", "start": 0}, "pattern": "x"},
        ),
        ("dropout(weight=0.5)", {"weight": 0.5}),
    ],
)
def test_short_form_gives_options(text, expected):
    assert parse_short(text) == ("dropout", expected)


@pytest.mark.parametrize(
    ("text", "what", "place", "line"),
    [
        ("", "the name of a regularizer is missing", 0, "Write NAME("),
        ("=0.5", "the name of a regularizer is missing", 0, "Write NAME("),
        ("dropout=", "'' is no weight", 8, "Write NAME("),
        ("dropout=half@x", "'half' is no weight", 8, "Write NAME("),
        ("dropout=0.5@", "a pattern is missing", 12, "Write NAME("),
        ("dropout=0.5@a,,b", "a pattern is missing", 14, "Write NAME("),
        ('dropout@"a', "this quote is not closed", 8, "Write NAME("),
        ('dropout@"a"b', "a comma, or the end, is expected", 11, "Write NAME("),
        ("dropout(a=[1)=0.5", "this parenthesis is not closed", 7, "Write NAME("),
        ("dropout(a=1)x", "=WEIGHT or @PATTERN is expected", 12, "Write NAME("),
        ("dropout(a=)", "a value is a number, true, false", 10, "Write NAME("),
        ("dropout(a=None)", "a value is a number, true, false", 10, "Write NAME("),
        ("dropout(weight=1)=2", "the weight is given twice", 19, "Write NAME("),
        ("dropout(a=True)@x", "a value is", 10, "Write 'dropout(a=true)@x'."),
        ("dropout(a=sum, b=1)", "a value is", 10, "Write 'dropout(a=\"sum\", b=1)'."),
        ("dropout(a=(1, 2))=1", "a value is", 10, "Write 'dropout(a=[1, 2])=1'."),
        ("dropout(a=(1,))=1", "a value is", 10, "Write 'dropout(a=[1])=1'."),
        (
            "dropout@hid:out=0.5",
            "the weight comes before",
            16,
            "Write 'dropout=0.5@hid:out'.",
        ),
        (
            "d(a=1)@x, y = 1e-4",
            "the weight comes before",
            14,
            "Write 'd(a=1)=0.0001@x, y'.",
        ),
    ],
)
def test_short_form_that_is_none_shows_where_and_what_to_write(text, what, place, line):
    with pytest.raises(CompositionError) as caught:
        regplug.compose([text])

    said, shown, caret, how = str(caught.value).split("\n")
    assert what in said
    assert (shown, caret) == (f"  {text}", f"  {' ' * place}^")
    assert how.startswith(line)
    if "'" in line:
        parse_short(how[len("Write '") : -2])


def test_short_form_of_great_length_shows_the_place_alone():
    with pytest.raises(CompositionError) as caught:
        parse_short("dropout=0.5@" + "a," * 100_000 + ",b")

    _, shown, caret, _ = str(caught.value).split("\n")
    assert len(shown) < 220
    assert shown[len(caret) - 1] == ","


@pytest.mark.parametrize(
    "text",
    ["d(" + "[" * 3000 + "]" * 3000 + ")", "d(a=" + "[" * 3000 + "]" * 3000 + ")"],
)
def test_short_form_that_is_too_deep_is_refused(text):
    with pytest.raises(CompositionError, match="Write NAME"):
        parse_short(text)


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (("dropout", 0.5, "hid:out"), "'dropout=0.5@hid:out'"),
        (
            ("dropout", {"schedule": "linear"}, "x"),
            "'dropout={schedule = \"linear\"}@x'",
        ),
        (("dropout",), "'dropout'"),
        (3, "('dropout', {'weight': 0.5})"),
        ((3, 4, 5), "('dropout', {'weight': 0.5})"),
        (object, "('dropout', {'weight': 0.5})"),
    ],
)
def test_entry_that_is_none_is_refused_with_the_line_to_write(item, line):
    with pytest.raises(CompositionError) as caught:
        regplug.compose([item])

    assert line in str(caught.value)


def values_of(option):
    """Return a strategy for values of an option."""
    return _of_type(option.type, option.bounds)


def _of_type(kind, bounds):
    parts = get_args(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(parts)
    if get_origin(kind) in (list, tuple):
        entries = st.text() if parts[0] is str else st.integers(-3, 3)
        return st.lists(entries, min_size=1, max_size=3).map(get_origin(kind))
    if kind is bool:
        return st.booleans()
    if kind is str:
        return st.text()
    low, high = (
        bounds.get("ge", bounds.get("gt", 0)),
        bounds.get("le", bounds.get("lt", 9)),
    )
    if kind is int:
        return st.integers(int(low) + 1, int(high))
    if kind is float:
        open_ends = {"exclude_min": "gt" in bounds, "exclude_max": "lt" in bounds}
        return st.floats(low, high, **open_ends)
    return st.one_of(
        *(_of_type(part, bounds) for part in parts if part is not type(None))
    )


ENTRIES = sorted(entry.name for entry in regplug.available() if not entry.static_error)


@st.composite
def regularizers(draw):
    cls = regplug.load(draw(st.sampled_from(ENTRIES)))
    options = {}
    for name, option in options_of(cls).items():
        if name == "pattern":
            entry = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
            value = st.one_of(entry, st.lists(entry, min_size=1, max_size=3))
        else:
            value = values_of(option)
        if option.default is REQUIRED or draw(st.booleans()):
            options[name] = draw(value)
    return cls(**options)


@settings(deadline=None)
@given(regularizers())
def test_text_of_a_regularizer_composes_it_again(regularizer):
    text = str(regularizer)

    name, options = parse_short(text)
    again = regplug.load(name)(**options)

    assert type(again) is type(regularizer)
    assert str(again) == text
    for key in options_of(type(regularizer)):
        old, new = getattr(regularizer, key, None), getattr(again, key, None)
        # a list of one pattern is that pattern
        assert new == old or (key == "pattern" and [new] == old)


def test_text_of_what_toml_cannot_write_is_its_repr():
    class Odd(regplug.Regularizer):
        targets = "params"
        value: object = None

        @regplug.hookimpl
        def loss(self, matched):
            return 0

    assert validate_class(Odd) is None
    assert str(Odd(weight=0.5, pattern="x")) == "odd=0.5@x"
    odd = Odd(weight=0.5, value=object)
    assert str(odd) == repr(odd)


def test_format_of_names_that_look_like_weights_is_quoted():
    assert format_short("dropout", {"pattern": "x=3"}) == 'dropout@"x=3"'
    assert parse_short('dropout@"x=3"') == ("dropout", {"pattern": "x=3"})
