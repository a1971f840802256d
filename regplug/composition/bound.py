"""BoundRegularizer: a regularizer in its place, and how its hooks are called."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import pluggy

from regplug.authoring import hookspecs
from regplug.authoring.options import check_options, options_of
from regplug.authoring.regularizer import (
    HOOKS,
    Regularizer,
    hook_arguments,
    non_default_options,
    uses_weight,
    weight_readers,
)
from regplug.authoring.schedules import Schedule
from regplug.composition.saved_state import unwrapped
from regplug.composition.shared import LazySharedVariable
from regplug.discovery.entry import Entry
from regplug.errors import (
    NoMatchError,
    OptionError,
    RegplugError,
    RegularizerError,
    faults_as,
    listing,
)
from regplug.models.model import Model
from regplug.models.patterns import Pattern
from regplug.text import describe_error, safe_repr

__all__ = ["BoundRegularizer", "HookManager"]


class HookManager(pluggy.PluginManager):
    """A plugin manager of the known hooks only: registering is four times faster."""

    def __init__(self, *plugins: object):
        super().__init__("regplug")
        self.add_hookspecs(hookspecs)
        for plugin in plugins:
            self.register(plugin)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if name not in HOOKS:
            return None
        return super().parse_hookimpl_opts(plugin, name)


class BoundRegularizer:
    """One regularizer of a composition.

    Parameters
    ----------
    regularizer : Regularizer
    name, label : str
        What noise is keyed by, and the name that is unique in the composition.
    entry : Entry or None
        The package it was loaded from.
    plugins : tuple of object
        Pluggy wrappers around its hooks.

    Attributes
    ----------
    hooks : dict of str to tuple of str, or None
        The arguments that each hook asks for; None of a hook that it has not.
    weight : LazySharedVariable, Schedule or None
    has_static_weight : bool
        Whether its `modify_graph` does not take the weight: a number that it reads from
        itself is a part of the graph.
    """

    def __init__(
        self,
        regularizer: Regularizer,
        name: str,
        label: str,
        entry: Entry | None,
        plugins: tuple = (),
    ):
        self.regularizer, self.entry, self.plugins = regularizer, entry, plugins
        self.name, self.label = name, label
        self.weight = _live_weight(label, getattr(regularizer, "weight", None))
        self._hook_manager = HookManager(regularizer, *plugins)
        try:
            self.pattern = Pattern(regularizer.pattern)
        except OptionError as error:
            raise OptionError(f"{label}: {error}") from error
        self.hooks = {hook: hook_arguments(regularizer, hook) for hook in HOOKS}
        modifies = self.hooks["modify_graph"]
        self.has_static_weight = modifies is not None and "weight" not in modifies
        if self.has_static_weight and isinstance(self.weight, Schedule):
            what = f"the schedule {dict(self.weight)} cannot act: give a number"
            raise OptionError(f"{label} ({self.provenance}): {_NOT_TAKEN}, so {what}.")
        # a default of the class that nothing uses is its author's affair
        is_given = "weight" in non_default_options(regularizer)
        self._is_weight_used = not is_given or uses_weight(type(regularizer))

    def __repr__(self) -> str:
        return f"<{self.label!r}: {safe_repr(self.regularizer)}, {self.provenance}>"

    def match(self, model: Model, optional: bool = False) -> dict[str, Any]:
        """Return what it acts on, by canonical name, in graph order.

        Raises
        ------
        NoMatchError
            That is nothing, and neither `optional` nor its option of that name is set.
        """
        regularizer = self.regularizer
        optional = optional or regularizer.optional
        found = model.match(self.pattern, regularizer.targets, self.label, optional)
        return self.select(found, optional)

    def select(self, found: Mapping[str, Any], optional: bool) -> dict[str, Any]:
        """Return those that the class acts on, of what its pattern matches."""
        selected = {}
        for name, variable in found.items():
            if self._selects(name, variable):
                selected[name] = variable
        # what is named outright must count; what a glob matches beside others need not
        named = [name for name in self.pattern.positive if name in found]
        left_out = [name for name in named if name not in selected]
        if found and not selected:
            left_out = list(found)
        if left_out and not optional:
            kinds = [f"{name} ({found[name].type})" for name in left_out]
            own = options_of(type(self.regularizer)).keys() - options_of(Regularizer)
            raise NoMatchError(
                f"{self.label} ({self.provenance}): pattern {self.pattern.spec!r} "
                f"matches {listing(kinds)}, on which it does not act: leave them out, "
                f"or see its options: {listing(sorted(own))}."
            )
        return selected

    def _selects(self, name, variable):
        def error_of(what):
            return self.fault("selects", name, f"raised {what}")

        with faults_as(error_of):
            return bool(self.regularizer.selects(name, variable))

    def check_weight(self, value: Any) -> float:
        """Return a weight in range; refuse a schedule, and a change of a static one."""
        cls: type = type(self.regularizer)
        if "weight" not in options_of(cls):
            # a constructor of its own need not take it
            cls = Regularizer
        weight = check_options(cls, self.label, {"weight": unwrapped(value)})["weight"]
        if isinstance(weight, Schedule):
            remedy = "is a part of the graph: compose anew with it"
            raise OptionError(f"{self.label}: the schedule {dict(weight)} {remedy}.")
        if self.has_static_weight and weight != self.weight.get():
            baked = f"{self.regularizer.weight!r} is baked into the graph"
            raise OptionError(
                f"{self.label} ({self.provenance}): {_NOT_TAKEN}, so {baked}: compose "
                "anew to change it."
            )
        return weight

    def require_used_weight(self) -> None:
        """Refuse a weight that was given, and that no hook took or read."""
        if not self._is_weight_used:
            why = "as no hook takes `weight` or reads self.weight: leave it out"
            raise OptionError(
                f"{self.label} ({self.provenance}): weight={self.regularizer.weight!r} "
                f"does nothing, {why}."
            )

    @property
    def provenance(self) -> str:
        """The package and version, or the class where it came from no package."""
        if self.entry:
            return f"{self.entry.package} {self.entry.version}"
        cls = type(self.regularizer)
        return f"{cls.__module__}.{cls.__qualname__}"

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
        caller = getattr(self._hook_manager.hook, hook)
        weight_readers.discard(self.regularizer)
        try:
            return caller(regularizer=self.regularizer, **arguments)
        except RegplugError as error:
            fault = self.fault(hook, where, str(error))
            raise type(error)(str(fault)) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            what = f"raised {describe_error(error)}"
            if _is_lack_of_weight(error, self.regularizer):
                why = "it reads self.weight, and no weight was given"
                remedy = "give one, weight=...; 0 is off"
                what = str(self.fault(hook, where, f"{why}: {remedy}."))
                raise OptionError(what) from error
            if self.plugins and not _went_through(self.regularizer, hook, error):
                what = f"{_wrapper_of(caller, error)} around it {what}"
            raise self.fault(hook, where, what) from error
        finally:
            if self.regularizer in weight_readers:
                self._is_weight_used = True


_NOT_TAKEN = "its modify_graph does not take `weight`"


def _live_weight(label, weight):
    if isinstance(weight, Schedule | None):
        return weight
    return LazySharedVariable(f"regplug.weight:{label}", weight, "float64")


def _is_lack_of_weight(error, regularizer):
    is_of_weight = isinstance(error, AttributeError) and error.name == "weight"
    return is_of_weight and error.obj is regularizer


def _went_through(plugin, hook, error):
    """Tell whether an error came from a plugin's own hook."""
    code = getattr(getattr(plugin, hook, None), "__code__", None)
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code is code for frame, _ in frames)


def _wrapper_of(caller, error):
    """Return which wrapper an error came from."""
    for implementation in caller.get_hookimpls():
        plugin = implementation.plugin
        if _went_through(plugin, caller.name, error):
            return f"the wrapper plugin {safe_repr(plugin)}"
    # where one does not yield just once, pluggy raises, and names it by its place
    return "a wrapper plugin"
