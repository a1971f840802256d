"""``regplug show``: one regularizer, all that its class says of itself."""

import contextlib
import inspect
import re

import click
from docstring_parser.numpydoc import parse
from rich.padding import Padding

from regplug.authoring.options import REQUIRED, check_options, options_of
from regplug.authoring.regularizer import HOOKS, hook_arguments, uses_weight
from regplug.authoring.short_form import format_short, parse_short
from regplug.cli.lazy_group import json_flag
from regplug.discovery import registry
from regplug.errors import PluginLoadError, RegplugError, faults_as
from regplug.output import print_json
from regplug.tables import console, labelled, paragraphs, table
from regplug.text import describe_error, safe_repr

_TARGETS = {"outputs": "outputs of layers", "params": "parameters"}
# of a share there is half, whatever it does
_WEIGHTS = {"constrain": 1e-3, "modify_graph": 0.1, "params": 1e-4, "outputs": 0.1}
_APPLIES = {"training": "while training", "always": "always, at prediction time too"}


@click.command("show")
@click.argument("name")
@json_flag("--json", "as_json", help="Print JSON; the options as a JSON schema.")
def command(name: str, as_json: bool) -> None:
    """Show one regularizer: what it does, its options, its formula.

    NAME is a name or an alias, or package/name where several packages offer it.
    """
    entry = registry.get_entry(name)
    cls = registry.load(entry)
    try:
        facts = _facts(entry, cls)
        options = _option_rows(facts, cls)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginLoadError(
            f"{entry.provenance} cannot be shown: {describe_error(error)}. "
            f"Report it to the authors of {entry.package}."
        ) from error
    if as_json:
        print_json(facts)
    else:
        _print(facts, options)


def _facts(entry, cls):
    # python -OO takes it from the class
    docstring = _own_docstring(cls) or entry.source_info.docstring
    description, sections, _ = _read_docstring(docstring)
    hooks = [hook for hook in HOOKS if hook_arguments(cls, hook) is not None]
    schema = _schema(cls)
    line = ""
    with contextlib.suppress(RegplugError):
        with faults_as(RegplugError):
            options = _example(cls, entry, hooks, docstring)
            cls(**check_options(cls, entry.name, options))
            line = format_short(entry.qualified_name, options)
        schema["examples"] = [options]
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "summary": " ".join(description.partition("\n\n")[0].split()),
        "package": entry.package,
        "version": entry.version,
        "status": entry.status,
        "class": f"{cls.__module__}:{cls.__qualname__}",
        "file": _file(cls),
        "targets": cls.targets,
        "applies": cls.applies,
        "hooks": [hook for hook in hooks if hook != "log"],
        "formula": sections.get("notes", ""),
        "references": _references(sections.get("references", "")),
        "example": line,
        "options": schema,
    }


def _example(cls, entry, hooks, docstring):
    """Return options to begin with: what must be given, a weight and a pattern."""
    found = {}
    for name, option in options_of(cls).items():
        if option.default is REQUIRED and name not in ("pattern", "weight"):
            found[name] = _value(option)
    if uses_weight(cls) and getattr(cls, "weight", ...) is ...:
        kinds = [*(hook for hook in hooks if hook in _WEIGHTS), cls.targets]
        has_limit = not {"lt", "le"}.isdisjoint(options_of(cls)["weight"].bounds)
        found["weight"] = 0.5 if has_limit else _WEIGHTS[kinds[0]]
    found["pattern"] = getattr(cls, "pattern", ...)
    if found["pattern"] is ...:
        # what the author writes, for no pattern fits all models
        line = re.search(rf"['\"]({entry.name}[(=@].*?)['\"]", docstring)
        written = parse_short(line[1])[1] if line else {}
        found["pattern"] = written.get("pattern", "*")
    return found


def _value(option):
    with contextlib.suppress(ValueError):
        option.check(3)
        return 3
    # imports the kit, which has a value of each type and range
    from regplug.testing.values import example

    return example(option)


def _file(cls):
    try:
        return inspect.getfile(cls)
    # its module may be in no file, or gone
    except (OSError, TypeError):
        return "unknown"


def _own_docstring(cls):
    return cls.__doc__ if isinstance(cls.__doc__, str) else ""


def _read_docstring(text):
    """Return the description, the sections, and what is said of each option.

    A text of a form that the parser does not take is all description.
    """
    meanings: dict[str, str] = {}
    try:
        docstring = parse(text)
        sections = {part.args[0]: part.description or "" for part in docstring.meta}
        for param in docstring.params:
            meaning = " ".join((param.description or "").split())
            # one text may be about several: ``low, high : float``
            for name in re.split(r",\s*", param.arg_name):
                meanings[name] = meaning
        return docstring.description or "", sections, meanings
    except Exception:
        return text, {}, {}


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
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        meanings |= _read_docstring(_own_docstring(base))[-1]
    return meanings


def _print(facts, options):
    output = console()
    aliases = ", ".join(facts["aliases"])
    if aliases:
        aliases = f"  (also {aliases})"
    output.print(labelled(facts["name"], aliases, "bold cyan"))
    summary = facts["summary"] or "No summary: its class has no docstring."
    output.print(labelled("", _plain(summary)))
    output.print()
    for label, value in _lines(facts).items():
        output.print(labelled(f"{label:<9}", value, "dim"))
    columns = ("Name", "Type", "Default", "Range", "Meaning")
    _print_block(output, "Options", table(columns, options, wraps=["Type", "Meaning"]))
    texts = {"Formula": facts["formula"], "References": "\n".join(facts["references"])}
    for title, text in texts.items():
        if text:
            _print_block(output, title, paragraphs(_plain(text)))


def _lines(facts):
    applies = _APPLIES[facts["applies"]]
    if facts["hooks"] == ["constrain"]:
        applies = "to an optimizer's updates, through result.constrain(updates)"
    return {
        "Example": facts["example"] or "none is known",
        "Targets": _TARGETS[facts["targets"]],
        "Applies": applies,
        "Hooks": ", ".join(facts["hooks"]),
        "Package": f"{facts['package']} {facts['version']}",
        "Class": facts["class"],
        "File": facts["file"],
    }


def _print_block(output, title, content):
    output.print(f"\n{title}", style="bold")
    output.print(Padding.indent(content, 2), soft_wrap=False)


def _option_rows(facts, cls):
    rows = []
    for name, property in facts["options"]["properties"].items():
        option = options_of(cls)[name]
        default = safe_repr(option.default)
        if option.default is REQUIRED:
            default = "must be given"
        meaning = _plain(property.get("description", ""))
        rows.append((name, option.type_name, default, option.range, meaning))
    return rows


def _plain(text):
    return text.replace("``", "`")
