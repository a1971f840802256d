"""Composition files that an editor, a slip or a hostile hand writes: read, or refused with words."""

from __future__ import annotations

import datetime

import pytest

import regplug
from regplug import CompositionError, OptionError, RegplugError

DROPOUT = '[[regularizer]]\nuse = "dropout"\nweight = 0.5\n'


@pytest.fixture
def refused(tmp_path):
    """Return a function that reads a file, and returns the error's text after the path."""
    path = tmp_path / "regplug.toml"

    def read(text, error=RegplugError):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(error) as caught:
            regplug.read(path)
        before, found, after = str(caught.value).partition(f"{path}: ")
        assert (before, found) == ("", f"{path}: ")
        assert len(after) < 3000
        return after

    return read


def test_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "regplug.toml"
    path.write_bytes(b"\xef\xbb\xbf" + DROPOUT.encode())
    assert dict(regplug.read(path).weights) == {"dropout": 0.5}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_file_of_another_encoding_is_refused_with_what_to_do(refused, encoding):
    text = refused(f"# größe\n{DROPOUT}".encode(encoding), CompositionError)
    assert text.endswith(": save it as UTF-8, in which TOML is written.")


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("\n\n", "x = " + "[" * 5000 + "]" * 5000),
        ("", "x = " + "[" * 100_000),
        ("# \u2028\n", "x = " + "{a = " * 5000 + "1" + "}" * 5000),
        (DROPOUT, "pattern = " + "[" * 5000 + "]" * 5000),
        (DROPOUT + 'name = """\na\n"""\n', "weight = " + "[" * 5000),
    ],
)
def test_values_nested_too_deep_are_refused_by_line(refused, before, text):
    line = before.count("\n") + 1
    found = refused(before + text + "\nseed = 1\n" * 50, CompositionError)
    assert found.startswith(f"line {line} is nested too deep: options are numbers,")


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 400) + " = 1",
        "[" + ".".join("a" * 400) + "]",
        "[[" + ".".join("a" * 400) + "]]",
        "seed = " + "[" * 50 + "]" * 50,
        DROPOUT + "pattern." + ".".join("a" * 400) + " = 1",
    ],
)
def test_keys_and_values_of_many_levels_are_refused_by_key(refused, text):
    assert " is nested deeper than 32 levels: options " in refused(text)


def test_key_of_many_dots_is_refused_before_it_is_parsed(refused):
    # the parser takes the square of their number: minutes
    text = refused(DROPOUT + ".".join("a" * 500_000) + " = 1", CompositionError)
    assert "is a key of too many dots: options are numbers" in text


@pytest.mark.parametrize("text", ["x = ", "[[regularizer]]\nweight = ", "seed = "])
def test_integer_of_thousands_of_digits_is_refused_by_line(refused, text):
    text = "\n\n" + text
    found = refused(text + "9" * 5000 + "\n", CompositionError)
    line = text.count("\n") + 1
    assert found.startswith(f"line {line} has a number of too many digits: write one ")


@pytest.mark.parametrize("digits", ["9" * 4000, "0x" + "f" * 100_000, str(2**64)])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed = {}", "seed"),
        (DROPOUT.replace("0.5", "{}"), "dropout(weight="),
        (DROPOUT + "shared_axes = [{}]", "dropout(shared_axes="),
        (
            '[[regularizer]]\nuse = "noise"\nweight = {schedule = "linear", start = 0, '
            "stop = {}, steps = 10}",
            "noise(weight=",
        ),
        (
            '[[regularizer]]\nuse = "noise"\nweight = {schedule = "linear", start = 0, '
            "stop = 1, steps = {}}",
            "noise(weight=",
        ),
    ],
)
def test_number_beyond_64_bits_is_refused_by_option(refused, text, named, digits):
    assert refused(text.replace("{}", digits), OptionError).startswith(named)


