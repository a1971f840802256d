"""Models of theanets: its keywords for regularizers; how its networks are trained."""

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
from regplug.models import require, warn_of_unused

__all__ = ["Theanets", "from_kwargs", "validation"]

# where theanets regularizes if a keyword does not say it
_DEFAULT_PLACES = {
    "hidden_l1": "hidden",
    "contractive": "hidden",
    "recurrent_norm": "recurrent",
    "recurrent_state": "recurrent",
}
_NOISE_KEYWORDS = [
    f"{place}_{name}"
    for place in ("input", "hidden", "output")
    for name in ("dropout", "noise")
]
# theanets takes the names of its classes, too
_CLASSES = {"bernoullidropout": "dropout", "gaussiannoise": "noise"}
# a keyword with one of these is meant for a regularizer
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
# algorithms of downhill whose steps do not scale with a learning rate
_WITHOUT_RATE = ("adadelta", "rprop")


class Theanets:
    """See and train `theanets.Network` and its subclasses.

    Names, layers and parameters are the network's own.

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
        graph, updates = network.build_graph()
        outputs = {}
        for name, variable in graph.items():
            # 'in' is 'in:out' again; sparse data are no output
            if ":" in name and engine_of(variable).is_dense(variable):
                outputs[name] = variable
        model = regplug.as_model(outputs, network.params, network.layers)
        model.updates = dict(updates)
        model.known_unit_axis = _unit_axes(network, outputs)
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
        losses = [loss.weight * loss(result.outputs) for loss in network.losses]
        return sum(losses) + result.loss

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
        """Train on the regularized graph, as ``network.itertrain`` does.

        Each term is among the monitors. Constraints and proximal steps follow each
        update. At its end, downhill puts back the parameters that were best on `valid`,
        which may be those from before the first update.

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
        require("theanets")
        import downhill

        if not isinstance(train, downhill.Dataset):
            train = downhill.Dataset(train, batch_size=batch_size)
        if valid is not None and not isinstance(valid, downhill.Dataset):
            valid = downhill.Dataset(valid, batch_size=batch_size)
        loss = Theanets.loss(network, result)
        warn_of_unused(Theanets.see(network), result, loss)
        optimizer = downhill.build(
            algo,
            loss=loss,
            params=network.params,
            inputs=network.variables,
            updates=list(result.updates.items()),
            monitors=list(result.terms.items()),
        )
        _constrain(optimizer, algo, result)
        yield from optimizer.iterate(train, valid=valid, **options)

    @staticmethod
    def compile_predict(network: Any, result: Any) -> Any:
        """Compile the prediction on the clean graph.

        It is without noise, and with the ``always`` changes.
        """
        require("theanets")
        import theano

        prediction = result.clean[network.layers[-1].output_name()]
        return theano.function(network.inputs, prediction, updates=result.clean_updates)


def _unit_axes(network, outputs):
    """Return what the graph does not show: inside scans, and behind slices."""
    from theanets.layers import recurrent

    axes = {name: variable.ndim - 1 for name, variable in outputs.items()}
    for layer in network.layers:
        if isinstance(layer, (recurrent.Recurrent, recurrent.Bidirectional)):
            matrices = [param for param in layer.params if param.ndim == 2]
            axes.update((param.name, 1) for param in matrices)
    return axes


def _constrain(optimizer, algorithm, result):
    """Have an optimizer of downhill constrain its updates."""
    unconstrained = optimizer.get_updates

    def get_updates(**options):
        # sets the learning rate
        updates = list(unconstrained(**options))
        if algorithm.lower() not in _WITHOUT_RATE:
            return list(result.constrain(updates, optimizer.learning_rate).items())
        try:
            return list(result.constrain(updates).items())
        except OptionError as error:
            raise OptionError(
                f"{error} {algorithm!r} has no rate: choose another algorithm, "
                "such as 'sgd'."
            ) from error

    optimizer.get_updates = get_updates


