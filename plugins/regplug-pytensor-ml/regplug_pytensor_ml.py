"""Models of pytensor-ml: how regplug sees them, and how they train with the result."""

from __future__ import annotations

from typing import Any

from regplug import Layer, ModelError, as_model
from regplug.engine import engine_of
from regplug.graph.rewiring import toposort
from regplug.models import adapters
from regplug.models.naming import unique_name


class PytensorML:
    """See and train `pytensor_ml.model.Model`.

    Notes
    -----
    The names are the library's own: ``fc_output`` is ``fc:out``, ``fc_W`` is ``fc.W``, and the input ``X`` is
    ``X:out``. Another named variable, such as an activation, belongs to the layer that it is computed
    from: the ``ReLU`` after ``fc_output`` is ``fc:ReLU``, and with it the main output of ``fc``. Where it is
    computed from several layers it is one of its own, ``ReLU:out``. Layers of one name are numbered in graph
    order, ``Linear``, ``Linear#2``, and their parameters with them; a name that is taken is passed over. A layer
    that is applied twice has its parameters in the first place. The model's result is there in any case; without a
    name it is ``output:out``. Parameters are what the library trains. Its own Dropout is no output: regularizers
    act before it or after it, never on it.

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
        seen.finds_updates = (
            True  # generators and running statistics, in the regularized graph
        )
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
        """Compile a training step of a regularized model, as `pytensor_ml.model.Model.compile_train` does.

        Parameters
        ----------
        model : pytensor_ml.model.Model
        result : regplug.Result
            Of ``manager.apply(model)``.
        rule : Transform or Updates
            An optimizer, such as ``adam(1e-3)``, or what it returned for the loss with the penalty.
        loss_fn : Loss, optional
            Takes target and prediction. The penalty is added to it.
        compile_kwargs : dict, optional
            For the compiler; by default the model's own.
        loss : scalar variable, optional
            In place of `loss_fn`: a loss built from ``result.outputs``.
        inputs : list of variable, optional
            With `loss`: the inputs of the step, in order.
        extra_outputs : list of variable, optional
            What the step returns beside the loss, such as ``list(result.terms.values())``.
        learning_rate : float, optional
            What proximal constraints of the composition need; see `regplug.Result.constrain`.

        Returns
        -------
        function
            ``step(*inputs, target)``, which returns the loss with the penalty.

        Raises
        ------
        ModelError
            The step counters in the graph hold different counts.
        """
        adapters.require("pytensor_ml")
        from pytensor_ml import optim
        from pytensor_ml.loss import supervised_loss
        from pytensor_ml.pytensorf import collect_graph_inputs

        if (loss_fn is None) == (loss is None):
            raise ModelError(
                "compile_train needs one of loss_fn and loss, a scalar built from result.outputs."
            )
        if loss_fn is not None:
            loss, target = supervised_loss(result.outputs[_result_name(model)], loss_fn)
            inputs = [*collect_graph_inputs(model.y), target]
        loss = loss + result.loss.astype(loss.dtype)
        adapters.warn_of_unused(PytensorML.see(model), result, loss)
        updates = result.constrain(
            rule(loss, model.weights) if callable(rule) else rule, learning_rate
        )
        _check_counters([loss, *updates.values()])
        return optim.compile_train(
            loss,
            updates,
            parameters=model.weights,
            inputs=inputs,
            extra_outputs=extra_outputs,
            extra_updates=result.updates,
            compile_kwargs=model._compile_kwargs
            if compile_kwargs is None
            else compile_kwargs,
        )

    @staticmethod
    def compile_predict(
        model: Any, result: Any, compile_kwargs: dict | None = None
    ) -> Any:
        """Compile the prediction on the clean graph: without noise, with the ``always`` changes.

        Parameters
        ----------
        model : pytensor_ml.model.Model
        result : regplug.Result
        compile_kwargs : dict, optional
            For the compiler; by default the model's own.
        """
        adapters.require("pytensor_ml")
        from pytensor_ml.pytensorf import collect_graph_inputs, compile_predict

        return compile_predict(
            result.clean[_result_name(model)],
            inputs=collect_graph_inputs(model.y),
            compile_kwargs=model._compile_kwargs
            if compile_kwargs is None
            else compile_kwargs,
        )


def _outputs(y: Any, nodes: list[Any]) -> dict[str, Any]:
    from pytensor_ml import activations
    from pytensor_ml.layers import DropoutLayer

    outputs: dict[str, Any] = {}
    home: dict[
        Any, str | None
    ] = {}  # the layer that a variable is computed from; None where there are several
    layers: set[str] = set()

    def add(name: str, variable: Any) -> None:
        home[variable] = layer = unique_name(name, layers)
        layers.add(layer)
        outputs[f"{layer}:out"] = variable

    for root in dict.fromkeys(
        variable for node in nodes for variable in node.inputs if _is_input(variable)
    ):
        add(root.name or "input", root)
    for node in nodes:
        homes = {home[variable] for variable in node.inputs if variable in home}
        for variable in node.outputs if homes else ():
            home[variable] = next(iter(homes)) if len(homes) == 1 else None
            if (
                isinstance(node.op, DropoutLayer)
                or not variable.name
                or not _is_float(variable)
            ):
                continue
            key = f"{home[variable]}:{variable.name}"
            if (
                variable.name in vars(activations)
                and home[variable]
                and key not in outputs
            ):
                outputs[key] = variable
            else:
                add(_layer_name(variable), variable)
    if not any(variable is y for variable in outputs.values()):
        add("output", y)
    return outputs


def _params(nodes: list[Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Return parameters by name: in the layer of their name whose output is the first that is computed from them."""
    from pytensor_ml.params import TrainableParameter

    layer_of = {
        variable: name.removesuffix(":out")
        for name, variable in outputs.items()
        if name.endswith(":out")
    }
    names: dict[Any, str] = {}
    used: dict[Any, None] = {}
    waiting: dict[
        Any, dict[Any, None]
    ] = {}  # what a variable is computed from, with no output in between
    for node in nodes:
        near: dict[Any, None] = {}
        for variable in node.inputs:
            near |= (
                {variable: None}
                if isinstance(variable, TrainableParameter)
                else waiting.get(variable, {})
            )
        used |= near
        for variable in node.outputs:
            waiting[variable] = {} if variable in layer_of else near
            own = [
                p
                for p in near
                if variable in layer_of
                and p.layer_name == _layer_name(variable)
                and p not in names
            ]
            nearest = {
                f"{layer_of[variable]}{_last(param)}": param for param in own
            }  # where two have one name
            names |= {param: name for name, param in nearest.items()}
    layers, taken, numbered = set(layer_of.values()), set(names.values()), {}
    for param in (each for each in used if each not in names):
        layer = param.layer_name
        if not layer:
            names[param] = unique_name(param.name or "parameter", taken)
        else:
            if layer not in numbered or f"{numbered[layer]}{_last(param)}" in taken:
                numbered[layer] = unique_name(layer, layers)
                layers.add(numbered[layer])
            names[param] = f"{numbered[layer]}{_last(param)}"
        taken.add(names[param])
    return {names[param]: param for param in used}


