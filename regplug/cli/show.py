"""``regplug show``: one regularizer, all that its class says of itself."""

import inspect
import json
import re

import click
from docstring_parser.numpydoc import parse
from rich.padding import Padding

from regplug.authoring.options import REQUIRED, options_of
from regplug.authoring.regularizer import HOOKS, hook_arguments, uses_weight
from regplug.discovery import registry
from regplug.tables import console, labelled, table
from regplug.text import safe_repr

_TARGETS = {"outputs": "outputs of layers", "params": "parameters"}
_APPLIES = {"training": "while training", "always": "always, at prediction time too"}


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
    docstring = parse(cls.__doc__)
    summary = (docstring.description or "").partition("\n\n")[0]
    sections = {part.args[0]: part.description or "" for part in docstring.meta}
    hooks = [hook for hook in HOOKS if hook_arguments(cls, hook) is not None]
    facts = {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "summary": " ".join(summary.split()),
        "package": entry.package,
        "version": entry.version,
        "status": entry.status,
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "file": inspect.getfile(cls),
        "targets": cls.targets,
        "applies": cls.applies,
        "hooks": [hook for hook in hooks if hook != "log"],
        "formula": sections.get("notes", ""),
        "references": _references(sections.get("references", "")),
        "options": _schema(cls),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2, default=safe_repr))
    else:
        _print(facts, cls)


def _schema(cls):
    """Return the JSON schema of a class's options."""
    meanings = _meanings(cls)
    properties, required = {}, []
    for name, option in options_of(cls).items():
        is_required = option.default is REQUIRED
        if name == "weight" and is_required and not uses_weight(cls):
            continue
        properties[name] = option.schema()
        if name in meanings:
            properties[name]["description"] = meanings[name]
        if is_required:
            required.append(name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _references(section):
    """Return one text a reference: it begins at a paragraph or an unindented line."""
    items = re.findall(r"^\S.*(?:\n+[ \t].*)*", section, flags=re.MULTILINE)
    return [" ".join(item.split()) for item in items]


def _meanings(cls):
    """Return what the docstrings of a class and its bases say of each option."""
    meanings = {}
    for base in reversed(cls.__mro__):
        for param in parse(base.__doc__).params:
            meaning = " ".join((param.description or "").split())
            # one text may be about several: ``low, high : float``
            for name in re.split(r",\s*", param.arg_name):
                meanings[name] = meaning
    return meanings


def _print(facts, cls):
    output = console()
    aliases = ", ".join(facts["aliases"])
    if aliases:
        aliases = f"  (also {aliases})"
    output.print(labelled(facts["name"], aliases, "bold cyan"))
    summary = facts["summary"] or "No summary: its class has no docstring."
    output.print(f"{_plain(summary)}\n")
    applies = _APPLIES[cls.applies]
    if facts["hooks"] == ["constrain"]:
        applies = "to an optimizer's updates, through result.constrain(updates)"
    lines = {
        "Targets": _TARGETS[cls.targets],
        "Applies": applies,
        "Hooks": ", ".join(facts["hooks"]),
        "Package": f"{facts['package']} {facts['version']}",
        "Class": facts["class"],
        "File": facts["file"],
    }
    for label, value in lines.items():
        output.print(labelled(f"{label:<9}", value, "dim"))
    _print_block(output, "Options", _options_table(facts, cls))
    _print_block(output, "Formula", _plain(facts["formula"]))
    _print_block(output, "References", _plain("\n".join(facts["references"])))


def _print_block(output, title, content):
    if content:
        output.print(f"\n{title}", style="bold")
        output.print(Padding.indent(content, 2), soft_wrap=False)


def _options_table(facts, cls):
    rows = []
    for name, property in facts["options"]["properties"].items():
        option = options_of(cls)[name]
        default = safe_repr(option.default)
        if option.default is REQUIRED:
            default = "must be given"
        meaning = _plain(property.get("description", ""))
        rows.append((name, option.type_name, default, option.range, meaning))
    columns = ("Name", "Type", "Default", "Range", "Meaning")
    return table(columns, rows, wraps=["Type", "Meaning"])


def _plain(text):
    return text.replace("``", "`")
