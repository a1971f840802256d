"""manager.save and manager.load: the state of a run in a file, whole, and of no other kind."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

import regplug
from regplug import CompositionError, OptionError, Regularizer, hookimpl
from regplug.testing import function

NAMES = ["a/b/c", "größe \U0001f600", "\ud800", "", "../../x", "state", "a\0b.npy"]


class Keep(Regularizer):
    """Keep arrays of odd names and of several dtypes."""

    weight = 1.0

    @hookimpl
    def loss(self, matched, state):
        ((name, h),) = matched.items()
        kept = state.array(name, np.zeros(3))
        state.update(name, kept * 0.5 + h.sum(axis=0) * 0.5)
        for number, odd in enumerate(NAMES):
            dtype = ["float32", "int64", "bool", "float64"][number % 4]
            state.array(odd, np.full((number, 2), number % 2, dtype))
        return kept.sum()


def composed(seed=7):
    return regplug.compose(["dropout=0.5@h:out", Keep("h:out")], seed=seed)


def step_of(T, manager):
    """Apply a manager; return the compiled step."""
    x = T.matrix("x", dtype="float64")
    result = manager.apply({"in:out": x, "h:out": x * 2})
    outputs = [result.outputs["h:out"], result.loss]
    return function([x], outputs, updates=result.updates)


def listed(state):
    """Return a state as values that compare to the bit."""
    arrays = {
        key: (array.dtype.str, array.shape, array.tobytes())
        for key, array in state["arrays"].items()
    }
    return {**state, "arrays": arrays}


def test_saved_run_continues_to_the_bit_before_and_after_apply(T, tmp_path):
    path, ones = tmp_path / "run.of the day", np.ones((4, 3))
    manager = composed(2**64 - 1)
    step = step_of(T, manager)
    for _ in range(3):
        step(ones)
    manager.weights["dropout"] = 0.1 + 0.2
    manager.save(path)
    expected, state = [step(ones) for _ in range(3)], manager.state()
    assert list(tmp_path.iterdir()) == [path]

    for early in (True, False):
        other = composed()
        if early:
            other.load(str(path))
        run = step_of(T, other)
        if not early:
            run(ones)
            other.load(path)
        for values in expected:
            for one, other_one in zip(run(ones), values, strict=True):
                np.testing.assert_array_equal(one, other_one)
        assert listed(other.state()) == listed(state)


def test_saved_state_without_a_model_has_no_arrays(tmp_path):
    manager = regplug.compose(["dropout=0.5"], seed=-5)
    manager.save(tmp_path / "state.npz")
    other = regplug.compose(["dropout=0.1"])
    other.load(tmp_path / "state.npz")
    assert other.state() == manager.state()
    assert other.state()["arrays"] is None


def test_saved_file_has_no_pickle_and_is_the_same_for_the_same_state(T, tmp_path):
    manager = composed()
    step_of(T, manager)
    manager.save(tmp_path / "one")
    manager.save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with np.load(tmp_path / "one", allow_pickle=False) as file:
        header = json.loads(file["state"].tobytes())
        assert [file[name].dtype.kind for name in file.files].count("O") == 0
    assert header["arrays"] == [f"keep/{name}" for name in ["h:out", *NAMES]]


def npz(header, **arrays):
    """Return an .npz file, of a header that is no state of its own accord."""
    file = io.BytesIO()
    if not isinstance(header, (bytes, np.ndarray)):
        header = json.dumps(header).encode()
    if isinstance(header, bytes):
        header = np.frombuffer(header, "uint8")
    np.savez(file, state=header, **arrays)
    return file.getvalue()


def npy(value, **options):
    file = io.BytesIO()
    np.save(file, value, **options)
    return file.getvalue()


def zipped(content, kind=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr("state.npy", content)
    return file.getvalue()


def header(shape):
    what = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + len(what).to_bytes(2, "little") + what.encode()


GOOD = {"format": 2, "seed": 1, "step": 2, "weights": {"dropout": 0.25}, "arrays": None}
FOREIGN = {
    "empty": b"",
    "text": b"seed = 1\n",
    "pickle": pickle.dumps(GOOD),
    "npy": npy(np.zeros(3)),
    "npz of another": npz(GOOD).replace(b"state.npy", b"stats.npy"),
    "zip": zipped(b"no array"),
    "pickle in npz": npz(np.array([GOOD], object)),
    "bomb": zipped(npy(np.zeros(10**7, "uint8")), zipfile.ZIP_DEFLATED),
    "larger than memory": zipped(header("(1000000000000000,)")),
    "deep shape": zipped(header("(" * 10_000 + ")" * 10_000)),
    "minus": zipped(header("(" + "-" * 50_000 + "1,)")),
    "deep JSON": npz(b"[" * 100_000 + b"]" * 100_000),
    "deep entry": npz(b'{"arrays": ' + b"[" * 100_000),
    "no JSON": npz(b"\xff\xfe"),
    "long integer": npz(b'{"seed": 1' + b"0" * 5000 + b', "arrays": null}'),
    "list": npz([1, 2]),
    "number": npz(3),
    "no arrays": npz({key: GOOD[key] for key in GOOD if key != "arrays"}),
    "arrays that are a number": npz({**GOOD, "arrays": 3}),
    "array missing": npz({**GOOD, "arrays": ["dropout/x", "dropout/y"]}),
    "floats for text": npz(np.array([0.5])),
}
UNFIT = {
    "format": npz({**GOOD, "format": 3}),
    "format text": npz({**GOOD, "format": "2"}),
    "seed": npz({**GOOD, "seed": 2**64}),
    "step": npz({**GOOD, "step": "1"}),
    "label": npz({**GOOD, "weights": {"noise": 0.5}}),
    "weight": npz({**GOOD, "weights": {"dropout": 2}}),
    "nan": npz({**GOOD, "weights": {"dropout": float("nan")}}),
    "weights": npz({**GOOD, "weights": [1]}),
    "key": npz({**GOOD, "more": 1}),
    "no seed": npz({key: GOOD[key] for key in GOOD if key != "seed"}),
    "array of none": npz({**GOOD, "arrays": ["noise/x"]}, **{"array 0": np.zeros(2)}),
    "texts": npz({**GOOD, "arrays": ["dropout/x"]}, **{"array 0": np.array(["a"])}),
    "infinite": npz({**GOOD, "arrays": ["dropout/x"]}, **{"array 0": np.array(np.inf)}),
}


@pytest.fixture
def refused(tmp_path):
    """Return a function that asserts that a file is refused by its name, and changes nothing."""
    manager = regplug.compose(["dropout=0.5"], seed=9)
    path = tmp_path / "state.npz"
    before = manager.state()

    def check(data, error, what=": "):
        path.write_bytes(data)
        with pytest.raises(error, match=what) as caught:
            manager.load(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert manager.state() == before
        assert len(str(caught.value)) < 3000

    return check


@pytest.mark.parametrize("kind", FOREIGN)
def test_file_that_is_none_of_save_is_refused(refused, kind):
    refused(FOREIGN[kind], CompositionError, "it is no whole file of manager.save: ")


@pytest.mark.parametrize("kind", UNFIT)
def test_saved_state_that_does_not_fit_is_refused(refused, kind):
    refused(UNFIT[kind], (CompositionError, OptionError))


def test_saved_file_that_is_good_is_taken(tmp_path):
    manager = regplug.compose(["dropout=0.5"], seed=9)
    (tmp_path / "state.npz").write_bytes(npz(GOOD))
    manager.load(tmp_path / "state.npz")
    assert manager.state() == GOOD


def test_saved_file_that_is_cut_off_or_damaged_is_refused_or_the_same(
    T, tmp_path, refused
):
    manager = composed()
    step_of(T, manager)
    manager.save(tmp_path / "run")
    data, state = (tmp_path / "run").read_bytes(), listed(manager.state())
    for length in range(0, len(data), 97):
        refused(data[:length], CompositionError, "it is no whole file of manager.save")
    for place in range(0, len(data), 41):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        (tmp_path / "run").write_bytes(damaged)
        with contextlib.suppress(CompositionError):
            manager.load(tmp_path / "run")
        # dates and the like are no part of the state
        assert listed(manager.state()) == state
