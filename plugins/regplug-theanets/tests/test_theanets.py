"""Networks of theanets: its keywords, training, validation without noise."""

import collections
import collections.abc
import doctest
import logging
import sys
import types

import numpy as np
import pytest
import scipy.sparse

import regplug
from regplug import CompositionError, ModelError, OptionError, Regularizer, hookimpl
from regplug.authoring.schedules import Schedule
from regplug.errors import RegplugWarning

if sys.version_info >= (3, 11):
    pytest.skip(
        "theanets needs Theano, which needs Python 3.10", allow_module_level=True
    )

# theanets' logger; the name is another project's on PyPI by now
climate = types.ModuleType("climate")
climate.get_logger = logging.getLogger
with pytest.MonkeyPatch.context() as patch:
    patch.setitem(sys.modules, "climate", climate)
    # gone from Python 3.10
    patch.setattr(collections, "Callable", collections.abc.Callable, raising=False)
    import theanets
    import theano
    import theano.tensor as TT
    from regplug_theanets import Theanets, from_kwargs, validation
    from theano.sandbox.rng_mrg import MRG_RandomStreams
    from theano.tensor.raw_random import poisson
    from theano.tensor.shared_randomstreams import RandomStreams

KEYWORDS = [
    {"input_dropout": 0.2},
    {"hidden_dropout": 0.2},
    {"output_dropout": 0.2},
    {"input_noise": 0.1},
    {"hidden_noise": 0.1},
    {"output_noise": 0.1},
    {"dropout": {"hid*:out": 0.2}},
    {"noise": {"in:out": 0.1, ("hid1:out", "out:out"): 0.2}},
    {"weight_l1": 0.1},
    {"weight_l2": 0.1},
    {"weight_l2": {"weight": 0.1, "pattern": "hid1.w"}},
    {"weight_decay": 0.1},
    {"weight_sparsity": 0.1},
    {"hidden_l1": 0.1},
    {"hidden_sparsity": 0.1},
    {"contractive": 0.1},
    {"contractive": {"weight": 0.1, "pattern": "hid1:out", "wrt": "in"}},
    {"rng": 5, "hidden_dropout": 0.2},
    {"regularizers": {"hidden_dropout": 0.2, "weight_l2": 0.1}},
    {"regularizers": ["dropout=0.2@hid1:out", ("weight_l2", 0.1)]},
]


@pytest.fixture(autouse=True)
def python_mode(monkeypatch):
    """Compile for Python, and put back what downhill uses of an older one."""
    monkeypatch.setattr(
        collections, "Callable", collections.abc.Callable, raising=False
    )
    with theano.change_flags(mode="FAST_COMPILE", cxx=""):
        yield


def regression():
    return theanets.Regressor([4, 6, 3], rng=1)


def recurrent():
    return theanets.recurrent.Regressor([4, (5, "rnn"), 2], rng=1)


def data(rows=12):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(rows, 4)), rng.normal(size=(rows, 3))]


def sequences():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(6, 5, 4)), rng.normal(size=(6, 5, 2))]


def train(network, arrays, steps=8, **options):
    monitors = network.itertrain(
        arrays,
        algo="sgd",
        learning_rate=0.05,
        batch_size=4,
        max_updates=steps,
        **options,
    )
    return [{**train} for train, _ in monitors]


# keywords


@pytest.mark.parametrize("keywords", KEYWORDS, ids=str)
def test_keyword_trains(keywords):
    network = regression()
    losses = [
        each["loss"]
        for each in train(
            network, data(), regularizers=from_kwargs(network, **keywords)
        )
    ]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["recurrent_norm", "recurrent_state"])
def test_recurrent_keyword_trains_on_all_recurrent_layers(name):
    network = recurrent()
    (manager,) = regularizers = from_kwargs(network, **{name: 0.1})
    losses = [
        each["loss"] for each in train(network, sequences(), regularizers=regularizers)
    ]
    assert losses[-1] < losses[0]
    assert manager.members[0].regularizer.pattern == ["hid1:out"]


@pytest.mark.parametrize(
    "name", ["weight_l1", "weight_l2", "weight_decay", "weight_sparsity", "hidden_l1"]
)
def test_penalty_is_the_number_of_theanets(name):
    network = regression()
    x, t = data()
    ours = theano.function(
        network.variables,
        network.loss(regularizers=from_kwargs(network, **{name: 0.3})),
    )
    theirs = theano.function(network.variables, network.loss(**{name: 0.3}))
    plain = theano.function(network.variables, network.loss())
    np.testing.assert_allclose(ours(x, t), theirs(x, t), rtol=1e-12)
    assert ours(x, t) > plain(x, t)


