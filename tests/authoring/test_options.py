"""Options: annotated class attributes, the checks that they imply, and their JSON schema."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from annotated_types import Ge, GroupedMetadata, Gt, Interval, Le, Lt

from regplug import OptionError, Regularizer, hookimpl
from regplug.authoring.options import REQUIRED, Option, check_options, options_of

# of more digits than Python writes out
LONG = pytest.param(10**5000, id="long")


class ElasticNet(Regularizer):
    """A class with options of every kind."""

    targets = "params"
    pattern = "*.w"
    l1_ratio: Annotated[float, Interval(ge=0, le=1)] = 0.5
    kind: Literal["gram", "cosine"] = "gram"
    axes: tuple[int, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    limit: Annotated[float, Gt(0)] | None = None
    count: Annotated[int, Ge(1), Le(9)] = 1
    names: list[str] = ["a"]
    biases: bool = False
    anything: Any = None
    shared: ClassVar[int] = 3
    _private: int = 4

    @hookimpl
    def loss(self, matched):
        return None


def test_options_are_the_public_annotated_attributes_base_first():
    assert list(options_of(ElasticNet)) == [
        "pattern", "weight", "name", "optional",
        "l1_ratio", "kind", "axes", "pair", "limit", "count", "names", "biases", "anything",
    ]  # fmt: skip


def test_options_take_the_class_values_as_defaults():
    options = options_of(ElasticNet)
    assert options["pattern"].default == "*.w"
    assert options["weight"].default is REQUIRED
    assert options["l1_ratio"].default == 0.5


def test_options_with_an_ellipsis_must_be_given():
    class Recurrent(Regularizer):
        pattern = ...

        @hookimpl
        def loss(self, matched):
            return None

    assert options_of(Recurrent)["pattern"].default is REQUIRED
    with pytest.raises(OptionError, match="Recurrent: option 'pattern' must be given"):
        Recurrent(weight=1)
    assert Recurrent("rnn:out", 1).pattern == "rnn:out"


def test_options_narrow_the_range_of_a_base_option():
    class Rate(Regularizer):
        weight: Annotated[float, Interval(ge=0, lt=1)]

    assert options_of(Rate)["weight"].range == ">= 0, < 1"
    assert list(options_of(Rate)) == ["pattern", "weight", "name", "optional"]
    with pytest.raises(
        OptionError, match=r"Rate\(weight=1\): 1.0 is out of range: >= 0, < 1"
    ):
        Rate(weight=1)


def test_options_of_a_subclass_are_inherited():
    class Own(ElasticNet):
        l1_ratio = 0.25

    assert options_of(Own)["l1_ratio"].default == 0.25
    assert Own(weight=1).l1_ratio == 0.25
    with pytest.raises(OptionError):
        Own(weight=1, l1_ratio=2)


def test_options_of_an_own_init_are_its_keywords():
    class Ancestor(Regularizer):
        def __init__(self, pattern="*", weight=0.0, rng=13):
            super().__init__(pattern=pattern, weight=weight)
            self.rng = rng

    assert {name: option.default for name, option in options_of(Ancestor).items()} == {
        "pattern": "*", "weight": 0.0, "rng": 13,
    }  # fmt: skip
    assert options_of(Ancestor)["weight"].range == ">= 0"
    assert Ancestor("hid*", 0.5, rng=7).rng == 7


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("weight", 1, 1.0),
        ("weight", np.float32(0.5), 0.5),
        ("weight", 0, 0.0),
        ("count", np.int64(3), 3),
        ("axes", [1, -1], (1, -1)),
        ("pair", [1, 2], (1, 2.0)),
        ("limit", 3, 3.0),
        ("limit", None, None),
        ("pattern", ("a", "b"), ["a", "b"]),
        ("kind", "cosine", "cosine"),
        ("anything", {1: 2}, {1: 2}),
    ],
)
def test_option_value_is_converted_to_its_type(name, value, kept):
    checked = check_options(ElasticNet, "net", {name: value})[name]
    assert checked == kept
    assert type(checked) is type(kept)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("weight", -0.1, "-0.1 is out of range: >= 0"),
        ("weight", math.nan, "nan is not a finite number"),
        ("weight", math.inf, "inf is not a finite number"),
        ("weight", -math.inf, "-inf is not a finite number"),
        ("weight", 10**400, "is not a finite number"),
        ("weight", "0.1", "'0.1' is not of type float"),
        ("weight", True, "True is not of type float"),
        ("weight", None, "None is not of type float"),
        ("weight", [0.1], "[0.1] is not of type float"),
        ("l1_ratio", 1.5, "1.5 is out of range: >= 0, <= 1"),
        ("count", 2.0, "2.0 is not of type int"),
        ("count", 10, "10 is out of range: >= 1, <= 9"),
        ("kind", "gramm", "'gramm' is not one of 'gram' | 'cosine'"),
        ("axes", 3, "3 is not of type tuple[int, ...]"),
        ("axes", "12", "'12' is not of type tuple[int, ...]"),
        ("axes", [1.5], "1.5 is not of type int"),
        ("pair", [1], "[1] has 1 entries, not 2"),
        ("limit", 0, "0.0 is out of range: > 0"),
        ("limit", "x", "'x' is not of type float"),
        ("names", ["a", 5], "5 is not of type str"),
        ("biases", 1, "1 is not of type bool"),
        ("pattern", 5, "5 is not of type str | list[str]"),
        ("pattern", {"a": 1}, "{'a': 1} is not of type str | list[str]"),
        ("name", 5, "5 is not of type str"),
        ("optional", "yes", "'yes' is not of type bool"),
    ],
)
def test_option_value_is_refused_with_the_value_and_what_is_valid(name, value, what):
    with pytest.raises(OptionError) as caught:
        check_options(ElasticNet, "net", {name: value})
    assert str(caught.value).startswith(f"net({name}={value!r}): ")
    assert what in str(caught.value)


def test_option_that_is_unknown_is_refused_with_the_nearest_and_all():
    with pytest.raises(OptionError) as caught:
        check_options(ElasticNet, "net", {"l1_rate": 0.5})
    assert str(caught.value) == (
        "net(l1_rate=0.5): unknown option 'l1_rate'. Did you mean 'l1_ratio'? Options: pattern, weight, name, "
        "optional, l1_ratio, kind, axes, pair, limit, count, names, biases, anything."
    )


def test_option_refuses_none_where_a_number_has_a_bound():
    class Bounded(Regularizer):
        limit: Annotated[float | None, Ge(0), Lt(5)] = None

    assert check_options(Bounded, "bounded", {"limit": None}) == {"limit": None}
    assert check_options(Bounded, "bounded", {"limit": 3}) == {"limit": 3.0}
    with pytest.raises(OptionError, match="5.0 is out of range"):
        check_options(Bounded, "bounded", {"limit": 5})


def test_option_schema_has_type_range_and_default():
    options = options_of(ElasticNet)
    assert options["l1_ratio"].schema() == {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
    }
    assert options["kind"].schema() == {"enum": ["gram", "cosine"], "default": "gram"}
    assert options["axes"].schema() == {
        "type": "array",
        "items": {"type": "integer"},
        "default": (),
    }
    assert options["limit"].schema() == {
        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}],
        "default": None,
    }
    assert Option("rate", Annotated[float, Interval(ge=0, lt=1)]).schema() == {
        "type": "number", "minimum": 0, "exclusiveMaximum": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("weight", "float"),
        ("pattern", "str | list[str]"),
        ("kind", "'gram' | 'cosine'"),
        ("axes", "tuple[int, ...]"),
        ("limit", "float | None"),
        ("anything", "any"),
    ],
)
def test_option_type_name_is_for_users(name, text):
    assert options_of(ElasticNet)[name].type_name == text


def test_option_range_may_be_a_group_of_markers():
    class Share(GroupedMetadata):
        def __iter__(self):
            yield Ge(0)
            yield Lt(1)

    option = Option("share", Annotated[float, Share()])
    assert option.range == ">= 0, < 1"
    with pytest.raises(ValueError, match="5.0 is out of range"):
        option.check(5)


def test_option_of_a_function_has_a_readable_type():
    assert Option("norm", Callable[[float], int]).type_name == "Callable[[float], int]"


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400, LONG])
def test_option_that_is_an_integer_beyond_64_bits_is_refused(value):
    with pytest.raises(ValueError, match="is no integer within 64 bits"):
        Option("n", int).check(value)
    assert Option("n", int).check(2**63 - 1) == 2**63 - 1
    assert Option("n", int).check(np.int64(-(2**63))) == -(2**63)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**20, LONG])
def test_option_that_is_a_float_takes_no_integer_beyond_64_bits(value):
    with pytest.raises(ValueError, match="is not a finite number within 64 bits"):
        Option("x", float).check(value)
    assert Option("x", float).check(2**64 - 1) == 2.0**64


@pytest.mark.parametrize("value", [b"12", bytearray(b"12"), memoryview(b"12")])
def test_option_that_is_a_sequence_takes_no_bytes(value):
    for kind in (list[int], tuple[int, ...], tuple[int, int]):
        with pytest.raises(ValueError, match="is not of type"):
            Option("axes", kind).check(value)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [LONG, [10**5000], nested(10_000), {"schedule": nested(10_000)}, "x" * 10**6],
    ids=["long", "list", "deep", "schedule", "text"],
)
@pytest.mark.parametrize("option", ["weight", "axes", "exact", "none_such", "pattern"])
def test_option_of_any_length_and_depth_is_refused_by_name(option, value):
    class Odd(Regularizer):
        axes: tuple[int, ...] = ()
        exact: Literal[1] = 1

    if option == "pattern" and isinstance(value, str):
        pytest.skip("a text is a pattern")
    with pytest.raises(OptionError, match=option) as caught:
        check_options(Odd, "odd", {option: value})
    assert len(str(caught.value)) < 3000


def test_option_is_set_through_a_property():
    class Doubled(Regularizer):
        weight = property(
            lambda self: self._weight,
            lambda self, value: setattr(self, "_weight", 2 * value),
        )

    assert Doubled(weight=0.1).weight == 0.2


@pytest.mark.parametrize(
    ("choices", "value"),
    [
        (Literal[1], True),
        (Literal[1], 1.0),
        (Literal[True], 1),
        (Literal[0, "a"], False),
        (Literal["1"], 1),
    ],
)
def test_option_of_choices_takes_no_value_that_only_equals_one(choices, value):
    with pytest.raises(ValueError, match=f"^{value!r} is not one of "):
        Option("kind", choices).check(value)


def test_option_of_choices_keeps_the_type_of_each():
    option = Option("kind", Literal[1, True, "a"])
    assert [type(option.check(each)) for each in (1, True, "a")] == [int, bool, str]


@pytest.mark.parametrize("value", [[], [1], [1, 2.0, 3], [1, 2.0, 3, 4]])
def test_option_of_a_fixed_tuple_takes_that_many_entries(value):
    with pytest.raises(ValueError, match=rf"has {len(value)} entries, not 2"):
        Option("pair", tuple[int, float]).check(value)


def test_option_of_a_tuple_of_one_takes_one_entry():
    option = Option("one", tuple[int])
    assert option.check([3]) == (3,)
    with pytest.raises(ValueError, match=r"\[3, 4\] has 2 entries, not 1"):
        option.check([3, 4])


def test_option_of_nested_tuples_is_checked_at_every_depth():
    option = Option("ranges", tuple[tuple[int, float], ...])
    assert option.check([[1, 2], (3, 4)]) == ((1, 2.0), (3, 4.0))
    with pytest.raises(ValueError, match=r"\[1, 2, 3\] has 3 entries, not 2"):
        option.check([[1, 2, 3]])
    with pytest.raises(ValueError, match="True is not of type int"):
        option.check([[True, 2]])


def test_option_has_the_bounds_of_an_entry():
    option = Option("axes", tuple[Annotated[int, Ge(0)], ...])
    assert option.check([0, 2]) == (0, 2)
    with pytest.raises(ValueError, match="-1 is out of range: >= 0"):
        option.check([0, -1])
    assert option.schema() == {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
    }


def test_option_has_the_bounds_of_each_part_of_a_union():
    option = Option(
        "size", Annotated[int, Ge(1)] | Annotated[float, Gt(0), Lt(1)] | str
    )
    assert [option.check(each) for each in (3, 0.5, "all")] == [3, 0.5, "all"]
    for value in (0, -0.5, 1.5):
        with pytest.raises(
            ValueError, match=f"^{value} is not of type int | float | str"
        ):
            option.check(value)


def test_option_of_a_union_is_of_the_first_part_that_fits():
    assert type(Option("n", int | float | None).check(3)) is int
    assert type(Option("n", float | int | None).check(3)) is float


@pytest.mark.parametrize("value", [np.bool_(True), np.float64(2.0), np.array([1])])
def test_option_of_an_integer_takes_no_other_scalar_of_numpy(value):
    with pytest.raises(ValueError, match="is not of type int"):
        Option("count", int).check(value)


def test_option_without_a_default_in_an_own_init_must_be_given():
    class Sized(Regularizer):
        def __init__(self, size, pattern="*", weight=0.0):
            super().__init__(pattern=pattern, weight=weight)
            self.size = size

    options = options_of(Sized)
    assert (options["size"].default, options["size"].type) == (REQUIRED, Any)


def test_option_weight_as_a_schedule_has_the_range_of_the_class():
    class Rate(Regularizer):
        weight: Annotated[float, Interval(ge=0, lt=1)]

    ramp = {"schedule": "linear", "start": 0, "stop": 1.5, "steps": 10}
    with pytest.raises(OptionError, match="1.5 is out of range: >= 0, < 1"):
        check_options(Rate, "rate", {"weight": ramp})
