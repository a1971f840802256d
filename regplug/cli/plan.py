"""``regplug plan``: which regularizer acts on what in the user's own model."""

import warnings
from typing import Any, NamedTuple

import click

from regplug.authoring.schedules import Schedule
from regplug.cli.imports import describe_error, import_object
from regplug.composition.bound import BoundRegularizer
from regplug.composition.compose import compose, read
from regplug.composition.manager import Manager
from regplug.errors import ModelError, RegplugWarning
from regplug.graph.rewiring import toposort
from regplug.models.adapters import as_model
from regplug.models.description import describe
from regplug.models.model import Model
from regplug.models.shapes import shape_texts
from regplug.output import echo_error
from regplug.readable import Section
from regplug.tables import console, counted, labelled, print_sections

_EFFECTS = {
    "modify_graph": "replaces it",
    "loss": "penalizes it",
    "constrain": "constrains it after updates",
}


class Action(NamedTuple):
    """What one regularizer does to one output or parameter.

    Attributes
    ----------
    member : BoundRegularizer
    hook : str
    names : list of str
        All of the variable's names, the canonical one in front.
    variable : variable
        As it stands in the user's graph.
    """

    member: BoundRegularizer
    hook: str
    names: list[str]
    variable: Any


@click.command("plan")
@click.argument("object", metavar="MODULE:OBJECT")
@click.option(
    "-r",
    "--regularizer",
    "forms",
    multiple=True,
    metavar="'NAME(OPTION=VALUE, ...)=WEIGHT@PATTERN'",
    help="A regularizer, of which all but the name may be left out; values are "
    "TOML's. May be repeated: the order is that of the composition.",
)
@click.option(
    "-c", "--config", metavar="FILE", help="A composition in TOML; -r adds to its end."
)
@click.option("--seed", type=int, help="The seed of all noise, 0 by default.")
def command(
    object: str, forms: tuple[str, ...], config: str | None, seed: int | None
) -> None:
    """Show which regularizer touches what in your own model.

    Without -r and -c: what patterns can match in it, with shapes and roles.

    MODULE:OBJECT is a mapping of outputs, an object with `layers` and `outputs`, a
    graph, or a function without arguments that returns one. The current directory is on
    the path. Nothing is compiled.

    \b
    Example: regplug plan mymodel:outputs -r 'dropout=0.5@hid*:out' -r weight_l2=1e-4
    """
    if not forms and config is None:
        _describe(object)
    else:
        _plan(object, forms, config, seed)


def _describe(object):
    model = _find_model(object)
    output = console()
    output.print(_title(object, model))
    output.print()
    description = describe(model)
    print_sections(output, description.sections())
    # hidden ones are what most regularizers are for
    items = sorted(description.outputs, key=lambda item: "hidden" not in item.role)
    name = items[0].name.partition(" = ")[0]
    output.print(f"\nWhat would a regularizer do? Add: -r 'dropout=0.5@{name}'")


def _title(object, model, more=""):
    engine = model.engine.T.__name__.partition(".")[0]
    sizes = f"{counted(model.outputs, 'output')}, {counted(model.params, 'parameter')}"
    return labelled(object, f"  {sizes}, {engine}{more}", "bold cyan")


def _plan(object, forms, config, seed):
    written = compose([]) if config is None else _read(config)
    members = [member.regularizer for member in written.members]
    if seed is None:
        seed = written.seed
    manager = compose([*members, *forms], seed=seed)
    model = _find_model(object)
    actions = find_actions(manager, model)
    output = console()
    output.print(_title(object, model, f"; seed {manager.seed}"))
    output.print()
    _print(actions, manager, model)


def _read(config):
    """Read a composition; each warning becomes one line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RegplugWarning)
        manager = read(config)
    for warning in caught:
        echo_error(" ".join(f"Warning: {warning.message}".split()))
    return manager


def _find_model(reference):
    """Return the model behind ``module:object``; what is no model is called.

    Raises
    ------
    ModelError
        There is no such object, or it is no model, and no function that returns one.
    """
    found = import_object(reference)
    try:
        return as_model(found)
    except ModelError as error:
        if not callable(found):
            raise ModelError(f"{reference}: {error}") from error
    try:
        return as_model(found())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        what = f"calling it without arguments led to {describe_error(error)}"
        raise ModelError(f"{reference} is no model, and {what}.") from error


def find_actions(manager: Manager, model: Model) -> list[Action]:
    """Apply; return what is done in the order in which it is done.

    The replacements come along the graph, then all penalties, then all constraints. A
    parameter that matches, and that its term is not computed from, is not penalized: a
    bias that a penalty of weights leaves out.
    """
    with model.engine.no_traceback():
        result = manager.apply(model)
    replacements, penalties, constraints = [], [], []
    for member in manager.members:
        target = member.regularizer.targets
        ancestors = _ancestors(result.terms.get(member.label))
        for variable, names in model.names[target].items():
            if names[0] not in result.matches[member.label]:
                continue
            if member.hooks["modify_graph"] is not None:
                replacements.append(Action(member, "modify_graph", names, variable))
            # an output is in the term as the replacements left it
            if variable in ancestors or (ancestors and target == "outputs"):
                penalties.append(Action(member, "loss", names, variable))
            if member.hooks["constrain"] is not None:
                constraints.append(Action(member, "constrain", names, variable))
    along_graph = [*model.names["params"], *model.names["outputs"]]
    place = {variable: number for number, variable in enumerate(along_graph)}
    replacements.sort(key=lambda action: place[action.variable])
    return [*replacements, *penalties, *constraints]


def _ancestors(term):
    """Return all that a term is computed from; nothing where there is no term."""
    if term is None:
        return set()
    return {variable for node in toposort([term]) for variable in node.inputs}


def _print(actions, manager, model):
    output = console()
    columns = ("#", "Regularizer", "Weight", "What it does", "Where", "Dtype", "Shape")
    rows = list(_rows(actions, manager, shape_texts(model)))
    print_sections(output, [Section("", columns, rows, ["What it does"])])
    output.print()
    touched = {action.variable for action in actions}
    for kind, variables in (("outputs", model.outputs), ("parameters", model.params)):
        rest = [name for name, each in variables.items() if each not in touched]
        output.print(labelled(f"Untouched {kind}: ", ", ".join(rest) or "none"))
    active = {action.member for action in actions}
    idle = [member.label for member in manager.members if member not in active]
    if idle:
        label = "Regularizers that touch nothing: "
        output.print(labelled(label, ", ".join(idle), "bold yellow"))


def _rows(actions, manager, shapes):
    for number, (member, hook, names, variable) in enumerate(actions, 1):
        # what only constrains has no weight
        weight = ""
        if member.label in manager.weights:
            weight = f"{manager.weights[member.label]:g}"
        if isinstance(member.weight, Schedule):
            weight += " at step 0"
        yield (
            number,
            member.label,
            weight,
            _EFFECTS[hook],
            " = ".join(names),
            variable.dtype,
            shapes[variable],
        )