def test_keywords_act_where_theanets_says():
    network = theanets.Regressor([4, 6, 5, 3])
    keywords = {
        "input_dropout": 0.1,
        "hidden_dropout": 0.2,
        "output_noise": 0.3,
        "dropout": {"hid2:out": 0.4},
    }
    (manager,) = from_kwargs(network, **keywords)
    assert [
        (m.label, m.regularizer.pattern, m.regularizer.weight) for m in manager.members
    ] == [
        ("dropout", ["in:out"], 0.1),
        ("dropout#2", ["hid1:out", "hid2:out"], 0.2),
        ("dropout#3", ["hid2:out"], 0.4),
        ("noise", ["out:out"], 0.3),
    ]


def test_zero_is_off():
    assert from_kwargs(regression(), hidden_dropout=0, noise={"hid1:out": 0}) == []


def test_none_is_no_regularizers():
    assert from_kwargs(regression(), regularizers=None) == []
    (manager,) = from_kwargs(regression(), regularizers=None, hidden_dropout=0.5)
    assert list(manager.weights) == ["dropout"]


def test_noise_takes_a_dict_of_options():
    keywords = {
        "hidden_dropout": {"weight": 0.5, "name": "mine"},
        "input_noise": {"weight": 0.0},
        "dropout": {"out:out": {"weight": 0.25}},
        "output_dropout": {
            "schedule": "linear",
            "start": 0.0,
            "stop": 0.5,
            "steps": 10,
        },
    }
    (manager,) = from_kwargs(regression(), **keywords)
    found = [
        (member.label, member.regularizer.pattern, member.regularizer.weight)
        for member in manager.members
    ]
    assert found[0] == ("mine", ["hid1:out"], 0.5)
    assert found[2:] == [("dropout#2", ["out:out"], 0.25), ("noise", ["in:out"], 0.0)]
    assert isinstance(found[1][2], Schedule)
    with pytest.raises(OptionError, match=r"dropout\(rate=0.5\): here it is weight"):
        from_kwargs(regression(), hidden_dropout={"rate": 0.5})


def test_contractive_is_the_jacobian_where_theanets_squares_the_gradient_of_the_mean():
    network = theanets.Regressor([4, (3, "tanh"), 2], rng=1)
    w, b = (p.get_value() for p in network.layers[1].params)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(w.dtype)
    slopes = 1 - np.tanh(x @ w + b) ** 2  # (rows, units)

    (theirs,) = theanets.regularizers.from_kwargs(network, contractive=0.1)
    outputs, _ = network.build_graph()
    value = theano.function([network.inputs[0]], theirs.loss(network.layers, outputs))(
        x
    )
    np.testing.assert_allclose(value, ((slopes @ w.T / slopes.size) ** 2).mean(), 1e-5)

    (manager,) = from_kwargs(network, contractive=0.1)
    term = manager.apply(network).terms["contractive"]
    value = theano.function([network.inputs[0]], term)(x)
    squares = (slopes[:, None] * w) ** 2  # of the Jacobian (rows, inputs, units)
    np.testing.assert_allclose(value, 0.1 * squares.sum() / len(x), 1e-5)


def test_seed_comes_from_rng():
    network = regression()
    seeds = [
        from_kwargs(network, hidden_dropout=0.5, **given)[0].seed
        for given in (
            {},
            {"rng": 0},
            {"rng": RandomStreams(6)},
            {"rng": MRG_RandomStreams(7)},
        )
    ]
    assert seeds == [13, 0, 6, 7]


def test_two_dropouts_of_one_shape_draw_different_masks():
    network = theanets.Autoencoder([5, 5, 5, 5])
    (manager,) = from_kwargs(network, dropout={"hid1:out": 0.5, "hid2:out": 0.5})
    like = np.ones((20, 5))
    with_ones = {
        name: theano.tensor.constant(like) * 1 for name in ("hid1:out", "hid2:out")
    }
    result = manager.apply(with_ones)
    first, second = theano.function([], [result.outputs[name] for name in with_ones])()
    assert not np.array_equal(first == 0, second == 0)
    assert 0 < (first == 0).mean() < 1


def test_installed_regularizer_is_a_keyword_by_name_and_class_name():
    network = regression()
    (manager,) = from_kwargs(
        network, WeightL2=0.1, bernoullidropout={"pattern": "hid1:out", "weight": 0.2}
    )
    assert [member.name for member in manager.members] == ["weight_l2", "dropout"]


