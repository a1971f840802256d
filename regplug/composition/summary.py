"""What a manager and a result hold, as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from regplug.authoring.regularizer import HOOKS
from regplug.authoring.schedules import Schedule
from regplug.composition.bound import BoundRegularizer
from regplug.discovery.source import kind_of
from regplug.readable import Section
from regplug.text import safe_str

__all__ = ["regularizers_section", "updates_section"]


def regularizers_section(
    members: Iterable[BoundRegularizer],
    weights: Mapping[str, float],
    more: Mapping[str, Mapping[str, str]],
) -> Section:
    """Return a row for each regularizer.

    Parameters
    ----------
    members : list of BoundRegularizer
    weights : mapping of str to float
        The live ones, by label.
    more : mapping of str to mapping of str to str
        By title, other columns: what they say, by label.
    """
    rows = []
    for member in members:
        rows.append(
            [
                member.label,
                safe_str(member.regularizer),
                _weight(member, weights),
                _kind(member),
                *(texts.get(member.label, "") for texts in more.values()),
            ]
        )
    columns = ["Label", "Line", "Weight", "What it does", *more]
    return Section("Regularizers", columns, rows, ["Line", "What it does", "Matches"])


def _weight(member, weights):
    if member.label not in weights:
        return ""
    weight = f"{weights[member.label]:g}"
    # so as not to be taken for a number that stays
    return f"{weight}, scheduled" if isinstance(member.weight, Schedule) else weight


def _kind(member):
    hooks = [hook for hook in HOOKS if hook != "log" and member.hooks[hook] is not None]
    cls = type(member.regularizer)
    return kind_of(hooks, cls.targets, cls.applies)


def updates_section(title: str, updates: Mapping[Any, Any]) -> Section:
    """Return a row for each shared variable that updates replace."""
    rows = [(safe_str(shared), safe_str(shared.type)) for shared in updates]
    return Section(title, ["Shared variable", "Type"], rows)
