"""theanets as a client, unmodified: a manager is one of its regularizers. Theano only, as theanets is."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug import Regularizer, hookimpl
from regplug.noise import reference


@pytest.fixture(autouse=True)
def quick(theanets, monkeypatch):
    """Compile for Theano's Python mode."""
    import theano

    # a mode of linker=py would be the one that the process made first, whatever its linker
    monkeypatch.setattr(theano.config, "mode", "FAST_COMPILE")
    monkeypatch.setattr(theano.config, "cxx", "")


def data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(64, 4))
    return x, (x[:, 0] * x[:, 1] > 0).astype("int32")


def losses(net, steps, **options):
    """Train for some steps; return the loss of each, and the number of updates."""
    x, y = data()
    iterations = net.itertrain(
        [x, y], algo="sgd", learning_rate=0.1, momentum=0, train_batches=1, batch_size=64, min_improvement=0,
        patience=100, validate_every=1000, **options,
    )  # fmt: skip
    return [
        train["loss"] for (train, _), _ in zip(iterations, range(steps), strict=False)
    ]


def test_theanets_trains_with_dropout_and_weight_l2(theanets):
    net = theanets.Classifier([4, 16, 2], rng=1)
    before = net.find("hid1", "w").get_value()
    manager = regplug.compose(["dropout=0.25@hid*:out", "weight_l2=0.001@*.w"], seed=7)
    trained = losses(net, 40, regularizers=[manager])
    assert np.isfinite(trained).all()
    assert np.mean(trained[-10:]) < np.mean(trained[:10])
    assert (net.find("hid1", "w").get_value() != before).any()


def test_theanets_loss_has_the_penalty_of_theanets_own_regularizer(theanets):
    import theano

    ours, theirs = (theanets.Classifier([4, 8, 2], rng=1) for _ in range(2))
    manager = regplug.compose(["weight_l2=0.5@*.w"])
    x, y = data()
    values = []
    for net, options in (
        (ours, {"regularizers": [manager]}),
        (theirs, {"weight_l2": 0.5}),
    ):
        loss = theano.function(net.variables, net.loss(**options))
        values.append(float(loss(x, y)))
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert manager.updates == {}


def test_theanets_masks_change_from_step_to_step_and_are_those_of_the_reference(
    theanets,
):
    net = theanets.Classifier([4, 16, 2], rng=1)
    manager = regplug.compose(["dropout=0.5@hid1:out"], seed=7)
    x, _ = data()
    masks = []
    for step in range(3):
        outputs = net.feed_forward(x, regularizers=[manager])
        kept = outputs["hid1:out"] != 0
        expected = reference.keep(7, "dropout", "hid1:out", kept.shape, step, 0.5)
        assert not kept[~expected].any()
        positive = net.feed_forward(x)["hid1:out"] != 0  # relu has zeros of its own
        np.testing.assert_array_equal(kept, expected & positive)
        masks.append(kept)
    assert (masks[0] != masks[1]).any()
    assert manager.state()["step"] == 3


def test_theanets_training_advances_the_step(theanets):
    net = theanets.Classifier([4, 16, 2], rng=1)
    manager = regplug.compose(["dropout=0.5@hid1:out"], seed=7)
    losses(net, 5, regularizers=[manager])
    assert manager.state()["step"] >= 5


def test_theanets_live_weights_act_without_a_new_graph(theanets):
    net = theanets.Classifier([4, 16, 2], rng=1)
    manager = regplug.compose(["dropout=0.5@hid1:out", "noise=0.5@in:out"], seed=7)
    x, _ = data()
    assert (
        net.feed_forward(x, regularizers=[manager])["out:out"]
        != net.feed_forward(x)["out:out"]
    ).any()
    manager.weights.update({"dropout": 0, "noise": 0})
    calm = net.feed_forward(x, regularizers=[manager])
    np.testing.assert_array_equal(calm["out:out"], net.feed_forward(x)["out:out"])


def test_theanets_graphs_of_two_managers_are_not_confused(theanets):
    # theanets keys its graphs by class, pattern and weight of the regularizers
    net = theanets.Classifier([4, 16, 2], rng=1)
    x, _ = data()
    one, other = (
        regplug.compose(["dropout=0.5@hid1:out"], seed=seed) for seed in (1, 2)
    )
    values = [
        net.feed_forward(x, regularizers=[manager])["hid1:out"]
        for manager in (one, other)
    ]
    assert (values[0] != values[1]).any()


def test_theanets_alias_of_a_linear_layer_is_regularized_once(theanets):
    net = theanets.Regressor([4, (3, "linear"), 2], rng=1)

    class Times(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            return value * 10

    x, _ = data()
    clean = net.feed_forward(x)
    changed = net.feed_forward(x, regularizers=[regplug.compose([Times("hid1:*")])])
    np.testing.assert_allclose(changed["hid1:out"], 10 * clean["hid1:out"])
    np.testing.assert_allclose(changed["hid1:pre"], 10 * clean["hid1:pre"])


def test_theanets_change_of_pre_reaches_out(theanets):
    # with theanets' own regularizers it does not
    net = theanets.Regressor([4, (3, "tanh"), 2], rng=1)

    class Zero(Regularizer):
        @hookimpl
        def modify_graph(self, value):
            return value * 0

    x, _ = data()
    assert not net.feed_forward(x, regularizers=[regplug.compose([Zero("hid1:pre")])])[
        "hid1:out"
    ].any()


def test_theanets_pattern_that_matches_nothing_is_an_error(theanets):
    net = theanets.Classifier([4, 16, 2], rng=1)
    with pytest.raises(
        regplug.NoMatchError,
        match="dropout: pattern 'hidden1:out' matches none of .* Nearest:",
    ):
        losses(net, 1, regularizers=[regplug.compose(["dropout=0.5@hidden1:out"])])


def test_theanets_recurrent_network_is_regularized(theanets):
    import theano

    net = theanets.recurrent.Regressor([2, ("rnn", 5), 1], rng=1)
    manager = regplug.compose(
        ["dropout=0.5@in:out", "recurrent_state=0.1@hid1:out"], seed=7
    )
    loss = theano.function(net.variables, net.loss(regularizers=[manager]))
    x = np.ones((3, 7, 2))
    values = [float(loss(x, np.zeros((3, 7, 1)))) for _ in range(2)]
    assert np.isfinite(values).all()
    assert values[0] != values[1]
