"""Sources are read without importing, as a guest: none ends, or holds up, the listing."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
import textwrap
import threading
import types
import warnings

import pytest
from packages import LASSO as SOURCE

import regplug
from regplug.authoring.options import options_of
from regplug.authoring.regularizer import hook_arguments
from regplug.cli import installed


@pytest.fixture
def add(package):
    """Return a function that adds a package with one source, beside one that is fine."""
    package("rp-fine", {"fine": "rp_fine:Lasso"}, "rp_fine", SOURCE)

    def add(source, value="rp_odd:Lasso"):
        folder = package("rp-odd", {"odd": value}, "rp_odd", "")
        if isinstance(source, str):
            source = source.encode()
        (folder / "rp_odd.py").write_bytes(source)
        return folder

    return add


def entry_of(name):
    (entry,) = (entry for entry in regplug.available() if entry.name == name)
    return entry


def assert_others_are_fine():
    assert entry_of("fine").summary == "Sum of the absolute values."
    installed.print_as()
    installed.print_as("--json")


DEEP = {
    "texts": "'x' + " * 3_000 + "'x'",
    "dots": "a" + ".a" * 60_000,
    "calls": "a" + "()" * 60_000,
    "items": "a" + "[0]" * 60_000,
    "sums": "a" + "+a" * 400_000,
    "signs": "-" * 100_000 + "1",
    "nots": "not " * 100_000 + "1",
    "powers": "1**" * 5_000 + "1",
    "lambdas": "lambda: " * 50_000 + "1",
    "choices": "1 if 1 else " * 50_000 + "1",
    "elifs": "1\nif 1: pass\n" + "elif 1: pass\n" * 20_000,
    "large": "'" + "x" * 1_000_001 + "'",
    "long name": "1\nimport a" + ".a" * 30_000,
}


@pytest.mark.parametrize("kind", DEEP)
def test_source_that_is_too_deep_or_too_large_is_not_readable(add, kind):
    add(f"{SOURCE}\nif 0:\n    pass\na = {DEEP[kind]}\n")
    entry = entry_of("odd")
    # the sums of texts are no trouble to every version's parser
    if kind != "texts":
        assert entry.summary.startswith("not readable: ")
    assert entry.status == "installed"
    assert_others_are_fine()


def test_source_that_is_too_deep_to_parse_is_said_to_be_so_in_a_thread(add):
    # the stack of a thread may be small, and Python 3.10 has no limit of its own
    add(f"{SOURCE}\na = {DEEP['dots']}\n")
    summaries = []
    thread = threading.Thread(target=lambda: summaries.append(entry_of("odd").summary))
    thread.start()
    thread.join()
    assert "more than 20,000 operators, dots and brackets" in summaries[0]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (b"def\n", "syntax error in"),
        (b"\0" + SOURCE.encode(), "n"),
        (b"# coding: nonsense\n" + SOURCE.encode(), "syntax error in"),
        (SOURCE.encode() + b"'\xe9'\n", "syntax error in"),
        (SOURCE.encode("utf-16"), "n"),
        ("(" * 5_000, "syntax error in"),
        ("class Other: pass", "has no 'Lasso'"),
        ("", "has no 'Lasso'"),
        (
            "from . import nothing\nfrom .................. import Lasso",
            "beyond a package",
        ),
        ("from rp_nowhere import Lasso", "no module named 'rp_nowhere'"),
    ],
)
def test_source_that_python_refuses_is_broken(add, source, error):
    add(source)
    assert (entry_of("odd").status, error in entry_of("odd").summary) == (
        "broken",
        True,
    )
    assert_others_are_fine()


@pytest.mark.parametrize(
    "source",
    [
        SOURCE + "\nregex = '\\d\\w'\nif 1 is 1: pass\n",
        "\ufeff" + SOURCE,
        SOURCE.replace("\n", "\r\n"),
        b"# coding: latin-1\n" + SOURCE.encode() + b"# \xe9\n",
        "import os, sys, json\n" * 3_000 + SOURCE,
    ],
)
def test_source_that_python_takes_is_read(add, source):
    add(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert entry_of("odd").summary == "Sum of the absolute values."


@pytest.mark.parametrize(
    "source", ["from rp_odd import Lasso", "from rp_fine import *", "Lasso = type(1)()"]
)
def test_source_that_leaves_it_open_is_not_called_broken(add, source):
    add(source)
    assert entry_of("odd").status == "installed"
    assert_others_are_fine()


def test_class_is_found_among_many_by_every_name(package):
    count = 3_000
    source = SOURCE + "".join(f"class C{n}(Lasso): '{n}'\n" for n in range(count))
    points = {f"c{n}": f"rp_many:C{n}" for n in range(count)}
    package("rp-many", points, "rp_many", source)
    entries = {entry.name: entry for entry in regplug.available()}
    assert all(entries[f"c{n}"].summary == str(n) for n in range(count))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("make", ["pipe", "device", "dangling", "folder"])
def test_module_that_is_no_file_is_not_opened(add, make, tmp_path):
    path = add("") / "rp_odd.py"
    path.unlink()
    if make == "pipe":
        os.mkfifo(path)
    elif make == "device":
        path.symlink_to("/dev/zero")
    elif make == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    else:
        path.mkdir()
    assert entry_of("odd").static_error == "no module named 'rp_odd'"
    assert_others_are_fine()


def test_finder_that_leads_to_a_pipe_or_nowhere_is_not_believed(
    add, tmp_path, monkeypatch
):
    add("").joinpath("rp_odd.py").unlink()

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name != "rp_odd":
                return None
            return importlib.util.spec_from_file_location(name, self.place)

    import importlib.util

    finder = Finder()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    places = {tmp_path / "nowhere.py": "FileNotFoundError"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.py")
        places[tmp_path / "pipe.py"] = "no regular file"
    for place, fault in places.items():
        finder.place = str(place)
        assert fault in entry_of("odd").summary
        assert entry_of("odd").status == "installed"
    assert_others_are_fine()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other rights")
def test_source_that_cannot_be_opened_is_not_readable(add):
    path = add(SOURCE) / "rp_odd.py"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("the superuser reads all")
    assert "not readable: PermissionError" in entry_of("odd").summary
    assert_others_are_fine()


def test_compiled_module_is_installed(add):
    folder = add(SOURCE)
    py_compile.compile(
        str(folder / "rp_odd.py"), cfile=str(folder / "rp_odd.pyc"), doraise=True
    )
    (folder / "rp_odd.py").unlink()
    assert entry_of("odd").summary == "not readable: 'rp_odd' has no source in Python"
    assert regplug.load("odd").__name__ == "Lasso"


NAMESPACES = {
    "native": "",
    "pkgutil": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
    "pkg_resources": "__import__('pkg_resources').declare_namespace(__name__)\n",
}


@pytest.mark.parametrize("kind", NAMESPACES)
@pytest.mark.parametrize("is_nested", [False, True])
def test_plugin_in_a_namespace_is_found(add, kind, is_nested, tmp_path, monkeypatch):
    name = "rp_space.inner" if is_nested else "rp_space"
    folder = add("", f"{name}.plugin.core:Lasso")
    for root, module in ((tmp_path, "other"), (folder, "plugin")):
        inner = root.joinpath(*name.split("."), module)
        inner.mkdir(parents=True)
        (inner / "__init__.py").write_text("")
        (inner / "core.py").write_text(SOURCE)
        if NAMESPACES[kind]:
            for depth in range(1, len(name.split(".")) + 1):
                space = root.joinpath(*name.split(".")[:depth])
                (space / "__init__.py").write_text(NAMESPACES[kind])
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = entry_of("odd")
    assert (entry.status, entry.summary) == ("installed", "Sum of the absolute values.")
    assert not [module for module in sys.modules if module.startswith("rp_space")]
    assert_others_are_fine()
    if kind != "pkg_resources":
        assert regplug.load("odd").__name__ == "Lasso"
    for module in [each for each in sys.modules if each.startswith("rp_space")]:
        del sys.modules[module]


def test_namespace_itself_is_no_plugin(add):
    (add("", "rp_empty:Lasso") / "rp_empty").mkdir()
    assert "a folder without an __init__.py" in entry_of("odd").static_error


def test_editable_install_is_found_through_its_finder(add, tmp_path, monkeypatch):
    import importlib.util

    add("", "rp_space.edited.core:Lasso")
    (tmp_path / "core.py").write_text(SOURCE)
    (tmp_path / "__init__.py").write_text("")

    class EditableFinder:
        """What setuptools installs, for a package in a namespace."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "rp_space":
                from importlib.machinery import PathFinder

                spec = PathFinder.find_spec("regplug_no_such_name", [])
                spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
                spec.submodule_search_locations = []
                return spec
            if name == "rp_space.edited":
                place = tmp_path / "__init__.py"
                return importlib.util.spec_from_file_location(name, place)
            return None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, EditableFinder])
    assert entry_of("odd").summary == "Sum of the absolute values."
    assert_others_are_fine()


