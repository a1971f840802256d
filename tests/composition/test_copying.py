"""Copies of a manager: copy, deepcopy, pickle, cloudpickle, joblib, a spawned process, a Dask worker."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
import types
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

import cloudpickle
import joblib
import numpy as np
import pytest

import regplug
from regplug import (
    CopyError,
    NameConflictError,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    Regularizer,
    UnknownRegularizerError,
    hookimpl,
)
from regplug.testing import function, installed_engine


class Count(Regularizer):
    """Count the steps at each output, and add the count, times the weight."""

    weight = 1.0

    @hookimpl
    def modify_graph(self, name, value, weight, state):
        count = state.array(name, np.zeros((), value.dtype))
        state.update(name, count + 1)
        return value + weight * count


class Half:
    """Halve each term."""

    @hookimpl(wrapper=True)
    def loss(self):
        return (yield) / 2


RAMP = {"schedule": "linear", "start": 0.0, "stop": 0.5, "steps": 10}


def compose():
    """Return a manager with all that a copy has to take along."""
    regularizers = [
        "dropout=0.25@h:out",
        Count("h:out"),
        ("hidden_l2", {"pattern": "h:out", "weight": 0.5, "name": "AR"}),
        ("hidden_l1", {"pattern": "h:out", "weight": RAMP}),
        "dropout=0.5@h:out",
    ]
    return regplug.compose(regularizers, seed=7, plugins=[Half()])


def run(manager, steps=2):
    """Apply a manager to a small model and return what some steps give."""
    T = installed_engine().T
    x = T.matrix("x", dtype="float64")
    result = manager.apply({"h:out": x * 2})
    step = function([x], [result.outputs["h:out"], result.loss], updates=result.updates)
    return [step(np.linspace(1, 2, 12).reshape(3, 4)) for _ in range(steps)]


WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "cloudpickle": lambda manager: pickle.loads(cloudpickle.dumps(manager)),
    **{
        f"pickle, protocol {protocol}": lambda manager, protocol=protocol: pickle.loads(
            pickle.dumps(manager, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_copy_is_composition_seed_and_state(way):
    manager = compose()
    early = WAYS[way](manager)
    expected = run(manager, 4)
    np.testing.assert_equal(run(early, 4), expected)

    manager.restart()
    manager.weights["count"] = 3.0
    manager.row_offset = 6
    manager.restore({**manager.state(), "step": 5, "arrays": {"count/h:out": 2.0}})
    late = WAYS[way](manager)
    np.testing.assert_equal(late.state(), manager.state())
    assert repr(late) == repr(manager)
    assert dict(late.weights) == dict(manager.weights)
    assert late.row_offset == 6
    assert late.updates == {}
    np.testing.assert_equal(run(late), run(manager))


@pytest.mark.parametrize("way", WAYS)
def test_copy_has_live_weights_step_arrays_and_pattern_of_its_own(way):
    manager = compose()
    run(manager)
    made = WAYS[way](manager)
    before = manager.state()
    made.weights["dropout"] = 0.75
    run(made, 1)
    assert manager.weights["dropout"] == 0.25
    np.testing.assert_equal(manager.state(), before)
    assert made.state()["step"] == before["step"] + 1
    assert made.pattern != manager.pattern
    assert made.pattern.startswith("regplug-")
    manager.weights["dropout"] = 0.1
    assert made.weights["dropout"] == 0.75


def test_copy_of_an_applied_manager_serves_another_model_after_restart(engine):
    manager = regplug.compose([("l2_sp", 1.0)])
    w, v = (engine.shared(np.array([value, value]), name="w") for value in (1.0, 3.0))
    manager.apply({"out:out": w.sum()})
    kept, restarted = copy.copy(manager), copy.copy(manager)
    restarted.restart()
    losses = [each.apply({"out:out": v.sum()}).loss for each in (kept, restarted)]
    assert [float(each) for each in function([], losses)()] == [8, 0]


def test_copy_of_a_manager_can_be_written(tmp_path):
    manager = regplug.compose(
        ["dropout=0.25@h:out", ("hidden_l1", {"weight": RAMP})], seed=3
    )
    paths = [tmp_path / name for name in ("one.toml", "other.toml")]
    for path, each in zip(paths, (manager, copy.deepcopy(manager)), strict=True):
        each.write(path, lock=True)
    assert paths[0].read_text() == paths[1].read_text()


def test_copy_takes_a_module_of_wrappers_along_by_its_name(monkeypatch):
    module = types.ModuleType("halves")
    module.loss = Half.loss.__get__(Half())
    monkeypatch.setitem(sys.modules, "halves", module)

    @hookimpl(wrapper=True)
    def loss():
        return (yield) / 2

    module.loss = loss
    manager = regplug.compose(["hidden_l2=1@h:out"], plugins=[module])
    for way in WAYS.values():
        np.testing.assert_equal(run(way(manager), 1), run(manager, 1))


def test_copy_of_weights_is_a_dict_of_numbers():
    manager = compose()
    for made in (
        copy.copy(manager.weights),
        pickle.loads(pickle.dumps(manager.weights)),
    ):
        assert made == dict(manager.weights)
        assert type(made) is dict


@pytest.mark.parametrize("way", [way for way in WAYS if way != "copy"])
def test_copy_of_a_result_is_refused_in_words(way):
    T = installed_engine().T
    result = regplug.compose(["dropout=0.5@*"]).apply({"h:out": T.matrix("x") * 2})
    for what in (result, {"inside": [result]}):
        words = r"manager\.write.*manager\.save.*manager\.load.*manager\.restart"
        with pytest.raises(CopyError, match=words) as caught:
            WAYS[way](what)
        assert isinstance(caught.value, RegplugError)
        assert isinstance(caught.value, TypeError)
    assert copy.copy(result).loss is result.loss


SOURCE = """
from regplug import Regularizer, hookimpl
class Lasso(Regularizer):
    targets = "params"
    @hookimpl
    def loss(self, matched):
        return sum(abs(w).sum() for w in matched.values())
