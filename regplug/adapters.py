"""Adapters: how the models of a library are seen. One entry point of the group ``regplug.models`` each.

The entry point's name is the top-level module of the model's type, its value a class with a static method
``see(model)`` that returns a `regplug.Model`; `as_model` calls it. Updates of the model's own (the next
states of generators, running statistics) are that Model's ``updates`` where the library hands them out; where
the library's way to compile finds them in any graph, ``finds_updates`` is True. How the result is put back to
work is the class's own affair. The library is an extra of the adapter's package, named like the entry point::

    [project.optional-dependencies]
    pymc = ["pymc>=6"]

    [project.entry-points."regplug.models"]
    pymc = "regplug_pymc:PyMC"
"""

from __future__ import annotations

import importlib
import importlib.metadata
import warnings
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from regplug.errors import BadModel, NameConflict, PluginLoadError, RegplugError, RegplugWarning, listing
from regplug.metadata import points
from regplug.registry import Entry
from regplug.rewiring import toposort

GROUP = "regplug.models"


def available() -> list[Entry]:
    """Return the adapters that the installed packages offer, sorted by name; imports none."""
    importlib.invalidate_caches()  # sees what was installed a moment ago
    entries = [Entry(name, (), value, distribution) for distribution, name, value in points(GROUP)]
    return sorted(entries, key=lambda entry: (entry.name, entry.package))


def missing(entry: Entry) -> list[str]:
    """Return what the adapter needs of its library and this Python has not, with the version found."""
    faults, library = [], canonicalize_name(entry.name)
    for text in entry.distribution.requires or ():
        wanted = Requirement(text)
        is_for = [wanted.marker is None or wanted.marker.evaluate({"extra": extra}) for extra in ("", library)]
        if is_for == [False, True]:
            try:
                version = importlib.metadata.version(wanted.name)
                found = "" if wanted.specifier.contains(version, prereleases=True) else f"{version} is installed"
            except importlib.metadata.PackageNotFoundError:
                found = "it is not installed"
            faults += [f"{wanted.name}{wanted.specifier}, and {found}"] if found else []
    return faults


def require(name: str) -> Entry:
    """Return the adapter of a library that is there, in a version that it can work with.

    Raises
    ------
    PluginLoadError
        The library is not installed or too old, in which case the message has its name, the version wanted and the
        one found; or the adapter is blocked.
    NameConflict
        Two packages offer an adapter.
    """
    return _usable(name, available())


def _usable(name: str, entries: list[Entry]) -> Entry:
    offers = [entry for entry in entries if entry.name == name]
    if not offers:
        raise PluginLoadError(f"no package offers an adapter for {name!r}. Adapters: {listing(map(str, entries))}.")
    if len(offers) > 1:
        who = " and ".join(f"{entry.package} {entry.version} ({entry.value})" for entry in offers)
        raise NameConflict(f"an adapter for {name!r} is offered by {who}. Uninstall one.")
    entry = offers[0]
    if entry.refusal:
        raise PluginLoadError(f"{entry} is refused: {entry.refusal}.")
    if faults := missing(entry):
        extra = f"{entry.package}[{canonicalize_name(name)}]"
        raise PluginLoadError(f"{entry} needs {'; '.join(faults)}. Write: pip install '{extra}'.")
    return entry


def see(model: Any) -> Any:
    """Return the `regplug.Model` that an adapter makes of a model, by the module of its type or of a base of that.

    Returns
    -------
    Model or None
        None where there is no adapter.

    Raises
    ------
    BadModel
        The adapter fails.
    PluginLoadError, NameConflict
        See `require`.
    """
    entries = available()
    modules = [cls.__module__.partition(".")[0] for cls in type(model).__mro__]
    name = next((module for module in modules if any(entry.name == module for entry in entries)), None)
    if name is None:
        return None
    entry = _usable(name, entries)
    adapter = entry.load()
    if not callable(getattr(adapter, "see", None)):
        raise PluginLoadError(f"{entry} is refused: {entry.value} has no method `see`.")
    from regplug.model import Model

    who = f"{adapter.__module__}.{adapter.__qualname__}"
    try:
        seen = adapter.see(model)
    except RegplugError:
        raise
    except Exception as error:
        raise BadModel(f"{who} cannot see {model!r}: {type(error).__name__}: {error}") from error
    if not isinstance(seen, Model):
        advice = "have it return regplug.as_model(...)"
        raise BadModel(f"{who} sees {seen!r} in {model!r}, and not a regplug.Model: {advice}.")
    return seen


def warn_of_unused(model: Any, result: Any, loss: Any) -> None:
    """Warn of each matched variable that a loss does not depend on.

    Parameters
    ----------
    model : Model
    result : Result
    loss : scalar variable
        What is minimized: the data's loss and the penalty.
    """
    used = {variable for node in toposort([loss]) for variable in (*node.inputs, *node.outputs)}
    for label, names in result.matches.items():
        for name in names:
            if (result.outputs[name] if name in result.outputs else model.params[name]) not in used:
                text = f"{label}: the loss does not depend on {name!r}, which its pattern matches."
                warnings.warn(text, RegplugWarning, stacklevel=3)
