"""regplug: regularizers as plugins, for models that are symbolic graphs of Theano or PyTensor."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regplug.composition import compose, read
    from regplug.errors import (
        BadComposition,
        BadModel,
        BadOption,
        NameConflict,
        NoMatch,
        PluginLoadError,
        RegplugError,
        RegplugWarning,
        RegularizerError,
        UnknownRegularizer,
    )
    from regplug.hookspecs import hookimpl
    from regplug.manager import Manager, Result
    from regplug.model import Layer, Model, as_model
    from regplug.registry import available, block, load
    from regplug.regularizer import Regularizer

_HOMES = {
    "composition": ("compose", "read"),
    "errors": (
        "BadComposition", "BadModel", "BadOption", "NameConflict", "NoMatch", "PluginLoadError", "RegplugError",
        "RegplugWarning", "RegularizerError", "UnknownRegularizer",
    ),
    "hookspecs": ("hookimpl",),
    "manager": ("Manager", "Result"),
    "model": ("Layer", "Model", "as_model"),
    "registry": ("available", "block", "load"),
    "regularizer": ("Regularizer",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "BadComposition", "BadModel", "BadOption", "Layer", "Manager", "Model", "NameConflict", "NoMatch",
    "PluginLoadError", "RegplugError", "RegplugWarning", "Regularizer", "RegularizerError", "Result",
    "UnknownRegularizer", "as_model", "available", "block", "compose", "hookimpl", "load", "read",
]


def __getattr__(name: str) -> Any:
    # names are imported when they are used: a plugin that needs Regularizer alone pays for nothing else
    if name not in _HOME:
        return importlib.import_module(f"regplug.{name}") if name in ("engine", "noise") else _missing(name)
    return getattr(importlib.import_module(f"regplug.{_HOME[name]}"), name)


def _missing(name: str) -> Any:
    raise AttributeError(f"module 'regplug' has no attribute {name!r}")