def test_list_passes_on_what_theanets_can_use():
    network = regression()
    own = theanets.regularizers.WeightL2(weight=0.1)
    manager = regplug.compose(["weight_l1=0.1"])
    regularizers = from_kwargs(
        network,
        regularizers=[own, manager, "hidden_l1=0.1@hid1:out"],
        hidden_dropout=0.2,
    )
    assert regularizers[1:] == [own, manager]
    assert [member.label for member in regularizers[0].members] == [
        "dropout",
        "hidden_l1",
    ]
    assert np.isfinite(
        train(network, data(), steps=2, regularizers=regularizers)[-1]["loss"]
    )


def test_keywords_of_training_are_left_alone():
    keywords = {
        "learning_rate": 0.1,
        "momentum": 0.9,
        "algo": "sgd",
        "batch_size": 4,
        "patience": 3,
        "monitors": {},
    }
    keywords |= {
        "max_gradient_norm": 1,
        "rms_halflife": 14,
        "rms_regularizer": 1e-8,
        "beta1_decay": 0.9,
    }
    (manager,) = from_kwargs(regression(), hidden_dropout=0.1, **keywords)
    assert list(manager.weights) == ["dropout"]


@pytest.mark.parametrize(
    ("keyword", "meant"),
    [
        ("hiden_dropout", "hidden_dropout"),
        ("weight_12", "weight_l2"),
        ("contractiv", "contractive"),
        ("regularizer", "regularizers"),
        ("hidden_droput", "hidden_dropout"),
        ("recurent_norm", "recurrent_norm"),
    ],
)
def test_keyword_that_looks_like_a_regularizer_is_an_error(keyword, meant):
    with pytest.raises(
        OptionError,
        match=f"{keyword}=0.1: no regularizer has this keyword. Did you mean '{meant}'",
    ):
        from_kwargs(regression(), **{keyword: 0.1})


def test_places_that_the_network_has_not_are_errors():
    flat = theanets.Regressor([4, 3])
    with pytest.raises(
        OptionError,
        match="hidden_dropout: the network has no hidden layer. Layers: in, out",
    ):
        from_kwargs(flat, hidden_dropout=0.5)
    with pytest.raises(
        OptionError,
        match="recurrent_norm: .* no recurrent layer. Layers: in, hid1, out",
    ):
        from_kwargs(regression(), recurrent_norm=0.5)


def test_values_of_the_wrong_kind_are_errors():
    network = regression()
    with pytest.raises(
        OptionError,
        match="dropout=0.5 is no dict of pattern to number: write .*hidden_dropout=0.5",
    ):
        from_kwargs(network, dropout=0.5)
    with pytest.raises(
        OptionError,
        match="dropout=.* is no dict of pattern .*: write .*hidden_dropout={'weight'",
    ):
        from_kwargs(network, dropout={"weight": 0.5, "pattern": "hid1:out"})
    with pytest.raises(OptionError, match="rng='a' is no integer"):
        from_kwargs(network, rng="a")
    with pytest.raises(OptionError, match="out of range"):
        from_kwargs(network, hidden_dropout=1.0)
    with pytest.raises(
        OptionError, match="regularizers='dropout' is no list and no dict"
    ):
        from_kwargs(network, regularizers="dropout")


@pytest.mark.parametrize("name", ["max_norm", "soft_threshold"])
def test_constraint_is_refused_by_name(name):
    options = {"pattern": "*.w"} | (
        {"limit": 0.01} if name == "max_norm" else {"weight": 0.1}
    )
    where = r"\(regplug-weights .*\) is refused for theanets' own training"
    message = rf"{name} {where}: .*Theanets.itertrain"
    with pytest.raises(CompositionError, match=message):
        from_kwargs(regression(), **{name: options}, hidden_dropout=0.1)
    with pytest.raises(CompositionError, match=message):
        from_kwargs(regression(), regularizers=[regplug.compose([(name, options)])])


# validation


def test_validation_is_without_noise_and_takes_no_step():
    network = regression()
    (manager,) = regularizers = from_kwargs(
        network, hidden_dropout=0.5, input_noise=0.5, weight_l2=0.1
    )
    valid = validation(data(), regularizers, batch_size=12)
    evaluate = theano.function(
        network.variables, network.loss(regularizers=regularizers)
    )
    clean = theano.function(network.variables, network.loss(weight_l2=0.1))
    (quiet,) = [evaluate(*batch) for batch in valid]
    np.testing.assert_allclose(quiet, clean(*data()))
    assert dict(manager.weights) == {"dropout": 0.5, "noise": 0.5, "weight_l2": 0.1}
    assert manager.state()["step"] == 0
    assert evaluate(*data()) != evaluate(*data())
    assert manager.state()["step"] == 2


