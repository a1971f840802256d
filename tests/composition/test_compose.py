"""Composition: what the user asked for -> a manager; files; bad input."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
import textwrap
from fractions import Fraction
from typing import Annotated

import numpy as np
import pytest
from annotated_types import Interval

import regplug
from regplug import (
    CompositionError,
    NameConflictError,
    OptionError,
    PluginLoadError,
    Regularizer,
    UnknownRegularizerError,
    hookimpl,
)
from regplug.authoring.regularizer import non_default_options

PAIRS = [
    ("dropout", {"pattern": "hid*:out", "weight": 0.5}),
    ("weight_l2", {"pattern": ["*.w", "!out.w"], "weight": 1e-4, "reduction": "sum"}),
]


def described(manager):
    return [
        (m.label, m.regularizer.pattern, m.regularizer.weight) for m in manager.members
    ]


def test_compose_takes_four_spellings():
    dropout = regplug.load("dropout")
    expected = [("dropout", "hid*:out", 0.5), ("weight_l2", "*.w", 1e-4)]
    pairs = [
        ("dropout", {"pattern": "hid*:out", "weight": 0.5}),
        ("weight_l2", {"pattern": "*.w", "weight": 1e-4}),
    ]
    assert described(regplug.compose(pairs)) == expected
    assert described(regplug.compose(dict(pairs))) == expected
    assert (
        described(regplug.compose(["dropout=0.5@hid*:out", "weight_l2=1e-4@*.w"]))
        == expected
    )
    assert (
        described(regplug.compose([dropout("hid*:out", 0.5), "weight_l2=1e-4@*.w"]))
        == expected
    )
    assert described(regplug.compose({"weight_l2": 1e-4})) == [("weight_l2", "*", 1e-4)]
    assert described(regplug.compose([("weight_l2", 1e-4)])) == [
        ("weight_l2", "*", 1e-4)
    ]
    assert described(regplug.compose([])) == []


@pytest.mark.parametrize(
    ("text", "pattern", "weight"),
    [
        ("dropout=0.5", "@hidden", 0.5),
        ("dropout=.5@a@b", "a@b", 0.5),
        ("dropout=5e-1@@hidden", "@hidden", 0.5),
        ("dropout=0@hid*:out,!hid2:out", ["hid*:out", "!hid2:out"], 0.0),
        ("dropout=0.5@a=b", "a=b", 0.5),
    ],
)
def test_compose_short_form(text, pattern, weight):
    assert described(regplug.compose([text])) == [("dropout", pattern, weight)]


def test_compose_keeps_the_order_of_the_list():
    for names in (["dropout", "noise", "weight_l2"], ["weight_l2", "noise", "dropout"]):
        assert [
            m.label for m in regplug.compose([(name, 0.5) for name in names]).members
        ] == names


def test_compose_leaves_what_it_is_given_as_it_was():
    pairs = copy.deepcopy(PAIRS)
    regplug.compose(pairs)
    assert pairs == PAIRS
    with pytest.raises(OptionError):
        regplug.compose([*pairs, ("dropout", {"weight": 2})])
    assert pairs == PAIRS


def test_compose_finds_the_canonical_name_behind_an_alias():
    assert described(regplug.compose([("weight_decay", 0.1)])) == [
        ("weight_l2", "*", 0.1)
    ]


def test_compose_numbers_labels_of_one_name():
    manager = regplug.compose(
        ["dropout=0.1", "dropout=0.2", "noise=0.3", "dropout=0.4"]
    )
    assert dict(manager.weights) == {
        "dropout": 0.1,
        "dropout#2": 0.2,
        "noise": 0.3,
        "dropout#3": 0.4,
    }


def test_compose_labels_by_name():
    given = [
        ("dropout", {"weight": 0.1, "name": "first"}),
        "dropout=0.2",
        ("noise", {"weight": 0.3, "name": "first"}),
    ]
    assert dict(regplug.compose(given).weights) == {
        "first": 0.1,
        "dropout": 0.2,
        "first#2": 0.3,
    }


def test_compose_names_an_instance_of_an_installed_class_by_its_entry_point(package):
    source = """
