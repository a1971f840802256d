"""What a copied or pickled manager takes along of its composition."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType
from typing import Any, NamedTuple

from regplug.composition import lock
from regplug.composition.bound import BoundRegularizer
from regplug.discovery import registry
from regplug.errors import RegplugWarning, UnknownRegularizerError

__all__ = ["pack", "unpack"]


class Packaged(NamedTuple):
    """A regularizer of a package; its class is looked up where it is rebuilt."""

    package: str
    version: str
    name: str
    attributes: dict[str, Any]


def pack(members: list[BoundRegularizer]) -> tuple:
    """Return regularizers and wrapper plugins, as `pickle` takes them."""
    packed = [(_as_picklable(member), member.name, member.label) for member in members]
    # each member has the same ones
    plugins = members[0].plugins if members else ()
    wrappers = []
    for plugin in plugins:
        # a module is not pickled; by its name it is found again
        wrappers.append(plugin.__name__ if isinstance(plugin, ModuleType) else plugin)
    return packed, wrappers


def unpack(packed: tuple) -> list[BoundRegularizer]:
    """Return the members of what `pack` returned.

    Raises
    ------
    UnknownRegularizerError, NameConflictError, PluginLoadError
        A package is missing here, blocked or broken.
    """
    sources, wrappers = packed
    plugins = []
    for wrapper in wrappers:
        if isinstance(wrapper, str):
            wrapper = importlib.import_module(wrapper)
        plugins.append(wrapper)
    members = []
    with registry.one_look():
        for source, name, label in sources:
            regularizer, entry = source, None
            if isinstance(source, Packaged):
                regularizer, entry = _load(source)
            bound = BoundRegularizer(regularizer, name, label, entry, tuple(plugins))
            members.append(bound)
    return members


def _as_picklable(member):
    entry = member.entry
    if entry is None:
        return member.regularizer
    attributes = dict(vars(member.regularizer))
    return Packaged(entry.package, entry.version, entry.name, attributes)


def _load(source):
    locked = f"{source.package}=={source.version}"
    what = f"the manager that was copied has {source.name!r} of {locked}"
    remedy = lock.pip_command(locked) or "install that package"
    try:
        entry = registry.get_entry(f"{source.package}/{source.name}")
    except UnknownRegularizerError as error:
        text = f"{what}, which is not here: {remedy}."
        raise UnknownRegularizerError(text) from error
    if entry.version != source.version:
        text = f"{what}, and {entry.version} is installed here: {remedy}."
        warnings.warn(text, RegplugWarning, stacklevel=2)
    cls = registry.load(entry)
    # not by its constructor: the attributes are those of a checked one
    regularizer = cls.__new__(cls)
    vars(regularizer).update(source.attributes)
    return regularizer, entry
