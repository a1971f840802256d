"""Regularizer: the one class that a plugin author reads."""

from __future__ import annotations

import inspect
import logging
import sys
import weakref
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from annotated_types import Interval

from regplug.authoring import hookspecs
from regplug.authoring.hookspecs import hookimpl
from regplug.authoring.options import REQUIRED, check_options, options_of
from regplug.authoring.short_form import format_short
from regplug.errors import OptionError
from regplug.text import printable, safe_repr, snake_case

__all__ = [
    "HOOKS",
    "Regularizer",
    "hook_arguments",
    "non_default_options",
    "uses_weight",
]

if sys.version_info >= (3, 11):
    from typing import dataclass_transform
else:
    from typing_extensions import dataclass_transform

__all__ = [
    "HOOKS",
    "Regularizer",
    "hook_arguments",
    "non_default_options",
    "check_instance",
    "uses_weight",
    "weight_readers",
]

HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if hasattr(function, "regplug_spec")
}
_logger = logging.getLogger("regplug")

# Instances whose `weight` was read: how it is seen that a class of theanets, whose
# hooks take no weight, uses it. It is not kept in the instances, as their attributes
# are copied and compared.
weight_readers: weakref.WeakSet[Regularizer] = weakref.WeakSet()


def _field(*, default: Any, kw_only: bool) -> Any:
    """Tell type checkers of a keyword of the constructor."""


@dataclass_transform(kw_only_default=True, field_specifiers=(_field,))
class _Declaring:
    """Tell type checkers that annotated attributes of subclasses are keywords."""


class Regularizer(_Declaring):
    """A regularizer: some of the hooks, and options as annotated class attributes.

    Instances compare by identity and hold no state, so that one may serve several
    models.

    Parameters
    ----------
    pattern : str or list of str
        Which outputs (or parameters) it acts on: globs, ``!`` globs that exclude,
        roles.
    weight : float
        The strength given at construction; 0 is off. It has no default unless the class
        sets one, and ``weight = None`` in a class says that it has none.
    name : str, optional
        The label in results, logs, errors and noise; by default the name it was asked
        for by.
    optional : bool
        Whether the pattern may match nothing.
    **options
        The options that the class declares.

    Raises
    ------
    OptionError
        An option is unknown, of another type or out of range.

    Examples
    --------
    >>> class Lasso(Regularizer):
    ...     '''Sum of the absolute values of the weights.'''
    ...     targets = "params"
    ...     @hookimpl
    ...     def loss(self, matched):
    ...         return sum(abs(w).sum() for w in matched.values())
    >>> Lasso(weight=0.1)
    Lasso(weight=0.1)
    """

    targets: ClassVar[Literal["outputs", "params"]] = "outputs"
    applies: ClassVar[Literal["training", "always"]] = "training"

    if TYPE_CHECKING:
        # any, as a class may say ..., or None; both may be given by position
        pattern: Any = _field(default="*", kw_only=False)
        weight: Any = _field(default=None, kw_only=False)
    else:
        pattern: str | list[str] = "*"
        weight: Annotated[float, Interval(ge=0)]
    name: str | None = None
    optional: bool = False

    def __init__(
        self,
        pattern: str | list[str] | None = None,
        weight: float | None = None,
        **options: Any,
    ):
        if pattern is not None:
            options["pattern"] = pattern
        if weight is not None:
            options["weight"] = weight
        cls = type(self)
        is_inherited = cls.__init__ is Regularizer.__init__
        # a constructor of its own names the class's options, and may hand over others
        declaring = cls if is_inherited else Regularizer
        for key, value in check_options(declaring, cls.__name__, options).items():
            setattr(self, key, value)
        for key, option in options_of(declaring).items():
            is_missing = option.default is REQUIRED and key not in options
            if is_missing and key != "weight":
                raise OptionError(
                    f"{cls.__name__}: option {key!r} must be given "
                    f"({option.type_name})."
                )

    def __getattribute__(self, name: str) -> Any:
        if name == "weight":
            weight_readers.add(self)
        return super().__getattribute__(name)

    def __repr__(self) -> str:
        options = non_default_options(self).items()
        given = ", ".join(f"{key}={safe_repr(value)}" for key, value in options)
        return f"{type(self).__name__}({given})"

    def __str__(self) -> str:
        """Return the line that composes it; its `repr` where TOML cannot write it."""
        own_name = snake_case(type(self).__name__)
        name = vars(type(self)).get("_regplug_name", own_name)
        try:
            return format_short(name, non_default_options(self))
        except (TypeError, ValueError, RecursionError):
            return repr(self)

    def selects(self, name: str, variable: Any) -> bool:
        """Tell whether the regularizer acts on an entry that its pattern matches.

        Parameters
        ----------
        name : str
        variable : variable
            Of the model, before anything was changed.
        """
        return True

    @hookimpl
    def log(self, matched):
        """Log the class, its options and how much it matches."""
        what, names = printable(safe_repr(self)), printable(", ".join(matched))
        _logger.info("%s on %d %s: %s", what, len(matched), self.targets, names)


def non_default_options(regularizer: Regularizer) -> dict[str, Any]:
    """Return the options whose values are not the class's own defaults."""
    found = {}
    for name, option in options_of(type(regularizer)).items():
        value = getattr(regularizer, name, REQUIRED)
        if value is not REQUIRED and not _is_same(value, option.default):
            found[name] = value
    return found


def _is_same(value, default):
    try:
        return value is default or bool(value == default)
    except KeyboardInterrupt:
        raise
    except BaseException:
        # arrays compare by entry, and an author's own type as it likes
        return False


def hook_arguments(owner: object, hook: str) -> tuple[str, ...] | None:
    """Return the arguments that a hookimpl asks for; None where there is none."""
    function = getattr(owner, hook, None)
    if not hasattr(function, "regplug_impl"):
        return None
    parameters = inspect.signature(cast(Any, function)).parameters
    return tuple(name for name in parameters if name != "self")


def uses_weight(cls: type[Regularizer]) -> bool:
    """Tell whether the class has a loss, or takes ``weight`` in a hook."""
    if hook_arguments(cls, "loss") is not None:
        return True
    return any("weight" in (hook_arguments(cls, hook) or ()) for hook in HOOKS)


def check_instance(regularizer: Regularizer, name: str) -> None:
    """Refuse a regularizer without the weight that it needs, or of a name with a slash.

    Parameters
    ----------
    regularizer : Regularizer
    name : str
        The one that it is known by where the user gave none.
    """
    weight = getattr(regularizer, "weight", None)
    if weight is None and uses_weight(type(regularizer)):
        how = f"write ({name!r}, {{'weight': ...}}); 0 is off"
        raise OptionError(
            f"{name}: no weight given, and it has none of its own: {how}."
        )
    if "/" in (regularizer.name or ""):
        why = "which parts label and parameter in manager.state()"
        raise OptionError(f"{regularizer.name}: a name has no '/', {why}.")
