"""Twelve deliberately bad packages, installed together with the good ones: each is named, and none does harm."""

import json
from pathlib import Path

import pytest

PACKAGES = sorted(
    path.parent
    for path in (Path(__file__).parent.parent / "bad-plugins").glob("*/pyproject.toml")
)

# key -> status in `regplug list`, what `regplug doctor` says is wrong
BAD = {
    "syntax": ("broken", "could not be imported: SyntaxError: expected ':'"),
    "dependency": (
        "broken",
        "could not be imported: ModuleNotFoundError: No module named 'a_package_that_nobody_has'",
    ),
    "argument": (
        "installed",
        "hook 'loss' has no argument 'epoch'; it has: regularizer, layers, outputs, matched",
    ),
    "hook": ("installed", "@hookimpl on 'los', which is no hook. Did you mean 'loss'?"),
    "eq": (
        "installed",
        "defines __eq__ (a dataclass does): regularizers compare by identity",
    ),
    "default": ("installed", "hook 'loss': argument 'weight=1.0' has a default"),
    "future": ("incompatible", "it needs regplug>=99, and regplug 0.2.0 is installed"),
    "exit": ("installed", "could not be imported: SystemExit: 3"),
    "nothing": ("broken", "module 'regplug_bad_nothing' has no attribute 'Nothing'"),
    "raises": ("installed", None),
    "vector": ("installed", None),
}

