"""regplug: regularizers as plugins, for symbolic models of Theano or PyTensor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "CompositionError",
    "ModelError",
    "CopyError",
    "Description",
    "Layer",
    "Manager",
    "Model",
    "NameConflictError",
    "NoMatchError",
    "OptionError",
    "PluginLoadError",
    "RegplugError",
    "RegplugWarning",
    "Regularizer",
    "RegularizerError",
    "Result",
    "UnknownNameError",
    "UnknownRegularizerError",
    "WiringError",
    "__version__",
    "as_model",
    "available",
    "block",
    "compose",
    "describe",
    "engine",
    "hookimpl",
    "load",
    "noise",
    "read",
    "schedules",
]

from regplug.discovery.registry import available, block, load
from regplug.errors import (
    CompositionError,
    CopyError,
    ModelError,
    NameConflictError,
    NoMatchError,
    OptionError,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    RegularizerError,
    UnknownNameError,
    UnknownRegularizerError,
    WiringError,
    did_you_mean,
)
from regplug.version import __version__

if TYPE_CHECKING:
    from regplug import engine, noise
    from regplug.authoring import schedules
    from regplug.authoring.hookspecs import hookimpl
    from regplug.authoring.regularizer import Regularizer
    from regplug.composition.compose import compose, read
    from regplug.composition.manager import Manager, Result
    from regplug.models.adapters import as_model
    from regplug.models.description import Description, describe
    from regplug.models.model import Layer, Model

# imported when used: a plugin that needs Regularizer alone pays for nothing else
_HOMES = {
    "Description": "models.description",
    "Layer": "models.model",
    "Manager": "composition.manager",
    "Model": "models.model",
    "Regularizer": "authoring.regularizer",
    "Result": "composition.manager",
    "as_model": "models.adapters",
    "compose": "composition.compose",
    "describe": "models.description",
    "engine": "engine",
    "hookimpl": "authoring.hookspecs",
    "noise": "noise",
    "read": "composition.compose",
    "schedules": "authoring.schedules",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        hint = did_you_mean(name, __all__)
        raise AttributeError(f"module 'regplug' has no attribute {name!r}.{hint}")
    module = importlib.import_module(f"regplug.{_HOMES[name]}")
    # three names are modules themselves
    return getattr(module, name, module)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
