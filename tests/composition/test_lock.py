"""Provenance: the packages and versions that a composition was written with."""

from __future__ import annotations

import re

import pytest

import regplug
from regplug.discovery import registry

SOURCE = '''
from regplug import Regularizer, hookimpl

class Lasso(Regularizer):
    """Sum of the absolute values."""
    targets = "params"

    @hookimpl
    def loss(self, matched):
        return sum(abs(w).sum() for w in matched.values())
'''


@pytest.fixture
def locked(package, tmp_path):
    """Write a composition with lasso 0.1 and dropout, locked; return the file and the folder of the package."""
    folder = package("rp-lasso", {"lasso": "rp_lasso:Lasso"}, "rp_lasso", SOURCE)
    path = tmp_path / "regplug.toml"
    regplug.compose(
        [("lasso", 0.1), ("dropout", {"weight": 0.5, "pattern": "h*"})], seed=3
    ).write(path, lock=True)
    return path, folder


def upgrade(folder):
    info = folder / "rp_lasso-0.1.dist-info"
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: rp-lasso\nVersion: 0.2\n"
    )


def test_write_with_lock_has_package_and_version_of_each_regularizer_once(locked):
    path, _ = locked
    noise = next(
        entry.version for entry in regplug.available() if entry.name == "dropout"
    )

    assert path.read_text().endswith(
        f'\n[lock]\n"lasso" = "rp-lasso==0.1"\n"dropout" = "regplug-noise=={noise}"\n'
    )


def test_write_without_lock_has_none(tmp_path):
    path = tmp_path / "regplug.toml"
    regplug.compose(["dropout=0.5"]).write(path)

    assert "lock" not in path.read_text()


@pytest.mark.parametrize("strict", [False, True])
def test_read_of_what_is_installed_as_locked_is_silent(locked, strict):
    manager = regplug.read(locked[0], strict=strict)

    assert (manager.seed, dict(manager.weights)) == (3, {"lasso": 0.1, "dropout": 0.5})


def test_read_warns_of_another_version_and_composes(locked):
    path, folder = locked
    upgrade(folder)

    with pytest.warns(regplug.RegplugWarning) as warned:
        manager = regplug.read(path)

    text = "'lasso' is locked to rp-lasso==0.1, and rp-lasso==0.2 is installed: python -m pip install rp-lasso==0.1."
    assert [str(each.message) for each in warned] == [f"{path}: {text}"]
    assert warned[0].filename == __file__
    assert list(manager.weights) == ["lasso", "dropout"]


def test_read_strict_refuses_another_version(locked):
    path, folder = locked
    upgrade(folder)

    with pytest.raises(
        regplug.CompositionError,
        match=re.escape(f"{path}: 'lasso' is locked to rp-lasso==0.1, and "),
    ):
        regplug.read(path, strict=True)


def test_read_strict_refuses_what_is_not_locked(tmp_path):
    path = tmp_path / "regplug.toml"
    regplug.compose(["dropout=0.5"]).write(path)

    with pytest.raises(
        regplug.CompositionError,
        match=r"'dropout' is not in \[lock\], and strict=True asks for it",
    ):
        regplug.read(path, strict=True)


def test_read_of_a_locked_package_that_is_absent_says_what_to_install(
    locked, monkeypatch
):
    path, _ = locked
    path.write_text(path.read_text().replace("lasso", "lassoo"))

    with pytest.raises(
        regplug.UnknownRegularizerError,
        match="The file is locked to rp-lassoo==0.1: python -m pip install",
    ):
        regplug.read(path)


@pytest.mark.parametrize("text", ["lock = 3", "[lock]\ndropout = 1"])
def test_read_refuses_a_lock_of_another_form(tmp_path, text):
    path = tmp_path / "regplug.toml"
    path.write_text(text + "\n")

    with pytest.raises(
        regplug.CompositionError, match="'lock' is no table of texts: write"
    ):
        regplug.read(path)


def test_write_names_the_package_where_the_name_is_ambiguous(package, tmp_path):
    package("rp-other", {"dropout": "rp_lasso:Lasso"}, "rp_lasso", SOURCE)
    path = tmp_path / "regplug.toml"
    regplug.compose([("rp-other/dropout", 0.5)]).write(path, lock=True)

    assert 'use = "rp-other/dropout"' in path.read_text()
    assert regplug.read(path, strict=True).members[0].entry.package == "rp-other"


def test_lock_is_compared_before_anything_is_imported(locked, monkeypatch):
    path, folder = locked
    upgrade(folder)
    loaded = []
    monkeypatch.setattr(registry, "load", loaded.append)

    with pytest.raises(regplug.CompositionError):
        regplug.read(path, strict=True)

    assert loaded == []


def test_lock_is_found_by_the_canonical_name_of_an_alias(tmp_path):
    path = tmp_path / "regplug.toml"
    path.write_text(
        '[[regularizer]]\nuse = "weight_decay"\nweight = 0.1\n\n[lock]\nweight_l2 = "regplug-weights==9"\n'
    )
    with pytest.warns(
        regplug.RegplugWarning,
        match="'weight_decay' is locked to regplug-weights==9, and regplug-w",
    ):
        regplug.read(path)
