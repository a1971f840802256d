"""Options: annotated class attributes, the checks they imply, their JSON schema."""

# Own code, as libraries did less for more (pydantic 2.14, cattrs 26.2). pydantic takes
# 56 ms to import and 8 ms an annotation, `regplug list` 110 in all; strict it refuses
# NumPy's integers, and TOML's lists for tuples, and takes True for Literal[1]. cattrs
# checks no bounds, and makes 1 of True and 3 of "3".

from __future__ import annotations

import contextlib
import inspect
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from regplug.authoring.option_words import in_our_words
from regplug.authoring.schedules import Schedule, finite
from regplug.authoring.short_form import format_short
from regplug.errors import OptionError, did_you_mean
from regplug.text import short_repr, snake_case

__all__ = ["REQUIRED", "Option", "check_options", "is_live", "options_of"]

REQUIRED: Any = ...

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_SCHEMA = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
_UNIONS = (typing.Union, types.UnionType)
_NUMBERS: dict[Any, Any] = {float: Real, int: Integral}
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
        bounds = {}
        for marker in getattr(self.annotation, "__metadata__", ()):
            group = marker if isinstance(marker, Iterable) else (marker,)
            for part in group:
                for key in _BOUNDS:
                    if getattr(part, key, None) is not None:
                        bounds[key] = getattr(part, key)
        return bounds

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
        """The range as a user reads it: ``>= 0, < 1``; empty where there is none."""
        bounds = self.bounds.items()
        return ", ".join(f"{_BOUNDS[key]} {limit:g}" for key, limit in bounds)

    def check(self, value: Any) -> Any:
        """Return `value` in the option's type.

        Raises
        ------
        ValueError
            It has another type, is not finite, or is out of range. The message begins
            with the value.
        """
        value = _convert(self.type, value)
        if value is None:
            return None
        for key, limit in self.bounds.items():
            if not getattr(operator, key)(value, limit):
                raise ValueError(f"{short_repr(value)} is out of range: {self.range}")
        return value

    def schema(self) -> dict[str, Any]:
        """Return the option's JSON schema."""
        schema = _schema(self.type)
        for key, limit in self.bounds.items():
            schema[_SCHEMA[key]] = limit
        if self.default is not REQUIRED:
            schema["default"] = self.default
        return schema


def options_of(cls: Any) -> dict[str, Option]:
    """Return the options of a regularizer class, by name, base options first.

    They are its annotated public attributes; one without a value, or with ``...``, must
    be given. Where the class writes its own ``__init__`` (as the ancestor's subclasses
    do), they are the keywords of that.
    """
    if "_regplug_options" not in vars(cls):
        # Kept, as evaluating annotations takes a millisecond a class; and kept on the
        # class, because cloudpickle takes it along to a process that lacks what the
        # annotations of a class of __main__ name.
        cls._regplug_options = _options_of(cls)
    return vars(cls)["_regplug_options"]


def _options_of(cls):
    declared = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if not name.startswith("_") and get_origin(hint) is not ClassVar:
            declared[name] = Option(name, hint, getattr(cls, name, REQUIRED))
    # "none": the class has no weight
    if getattr(cls, "weight", REQUIRED) is None:
        del declared["weight"]
    _, *parameters = inspect.signature(cls.__init__).parameters.values()
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return declared
    return {each.name: _of_parameter(each, declared) for each in parameters}


def _of_parameter(parameter, declared):
    name, default = parameter.name, parameter.default
    if default is parameter.empty:
        default = REQUIRED
    if name in declared:
        return replace(declared[name], default=default)
    if default is None or default is REQUIRED:
        return Option(name, Any, default)
    return Option(name, type(default), default)


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
            what = f"unknown option {short_repr(name)}.{did_you_mean(name, options)}"
            if name == "weight":
                what = "it has no weight."
            ours = in_our_words(name, value, options)
            if ours is not None:
                what = f"here it is {ours[0]}: write {_line(cls, label, given)}."
            raise OptionError(
                f"{label}({name}={short_repr(value)}): {what} "
                f"Options: {', '.join(options)}."
            )
        convert: Callable[[Any], Any] = options[name].check
        if name == "weight" and isinstance(value, Mapping):
            convert = partial(Schedule, check=convert)
        try:
            checked[name] = convert(value)
        except ValueError as error:
            text = f"{label}({name}={short_repr(value)}): {error}."
            if name == "weight" and is_live(value):
                text += _HOW_TO_CHANGE.format(label=snake_case(label))
            raise OptionError(text) from error
    return checked


