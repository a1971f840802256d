"""Adapters: how the models of a library are seen.

Each is one entry point of the group ``regplug.models``: its name is the top-level
module of the model's type, its value a class with a static method ``see(model)`` that
returns a `regplug.Model`; `as_model` calls it. Updates of the model's own (the next
states of generators, running statistics) are that Model's ``updates`` where the library
hands them out; where the library's way to compile finds them in any graph,
``finds_updates`` is True. What it knows of `Model.unit_axis` beyond what the graph
shows is ``known_unit_axis``. How the result is put back to work is the class's own
affair. The library is an extra of the adapter's package, named like the entry point::

    [project.optional-dependencies]
    pymc = ["pymc>=6"]

    [project.entry-points."regplug.models"]
    pymc = "regplug_pymc:PyMC"
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from regplug import engine as engines
from regplug.discovery.entry import Entry
from regplug.discovery.metadata import canonicalize_name, installed_version
from regplug.discovery.registry import find_offers
from regplug.errors import (
    ModelError,
    NameConflictError,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    listing,
)
from regplug.graph.rewiring import positions, toposort
from regplug.models.build_model import build_model, build_plain
from regplug.models.model import Model

__all__ = [
    "as_model",
    "available",
    "from_library",
    "missing",
    "require",
    "warn_of_unused",
]

GROUP = "regplug.models"


def available() -> list[Entry]:
    """Return the adapters that the installed packages offer, sorted by name.

    None is imported.
    """
    entries = find_offers(GROUP)
    return sorted(entries, key=lambda entry: (entry.name, entry.package))


def missing(entry: Entry) -> list[str]:
    """Return what the adapter needs of its library and this Python has not.

    Each has the version wanted and the one found.
    """
    faults = []
    for text in entry.requirements:
        try:
            fault = _unmet(text, canonicalize_name(entry.name))
        except Exception:
            # not well-formed, or its marker compares what cannot be compared
            fault = f"{text!r}, which is no requirement: report it to its authors"
        if fault:
            faults.append(fault)
    return faults


def _unmet(text, library):
    """Return what a requirement of the library's extra wants, where it is not met."""
    # takes 50 ms to import
    from packaging.requirements import Requirement

    wanted = Requirement(text)
    if not _is_of_extra(wanted.marker, library):
        return ""
    version = installed_version(wanted.name)
    if version is None:
        return f"{wanted.name}{wanted.specifier}, and it is not installed"
    if _is_met(wanted.specifier, version):
        return ""
    found = version or "a version that does not say which"
    return f"{wanted.name}{wanted.specifier}, and {found} is installed"


def _is_of_extra(marker, extra):
    """Tell whether what is marked is required with the extra, and not without."""
    if marker is None or marker.evaluate({"extra": ""}):
        return False
    return marker.evaluate({"extra": extra})


def _is_met(specifier, version):
    try:
        return specifier.contains(version, prereleases=True)
    except ValueError:
        # no version; any will do where none is asked for
        return not specifier


def require(name: str) -> Entry:
    """Return the adapter of a library that is installed, in a version that will do.

    Raises
    ------
    PluginLoadError
        The library is not installed or too old, in which case the message has its name,
        the version wanted and the one found; or the adapter is blocked.
    NameConflictError
        Two packages offer an adapter.
    """
    return _usable(name, available())


def _usable(name, entries):
    offered = [entry for entry in entries if entry.name == name]
    if not offered:
        raise PluginLoadError(
            f"no package offers an adapter for {name!r}. "
            f"Adapters: {listing(map(str, entries))}."
        )
    if len(offered) > 1:
        packages = " and ".join(entry.offer for entry in offered)
        raise NameConflictError(
            f"an adapter for {name!r} is offered by {packages}. Uninstall one."
        )
    entry = offered[0]
    if entry.blocked_reason:
        raise PluginLoadError(f"{entry} is refused: {entry.blocked_reason}.")
    faults = "; ".join(missing(entry))
    if faults:
        extra = f"{entry.package}[{canonicalize_name(name)}]"
        raise PluginLoadError(f"{entry} needs {faults}. Write: pip install '{extra}'.")
    return entry


def from_library(model: Any) -> Model | None:
    """Return the `regplug.Model` that an adapter makes of a model.

    The adapter is found by the module of the model's type, or of a base of that.

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
    known = {entry.name for entry in entries}
    for cls in type(model).__mro__:
        library = cls.__module__.partition(".")[0]
        if library in known:
            return _see(_usable(library, entries), model)
    return None


def _see(entry, model):
    adapter = entry.load()
    if not callable(getattr(adapter, "see", None)):
        raise PluginLoadError(f"{entry} is refused: {entry.value} has no method `see`.")
    name = f"{adapter.__module__}.{adapter.__qualname__}"
    try:
        seen = adapter.see(model)
    except RegplugError:
        raise
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
        raise ModelError(f"{name} cannot see {model!r}: {fault}") from error
    if not isinstance(seen, Model):
        raise ModelError(
            f"{name} sees {seen!r} in {model!r}, and not a regplug.Model: "
            "have it return regplug.as_model(...)."
        )
    return seen


def as_model(model: Any, params: Any = None, layers: Any = None) -> Model:
    """Return what the manager sees of a model.

    Parameters
    ----------
    model : mapping of str to variable, object, variable or list of variable
        The outputs, named ``layer:output``; or an object with ``layers`` and
        ``outputs``; or the model of a library that an adapter is for; or a plain graph,
        in which every variable that the user named is an output.
    params : mapping of str to variable, or iterable of named variables, optional
        The parameters, named ``layer.param``. By default every float shared variable of
        one dimension or more on which an output depends, under its own name.
    layers : iterable, optional
        Layers of the caller's own, with ``name``, ``params`` and ``output_name``.

    Raises
    ------
    ModelError
        It is none of these, has no outputs, or mixes two engines.
    """
    if isinstance(model, Model):
        return model
    if engines.name_of(model):
        model = [model]
    if isinstance(model, (list, tuple)) and model:
        return build_plain(model, params, layers)
    if isinstance(model, Mapping):
        return build_model(model, params, layers)
    adapted = from_library(model)
    if adapted is not None:
        return _with_own(adapted, params, layers)
    if not hasattr(model, "outputs") or not hasattr(model, "layers"):
        cls = type(model)
        raise ModelError(
            f"{model!r} ({cls.__module__}.{cls.__qualname__}) is no model: "
            "hand over a mapping 'layer:output' -> variable, a variable or a list of "
            "variables, an object with `layers` and `outputs`, or a model that an "
            f"adapter is for. Adapters: {listing(map(str, available()))}."
        )
    if layers is None:
        layers = model.layers
    return build_model(model.outputs, params, layers)


def _with_own(adapted, params, layers):
    """Return an adapter's model with the caller's own parameters and layers, if any."""
    if params is not None:
        params = build_model(adapted.outputs, params).params
        adapted = replace(adapted, params=params, unnamed=[])
    if layers is not None:
        adapted = replace(adapted, layers=list(layers))
    return adapted


def warn_of_unused(model: Model, result: Any, loss: Any) -> None:
    """Warn of each matched variable that a loss does not depend on.

    Parameters
    ----------
    model : Model
    result : Result
    loss : scalar variable
        What is minimized: the data's loss and the penalty.
    """
    variables = {**model.params, **result.outputs}
    used = positions(toposort([loss]))
    for label, names in result.matches.items():
        for name in names:
            if variables[name] not in used:
                text = (
                    f"{label}: the loss does not depend on {name!r}, "
                    "which its pattern matches."
                )
                warnings.warn(text, RegplugWarning, stacklevel=3)
