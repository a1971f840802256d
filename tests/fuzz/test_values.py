"""Values of every kind, as options and as states: an error of regplug, or what was meant."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

import regplug
from regplug import RegplugError, RegplugWarning


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


VALUES = [
    *(None, True, 0, 1, -1, 0.5, 2**63, 2**64, 10**400, 10**5000, 1j, nested(5000)),
    *(float("nan"), float("inf"), b"x", bytearray(b"1"), memoryview(b"12"), object()),
    *(
        "",
        "x",
        "linear",
        "\ud800",
        "\x1b",
        "@",
        "!",
        "dropout=0.5",
        "=",
        "a/b",
        "*" * 2000,
    ),
    *(
        np.array([1, 2]),
        np.array(3),
        np.float32(0.5),
        np.array("x"),
        range(3),
        {1},
        len,
    ),
]
KEYS = ["schedule", "start", "stop", "steps", "values", "weight", "pattern", 1, None]
OPTIONS = ["weight", "pattern", "shared_axes", "name", "optional", "rescale", "none"]


def value_of(rng, depth=0):
    kind = rng.randrange(12)
    if depth < 3 and kind < 2:
        return [value_of(rng, depth + 1) for _ in range(rng.randrange(3))]
    if depth < 3 and kind < 4:
        keys = rng.sample(KEYS, rng.randrange(4))
        return {key: value_of(rng, depth + 1) for key in keys}
    return rng.choice(VALUES)


@pytest.fixture(autouse=True)
def warned():
    """Take the warnings of regplug, of other packages and versions, for granted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RegplugWarning)
        yield


def attempt(work, *arguments, **options):
    """Return what the work returns; None where regplug refuses in a text that can be read."""
    try:
        return work(*arguments, **options)
    except RegplugError as error:
        text = str(error)
    assert 20 < len(text) < 12_000
    assert text.replace("\n", "").replace("\t", "").isprintable()
    return None


def test_value_of_any_kind_is_taken_or_refused(seeds, tmp_path):
    path = tmp_path / "regplug.toml"
    manager = regplug.compose(["dropout=0.5"])
    state = manager.state()
    for seed in seeds:
        rng = random.Random(seed)
        value, option = value_of(rng), rng.choice(OPTIONS)
        composed = attempt(
            regplug.compose, [("dropout", {"weight": 0.5, option: value})]
        )
        path.unlink(missing_ok=True)
        if composed is not None:
            attempt(composed.write, path)
        if path.exists():
            (before,), (after,) = composed.members, regplug.read(path).members
            assert repr(after.regularizer) == repr(before.regularizer)
        for given in ([("noise", value)], [value], value, {"dropout": value}):
            attempt(regplug.compose, given)
        attempt(regplug.compose, [], seed=value)
        key = rng.choice([*state, "none"])
        for found in (value, {**state, key: value}, {**state, "arrays": {"x": value}}):
            attempt(manager.restore, found)
        manager.restore(state)
