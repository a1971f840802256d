"""Options: annotated class attributes, the checks that they imply, and their JSON schema."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

import annotated_types

from regplug.errors import BadOption, nearest
from regplug.schedules import Schedule

REQUIRED: Any = inspect.Parameter.empty

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_SCHEMA = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_JSON = {float: "number", int: "integer", bool: "boolean", str: "string"}


@dataclass(frozen=True)
class Option:
    """One option of a regularizer class: its name, annotation and default."""

    name: str
    annotation: Any
    default: Any = REQUIRED

    @property
    def bounds(self) -> dict[str, float]:
        """The range, with annotated-types' names: ge, gt, le, lt."""
        found: dict[str, float] = {}
        for marker in getattr(self.annotation, "__metadata__", ()):
            parts = marker if isinstance(marker, annotated_types.GroupedMetadata) else [marker]
            for part in parts:
                found.update({key: getattr(part, key) for key in _BOUNDS if hasattr(part, key)})
        return found

    @property
    def type(self) -> Any:
        """The annotation without its markers."""
        return _bare(self.annotation)

    @property
    def type_name(self) -> str:
        """The type as a user reads it."""
        return _type_name(self.type)

    @property
    def range(self) -> str:
        """The range as a user reads it, such as ``>= 0, < 1``; empty where there is none."""
        return ", ".join(f"{_BOUNDS[key]} {limit:g}" for key, limit in self.bounds.items())

    def check(self, value: Any) -> Any:
        """Return `value` in the option's type.

        Raises
        ------
        ValueError
            It has another type, is not finite, or is out of range. The message begins
            with the value.
        """
        value = _convert(self.type, value)
        for key, limit in self.bounds.items() if value is not None else ():
            inside = {"ge": value >= limit, "gt": value > limit, "le": value <= limit, "lt": value < limit}
            if not inside[key]:
                raise ValueError(f"{value!r} is out of range: {self.range}")
        return value

    def schema(self) -> dict[str, Any]:
        """Return the option's JSON schema."""
        schema = _schema(self.type)
        schema.update({_SCHEMA[key]: limit for key, limit in self.bounds.items()})
        if self.default is not REQUIRED:
            schema["default"] = self.default
        return schema


def options_of(cls: type) -> dict[str, Option]:
    """Return the options of a regularizer class, by name, base options first.

    They are its annotated public attributes; one without a value, or with ``...``, must be given. Where the
    class writes its own ``__init__`` (as the ancestor's subclasses do), they are the keywords of that.
    """
    hints = _hints(cls)
    declared = {
        name: Option(name, hint, _default(getattr(cls, name, ...)))
        for owner in reversed(cls.__mro__)
        for name in getattr(owner, "__annotations__", {})
        if not name.startswith("_") and get_origin(hint := hints[name]) is not ClassVar
    }
    init = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    if any(p.kind is p.VAR_KEYWORD for p in init.values()):
        return declared
    options = {}
    for name, parameter in list(init.items())[1:]:
        known = declared.get(name)
        default = parameter.default
        guess = Any if default is None or default is REQUIRED else type(default)
        options[name] = Option(name, known.annotation if known else guess, default)
    return options


@cache  # evaluating annotations takes a millisecond a class
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def check_options(cls: type, label: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the given options, converted.

    Raises
    ------
    BadOption
        One is unknown, of another type or out of range; the message names `label`.
    """
    options = options_of(cls)
    checked = {}
    for name, value in given.items():
        if name not in options:
            near = nearest(name, options)
            hint = f" Did you mean {near!r}?" if near else ""
            raise BadOption(
                f"{label}({name}={value!r}): unknown option {name!r}.{hint} Options: {', '.join(options)}."
            )
        try:
            is_schedule = name == "weight" and isinstance(value, Mapping)
            checked[name] = _scheduled(options[name], value) if is_schedule else options[name].check(value)
        except ValueError as error:
            raise BadOption(f"{label}({name}={value!r}): {error}.") from error
    return checked


def _scheduled(weight: Option, spec: Mapping[str, Any]) -> Schedule:
    schedule = Schedule(spec)
    for value in schedule.extremes:
        weight.check(value)
    return schedule


def _default(value: Any) -> Any:
    return REQUIRED if value is ... else value


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _type_name(kind: Any) -> str:
    if kind is Any:
        return "any"
    if get_origin(kind) is Literal:
        return " | ".join(repr(choice) for choice in get_args(kind))
    if get_origin(kind) in (typing.Union, types.UnionType):
        return " | ".join(_type_name(_bare(part)) for part in get_args(kind))
    if get_origin(kind) is not None:
        inner = ", ".join("..." if part is ... else _type_name(_bare(part)) for part in get_args(kind))
        return f"{get_origin(kind).__name__}[{inner}]"
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))


def _convert(kind: Any, value: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    wrong = ValueError(f"{value!r} is not of type {_type_name(kind)}")
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        reason = wrong
        for part in parts:
            try:
                return Option("", part).check(value)
            except ValueError as error:
                reason = error if part is not type(None) else reason
        raise reason if len(parts) == 2 and type(None) in parts and value is not None else wrong
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in parts):
            raise ValueError(f"{value!r} is not one of {_type_name(kind)}")
        return value
    if origin in (list, tuple):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise wrong
        if origin is tuple and parts[-1] is not ... and len(value) != len(parts):
            raise ValueError(f"{value!r} has {len(value)} entries, not {len(parts)}")
        each = parts if origin is tuple and parts[-1] is not ... else [parts[0]] * len(value)
        return origin(Option("", part).check(entry) for part, entry in zip(each, value, strict=True))
    if kind in (float, int) and isinstance(value, Real if kind is float else Integral):
        if isinstance(value, bool):
            raise wrong
        try:
            number = kind(value)
        except OverflowError:  # an integer beyond all floats
            number = math.inf
        if kind is float and not math.isfinite(number):
            raise ValueError(f"{value!r} is not a finite number")
        return number
    if kind in (float, int) or not isinstance(kind, type) or not isinstance(value, kind):
        raise wrong
    return value


def _schema(kind: Any) -> dict[str, Any]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [Option("", part).schema() for part in parts]}
    if origin in (list, tuple):
        return {"type": "array", "items": Option("", parts[0]).schema()}
    if kind is type(None):
        return {"type": "null"}
    return {"type": _JSON[kind]} if kind in _JSON else {}
