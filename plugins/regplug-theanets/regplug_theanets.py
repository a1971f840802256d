"""Models of theanets: its keywords for regularizers, and how regplug sees and trains its networks."""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral
from typing import Any

import regplug
from regplug import CompositionError, Manager, ModelError, OptionError, Regularizer
from regplug.engine import engine_of
from regplug.models import adapters

_PLACES = ("input", "hidden", "output")
_CLASSES = {
    "bernoullidropout": "dropout",
    "gaussiannoise": "noise",
}  # theanets takes its class names, too
_WHERE = {
    "hidden_l1": "hidden",
    "contractive": "hidden",
    "recurrent_norm": "recurrent",
    "recurrent_state": "recurrent",
}
_WITHOUT_RATE = (
    "adadelta",
    "rprop",
)  # algorithms of downhill whose steps do not scale with a learning rate
_WORDS = (
    "contractive",
    "dropout",
    "hidden",
    "l1",
    "l2",
    "noise",
    "recurrent",
    "regularizers",
    "sparsity",
    "weight",
)


class Theanets:
    """See and train `theanets.Network` and its subclasses; names, layers and parameters are the network's own.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose(["dropout=0.5@hid1:out", "weight_l2=1e-4@*.w"])
    """

    @staticmethod
    def see(network: Any) -> Any:
        """Return the `regplug.Model` of a `theanets.Network`."""
        if not network.layers:
            raise ModelError(f"{network!r} has no layers, and so no outputs.")
        outputs, updates = network.build_graph()
        scoped = {  # 'in' is 'in:out' again; sparse data are no output
            name: variable
            for name, variable in outputs.items()
            if ":" in name and engine_of(variable).is_dense(variable)
        }
        params = {param.name: param for param in network.params}
        model = regplug.as_model(scoped, params, network.layers)
        model.updates = dict(updates)
        return model

    @staticmethod
    def loss(network: Any, result: Any) -> Any:
        """Return the network's loss on the regularized graph, with the penalty.

        Parameters
        ----------
        network : theanets.Network
        result : regplug.Result
            Of ``manager.apply(network)``.
        """
        return (
            sum(loss.weight * loss(result.outputs) for loss in network.losses)
            + result.loss
        )

    @staticmethod
    def itertrain(
        network: Any,
        result: Any,
        train: Any,
        valid: Any = None,
        algo: str = "rmsprop",
        batch_size: int = 32,
        **options: Any,
    ) -> Iterator[tuple[Mapping[str, float], Mapping[str, float]]]:
        """Train on the regularized graph, as ``network.itertrain`` does, with each term among the monitors.

        Constraints and proximal steps follow each update. At its end, downhill puts back the parameters that were best
        on `valid`, which may be those from before the first update.

        Parameters
        ----------
        network : theanets.Network
        result : regplug.Result
            Of ``manager.apply(network)``.
        train, valid : list of arrays or downhill.Dataset
            `validation` makes one that is evaluated without noise.
        algo : str
            One of downhill's algorithms.
        batch_size : int
            Of lists of arrays.
        **options
            What downhill takes, such as ``learning_rate``.

        Yields
        ------
        tuple of dict
            The monitors on `train` and on `valid`.

        Raises
        ------
        OptionError
            A proximal step, with an algorithm that has no learning rate.
        """
        adapters.require("theanets")
        import downhill

        if not isinstance(train, downhill.Dataset):
            train = downhill.Dataset(train, batch_size=batch_size)
        if not isinstance(valid, (downhill.Dataset, type(None))):
            valid = downhill.Dataset(valid, batch_size=batch_size)
        loss = Theanets.loss(network, result)
        adapters.warn_of_unused(Theanets.see(network), result, loss)
        optimizer = downhill.build(
            algo,
            loss=loss,
            params=network.params,
            inputs=network.variables,
            updates=list(result.updates.items()),
            monitors=list(result.terms.items()),
        )
        unconstrained = optimizer.get_updates

        def get_updates(**options: Any) -> list[tuple[Any, Any]]:
            updates = list(unconstrained(**options))  # sets the learning rate
            if algo.lower() not in _WITHOUT_RATE:
                return list(result.constrain(updates, optimizer.learning_rate).items())
            try:
                return list(result.constrain(updates).items())
            except OptionError as error:
                raise OptionError(
                    f"{error} {algo!r} has no rate: choose another algorithm, such as 'sgd'."
                ) from error

        optimizer.get_updates = get_updates
        yield from optimizer.iterate(train, valid=valid, **options)

    @staticmethod
    def compile_predict(network: Any, result: Any) -> Any:
        """Compile the prediction on the clean graph: without noise, with the ``always`` changes."""
        adapters.require("theanets")
        import theano

        prediction = result.clean[network.layers[-1].output_name()]
        return theano.function(network.inputs, prediction, updates=result.clean_updates)


