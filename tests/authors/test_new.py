"""regplug new: what it writes, and what it refuses."""

import errno
import os
import pydoc
import subprocess
import sys

import pytest
from click.testing import CliRunner

import regplug
from regplug.cli.new import LONGEST, command, name_words
from regplug.composition import toml as composition


def new(*words):
    return CliRunner().invoke(command, list(map(str, words)))


@pytest.mark.parametrize("target", ["params", "outputs"])
def test_new_writes_a_package(tmp_path, target):
    done = new(
        "group-lasso",
        "--dir",
        tmp_path,
        "--target",
        target,
        "--author",
        'Ada "A." L <ada@example.org>',
    )
    assert done.exit_code == 0, done.output
    home = tmp_path / "regplug-group-lasso"
    written = {
        str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()
    }
    assert written == {
        "pyproject.toml",
        "regplug_group_lasso.py",
        "tests/test_regplug_group_lasso.py",
        "tox.ini",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        ".gitignore",
        ".github/workflows/tests.yml",
    }
    project = composition.tomllib.loads((home / "pyproject.toml").read_text())[
        "project"
    ]
    assert project["entry-points"] == {
        "regplug.regularizers": {"group_lasso": "regplug_group_lasso:GroupLasso"}
    }
    assert project["authors"] == [{"name": 'Ada "A." L', "email": "ada@example.org"}]
    assert project["dependencies"] == ["regplug>=0.2"]
    assert 'Ada "A." L' in (home / "LICENSE").read_text()
    assert "${{ matrix.python }}" in (home / ".github/workflows/tests.yml").read_text()


@pytest.mark.parametrize("target", ["params", "outputs"])
@pytest.mark.parametrize(
    "name", ["l1", "spectral_norm_of_the_recurrent_weights", "a" * LONGEST, "test"]
)
def test_new_writes_what_ruff_accepts(tmp_path, target, name):
    done = new(name, "--dir", tmp_path, "--target", target)
    assert done.exit_code == 0, done.output
    home = tmp_path / f"regplug-{name.replace('_', '-')}"
    ruff = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", home],
        capture_output=True,
        text=True,
    )
    assert ruff.returncode == 0, ruff.stdout


@pytest.mark.parametrize("target", ["params", "outputs"])
def test_new_writes_tests_that_collect_no_class_of_the_plugin(tmp_path, target):
    new("test", "--dir", tmp_path, "--target", target)
    home = tmp_path / "regplug-test"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--collect-only",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
        ],
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "tests/test_regplug_test.py::test_conformance[Test-" in done.stdout


@pytest.mark.parametrize("flag", ["--target", "--targets"])
def test_new_takes_the_flag_in_the_words_of_the_class_too(tmp_path, flag):
    assert new("blur", "--dir", tmp_path, flag, "outputs").exit_code == 0
    assert (
        "def modify_graph("
        in (tmp_path / "regplug-blur" / "regplug_blur.py").read_text()
    )


@pytest.mark.parametrize("author", ["", "   ", "<a@b.c>", "  <a@b.c> "])
def test_new_refuses_an_author_without_a_name(tmp_path, author):
    done = new("lasso", "--dir", tmp_path, "--author", author)
    assert isinstance(done.exception, regplug.OptionError)
    assert str(done.exception).startswith(
        f"--author {author!r} has no name: write NAME, or 'NAME <EMAIL>': "
    )
    assert not list(tmp_path.iterdir())


def test_new_overwrites_nothing(tmp_path):
    mine = tmp_path / "regplug-lasso" / "README.md"
    mine.parent.mkdir()
    mine.write_text("mine")
    done = new("lasso", "--dir", tmp_path)
    assert isinstance(done.exception, regplug.OptionError)
    assert (
        str(done.exception)
        == f"nothing was written, for these exist: {mine}. Choose another name or --dir."
    )
    assert [path.name for path in mine.parent.iterdir()] == ["README.md"]
    assert mine.read_text() == "mine"


def test_new_says_why_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    done = new("lasso", "--dir", tmp_path / "file")
    assert isinstance(done.exception, regplug.OptionError)
    assert str(done.exception).endswith(
        "cannot be written: Not a directory. Choose another --dir."
    )


