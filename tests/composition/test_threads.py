"""Threads: what README says is safe. A compiled function itself serves one thread at a time."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import regplug
from regplug.testing import function

WEIGHTS = [0.125, 0.25, 0.5, 0.75]
VALUES = [np.full((4, 3), float(number)) for number in range(1, 9)]


@pytest.fixture(autouse=True)
def busy():
    """Let threads take turns in the middle of everything."""
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(former)


@pytest.fixture
def model(T):
    """Return a manager, the input, a penalty and the dropped output."""
    manager = regplug.compose(["dropout=0.5@h:out", "hidden_l1=0.25@in:out"], seed=7)
    x = T.matrix("x", dtype="float64")
    result = manager.apply({"in:out": x, "h:out": x * 2})
    return manager, x, result


def call_from_four(functions, calls=50):
    """Call functions, each from a thread of its own; return what each returned."""
    begin = threading.Barrier(len(functions))

    def run(compiled):
        begin.wait()
        return [compiled(VALUES[number % len(VALUES)]) for number in range(calls)]

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def test_function_a_thread_gives_what_one_thread_gives(model):
    _, x, result = model
    # a list, as the copies of Theano return one of a single output, too
    compiled = function([x], [result.outputs["h:out"]])
    expected = [compiled(value) for value in VALUES]
    copies = [compiled.copy() for _ in range(4)]
    for found in call_from_four(copies):
        for number, value in enumerate(found):
            np.testing.assert_array_equal(value, expected[number % len(VALUES)])


def test_function_behind_a_lock_trains_as_in_one_thread(model):
    manager, x, result = model
    step = function([x], result.outputs["h:out"], updates=result.updates)
    expected = [step(VALUES[0]).tobytes() for _ in range(200)]
    manager.restart()
    lock, found = threading.Lock(), []

    def locked(value):
        with lock:
            found.append(step(VALUES[0]).tobytes())

    call_from_four([locked] * 4)
    assert found == expected
    assert manager.state()["step"] == 200


def test_weights_are_assigned_from_any_thread(model):
    manager, x, result = model
    compiled = function([x], [result.loss])
    copies, is_done = [compiled.copy() for _ in range(4)], threading.Event()

    def assign():
        while not is_done.is_set():
            for weight in WEIGHTS:
                manager.weights["hidden_l1"] = weight

    assigning = threading.Thread(target=assign)
    assigning.start()
    try:
        runs = call_from_four(copies)
    finally:
        is_done.set()
        assigning.join()
    for run in runs:
        for number, (loss,) in enumerate(run):
            mean = VALUES[number % len(VALUES)].mean()
            assert float(loss) in [weight * mean for weight in WEIGHTS]
    # who calls later has the last one
    manager.weights["hidden_l1"] = 0.5
    assert {float(*each(VALUES[3])) for each in [compiled, *copies]} == {2.0}
