"""Validation: may this class be a regularizer?"""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from regplug.authoring import hookspecs
from regplug.authoring.options import options_of
from regplug.authoring.regularizer import HOOKS, Regularizer, hook_arguments
from regplug.errors import did_you_mean
from regplug.version import __version__

__all__ = ["deprecated_arguments", "unannotated_attributes", "validate_class"]


def deprecated_arguments(cls: type[Regularizer]) -> list[str]:
    """Return what the hookspecs say of each deprecated argument that the class's hooks ask for."""
    found = []
    for hook in HOOKS:
        warnings = getattr(hookspecs, hook).regplug_spec["warn_on_impl_args"] or {}
        arguments = hook_arguments(cls, hook) or ()
        found += [
            f"hook {hook!r}, argument {name!r}: {warnings[name]}"
            for name in arguments
            if name in warnings
        ]
    return found


def unannotated_attributes(cls: type[Regularizer]) -> dict[str, Any]:
    """Return the public data attributes that the class, or a base of its own, has without an annotation."""
    declared = {
        name for base in cls.__mro__ for name in inspect.get_annotations(base)
    } | set(options_of(cls))
    own = [base for base in reversed(cls.__mro__) if base not in Regularizer.__mro__]
    found = {name: value for base in own for name, value in vars(base).items()}
    return {
        name: value
        for name, value in found.items()
        if not (
            name.startswith("_")
            or name in declared
            or callable(value)
            or hasattr(value, "__get__")
        )
    }


def validate_class(cls: object) -> str | None:
    """Return why a class cannot be a regularizer, with the remedy; None where it can."""
    if not (isinstance(cls, type) and issubclass(cls, Regularizer)):
        return f"{cls!r} is not a subclass of regplug.Regularizer"
    if cls.__eq__ is not object.__eq__:
        return "defines __eq__ (a dataclass does): regularizers compare by identity; remove it or use eq=False"
    for key, choices in (
        ("targets", ("outputs", "params")),
        ("applies", ("training", "always")),
    ):
        if getattr(cls, key) not in choices:
            return f"{key} = {getattr(cls, key)!r} is not one of {', '.join(map(repr, choices))}"
    for hook in HOOKS:
        if hasattr(cls, hook) and not hasattr(getattr(cls, hook), "regplug_impl"):
            return f"method {hook!r} is named like a hook but lacks @hookimpl"
    implemented = [
        name for name in dir(cls) if hasattr(getattr(cls, name, None), "regplug_impl")
    ]
    for name in implemented:
        if name not in HOOKS:
            return f"@hookimpl on {name!r}, which is no hook.{did_you_mean(name, HOOKS)} Hooks: {', '.join(HOOKS)}"
        marks = getattr(cls, name).regplug_impl
        if marks["wrapper"] or marks["hookwrapper"]:
            return f"hook {name!r} is a wrapper: wrappers go into compose(..., plugins=[...])"
        for parameter in list(
            inspect.signature(getattr(cls, name)).parameters.values()
        )[1:]:
            if (
                parameter.kind is not parameter.POSITIONAL_OR_KEYWORD
                or parameter.default is not parameter.empty
            ):
                reason = "has a default, a star or is keyword-only, and pluggy would not pass it"
                return f"hook {name!r}: argument {str(parameter)!r} {reason}"
            if parameter.name not in HOOKS[name]:
                return (
                    f"hook {name!r} has no argument {parameter.name!r}; it has: {', '.join(HOOKS[name])}; if a regplug "
                    f"newer than {__version__} has it, `python -m pip install --upgrade regplug` brings it, and the "
                    "package should require that version"
                )
    if not set(implemented) - {"log"}:
        return f"implements none of the hooks: {', '.join(hook for hook in HOOKS if hook != 'log')}"
    try:
        options_of(cls)
    except Exception as error:
        return f"its options cannot be read: {error}"
    for name in unannotated_attributes(cls):
        if near := difflib.get_close_matches(
            name, ("targets", "applies", "pattern", "optional"), n=1, cutoff=0.9
        ):
            return f"attribute {name!r} means nothing to regplug. Did you mean {near[0]!r}?"
    return None