def test_new_writes_beside_what_is_there(tmp_path):
    home = tmp_path / "regplug-lasso"
    (home / "tests").mkdir(parents=True)
    (home / ".git").write_text("mine")
    assert new("lasso", "--dir", tmp_path).exit_code == 0
    assert new("ridge", "--dir", tmp_path).exit_code == 0
    files = {path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    other = tmp_path / "regplug-ridge"
    assert len(files) == 10
    assert len([path for path in other.rglob("*") if path.is_file()]) == 9
    assert {path.name for path in tmp_path.iterdir()} == {home.name, other.name}
    assert home.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("when", [1, 5, 9, 10, 11, 18])
def test_new_writes_all_or_nothing(tmp_path, monkeypatch, is_there, when):
    home, calls, replace = tmp_path / "regplug-lasso", [], os.replace

    def fail(source, target):
        calls.append(source)
        # nine files are written, and put in place together, or one by one
        if len(calls) == (when if is_there else min(when, 10)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    if is_there:
        home.mkdir()
        (home / "mine").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(os, "replace", fail)
    done = new("lasso", "--dir", tmp_path)
    assert isinstance(done.exception, regplug.OptionError)
    assert (
        str(done.exception)
        == f"{home} cannot be written: No space left on device. Choose another --dir."
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_new_refuses_an_author_that_no_file_can_hold(tmp_path):
    done = new("lasso", "--dir", tmp_path, "--author", "a\ud800")
    assert isinstance(done.exception, regplug.OptionError)
    assert str(done.exception).startswith(r"--author 'a\ud800': 'utf-8' codec can't ")
    assert not list(tmp_path.iterdir())


def test_new_says_that_a_name_is_taken(tmp_path):
    done = new("dropout", "--dir", tmp_path)
    assert done.exit_code == 0
    assert (
        "which is installed, offers 'dropout', too: users of both will have to write regplug-dropout/dropout."
        in (" ".join(done.output.split()))
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lasso", ["lasso"]),
        ("group_lasso", ["group", "lasso"]),
        ("Group-Lasso", ["group", "lasso"]),
        ("regplug-l2_sp", ["l2", "sp"]),
    ],
)
def test_name_is_read_in_words(name, words):
    assert name_words(name) == words


@pytest.mark.parametrize(
    "name",
    ["", "2d", "a b", "la.sso", "a__b", "_a", "-", "löss", "regplug-", "../x", "a\n"],
)
def test_name_that_no_package_can_have_is_refused(name):
    with pytest.raises(
        regplug.OptionError,
        match=r"is no name: write letters, digits and underscores, a letter first",
    ):
        name_words(name)


def test_name_that_is_too_long_is_refused():
    assert name_words("a" * LONGEST) == ["a" * LONGEST]
    with pytest.raises(
        regplug.OptionError,
        match=r"is no name: 41 characters are more than 40, and users type it\.",
    ):
        name_words("a" * LONGEST + "b")


@pytest.mark.parametrize(
    ("name", "cls"),
    [("none", "None"), ("true", "True"), ("regularizer", "Regularizer")],
)
def test_name_whose_class_means_something_else_is_refused(name, cls):
    with pytest.raises(
        regplug.OptionError,
        match=f"its class would be '{cls}', which means something else",
    ):
        name_words(name)


CHANGED = {
    # another formula, with an option of another name; and none
    "renamed": [
        ("delta: Annotated[float, Gt(0)] = 1.0", "edge: Annotated[float, Gt(0)] = 1.0"),
        ("    delta : float, > 0", "    edge : float, > 0"),
        ("self.delta", "self.edge"),
    ],
    "removed": [
        ("    delta: Annotated[float, Gt(0)] = 1.0\n\n", ""),
        ("self.delta", "1.0"),
        ("    Parameters\n    ----------\n    delta : float, > 0\n", ""),
        ("        The absolute value at which the square ends.\n\n", ""),
    ],
    "other": [
        ("(delta**2 * ((1 + (w / delta) ** 2) ** 0.5 - 1)).sum()", "(w**4).sum()"),
        ("np.sum(np.sqrt(1 + w**2) - 1)", "np.sum(w**4)"),
    ],
}


@pytest.mark.parametrize("change", CHANGED)
def test_new_writes_a_test_that_goes_with_the_formula_alone(tmp_path, change):
    new("huber", "--dir", tmp_path)
    home = tmp_path / "regplug-huber"
    for path in (home / "regplug_huber.py", home / "tests" / "test_regplug_huber.py"):
        text = path.read_text()
        for old, replacement in CHANGED[change]:
            text = text.replace(old, replacement)
        path.write_text(text)
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"]
    choice = "formula or docstring or options or scalar"

    done = subprocess.run(
        [sys.executable, *words, "-k", choice],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
    )

    assert (
        "test_loss_is_the_formula" in (home / "tests/test_regplug_huber.py").read_text()
    )
    assert done.returncode == 0, done.stdout


def test_new_names_a_manual_that_is_installed(tmp_path):
    said = new("huber", "--dir", tmp_path).output

    assert "python -m pydoc regplug.authoring.hookspecs" in said
    manual = pydoc.plain(pydoc.render_doc("regplug.authoring.hookspecs"))
    assert all(hook in manual for hook in ("modify_graph", "loss", "constrain"))
