"""``regplug show``: one regularizer, all that its class says of itself."""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import click

from regplug.authoring.options import REQUIRED, Option, options_of
from regplug.authoring.regularizer import (
    HOOKS,
    Regularizer,
    hook_arguments,
    uses_weight,
)
from regplug.discovery import registry

_TARGETS = {"outputs": "outputs of layers", "params": "parameters"}
_APPLIES = {"training": "while training", "always": "always, at prediction time too"}
_CONSTRAINS = "to an optimizer's updates, through result.constrain(updates)"


@click.command("show")
@click.argument("name")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; the options as a JSON schema."
)
def command(name: str, as_json: bool) -> None:
    """Show one regularizer: what it does, its options, its formula.

    NAME is a name or an alias, or package/name where several packages offer it.
    """
    entry = registry.get_entry(name)
    cls = registry.load(entry)
    sections = _sections(inspect.getdoc(cls) or "")
    about = _sections(inspect.getdoc(Regularizer) or "")
    meanings = _meanings(about.get("Parameters", "")) | _meanings(
        sections.get("Parameters", "")
    )
    options = {
        key: each
        for key, each in options_of(cls).items()
        if key != "weight" or uses_weight(cls) or each.default is not REQUIRED
    }
    facts = {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "summary": sections[""].partition("\n\n")[0].replace("\n", " "),
        "package": entry.package,
        "version": entry.version,
        "status": entry.status,
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "file": getattr(sys.modules[cls.__module__], "__file__", None),
        "targets": cls.targets,
        "applies": cls.applies,
        "hooks": [
            hook
            for hook in HOOKS
            if hook != "log" and hook_arguments(cls, hook) is not None
        ],
        "formula": sections.get("Notes", ""),
        "references": _items(sections.get("References", "")),
    }
    if as_json:
        schema = {
            "type": "object",
            "properties": {
                key: each.schema()
                | ({"description": meanings[key]} if key in meanings else {})
                for key, each in options.items()
            },
            "required": [
                key for key, each in options.items() if each.default is REQUIRED
            ],
            "additionalProperties": False,
        }
        click.echo(json.dumps(facts | {"options": schema}, indent=2, default=repr))
    else:
        _print(facts, options, meanings)


def _print(
    facts: dict[str, Any], options: dict[str, Option], meanings: dict[str, str]
) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from regplug.tables import console, table

    output = console()
    aliases = f"  (also {', '.join(facts['aliases'])})" if facts["aliases"] else ""
    output.print(Text.assemble((facts["name"], "bold cyan"), (aliases, "dim")))
    output.print(_plain(facts["summary"]) or "No summary: its class has no docstring.")
    output.print()
    for label, value in (
        ("Targets", _TARGETS[facts["targets"]]),
        (
            "Applies",
            _CONSTRAINS
            if facts["hooks"] == ["constrain"]
            else _APPLIES[facts["applies"]],
        ),
        ("Hooks", ", ".join(facts["hooks"])),
        ("Package", f"{facts['package']} {facts['version']}"),
        ("Class", facts["class"]),
        ("File", facts["file"]),
    ):
        output.print(Text.assemble((f"{label:<9}", "dim"), str(value)), soft_wrap=True)
    rows = [
        (
            key,
            each.type_name,
            "must be given" if each.default is REQUIRED else repr(each.default),
            each.range,
            _plain(meanings.get(key, "")),
        )
        for key, each in options.items()
    ]
    blocks: list[tuple[str, Any]] = [
        (
            "Options",
            table(
                ("Name", "Type", "Default", "Range", "Meaning"),
                rows,
                wraps=["Type", "Meaning"],
            ),
        ),
        ("Formula", Text(_plain(facts["formula"]))),
        ("References", Text("\n".join(facts["references"]))),
    ]
    for title, content in blocks:
        if title == "Options" or content.plain:
            output.print(f"\n{title}", style="bold")
            output.print(Padding(content, (0, 0, 0, 2), expand=False))


def _plain(text: str) -> str:
    return text.replace("``", "`")


def _sections(docstring: str) -> dict[str, str]:
    """Return the sections of a numpydoc docstring by title; what stands before them under ``""``."""
    title, sections = "", {"": ""}
    lines = docstring.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line and following and set(following.strip()) == {"-"}:
            title = line.strip()
            sections[title] = ""
        elif not line or set(line.strip()) != {"-"}:
            sections[title] += line + "\n"
    return {title: text.strip("\n") for title, text in sections.items()}


def _meanings(parameters: str) -> dict[str, str]:
    """Return what a Parameters section says of each option, by name."""
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in parameters.splitlines():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.partition(" : ")[0].split(",")]
        elif line.strip():
            meanings.update(
                {
                    name: f"{meanings.get(name, '')} {line.strip()}".strip()
                    for name in names
                }
            )
    return meanings


def _items(references: str) -> list[str]:
    """Return the references, one an item: a new one begins where a paragraph or an unindented line does."""
    items: list[str] = []
    for line in references.splitlines():
        if line.strip() and (line[0].isspace() and items):
            items[-1] += f" {line.strip()}"
        elif line.strip():
            items.append(line.strip())
    return items