def _layer_name(variable: Any) -> str:
    return (variable.name or "").removesuffix("_output")


def _last(param: Any) -> str:
    return "." + (param.name or "parameter").removeprefix(f"{param.layer_name}_")


def _layers(outputs: dict[str, Any], params: dict[str, Any]) -> list[Layer]:
    names: dict[str, list[str]] = {}
    for name in outputs:
        names.setdefault(name.rpartition(":")[0], []).append(name)
    owned: dict[str, list[Any]] = {}
    for name, variable in params.items():
        owned.setdefault(name.rpartition(".")[0], []).append(variable)
    return [
        Layer(name, tuple(owned.get(name, ())), tuple(own), own[-1])
        for name, own in names.items()
    ]


def _is_input(variable: Any) -> bool:
    """Tell whether a variable is a dense tensor that is neither computed, shared nor constant."""
    engine = engine_of(variable)
    is_value = isinstance(variable, engine.SharedVariable) or hasattr(variable, "data")
    return variable.owner is None and engine.is_dense(variable) and not is_value


def _is_float(variable: Any) -> bool:
    return engine_of(variable).is_dense(variable) and "float" in variable.type.dtype


def _result_name(model: Any) -> str:
    return next(
        name
        for name, variable in _outputs(model.y, toposort([model.y])).items()
        if variable is model.y
    )


def _check_counters(graph: list[Any]) -> None:
    """Refuse step counters that disagree, as after a checkpoint restored some of them."""
    from pytensor_ml.pytensorf import collect_step_counters

    counts = {
        counter.name: int(counter.get_value())
        for counter in collect_step_counters(graph)
    }
    if "regplug.step" in counts and len(set(counts.values())) > 1:
        which = ", ".join(f"{name} = {count}" for name, count in counts.items())
        raise ModelError(
            f"the step counters of this training step disagree: {which}. Bring all of them to one count before "
            "compiling: restore the whole checkpoint, or compose a new manager, or manager.restore a state."
        )