def from_kwargs(network: Any, **kwargs: Any) -> list[Any]:
    """Return a list of regularizers for theanets, from the keywords of `theanets.regularizers.from_kwargs`.

    Parameters
    ----------
    network : theanets.Network
        The names of its layers are the patterns of the keywords below.
    input_dropout, hidden_dropout, output_dropout : float, in [0, 1), or dict of options
        The rate at inputs, at hidden layers and at the output.
    input_noise, hidden_noise, output_noise : float or dict of options
        The standard deviation there.
    dropout, noise : dict of pattern to float or dict of options
        The rate, or standard deviation, by pattern.
    weight_l1, weight_l2, hidden_l1, contractive, recurrent_norm, recurrent_state : float or dict of options
        The weight; or the weight, a pattern and other options. weight_decay, weight_sparsity and hidden_sparsity are
        other names. Without a pattern, they are about all weights, hidden layers or recurrent layers. So for any other
        installed regularizer, whose default pattern is its own.
    rng : int or Theano RandomStreams
        The seed of the noise, 13 by default; of streams, the seed that they were made with.
    regularizers : dict or list, optional
        A dict: more of these keywords. A list: managers and theanets' own regularizers, which are passed on,
        and what `regplug.compose` takes.
    **kwargs
        Keywords of training, such as ``learning_rate``, are left alone.

    Returns
    -------
    list
        For ``network.train(..., regularizers=...)``: a `regplug.Manager`, and what was passed on.

    Raises
    ------
    OptionError
        A keyword looks like a regularizer and is none; a value is out of range.
    CompositionError
        A regularizer constrains updates, which theanets' own training does not hand out.

    Examples
    --------
    >>> def train(network, data):
    ...     return network.train(data, regularizers=from_kwargs(network, hidden_dropout=0.5, weight_l2=1e-4))
    """
    adapters.require("theanets")
    given = dict(kwargs)
    listed = given.pop("regularizers", None)
    if listed is None:
        listed = ()
    elif isinstance(listed, Mapping):
        given, listed = given | dict(listed), ()
    elif isinstance(listed, str) or not isinstance(listed, Iterable):
        raise OptionError(f"regularizers={listed!r} is no list and no dict.")
    seed = _seed(given.pop("rng", 13))
    composed: list[Any] = [
        item for name in ("dropout", "noise") for item in _noise(network, name, given)
    ]
    names = {
        each: entry.name
        for entry in regplug.available()
        for each in (entry.name, *entry.aliases)
    }
    names |= {name.replace("_", ""): entry for name, entry in names.items()} | _CLASSES
    for key, value in given.items():
        if name := names.get(key.lower()):
            composed.append((name, _located(network, name, key, _options(value))))
        else:
            _check_is_none(key, value, names)
    ready = [
        each
        for each in listed
        if hasattr(each, "modify_graph") and not isinstance(each, Regularizer)
    ]
    composed += [each for each in listed if not any(each is other for other in ready)]
    regularizers = ([regplug.compose(composed, seed=seed)] if composed else []) + ready
    for member in (
        member
        for each in regularizers
        if isinstance(each, Manager)
        for member in each.members
    ):
        if member.hooks["constrain"] is not None:
            raise CompositionError(
                f"{member.label} ({member.provenance}) is refused for theanets' own training: "
                "it constrains an optimizer's updates. Train with "
                "Theanets.itertrain(network, manager.apply(network), ...)."
            )
    return regularizers


def validation(data: Any, regularizers: Iterable[Any], **options: Any) -> Any:
    """Return a dataset on which theanets evaluates without noise: for ``network.train(..., valid=...)``.

    While it is iterated over, regularizers that modify the graph for training have the weight 0. Afterwards
    the managers are as they were, and no step has passed.

    Parameters
    ----------
    data : list of arrays, or a callable
        What `downhill.Dataset` takes.
    regularizers : list
        What `from_kwargs` returned; those that are not regplug's are left alone.
    **options
        For `downhill.Dataset`, such as ``batch_size``.

    Raises
    ------
    CompositionError
        A regularizer's number is fixed: it is baked into the graph, or follows a schedule.
    """
    adapters.require("theanets")
    import downhill

    managers = [each for each in regularizers if isinstance(each, Manager)]
    for manager in managers:
        with _quiet(manager):
            pass

    class Validation(downhill.Dataset):
        def iterate(self, shuffle: bool = True) -> Iterator[Any]:
            with contextlib.ExitStack() as stack:
                for manager in managers:
                    stack.enter_context(_quiet(manager))
                yield from super().iterate(shuffle)

    return Validation(data, name="valid", **options)


