"""Names that repeat: a pattern is about names, and all of one name match."""

import numpy as np
import pytest
from toys import SumParams

import regplug
from regplug import NoMatchError
from regplug.testing import evaluate


@pytest.fixture
def model(engine):
    """Return two parameters and two outputs of one name each, as a plain graph has them."""
    T = engine.T
    x = T.matrix("x", dtype="float64")
    first = engine.shared(np.full((2, 2), 1.0), name="W")
    second = engine.shared(np.full((2, 2), 2.0), name="W")
    h = T.tanh(T.dot(x, first))
    y = T.dot(h, second)
    h.name = y.name = "h"
    return y


@pytest.mark.parametrize(
    ("pattern", "total", "matches"),
    [
        ("W", 4 + 8, ["W", "W#2"]),
        ("W#2", 8, ["W#2"]),
        (["W", "!W#2"], 4, ["W"]),
        ("*", 4 + 8, ["W", "W#2"]),
    ],
)
def test_pattern_matches_all_parameters_of_one_name(pattern, total, matches, model):
    result = regplug.compose([SumParams(pattern)]).apply(model)
    assert result.matches == {"sum_params": matches}
    assert evaluate(result.loss) == total


def test_pattern_matches_all_outputs_of_one_name(model):
    manager = regplug.compose([("dropout", {"pattern": "h", "weight": 0.5})])
    assert manager.apply(model).matches == {"dropout": ["h", "h#2"]}


def test_pattern_of_a_repeated_name_may_exclude_it(model):
    with pytest.raises(NoMatchError, match="excludes all"):
        regplug.compose([("weight_l2", {"pattern": "!W", "weight": 1})]).apply(model)


def test_pattern_does_not_take_a_number_of_the_users_own_for_a_repeated_name(engine):
    first, second = (engine.shared(np.ones((2, 2)), name=name) for name in "ab")
    outputs = {"h:out": first + second}
    params = {"W": first, "W#2": second}
    manager = regplug.compose([("weight_l2", {"pattern": "W", "weight": 1})])
    assert manager.apply(outputs, params).matches == {"weight_l2": ["W"]}
