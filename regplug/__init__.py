"""regplug: regularizers as plugins, for models that are symbolic graphs of Theano or PyTensor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "BadComposition", "BadModel", "BadOption", "CannotCopy", "Layer", "Manager", "Model", "NameConflict", "NoMatch",
    "PluginLoadError", "RegplugError", "RegplugWarning", "Regularizer", "RegularizerError", "Result",
    "UnknownRegularizer", "as_model", "available", "block", "compose", "hookimpl", "load", "read",
]

from regplug.errors import (
    BadComposition,
    BadModel,
    BadOption,
    CannotCopy,
    NameConflict,
    NoMatch,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    RegularizerError,
    UnknownRegularizer,
    did_you_mean,
)
from regplug.discovery.registry import available, block, load

if TYPE_CHECKING:
    from regplug.composition.compose import compose, read
    from regplug.authoring.hookspecs import hookimpl
    from regplug.composition.manager import Manager, Result
    from regplug.models.model import Layer, Model, as_model
    from regplug.authoring.regularizer import Regularizer

# imported when they are used: a plugin that needs Regularizer alone pays for nothing else
_HOMES = {
    "compose": "composition", "read": "composition", "hookimpl": "hookspecs", "Manager": "manager",
    "Result": "manager", "Layer": "model", "Model": "model", "as_model": "model", "Regularizer": "regularizer",
}
_MODULES = ("engine", "noise", "schedules")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"regplug.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'regplug' has no attribute {name!r}.{did_you_mean(name, __all__)}")
    return getattr(importlib.import_module(f"regplug.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
