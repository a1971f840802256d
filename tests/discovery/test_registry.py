"""Registry: entry points -> names and classes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest

import regplug
from regplug import PluginLoadError, UnknownRegularizerError
from regplug.discovery import registry
from regplug.discovery.metadata import canonicalize_name, satisfies
from regplug.text import snake_case

SOURCE = '''
from regplug import Regularizer, hookimpl


class WeightLasso(Regularizer):
    """Sum of the absolute values.

    More of it.
    """

    targets = "params"

    @hookimpl
    def loss(self, matched):
        return 0
'''


def entry_of(name):
    (entry,) = (
        entry for entry in regplug.available() if name in (entry.name, *entry.aliases)
    )
    return entry


def test_available_has_a_row_for_each_regularizer_sorted_by_name(package):
    points = {
        "abs": "rp_lasso:WeightLasso",
        "weight_lasso": "rp_lasso:WeightLasso",
        "zap": "rp_lasso:WeightLasso",
    }
    package("rp-lasso", points, "rp_lasso", SOURCE, version="1.2.3")
    entry = entry_of("weight_lasso")
    assert (entry.name, sorted(entry.aliases)) == ("weight_lasso", ["abs", "zap"])
    assert (entry.package, entry.version, entry.status) == (
        "rp-lasso",
        "1.2.3",
        "installed",
    )
    assert entry.summary == "Sum of the absolute values."
    names = [each.name for each in regplug.available()]
    assert names == sorted(names)
    assert "rp_lasso" not in sys.modules


def test_available_takes_the_first_name_where_none_is_canonical(package):
    package(
        "rp-lasso",
        {"first": "rp_lasso:WeightLasso", "second": "rp_lasso:WeightLasso"},
        "rp_lasso",
        SOURCE,
    )
    assert (entry_of("second").name, entry_of("second").aliases) == (
        "first",
        ("second",),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Lasso", "lasso"),
        ("WeightL2", "weight_l2"),
        ("regplug_weights:WeightL2", "weight_l2"),
        ("L2SP", "l2_sp"),
        ("KLSparsity", "kl_sparsity"),
        ("DropBlock", "drop_block"),
    ],
)
def test_canonical_name_is_the_class_in_snake_case(name, expected):
    assert snake_case(name) == expected


def test_load_returns_the_class_behind_a_name_an_alias_or_a_package(package):
    points = {"weight_lasso": "rp_lasso:WeightLasso", "zap": "rp_lasso:WeightLasso"}
    package("rp-lasso", points, "rp_lasso", SOURCE)
    cls = regplug.load("zap")
    assert cls.__name__ == "WeightLasso"
    assert (
        cls
        is regplug.load("weight_lasso")
        is regplug.load("rp-lasso/zap")
        is regplug.load("RP_lasso/zap")
    )
    with pytest.raises(
        UnknownRegularizerError, match="no regularizer named 'other/zap'"
    ):
        regplug.load("other/zap")


@pytest.mark.parametrize(
    "value",
    ["rp_lasso", "rp_lasso:", ":WeightLasso", "rp lasso:WeightLasso", "rp_lasso:A B"],
)
def test_entry_point_of_another_form_is_broken_and_harms_no_other(value, package):
    package(
        "rp-lasso",
        {"odd": value, "weight_lasso": "rp_lasso:WeightLasso"},
        "rp_lasso",
        SOURCE,
    )
    assert entry_of("odd").status == "broken"
    assert entry_of("weight_lasso").status == "installed"
    with pytest.raises(PluginLoadError, match=r"'odd' \(rp-lasso 0.1\)"):
        regplug.load("odd")
    assert regplug.load("weight_lasso").__name__ == "WeightLasso"


def test_entry_point_with_a_slash_in_its_name_is_broken(package):
    package("rp-lasso", {"a/b": "rp_lasso:WeightLasso"}, "rp_lasso", SOURCE)
    assert entry_of("a/b").status == "broken"
    assert "has a slash, which parts package and name" in entry_of("a/b").static_error


def test_conflict_is_the_status_of_both(package):
    package("rp-one", {"orth": "rp_one:WeightLasso"}, "rp_one", SOURCE)
    package("rp-two", {"orth": "rp_two:WeightLasso"}, "rp_two", SOURCE)
    found = [entry for entry in regplug.available() if entry.name == "orth"]
    assert [(entry.package, entry.status) for entry in found] == [
        ("rp-one", "conflict"),
        ("rp-two", "conflict"),
    ]
    assert all("rp_" in entry.conflicts[0] for entry in found)


def test_available_imports_neither_engine_nor_plugin_nor_numpy():
    code = """
        import sys, regplug
        rows = [(e.name, e.aliases, e.package, e.version, e.status, e.summary) for e in regplug.available()]
        assert len(rows) >= 8
        print(sorted({name.partition(".")[0] for name in sys.modules}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    plugins = [
        "regplug_noise",
        "regplug_weights",
        "regplug_activations",
        "regplug_recurrent",
        "regplug_jacobian",
    ]
    for module in ("theano", "pytensor", "numpy", *plugins):
        assert f"'{module}'" not in done.stdout
    assert all(importlib.util.find_spec(module) for module in plugins)


def test_composing_imports_no_engine():
    code = """
        import sys, regplug
        manager = regplug.compose(["dropout=0.5", "weight_l2=1e-4"], seed=7)
        manager.weights["dropout"] = 0.25
        manager.restore(manager.state())
        print(sorted({"theano", "pytensor"} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_public_names_are_there():
    for name in regplug.__all__:
        assert getattr(regplug, name) is not None
    assert {*regplug.__all__, "engine", "noise", "schedules", "__version__"} <= set(
        dir(regplug)
    )
    assert "piecewise" in regplug.schedules.__doc__
    with pytest.raises(
        AttributeError,
        match="module 'regplug' has no attribute 'compos'. Did you mean 'compose'?",
    ):
        _ = regplug.compos


def test_conflict_of_an_alias_is_that_of_the_regularizer(package):
    points = {"weight_lasso": "rp_one:WeightLasso", "zap": "rp_one:WeightLasso"}
    package("rp-one", points, "rp_one", SOURCE)
    package("rp-two", {"zap": "rp_two:WeightLasso"}, "rp_two", SOURCE)
    found = {
        entry.package: entry
        for entry in regplug.available()
        if entry.package.startswith("rp-")
    }
    assert found["rp-one"].conflicts == ("rp-two (rp_two:WeightLasso)",)
    assert found["rp-two"].conflicts == ("rp-one (rp_one:WeightLasso)",)
    assert (found["rp-one"].qualified_name, found["rp-two"].qualified_name) == (
        "rp-one/weight_lasso",
        "rp-two/zap",
    )


def test_available_is_in_one_order_whatever_that_of_the_path_is(package, monkeypatch):
    package("rp-one", {"orth": "rp_one:WeightLasso"}, "rp_one", SOURCE)
    package("rp-two", {"orth": "rp_two:WeightLasso"}, "rp_two", SOURCE)
    points = list(registry.iter_entry_points(registry.GROUP))
    orders = []
    for found in (points, points[::-1]):
        monkeypatch.setattr(
            registry, "iter_entry_points", lambda group, found=found: found
        )
        orders.append([(entry.name, entry.value) for entry in regplug.available()])
    assert orders[0] == orders[1] == sorted(orders[0])


def test_name_that_a_package_offers_twice_is_one_alias(package):
    folder = package(
        "rp-lasso", {"weight_lasso": "rp_lasso:WeightLasso"}, "rp_lasso", SOURCE
    )
    file = folder / "rp_lasso-0.1.dist-info" / "entry_points.txt"
    file.write_text(file.read_text() + 2 * "zap = rp_lasso:WeightLasso\n")
    assert entry_of("zap").aliases == ("zap",)


def test_class_is_of_the_package_that_it_was_loaded_through(package):
    package("rp-one", {"first": "rp_one:WeightLasso"}, "rp_one", SOURCE)
    package("rp-two", {"second": "rp_one:WeightLasso"}, "rp_two", SOURCE)
    for name in ("second", "first"):
        assert registry.origin(regplug.load(name)).name == name


def test_unknown_name_that_is_near_an_alias_is_told_the_alias(package):
    points = {"weight_lasso": "rp_lasso:WeightLasso", "zapper": "rp_lasso:WeightLasso"}
    package("rp-lasso", points, "rp_lasso", SOURCE)
    with pytest.raises(
        UnknownRegularizerError, match=r"Did you mean 'zapper' \(rp-lasso 0.1\)"
    ):
        regplug.load("zaper")


def test_metadata_is_read_whatever_the_case_of_its_headers(package):
    folder = package(
        "rp-lasso", {"weight_lasso": "rp_lasso:WeightLasso"}, "rp_lasso", SOURCE
    )
    (folder / "rp_lasso-0.1.dist-info" / "METADATA").write_text(
        "name: RP.lasso\nVERSION: 0.1\n"
    )
    assert (entry_of("weight_lasso").package, entry_of("weight_lasso").version) == (
        "RP.lasso",
        "0.1",
    )


def test_metadata_without_a_name_or_a_version_is_broken_and_goes_by_its_folder(package):
    folder = package(
        "rp-lasso", {"weight_lasso": "rp_lasso:WeightLasso"}, "rp_lasso", SOURCE
    )
    metadata = folder / "rp_lasso-0.1.dist-info" / "METADATA"
    for text in ("Version: 0.1\n", "Name: rp-lasso\n"):
        metadata.write_text(text)
        assert (
            entry_of("weight_lasso").static_error
            == "the package's metadata has no name or version"
        )
    metadata.write_text("Version: 0.1\n")
    assert str(entry_of("weight_lasso")) == "weight_lasso (rp_lasso 0.1)"


def test_package_whose_files_cannot_be_read_harms_no_other(package):
    folder = package("rp-bytes", {}, "rp_bytes", "")
    package("rp-loop", {}, "rp_loop", "")
    package("rp-lasso", {"weight_lasso": "rp_lasso:WeightLasso"}, "rp_lasso", SOURCE)
    (folder / "rp_bytes-0.1.dist-info" / "entry_points.txt").write_bytes(
        b"[regplug.regularizers]\n\xff"
    )
    looped = folder / "rp_loop-0.1.dist-info" / "entry_points.txt"
    looped.unlink()
    looped.symlink_to(looped)
    assert entry_of("weight_lasso").status == "installed"


def test_entry_points_may_have_comments_of_both_kinds(package):
    folder = package(
        "rp-lasso", {"weight_lasso": "rp_lasso:WeightLasso"}, "rp_lasso", SOURCE
    )
    file = folder / "rp_lasso-0.1.dist-info" / "entry_points.txt"
    file.write_text(file.read_text() + "; one = rp_lasso:One\n# two = rp_lasso:Two\n")
    assert [
        entry.value for entry in regplug.available() if entry.package == "rp-lasso"
    ] == ["rp_lasso:WeightLasso"]


def test_available_sees_a_module_that_was_installed_within_one_tick_of_the_clock(
    package, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    before = tmp_path.stat().st_mtime_ns
    assert (
        importlib.util.find_spec("rp_late") is None
    )  # the folder is listed, and the listing kept
    (tmp_path / "rp_late.py").write_text(SOURCE)
    os.utime(tmp_path, ns=(before, before))
    package("rp-late", {"late": "rp_late:WeightLasso"}, "rp_other", "")
    assert entry_of("late").status == "installed"


@pytest.mark.parametrize(
    ("requirement", "version", "met"),
    [
        ("regplug>=0.9", "0.10", True),
        ("regplug>=0.10", "0.9", False),
        ("regplug>=0.1.0", "0.1", True),
        ("regplug>=0.1", "0.1.0", True),
        ("regplug>=1", "1.0.0", True),
        ("regplug>=1.0.1", "1", False),
        ("regplug>=10", "9", False),
    ],
)
def test_requirement_compares_versions_as_numbers(requirement, version, met):
    assert satisfies(requirement, version) is met


def test_package_names_have_one_spelling():
    assert {
        canonicalize_name(each) for each in ("a-b", "A_b", "a.B", "a-_.b", "a--b")
    } == {"a-b"}