from regplug import Regularizer, hookimpl

class Murmur(Regularizer):
    @hookimpl
    def modify_graph(self, value, weight):
        return value + weight
"""
    package("rp-hum", {"hum": "rp_hum:Murmur"}, "rp_hum", source)
    from rp_hum import Murmur

    # its name must not depend on who loaded it before
    for _ in range(2):
        member = regplug.compose([Murmur(weight=0.1)]).members[0]
        assert (member.label, member.name, member.provenance) == (
            "hum",
            "hum",
            "rp-hum 0.1",
        )
        regplug.load("hum")


def test_compose_imports_only_the_plugins_that_it_uses():
    code = """
        import sys, regplug
        regplug.compose(["dropout=0.5"])
        print(sorted({"regplug_noise", "regplug_weights", "pytensor", "theano"} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "regplug_noise" in done.stdout
    assert "regplug_weights" not in done.stdout


def test_compose_twice_the_same_instance_is_refused():
    dropout = regplug.load("dropout")(weight=0.5)
    with pytest.raises(
        CompositionError,
        match=r"Dropout\(weight=0.5\) is listed twice: make a second instance",
    ):
        regplug.compose([dropout, dropout])
    assert (
        len(regplug.compose([dropout]).members) == 1
    )  # and one may serve several managers


def test_compose_unknown_regularizer_names_the_nearest_and_four_more():
    with pytest.raises(UnknownRegularizerError) as caught:
        regplug.compose(["droput=0.5"])
    text = str(caught.value)
    assert text.startswith(
        "no regularizer named 'droput'. Did you mean 'dropout' (regplug-noise "
    )
    assert "Nearest: dropout, drop_path, " in text
    assert text.endswith("all: regplug list.")


def test_compose_unknown_option_names_the_nearest_and_all():
    with pytest.raises(OptionError) as caught:
        regplug.compose([("weight_l2", {"wieght": 0.1})])
    text = str(caught.value)
    assert text.startswith(
        "weight_l2(wieght=0.1): unknown option 'wieght'. Did you mean 'weight'? Options: pattern, "
    )
    assert "reduction" in text


@pytest.mark.parametrize(
    ("weight", "what"),
    [
        (math.nan, "nan is not a finite number"),
        (math.inf, "inf is not a finite number"),
        (-0.1, "-0.1 is out of range: >= 0, < 1"),
        (1, "1.0 is out of range: >= 0, < 1"),
        (1.5, "1.5 is out of range: >= 0, < 1"),
    ],
)
def test_compose_rate_out_of_range_is_refused(weight, what):
    for spelling in (
        ("dropout", {"weight": weight}),
        ("dropout", weight),
        f"dropout={weight}",
        {"dropout": weight},
    ):
        with pytest.raises(OptionError, match=r"dropout\(weight=") as caught:
            regplug.compose(spelling if isinstance(spelling, dict) else [spelling])
        assert what in str(caught.value)


@pytest.mark.parametrize("weight", ["0.5", None, True, [0.5], b"1"])
def test_compose_weight_of_another_type_is_refused(weight):
    with pytest.raises(OptionError, match=r"weight_l2.*float"):
        regplug.compose([("weight_l2", {"weight": weight})])


def test_compose_weight_that_is_missing_is_refused():
    for item in (
        ("dropout", {}),
        "dropout",
        "dropout@hid*:out",
        ("weight_l2", {"pattern": "*"}),
    ):
        with pytest.raises(
            OptionError, match="no weight given, and it has none of its own.*0 is off"
        ):
            regplug.compose([item])


@pytest.mark.parametrize("pattern", [5, None, {"a": 1}, [5], ["a", None]])
def test_compose_pattern_that_is_no_text_is_refused(pattern):
    with pytest.raises(OptionError, match=r"dropout\(pattern="):
        regplug.compose([("dropout", {"weight": 0.5, "pattern": pattern})])


@pytest.mark.parametrize("pattern", ["", [], ["hid*", ""], "!"])
def test_compose_pattern_that_is_empty_is_refused(pattern):
    with pytest.raises(
        OptionError, match="^dropout: pattern .* is no text or list of texts"
    ):
        regplug.compose([("dropout", {"weight": 0.5, "pattern": pattern})])


@pytest.mark.parametrize("seed", [1.5, "7", None, True, 2**64, -(2**63) - 1, [1]])
def test_compose_seed_that_is_no_integer_of_64_bits_is_refused(seed):
    with pytest.raises(OptionError) as caught:
        regplug.compose([], seed=seed)
    assert f"seed {seed!r} is no integer" in str(caught.value)


@pytest.mark.parametrize(
    "seed", [0, 1, -1, 2**64 - 1, -(2**63), np.int64(5), np.uint64(2**64 - 1)]
)
def test_compose_seed_is_any_integer_of_64_bits(seed):
    assert regplug.compose([], seed=seed).seed == int(seed)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("dropout=0.5", "is no list or mapping of regularizers: write ['dropout=0.5']"),
        (5, "5 is no list or mapping"),
        (np.array(5), "array(5) is no list or mapping"),
        ([5], "5 is no regularizer: write"),
        ([("dropout",)], "('dropout',) is no regularizer"),
        ([("dropout", {}, 1)], "is no regularizer"),
        (
            [("dropout", "0.5")],
            "'dropout': '0.5' is no mapping of options and no weight",
        ),
        ([("dropout", True)], "'dropout': True is no mapping"),
        ([("dropout", None)], "'dropout': None is no mapping"),
        (
            ["dropout=half"],
            "'half' is no weight: write a number, or a schedule in braces",
        ),
        (["dropout="], "'' is no weight"),
        ([(5, 0.5)], "5 is no name of a regularizer"),
    ],
)
def test_compose_what_describes_no_regularizer_is_refused(given, what):
    with pytest.raises(CompositionError) as caught:
        regplug.compose(given)
    assert what in str(caught.value)


