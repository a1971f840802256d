"""Models of pytensor-ml: how regplug sees them, and how they train with the result."""

from __future__ import annotations

from collections import Counter
from typing import Any

from regplug import BadModel, Layer, adapters, as_model
from regplug.engine import engine_of
from regplug.rewiring import toposort


class PytensorML:
    """See and train `pytensor_ml.model.Model`.

    Notes
    -----
    The names are the library's own: ``fc_output`` is ``fc:out``, ``fc_W`` is ``fc.W``, and the input ``X`` is
    ``X:out``. Another named variable, such as an activation, belongs to the layer that it is computed
    from: the ``ReLU`` after ``fc_output`` is ``fc:ReLU``, and with it the main output of ``fc``. Where it is
    computed from several layers it is one of its own, ``ReLU:out``. Layers of one name are numbered in graph
    order: ``Linear``, ``Linear#2``. The model's result is there in any case; without a name it is
    ``output:out``. Parameters are what the library trains. Its own Dropout is no output: regularizers act
    before it or after it, never on it.

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
        outputs, params = _outputs(model.y, nodes), _params(nodes)
        seen = as_model(outputs, params, _layers(outputs, params))
        seen.new_step = step_counter
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
        BadModel
            The step counters in the graph hold different counts.
        """
        adapters.require("pytensor_ml")
        from pytensor_ml import optim
        from pytensor_ml.loss import supervised_loss
        from pytensor_ml.pytensorf import collect_graph_inputs

        if (loss_fn is None) == (loss is None):
            raise BadModel("compile_train needs one of loss_fn and loss, a scalar built from result.outputs.")
        if loss_fn is not None:
            loss, target = supervised_loss(result.outputs[_result_name(model)], loss_fn)
            inputs = [*collect_graph_inputs(model.y), target]
        loss = loss + result.loss.astype(loss.dtype)
        adapters.warn_of_unused(PytensorML.see(model), result, loss)
        updates = result.constrain(rule(loss, model.weights) if callable(rule) else rule, learning_rate)
        _check_counters([loss, *updates.values()])
        return optim.compile_train(
            loss,
            updates,
            parameters=model.weights,
            inputs=inputs,
            extra_outputs=extra_outputs,
            extra_updates=result.updates,
            compile_kwargs=model._compile_kwargs if compile_kwargs is None else compile_kwargs,
        )

    @staticmethod
    def compile_predict(model: Any, result: Any, compile_kwargs: dict | None = None) -> Any:
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
            compile_kwargs=model._compile_kwargs if compile_kwargs is None else compile_kwargs,
        )


def _outputs(y: Any, nodes: list[Any]) -> dict[str, Any]:
    from pytensor_ml import activations
    from pytensor_ml.layers import DropoutLayer

    outputs: dict[str, Any] = {}
    home: dict[Any, str | None] = {}  # the layer that a variable is computed from; None where there are several
    numbers: Counter[str] = Counter()

    def add(layer: str, variable: Any) -> None:
        home[variable] = _numbered(layer, numbers[layer])
        outputs[f"{home[variable]}:out"] = variable
        numbers[layer] += 1

    for root in dict.fromkeys(variable for node in nodes for variable in node.inputs if _is_input(variable)):
        add(root.name or "input", root)
    for node in nodes:
        homes = {home[variable] for variable in node.inputs if variable in home}
        for variable in node.outputs if homes else ():
            home[variable] = next(iter(homes)) if len(homes) == 1 else None
            if isinstance(node.op, DropoutLayer) or not variable.name or not _is_float(variable):
                continue
            key = f"{home[variable]}:{variable.name}"
            if variable.name in vars(activations) and home[variable] and key not in outputs:
                outputs[key] = variable
            else:
                add(variable.name.removesuffix("_output"), variable)
    if not any(variable is y for variable in outputs.values()):
        add("output", y)
    return outputs


def _params(nodes: list[Any]) -> dict[str, Any]:
    from pytensor_ml.params import TrainableParameter

    params: dict[str, Any] = {}
    numbers: Counter[str] = Counter()
    used = dict.fromkeys(v for node in nodes for v in node.inputs if isinstance(v, TrainableParameter))
    for variable in used:
        name = variable.name or "parameter"
        layer = variable.layer_name or name
        last = "." + name.removeprefix(f"{layer}_") if variable.layer_name else ""
        if f"{_numbered(layer, numbers[layer])}{last}" in params:
            numbers[layer] += 1
        params[f"{_numbered(layer, numbers[layer])}{last}"] = variable
    return params


def _numbered(layer: str, earlier: int) -> str:
    return f"{layer}#{earlier + 1}" if earlier else layer


def _layers(outputs: dict[str, Any], params: dict[str, Any]) -> list[Layer]:
    names: dict[str, list[str]] = {}
    for name in outputs:
        names.setdefault(name.rpartition(":")[0], []).append(name)
    owned: dict[str, list[Any]] = {}
    for name, variable in params.items():
        owned.setdefault(name.rpartition(".")[0], []).append(variable)
    return [Layer(name, tuple(owned.get(name, ())), tuple(own), own[-1]) for name, own in names.items()]


def _is_input(variable: Any) -> bool:
    """Tell whether a variable is a tensor that is neither computed, shared nor constant."""
    engine = engine_of(variable)
    is_value = isinstance(variable, engine.SharedVariable) or hasattr(variable, "data")
    return variable.owner is None and isinstance(variable, engine.TensorVariable) and not is_value


def _is_float(variable: Any) -> bool:
    return "float" in getattr(variable.type, "dtype", "")


def _result_name(model: Any) -> str:
    return next(name for name, variable in _outputs(model.y, toposort([model.y])).items() if variable is model.y)


def _check_counters(graph: list[Any]) -> None:
    """Refuse step counters that disagree, as after a checkpoint restored some of them."""
    from pytensor_ml.pytensorf import collect_step_counters

    counts = {counter.name: int(counter.get_value()) for counter in collect_step_counters(graph)}
    if "regplug.step" in counts and len(set(counts.values())) > 1:
        which = ", ".join(f"{name} = {count}" for name, count in counts.items())
        raise BadModel(
            f"the step counters of this training step disagree: {which}. Bring all of them to one count before "
            "compiling: restore the whole checkpoint, or compose a new manager, or manager.restore a state."
        )