def is_live(value: object) -> bool:
    """Tell whether it is a symbolic variable or a function: no number, and of any."""
    return callable(value) or (hasattr(value, "owner") and hasattr(value, "type"))


_HOW_TO_CHANGE = (
    " A weight is a number that changes without a recompile: give a number, and assign "
    "manager.weights[{label!r}] = another between steps; or give a schedule of the "
    "step, {{'schedule': 'linear', 'start': 0, 'stop': 0.5, 'steps': 1000}}."
)


def _line(cls, label, given):
    """Return what to write where options are given in other libraries' words."""
    options = options_of(cls)
    ours = {}
    for name, value in given.items():
        if name not in options:
            name, value = in_our_words(name, value, options) or (name, value)
        ours[name] = value
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        if label != cls.__name__:
            return repr(format_short(label, ours))
    values = (f"{name}={short_repr(value)}" for name, value in ours.items())
    return f"{label}({', '.join(values)})"


def _bare(annotation):
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[0]
    return annotation


def _type_name(kind):
    kind = _bare(kind)
    # the arguments of a Callable
    if isinstance(kind, list):
        return f"[{_type_names(kind)}]"
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(map(repr, parts))
    if origin in _UNIONS:
        return _type_names(parts, " | ")
    if origin is not None:
        return f"{origin.__name__}[{_type_names(parts)}]"
    special: dict[Any, str] = {Any: "any", ...: "...", type(None): "None"}
    if kind in special:
        return special[kind]
    return getattr(kind, "__name__", str(kind))


def _type_names(kinds, mark=", "):
    return mark.join(map(_type_name, kinds))


def _convert(kind, value):
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in _UNIONS:
        return _convert_union(kind, parts, value)
    if origin is Literal:
        return _convert_choice(kind, parts, value)
    if origin in (list, tuple):
        return _convert_sequence(kind, parts, value)
    if kind in (float, int):
        return _convert_number(kind, value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise _wrong_type(kind, value)


def _wrong_type(kind, value):
    return ValueError(f"{short_repr(value)} is not of type {_type_name(kind)}")


def _convert_union(kind, parts, value):
    """Return the value in the first part that takes it."""
    if value is None and type(None) in parts:
        return None
    kinds = [part for part in parts if part is not type(None)]
    # the error of the one that is left says more
    if len(kinds) == 1:
        return Option("", kinds[0]).check(value)
    for part in kinds:
        with contextlib.suppress(ValueError):
            return Option("", part).check(value)
    raise _wrong_type(kind, value)


def _convert_choice(kind, choices, value):
    # True == 1 == 1.0
    if (type(value), value) not in [(type(choice), choice) for choice in choices]:
        raise ValueError(f"{short_repr(value)} is not one of {_type_name(kind)}")
    return value


def _convert_sequence(kind, parts, value):
    # texts and bytes are sequences, of texts and of integers
    is_text = isinstance(value, (str, bytes, bytearray, memoryview))
    if is_text or not isinstance(value, Sequence):
        raise _wrong_type(kind, value)
    wanted = list(parts)
    if get_origin(kind) is list or parts[-1] is ...:
        wanted = [parts[0]] * len(value)
    if len(value) != len(wanted):
        what = f"has {len(value)} entries, not {len(wanted)}"
        raise ValueError(f"{short_repr(value)} {what}")
    entries = zip(wanted, value, strict=True)
    return get_origin(kind)(Option("", part).check(entry) for part, entry in entries)


def _convert_number(kind, value):
    if isinstance(value, bool) or not isinstance(value, _NUMBERS[kind]):
        raise _wrong_type(kind, value)
    if kind is float:
        return finite(value)
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{short_repr(value)} is no integer within 64 bits")
    return number


def _schema(kind):
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in _UNIONS:
        return {"anyOf": [Option("", part).schema() for part in parts]}
    if origin in (list, tuple):
        return {"type": "array", "items": Option("", parts[0]).schema()}
    if kind in _JSON:
        return {"type": _JSON[kind]}
    return {}
