"""A batch split over several processes draws the masks of the whole batch."""

import subprocess
import sys

import numpy as np

from regplug.noise import reference

ROWS, COLUMNS, STEPS = 12, 1500, 2

WORKER = """
import sys
import numpy as np
import regplug
from regplug.testing import function, installed_engine

offset, rows, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
x = installed_engine().T.matrix("x", dtype="float32")
manager = regplug.compose(["dropout=0.4@in:out", "noise=1@hid:out"], seed=5)
result = manager.apply({"in:out": x, "hid:out": x * 0})
manager.row_offset = offset
step = function([x], [result.outputs["in:out"], result.outputs["hid:out"]], updates=result.updates)
np.save(path, np.array([step(np.ones((rows, %d), "float32")) for _ in range(%d)]))
"""


def run(processes, folder):
    """Return what the steps give, of the rows of all processes in order."""
    script = folder / "worker.py"
    script.write_text(WORKER % (COLUMNS, STEPS))
    bounds = [ROWS * number // processes for number in range(processes + 1)]
    paths = [folder / f"{processes}-{number}.npy" for number in range(processes)]
    workers = [
        subprocess.Popen(
            [sys.executable, str(script), str(start), str(stop - start), str(path)]
        )
        for start, stop, path in zip(bounds[:-1], bounds[1:], paths, strict=True)
    ]
    assert [worker.wait() for worker in workers] == [0] * processes
    return np.concatenate([np.load(path) for path in paths], axis=2)


def test_one_two_and_three_processes_draw_the_same(tmp_path):
    whole = run(1, tmp_path)
    for step in range(STEPS):
        keep = reference.keep(5, "dropout", "in:out", (ROWS, COLUMNS), step, 0.4)
        np.testing.assert_array_equal(whole[step, 0] != 0, keep)
    np.testing.assert_array_equal(run(2, tmp_path), whole)
    np.testing.assert_array_equal(run(3, tmp_path), whole)
