"""Models of pytensor-ml: how regplug sees them, and how they train with the result."""

from __future__ import annotations

import itertools
from typing import Any

from regplug import Layer, ModelError, as_model
from regplug.engine import engine_of
from regplug.graph import positions, toposort
from regplug.models import group_by_prefix, require, unique_name, warn_of_unused

__all__ = ["PytensorML"]


class PytensorML:
    """See and train `pytensor_ml.model.Model`.

    Notes
    -----
    The names are the library's own: ``fc_output`` is ``fc:out``, ``fc_W`` is ``fc.W``,
    and the input ``X`` is ``X:out``. Another named variable, such as an activation,
    belongs to the layer that it is computed from: the ``ReLU`` after ``fc_output`` is
    ``fc:ReLU``, and with it the main output of ``fc``. Where it is computed from
    several layers it is one of its own, ``ReLU:out``. Layers of one name are numbered
    in graph order, ``Linear``, ``Linear#2``, and their parameters with them; a name
    that is taken is passed over. A layer that is applied twice has its parameters in
    the first place. The model's result is there in any case; without a name it is
    ``output:out``. Parameters are what the library trains. Its own Dropout is no
    output: regularizers act before it or after it, never on it.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["dropout=0.5@fc1:ReLU", "weight_l2=1e-4@*.W"])
    """

    @staticmethod
    def see(model: Any) -> Any:
        """Return the `regplug.Model` of a `pytensor_ml.model.Model`."""
        from pytensor_ml.params import step_counter

        nodes = toposort([model.y])
        outputs = _outputs(model.y, nodes)
        params = _params(nodes, outputs)
        seen = as_model(outputs, params, _layers(outputs, params))
        seen.new_step = step_counter
        # generators and running statistics, in the regularized graph
        seen.finds_updates = True
        seen.known_unit_axis = {**_last_axes(outputs), **_last_axes(params)}
        return seen

    @staticmethod
    def compile_train(
        model: Any,
        result: Any,
        rule: Any,
        loss_fn: Any = None,
        compile_kwargs: dict | None = None,
        *,
        loss: Any = None,
        inputs: Any = None,
        extra_outputs: Any = None,
        learning_rate: Any = None,
    ) -> Any:
        """Compile a training step of a regularized model.

        It is that of `pytensor_ml.model.Model.compile_train` otherwise.

        Parameters
        ----------
        model : pytensor_ml.model.Model
        result : regplug.Result
            Of ``manager.apply(model)``.
        rule : Transform or Updates
            An optimizer, such as ``adam(1e-3)``, or what it returned for the loss with
            the penalty.
        loss_fn : Loss, optional
            Takes target and prediction. The penalty is added to it.
        compile_kwargs : dict, optional
            For the compiler; by default the model's own.
        loss : scalar variable, optional
            In place of `loss_fn`: a loss built from ``result.outputs``.
        inputs : list of variable, optional
            With `loss`: the inputs of the step, in order.
        extra_outputs : list of variable, optional
            What the step returns beside the loss, such as
            ``list(result.terms.values())``.
        learning_rate : float, optional
            What proximal constraints of the composition need; see
            `regplug.Result.constrain`.

        Returns
        -------
        function
            ``step(*inputs, target)``, which returns the loss with the penalty.

        Raises
        ------
        ModelError
            The step counters in the graph hold different counts.
        """
        require("pytensor_ml")
        from pytensor_ml import optim

        if (loss_fn is None) == (loss is None):
            raise ModelError(
                "compile_train needs one of loss_fn and loss, a scalar built from "
                "result.outputs."
            )
        if loss_fn is not None:
            loss, inputs = _supervised(model, result, loss_fn)
        loss = loss + result.loss.astype(loss.dtype)
        warn_of_unused(PytensorML.see(model), result, loss)
        if callable(rule):
            rule = rule(loss, model.weights)
        updates = result.constrain(rule, learning_rate)
        _check_counters([loss, *updates.values()])
        return optim.compile_train(
            loss,
            updates,
            parameters=model.weights,
            inputs=inputs,
            extra_outputs=extra_outputs,
            extra_updates=result.updates,
            compile_kwargs=_compile_kwargs(model, compile_kwargs),
        )

    @staticmethod
    def compile_predict(
        model: Any, result: Any, compile_kwargs: dict | None = None
    ) -> Any:
        """Compile the prediction on the clean graph.

        It is without noise, and with the ``always`` changes.

        Parameters
        ----------
        model : pytensor_ml.model.Model
        result : regplug.Result
        compile_kwargs : dict, optional
            For the compiler; by default the model's own.
        """
        require("pytensor_ml")
        from pytensor_ml.pytensorf import collect_graph_inputs, compile_predict

        return compile_predict(
            result.clean[_result_name(model)],
            inputs=collect_graph_inputs(model.y),
            compile_kwargs=_compile_kwargs(model, compile_kwargs),
        )


def _supervised(model, result, loss_fn):
    """Return a loss on the regularized graph, and the inputs of its step."""
    from pytensor_ml.loss import supervised_loss
    from pytensor_ml.pytensorf import collect_graph_inputs

    loss, target = supervised_loss(result.outputs[_result_name(model)], loss_fn)
    return loss, [*collect_graph_inputs(model.y), target]


def _compile_kwargs(model, given):
    if given is None:
        return model._compile_kwargs
    return given


def _outputs(y, nodes):
    """Return the outputs of a model by name, in graph order."""
    naming = _Naming()
    for root in dict.fromkeys(filter(_is_input, positions(nodes))):
        naming.add(root.name or "input", root)
    for node in nodes:
        naming.visit(node)
    if y not in naming.outputs.values():
        naming.add("output", y)
    return naming.outputs


