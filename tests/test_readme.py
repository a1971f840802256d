"""The README: its code runs, and its table of regularizers is what is installed.

``python tests/test_readme.py`` writes the table anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import regplug
from regplug.authoring.regularizer import hook_arguments
from regplug.testing import installed_engine

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MARKED = re.compile(
    r"(?<=<!-- regularizers -->\n).*(?=<!-- /regularizers -->)", re.DOTALL
)
DOES = {
    "modify_graph": "changes {}",
    "loss": "penalty on {}",
    "constrain": "constrains {} after updates",
}
TARGETS = {"outputs": "outputs", "params": "parameters"}


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```$",
        README.read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )


def rendered() -> str:
    """Return the table of the regularizers of the packages in plugins/, in Markdown."""
    ours = {folder.name for folder in (ROOT / "plugins").iterdir()}
    entries = sorted(
        (entry for entry in regplug.available() if entry.package in ours),
        key=lambda entry: entry.package,
    )
    lines = ["| Name | What it does | How |", "|---|---|---|"]
    for package, group in groupby(entries, key=lambda entry: entry.package):
        lines.append(f"| **[{package}](plugins/{package})** | | |")
        for entry in group:
            cls = regplug.load(entry)
            names = ", ".join(f"`{name}`" for name in (entry.name, *entry.aliases))
            hooks = [hook for hook in DOES if hook_arguments(cls, hook) is not None]
            how = ", ".join(DOES[hook].format(TARGETS[cls.targets]) for hook in hooks)
            always = ", at prediction time too" if cls.applies == "always" else ""
            lines.append(f"| {names} | {entry.summary} | {how}{always} |")
    return "\n".join(lines) + "\n"


def test_readme_table_is_of_what_is_installed():
    assert MARKED.search(README.read_text("utf-8")).group() == rendered(), (
        "run: python tests/test_readme.py"
    )


def test_readme_options_of_other_libraries_are_those_of_the_parity_page():
    page, text = (
        (ROOT / "docs" / "parity.md").read_text("utf-8"),
        README.read_text("utf-8"),
    )
    sections = {
        section.partition("\n")[0]: section for section in page.split("\n### ")[1:]
    }
    table = re.findall(
        r"^\| (Keras|torch|Lasagne|theanets)\b.*\| (.*?) ?\|$", text, re.MULTILINE
    )
    for library, options in table:
        assert all(
            option in sections[library] for option in re.findall("`(.+?)`", options)
        ), library
    count = sum(
        len(re.findall(r"^\| `", sections[library], re.MULTILINE))
        for library, _ in table
    )
    assert len(table) == 4
    assert f"has {count} expressions" in text


def commands() -> list[str]:
    """Return the commands that install and show it, and that test it."""
    return blocks("console")[0].splitlines()


def test_readme_commands_need_neither_python_nor_an_active_environment():
    assert len(commands()) == 2
    for command in commands():
        first, *others = command.split(" && ")
        assert first == "python3 -m venv .venv", command
        assert others, command
        assert all(other.startswith(".venv/bin/") for other in others), command


def test_readme_commands_of_windows_are_the_same_steps():
    ours = [
        re.findall(r"\.venv/bin/(.*?)(?: && |$)", command) for command in commands()
    ]
    windows = [
        re.findall(r"\.venv\\Scripts\\(.*?)(?:; |$)", line)
        for line in blocks("powershell")[0].splitlines()
    ]
    folders = "(Get-ChildItem plugins -Directory).FullName"
    assert windows == [
        [step.replace("'", '"').replace("./plugins/*/", folders) for step in steps]
        for steps in ours
    ]


def test_readme_environment_is_ignored_by_git():
    assert ".venv/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_readme_test_command_is_what_the_continuous_integration_runs():
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert commands()[1] in lines


def test_readme_code_runs(tmp_path):
    code = "\n".join(blocks("python"))
    if installed_engine().__name__.endswith(
        "theano"
    ):  # as the comments beside the imports say
        code = code.replace(
            "import pytensor.tensor as pt", "import theano.tensor as pt"
        )
        code = code.replace("import pytensor ", "import theano as pytensor ")
    code += "\nassert list(result.matches.values()) == [['hid:out']]\nassert dict(manager.weights) == {'lasso': 1e-3}\n"
    code += "assert list(terms) == ['lasso']\n"
    (tmp_path / "readme.py").write_text(code, "utf-8")
    flags = (
        "mode=Mode,linker=py,optimizer=fast_compile,cxx="  # nothing is compiled: quick
    )
    done = subprocess.run(
        [sys.executable, "readme.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTENSOR_FLAGS": flags, "THEANO_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'use = "dropout"' in (tmp_path / "regplug.toml").read_text()


def test_readme_plugin_is_found_by_its_name(package):
    source = next(
        block for block in blocks("python") if block.startswith("# regplug_lasso.py")
    )
    project = tomllib.loads(blocks("toml")[0])["project"]
    package(
        project["name"],
        project["entry-points"]["regplug.regularizers"],
        "regplug_lasso",
        source,
    )
    manager = regplug.compose(["lasso=1e-3@*.w"])
    assert manager.members[0].provenance == "regplug-lasso 0.1"


def test_readme_links_to_files_that_exist():
    targets = re.findall(r"\]\((?!http)([^)]+)\)", README.read_text("utf-8"))
    assert "docs/demo.png" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


if __name__ == "__main__":
    README.write_text(
        MARKED.sub(lambda _: rendered(), README.read_text("utf-8")), "utf-8"
    )
