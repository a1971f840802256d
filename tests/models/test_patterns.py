"""Patterns: globs, exclusions, exact names and roles -> names."""

import pytest

from regplug.errors import NoMatchError, OptionError
from regplug.models.patterns import Pattern

NAMES = ["in:out", "hid1:pre", "hid1:out", "hid2:out", "out:out"]
ROLES = {
    "@input": {"in:out"},
    "@hidden": {"hid1:out", "hid2:out"},
    "@output": {"out:out"},
}


def matched(spec, names=NAMES, roles=ROLES, optional=False):
    variables = dict.fromkeys(names)
    return Pattern(spec).resolve(variables, roles, "dropout", "outputs", optional)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("*", NAMES),
        ("hid*:out", ["hid1:out", "hid2:out"]),
        ("hid?:pre", ["hid1:pre"]),
        ("hid[2-9]:*", ["hid2:out"]),
        ("hid1:out", ["hid1:out"]),
        (["out:out", "in:out"], ["in:out", "out:out"]),
        (["hid*", "hid1:out"], ["hid1:pre", "hid1:out", "hid2:out"]),
        (["hid*", "!*:pre"], ["hid1:out", "hid2:out"]),
        (["!hid*"], ["in:out", "out:out"]),
        ("!hid*", ["in:out", "out:out"]),
        (["!*:pre", "hid*"], ["hid1:out", "hid2:out"]),
        ("@input", ["in:out"]),
        ("@hidden", ["hid1:out", "hid2:out"]),
        ("@output", ["out:out"]),
        (["@hidden", "!hid1:*"], ["hid2:out"]),
        (["*:out", "!@hidden"], ["in:out", "out:out"]),
    ],
)
def test_pattern_selects_in_the_order_of_the_names(spec, expected):
    assert matched(spec) == expected


def test_pattern_is_case_sensitive_and_covers_the_whole_name():
    with pytest.raises(NoMatchError):
        matched("HID*")
    with pytest.raises(NoMatchError):
        matched("hid1")


def test_pattern_exact_name_wins_over_its_reading_as_a_glob():
    names = ["layer[0]:out", "layer0:out", "@odd:out"]
    assert matched("layer[0]:out", names) == ["layer[0]:out"]
    assert matched(["*", "!layer[0]:out"], names) == ["layer0:out", "@odd:out"]
    assert matched("@odd:out", names) == ["@odd:out"]


@pytest.mark.parametrize(
    "spec", ["*a" * 10**6, ["hid*", "!" + "a" * 1000]], ids=["glob", "list"]
)
def test_pattern_that_is_too_long_is_refused_before_it_is_compiled(spec):
    with pytest.raises(OptionError, match="characters, of at most 1000: write a list"):
        Pattern(spec)
    assert matched(["a" * 1000, "*"], optional=True) == NAMES


def test_pattern_that_matches_nothing_names_what_there_is_and_the_nearest():
    with pytest.raises(NoMatchError) as caught:
        matched("hidd1:out")
    assert str(caught.value) == (
        "dropout: pattern 'hidd1:out' matches none of the 5 outputs. Nearest: 'hid1:out'. "
        "Outputs: in:out, hid1:pre, hid1:out, hid2:out, out:out."
    )


def test_pattern_role_that_nothing_has_is_not_near_to_a_name():
    with pytest.raises(NoMatchError) as caught:
        matched("@hidden", names=["hidden", "input"], roles=ROLES | {"@hidden": set()})
    assert str(caught.value) == (
        "dropout: pattern '@hidden' matches none of the 2 outputs. Outputs: hidden, input."
    )
    with pytest.raises(
        NoMatchError, match="'hiden' matches none of the 2 outputs. Nearest: 'hidden'."
    ):
        matched("hiden", names=["hidden", "input"])


def test_pattern_needs_every_positive_entry_to_match():
    with pytest.raises(NoMatchError, match=r"'conv\*' matches none"):
        matched(["hid*", "conv*"])


def test_pattern_may_exclude_what_is_not_there():
    assert matched(["hid*", "!conv*"]) == ["hid1:pre", "hid1:out", "hid2:out"]


def test_pattern_that_excludes_everything_says_so():
    with pytest.raises(
        NoMatchError,
        match=r"\['hid1:\*', '!hid\*'\] excludes all 5 outputs: in:out, hid1:pre",
    ):
        matched(["hid1:*", "!hid*"])


def test_pattern_optional_may_match_nothing():
    assert matched("conv*", optional=True) == []
    assert matched(["conv*", "hid1:out"], optional=True) == ["hid1:out"]
    assert matched(["hid1:*", "!hid*"], optional=True) == []


def test_pattern_without_any_names_matches_nothing():
    with pytest.raises(NoMatchError, match="none of the 0 outputs. Outputs: none"):
        matched("*", names=[])


def test_pattern_cuts_a_long_list_of_names():
    with pytest.raises(NoMatchError, match=r"h11:out, \.\.\. \(88 more\)\."):
        matched("conv", names=[f"h{i}:out" for i in range(100)])


def test_pattern_unknown_role_is_refused_with_the_nearest():
    with pytest.raises(OptionError) as caught:
        matched("@hiden")
    text = str(caught.value)
    assert text.startswith("dropout: ")
    assert "'@hiden'" in text
    assert "Did you mean '@hidden'?" in text
    assert "@input, @hidden, @output" in text


def test_pattern_unknown_role_is_refused_where_it_is_optional_and_excluded_too():
    for spec in ("@hiden", ["*", "!@hiden"]):
        with pytest.raises(OptionError, match="@hidden"):
            matched(spec, optional=True)


def test_pattern_roles_where_there_are_none_say_to_write_a_glob():
    with pytest.raises(OptionError, match="write a glob"):
        matched("@hidden", roles={})


@pytest.mark.parametrize("spec", ["", "!", [], ["hid*", ""], ["hid*", 5], 5, None])
def test_pattern_that_is_no_text_is_refused(spec):
    with pytest.raises(OptionError, match="pattern .* write a glob"):
        Pattern(spec)


@pytest.mark.parametrize("spec", ["a", ["a", "!b"], ["!@hidden", "a"]])
def test_pattern_roles_are_those_among_its_entries(spec):
    assert Pattern(spec).roles == (["@hidden"] if "!@hidden" in spec else [])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("*", ["*", "h:out", "x[0]"]), ("!h*", ["*", "x[0]"]), ("x[0]", ["x[0]"])],
)
def test_pattern_stays_one_beside_a_name_like_it(spec, expected):
    assert matched(spec, ["*", "h:out", "x[0]"]) == expected
