"""Copies of a manager: its composition, wrapper plugins, seed, state and row offset."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from regplug.discovery import registry
from regplug.errors import RegplugWarning, UnknownRegularizer
from regplug.composition.manager import Manager
from regplug.composition.bound import Member
from regplug.discovery.registry import Entry

if TYPE_CHECKING:
    from regplug.authoring.regularizer import Regularizer


class Packaged(NamedTuple):
    """A regularizer whose class a package offers, without that class: it is looked up where it is rebuilt."""

    package: str
    version: str
    name: str
    attributes: dict[str, Any]


def parts(manager: Manager) -> tuple:
    """Return the arguments with which `rebuild` makes a copy."""
    members = [(_source(member), member.name, member.label) for member in manager.members]
    plugins = manager.members[0].plugins if members else ()
    # a module is not pickled; by its name it is found again
    wrappers = [each.__name__ if isinstance(each, ModuleType) else each for each in plugins]
    return members, wrappers, manager.state(), manager.row_offset


def rebuild(members: list, wrappers: list, state: dict[str, Any], row_offset: int) -> Manager:
    """Return a manager of what `parts` returned.

    Raises
    ------
    UnknownRegularizer, NameConflict, PluginLoadError
        A package is missing here, blocked or broken.
    """
    plugins = tuple(
        importlib.import_module(each) if isinstance(each, str) else each for each in wrappers
    )
    made = []
    for source, name, label in members:
        regularizer, entry = (
            _load(source) if isinstance(source, Packaged) else (source, None)
        )
        made.append(Member(regularizer, name, label, entry, plugins))
    manager = Manager(made, state["seed"])
    manager._live.assign(state["seed"], state["step"], state["weights"], state["arrays"])
    manager.row_offset = row_offset
    return manager


def _source(member: Member) -> Any:
    entry = member.entry
    if entry is None:
        return member.regularizer
    attributes = dict(vars(member.regularizer))
    return Packaged(entry.package, entry.version, entry.name, attributes)


def _load(source: Packaged) -> tuple[Regularizer, Entry]:
    locked = f"{source.package}=={source.version}"
    remedy = f"python -m pip install {locked}"
    try:
        entry = registry.find(f"{source.package}/{source.name}")
    except UnknownRegularizer as error:
        raise UnknownRegularizer(
            f"the manager that was copied has {source.name!r} of {locked}, which is not here: {remedy}."
        ) from error
    if entry.version != source.version:
        warnings.warn(
            f"the manager that was copied has {source.name!r} of {locked}, and {entry.version} is "
            f"installed here: {remedy}.",
            RegplugWarning,
            stacklevel=2,
        )
    cls = registry.load(entry)
    regularizer = cls.__new__(cls)
    vars(regularizer).update(source.attributes)
    return regularizer, entry
