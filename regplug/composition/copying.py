"""What a copied or pickled manager takes along of its composition."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from regplug.composition.bound import BoundRegularizer
from regplug.discovery import registry
from regplug.discovery.registry import Entry
from regplug.errors import RegplugWarning, UnknownRegularizerError

if TYPE_CHECKING:
    from regplug.authoring.regularizer import Regularizer


class Packaged(NamedTuple):
    """A regularizer whose class a package offers, without that class: it is looked up where it is rebuilt."""

    package: str
    version: str
    name: str
    attributes: dict[str, Any]


def pack(members: list[BoundRegularizer]) -> tuple:
    """Return the regularizers and wrapper plugins of a composition, as `pickle` takes them."""
    packed = [(_source(member), member.name, member.label) for member in members]
    plugins = members[0].plugins if members else ()
    # a module is not pickled; by its name it is found again
    wrappers = [
        each.__name__ if isinstance(each, ModuleType) else each for each in plugins
    ]
    return packed, wrappers


def unpack(packed: tuple) -> list[BoundRegularizer]:
    """Return the members of what `pack` returned.

    Raises
    ------
    UnknownRegularizerError, NameConflictError, PluginLoadError
        A package is missing here, blocked or broken.
    """
    sources, wrappers = packed
    plugins = tuple(
        importlib.import_module(each) if isinstance(each, str) else each
        for each in wrappers
    )
    members = []
    for source, name, label in sources:
        if isinstance(source, Packaged):
            regularizer, entry = _load(source)
        else:
            regularizer, entry = source, None
        members.append(BoundRegularizer(regularizer, name, label, entry, plugins))
    return members


def _source(member: BoundRegularizer) -> Any:
    entry = member.entry
    if entry is None:
        return member.regularizer
    attributes = dict(vars(member.regularizer))
    return Packaged(entry.package, entry.version, entry.name, attributes)


def _load(source: Packaged) -> tuple[Regularizer, Entry]:
    locked = f"{source.package}=={source.version}"
    remedy = f"python -m pip install {locked}"
    try:
        entry = registry.get_entry(f"{source.package}/{source.name}")
    except UnknownRegularizerError as error:
        raise UnknownRegularizerError(
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