STEPS = """
import hashlib
import numpy as np
import regplug
from regplug.testing import function, installed_engine

engine = installed_engine()
random = np.random.default_rng(0)
x = engine.T.matrix("x", dtype="float64")
w = engine.shared(random.normal(size=(4, 5)), name="hid.w")
v = engine.shared(random.normal(size=(5, 2)), name="out.w")
h = 1 / (1 + engine.T.exp(-engine.T.dot(x, w)))
outputs = {"in:out": x, "hid:out": h, "out:out": engine.T.dot(h, v)}
penalties = ["weight_l2=1e-2", "hidden_l1=1e-2", "regplug-weights/weight_l1=1e-2"]
constraint = ("max_norm", {"pattern": "hid.w", "limit": 1.0})
manager = regplug.compose(["dropout=0.5@hid:out", *penalties, constraint], seed=3)
result = manager.apply(outputs)
cost = (result.outputs["out:out"] ** 2).mean() + result.loss
updates = {p: p - 0.1 * g for p, g in zip([w, v], engine.grad(cost, [w, v]))}
step = function([x], cost, updates={**result.constrain(updates), **result.updates})
costs = [float(step(random.normal(size=(6, 4)))) for _ in range(3)]
print(costs, hashlib.sha256(w.get_value().tobytes() + v.get_value().tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def bad(shared_environment):
    """Return an environment that has the bad packages, and the numbers of training without them."""
    shared_environment.numbers = said(shared_environment, "-c", STEPS)
    shared_environment.install(*PACKAGES)
    return shared_environment


def said(environment, *words):
    done = environment.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_twelve():
    assert len(PACKAGES) == 12
    assert {path.name.removeprefix("regplug-bad-") for path in PACKAGES} == {
        *BAD,
        "duplicate",
    }


def test_list_has_them_all_beside_the_good_ones(bad):
    rows = {
        row["package"]: row
        for row in json.loads(said(bad, "-m", "regplug", "list", "--json"))
    }
    found = {key: rows[f"regplug-bad-{key}"]["status"] for key in BAD}
    wanted = {key: status for key, (status, _) in BAD.items()}
    wanted["nothing"] = found["nothing"]  # only importing it would tell
    assert found == wanted
    assert rows["regplug-bad-duplicate"]["status"] == "conflict"
    assert rows["regplug-noise"]["status"] == "installed"


def test_doctor_names_each_and_what_is_wrong(bad):
    names = [f"bad_{key}" for key in BAD]
    done = bad.run(
        "-m", "regplug", "doctor", *names, "regplug-bad-duplicate", "dropout"
    )
    assert done.returncode == 1
    named = (
        block
        for block in done.stdout.split("\n\n")
        if block.startswith(("bad_", "weight_l1 ("))
    )
    blocks = dict(block.split(" (", 1) for block in named)
    for key, (_, fault) in BAD.items():
        assert (fault is None) == (f"bad_{key}" not in blocks), key
        if fault:
            assert blocks[f"bad_{key}"].startswith(f"regplug-bad-{key} 0.1)")
            assert fault in blocks[f"bad_{key}"]
            assert "What to do: " in blocks[f"bad_{key}"]
    assert "regplug-weights (regplug_weights" in blocks["weight_l1"]
    assert "write regplug-bad-duplicate/weight_l1" in blocks["weight_l1"]


@pytest.mark.parametrize(
    ("key", "check", "message"),
    [
        (
            "raises",
            "works_on_each_engine",
            "bad_raises (regplug-bad-raises 0.1, loss): raised KeyError: 'no such parameter'",
        ),
        (
            "vector",
            "loss_is_a_finite_scalar",
            "the loss has shape (?,): sum or mean it",
        ),
        (
            "exit",
            "loads",
            "'bad_exit' (regplug-bad-exit 0.1) could not be imported: SystemExit: 3",
        ),
    ],
    ids=["raises", "vector", "exit"],
)
def test_check_names_what_only_shows_when_it_works(bad, key, check, message):
    done = bad.run("-m", "regplug", "check", f"bad_{key}", "--json")
    assert done.returncode == 1, done.stderr
    (report,) = json.loads(done.stdout)
    assert next(
        each["message"] for each in report["checks"] if each["check"] == check
    ).startswith(message)


def test_compose_names_the_package_at_fault(bad):
    code = (
        "import regplug\n"
        f"for key in {sorted(key for key, (_, fault) in BAD.items() if fault)}:\n"
        "    try:\n"
        "        regplug.compose({f'bad_{key}': 0.1})\n"
        "    except regplug.PluginLoadError as error:\n"
        "        print(error)\n"
    )
    lines = said(bad, "-c", code).splitlines()
    for key, line in zip(
        sorted(key for key, (_, fault) in BAD.items() if fault), lines, strict=True
    ):
        assert line.startswith(f"'bad_{key}' (regplug-bad-{key} 0.1) ")
        assert BAD[key][1] in line
        assert (
            f"Other regularizers are unaffected. See: regplug doctor bad_{key}" in line
        )
    newer = "if a regplug newer than 0.2.0 has it, `python -m pip install --upgrade regplug` brings it"
    assert [newer in line for line in lines] == [
        "bad_argument" in line for line in lines
    ]


def test_conflict_names_both_packages(bad):
    done = bad.run("-c", "import regplug; regplug.compose({'weight_l1': 1})")
    assert (
        "NameConflictError: 'weight_l1' is offered by regplug-bad-duplicate 0.1"
        in done.stderr
    )
    assert (
        "Write 'regplug-bad-duplicate/weight_l1' or 'regplug-weights/weight_l1'"
        in done.stderr
    )


def test_training_gives_the_same_numbers_as_without_them(bad):
    assert said(bad, "-c", STEPS) == bad.numbers


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "--names"],
        ["new", "thing"],
        ["doctor", "--help"],
        ["check", "--help"],
    ],
    ids=" ".join,
)
def test_commands_import_no_plugin_at_start(bad, tmp_path, words):
    # each plugin module of the environment would raise, exit or print if it were imported
    code = (
        "import sys\n"
        "from regplug.cli import main\n"
        f"sys.argv = ['regplug', *{words!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as error:\n"
        "    assert not error.code, error\n"
        "found = [name for name in sys.modules if name.startswith('regplug_')]\n"
        "assert not found, found\n"
        "assert not {'theano', 'pytensor', 'numpy'} & set(sys.modules)\n"
    )
    done = bad.run_in(tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr


def test_doctor_imports_plugins_one_by_one_and_survives_each(bad):
    done = bad.run("-m", "regplug", "doctor")
    assert done.returncode == 1
    for key in BAD:
        assert f"regplug-bad-{key} 0.1" in done.stdout
    assert "dropout" in done.stdout
