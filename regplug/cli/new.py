"""``regplug new``: write the package that a careful author would have."""

import datetime
import json
import keyword
import os
import re
import secrets
import shutil
from pathlib import Path
from string import Template

import click

from regplug.cli.entries import release
from regplug.discovery import registry
from regplug.errors import OptionError, RegplugError
from regplug.files import write_whole
from regplug.output import echo
from regplug.version import __version__

# characters of a name: users type it, and the lines of the templates have room for it
LONGEST = 40
# what the templates import
_TAKEN = ("Annotated", "Gt", "Regularizer")
_EXAMPLES = {"params": "1e-4@*.w", "outputs": "0.1@hid*:out"}
_NEXT = """
Next:
  cd {home}
  python -m pip install -e '.[test]'
  python -m pytest
  regplug check {name}
The formula is in the module, and in `formula` of its test. The hooks:
  python -m pydoc regplug.authoring.hookspecs"""
# the folders in it are laid out as the package will be
_TEMPLATE = Path(__file__).with_name("template")


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
    type=click.Choice(list(_EXAMPLES)),
    default="params",
    show_default=True,
    help="What it regularizes: a penalty on parameters, or noise on outputs, to begin "
    "with.",
)
@click.option(
    "--author", metavar="'NAME <EMAIL>'", help="By default: The authors of the package."
)
def command(name: str, folder: str, target: str, author: str | None) -> None:
    """Write a new package with one regularizer, its tests and all that goes with it.

    NAME is what users will type, such as group_lasso; the package is then
    regplug-group-lasso. Existing files are never overwritten.
    """
    words = name_words(name)
    name = "_".join(words)
    package = "-".join(["regplug", *words])
    if author is None:
        author = f"The authors of {package}"
    values = {
        "name": name,
        "package": package,
        "module": package.replace("-", "_"),
        "cls": _class_name(words),
        "title": " ".join(words).capitalize(),
        "regplug": ".".join(__version__.split(".")[:2]),
        "example": _EXAMPLES[target],
        "year": str(datetime.date.today().year),
        **_author(author),
    }
    home = Path(folder, package)
    for path in _write(home, target, values):
        echo(path)
    for entry in registry.available():
        if name in (entry.name, *entry.aliases) and entry.package != package:
            echo()
            echo(
                f"{release(entry)}, which is installed, offers {name!r}, too: "
                f"users of both will have to write {package}/{name}."
            )
    for line in _NEXT.format(home=home, name=name).split("\n"):
        echo(line)


def name_words(name: str) -> list[str]:
    """Return the words of the name of a regularizer, in lower case.

    Raises
    ------
    OptionError
        No package, module or class can be named so.
    """
    snake = re.sub(r"^regplug[-_]", "", name).lower().replace("-", "_")
    words = snake.split("_")
    cls = _class_name(words)
    problem = ""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", snake):
        problem = "write letters, digits and underscores, a letter first: group_lasso"
    elif len(snake) > LONGEST:
        more = f"{len(snake)} characters are more than {LONGEST}"
        problem = f"{more}, and users type it"
    elif keyword.iskeyword(cls) or cls in _TAKEN:
        problem = f"its class would be {cls!r}, which means something else"
        problem += "; choose another"
    if problem:
        raise OptionError(f"{name!r} is no name: {problem}.")
    return words


def _class_name(words):
    return "".join(map(str.capitalize, words))


def _write(home, target, values):
    """Write the files of the package, all of them or none; return their paths.

    Raises
    ------
    OptionError
        Some exist, or cannot be written; nothing was.
    """
    contents = _contents(target, values)
    paths = [home / name for name in contents]
    existing = [str(path) for path in paths if os.path.lexists(path)]
    if existing:
        raise OptionError(
            f"nothing was written, for these exist: {', '.join(existing)}. "
            "Choose another name or --dir."
        )
    # beside it, and with the permissions of any folder
    temporary = home.with_name(f".regplug-{secrets.token_hex(8)}.tmp")
    try:
        for name, text in contents.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode())
        _put_in_place(temporary, home, contents)
    except (OSError, ValueError, RegplugError) as error:
        cause = error.__cause__ or error
        why = getattr(cause, "strerror", None) or cause
        raise OptionError(
            f"{home} cannot be written: {why}. Choose another --dir."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return paths


def _contents(target, values):
    """Return the texts of the files by their names in the folder."""
    contents = {}
    for folder in (_TEMPLATE / "common", _TEMPLATE / target):
        for source in sorted(folder.rglob("*.in")):
            name = source.relative_to(folder).with_suffix("")
            text = source.read_text("utf-8")
            name = Template(str(name)).substitute(values)
            contents[name] = Template(text).substitute(values)
    return contents


def _put_in_place(temporary, home, names):
    """Move the folder, or its files one by one where there is a folder already."""
    if not home.exists():
        os.replace(temporary, home)
        return
    made = []
    try:
        for name in names:
            path = home / name
            for folder in reversed(path.parents):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
            os.replace(temporary / name, path)
            made.append(path)
    except BaseException:
        for path in reversed(made):
            remove = path.rmdir if path.is_dir() else path.unlink
            remove()
        raise


def _author(author):
    """Return the author as the templates have it: by name, and as a table of TOML."""
    found = re.fullmatch(r"(.*?)\s*<(.+@.+)>", author.strip())
    name, email = found.groups() if found else (author.strip(), "")
    if not name:
        raise OptionError(
            f"--author {author!r} has no name: write NAME, or 'NAME <EMAIL>': "
            "'Ada L. <ada@example.org>'."
        )
    try:
        author.encode()
    except UnicodeEncodeError as error:
        what = f"{error}: write it in characters that a file can hold"
        raise OptionError(f"--author {author!r}: {what}.") from error
    table = f"name = {json.dumps(name, ensure_ascii=False)}"
    if email:
        table += f", email = {json.dumps(email)}"
    return {"author": name, "author_table": table}