def test_training_with_quiet_validation_takes_a_step_a_batch():
    network = regression()
    (manager,) = regularizers = from_kwargs(network, hidden_dropout=0.5)
    valid = validation(data(), regularizers, batch_size=4)
    train(
        network,
        data(),
        steps=3,
        valid=valid,
        regularizers=regularizers,
        validate_every=1,
    )
    assert manager.state()["step"] == 9


def test_validation_of_a_baked_number_is_refused():
    class Baked(Regularizer):
        """Double an output."""

        weight = 2.0

        @hookimpl
        def modify_graph(self, value):
            return self.weight * value

    manager = regplug.compose([Baked(pattern="hid1:out")])
    with pytest.raises(
        CompositionError, match="validation: baked .*baked into the graph"
    ):
        validation(data(), [manager])


# networks as models


def test_network_is_a_model():
    model = regplug.as_model(regression())
    assert set(model.outputs) == {
        "in:out",
        "hid1:out",
        "hid1:pre",
        "out:out",
        "out:pre",
    }
    assert set(model.params) == {"hid1.w", "hid1.b", "out.w", "out.b"}
    assert model.roles == {
        "@input": {"in:out"},
        "@hidden": {"hid1:out"},
        "@output": {"out:out"},
    }


@pytest.mark.parametrize("network", [regression, recurrent])
def test_units_and_channels_are_known_outside_and_inside_of_scans(network):
    model = regplug.as_model(network())
    for name, variable in {**model.outputs, **model.params}.items():
        expected = None
        if variable.ndim > 1:
            expected = variable.ndim - 1
        assert model.unit_axis[name] == expected, name


def test_numbers_equal_those_of_a_mapping():
    network, composition = (
        regression(),
        ["weight_l2=0.1@*.w", "hidden_l1=0.1", "dropout=0.5@hid1:out"],
    )
    seen = regplug.as_model(network)
    one = regplug.compose(composition, seed=3).apply(network)
    other = regplug.compose(composition, seed=3).apply(
        dict(seen.outputs), params=dict(seen.params)
    )
    x, _ = data()
    function = theano.function(
        network.inputs,
        [one.outputs["out:out"], other.outputs["out:out"], one.loss, other.loss],
    )
    first, second, loss, same_loss = function(x)
    np.testing.assert_array_equal(first, second)
    assert loss == same_loss > 0
    assert not np.allclose(first, network.predict(x))


def test_masks_are_those_of_training_layer_by_layer():
    network = regression()
    x, t = data()
    regularizers = from_kwargs(network, rng=3, hidden_dropout=0.5)
    built = theano.function(network.variables, network.loss(regularizers=regularizers))
    result = regplug.compose(["dropout=0.5@hid1:out"], seed=3).apply(network)
    applied = theano.function(network.variables, Theanets.loss(network, result))
    assert built(x, t) == applied(x, t)


def test_network_trains_on_the_regularized_graph():
    network = theanets.Regressor([4, 6, 3], rng=1)
    manager = regplug.compose(
        ["weight_l2=0.01@*.w", "hidden_l1=0.01", "dropout=0.2@hid1:out"]
    )
    result = manager.apply(network)
    valid = validation(data(), [manager])
    options = {"algo": "sgd", "batch_size": 4, "learning_rate": 0.05, "max_updates": 10}
    steps = Theanets.itertrain(network, result, data(), valid, **options)
    monitors = [dict(train) for train, _ in steps]
    assert monitors[-1]["loss"] < monitors[0]["loss"]
    assert all(
        each[label] > 0 for each in monitors for label in ("weight_l2", "hidden_l1")
    )
    predict = Theanets.compile_predict(network, result)
    x, _ = data()
    np.testing.assert_array_equal(predict(x), predict(x))
    np.testing.assert_allclose(predict(x), network.predict(x))


@pytest.mark.parametrize(
    "algo", ["SGD", "nag", "rmsprop", "adagrad", "adam", "adadelta", "rprop"]
)
def test_constraint_holds_after_each_step_of_an_algorithm(algo):
    network = regression()
    result = regplug.compose([("max_norm", {"limit": 0.01, "pattern": "*.w"})]).apply(
        network
    )
    options = {"algo": algo, "batch_size": 4, "learning_rate": 0.05, "momentum": 0.5}
    steps = Theanets.itertrain(network, result, data(), **options)
    for _ in range(2):
        next(steps)
        norms = [
            np.linalg.norm(network.find(layer, "w").get_value(), axis=0)
            for layer in ("hid1", "out")
        ]
        assert max(map(np.max, norms)) <= 0.01 * (1 + 1e-12)