def from_kwargs(network: Any, **kwargs: Any) -> list[Any]:
    """Return a list of regularizers for theanets, from its keywords.

    They are those of `theanets.regularizers.from_kwargs`.

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
    weight_l1, weight_l2, hidden_l1, contractive, recurrent_norm, recurrent_state :
    float or dict of options
        The weight; or the weight, a pattern and other options. weight_decay,
        weight_sparsity and hidden_sparsity are other names. Without a pattern, they are
        about all weights, hidden layers or recurrent layers. So for any other installed
        regularizer, whose default pattern is its own.
    rng : int or Theano RandomStreams
        The seed of the noise, 13 by default; of streams, the seed that they were made
        with.
    regularizers : dict or list, optional
        A dict: more of these keywords. A list: managers and theanets' own regularizers,
        which are passed on, and what `regplug.compose` takes.
    **kwargs
        Keywords of training, such as ``learning_rate``, are left alone.

    Returns
    -------
    list
        For ``network.train(..., regularizers=...)``: a `regplug.Manager`, and what was
        passed on.

    Raises
    ------
    OptionError
        A keyword looks like a regularizer and is none; a value is out of range.
    CompositionError
        A regularizer constrains updates, which theanets' own training does not hand
        out.

    Examples
    --------
    >>> def train(network, data):
    ...     regularizers = from_kwargs(network, hidden_dropout=0.5, weight_l2=1e-4)
    ...     return network.train(data, regularizers=regularizers)
    """
    require("theanets")
    keywords, listed = _keywords(kwargs)
    seed = _seed(keywords.pop("rng", 13))
    composed: list[Any] = []
    for name in ("dropout", "noise"):
        composed += _noise(network, name, keywords)
    names = _known_names()
    for key, value in keywords.items():
        name = names.get(key.lower())
        if name is None:
            _check_is_none(key, value, names)
        else:
            composed.append((name, _located(network, name, key, _options(value))))
    ready = []
    for each in listed:
        # theanets' own regularizers, and managers
        if hasattr(each, "modify_graph") and not isinstance(each, Regularizer):
            ready.append(each)
        else:
            composed.append(each)
    if composed:
        ready.insert(0, regplug.compose(composed, seed=seed))
    for manager in ready:
        if isinstance(manager, Manager):
            _check_constrains_nothing(manager)
    return ready


def _keywords(kwargs):
    """Return the keywords, with those of a dict of regularizers, and their list."""
    keywords = dict(kwargs)
    listed = keywords.pop("regularizers", None)
    if listed is None:
        return keywords, ()
    if isinstance(listed, Mapping):
        return {**keywords, **listed}, ()
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise OptionError(f"regularizers={listed!r} is no list and no dict.")
    return keywords, list(listed)


def _known_names():
    """Return the canonical name of each name, also in theanets' spellings."""
    names = {}
    for entry in regplug.available():
        names.update(dict.fromkeys((entry.name, *entry.aliases), entry.name))
    joined = {name.replace("_", ""): entry for name, entry in names.items()}
    return {**names, **joined, **_CLASSES}


def _check_constrains_nothing(manager):
    for member in manager.members:
        if member.hooks["constrain"] is not None:
            raise CompositionError(
                f"{member.label} ({member.provenance}) is refused for theanets' own "
                "training: it constrains an optimizer's updates. Train with "
                "Theanets.itertrain(network, manager.apply(network), ...)."
            )


def validation(data: Any, regularizers: Iterable[Any], **options: Any) -> Any:
    """Return a dataset on which theanets evaluates without noise.

    It is for ``network.train(..., valid=...)``.

    While it is iterated over, regularizers that modify the graph for training have the
    weight 0. Afterwards the managers are as they were, and no step has passed.

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
        A regularizer's number is fixed: it is baked into the graph, or follows a
        schedule.
    """
    require("theanets")
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
def _quiet(manager):
    state = manager.state()
    try:
        for member in manager.members:
            is_noise = member.hooks["modify_graph"] is not None
            if is_noise and member.regularizer.applies == "training":
                _switch_off(manager, member.label)
        yield
    finally:
        manager.restore(state)


def _switch_off(manager, label):
    try:
        manager.weights[label] = 0
    except OptionError as error:
        raise CompositionError(f"validation: {error}") from error