def test_compose_class_in_the_place_of_an_instance_is_refused():
    with pytest.raises(
        CompositionError, match="Dropout.* is no regularizer.* or an instance"
    ):
        regplug.compose([regplug.load("dropout")])


def test_compose_checks_the_options_of_an_own_init():
    class Old(Regularizer):
        def __init__(self, pattern="*", weight=0.0, size=3):
            super().__init__(pattern=pattern, weight=weight)
            self.size = size

        @hookimpl
        def loss(self, outputs):
            return 0

    assert dict(regplug.compose([Old(weight=0.5, size=4)]).weights) == {"old": 0.5}
    with pytest.raises(OptionError, match=r"old\(size='x'\): 'x' is not of type int"):
        regplug.compose([Old(weight=0.5, size="x")])


def test_compose_constructor_that_raises_is_named(package):
    source = """
from regplug import Regularizer, hookimpl

class Old(Regularizer):
    def __init__(self, size, pattern="*", weight=0.5):
        super().__init__(pattern=pattern, weight=weight)
        self.size = 1 / size

    @hookimpl
    def loss(self, outputs):
        return 0
"""
    package("regplug-old", {"old": "regplug_old:Old"}, "regplug_old", source)
    with pytest.raises(
        OptionError,
        match="^'old' .regplug-old 0.1.: its constructor raised TypeError: .*missing 1 required",
    ):
        regplug.compose(["old=0.5"])
    with pytest.raises(
        OptionError,
        match="^'old' .regplug-old 0.1.: its constructor raised ZeroDivisionError",
    ):
        regplug.compose([("old", {"size": 0})])


