"""``regplug show``."""

from __future__ import annotations

import json

import pytest

import regplug

SOURCE = '''
from typing import Annotated, Literal
from annotated_types import Interval
from regplug import Regularizer, hookimpl

class Ridge(Regularizer):
    """Penalize the squares,
    in two lines.

    A second paragraph.

    Parameters
    ----------
    share : float
        How much
        of it.
    low, high : float
        Both ends.

    Notes
    -----
    ``share * sum(w ** 2)``.

    References
    ----------
    A. Author (1990). A title that
        goes on. A journal.
    B. Author (1991). Another.
    """

    targets = "params"
    applies = "always"
    pattern = "*.w"
    share: Annotated[float, Interval(ge=0, le=1)] = 0.5
    kind: Literal["a", "b"] = "a"
    low: float = 0.0
    high: float = 1.0

    @hookimpl
    def loss(self, matched):
        return sum((w ** 2).sum() for w in matched.values())
'''


def test_show_has_summary_facts_options_formula_and_references(run, package):
    folder = package(
        "rp-ridge",
        {"ridge": "rp_ridge:Ridge", "tikhonov": "rp_ridge:Ridge"},
        "rp_ridge",
        SOURCE,
        "2.5",
    )

    lines = run("show", "tikhonov").output.splitlines()

    assert lines[:2] == [
        "ridge  (also tikhonov)",
        "Penalize the squares, in two lines.",
    ]
    for fact in (
        "Targets  parameters",
        "Applies  always, at prediction time too",
        "Hooks    loss",
        "Package  rp-ridge 2.5",
        "Class    rp_ridge:Ridge",
        f"File     {folder / 'rp_ridge.py'}",
    ):
        assert fact in lines
    words = [line.split() for line in lines]
    assert [
        "share",
        "float",
        "0.5",
        ">=",
        "0,",
        "<=",
        "1",
        "How",
        "much",
        "of",
        "it.",
    ] in words
    assert ["kind", "'a'", "|", "'b'", "'a'"] in words
    assert ["high", "float", "1.0", "Both", "ends."] in words
    assert next(line for line in words if line[:1] == ["weight"])[:5] == [
        "weight",
        "float",
        "must",
        "be",
        "given",
    ]
    assert "  `share * sum(w ** 2)`." in [line.rstrip() for line in lines]
    assert "  A. Author (1990). A title that goes on. A journal." in [
        line.rstrip() for line in lines
    ]


def test_show_json_has_a_schema_of_the_options(run, package):
    package("rp-ridge", {"ridge": "rp_ridge:Ridge"}, "rp_ridge", SOURCE)

    shown = json.loads(run("show", "ridge", "--json").output)

    assert (shown["package"], shown["targets"], shown["applies"]) == (
        "rp-ridge",
        "params",
        "always",
    )
    assert shown["hooks"] == ["loss"]
    assert shown["formula"] == "``share * sum(w ** 2)``."
    assert shown["references"] == [
        "A. Author (1990). A title that goes on. A journal.",
        "B. Author (1991). Another.",
    ]
    options = shown["options"]
    assert (options["type"], options["required"], options["additionalProperties"]) == (
        "object",
        ["weight"],
        False,
    )
    assert options["properties"]["share"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
        "description": "How much of it.",
    }
    assert options["properties"]["kind"] == {"enum": ["a", "b"], "default": "a"}
    assert options["properties"]["pattern"]["default"] == "*.w"


def test_show_json_has_a_complete_schema_of_every_installed_regularizer(run):
    for entry in regplug.available():
        shown = json.loads(run("show", entry.qualified_name, "--json").output)
        schema = shown["options"]

        assert schema.keys() == {
            "type",
            "properties",
            "required",
            "additionalProperties",
            "examples",
        }
        assert set(schema["required"]) <= set(schema["properties"])
        for option in schema["properties"].values():
            assert option["description"]
            assert not {"type", "enum", "anyOf"}.isdisjoint(option)
        (member,) = regplug.compose([shown["example"]]).members
        for name, value in schema["examples"][0].items():
            assert getattr(member.regularizer, name) == value


def test_show_takes_what_an_option_means_from_the_class_that_declares_it(run, package):
    source = (
        SOURCE
        + """

class Twice(Ridge):
    '''Penalize the squares twice.'''
"""
    )
    package("rp-ridge", {"twice": "rp_ridge:Twice"}, "rp_ridge", source)

    shown = json.loads(run("show", "twice", "--json").output)

    assert shown["summary"] == "Penalize the squares twice."
    assert shown["options"]["properties"]["high"]["description"] == "Both ends."
    assert shown["formula"] == ""
    assert shown["references"] == []


def test_show_of_a_class_without_a_docstring_does_not_show_its_base(run, package):
    source = (
        SOURCE.partition("class Ridge")[0]
        + """
class Bare(Regularizer):
    @hookimpl
    def loss(self, matched):
        return 0
"""
    )
    package("rp-bare", {"bare": "rp_bare:Bare"}, "rp_bare", source)

    lines = run("show", "bare").output.splitlines()

    assert lines[1] == "No summary: its class has no docstring."


def test_show_leaves_out_a_weight_that_the_class_does_not_use(run, package):
    source = '''
from regplug import Regularizer, hookimpl

class Clip(Regularizer):
    """Clip."""
    targets = "params"

    @hookimpl
    def constrain(self, matched):
        return {name: w.clip(-1, 1) for name, w in matched.items()}
'''
    package("rp-clip", {"clip": "rp_clip:Clip"}, "rp_clip", source)

    options = json.loads(run("show", "clip", "--json").output)["options"]

    assert list(options["properties"]) == ["pattern", "name", "optional"]
    assert options["required"] == []


def test_show_of_an_unknown_name_suggests_the_nearest(run):
    result = run("show", "droput")

    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: no regularizer named 'droput'. Did you mean 'dropout' (regplug-noise "
    )
    assert result.output.count("\n") == 1


def test_show_of_what_cannot_be_imported_is_one_line(run, package):
    package(
        "rp-raises",
        {"raises": "rp_raises:X"},
        "rp_raises",
        "raise ValueError('one\\ntwo')\nclass X: pass\n",
    )

    result = run("show", "raises")

    assert result.exit_code == 1
    assert result.output == (
        "Error: 'raises' (rp-raises 0.1) could not be imported: ValueError: one two. "
        "Other regularizers are unaffected. See: regplug doctor raises\n"
    )


def test_show_of_a_constraint_says_through_what_it_acts(run):
    assert (
        "Applies  to an optimizer's updates, through result.constrain(updates)"
        in run("show", "max_norm").output
    )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dropout", "dropout=0.5@@hidden"),
        ("weight_decay", "weight_l2=0.0001@*"),
        ("noise", "noise=0.1@@hidden"),
        ("max_norm", "max_norm(limit=3)@*"),
        ("recurrent_state", "recurrent_state=0.1@rnn:out"),
        ("soft_threshold", "soft_threshold=0.001@*"),
        ("spectral_norm", "spectral_norm@*"),
    ],
)
def test_show_gives_a_line_to_begin_with(run, name, line):
    assert f"Example  {line}" in run("show", name).output.splitlines()


def test_show_of_a_class_that_takes_no_example_says_so(run, package):
    source = SOURCE + "    def __init__(self, weight):\n        raise SystemExit\n"
    package("rp-ridge", {"ridge": "rp_ridge:Ridge"}, "rp_ridge", source)

    assert "Example  none is known" in run("show", "ridge").output.splitlines()
    assert json.loads(run("show", "ridge", "--json").output)["example"] == ""
