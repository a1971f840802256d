"""Malformed metadata: the fault of one package, named, and every other package is seen."""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
import shutil
import sys
import zipfile

import pytest
from packages import LASSO

import regplug
from regplug import NameConflictError, PluginLoadError, UnknownRegularizerError
from regplug.cli import installed
from regplug.discovery import registry
from regplug.discovery.leftovers import find_leftovers
from regplug.discovery.metadata import installed_version, satisfies

SOURCE = (
    LASSO
    + '''
    class Inner(Regularizer):
        """Of another class."""

        targets = "params"

        @hookimpl
        def loss(self, matched):
            return 0


class Other(Lasso):
    """Something else."""
'''
)


def entry_of(name):
    """Return the one entry of a name."""
    (entry,) = (entry for entry in regplug.available() if name in entry.names)
    return entry


@pytest.fixture
def lasso(package):
    """Return the folder of a package that offers `lasso`, which is fine."""
    return package("rp-lasso", {"lasso": "rp_lasso:Lasso"}, "rp_lasso", SOURCE)


def points_of(folder, text):
    """Write a package's entry points, as bytes, after the header of the group."""
    if isinstance(text, str):
        text = text.encode()
    file = folder / "rp_lasso-0.1.dist-info" / "entry_points.txt"
    file.write_bytes(b"[regplug.regularizers]\n" + text)


def assert_fine():
    """Assert that `lasso` is listed once, and loads."""
    entry = entry_of("lasso")
    assert (entry.status, entry.summary) == (
        "installed",
        "Sum of the absolute values.",
    )
    assert regplug.load("lasso").__name__ == "Lasso"
    installed.print_as()
    installed.print_as("--json")


@pytest.mark.parametrize("prefix", ["~p_lasso", "-p_lasso", "~-_lasso", "~~lasso"])
def test_folder_that_pip_left_offers_nothing_and_doctor_names_it(lasso, prefix):
    left = lasso / f"{prefix}-0.1.dist-info"
    shutil.copytree(lasso / "rp_lasso-0.1.dist-info", left)
    assert_fine()
    assert entry_of("lasso").conflicts == ()
    assert "pip left" in find_leftovers()[str(left)]


def test_empty_folder_of_another_version_hides_nothing(lasso):
    (lasso / "rp_lasso-0.0.1.dist-info").mkdir()
    # the order of a folder's entries is the file system's
    other = lasso / "first"
    (other / "rp_lasso-0.0.2.dist-info").mkdir(parents=True)
    sys.path.insert(0, str(other))
    assert_fine()
    assert entry_of("lasso").version == installed_version("rp-lasso") == "0.1"
    assert str(other / "rp_lasso-0.0.2.dist-info") in find_leftovers()


def test_doctor_names_leftovers_and_what_to_do(lasso, capsys):
    from regplug.cli.lazy_group import command_line

    left = lasso / "~p_lasso-0.1.dist-info"
    left.mkdir()
    with pytest.raises(SystemExit, match="^(0|)$"):
        command_line(["doctor", "lasso"])
    output = capsys.readouterr().out
    assert f"{left} is what pip left when it was interrupted" in output
    assert "delete this folder" in output
    with pytest.raises(SystemExit, match="^(0|)$"):
        command_line(["doctor", "--report", "lasso"])
    assert str(left) in json.loads(capsys.readouterr().out)["leftovers"]


@pytest.mark.parametrize("ending", ["zip", "whl", "egg"])
def test_plugin_in_a_zip_file_is_installed_with_its_docstring(
    lasso, tmp_path, monkeypatch, ending
):
    archive = tmp_path / f"rp_zipped-0.1.{ending}"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        info = "EGG-INFO" if ending == "egg" else "rp_zipped-0.1.dist-info"
        name = "PKG-INFO" if ending == "egg" else "METADATA"
        metadata = b"Name: rp-zipped\nAuthor: \xe9\nVersion: 0.1\n"
        file.writestr(f"{info}/{name}", metadata)
        points = "[regplug.regularizers]\nzipped = rp_zipped.core:Lasso\n"
        points += "# " + 2_000_000 * "x"
        file.writestr(f"{info}/entry_points.txt", points)
        file.writestr("rp_zipped/__init__.py", "")
        file.writestr("rp_zipped/core.py", SOURCE)
    monkeypatch.syspath_prepend(str(archive))
    entry = entry_of("zipped")
    assert (entry.package, entry.status) == ("rp-zipped", "installed")
    assert entry.summary == "Sum of the absolute values."
    assert regplug.load("zipped").__name__ == "Lasso"
    assert_fine()
    for module in ("rp_zipped.core", "rp_zipped"):
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize(
    "value",
    ["rp_lasso:Lasso [extra]", "rp_lasso:Lasso[a,b]", "rp_lasso : Lasso  [a]"],
)
def test_entry_point_with_extras_is_valid(lasso, value):
    points_of(lasso, f"lasso = {value}\n")
    assert_fine()
    assert entry_of("lasso").value == "rp_lasso:Lasso"