def _place(network, place, key):
    """Return the names of the outputs of a kind of layer.

    Raises
    ------
    OptionError
        There is no such layer.
    """
    from theanets.layers import base, recurrent

    kinds = {
        "input": base.Input,
        "recurrent": (recurrent.Recurrent, recurrent.Bidirectional),
    }
    slices = {"hidden": slice(1, -1), "output": slice(-1, None)}
    layers = network.layers
    if place in slices:
        layers = layers[slices[place]]
    else:
        layers = [layer for layer in layers if isinstance(layer, kinds[place])]
    if not layers:
        names = ", ".join(layer.name for layer in network.layers) or "none"
        raise OptionError(f"{key}: the network has no {place} layer. Layers: {names}.")
    return [layer.output_name() for layer in layers]


def _noise(network, name, keywords):
    """Take dropout's or noise's keywords out of the others.

    Yields
    ------
    tuple of str and dict
        The name and the options of each that is not off.
    """
    for key in _NOISE_KEYWORDS:
        place, _, kind = key.partition("_")
        if kind != name:
            continue
        value = keywords.pop(key, 0)
        if value:
            yield name, {"pattern": _place(network, place, key), **_options(value)}
    by_pattern = keywords.pop(name, {})
    # the options of one are no patterns
    options = {"weight", "schedule"}
    if not isinstance(by_pattern, Mapping) or not options.isdisjoint(by_pattern):
        how = f"{name}={{'hid1:out': {by_pattern!r}}} or hidden_{name}={by_pattern!r}"
        raise OptionError(
            f"{name}={by_pattern!r} is no dict of pattern to number: write {how}."
        )
    for pattern, value in by_pattern.items():
        if value:
            if isinstance(pattern, str):
                pattern = (pattern,)
            yield name, {"pattern": list(pattern), **_options(value)}


def _options(value):
    """Return the options of a keyword: its dict, or its value as the weight.

    A dict with a schedule is a weight, too.
    """
    if isinstance(value, Mapping) and "schedule" not in value:
        return dict(value)
    return {"weight": value}


def _located(network, name, key, options):
    """Return the options with what theanets takes for granted.

    That is where, and for contractive with respect to what.
    """
    if name in _DEFAULT_PLACES and options.get("pattern") is None:
        options["pattern"] = _place(network, _DEFAULT_PLACES[name], key)
    if isinstance(options.get("pattern"), tuple):
        options["pattern"] = list(options["pattern"])
    wrt = options.get("wrt")
    # for theanets a glob of input layers' names
    if name == "contractive" and isinstance(wrt, str):
        matched = []
        for output in _place(network, "input", key):
            if fnmatch.fnmatch(output.partition(":")[0], wrt):
                matched.append(output)
        options["wrt"] = matched or wrt
    return options


def _seed(rng):
    """Return the integer seed of ``rng``: an integer, or Theano's random streams."""
    if isinstance(rng, Integral) and not isinstance(rng, bool):
        return int(rng)
    # theano.tensor.shared_randomstreams
    seed = getattr(rng, "default_instance_seed", None)
    if seed is not None:
        return int(seed)
    # theano.sandbox.rng_mrg: the seed six times, or six seeds
    if hasattr(rng, "rstate"):
        return int(rng.rstate[0])
    raise OptionError(f"rng={rng!r} is no integer and no RandomStreams of Theano.")


def _check_is_none(key, value, names):
    """Refuse a keyword that looks like that of a regularizer."""
    # RMSProp has an rms_regularizer
    if key.startswith("rms_"):
        return
    known = [*names, *_NOISE_KEYWORDS, "regularizers"]
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.75)
    if not near and not _sounds_like_one(key):
        return
    hint = ""
    if near:
        hint = f" Did you mean {near[0]!r}?"
    keywords = ", ".join(sorted(known))
    raise OptionError(
        f"{key}={value!r}: no regularizer has this keyword.{hint} Keywords: {keywords}."
    )


def _sounds_like_one(key):
    parts = key.lower().split("_")
    return any(difflib.get_close_matches(part, _WORDS, cutoff=0.8) for part in parts)
