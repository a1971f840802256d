"""Anything that a user hands over -> a `Model`; what adapters for libraries use."""

from regplug.models.adapters import as_model, require, warn_of_unused
from regplug.models.model import Layer, Model
from regplug.models.naming import group_by_prefix, unique_name

__all__ = [
    "Layer",
    "Model",
    "as_model",
    "group_by_prefix",
    "require",
    "unique_name",
    "warn_of_unused",
]
