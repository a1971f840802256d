"""Options: annotated class attributes, the checks that they imply, and their JSON schema."""

from __future__ import annotations

import contextlib
import inspect
import math
import operator
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from regplug.authoring.schedules import Schedule
from regplug.errors import OptionError, did_you_mean

REQUIRED: Any = ...

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_SCHEMA = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
_UNIONS = (typing.Union, types.UnionType)
_JSON = {
    float: "number",
    int: "integer",
    bool: "boolean",
    str: "string",
    type(None): "null",
}


@dataclass(frozen=True)
class Option:
    """One option of a regularizer class: its name, annotation and default."""

    name: str
    annotation: Any
    default: Any = REQUIRED

    @property
    def bounds(self) -> dict[str, float]:
        """The range, with annotated-types' names: ge, gt, le, lt."""
        markers = getattr(self.annotation, "__metadata__", ())
        parts = [
            part
            for each in markers
            for part in (each if isinstance(each, Iterable) else (each,))
        ]  # of groups
        pairs = [(key, getattr(part, key, None)) for part in parts for key in _BOUNDS]
        return {key: limit for key, limit in pairs if limit is not None}

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
        return ", ".join(
            f"{_BOUNDS[key]} {limit:g}" for key, limit in self.bounds.items()
        )

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
            if not getattr(operator, key)(value, limit):
                raise ValueError(f"{value!r} is out of range: {self.range}")
        return value

    def schema(self) -> dict[str, Any]:
        """Return the option's JSON schema."""
        schema = _schema(self.type)
        schema.update({_SCHEMA[key]: limit for key, limit in self.bounds.items()})
        if self.default is not REQUIRED:
            schema["default"] = self.default
        return schema


def options_of(cls: Any) -> dict[str, Option]:
    """Return the options of a regularizer class, by name, base options first.

    They are its annotated public attributes; one without a value, or with ``...``, must be given. Where the
    class writes its own ``__init__`` (as the ancestor's subclasses do), they are the keywords of that.
    """
    if "_regplug_options" not in vars(cls):
        # Kept, as evaluating annotations takes a millisecond a class; and kept on the class, because
        # cloudpickle takes it along to a process that lacks what the annotations of a class of
        # __main__ name.
        cls._regplug_options = _options_of(cls)
    return vars(cls)["_regplug_options"]


def _options_of(cls):
    declared = {
        name: Option(name, hint, getattr(cls, name, REQUIRED))
        for name, hint in typing.get_type_hints(cls, include_extras=True).items()
        if not name.startswith("_") and get_origin(hint) is not ClassVar
    }
    if getattr(cls, "weight", REQUIRED) is None:
        del declared["weight"]
    init = inspect.signature(cls.__init__).parameters
    if any(p.kind is p.VAR_KEYWORD for p in init.values()):
        return declared
    options = {}
    for name, parameter in list(init.items())[1:]:
        default = (
            REQUIRED if parameter.default is parameter.empty else parameter.default
        )
        guess = Any if default is None or default is REQUIRED else type(default)
        options[name] = Option(
            name, declared[name].annotation if name in declared else guess, default
        )
    return options


def check_options(cls: type, label: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the given options, converted.

    Raises
    ------
    OptionError
        One is unknown, of another type or out of range; the message names `label`.
    """
    options = options_of(cls)
    checked = {}
    for name, value in given.items():
        if name not in options:
            what = f"unknown option {name!r}.{did_you_mean(name, options)}"
            if name == "weight":
                what = "it has no weight."
            raise OptionError(
                f"{label}({name}={value!r}): {what} Options: {', '.join(options)}."
            )
        try:
            check = options[name].check
            is_schedule = name == "weight" and isinstance(value, Mapping)
            checked[name] = Schedule(value, check) if is_schedule else check(value)
        except ValueError as error:
            raise OptionError(f"{label}({name}={value!r}): {error}.") from error
    return checked


def _bare(annotation):
    return (
        get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    )


def _type_name(kind):
    kind = _bare(kind)
    if isinstance(kind, list):  # the arguments of a Callable
        return f"[{', '.join(map(_type_name, kind))}]"
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(map(repr, parts))
    if origin in _UNIONS:
        return " | ".join(map(_type_name, parts))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_type_name, parts))}]"
    special: dict[Any, str] = {Any: "any", ...: "...", type(None): "None"}
    return special[kind] if kind in special else getattr(kind, "__name__", str(kind))


def _convert(kind, value):
    origin, parts = get_origin(kind), get_args(kind)
    wrong = ValueError(f"{value!r} is not of type {_type_name(kind)}")
    if kind is Any:
        return value
    if origin in _UNIONS:
        kinds = [part for part in parts if part is not type(None)]
        if value is None and len(kinds) < len(parts):
            return None
        if len(kinds) == 1:  # its error says more
            return Option("", kinds[0]).check(value)
        for part in kinds:
            with contextlib.suppress(ValueError):
                return Option("", part).check(value)
        raise wrong
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in parts):
            raise ValueError(f"{value!r} is not one of {_type_name(kind)}")
        return value
    if origin in (list, tuple):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise wrong
        is_fixed = origin is tuple and parts[-1] is not ...
        if is_fixed and len(value) != len(parts):
            raise ValueError(f"{value!r} has {len(value)} entries, not {len(parts)}")
        each = parts if is_fixed else parts[:1] * len(value)
        return origin(
            Option("", part).check(entry)
            for part, entry in zip(each, value, strict=True)
        )
    is_number = kind in (float, int)
    wanted = {float: Real, int: Integral}.get(kind, kind)
    if (
        not isinstance(wanted, type)
        or not isinstance(value, wanted)
        or (is_number and isinstance(value, bool))
    ):
        raise wrong
    if not is_number:
        return value
    if wanted is Integral:
        return kind(value)
    with contextlib.suppress(OverflowError):  # of an integer beyond all floats
        if math.isfinite(number := kind(value)):
            return number
    raise ValueError(f"{value!r} is not a finite number")


def _schema(kind):
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in _UNIONS:
        return {"anyOf": [Option("", part).schema() for part in parts]}
    if origin in (list, tuple):
        return {"type": "array", "items": Option("", parts[0]).schema()}
    return {"type": _JSON[kind]} if kind in _JSON else {}
