"""BoundRegularizer: one regularizer in its place in a composition, and how its hooks are called."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Any

import pluggy

from regplug.authoring import hookspecs
from regplug.authoring.options import check_options, options_of
from regplug.authoring.regularizer import HOOKS, Regularizer, hook_arguments
from regplug.authoring.schedules import Schedule
from regplug.composition.saved_state import unwrapped
from regplug.composition.shared import LazySharedVariable
from regplug.discovery.registry import Entry
from regplug.errors import CompositionError, OptionError, RegplugError, RegularizerError
from regplug.models.model import Model
from regplug.models.patterns import Pattern


class _Hooks(pluggy.PluginManager):
    """A plugin manager that looks at the known hook names only: registering is four times faster."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name in HOOKS else None


class BoundRegularizer:
    """One regularizer of a composition.

    Parameters
    ----------
    regularizer : Regularizer
    name, label : str
        What noise is keyed by, and the name that is unique in the composition.
    entry : Entry or None
        The package it was loaded from.
    plugins : iterable of object
        Pluggy wrappers around its hooks.
    """

    def __init__(
        self,
        regularizer: Regularizer,
        name: str,
        label: str,
        entry: Entry | None,
        plugins: tuple = (),
    ):
        self.regularizer, self.name, self.label, self.entry = (
            regularizer,
            name,
            label,
            entry,
        )
        self.plugins = plugins
        if "/" in label:
            raise OptionError(
                f"{label}: a name has no '/', which parts label and parameter in manager.state()."
            )
        try:
            self.pattern = Pattern(regularizer.pattern)
        except OptionError as error:
            raise OptionError(f"{label}: {error}") from error
        self.hooks = {hook: hook_arguments(regularizer, hook) for hook in HOOKS}
        modifies = self.hooks["modify_graph"]
        self.has_static_weight = modifies is not None and "weight" not in modifies
        self.weight: Any = getattr(regularizer, "weight", None)
        if not isinstance(self.weight, Schedule):
            self.weight = (
                None
                if self.weight is None
                else LazySharedVariable(
                    f"regplug.weight:{label}", self.weight, "float64"
                )
            )
        elif self.has_static_weight:
            raise OptionError(
                f"{label} ({self.provenance}): its modify_graph does not take `weight`, so "
                f"the schedule {dict(self.weight)} cannot act: give a number."
            )
        self._hooks = _Hooks("regplug")
        self._hooks.add_hookspecs(hookspecs)
        for plugin in (regularizer, *plugins):
            self._hooks.register(plugin)

    def match(self, model: Model, optional: bool = False) -> dict[str, Any]:
        """Return what its pattern matches; nothing may match where it is `optional`, here or by its option."""
        regularizer = self.regularizer
        return model.match(
            self.pattern,
            regularizer.targets,
            self.label,
            optional or regularizer.optional,
        )

    def check_weight(self, value: Any) -> float:
        """Return a weight that is in range; refuse a schedule, and a change of what is baked into the graph."""
        cls = type(self.regularizer)
        known = (
            cls if "weight" in options_of(cls) else Regularizer
        )  # a constructor of its own may not take it
        weight = check_options(known, self.label, {"weight": unwrapped(value)})[
            "weight"
        ]
        if isinstance(weight, Schedule):
            raise OptionError(
                f"{self.label}: the schedule {dict(weight)} is a part of the graph: compose anew with it."
            )
        if self.has_static_weight and weight != self.weight.get():
            raise OptionError(
                f"{self.label} ({self.provenance}): its modify_graph does not take `weight`, so "
                f"{self.regularizer.weight!r} is baked into the graph: compose anew to change it."
            )
        return weight

    @property
    def provenance(self) -> str:
        """The package and version, or the class where it came from no package."""
        cls = type(self.regularizer)
        return (
            f"{self.entry.package} {self.entry.version}"
            if self.entry
            else f"{cls.__module__}.{cls.__qualname__}"
        )

    def fault(self, hook: str, where: str, what: str) -> RegularizerError:
        """Return the error that names label, package, version, hook and output."""
        place = ", ".join(part for part in (self.provenance, hook, where) if part)
        return RegularizerError(f"{self.label} ({place}): {what}")

    def call(self, hook: str, where: str = "", **arguments: Any) -> Any:
        """Call a hook of the regularizer within the wrappers; name whoever fails.

        Raises
        ------
        RegularizerError
            From whatever the plugin raised.
        """
        try:
            return getattr(self._hooks.hook, hook)(
                regularizer=self.regularizer, **arguments
            )
        except (Exception, SystemExit) as error:
            what = f"raised {type(error).__name__}: {error}"
            wrapper = self._failing_wrapper(hook, error)
            if wrapper is not None:
                what = f"the wrapper plugin {wrapper!r} around it {what}"
            fault = self.fault(hook, where, what)
            raise (
                type(error)(f"{self.label}: {error}")
                if isinstance(error, RegplugError)
                else fault
            ) from error

    def _failing_wrapper(self, hook: str, error: BaseException) -> object | None:
        codes = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
        for implementation in getattr(
            self._hooks.hook, hook
        ).get_hookimpls():  # the regularizer's comes first
            code = getattr(implementation.function, "__code__", None)
            # where a wrapper does not yield once, pluggy raises, and names it by its place
            if code and (
                code in codes
                or f"{code.co_filename}:{code.co_firstlineno} " in str(error)
            ):
                return (
                    None
                    if implementation.plugin is self.regularizer
                    else implementation.plugin
                )
        return None


def check_wrappers(plugins: Any) -> tuple:
    """Return the wrapper plugins as a tuple.

    Raises
    ------
    CompositionError
        One is no pluggy wrapper, wraps no hook, asks for an argument that the hook has not, or is listed twice.
    """
    if isinstance(plugins, str) or not isinstance(plugins, Iterable):
        raise CompositionError(
            f"plugins: {plugins!r} is no list of wrapper plugins: write [...]."
        )
    plugins = tuple(plugins)
    for number, plugin in enumerate(plugins):
        if any(plugin is other for other in plugins[:number]):
            raise CompositionError(f"plugins: {plugin!r} is listed twice.")
        if isinstance(plugin, type):
            raise CompositionError(
                f"plugins: {plugin!r} is refused: it is a class; hand over an instance of it."
            )
        wrapped = [
            name
            for name in dir(plugin)
            if hasattr(getattr(plugin, name, None), "regplug_impl")
        ]
        for name in wrapped:
            marks = getattr(plugin, name).regplug_impl
            if not (marks["wrapper"] or marks["hookwrapper"]):
                raise CompositionError(
                    f"plugins: {plugin!r} implements {name!r} as no wrapper: mark it @hookimpl(wrapper=True), "
                    "or list it among the regularizers."
                )
        if not set(wrapped) & set(HOOKS):
            raise CompositionError(
                f"plugins: {plugin!r} wraps none of the hooks: {', '.join(HOOKS)}."
            )
        try:
            probe = _Hooks("regplug")
            probe.add_hookspecs(hookspecs)
            probe.register(plugin)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise CompositionError(
                f"plugins: {plugin!r} is refused: {error}"
            ) from error
    return plugins