def test_class_in_a_class_is_valid(lasso):
    points_of(
        lasso, "lasso = rp_lasso:Lasso\ninner = rp_lasso:Lasso.Inner\nno = rp_lasso:A.B"
    )
    assert entry_of("inner").summary == "Of another class."
    assert regplug.load("inner").__qualname__ == "Lasso.Inner"
    assert registry.origin(regplug.load("lasso").Inner).name == "inner"
    registry._loaded.clear()
    assert registry.origin(regplug.load("lasso").Inner).name == "inner"
    assert entry_of("no").status == "broken"
    assert_fine()


def test_object_that_is_offered_twice_is_one_offer(lasso, tmp_path, monkeypatch):
    points_of(
        lasso,
        "lasso = rp_lasso:Lasso\nlasso=rp_lasso:Lasso[a]\n"
        "[regplug.regularizers]\nlasso = rp_lasso : Lasso\nlasso = rp_paths:Alias\n",
    )
    (lasso / "rp_paths.py").write_text("from rp_lasso import Lasso as Alias\n")
    # the folder again, by other names
    (tmp_path / "link").symlink_to(lasso)
    for again in (str(tmp_path / "link"), str(lasso), f"{lasso}/."):
        monkeypatch.syspath_prepend(again)
    # its metadata again, in a folder that is called otherwise
    copy = tmp_path / "copy" / "other_name-0.1.dist-info"
    shutil.copytree(lasso / "rp_lasso-0.1.dist-info", copy)
    monkeypatch.syspath_prepend(str(copy.parent))
    assert_fine()
    assert entry_of("lasso").conflicts == ()


def test_name_with_two_objects_of_one_package_is_its_authors_fault(lasso):
    points_of(
        lasso,
        "lasso = rp_lasso:Lasso\nzap = rp_lasso:Lasso\nzap = rp_lasso:Other\nother = rp_lasso:Other\n",
    )
    assert_fine()
    entry = entry_of("zap")
    what = "its package offers several objects as 'zap': rp_lasso:Lasso, rp_lasso:Other"
    assert (entry.status, entry.static_error, entry.conflicts) == ("broken", what, ())
    for name in ("zap", "rp-lasso/zap"):
        with pytest.raises(PluginLoadError, match=r"'zap' \(rp-lasso 0.1\).*several"):
            regplug.load(name)
    assert entry_of("other").aliases == ()


def test_name_with_a_slash_is_refused_with_the_reason(lasso):
    points_of(lasso, "a/b = rp_lasso:Lasso\nlasso = rp_lasso:Lasso\n")
    with pytest.raises(UnknownRegularizerError) as caught:
        regplug.load("a/b")
    assert "'a/b' (rp-lasso 0.1) is refused: the entry point's name" in str(
        caught.value
    )
    assert "Did you mean" not in str(caught.value)
    assert_fine()


