"""Noise sites: what the masks of a composition depend on, and what not."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import regplug
from regplug import OptionError, Regularizer, hookimpl
from regplug.noise import reference
from regplug.testing import evaluate, function

ONES = np.ones((6, 8))


class Add(Regularizer):
    """Add normal noise in a loss, drawn where it is told."""

    weight = 1.0
    where: str | None = None

    @hookimpl
    def loss(self, matched, noise):
        ((_, h),) = matched.items()
        source = noise.at(self.where) if self.where else noise
        return source.normal(h).sum()


def outputs_of(T, names=("a:out", "b:out")):
    x = T.matrix("x", dtype="float64")
    return x, {name: x * (index + 1) for index, name in enumerate(names)}


def masks(T, regularizers, seed=7, names=("a:out", "b:out")):
    """Return which entries of each output are not zero."""
    x, outputs = outputs_of(T, names)
    result = regplug.compose(regularizers, seed=seed).apply(outputs)
    values = evaluate([result.outputs[name] for name in names], {x: ONES})
    return {name: value != 0 for name, value in zip(names, values, strict=True)}


def expected(name, output, seed=7, step=0, rate=0.5, k=0, draw=0):
    return reference.keep(seed, name, output, ONES.shape, step, rate, draw=draw, k=k)


def test_masks_are_those_of_the_reference(T):
    found = masks(T, ["dropout=0.5@*"])
    np.testing.assert_array_equal(found["a:out"], expected("dropout", "a:out"))
    np.testing.assert_array_equal(found["b:out"], expected("dropout", "b:out"))
    assert (found["a:out"] != found["b:out"]).any()


def test_masks_depend_on_the_seed(T):
    for seed in (0, 8):
        np.testing.assert_array_equal(
            masks(T, ["dropout=0.5@*"], seed)["a:out"],
            expected("dropout", "a:out", seed),
        )


@pytest.mark.parametrize(
    "others",
    [
        ["noise=0.1@*", "dropout=0.5@a:out"],
        ["dropout=0.5@a:out", "noise=0.1@*"],
        ["dropout=0.5@a:out", "weight_l1=0@*", "hidden_l1=0.1@*"],
        [("dropout", {"weight": 0.25, "pattern": "b:out"}), "dropout=0.5@a:out"],
        [
            ("dropout", {"weight": 0.25, "pattern": "a:out", "name": "other"}),
            "dropout=0.5@a:out",
        ],
        [Add("*:out", name="extra", optional=True, where="a:out"), "dropout=0.5@a:out"],
    ],
)
def test_masks_do_not_change_with_other_regularizers(others, T, engine):
    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.ones((8, 8)), name="w")
    # a:out only, so that Add has the one output that it wants; noise is undone to see the mask
    outputs = {"a:out": T.dot(x, w)} if any(isinstance(each, Add) for each in others) else {
        "a:out": T.dot(x, w), "b:out": x * 2,
    }  # fmt: skip
    manager = regplug.compose(others, seed=7)
    result = manager.apply(outputs)
    manager.weights.update(
        {
            label: 0
            for label in manager.weights
            if label != "dropout" and label != "dropout#2"
        }
    )
    if "dropout#2" in manager.weights:
        manager.weights["dropout"] = 0
    value = evaluate(result.outputs["a:out"], {x: ONES})
    np.testing.assert_array_equal(value != 0, expected("dropout", "a:out"))


class Look(Regularizer):
    """Drop entries; evaluate the mask while the graph is made, and fail where told."""

    weight = 0.5
    seen: ClassVar[list] = []
    fails: ClassVar[bool] = False

    @hookimpl
    def modify_graph(self, name, value, noise):
        mask = noise.keep(value, 0.5)
        self.seen.append(evaluate(mask, {value.owner.inputs[0]: ONES}))
        if self.fails:
            raise KeyError(name)
        return value * mask


def test_keys_are_there_at_once_and_right_after_a_failure(T, monkeypatch):
    monkeypatch.setattr(Look, "seen", [])
    manager = regplug.compose([Look("*"), "noise=0@*"], seed=7)
    x, outputs = outputs_of(T)
    monkeypatch.setattr(Look, "fails", True)
    with pytest.raises(regplug.RegularizerError, match="look"):
        manager.apply(outputs)
    monkeypatch.setattr(Look, "fails", False)
    result = manager.apply(outputs)
    again = manager.apply({"c:out": x * 3})
    for found, name in zip(Look.seen[1:], ("a:out", "b:out", "c:out"), strict=True):
        np.testing.assert_array_equal(found, expected("look", name))
    value, other = evaluate(
        [result.outputs["b:out"], again.outputs["c:out"]], {x: ONES}
    )
    np.testing.assert_array_equal(value != 0, expected("look", "b:out"))
    np.testing.assert_array_equal(other != 0, expected("look", "c:out"))
    keys = [reference.site_key(7, *site) for site in manager._run_state._sites]
    np.testing.assert_array_equal(manager._run_state.keys.get(), keys)


def test_keys_of_many_sites_are_moved_a_few_times_only(engine):
    live = regplug.compose([], seed=7)._run_state
    live.engine, tables = engine, []
    for number in range(3000):
        assert live.key_index(("dropout", "a:out", 0, number)) == number
        table = live.keys.variable.get_value(borrow=True)
        if not any(table is each for each in tables):
            tables.append(table)
    assert len(tables) < 12
    live.publish_keys()
    assert live.keys.get().shape == (3000, 2)
    np.testing.assert_array_equal(
        live.keys.get()[2999], reference.site_key(7, "dropout", "a:out", 0, 2999)
    )


def test_masks_of_the_same_name_on_the_same_output_differ_by_k(T):
    found = masks(T, ["dropout=0.5@a:out", "dropout=0.25@*"])
    first, second = (
        expected("dropout", "a:out"),
        expected("dropout", "a:out", rate=0.25, k=1),
    )
    np.testing.assert_array_equal(found["a:out"], first & second)
    np.testing.assert_array_equal(
        found["b:out"], expected("dropout", "b:out", rate=0.25)
    )


def test_masks_go_by_the_name_that_is_given(T):
    given = [
        ("dropout", {"weight": 0.5, "pattern": "a:out", "name": "first"}),
        "dropout=0.5@b:out",
    ]
    found = masks(T, given)
    np.testing.assert_array_equal(found["a:out"], expected("first", "a:out"))
    np.testing.assert_array_equal(found["b:out"], expected("dropout", "b:out"))


def test_masks_go_by_the_name_of_a_shared_variable_that_sorts_first(T):
    x = T.matrix("x", dtype="float64")
    y = x * 2
    result = regplug.compose(["dropout=0.5@y:pre"], seed=7).apply(
        {"y:pre": y, "y:out": y, "z:out": y}
    )
    value = evaluate(result.outputs["z:out"], {x: ONES})
    np.testing.assert_array_equal(value != 0, expected("dropout", "y:out"))


def test_each_call_of_the_source_is_a_new_draw(T):
    class Twice(Regularizer):
        @hookimpl
        def modify_graph(self, value, noise):
            return T.switch(noise.keep(value, 0.5), value * 0 + 1, 0) + T.switch(
                noise.keep(value, 0.5), value * 0 + 2, 0
            )

    x, outputs = outputs_of(T)
    value = evaluate(
        regplug.compose([Twice("*")], seed=7).apply(outputs).outputs["b:out"], {x: ONES}
    )
    draws = [expected("twice", "b:out", draw=draw) for draw in (0, 1)]
    np.testing.assert_array_equal(value, draws[0] + 2.0 * draws[1])


def test_masks_advance_with_the_step_and_only_with_it(T):
    x, outputs = outputs_of(T)
    manager = regplug.compose(["dropout=0.5@a:out"], seed=7)
    result = manager.apply(outputs)
    train = function([x], result.outputs["a:out"], updates=result.updates)
    look = function([x], result.outputs["a:out"])
    for step in range(3):
        np.testing.assert_array_equal(
            look(ONES) != 0, expected("dropout", "a:out", step=step)
        )
        np.testing.assert_array_equal(
            look(ONES) != 0, expected("dropout", "a:out", step=step)
        )
        np.testing.assert_array_equal(
            train(ONES) != 0, expected("dropout", "a:out", step=step)
        )
    assert manager.state()["step"] == 3


def test_one_step_counts_for_all_models_of_a_manager(T):
    manager = regplug.compose(["dropout=0.5@a:out"], seed=7)
    (x, outputs), (y, others) = outputs_of(T), outputs_of(T)
    first, second = manager.apply(outputs), manager.apply(others)
    assert list(first.updates) == list(second.updates)
    function([x], first.outputs["a:out"], updates=first.updates)(ONES)
    value = evaluate(second.outputs["a:out"], {y: ONES})
    np.testing.assert_array_equal(value != 0, expected("dropout", "a:out", step=1))


def test_updates_are_empty_where_nothing_draws(T):
    x, outputs = outputs_of(T)
    assert regplug.compose(["hidden_l1=1@*"]).apply(outputs).updates == {}
    assert list(regplug.compose(["noise=1@*"]).apply(outputs).updates.values()) != []


def test_noise_in_a_loss_is_at_the_regularizer_or_at_an_output(T):
    x, outputs = outputs_of(T, ("a:out",))
    for where, site in ((None, ""), ("a:out", "a:out")):
        result = regplug.compose([Add("a:out", where=where)], seed=7).apply(outputs)
        value = evaluate(result.loss, {x: ONES})
        draw = reference.normal(7, "add", site, ONES.shape, 0, dtype="float64")
        assert value == pytest.approx(draw.sum())
        assert result.updates


def test_noise_in_a_loss_is_the_same_in_the_clean_loss(T):
    x, outputs = outputs_of(T, ("a:out",))
    result = regplug.compose([Add("a:out")], seed=7).apply(outputs)
    loss, clean = evaluate([result.loss, result.clean_loss], {x: ONES})
    assert loss == clean


def test_row_offset_draws_the_rows_of_the_whole_batch(T):
    x, outputs = outputs_of(T)
    manager = regplug.compose(["dropout=0.5@a:out"], seed=7)
    compiled = function([x], manager.apply(outputs).outputs["a:out"])
    whole = compiled(ONES)
    assert manager.row_offset == 0
    for start in (0, 2, 5):
        manager.row_offset = start
        np.testing.assert_array_equal(compiled(ONES[start:]), whole[start:])
    assert manager.row_offset == 5


def test_row_offset_counts_in_a_loss_at_an_output(T):
    x = T.matrix("x", dtype="float64")
    for where, name, output in (("a:out", "add", "a:out"), (None, "add", "")):
        manager = regplug.compose([Add("a:out", where=where)], seed=7)
        manager.row_offset = 5
        loss = manager.apply({"a:out": x}).loss
        normal = reference.normal(
            7, name, output, ONES.shape, 0, dtype="float64", row_offset=5
        )
        np.testing.assert_allclose(evaluate(loss, {x: ONES}), normal.sum(), rtol=1e-9)


@pytest.mark.parametrize("value", [-1, 1.5, "3", True, None, 2**63])
def test_row_offset_is_an_integer_from_0(value):
    manager = regplug.compose([])
    with pytest.raises(OptionError, match="row_offset .* is no integer from 0"):
        manager.row_offset = value
    assert manager.row_offset == 0


def test_row_offset_does_not_count_for_parameters(engine, T):
    class WeightNoise(Regularizer):
        targets = "params"

        @hookimpl
        def modify_graph(self, value, noise):
            return value + noise.normal(value)

    x = T.matrix("x", dtype="float64")
    w = engine.shared(np.zeros((3, 2)), name="w")
    manager = regplug.compose([WeightNoise()], seed=7)
    result = manager.apply({"y:out": T.dot(x, w)})
    manager.row_offset = 2
    value = evaluate(result.outputs["y:out"], {x: np.eye(3)})
    np.testing.assert_allclose(
        value,
        reference.normal(7, "weight_noise", "w", (3, 2), 0, "float64"),
        rtol=1e-14,
    )


def test_noise_of_an_integer_output_is_refused_by_name(T):
    x = T.matrix("x", dtype="int64")
    for name in ("dropout", "noise"):
        with pytest.raises(
            regplug.RegularizerError,
            match=rf"^{name} \(regplug-noise .*, modify_graph, x:out\): ",
        ):
            regplug.compose([f"{name}=0.5@x:out"]).apply({"x:out": x})


def test_noise_of_two_penalties_of_one_name_differs_by_k(engine, T):
    class Draws(Regularizer):
        weight = 1.0

        @hookimpl
        def loss(self, matched, noise):
            ((name, h),) = matched.items()
            return (noise.uniform(h) + 10 * noise.at(name).uniform(h)).sum()

    x = T.vector("x", dtype="float64")
    manager = regplug.compose([Draws("h:out"), Draws("h:out")], seed=7)
    values = evaluate(
        list(manager.apply({"h:out": x * 1}).terms.values()), {x: np.zeros(5)}
    )
    for k, value in enumerate(values):
        own, at = (
            reference.uniform(7, "draws", output, (5,), 0, "float64", k=k)
            for output in ("", "h:out")
        )
        np.testing.assert_allclose(value, (own + 10 * at).sum(), rtol=1e-12)