class Unfriendly(types.ModuleType):
    def __getattribute__(self, name):
        raise SystemExit("no")


@pytest.mark.parametrize("spec", [None, "text", 3, "absent"])
def test_module_with_an_odd_spec_is_installed(add, monkeypatch, spec):
    add("")
    module = types.ModuleType("rp_odd")
    module.__spec__ = spec
    if spec == "absent":
        del module.__spec__
    module.Lasso = int
    monkeypatch.setitem(sys.modules, "rp_odd", module)
    assert entry_of("odd").status == "installed"
    assert_others_are_fine()


def test_module_that_is_barred_or_unfriendly_harms_no_other(add, monkeypatch):
    add("")
    monkeypatch.setitem(sys.modules, "rp_odd", None)
    assert entry_of("odd").static_error == "no module named 'rp_odd'"
    assert_others_are_fine()
    monkeypatch.setitem(sys.modules, "rp_odd", Unfriendly("rp_odd"))
    summary = entry_of("odd").summary
    # pytest looks at each module where a test fails
    monkeypatch.setitem(sys.modules, "rp_odd", None)
    assert "not readable: SystemExit: no" in summary
    monkeypatch.setitem(sys.modules, "rp_odd", Unfriendly("rp_odd"))
    assert regplug.discovery.registry.origin(int) is None
    assert_others_are_fine()