def test_proximal_step_has_the_learning_rate():
    x_t, options = data(), {"algo": "sgd", "batch_size": 12, "learning_rate": 0.05}
    one, other = regression(), regression()
    result = regplug.compose(["soft_threshold=2@hid1.w"]).apply(one)
    next(Theanets.itertrain(one, result, x_t, **options))
    next(other.itertrain(x_t, **options))
    w, shrunk = (network.find("hid1", "w").get_value() for network in (other, one))
    np.testing.assert_allclose(
        shrunk, np.sign(w) * np.maximum(abs(w) - 0.05 * 2, 0), rtol=1e-12
    )
    assert 0 < (shrunk == 0).mean() < 1
    np.testing.assert_array_equal(
        *(network.find("out", "w").get_value() for network in (other, one))
    )


@pytest.mark.parametrize("algo", ["adadelta", "rprop"])
def test_proximal_step_without_a_learning_rate_is_refused(algo):
    network = regression()
    result = regplug.compose(["soft_threshold=2@hid1.w"]).apply(network)
    with pytest.raises(
        OptionError,
        match=f"soft_threshold .*learning_rate=.*'{algo}' has no rate: choose",
    ):
        next(Theanets.itertrain(network, result, data(), algo=algo))


def test_match_that_the_loss_does_not_depend_on_warns_by_name():
    network = theanets.Regressor([4, 6, 3])
    network.add_layer({"form": "flatten", "size": 6, "inputs": "hid1", "name": "aside"})
    result = regplug.compose(["dropout=0.5@aside:out"]).apply(network)
    with pytest.warns(
        RegplugWarning, match="dropout: the loss does not depend on 'aside:out'"
    ):
        next(Theanets.itertrain(network, result, data(), algo="sgd"))


class Counting(theanets.layers.Feedforward):
    """Draw Poisson numbers, and note the mean of the rates."""

    def setup(self):
        super().setup()
        self.state = theano.shared(np.random.RandomState(5), name="counting.state")
        self.mean = theano.shared(np.zeros(6), name="counting.mean")

    def transform(self, inputs):
        outputs, _ = super().transform(inputs)
        rate = TT.exp(outputs["pre"])
        next_state, counts = poisson(self.state, size=rate.shape, lam=rate)
        updates = [(self.state, next_state), (self.mean, rate.mean(axis=0))]
        straight_through = rate + theano.gradient.disconnected_grad(counts - rate)
        return {"rate": rate, "out": straight_through}, updates


def test_updates_of_layers_are_those_of_the_regularized_graph():
    network = theanets.Regressor(
        [4, {"form": "counting", "size": 6, "name": "hid1"}, 3], rng=1
    )
    x, t = data()
    numpy, layer = np.random.RandomState(5), network.layers[1]

    def rates():
        w, b = (network.find("hid1", name).get_value() for name in ("w", "b"))
        return np.exp(x @ w + b)

    result = regplug.compose(["dropout=0.5@hid1:rate"], seed=7).apply(network)
    predict = Theanets.compile_predict(network, result)
    expected = rates()
    options = {"algo": "sgd", "batch_size": 12, "learning_rate": 0.01}
    next(Theanets.itertrain(network, result, [x, t], **options))
    for step in range(2):  # downhill evaluates the loss, and then trains
        keep = regplug.noise.reference.keep(
            7, "dropout", "hid1:rate", expected.shape, step, 0.5
        )
        numpy.poisson(2 * expected * keep)
    np.testing.assert_allclose(
        layer.mean.get_value(), (2 * expected * keep).mean(axis=0)
    )
    v, c = (network.find("out", name).get_value() for name in ("w", "b"))
    for _ in range(2):
        np.testing.assert_allclose(predict(x), numpy.poisson(rates()) @ v + c)
    np.testing.assert_allclose(layer.mean.get_value(), rates().mean(axis=0))


def test_sparse_input_is_no_output():
    network = theanets.Regressor([{"size": 4, "sparse": "csr"}, 6, 3], rng=1)
    x, t = data()
    result = regplug.compose(
        ["dropout=0.5@hid1:out", "weight_l2=0.1@*.w"], seed=7
    ).apply(network)
    assert "in:out" not in result.outputs
    predict = Theanets.compile_predict(network, result)
    given = scipy.sparse.csr_matrix(x)
    np.testing.assert_allclose(predict(given), network.predict(given))


def test_network_without_layers_has_no_outputs():
    with pytest.raises(ModelError, match="has no layers, and so no outputs"):
        regplug.as_model(theanets.Network())


def test_examples_run():
    assert doctest.testmod(sys.modules["regplug_theanets"]).failed == 0