CONFLICT = """
from regplug import Regularizer, hookimpl

class {0}(Regularizer):
    @hookimpl
    def loss(self, matched):
        return 0
"""


def test_compose_name_of_two_packages_is_a_conflict_that_says_what_to_write(package):
    package(
        "regplug-one",
        {"orth": "regplug_one:Orth"},
        "regplug_one",
        CONFLICT.format("Orth"),
    )
    package(
        "regplug-two",
        {"orth": "regplug_two:Orthogonal"},
        "regplug_two",
        CONFLICT.format("Orthogonal"),
        "2.0",
    )
    with pytest.raises(NameConflictError) as caught:
        regplug.compose(["orth=1"])
    assert str(caught.value) == (
        "'orth' is offered by regplug-one 0.1 (regplug_one:Orth) and regplug-two 2.0 (regplug_two:Orthogonal). "
        "Write 'regplug-one/orth' or 'regplug-two/orth'."
    )
    manager = regplug.compose([("regplug-one/orth", 1), "Regplug_Two/orth=2"])
    assert [type(member.regularizer).__name__ for member in manager.members] == [
        "Orth",
        "Orthogonal",
    ]
    with pytest.raises(UnknownRegularizerError, match="'regplug-three/orth'"):
        regplug.compose(["regplug-three/orth=1"])


# files


def test_read_and_write_keep_a_composition(tmp_path):
    path = tmp_path / "regplug.toml"
    given = [
        *PAIRS,
        (
            "dropout",
            {
                "weight": 0.25,
                "name": 'a "b" \\ c\n',
                "shared_axes": [0, 1],
                "optional": True,
            },
        ),
        ("weight_decay", 0),
        ("noise", {"weight": 1e-300, "pattern": ["@input", "é*"]}),
    ]
    manager = regplug.compose(given, seed=-3)
    manager.write(path)
    again = regplug.read(path)
    assert again.seed == -3
    assert [(m.label, vars(m.regularizer)) for m in again.members] == [
        (m.label, vars(m.regularizer)) for m in manager.members
    ]
    again.write(tmp_path / "again.toml")
    assert (tmp_path / "again.toml").read_text("utf-8") == path.read_text("utf-8")


def test_read_is_what_the_design_shows(tmp_path):
    path = tmp_path / "regplug.toml"
    path.write_text(
        'seed = 7\n[[regularizer]]\nuse = "dropout"\npattern = "hid*:out"\nweight = 0.5\n'
    )
    manager = regplug.read(str(path))
    assert manager.seed == 7
    assert described(manager) == [("dropout", "hid*:out", 0.5)]


