"""Validation: may this class be a regularizer?"""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from regplug.authoring import hookspecs
from regplug.authoring.options import REQUIRED, options_of
from regplug.authoring.regularizer import (
    HOOKS,
    Regularizer,
    hook_arguments,
    uses_weight,
)
from regplug.errors import did_you_mean
from regplug.text import describe_error, safe_repr
from regplug.version import __version__

__all__ = ["deprecated_arguments", "unannotated_attributes", "validate_class"]

_CHOICES = {"targets": ("outputs", "params"), "applies": ("training", "always")}
_ATTRIBUTES = ("targets", "applies", "pattern", "optional")


def deprecated_arguments(cls: type[Regularizer]) -> list[str]:
    """Return what is said of each deprecated argument that its hooks ask for."""
    found = []
    for hook in HOOKS:
        warnings = getattr(hookspecs, hook).regplug_spec["warn_on_impl_args"] or {}
        for name in hook_arguments(cls, hook) or ():
            if name in warnings:
                found.append(f"hook {hook!r}, argument {name!r}: {warnings[name]}")
    return found


def unannotated_attributes(cls: type[Regularizer]) -> dict[str, Any]:
    """Return the class's own public data attributes that have no annotation."""
    declared = {"weight", *options_of(cls)}
    for base in cls.__mro__:
        declared.update(inspect.get_annotations(base))
    found = {}
    for base in reversed(cls.__mro__):
        if base in Regularizer.__mro__:
            continue
        for name, value in vars(base).items():
            is_method = callable(value) or hasattr(value, "__get__")
            if not (name.startswith("_") or name in declared or is_method):
                found[name] = value
    return found


def validate_class(cls: object) -> str | None:
    """Return why a class cannot be a regularizer; None where it can."""
    try:
        return next(_faults(cls), None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # its metaclass, or what it has as an attribute, raises whatever is asked
        return f"cannot be inspected: {describe_error(error)}"


def _faults(cls):
    if not (isinstance(cls, type) and issubclass(cls, Regularizer)):
        yield f"{safe_repr(cls)} is not a subclass of regplug.Regularizer"
        return
    # the classes are kept in a dictionary
    hash(cls)
    yield from _faults_of_declarations(cls)
    yield from _faults_of_hooks(cls)
    yield from _faults_of_options(cls)


def _faults_of_declarations(cls):
    for method in ("__eq__", "__hash__"):
        if getattr(cls, method) is not getattr(object, method):
            why = "regularizers compare by identity; remove it or use eq=False"
            yield f"defines {method} (a dataclass does): {why}"
    for key, choices in _CHOICES.items():
        value = getattr(cls, key)
        if value not in choices:
            valid = ", ".join(map(repr, choices))
            yield f"{key} = {safe_repr(value)} is not one of {valid}"
    if getattr(cls, "weight", ...) is None and uses_weight(cls):
        yield (
            "says weight = None, and has a loss, which is multiplied by the weight, "
            "or a hook that takes it: remove that line"
        )


def _faults_of_hooks(cls):
    known = ", ".join(HOOKS)
    implemented = set()
    for name in dir(cls):
        marks = getattr(getattr(cls, name, None), "regplug_impl", None)
        if not isinstance(marks, dict):
            if name in HOOKS:
                yield f"method {name!r} is named like a hook but lacks @hookimpl"
            continue
        if name not in HOOKS:
            hint = did_you_mean(name, HOOKS)
            yield f"@hookimpl on {name!r}, which is no hook.{hint} Hooks: {known}"
        if marks["wrapper"] or marks["hookwrapper"]:
            where = "wrappers go into compose(..., plugins=[...])"
            yield f"hook {name!r} is a wrapper: {where}"
        yield from _faults_of_arguments(cls, name)
        implemented.add(name)
    if not implemented - {"log"}:
        useful = ", ".join(hook for hook in HOOKS if hook != "log")
        yield f"implements none of the hooks: {useful}"


def _faults_of_arguments(cls, hook):
    parameters = list(inspect.signature(getattr(cls, hook)).parameters.values())
    if not parameters or parameters[0].name != "self":
        how = f"write def {hook}(self, ...), with no other decorator than @hookimpl"
        yield f"hook {hook!r} is no method whose first argument is self: {how}"
    for parameter in parameters[1:]:
        is_plain = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if not is_plain or parameter.default is not parameter.empty:
            why = (
                "has a default, a star or is keyword-only, and pluggy would not pass it"
            )
            yield f"hook {hook!r}: argument {str(parameter)!r} {why}"
        if parameter.name not in HOOKS[hook]:
            what = f"hook {hook!r} has no argument {parameter.name!r}"
            yield (
                f"{what}; it has: {', '.join(HOOKS[hook])}; if a regplug newer than "
                f"{__version__} has it, `python -m pip install --upgrade regplug` "
                "brings it, and the package should require that version"
            )


def _faults_of_options(cls):
    try:
        options = options_of(cls)
    except Exception as error:
        yield f"its options cannot be read: {describe_error(error)}"
        return
    # what every regularizer has is used as it is; others are its author's affair
    for name in options_of(Regularizer).keys() & options.keys():
        default = options[name].default
        if default is not None and default is not REQUIRED:
            try:
                options[name].check(default)
            except ValueError as error:
                yield f"has {name} = {error}"
    for name in unannotated_attributes(cls):
        near = difflib.get_close_matches(name, _ATTRIBUTES, n=1, cutoff=0.9)
        if near:
            hint = f"Did you mean {near[0]!r}?"
            yield f"attribute {name!r} means nothing to regplug. {hint}"
