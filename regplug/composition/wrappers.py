"""Wrapper plugins: pluggy wrappers around the hooks of every regularizer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import pluggy

from regplug.authoring.regularizer import HOOKS
from regplug.composition.bound import HookManager
from regplug.errors import CompositionError, faults_as
from regplug.text import safe_repr

__all__ = ["check_wrappers"]


def check_wrappers(plugins: Any) -> tuple:
    """Return the wrapper plugins as a tuple.

    Raises
    ------
    CompositionError
        One is no pluggy wrapper, wraps no hook, asks for an argument that the hook has
        not, or is listed twice.
    """
    if isinstance(plugins, str) or not isinstance(plugins, Iterable):
        what = f"{plugins!r} is no list of wrapper plugins"
        raise CompositionError(f"plugins: {what}: write [...].")
    plugins = tuple(plugins)
    for number, plugin in enumerate(plugins):
        if any(plugin is other for other in plugins[:number]):
            raise CompositionError(f"plugins: {safe_repr(plugin)} is listed twice.")
        with faults_as(partial(_cannot_be_inspected, plugin)):
            fault = _fault(plugin)
        if fault:
            raise CompositionError(f"plugins: {safe_repr(plugin)} {fault}.")
    return plugins


def _cannot_be_inspected(plugin, what):
    return CompositionError(
        f"plugins: {safe_repr(plugin)} cannot be inspected: {what}."
    )


def _fault(plugin):
    """Return why a plugin is no wrapper; None where it is one."""
    if isinstance(plugin, type):
        return "is refused: it is a class; hand over an instance of it"
    wrapped = set()
    for name in dir(plugin):
        marks = getattr(getattr(plugin, name, None), "regplug_impl", None)
        if not isinstance(marks, dict):
            continue
        if not (marks["wrapper"] or marks["hookwrapper"]):
            remedy = (
                "mark it @hookimpl(wrapper=True), or list it among the regularizers"
            )
            return f"implements {name!r} as no wrapper: {remedy}"
        wrapped.add(name)
    if wrapped.isdisjoint(HOOKS):
        return f"wraps none of the hooks: {', '.join(HOOKS)}"
    try:
        HookManager(plugin)
    except (pluggy.PluginValidationError, ValueError) as error:
        return f"is refused: {error}"
    return None