def test_list_and_doctor_agree_on_a_source_that_is_not_read(add, monkeypatch):
    folder = add(f"{SOURCE}\na = '{'x' * 1_000_001}'\n")
    code = """
        import sys
        sys.path.insert(0, sys.argv.pop())
        from regplug.cli import main
        main()
    """
    for words in (["list"], ["list", "--json"], ["doctor", "odd", "fine"]):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *words, str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "odd" in done.stdout
    assert "2 of 2 right" in done.stdout


KINDS = """
from regplug import Regularizer, hookimpl
from rp_bases import Base as Other
from typing import ClassVar


class Plain(Regularizer):
    def loss(self, matched):
        return 0


class Both(Plain):
    targets = "params"
    applies: str = "always"
    rate: float = 0.5
    _hidden: int = 1
    counted: ClassVar[int] = 0

    def modify_graph(self, value):
        return value


class Elsewhere(Other):
    more = 1


class Nothing(Regularizer, no.such, Gone):
    pass


class Odd(Plain):
    targets = "layers"


class Round(Round):
    pass


class Wide(Wider, Wider, Wider, Wider, Wider, Wider, Wider, Wider, Wider, Wider):
    pass


class Wider(Wide, Wide, Wide, Wide, Wide, Wide, Wide, Wide, Wide, Wide, Plain):
    pass
"""

BASES = """
class Base:
    targets: str = "params"
    limit: float = 3.0

    def constrain(self, matched):
        return {}
"""


def test_kind_and_options_are_read_along_the_bases(package):
    names = ("Plain", "Both", "Elsewhere", "Nothing", "Odd", "Round", "Wide")
    points = {name.lower(): f"rp_kinds:{name}" for name in names}
    package("rp-kinds", points, "rp_kinds", KINDS)
    package("rp-bases", {}, "rp_bases", BASES)

    infos = {name: entry_of(name.lower()).source_info for name in names}

    assert {name: info.kind for name, info in infos.items()} == {
        "Plain": "penalty on outputs",
        "Both": "changes parameters, penalty on parameters, at prediction time too",
        "Elsewhere": "constrains parameters after updates",
        "Nothing": "",
        "Odd": "",
        "Round": "",
        "Wide": "penalty on outputs",
    }
    assert [infos[name].options for name in ("Both", "Elsewhere")] == [
        ("rate",),
        ("limit",),
    ]


def test_kind_is_what_the_classes_of_the_packages_here_are():
    for entry in regplug.available():
        cls = regplug.load(entry)
        hooks = {
            "changes": "modify_graph",
            "penalty": "loss",
            "constrains": "constrain",
        }
        hook = hooks[entry.kind.partition(" ")[0]]
        assert hook_arguments(cls, hook) is not None, entry.name
        assert ("parameters" in entry.kind) == (cls.targets == "params"), entry.name
        assert (cls.applies == "always") == ("prediction" in entry.kind), entry.name
        own = set(options_of(cls)) - set(options_of(regplug.Regularizer))
        assert set(entry.source_info.options) == own, entry.name
