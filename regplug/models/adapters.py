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
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from regplug import engine as engines
from regplug.discovery.metadata import iter_entry_points
from regplug.discovery.registry import Entry
from regplug.errors import (
    ModelError,
    NameConflictError,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    listing,
)
from regplug.graph.rewiring import toposort
from regplug.models.build_model import build_model, named_variables
from regplug.models.model import Model

GROUP = "regplug.models"


def available() -> list[Entry]:
    """Return the adapters that the installed packages offer, sorted by name; imports none."""
    importlib.invalidate_caches()  # sees what was installed a moment ago
    entries = [
        Entry(name, (), value, distribution)
        for distribution, name, value in iter_entry_points(GROUP)
    ]
    return sorted(entries, key=lambda entry: (entry.name, entry.package))


def missing(entry: Entry) -> list[str]:
    """Return what the adapter needs of its library and this Python has not, with the version found."""
    faults, library = [], canonicalize_name(entry.name)
    for text in entry.distribution.requires or ():
        wanted = Requirement(text)
        is_for = [
            wanted.marker is None or wanted.marker.evaluate({"extra": extra})
            for extra in ("", library)
        ]
        if is_for == [False, True]:
            try:
                version = importlib.metadata.version(wanted.name)
                found = (
                    ""
                    if wanted.specifier.contains(version, prereleases=True)
                    else f"{version} is installed"
                )
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
    NameConflictError
        Two packages offer an adapter.
    """
    return _usable(name, available())


def _usable(name: str, entries: list[Entry]) -> Entry:
    offers = [entry for entry in entries if entry.name == name]
    if not offers:
        raise PluginLoadError(
            f"no package offers an adapter for {name!r}. Adapters: {listing(map(str, entries))}."
        )
    if len(offers) > 1:
        who = " and ".join(
            f"{entry.package} {entry.version} ({entry.value})" for entry in offers
        )
        raise NameConflictError(
            f"an adapter for {name!r} is offered by {who}. Uninstall one."
        )
    entry = offers[0]
    if entry.blocked_reason:
        raise PluginLoadError(f"{entry} is refused: {entry.blocked_reason}.")
    if faults := missing(entry):
        extra = f"{entry.package}[{canonicalize_name(name)}]"
        raise PluginLoadError(
            f"{entry} needs {'; '.join(faults)}. Write: pip install '{extra}'."
        )
    return entry


def from_library(model: Any) -> Model | None:
    """Return the `regplug.Model` that an adapter makes of a model, by the module of its type or of a base of that.

    Returns
    -------
    Model or None
        None where there is no adapter.

    Raises
    ------
    ModelError
        The adapter fails.
    PluginLoadError, NameConflictError
        See `require`.
    """
    entries = available()
    modules = [cls.__module__.partition(".")[0] for cls in type(model).__mro__]
    name = next(
        (
            module
            for module in modules
            if any(entry.name == module for entry in entries)
        ),
        None,
    )
    if name is None:
        return None
    entry = _usable(name, entries)
    adapter = entry.load()
    if not callable(getattr(adapter, "see", None)):
        raise PluginLoadError(f"{entry} is refused: {entry.value} has no method `see`.")
    who = f"{adapter.__module__}.{adapter.__qualname__}"
    try:
        seen = adapter.see(model)
    except RegplugError:
        raise
    except Exception as error:
        raise ModelError(
            f"{who} cannot see {model!r}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(seen, Model):
        advice = "have it return regplug.as_model(...)"
        raise ModelError(
            f"{who} sees {seen!r} in {model!r}, and not a regplug.Model: {advice}."
        )
    return seen


def as_model(model: Any, params: Any = None, layers: Any = None) -> Model:
    """Return what the manager sees of a model.

    Parameters
    ----------
    model : mapping of str to variable, object with ``layers`` and ``outputs``, variable or list of them
        The outputs, named ``layer:output``; or the model of a library that an adapter is for; or a plain graph, in
        which every named variable is an output.
    params : mapping of str to variable, or iterable of named variables, optional
        The parameters, named ``layer.param``. By default every float shared variable of one dimension
        or more on which an output depends, under its own name.
    layers : iterable, optional
        Layers of the caller's own, with ``name``, ``params`` and ``output_name``.

    Raises
    ------
    ModelError
        It is none of these, has no outputs, or mixes two engines.
    """
    if isinstance(model, Model):
        return model
    if engines.name_of(model) or (isinstance(model, (list, tuple)) and model):
        model = named_variables([model] if engines.name_of(model) else model)
    elif not isinstance(model, Mapping):
        seen = from_library(model)
        if seen is not None:
            params = seen.params if params is None else params
            layers = seen.layers if layers is None else layers
            return replace(
                build_model(seen.outputs, params, layers),
                new_step=seen.new_step,
                updates=seen.updates,
                finds_updates=seen.finds_updates,
            )
        if not hasattr(model, "outputs") or not hasattr(model, "layers"):
            raise ModelError(
                f"{model!r} ({type(model).__module__}.{type(model).__qualname__}) is no model: hand over a mapping "
                "'layer:output' -> variable, a variable or a list of variables, an object with `layers` and `outputs`, "
                f"or a model that an adapter is for. Adapters: {listing(map(str, available()))}."
            )
        layers = model.layers if layers is None else layers
        model = model.outputs
    return build_model(model, params, layers)


def warn_of_unused(model: Any, result: Any, loss: Any) -> None:
    """Warn of each matched variable that a loss does not depend on.

    Parameters
    ----------
    model : Model
    result : Result
    loss : scalar variable
        What is minimized: the data's loss and the penalty.
    """
    used = {
        variable
        for node in toposort([loss])
        for variable in (*node.inputs, *node.outputs)
    }
    for label, names in result.matches.items():
        for name in names:
            if (
                result.outputs[name] if name in result.outputs else model.params[name]
            ) not in used:
                text = f"{label}: the loss does not depend on {name!r}, which its pattern matches."
                warnings.warn(text, RegplugWarning, stacklevel=3)
