"""Models of PyMC: penalties as priors, each a named `pymc.Potential`."""

from __future__ import annotations

import warnings
from typing import Any

from regplug import (
    CompositionError,
    Layer,
    Manager,
    ModelError,
    RegplugWarning,
    as_model,
    compose,
    schedules,
)
from regplug.engine import engine_of
from regplug.graph import positions, toposort
from regplug.models import require

__all__ = ["PyMC", "regularize"]


class PyMC:
    """See a `pymc.Model`.

    Notes
    -----
    Its free variables are parameters, they and its deterministics are outputs. The
    names are the model's own. Data of float dtype are outputs, too, of the role
    ``@input``; the roles ``@hidden`` and ``@output`` are about deterministics.

    Examples
    --------
    >>> import regplug
    >>> options = {"pattern": "beta", "weight": 0.5, "reduction": "sum", "biases": True}
    >>> manager = regplug.compose([("weight_l2", options)])
    """

    @staticmethod
    def see(model: Any) -> Any:
        """Return the `regplug.Model` of a `pymc.Model`."""
        computed = []
        for variable in (*model.data_vars, *model.deterministics):
            is_output = "float" in variable.dtype or variable in model.deterministics
            if is_output and engine_of(variable).is_dense(variable):
                computed.append(variable)
        outputs = {variable.name: variable for variable in (*computed, *model.free_RVs)}
        if not outputs:
            raise ModelError(
                f"{model!r} has no variables: regularize it when they are there."
            )
        params = [each for each in model.free_RVs if "float" in each.dtype]
        layers = [Layer(v.name, (), (v.name,), v.name) for v in computed]
        return as_model(outputs, params, layers)


def regularize(model: Any, regularizers: Any) -> Manager:
    """Add each penalty to a model's log-probability.

    It is a `pymc.Potential` of the regularizer's label.

    Parameters
    ----------
    model : pymc.Model or None
        With the variables that the patterns match; inside its context or after. None is
        that of the context.
    regularizers : list, mapping or Manager
        What `regplug.compose` takes, or what it returned.

    Returns
    -------
    Manager
        Its ``weights`` are live: assigning one changes compiled log-probabilities.

    Raises
    ------
    CompositionError
        A regularizer modifies the graph, constrains updates, draws noise, keeps state,
        follows a schedule, or has the name of a variable or of a dimension, as where
        the model is regularized already. The model was not changed.
    ModelError
        It is no `pymc.Model`, or None outside a context.

    Notes
    -----
    The model's log-probability becomes ``logp - sum_i weight_i * penalty_i``: the prior
    density of each is ``exp(-weight * penalty)``, not normalized, on the variables as
    the model has them (not on their transforms), times whatever prior they have
    already.

    Examples
    --------
    >>> def ridge(pm, X, y):
    ...     with pm.Model() as model:
    ...         beta = pm.Flat("beta", shape=X.shape[1])
    ...         pm.Normal("y", X @ beta, 1, observed=y)
    ...     options = {"weight": 0.5, "reduction": "sum", "biases": True}
    ...     regularize(model, [("weight_l2", options)])
    ...     return model
    """
    require("pymc")
    import pymc

    if model is None:
        model = pymc.Model.get_context(error_if_none=False)
    if not isinstance(model, pymc.Model):
        raise ModelError(
            f"{model!r} is no pymc.Model to regularize: hand one over, or call this "
            "inside `with model:`."
        )
    manager = regularizers
    if not isinstance(manager, Manager):
        manager = compose(regularizers)
    for member in manager.members:
        fault = _fault(member) or _fault_of_name(model, member.label)
        if fault:
            raise CompositionError(
                f"{member.label} ({member.provenance}) is refused for a PyMC model: "
                f"it {fault}."
            )
    result = manager.apply(model)
    _warn_of_constants(model, result)
    for label, term in result.terms.items():
        pymc.Potential(label, -term, model=model).tag.regplug = True
    return manager


def _fault(member):
    """Return why a regularizer has no place in a log-probability, if it has none."""
    if member.hooks["modify_graph"] is not None:
        return "modifies the graph, and a log-probability takes penalties only"
    if member.hooks["constrain"] is not None:
        what = "constrains an optimizer's updates"
        return f"{what}, and a log-probability takes penalties only"
    for argument, what in (("noise", "draws noise"), ("state", "keeps state")):
        if argument in member.hooks["loss"]:
            return f"{what}, and a log-probability is a function of its variables"
    if isinstance(getattr(member.regularizer, "weight", None), schedules.Schedule):
        return "follows a schedule, and a log-probability has no steps"
    return None


def _fault_of_name(model, label):
    """Return why a model cannot take a potential of this name, if it cannot."""
    try:
        # with the prefix of a model that has a name
        name = model.name_for(label)
    except (KeyError, ValueError) as error:
        return f"has a name that PyMC refuses ({error.args[0]}): give it another name="
    taken = model.root.named_vars.get(name)
    if getattr(getattr(taken, "tag", None), "regplug", False):
        return (
            f"is there already, as {name!r}: the model is regularized. "
            "Assign manager.weights, or give it a name="
        )
    if taken is not None:
        return f"has the name of a variable of the model, {name!r}: give it a name="
    if name in model.coords:
        return f"has the name of a dimension of the model, {name!r}: give it a name="
    return None


def _warn_of_constants(model, result):
    free = set(model.free_RVs)
    for label, names in result.matches.items():
        for name in names:
            variable = result.outputs[name]
            used = {variable, *positions(toposort([variable]))}
            if used.isdisjoint(free):
                text = (
                    f"{label}: {name!r}, which its pattern matches, "
                    "depends on no free variable."
                )
                warnings.warn(text, RegplugWarning, stacklevel=3)