@contextlib.contextmanager
def _quiet(manager: Manager) -> Iterator[None]:
    state = manager.state()
    try:
        for member in manager.members:
            if (
                member.hooks["modify_graph"] is not None
                and member.regularizer.applies == "training"
            ):
                try:
                    manager.weights[member.label] = 0
                except OptionError as error:
                    raise CompositionError(f"validation: {error}") from error
        yield
    finally:
        manager.restore(state)


def _place(network: Any, place: str, key: str) -> list[str]:
    """Return the names of the outputs of a kind of layer; refuse where there is no such layer."""
    from theanets.layers import base, recurrent

    layers = {
        "input": [layer for layer in network.layers if isinstance(layer, base.Input)],
        "hidden": network.layers[1:-1],
        "output": network.layers[-1:],
        "recurrent": [
            layer
            for layer in network.layers
            if isinstance(layer, (recurrent.Recurrent, recurrent.Bidirectional))
        ],
    }[place]
    if not layers:
        names = ", ".join(layer.name for layer in network.layers) or "none"
        raise OptionError(f"{key}: the network has no {place} layer. Layers: {names}.")
    return [layer.output_name() for layer in layers]


def _noise(
    network: Any, name: str, given: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Take dropout's keywords, or noise's, out of `given`; yield the regularizers, those that are off left out."""
    for place in _PLACES:
        key = f"{place}_{name}"
        if value := given.pop(key, 0):
            yield name, {"pattern": _place(network, place, key), **_options(value)}
    by_pattern = given.pop(name, {})
    if not isinstance(by_pattern, Mapping) or not {"weight", "schedule"}.isdisjoint(
        by_pattern
    ):
        how = f"{name}={{'hid1:out': {by_pattern!r}}} or hidden_{name}={by_pattern!r}"
        raise OptionError(
            f"{name}={by_pattern!r} is no dict of pattern to number: write {how}."
        )
    for pattern, value in by_pattern.items():
        if value:
            yield (
                name,
                {
                    "pattern": [pattern] if isinstance(pattern, str) else list(pattern),
                    **_options(value),
                },
            )


def _options(value: Any) -> dict[str, Any]:
    """Return the options of a keyword: its dict, or its value as the weight, which a dict with a schedule is, too."""
    is_options = isinstance(value, Mapping) and "schedule" not in value
    return dict(value) if is_options else {"weight": value}


def _located(
    network: Any, name: str, key: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the options with what theanets takes for granted: where, and (contractive) with respect to what."""
    if name in _WHERE and options.get("pattern") is None:
        options["pattern"] = _place(network, _WHERE[name], key)
    if isinstance(options.get("pattern"), tuple):
        options["pattern"] = list(options["pattern"])
    wrt = options.get("wrt")
    if name == "contractive" and isinstance(
        wrt, str
    ):  # for theanets a glob of input layers' names
        inputs = _place(network, "input", key)
        matched = [
            output
            for output in inputs
            if fnmatch.fnmatch(output.partition(":")[0], wrt)
        ]
        options["wrt"] = matched or wrt
    return options


def _seed(rng: Any) -> int:
    """Return the integer seed of ``rng``: an integer, or the random streams of Theano."""
    if isinstance(rng, Integral) and not isinstance(rng, bool):
        return int(rng)
    if (
        getattr(rng, "default_instance_seed", None) is not None
    ):  # theano.tensor.shared_randomstreams
        return int(rng.default_instance_seed)
    if hasattr(
        rng, "rstate"
    ):  # theano.sandbox.rng_mrg: the seed six times, or six seeds
        return int(rng.rstate[0])
    raise OptionError(f"rng={rng!r} is no integer and no RandomStreams of Theano.")


def _check_is_none(key: str, value: Any, names: Mapping[str, str]) -> None:
    """Refuse a keyword that looks like that of a regularizer."""
    known = [
        *names,
        *(f"{place}_{name}" for place in _PLACES for name in ("dropout", "noise")),
        "regularizers",
    ]
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.75)
    alike = [
        word
        for part in key.lower().split("_")
        for word in difflib.get_close_matches(part, _WORDS, cutoff=0.8)
    ]
    if (near or alike) and not key.startswith("rms_"):  # RMSProp has an rms_regularizer
        hint = f" Did you mean {near[0]!r}?" if near else ""
        keywords = ", ".join(sorted(known))
        raise OptionError(
            f"{key}={value!r}: no regularizer has this keyword.{hint} Keywords: {keywords}."
        )
