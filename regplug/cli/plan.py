"""``regplug plan``: which regularizer touches what in the user's own model."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import warnings
from collections.abc import Sized
from typing import Any, NamedTuple

import click

from regplug.authoring.schedules import Schedule
from regplug.composition import compose as composition
from regplug.composition.manager import Manager
from regplug.errors import ModelError, RegplugWarning, nearest
from regplug.graph.rewiring import rewire, toposort
from regplug.models.adapters import as_model
from regplug.models.model import Model

_DOES = {
    "modify_graph": "replaces it",
    "loss": "penalizes it",
    "constrain": "constrains it after updates",
}


class Touch(NamedTuple):
    """One regularizer at one output or parameter: the call, its canonical name, and the variable."""

    label: str
    hook: str
    name: str
    variable: Any


@click.command("plan")
@click.argument("object", metavar="MODULE:OBJECT")
@click.option(
    "-r",
    "--regularizer",
    "forms",
    multiple=True,
    metavar="NAME[=WEIGHT][@PATTERN]",
    help="A regularizer; may be repeated. The order is that of the composition.",
)
@click.option(
    "-c", "--config", metavar="FILE", help="A composition in TOML; -r adds to its end."
)
@click.option("--seed", type=int, help="The seed of all noise, 0 by default.")
def command(
    object: str, forms: tuple[str, ...], config: str | None, seed: int | None
) -> None:
    """Show which regularizer touches what in your own model.

    MODULE:OBJECT is a mapping of outputs, an object with `layers` and `outputs`, or a function
    without arguments that returns one. The current directory is on the path. Nothing is compiled.

    \b
    Example: regplug plan mymodel:outputs -r 'dropout=0.5@hid*:out' -r weight_l2=1e-4
    """
    if not forms and config is None:
        raise click.UsageError(
            "Say which regularizers: -r NAME[=WEIGHT][@PATTERN], or -c FILE."
        )
    manager = _manager(forms, config, seed)
    model = find_model(object)
    _print(object, manager, model, touches(manager, model))


def _manager(forms: tuple[str, ...], config: str | None, seed: int | None) -> Manager:
    if config is None:
        return composition.compose(forms, seed=0 if seed is None else seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RegplugWarning)
        manager = composition.read(config)
    for warning in caught:
        click.echo(f"Warning: {warning.message}", err=True)
    members = [member.regularizer for member in manager.members]
    return composition.compose(
        [*members, *forms], seed=manager.seed if seed is None else seed
    )


def find_model(reference: str) -> Model:
    """Return the model behind ``module:object``; what is no model is called, where it can be.

    Raises
    ------
    ModelError
        The module cannot be imported, has no such object, or the object is no model.
    """
    module_name, _, path = reference.partition(":")
    if not module_name or not path or module_name.endswith(".py"):
        raise ModelError(
            f"{reference!r} is not of the form MODULE:OBJECT, such as mymodel:outputs."
        )
    sys.path.insert(0, os.getcwd())
    found: Any = _import(module_name, reference)
    for part in path.split("."):
        if not hasattr(found, part):
            near = nearest(
                part, [name for name in dir(found) if not name.startswith("_")]
            )
            hint = f" Did you mean {near!r}?" if near else ""
            raise ModelError(
                f"{reference}: {getattr(found, '__name__', found)} has no {part!r}.{hint}"
            )
        found = getattr(found, part)
    try:
        return as_model(found)
    except ModelError as error:
        if not callable(found):
            raise ModelError(f"{reference}: {error}") from error
    return _called(found, reference)


def _import(module: str, reference: str) -> Any:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name == module.partition(".")[0]
        ):
            raise ModelError(
                f"{reference}: no module named {module!r}, in {os.getcwd()} or installed."
            ) from error
        raise ModelError(
            f"{reference}: importing {module} raised {_told(error)}."
        ) from error


def _called(function: Any, reference: str) -> Model:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{reference} is no model, and cannot be called without arguments: {error}."
        ) from error
    try:
        model = function()
    except (Exception, SystemExit) as error:
        raise ModelError(f"{reference}: calling it raised {_told(error)}.") from error
    try:
        return as_model(model)
    except ModelError as error:
        raise ModelError(f"{reference} was called: {error}") from error


def _told(error: BaseException) -> str:
    """Return the error's kind and text, and the last line of the user's own that led to it."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(os.getcwd() + os.sep):
            place = f" ({os.path.relpath(file)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{place}"


