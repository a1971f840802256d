"""``regplug new``: write the package that a careful author would have."""

from __future__ import annotations

import datetime
import json
import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from regplug.discovery import registry
from regplug.errors import OptionError
from regplug.version import __version__

# template -> the file of the package
FILES = {
    "pyproject.toml": "pyproject.toml",
    "$target.py": "$module.py",
    "test_$target.py": "tests/test_$module.py",
    "tox.ini": "tox.ini",
    "README.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "LICENSE": "LICENSE",
    "gitignore": ".gitignore",
    "ci.yml": ".github/workflows/tests.yml",
}
_TAKEN = ("Annotated", "Gt", "Regularizer")  # what the templates import
LONGEST = 40  # characters of a name: users type it, and the lines of the templates have room for it
_EXAMPLES = {"params": "1e-4@*.w", "outputs": "0.1@hid*:out"}


@click.command("new")
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    default=".",
    metavar="DIR",
    show_default=True,
    help="Where to put the folder.",
)
@click.option(
    "--target",
    "--targets",
    "target",
    type=click.Choice(["params", "outputs"]),
    default="params",
    show_default=True,
    help="What it regularizes: a penalty on parameters, or noise on outputs, to begin with.",
)
@click.option(
    "--author", metavar="'NAME <EMAIL>'", help="By default: The authors of the package."
)
def command(name: str, folder: str, target: str, author: str | None) -> None:
    """Write a new package with one regularizer, its tests and all that goes with it.

    NAME is what users will type, such as group_lasso; the package is then regplug-group-lasso.
    Existing files are never overwritten.
    """
    words = name_words(name)
    package = "-".join(["regplug", *words])
    values = {
        "target": target,
        "name": "_".join(words),
        "package": package,
        "module": package.replace("-", "_"),
        "cls": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
        "summary": f"The regularizer {'_'.join(words)} for regplug",
        "regplug": ".".join(__version__.split(".")[:2]),
        "example": _EXAMPLES[target],
        "year": str(datetime.date.today().year),
        **_author(f"The authors of {package}" if author is None else author),
    }
    home = Path(folder) / package
    for path in write(home, values):
        click.echo(path)
    for entry in registry.available():
        if values["name"] in (entry.name, *entry.aliases) and entry.package != package:
            click.echo(
                f"\n{entry.package} {entry.version}, which is installed, offers {values['name']!r}, too: "
                f"users of both will have to write {package}/{values['name']}."
            )
    click.echo(
        f"\nNext:\n  cd {home}\n  python -m pip install -e '.[test]'\n  python -m pytest\n"
        f"  regplug check {values['name']}"
    )


def name_words(name: str) -> list[str]:
    """Return the words of the name of a regularizer, in lower case.

    Raises
    ------
    OptionError
        No package, module or class can be named so.
    """
    words = re.sub(r"^regplug[-_]", "", name).lower().replace("-", "_").split("_")
    cls = "".join(word.capitalize() for word in words)
    if (
        not all(re.fullmatch(r"[a-z0-9]+", word) for word in words)
        or not words[0][0].isalpha()
    ):
        raise OptionError(
            f"{name!r} is no name: write letters, digits and underscores, a letter first: group_lasso."
        )
    if (length := len("_".join(words))) > LONGEST:
        raise OptionError(
            f"{name!r} is no name: {length} characters are more than {LONGEST}, and users type it."
        )
    if keyword.iskeyword(cls) or cls in _TAKEN:
        raise OptionError(
            f"{name!r} is no name: its class would be {cls!r}, which means something else; choose another."
        )
    return words


def write(home: Path, values: dict[str, str]) -> list[Path]:
    """Write the files of the package; return their paths.

    Raises
    ------
    OptionError
        Some exist; nothing was written.
    """
    template = files("regplug.cli").joinpath("template")
    contents = {}
    for names in FILES.items():
        source, target = (Template(each).substitute(values) for each in names)
        contents[home / target] = Template(
            template.joinpath(f"{source}.in").read_text("utf-8")
        ).substitute(values)
    if existing := [str(path) for path in contents if path.exists()]:
        raise OptionError(
            f"nothing was written, for these exist: {', '.join(existing)}. Choose another name or --dir."
        )
    try:
        for path, text in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise OptionError(
            f"{path} cannot be written: {error.strerror}. Choose another --dir."
        ) from error
    return list(contents)


def _author(author: str) -> dict[str, str]:
    found = re.fullmatch(r"\s*(.*?)\s*<(.+@.+)>\s*", author)
    name, email = found.groups() if found else (author.strip(), None)
    if not name:
        raise OptionError(
            f"--author {author!r} has no name: write NAME, or 'NAME <EMAIL>': 'Ada L. <ada@example.org>'."
        )
    table = f"name = {json.dumps(name, ensure_ascii=False)}"
    return {
        "author": name,
        "author_table": table + (f", email = {json.dumps(email)}" if email else ""),
    }