@pytest.mark.parametrize(
    "value",
    [
        "1979-05-27T07:32:00Z",
        "1979-05-27",
        "07:32:00",
        "inf",
        "-inf",
        "nan",
        "1e999",
        "{a = 1}",
        "[]",
        "true",
        '"\\u001b[31m"',
    ],
)
@pytest.mark.parametrize("option", ["weight", "shared_axes", "optional", "rescale"])
def test_value_of_another_type_is_refused_by_option(refused, option, value):
    text = '[[regularizer]]\nuse = "dropout"\n'
    if option != "weight":
        text = DROPOUT
    if (
        (option, value) == ("shared_axes", "[]")
        or value == "true"
        and option[0] in "or"
    ):
        pytest.skip("it is of that type")
    text = refused(f"{text}{option} = {value}", OptionError)
    assert text.startswith(f"dropout({option}=")
    assert "\x1b" not in text


@pytest.mark.parametrize("use", ["3", "[]", "{a = 1}", "2020-01-01", "true", "nan"])
def test_use_that_is_no_text_is_refused(refused, use):
    text = f"{DROPOUT}[[regularizer]]\nuse = {use}\nweight = 0.5"
    assert refused(text, CompositionError).startswith("[[regularizer]] number 2 does ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DROPOUT + "weight = 0.5", "Cannot overwrite a value"),
        ('"a.b\\"\\u0000" = 1', "unknown key 'a.b\"\\x00'. Keys: format, seed, "),
        ("größe = 1", "at line 1, column 3"),
        ("x" * 10**6 + " = 1", "unknown key 'xxx"),
        (DROPOUT + '"\\u001b.x" = 1', "unknown option '\\x1b.x'. Options: pattern"),
        ("regularizer = [[]]", "'regularizer' is no list of tables"),
        ("format = [2]", "is of format [2], and this regplug reads 2"),
        ("format = true", "is of format True, and this regplug reads 2"),
        ("lock = []", "'lock' is no table of texts"),
        ("seed = 1979-05-27", "seed datetime.date(1979, 5, 27) is no integer"),
        (bytes(range(256)), "save it as UTF-8"),
        (b"seed = 1\0", "Expected newline"),
    ],
)
def test_slip_is_refused_with_words(refused, text, words):
    assert words in refused(text)


def test_file_is_refused_by_plan_in_one_line(tmp_path):
    from click.testing import CliRunner

    from regplug.cli.lazy_group import command_line

    path = tmp_path / "deep.toml"
    path.write_text("seed = 1\nx = " + "[" * 5000)
    words = ["plan", "nothing:x", "-c", str(path)]
    done = CliRunner().invoke(command_line, words)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: {path}: line 2 is nested too deep: options")
    assert done.output.count("\n") == 1


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [nested(10_000), 10**5000, [10**5000], "x" * 10**6, datetime.date(1979, 5, 27)],
    ids=["deep", "long", "list", "text", "date"],
)
@pytest.mark.parametrize(
    "given",
    [
        lambda value: [("dropout", {"weight": value})],
        lambda value: [("dropout", {"weight": 0.5, "shared_axes": value})],
        lambda value: [("dropout", {"weight": {"schedule": value}})],
        lambda value: [("dropout", {"weight": {"schedule": "linear", "stop": value}})],
        lambda value: [("dropout", value)],
        lambda value: [[value]],
        lambda value: [(value, 0.5)],
        lambda value: {"dropout": value},
        lambda value: value,
    ],
)
def test_value_in_python_of_any_depth_and_length_is_refused(given, value):
    with pytest.raises(RegplugError) as caught:
        regplug.compose(given(value))
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize(
    "seed", [10**5000, nested(10_000), "x" * 10**6], ids=["long", "deep", "text"]
)
def test_seed_of_any_length_and_depth_is_refused(seed):
    with pytest.raises(OptionError, match="^seed .* is no integer from") as caught:
        regplug.compose([], seed=seed)
    assert len(str(caught.value)) < 3000
