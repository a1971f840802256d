"""Adapters: found by the module of the model's type; what is said of those that do not work."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

import regplug
from regplug import ModelError, NameConflictError, PluginLoadError
from regplug.cli import installed
from regplug.models import adapters

MODEL = """
class Net:
    def __init__(self, outputs, params=None):
        self.outputs, self.params, self.layers = outputs, params, "not regplug's"
"""
ADAPTER = """
import regplug

class Adapter:
    '''See a Net.'''

    @staticmethod
    def see(model):
        return regplug.as_model(model.outputs, model.params)
"""


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    """Return a function that puts an adapter's package on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "rp_nets.py").write_text(MODEL)

    def add(
        source=ADAPTER,
        *,
        module="rp_adapter",
        package="regplug-nets",
        library="rp_nets",
        requires=(),
    ):
        info = tmp_path / f"{package.replace('-', '_')}-0.3.dist-info"
        info.mkdir()
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {package}",
            "Version: 0.3",
            "Provides-Extra: rp-nets",
        ]
        lines += [f"Requires-Dist: {each}; extra == 'rp-nets'" for each in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(
            f"[regplug.models]\n{library} = {module}:Adapter\n"
        )
        (tmp_path / f"{module}.py").write_text(source)

    yield add
    for name in [name for name in sys.modules if name.startswith("rp_")]:
        del sys.modules[name]


def net(T, **options):
    import rp_nets

    x = T.matrix("x")
    return rp_nets.Net({"in:out": x, "out:out": 2 * x}, **options)


def test_adapter_is_found_by_the_module_of_the_type(adapter, T):
    adapter()
    model = net(T)
    seen = regplug.as_model(model)
    assert seen.outputs == model.outputs
    assert [layer.name for layer in seen.layers] == ["in", "out"]


def test_adapter_serves_subclasses_of_other_modules(adapter, T):
    adapter()
    base = type(net(T))

    class Deep(base):
        pass

    x = T.matrix("x")
    assert set(regplug.as_model(Deep({"x:out": x})).outputs) == {"x:out"}


def test_only_the_adapter_of_the_model_is_imported(adapter, T):
    adapter()
    adapter(module="rp_other", package="regplug-others", library="rp_others")
    regplug.as_model(net(T))
    assert "rp_adapter" in sys.modules
    assert "rp_other" not in sys.modules


def test_callers_parameters_and_layers_come_before_the_adapters(adapter, engine, T):
    adapter()
    w = engine.shared(np.zeros(2), name="w")
    layers = [regplug.Layer("all", (), ("out:out",), "out:out")]
    seen = regplug.as_model(net(T), params={"mine": w}, layers=layers)
    assert seen.params == {"mine": w}
    assert seen.layers == layers


def test_step_variable_of_the_models_library_is_the_managers(engine, T):
    like = engine.shared(np.int64(0))
    kind = type("OwnStep", (type(like),), {})
    seen = regplug.as_model({"out:out": T.matrix("x") * 2})
    seen.new_step = lambda: kind(
        name=None, type=like.type, value=np.asarray(0), strict=False
    )
    manager = regplug.compose(["dropout=0.5@out:out"])
    (step,) = manager.apply(seen).updates
    assert type(step) is kind
    assert step.name == "regplug.step"
    assert manager.apply(seen).updates.keys() == {step}


def test_model_without_an_adapter_is_told_of_adapters_and_the_mapping(adapter):
    adapter()
    with pytest.raises(
        ModelError,
        match="builtins.object.*mapping 'layer:output'.*Adapters:.*rp_nets .regplug-nets",
    ):
        regplug.as_model(object())


def test_object_with_layers_and_outputs_needs_no_adapter(T):
    class Own:
        layers = ()
        outputs = {"out:out": T.matrix("x")}

    assert set(regplug.as_model(Own()).outputs) == {"out:out"}


@pytest.mark.parametrize(
    ("requires", "found"),
    [
        ("no-such-library>=2", "no-such-library>=2, and it is not installed"),
        ("click>=99", r"click>=99, and \d+\.\d+.* is installed"),
    ],
)
def test_library_that_is_missing_or_too_old_is_named_with_what_is_wanted_and_found(
    adapter, T, requires, found
):
    adapter(requires=["numpy", requires])
    how = r"pip install 'regplug-nets\[rp-nets\]'"
    with pytest.raises(
        PluginLoadError, match=rf"rp_nets \(regplug-nets 0\.3\) needs {found}.*{how}"
    ):
        regplug.as_model(net(T))
    assert "rp_adapter" not in sys.modules


def test_requirements_of_other_extras_do_not_count(adapter, T, tmp_path):
    adapter()
    with (tmp_path / "regplug_nets-0.3.dist-info" / "METADATA").open("a") as file:
        file.write("Requires-Dist: no-such-library; extra == 'docs'\n")
    assert regplug.as_model(net(T)).outputs


def test_requirement_that_cannot_be_read_is_named(adapter, T, capsys):
    adapter(requires=["click >= (", "numpy"])
    with pytest.raises(
        PluginLoadError, match=r"regplug-nets 0.3.*click >= \(.*no requirement"
    ):
        regplug.as_model(net(T))
    installed.print_models()
    assert "click >= (" in capsys.readouterr().out


@pytest.mark.parametrize("version", [b"Version: banana\n", b"", b"Version: \xe9\n"])
def test_library_whose_version_is_none_is_taken_where_none_is_asked_for(
    adapter, T, tmp_path, version
):
    adapter(requires=["rp-nets"])
    (tmp_path / "rp_nets-1.dist-info").mkdir()
    metadata = tmp_path / "rp_nets-1.dist-info" / "METADATA"
    metadata.write_bytes(b"Name: rp-nets\n" + version)
    assert regplug.as_model(net(T)).outputs
    own = tmp_path / "regplug_nets-0.3.dist-info" / "METADATA"
    own.write_text(own.read_text().replace("rp-nets;", "rp-nets>=2;"))
    with pytest.raises(PluginLoadError, match="needs rp-nets>=2, and .* is installed"):
        regplug.as_model(net(T))


def test_empty_folder_of_a_library_hides_no_version(adapter, T, tmp_path, monkeypatch):
    adapter(requires=["rp-nets>=2"])
    (tmp_path / "rp_nets-2.dist-info").mkdir()
    metadata = tmp_path / "rp_nets-2.dist-info" / "METADATA"
    metadata.write_text("Name: rp-nets\nVersion: 2\n")
    empty = tmp_path / "before" / "rp_nets-1.dist-info"
    empty.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(empty.parent))
    assert regplug.as_model(net(T)).outputs