def touches(manager: Manager, model: Model) -> list[Touch]:
    """Apply; return the calls in the order in which they are made: replacements along the graph, then the rest.

    A parameter that matches but is no part of the term (a bias that a penalty of weights leaves out) is not touched.
    """
    with model.engine.no_traceback():
        result = manager.apply(model)
    table = {
        variable: names[0]
        for names_of in model.names.values()
        for variable, names in names_of.items()
    }
    found = []
    for target in ("params", "outputs"):
        for variable in model.names[target]:
            found += [
                Touch(m.label, "modify_graph", table[variable], variable)
                for m in manager.members
                if m.regularizer.targets == target
                and table[variable] in result.matches[m.label]
                and m.hooks["modify_graph"] is not None
            ]
    for hook in ("loss", "constrain"):
        for member in manager.members:
            if member.hooks[hook] is None or (
                hook == "loss" and member.label not in result.terms
            ):
                continue
            target = member.regularizer.targets
            variables = [
                getattr(model, target)[name] for name in result.matches[member.label]
            ]
            if hook == "loss" and target == "params":
                used = {
                    variable
                    for node in toposort([result.terms[member.label]])
                    for variable in node.inputs
                }
                variables = [variable for variable in variables if variable in used]
            found += [
                Touch(member.label, hook, table[variable], variable)
                for variable in variables
            ]
    return found


def _print(reference: str, manager: Manager, model: Model, found: list[Touch]) -> None:
    from rich.text import Text

    from regplug.tables import console, table

    output = console()
    engine = model.engine.T.__name__.partition(".")[0]
    output.print(
        Text.assemble(
            (reference, "bold cyan"),
            f"  {_count(model.outputs, 'output')}, {_count(model.params, 'parameter')}, "
            f"{engine}; seed {manager.seed}\n",
        )
    )
    scheduled = {m.label for m in manager.members if isinstance(m.weight, Schedule)}
    weights = {
        label: f"{weight:g}" + " at step 0" * (label in scheduled)
        for label, weight in manager.weights.items()
    }
    known = shapes(model)
    rows = []
    for number, touch in enumerate(found, 1):
        aliases = {**model.names["params"], **model.names["outputs"]}[touch.variable][
            1:
        ]
        name = touch.name + "".join(f" = {alias}" for alias in aliases)
        weight = weights.get(touch.label, "")
        rows.append(
            (
                number,
                touch.label,
                weight,
                _DOES[touch.hook],
                name,
                touch.variable.dtype,
                known[touch.variable],
            )
        )
    columns = ("#", "Regularizer", "Weight", "What it does", "Where", "Dtype", "Shape")
    output.print(table(columns, rows, wraps=["What it does"]))
    touched = {touch.variable for touch in found}
    output.print()
    for target, kind in (("outputs", "outputs"), ("params", "parameters")):
        rest = [
            name
            for name, variable in getattr(model, target).items()
            if variable not in touched
        ]
        output.print(
            Text.assemble((f"Untouched {kind}: ", "bold"), ", ".join(rest) or "none"),
            soft_wrap=True,
        )
    idle = [
        member.label
        for member in manager.members
        if member.label not in {touch.label for touch in found}
    ]
    if idle:
        warning = Text.assemble(
            ("Regularizers that touch nothing: ", "bold yellow"), ", ".join(idle)
        )
        output.print(warning, soft_wrap=True)


def _count(names: Sized, what: str) -> str:
    return f"{len(names)} {what}{'s' * (len(names) != 1)}"


def shapes(model: Model) -> dict[Any, str]:
    """Return the shape of each output and parameter as a user reads it, ``?`` where it is unknown.

    Shared variables have their values' shapes; PyTensor infers from these what lies downstream.
    """
    shared = {
        v: v.get_value(borrow=True).shape
        for node in model.nodes
        for v in node.inputs
        if isinstance(v, model.engine.SharedVariable) and hasattr(v.type, "ndim")
    }
    memo: dict[Any, Any] = {}
    with contextlib.suppress(
        Exception
    ):  # what cannot be rebuilt, or does not fit, costs the shapes from there on
        memo.update(
            {
                v: model.engine.T.specify_shape(v, lengths)
                for v, lengths in shared.items()
            }
        )
        rewire(model.nodes, {}, memo)
    found = {}
    for variable in (*model.params.values(), *model.outputs.values()):
        lengths = shared.get(variable) or model.engine.static_shape(
            memo.get(variable, variable)
        )
        text = ", ".join("?" if length is None else str(length) for length in lengths)
        found[variable] = f"({text},)" if len(lengths) == 1 else f"({text})"
    return found