@pytest.mark.parametrize(
    ("text", "name", "broken"),
    [
        ("with space = rp_lasso:Other", "with space", False),
        ("'quoted\" = rp_lasso:Other", "'quoted\"", False),
        ("ünïcode = rp_lasso:Other", "ünïcode", False),
        ("a=b = rp_lasso:Other", "a", True),
        ("empty =", "empty", True),
        ("alone", "alone", True),
        ("= rp_lasso:Other", "unnamed", True),
        ("digits = 1rp:2Other", "digits", True),
        ("dots = rp_lasso..a:Other", "dots", True),
        ("dots = .rp_lasso:Other", "dots", True),
        ("inner = rp_lasso:Lasso.", "inner", True),
        ("extra = rp_lasso:Other [a", "extra", True),
        ("nul = rp_lasso\0:Other", "nul", True),
        ("\0 = rp_lasso:Other", "\0", False),
        ("builtin = sys:Other", "builtin", False),
        ("itself = rp_lasso:rp_lasso", "itself", True),
    ],
)
def test_odd_entry_point_is_named_and_harms_no_other(lasso, text, name, broken):
    points_of(lasso, f"lasso = rp_lasso:Lasso\n{text}\n")
    entry = entry_of(name)
    assert (entry.status == "broken") is broken
    assert entry.package == "rp-lasso"
    assert_fine()
    if broken:
        with pytest.raises(PluginLoadError, match="rp-lasso 0.1"):
            regplug.load(name)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: text + b"# Andr\xe9\n",
        lambda text: text + b"\xff\xfe = \xff\n",
        lambda text: text + b"[other]\n" + 200_000 * b"a = b:c\n",
        lambda text: text + b"[[[\n]]]\n[\n[]\n=\n==\n;\n",
        lambda text: b"lasso = rp_lasso:Other\n" + text,
    ],
)
def test_entry_points_of_another_encoding_are_read(lasso, change):
    file = lasso / "rp_lasso-0.1.dist-info" / "entry_points.txt"
    file.write_bytes(change(file.read_bytes()))
    assert_fine()


def test_huge_entry_points_are_read_up_to_a_limit(lasso):
    lines = (f"point_{number} = rp_lasso:Lasso" for number in range(300_000))
    points_of(lasso, "lasso = rp_lasso:Lasso\n" + "\n".join(lines))
    assert len(entry_of("lasso").names) < 50_000


def write_metadata(folder, content):
    (folder / "rp_lasso-0.1.dist-info" / "METADATA").write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfName: rp-lasso\nVersion: 0.1\n",
        b"Name: rp-lasso\r\nVersion: 0.1\r\n\r\nName: other\r\n",
        b"Name: rp-lasso\nAuthor: Andr\xe9\nVersion: 0.1\n",
        b"Name: rp-lasso\nVersion: 0.1\nAuthor: \0\n\0",
        b"Name: rp-lasso\nVersion: 0.1\nKeywords: x" + 300_000 * b" " + b"x\n",
        b"Name: rp-lasso\nVersion: 0.1\n\n" + 3_000_000 * b"x",
        b"Name: rp-lasso\nVersion: 0.1\nRequires-Dist: nonsense (((\n",
        b"Name: rp-lasso\nVersion: 0.1\nRequires-Dist: other; extra\n",
        b"Name: rp-lasso\nVersion: 0.1\n: empty\nno colon\n",
    ],
)
def test_odd_metadata_are_read(lasso, content):
    write_metadata(lasso, content)
    assert entry_of("lasso").version == "0.1"
    assert_fine()


def test_version_that_is_no_version_is_shown_as_it_is(lasso):
    write_metadata(lasso, b"Name: rp-lasso\nVersion: banana!\n")
    assert entry_of("lasso").version == "banana!"
    assert_fine()


@pytest.mark.parametrize(
    "requirement",
    [
        "regplug >=",
        "regplug>=" + 5000 * "9",
        "regplug>=0" + 5000 * ".0" + ".1 x",
        "regplug; python_version > 'banana' and extra",
        "regplug (((",
        "regplug ; os_name ~= 'x'",
    ],
)
def test_requirement_that_cannot_be_read_is_incompatible(lasso, requirement):
    write_metadata(
        lasso, f"Name: a\nVersion: 1\nRequires-Dist: {requirement}\n".encode()
    )
    assert entry_of("lasso").status == "incompatible"
    assert not satisfies(requirement, "0.2.0")


def as_folder(path):
    path.unlink()
    path.mkdir()


def as_dangling(path):
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


