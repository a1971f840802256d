"""Regularizer: the one class that a plugin author reads."""

from __future__ import annotations

import inspect
import logging
import sys
from types import CodeType
from typing import Annotated, Any, ClassVar, Literal, cast

from annotated_types import Interval

from regplug.authoring import hookspecs
from regplug.authoring.hookspecs import hookimpl
from regplug.authoring.options import REQUIRED, check_options, options_of
from regplug.errors import OptionError

__all__ = [
    "HOOKS",
    "Regularizer",
    "hook_arguments",
    "non_default_options",
    "reads_weight",
    "uses_weight",
]

if sys.version_info >= (3, 11):
    from typing import dataclass_transform
else:
    from typing_extensions import dataclass_transform

HOOKS: dict[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if hasattr(function, "regplug_spec")
}
_logger = logging.getLogger("regplug")


@dataclass_transform(kw_only_default=True)
class Regularizer:
    """A regularizer: some of the hooks, and options as annotated class attributes.

    Instances compare by identity and hold no state, so that one may serve several models.

    Parameters
    ----------
    pattern : str or list of str
        Which outputs (or parameters) it acts on: globs, ``!`` globs that exclude, roles.
    weight : float
        The strength given at construction; 0 is off. It has no default unless the class sets one.
    name : str, optional
        The label in results, logs, errors and noise; by default the name it was asked for by.
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
        given = {"pattern": pattern, "weight": weight}
        options = {
            key: value for key, value in given.items() if value is not None
        } | options
        cls = type(self)
        own = cls.__init__ is not Regularizer.__init__
        checked = check_options(Regularizer if own else cls, cls.__name__, options)
        for key, value in checked.items():
            setattr(self, key, value)
        for key, option in options_of(cls).items():
            if (
                option.default is REQUIRED
                and key not in checked
                and key != "weight"
                and not own
            ):
                raise OptionError(
                    f"{cls.__name__}: option {key!r} must be given ({option.type_name})."
                )

    def __repr__(self) -> str:
        given = ", ".join(
            f"{key}={value!r}" for key, value in non_default_options(self).items()
        )
        return f"{type(self).__name__}({given})"

    @hookimpl
    def log(self, matched):
        """Log the class, its options and how much it matches."""
        _logger.info(
            "%r on %d %s: %s", self, len(matched), self.targets, ", ".join(matched)
        )


def non_default_options(regularizer: Regularizer) -> dict[str, Any]:
    """Return the options whose values are not the class's own defaults."""
    options = options_of(type(regularizer)).values()
    values = {
        option.name: getattr(regularizer, option.name, REQUIRED) for option in options
    }
    return {
        o.name: values[o.name]
        for o in options
        if values[o.name] is not REQUIRED and values[o.name] != o.default
    }


def hook_arguments(owner: object, hook: str) -> tuple[str, ...] | None:
    """Return the arguments that a hookimpl asks for; None where there is no such hookimpl."""
    function = getattr(owner, hook, None)
    if not hasattr(function, "regplug_impl"):
        return None
    return tuple(
        name
        for name in inspect.signature(cast(Any, function)).parameters
        if name != "self"
    )


def uses_weight(cls: type[Regularizer]) -> bool:
    """Tell whether the class has a loss, or takes ``weight`` in a hook."""
    return any(
        hook == "loss" or "weight" in arguments
        for hook in HOOKS
        if (arguments := hook_arguments(cls, hook)) is not None
    )


def reads_weight(cls: type[Regularizer]) -> bool:
    """Tell whether a method of the class reads ``self.weight``, as the ancestor's regularizers do."""
    own = [base for base in cls.__mro__ if base not in Regularizer.__mro__]
    codes = [
        code
        for base in own
        for value in vars(base).values()
        if (code := getattr(value, "__code__", None))
    ]
    while codes:
        code = codes.pop()
        if "weight" in code.co_names:
            return True
        codes += [
            each for each in code.co_consts if isinstance(each, CodeType)
        ]  # a comprehension, up to Python 3.11
    return False
