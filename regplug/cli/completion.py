"""Completion in shells, with click's own scripts for zsh and fish.

No plugin is imported, and no command for a value: those take as long as what they do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from regplug.cli.lazy_group import COMMANDS
from regplug.discovery.registry import available

__all__ = ["complete_short", "complete_value"]

_BASE = ("name", "optional")
_ROLES = ("@hidden", "@input", "@output")


def complete_value(args: list[str], incomplete: str) -> Iterable[str] | None:
    """Return what a value may go on as; None where click knows.

    Parameters
    ----------
    args : list of str
        The words between the program and `incomplete`.
    """
    last = args[-1] if args else ""
    if incomplete.startswith("-"):
        return None
    if last in ("-r", "--regularizer"):
        return complete_short(incomplete)
    if last == "-p":
        return _starting(
            incomplete, [f"no:{name}" for name in (*_names(), *_packages())]
        )
    command = next(filter(COMMANDS.__contains__, args), "")
    if command == "show" and last in ("show", "--json"):
        return _starting(incomplete, _names())
    if command == "doctor" or (command == "check" and last in ("check", "--json")):
        return _starting(incomplete, [*_names(), *_packages()])
    return None


def _starting(beginning, texts):
    fitting = [text for text in dict.fromkeys(texts) if text.startswith(beginning)]
    # others would end a line, or be obeyed by a terminal
    return list(filter(str.isprintable, fitting))


def _names():
    for entry in available():
        if not entry.blocked:
            yield entry.qualified_name
            yield from () if entry.conflicts else entry.aliases


def _packages():
    return sorted({entry.package for entry in available()})


def complete_short(text: str) -> list[str]:
    """Return what a beginning of the short form may go on as."""
    name = re.split("[(=@]", text, maxsplit=1)[0]
    if name == text:
        return _named(name)
    for entry in available():
        if name in (entry.qualified_name, *entry.names):
            return _continued(text, entry)
    return []


def _named(name):
    found = _starting(name, _names())
    if len(found) == 1 or name in found:
        known = name if name in found else found[0]
        found += [f"{known}{mark}" for mark in "(=@"]
    return found


def _continued(text, entry):
    """Return what may follow the name: options, the weight, the pattern."""
    if text.endswith(")"):
        return [f"{text}=", f"{text}@"]
    if "(" in text and ")" not in text:
        start = max(map(text.rfind, "(, ")) + 1
        options = _starting(text[start:], [*entry.source_info.options, *_BASE])
        return [f"{text[:start]}{option}=" for option in options]
    before, mark, pattern = text.partition("@")
    if not mark:
        return [f"{text}@"] if text[-1].isdigit() else []
    roles = _starting(pattern, _ROLES if "outputs" in entry.kind else ())
    return [f"{before}@{role}" for role in roles]


class _Values(ShellComplete):
    """A shell's completion that imports no command for a value."""

    def get_completions(self, args: list[str], incomplete: str) -> list[Any]:
        """Return the items for what is typed."""
        values = complete_value(args, incomplete)
        if values is None:
            return super().get_completions(args, incomplete)
        return [CompletionItem(value) for value in values]


@add_completion_class
class Zsh(_Values, ZshComplete):
    """Completion for zsh."""


@add_completion_class
class Fish(_Values, FishComplete):
    """Completion for fish."""


@add_completion_class
class Bash(_Values, BashComplete):
    """Completion for bash, which parts words at ``=``, ``@`` and parentheses.

    So it is handed the line, and gets back what follows the last of these.
    """

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_NAME="$1" \
COMP_PART="${COMP_WORDS[COMP_CWORD]}" COMP_BREAKS="$COMP_WORDBREAKS" \
%(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == 'dir' ]]; then
            compopt -o dirnames
        elif [[ $type == 'file' ]]; then
            compopt -o default
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("$value")
            [[ $value == *[=@\\(] ]] && compopt -o nospace
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
    _known = 0

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words of the command, and the one that is not complete."""
        # so that there is a last word after a space, too
        words = split_arg_string(os.environ["COMP_WORDS"] + "x")
        name = os.environ["COMP_NAME"]
        while name in words[1:]:
            words = words[1:]
        *args, incomplete = words[1:]
        incomplete = incomplete[:-1]
        if not os.environ["COMP_PART"].startswith(("'", '"')):
            breaks = os.environ["COMP_BREAKS"]
            self._known = max(incomplete.rfind(mark) for mark in breaks) + 1
            # which bash leaves with what follows
            if incomplete[: self._known].endswith("@"):
                self._known -= 1
        return args, incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return an item for the script."""
        return f"{item.type},{item.value[self._known :]}"