def as_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("change", [as_folder, as_dangling, as_pipe, as_device])
def test_metadata_that_is_no_file_is_a_fault_of_its_own(lasso, package, change):
    package("rp-odd", {"odd": "rp_odd:Lasso"}, "rp_odd", SOURCE)
    info = lasso / "rp_odd-0.1.dist-info"
    change(info / "METADATA")
    assert entry_of("odd").static_error == (
        "the package's metadata has no name or version"
    )
    assert entry_of("odd").package == "rp_odd"
    assert_fine()
    change(info / "entry_points.txt")
    assert not [entry for entry in regplug.available() if entry.name == "odd"]
    assert str(info) in find_leftovers()
    assert_fine()


def test_egg_info_is_read_as_a_file_and_as_a_folder(lasso):
    (lasso / "rp_old-0.3.egg-info").write_text("Name: rp-old\nVersion: 0.3\n")
    os.rename(lasso / "rp_lasso-0.1.dist-info", lasso / "rp_lasso.egg-info")
    os.rename(
        lasso / "rp_lasso.egg-info" / "METADATA",
        lasso / "rp_lasso.egg-info" / "PKG-INFO",
    )
    assert entry_of("lasso").version == "0.1"
    text = (
        "numpy\n\n[docs]\nsphinx\n\n[nets:os_name > 'a']\nclick>=9\n[:os_name]\nrich\n"
    )
    (lasso / "rp_lasso.egg-info" / "requires.txt").write_text(text)
    assert entry_of("lasso").requirements == [
        "numpy",
        "sphinx; extra == 'docs'",
        "click>=9; extra == 'nets' and (os_name > 'a')",
        "rich; (os_name)",
    ]
    assert installed_version("rp_old") == "0.3"
    assert str(lasso / "rp_old-0.3.egg-info") not in find_leftovers()
    assert_fine()


class BadFinder:
    """A finder of another library, whose every method raises."""

    def find_spec(self, name, path=None, target=None):
        if name.startswith("rp_"):
            raise RuntimeError("finder")
        return None

    def find_distributions(self, context):
        yield from ()
        raise SystemExit("finder")

    def invalidate_caches(self):
        raise GeneratorExit("finder")


@pytest.mark.parametrize("place", [0, 10_000])
def test_finder_that_raises_hides_nothing(lasso, monkeypatch, place):
    finders = list(sys.meta_path)
    finders.insert(place, BadFinder())
    monkeypatch.setattr(sys, "meta_path", finders)
    assert entry_of("lasso").summary == "Sum of the absolute values."
    points_of(lasso, "lasso = rp_lasso:Lasso\nno = rp_nowhere:Lasso\n")
    assert entry_of("no").summary == "not readable: RuntimeError: finder"


def test_finder_without_methods_hides_nothing(lasso, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [None, object(), *sys.meta_path])
    points_of(lasso, "lasso = rp_lasso:Lasso\nno = rp_nowhere:Lasso\n")
    assert entry_of("no").static_error == "no module named 'rp_nowhere'"
    assert entry_of("lasso").summary == "Sum of the absolute values."


@pytest.mark.parametrize(
    "entry", [None, b"/nowhere", pathlib.Path("/nowhere"), 3, "a\0b", "\udcff", ""]
)
def test_odd_entry_of_the_path_hides_nothing(lasso, monkeypatch, entry):
    monkeypatch.setattr(sys, "path", [*sys.path, entry])
    assert_fine()
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    assert entry_of("lasso").status == "installed"


class OddDistribution(importlib.metadata.Distribution):
    """One of another library, that raises, or returns no text."""

    def __init__(self, result):
        self.result = result

    def read_text(self, filename):
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def locate_file(self, path):
        raise OSError


@pytest.mark.parametrize("result", [RuntimeError(), SystemExit(), b"bytes", 3, None])
def test_distribution_of_another_library_hides_nothing(lasso, monkeypatch, result):
    class Finder(BadFinder):
        def find_distributions(self, context):
            return [OddDistribution(result)]

        def invalidate_caches(self):
            pass

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert entry_of("lasso").summary == "Sum of the absolute values."


def test_conflict_of_two_packages_is_one_still(lasso, package):
    package("rp-two", {"lasso": "rp_two:Lasso"}, "rp_two", SOURCE)
    with pytest.raises(NameConflictError, match="Write 'rp-lasso/lasso' or 'rp-two/l"):
        regplug.load("lasso")