def test_read_takes_seed_0_where_none_is_given(tmp_path):
    path = tmp_path / "regplug.toml"
    path.write_text("")
    assert regplug.read(path).seed == 0


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("seed = 7\n[[regularizer]\n", CompositionError, "line 2, column 14"),
        ('[[regularizer]]\nuse = "dropout\n', CompositionError, "line 2, column 15"),
        (
            "sed = 7",
            CompositionError,
            "unknown key 'sed'. Did you mean 'seed'? Keys: format, seed, [[regularizer]]",
        ),
        (
            "[[regularizers]]\nuse = 'dropout'",
            CompositionError,
            "unknown key 'regularizers'. Did you mean 'regularizer'",
        ),
        (
            "[regularizer]\nuse = 'dropout'",
            CompositionError,
            "'regularizer' is no list of tables: write [[regularizer]]",
        ),
        ("regularizer = [1]", CompositionError, "'regularizer' is no list of tables"),
        (
            "regularizer = 'dropout'",
            CompositionError,
            "'regularizer' is no list of tables",
        ),
        (
            "[[regularizer]]\nweight = 0.5",
            CompositionError,
            '[[regularizer]] number 1 does not say `use = "NAME"`',
        ),
        (
            "[[regularizer]]\nuse = 5",
            CompositionError,
            "[[regularizer]] number 1 does not say `use",
        ),
        ("seed = '7'", OptionError, "seed '7' is no integer"),
        ("format = 3", CompositionError, "format 3, and this regplug reads 2: upgrade"),
        ("format = 'x'", CompositionError, "format 'x', and this regplug reads 2"),
        ("seed = 7.0", OptionError, "seed 7.0 is no integer"),
        (
            "[[regularizer]]\nuse = 'dropout'\nweight = '0.5'",
            OptionError,
            "(weight='0.5'): '0.5' is not of type float",
        ),
        (
            "[[regularizer]]\nuse = 'dropout'\nweight = 1",
            OptionError,
            "1.0 is out of range: >= 0, < 1",
        ),
        (
            "[[regularizer]]\nuse = 'dropout'\nweight = nan",
            OptionError,
            "nan is not a finite number",
        ),
        (
            "[[regularizer]]\nuse = 'dropout'\nwieght = 0.5",
            OptionError,
            "unknown option 'wieght'. Did you mean 'weight'",
        ),
        ("[[regularizer]]\nuse = 'dropout'", OptionError, "no weight given"),
        (
            "[[regularizer]]\nuse = 'droput'\nweight = 0.5",
            UnknownRegularizerError,
            "Did you mean 'dropout'",
        ),
    ],
)
def test_read_bad_file_is_refused_by_path(text, error, what, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(error) as caught:
        regplug.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert what in str(caught.value)


def test_read_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(
        CompositionError, match=r"none.toml: cannot be read: No such file"
    ):
        regplug.read(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"seed = 7 # \xff")
    with pytest.raises(CompositionError, match=r"bytes.toml: 'utf-8' codec"):
        regplug.read(tmp_path / "bytes.toml")


def test_read_broken_plugin_is_refused_by_path(tmp_path, package):
    package(
        "regplug-bad", {"bad": "regplug_bad:Bad"}, "regplug_bad", "import not_there"
    )
    path = tmp_path / "bad.toml"
    path.write_text("[[regularizer]]\nuse = 'bad'\nweight = 1")
    with pytest.raises(
        PluginLoadError,
        match=r"bad.toml: 'bad' \(regplug-bad 0.1\) could not be imported",
    ):
        regplug.read(path)


def test_write_refuses_a_class_of_no_package_and_leaves_the_file(tmp_path):
    class Lasso(Regularizer):
        @hookimpl
        def loss(self, matched):
            return 0

    path = tmp_path / "regplug.toml"
    path.write_text("seed = 1\n")
    with pytest.raises(
        CompositionError, match=r"lasso \(.*Lasso\) is of no installed package"
    ):
        regplug.compose([Lasso(weight=1)]).write(path)
    assert path.read_text() == "seed = 1\n"


@pytest.mark.parametrize(
    "given", ["non_negative=0", "unit_norm=1@*.w", ("spectral_norm", 0.5)]
)
def test_compose_weight_where_there_is_none_is_refused(given):
    with pytest.raises(
        OptionError,
        match=r"\(weight=[0-9.]+\): it has no weight. Options: pattern, name, optional",
    ):
        regplug.compose([given])


def test_compose_weight_of_an_instance_that_uses_none_is_refused():
    cls = regplug.load("non_negative")
    with pytest.raises(OptionError, match=r"NonNegative\(weight=0\): it has no weight"):
        cls(weight=0)


def test_compose_name_with_a_slash_is_refused():
    with pytest.raises(
        OptionError, match="s/x: a name has no '/', which parts label and parameter"
    ):
        regplug.compose([("dropout", {"weight": 0.5, "name": "s/x"})])


def test_write_keeps_texts_and_numbers_of_every_kind(tmp_path):
    schedule = {
        "schedule": "linear",
        "start": np.float32(0),
        "stop": Fraction(1, 4),
        "steps": 10,
    }
    manager = regplug.compose(
        [("weight_l2", {"weight": schedule, "pattern": "\U0001f600\x7f*"})]
    )
    manager.write(tmp_path / "regplug.toml")
    (member,) = regplug.read(tmp_path / "regplug.toml").members
    assert member.pattern.spec == "\U0001f600\x7f*"
    assert dict(member.weight) == {
        "schedule": "linear",
        "start": 0.0,
        "stop": 0.25,
        "steps": 10,
    }


def test_write_refuses_none_where_it_is_no_default(tmp_path, package):
    package(
        "regplug-opt",
        {"opt": "rp_opt:Opt"},
        "rp_opt",
        """
from regplug import Regularizer, hookimpl

class Opt(Regularizer):
    axis: int | None = 0

    @hookimpl
    def loss(self, matched):
        return None
""",
    )
    with pytest.raises(
        CompositionError,
        match="opt: axis = None is not its default, and a TOML file has no None",
    ):
        regplug.compose([("opt", {"weight": 1, "axis": None})]).write(
            tmp_path / "regplug.toml"
        )
    assert not (tmp_path / "regplug.toml").exists()


def test_write_where_no_file_can_be_is_refused_by_path(tmp_path):
    with pytest.raises(
        CompositionError,
        match="regplug.toml: cannot be written: No such file or directory",
    ):
        regplug.compose(["dropout=0.5"]).write(tmp_path / "nowhere" / "regplug.toml")


def test_compose_weight_that_a_hook_reads_from_self_is_taken():
    class Plain(Regularizer):
        @hookimpl
        def modify_graph(self, outputs):
            outputs.update({name: h * self.weight for name, h in outputs.items()})

    class Own(Plain):
        def __init__(self, pattern, weight):
            super().__init__(pattern=pattern, weight=weight)

    manager = regplug.compose([Plain("h:out", 0.5), Own("h:out", 0.25)])
    assert dict(manager.weights) == {"plain": 0.5, "own": 0.25}


def test_compose_takes_pairs_that_are_lists():
    pairs = [
        ["dropout", 0.5],
        ["weight_l2", {"weight": 1e-4, "pattern": "*.w"}],
    ]  # as JSON has them
    assert described(regplug.compose(pairs)) == [
        ("dropout", "@hidden", 0.5),
        ("weight_l2", "*.w", 1e-4),
    ]


def test_compose_label_is_the_name_of_the_regularizer_where_the_given_one_is_empty():
    assert dict(
        regplug.compose([("dropout", {"weight": 0.5, "name": ""})]).weights
    ) == {"dropout": 0.5}


def test_compose_weight_that_the_class_declares_is_taken_though_no_hook_reads_it():
    class Own(Regularizer):
        weight: Annotated[float, Interval(ge=0, lt=1)] = 0.5

        @hookimpl
        def modify_graph(self, outputs):
            pass

    assert compose_options(Own(weight=0.25)) == {"weight": 0.25}


def compose_options(regularizer):
    (member,) = regplug.compose([regularizer]).members
    return non_default_options(member.regularizer)


def test_compose_weight_that_a_function_inside_a_hook_reads_is_taken():
    class Plain(Regularizer):
        @hookimpl
        def modify_graph(self, outputs):
            def scaled(h):
                return h * self.weight

            outputs.update({name: scaled(h) for name, h in outputs.items()})

    assert compose_options(Plain(weight=0.25)) == {"weight": 0.25}


def test_given_options_leave_out_what_equals_the_default():
    class Own(Regularizer):
        weight = 0.1
        names: list[str] = ["a", "b"]

        @hookimpl
        def loss(self, matched):
            return None

    assert compose_options(Own(weight=float("0.1"), names=["a", "b"])) == {}
    assert compose_options(Own(weight=0.2, names=["b"])) == {
        "weight": 0.2,
        "names": ["b"],
    }