"""


def test_copy_names_the_package_that_is_missing(package, monkeypatch):
    folder = package(
        "regplug-lasso",
        {"lasso": "lasso_here:Lasso"},
        "lasso_here",
        SOURCE,
        version="0.3",
    )
    data = pickle.dumps(regplug.compose(["lasso=0.5"]))
    assert pickle.loads(data).weights["lasso"] == 0.5
    regplug.block("regplug-lasso")
    try:
        with pytest.raises(PluginLoadError, match="'lasso' .* is refused: blocked"):
            pickle.loads(data)
    finally:
        regplug.discovery.entry._blocked.clear()
    (folder / "regplug_lasso-0.3.dist-info").rename(
        folder / "regplug_lasso-0.4.dist-info"
    )
    metadata = folder / "regplug_lasso-0.4.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("0.3", "0.4"))
    with pytest.warns(
        RegplugWarning,
        match=r"regplug-lasso==0.3, and 0.4 is installed here: python -m pip install",
    ):
        pickle.loads(data)
    monkeypatch.undo()  # the path
    words = "'lasso' of regplug-lasso==0.3, which is not here: python -m pip install regplug-lasso==0.3"
    with pytest.raises(UnknownRegularizerError, match=words):
        pickle.loads(data)


def test_copy_finds_its_package_where_another_offers_the_name(package):
    package("regplug-lasso", {"lasso": "lasso_here:Lasso"}, "lasso_here", SOURCE)
    data = pickle.dumps(regplug.compose(["lasso=0.5"]))
    package("regplug-other", {"lasso": "lasso_there:Lasso"}, "lasso_there", SOURCE)
    with pytest.raises(NameConflictError):
        regplug.compose(["lasso=0.5"])
    assert pickle.loads(data).members[0].entry.package == "regplug-lasso"


def test_copy_of_a_class_with_a_constructor_of_its_own(package):
    source = SOURCE.replace(
        'targets = "params"',
        'targets = "params"\n    def __init__(self, weight, size):\n'
        "        super().__init__(None, weight)\n        self.hidden = size",
    )
    package("regplug-lasso", {"lasso": "lasso_here:Lasso"}, "lasso_here", source)
    manager = regplug.compose([("lasso", {"weight": 0.5, "size": 3})])
    for way in WAYS.values():
        assert way(manager).members[0].regularizer.hidden == 3


def test_copy_by_joblib(tmp_path):
    manager = compose()
    run(manager)
    joblib.dump(manager, tmp_path / "manager.joblib")
    made = joblib.load(tmp_path / "manager.joblib")
    assert joblib.hash(made) == joblib.hash(manager)
    manager = compose()
    (there,) = joblib.Parallel(n_jobs=2)([joblib.delayed(run)(made)])
    run(manager)
    np.testing.assert_equal(there, run(manager))


def test_copy_in_a_spawned_process():
    manager = compose()
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        there = pool.submit(run, manager).result()
    np.testing.assert_equal(there, run(manager))


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs distributed")
def test_copy_in_a_dask_worker(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent("""
        from __future__ import annotations

        import os
        from typing import Annotated

        import numpy as np
        from annotated_types import Interval
        from distributed import Client, LocalCluster

        import regplug
        from regplug import Regularizer, hookimpl
        from regplug.testing import function, installed_engine

        class Scale(Regularizer):
            weight: Annotated[float, Interval(ge=0, lt=1)] = 0.5  # a name that the worker's __main__ lacks

            @hookimpl
            def modify_graph(self, value, weight):
                return value * weight

        def run(manager):
            x = installed_engine().T.matrix("x", dtype="float32")
            result = manager.apply({"h:out": x * 2})
            manager.weights["scale"] = 0.75
            step = function([x], result.outputs["h:out"], updates=result.updates)
            return os.getpid(), [step(np.ones((3, 4), "float32")) for _ in range(2)]

        if __name__ == "__main__":
            manager = regplug.compose(["dropout=0.5@h:out", Scale("h:out")], seed=7)
            with LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
                process, there = client.submit(run, manager).result()
            assert process != os.getpid()
            assert manager.weights["scale"] == 0.5
            np.testing.assert_array_equal(there, run(manager)[1])
            assert not np.array_equal(there[0], there[1])
    """)
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
