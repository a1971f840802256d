"""Provenance: the packages and versions that a composition was written with."""

from __future__ import annotations

import pickle
import re

import pytest

import regplug
from regplug.composition.toml import as_toml
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


def test_write_with_lock_has_a_regularizer_that_is_there_twice_once(tmp_path):
    path = tmp_path / "regplug.toml"
    regplug.compose(["dropout=0.5@a", "dropout=0.5@b"]).write(path, lock=True)

    assert path.read_text().count("regplug-noise==") == 1
    assert len(regplug.read(path, strict=True).members) == 2


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


@pytest.fixture
def read_locked(tmp_path):
    """Return a function that reads a composition of dropout, or of another name, with a lock."""

    def read(text, use="dropout", **options):
        path = tmp_path / "regplug.toml"
        composition = f'[[regularizer]]\nuse = "{use}"\nweight = 0.5\n'
        path.write_text(f"{composition}[lock]\n{use} = {as_toml(text)}\n", "utf-8")
        return regplug.read(path, **options)

    return read


@pytest.fixture
def version():
    """Return the version of the package of dropout."""
    return registry.get_entry("dropout").version


@pytest.mark.parametrize(
    "text",
    [
        "regplug-noise=={}",
        "Regplug_Noise=={}",
        "REGPLUG..noise == {}",
        " regplug-noise=={}.0 ",
        "regplug-noise==0!{}",
        "regplug-noise==v{}",
    ],
)
def test_lock_is_compared_in_its_canonical_form(read_locked, version, text):
    read_locked(text.format(version), strict=True)


BAD_LOCKS = [
    "; rm -rf /",
    "x==1; rm -rf /",
    "regplug-noise",
    "regplug-noise>=0.1",
    "regplug-noise==0.*",
    "regplug-noise===$(reboot)",
    "regplug-noise[extra]==0.1",
    "regplug-noise @ https://example.org/x.whl",
    "--index-url https://example.org x==1",
    "-e .",
    "`reboot`",
    "x==1\x1b[31m",
    "x==1\ny==2",
    "(" * 100_000,
    "x" * 10**6,
    "x==" + "1" * 10_000,
    "größe==1",
]


@pytest.mark.parametrize("text", BAD_LOCKS, ids=lambda text: ascii(text[:30]))
def test_lock_that_is_no_requirement_is_in_no_command(read_locked, text):
    with pytest.raises(
        regplug.CompositionError,
        match="'dropout' is locked to '.*no PACKAGE==VERSION, ",
    ) as caught:
        read_locked(text, strict=True)
    with pytest.raises(
        regplug.UnknownRegularizerError,
        match="file is locked to '.*no PACKAGE==VERSION",
    ) as unknown:
        read_locked(text, use="droput")
    for message in map(str, (caught.value, unknown.value)):
        assert "pip install" not in message
        assert message.endswith(
            "write PACKAGE==VERSION there, or use manager.write(path, lock=True)."
        )
        assert len(message) < 5000


@pytest.mark.parametrize("text", ["", "  "])
def test_lock_that_is_empty_says_so(read_locked, text):
    with pytest.warns(
        regplug.RegplugWarning,
        match=r"'dropout' is locked to nothing \(its entry is empty\), and regplug-noise",
    ):
        read_locked(text)
    with pytest.raises(
        regplug.UnknownRegularizerError,
        match=r"locked to nothing \(its entry is empty\): write PACKAGE==VERSION",
    ):
        read_locked(text, use="droput")


def test_lock_of_a_version_that_packaging_cannot_read_is_that_version(
    package, tmp_path
):
    points = {"lasso": "rp_lasso:Lasso"}
    package("rp-lasso", points, "rp_lasso", SOURCE, version="2024-a; b")
    path = tmp_path / "regplug.toml"
    regplug.compose(["lasso=1"]).write(path, lock=True)
    assert len(regplug.read(path, strict=True).members) == 1


def test_copy_of_a_package_of_a_hostile_name_gives_no_command(package, monkeypatch):
    info = package("rp-lasso", {"lasso": "rp_lasso:Lasso"}, "rp_lasso", SOURCE)
    metadata = info / "rp_lasso-0.1.dist-info" / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: ; rm -rf /\nVersion: 0.1\n")
    pickled = pickle.dumps(regplug.compose(["lasso=1"]))
    metadata.parent.rename(info / "gone")

    with pytest.raises(regplug.UnknownRegularizerError) as caught:
        pickle.loads(pickled)
    assert str(caught.value).endswith("which is not here: install that package.")