def test_adapter_that_is_offered_twice_is_one_and_two_are_its_authors_fault(
    adapter, T, tmp_path, monkeypatch
):
    adapter()
    info = tmp_path / "regplug_nets-0.3.dist-info"
    shutil.copytree(info, tmp_path / "copy" / "other-0.3.dist-info")
    monkeypatch.syspath_prepend(str(tmp_path / "copy"))
    points = info / "entry_points.txt"
    points.write_text(points.read_text() + "rp_nets = rp_adapter:Adapter [a]\n")
    assert regplug.as_model(net(T)).outputs
    shutil.rmtree(tmp_path / "copy")
    points.write_text(points.read_text() + "rp_nets = rp_adapter:Other\n")
    with pytest.raises(PluginLoadError, match="its package offers several objects"):
        regplug.as_model(net(T))


def test_adapter_that_cannot_be_imported_is_named(adapter, T):
    adapter("import no_such_module\n")
    with pytest.raises(
        PluginLoadError,
        match="regplug-nets 0.3. could not be imported: ModuleNotFoundError: No module named 'no_such",
    ):
        regplug.as_model(net(T))


def test_class_that_cannot_see_is_refused(adapter, T):
    adapter("class Adapter:\n    pass\n")
    with pytest.raises(
        PluginLoadError,
        match="regplug-nets 0.3. is refused: rp_adapter:Adapter has no method `see`",
    ):
        regplug.as_model(net(T))


def test_adapter_that_raises_is_named(adapter, T):
    adapter(ADAPTER.replace("return regplug", "return 1 / 0 or regplug"))
    with pytest.raises(
        ModelError,
        match="rp_adapter.Adapter cannot see .*: ZeroDivisionError: division by zero",
    ):
        regplug.as_model(net(T))


def test_adapter_that_returns_something_else_is_named(adapter, T):
    adapter(
        ADAPTER.replace(
            "regplug.as_model(model.outputs, model.params)", "model.outputs"
        )
    )
    with pytest.raises(
        ModelError, match="rp_adapter.Adapter sees .*: have it return regplug.as_model"
    ):
        regplug.as_model(net(T))


def test_two_adapters_for_one_library_are_a_conflict(adapter, T):
    adapter()
    adapter(module="rp_second", package="regplug-nets2")
    with pytest.raises(
        NameConflictError,
        match=r"regplug-nets 0\.3 \(rp_adapter:Adapter\) and regplug-nets2 0\.3",
    ):
        regplug.as_model(net(T))


def test_blocked_adapter_is_not_imported(adapter, T, monkeypatch):
    adapter()
    monkeypatch.setenv("REGPLUG_BLOCK", "regplug-nets")
    with pytest.raises(PluginLoadError, match="is refused: blocked"):
        regplug.as_model(net(T))
    assert "rp_adapter" not in sys.modules


def test_model_without_outputs_is_refused(adapter, T):
    adapter()
    model = net(T)
    model.outputs = {}
    with pytest.raises(ModelError, match="at least one entry"):
        regplug.as_model(model)


def test_model_of_two_engines_is_refused(adapter, engine, T):
    adapter()
    model = net(T)
    own = engine.__name__.rpartition(".")[2]
    other = "theano" if own == "pytensor" else "pytensor"
    base = type("Variable", (), {"__module__": f"{other}.graph"})
    model.outputs["z:out"] = type(
        "Tensor", (base,), {"owner": None, "type": None, "name": "z"}
    )()
    with pytest.raises(ModelError, match="one model, two engines"):
        regplug.as_model(model)


def test_adapters_are_listed_without_importing_them(adapter, capsys):
    adapter(requires=["no-such-library>=2"])
    installed.print_as("--models")
    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if line.startswith("rp_nets"))
    for part in (
        "regplug-nets 0.3",
        "needs no-such-library>=2, and it is not installed",
        "See a Net.",
    ):
        assert part in line
    assert "rp_adapter" not in sys.modules


def test_adapters_of_this_repository_are_there():
    packages = {entry.name: entry.package for entry in adapters.available()}
    assert (packages["pymc"], packages["theanets"]) == (
        "regplug-pymc",
        "regplug-theanets",
    )
    assert packages["pytensor_ml"] == "regplug-pytensor-ml"