class _Naming:
    """The outputs named so far.

    Attributes
    ----------
    outputs : dict of str to variable
    homes : dict of variable to str or None
        The layer that a variable is computed from; None where there are several.
    layers : set of str
    """

    def __init__(self):
        from pytensor_ml import activations
        from pytensor_ml.layers import DropoutLayer

        self.activations = vars(activations)
        self.dropout = DropoutLayer
        self.outputs: dict[str, Any] = {}
        self.homes: dict[Any, str | None] = {}
        self.layers: set[str] = set()

    def add(self, name, variable):
        """Make an output the main one of a layer of its own."""
        layer = unique_name(name, self.layers)
        self.layers.add(layer)
        self.homes[variable] = layer
        self.outputs[f"{layer}:out"] = variable

    def visit(self, node):
        """Name what a node computes of data."""
        homes = {self.homes[each] for each in node.inputs if each in self.homes}
        if not homes:
            return
        home = None
        if len(homes) == 1:
            (home,) = homes
        for variable in node.outputs:
            self.homes[variable] = home
            is_named = variable.name and _is_float(variable)
            if is_named and not isinstance(node.op, self.dropout):
                self._name(home, variable)

    def _name(self, home, variable):
        key = f"{home}:{variable.name}"
        is_activation = variable.name in self.activations
        if home and is_activation and key not in self.outputs:
            self.outputs[key] = variable
        else:
            self.add(_layer_name(variable), variable)


def _params(nodes, outputs):
    """Return parameters by name, in the order of their first use.

    Each is in the layer of its name whose output is the first that is computed from it.
    """
    layer_of = {}
    for name, variable in outputs.items():
        layer, _, output = name.rpartition(":")
        if output == "out":
            layer_of[variable] = layer
    read = _read_params(nodes, layer_of)
    # a dict in the place of a set, as that has no order
    used = dict.fromkeys(itertools.chain.from_iterable(read.values()))
    names = _own_names(read, layer_of)
    _number(names, used, layer_of)
    return {names[param]: param for param in used}


def _read_params(nodes, layer_of):
    """Return the parameters that each variable reads, with no output in between."""
    from pytensor_ml.params import TrainableParameter

    read: dict[Any, list[Any]] = {}
    for node in nodes:
        # a dict in the place of a set, as that has no order
        near: dict[Any, None] = {}
        for variable in node.inputs:
            if isinstance(variable, TrainableParameter):
                near[variable] = None
            elif variable not in layer_of:
                near.update(dict.fromkeys(read.get(variable, ())))
        for variable in node.outputs:
            read[variable] = list(near)
    return read


def _own_names(read, layer_of):
    """Return the names of those that a layer of their name reads."""
    names: dict[Any, str] = {}
    for variable, params in read.items():
        if variable not in layer_of:
            continue
        own: dict[str, Any] = {}
        for param in params:
            if param.layer_name == _layer_name(variable) and param not in names:
                # of two of one name the last
                own[f"{layer_of[variable]}{_last(param)}"] = param
        for name, param in own.items():
            names[param] = name
    return names


def _number(names, used, layer_of):
    """Name the other parameters, in layers that are numbered where a name is taken."""
    layers, taken = set(layer_of.values()), set(names.values())
    numbered: dict[str, str] = {}
    for param in used:
        layer = param.layer_name
        if param in names:
            continue
        if not layer:
            name = unique_name(param.name or "parameter", taken)
        else:
            if layer not in numbered or f"{numbered[layer]}{_last(param)}" in taken:
                numbered[layer] = unique_name(layer, layers)
                layers.add(numbered[layer])
            name = f"{numbered[layer]}{_last(param)}"
        names[param] = name
        taken.add(name)


def _layer_name(variable):
    return (variable.name or "").removesuffix("_output")


def _last(param):
    return "." + (param.name or "parameter").removeprefix(f"{param.layer_name}_")


def _layers(outputs, params):
    owned = group_by_prefix(params, ".")
    layers = []
    for name, own in group_by_prefix(outputs, ":").items():
        variables = [params[each] for each in owned.get(name, ()) if "." in each]
        layers.append(Layer(name, tuple(variables), tuple(own), own[-1]))
    return layers


def _last_axes(variables):
    """Return the last axis of what has several: everything is channels-last here."""
    return {name: each.ndim - 1 for name, each in variables.items() if each.ndim > 1}


def _is_input(variable):
    """Tell whether a variable is a dense tensor of data."""
    engine = engine_of(variable)
    is_value = isinstance(variable, engine.SharedVariable) or hasattr(variable, "data")
    return variable.owner is None and engine.is_dense(variable) and not is_value


def _is_float(variable):
    return engine_of(variable).is_dense(variable) and "float" in variable.type.dtype


def _result_name(model):
    outputs = _outputs(model.y, toposort([model.y]))
    (name,) = [name for name, variable in outputs.items() if variable is model.y]
    return name


def _check_counters(graph):
    """Refuse step counters that disagree, as after a partly restored checkpoint."""
    from pytensor_ml.pytensorf import collect_step_counters

    counts = {}
    for counter in collect_step_counters(graph):
        counts[counter.name] = int(counter.get_value())
    if "regplug.step" in counts and len(set(counts.values())) > 1:
        which = ", ".join(f"{name} = {count}" for name, count in counts.items())
        raise ModelError(
            f"the step counters of this training step disagree: {which}. Bring all of "
            "them to one count before compiling: restore the whole checkpoint, or "
            "compose a new manager, or manager.restore a state."
        )
