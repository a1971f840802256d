"""Composition files, short forms and saved states that something happened to."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

import regplug
from regplug.errors import RegplugError

WRITTEN = """format = 2
seed = 7

[[regularizer]]
use = "dropout"
pattern = ["hid*:out", "!hid2:*"]
weight = 0.5
shared_axes = [1]

[[regularizer]]
use = "weight_l2"
weight = {schedule = "linear", start = 0, stop = 1e-3, steps = 1000}
name = "décroissance"

[lock]
dropout = "regplug-noise==0.2.0"
weight_l2 = "regplug-weights==0.2.0"
"""
PIECES = [
    *("[", "]", "{", "}", "[[", "]]", '"', '"""', "'", "=", ".", ",", "\n", "#", "\\"),
    *("[" * 3000, "{a=" * 3000, "a." * 2000, "9" * 5000, "-" * 3000, "x" * 100_000),
    *("nan", "inf", "-0", "1e999", "0x" + "f" * 30, "2**64", "1979-05-27T07:32:00Z"),
    *(
        "\x00",
        "\x1b]0;t\x07",
        "\ud800",
        "\ufeff",
        "\u202e",
        "\r",
        "use",
        "lock",
        "seed",
    ),
    *('"dropout"', '"a/b"', '""', "true", "[[regularizer]]", "[regularizer]", "[lock]"),
    *("; rm -rf /", "regplug-noise", "==", ">=1", "@hidden", "!", "*", "format = 3"),
]
SHORT = ["dropout(shared_axes=[1])=0.5@hid*:out,b", "weight_l2=1e-4@*.w", "p/n"]


def changed(chance, data, pieces):
    """Return bytes after a few accidents."""
    data = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(data) + 1)
        end = min(len(data), place + chance.choice([0, 1, 3, 30]))
        piece = chance.choice(pieces).encode("utf-8", "surrogatepass")
        kind = chance.randrange(5)
        if kind == 0:
            data[place:end] = piece
        elif kind == 1:
            data[place:end] = chance.randbytes(chance.randrange(5))
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            data[place:place] = data[chance.randrange(len(data) + 1) : end]
        else:
            del data[place:end]
    return bytes(data)


def refused(call, *arguments):
    """Return whether a call refuses its argument, in words of a length that is read."""
    text = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(*arguments)
        except RegplugError as error:
            text = str(error)
    assert not text or 10 < len(text) < 5000
    assert "\x1b" not in text
    return bool(text)


def test_read_of_a_file_that_something_happened_to_says_so(seeds, tmp_path):
    path = tmp_path / "regplug.toml"
    path.write_text(WRITTEN, "utf-8")
    assert not refused(regplug.read, path)
    count = 0
    for seed in seeds:
        data = changed(random.Random(seed), WRITTEN.encode(), PIECES)
        path.write_bytes(data)
        try:
            count += refused(regplug.read, path)
        except BaseException:
            print(f"seed {seed}: {data!r}")
            raise
    assert count > len(seeds) / 2


def test_compose_of_a_short_form_that_something_happened_to_says_so(seeds):
    for seed in seeds:
        chance = random.Random(seed)
        text = changed(chance, chance.choice(SHORT).encode(), PIECES).decode(
            "utf-8", "replace"
        )
        try:
            refused(regplug.compose, [text])
        except BaseException:
            print(f"seed {seed}: {text!r}")
            raise


@pytest.fixture
def saved(engine, T, tmp_path):
    """Return a manager that keeps an array, and the bytes of its file."""
    x, w = T.matrix("x"), engine.shared(np.eye(2), name="hid.w")
    manager = regplug.compose(
        ["l2_sp=0.1", ("dropout", {"weight": 0.5, "pattern": "*"})], seed=3
    )
    manager.apply({"in:out": x, "hid:out": T.dot(x, w)})
    manager.save(tmp_path / "state.npz")
    return manager, (tmp_path / "state.npz").read_bytes()


def test_load_of_a_file_that_something_happened_to_changes_nothing(
    seeds, saved, tmp_path
):
    manager, data = saved
    path = tmp_path / "other.npz"
    before = repr(manager.state())
    for seed in seeds:
        broken = changed(
            random.Random(seed), data, ["PK", "\x00", "[", '"', "9" * 400, "x" * 9]
        )
        path.write_bytes(broken)
        try:
            # a bit that nobody reads may have changed, or one of a file's own time
            refused(manager.load, path)
            assert repr(manager.state()) == before
        except BaseException:
            print(f"seed {seed}: {broken!r}")
            raise
