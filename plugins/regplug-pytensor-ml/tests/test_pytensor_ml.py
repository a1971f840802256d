"""Models of pytensor-ml: names, training, prediction, checkpoints."""

import sys

import numpy as np
import pytest

import regplug
from regplug import ModelError, hookimpl
from regplug.errors import RegplugWarning

if sys.version_info < (3, 12):
    pytest.skip("pytensor-ml needs Python 3.12", allow_module_level=True)

import pytensor
import pytensor.tensor as pt
import pytensor_ml
from click.testing import CliRunner
from pytensor.compile.mode import Mode
from pytensor.graph.basic import equal_computations
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors
from pytensor_ml import load_state, save_state
from pytensor_ml.activations import ReLU, Softmax
from pytensor_ml.layers import (
    GRU,
    BatchNorm,
    Conv2D,
    Dropout,
    DropoutLayer,
    Flatten,
    Input,
    Linear,
    Sequential,
    TransformerBlock,
)
from pytensor_ml.loss import CrossEntropy, SquaredError
from pytensor_ml.model import Model
from pytensor_ml.models import ResnetBlock2D
from pytensor_ml.optim import adam, chain, clip_by_global_norm, cosine_schedule, sgd
from pytensor_ml.pytensorf import collect_optimizer_state, collect_shared_variables
from pytensor_ml.util import DataLoader
from regplug_pytensor_ml import PytensorML

from regplug.cli.plan import command as plan

pytestmark = pytest.mark.filterwarnings(
    "ignore:PyTensor could not link to a BLAS:UserWarning"
)
# Python runs a fused loop by number
UNFUSED = {"mode": Mode(linker="py", optimizer="fast_run").excluding("fusion")}
COMPOSITION = [
    ("weight_l2", {"pattern": "*.W", "weight": 1e-3}),
    ("hidden_l1", 1e-3),
    ("dropout", 0.5),
]


@pytest.fixture(autouse=True)
def python_mode():
    """Compile for Python, inner graphs too."""
    with pytensor.config.change_flags(linker="py", cxx=""):
        yield


def mlp(*more, n_hidden=6):
    """Return a model with one hidden layer, its seed fixed."""
    network = Sequential(
        Linear("fc", n_in=4, n_out=n_hidden),
        ReLU(),
        *more,
        Linear("logits", n_in=n_hidden, n_out=2),
    )
    return Model(
        network(Input("X", shape=(None, 4))), compile_kwargs=UNFUSED
    ).initialize(seed=0)


def data(rows=8):
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, 4)), rng.normal(size=(rows, 2))


def compute(outputs, givens):
    function = pytensor.function(list(givens), outputs, on_unused_input="ignore")
    return function(*givens.values())


def inputs_of(model):
    return [v for v in regplug.as_model(model).outputs.values() if v.owner is None]


# names


def test_names_are_the_librarys_own():
    model = regplug.as_model(mlp())
    assert list(model.outputs) == ["X:out", "fc:out", "fc:ReLU", "logits:out"]
    assert list(model.params) == ["fc.W", "fc.b", "logits.W", "logits.b"]
    assert {name: param.name for name, param in model.params.items()}["fc.W"] == "fc_W"


def test_units_and_channels_are_on_the_last_axis():
    assert regplug.as_model(mlp()).unit_axis == {
        "X:out": 1,
        "fc:out": 1,
        "fc:ReLU": 1,
        "logits:out": 1,
        "fc.W": 1,
        "fc.b": None,
        "logits.W": 1,
        "logits.b": None,
    }


def test_norms_of_kernels_are_those_of_filters():
    X = Input("X", shape=(None, 8, 8, 2))
    conv = Conv2D("conv", in_channels=2, out_channels=4, kernel_size=3)
    model = Model(Sequential(conv, ReLU())(X))
    result = regplug.compose(["unit_norm", "spatial_dropout=0.5@conv:ReLU"]).apply(
        model
    )
    W = regplug.as_model(model).params["conv.W"]
    value = np.random.default_rng(1).normal(size=(3, 3, 2, 4))
    updated = pytensor.function([], result.constrain({W: value})[W])()
    np.testing.assert_allclose((updated**2).sum(axis=(0, 1, 2)), 1)
    x = np.ones((2, 8, 8, 2), X.dtype)
    W.set_value(np.ones((3, 3, 2, 4), W.dtype))
    train = pytensor.function([X], result.outputs["conv:ReLU"], updates=result.updates)
    is_off = train(x) == 0
    assert 0 < is_off.mean() < 1
    assert (is_off == is_off[:, :1, :1]).all()


def test_roles_take_the_activation_of_a_layer():
    model = regplug.as_model(mlp())
    assert model.roles == {
        "@input": {"X:out"},
        "@hidden": {"fc:ReLU"},
        "@output": {"logits:out"},
    }
    assert [layer.name for layer in model.layers] == ["X", "fc", "logits"]
    assert [param.name for param in model.layers[1].params] == ["fc_W", "fc_b"]


def test_layers_of_one_name_are_numbered_together_with_their_parameters():
    X = Input("X", shape=(None, 4))
    network = Sequential(
        Linear(n_in=4, n_out=4, bias=False), ReLU(), Linear(n_in=4, n_out=4), ReLU()
    )
    model = regplug.as_model(Model(network(X)))
    assert list(model.outputs) == [
        "X:out",
        "Linear:out",
        "Linear:ReLU",
        "Linear#2:out",
        "Linear#2:ReLU",
    ]
    assert list(model.params) == ["Linear.W", "Linear#2.W", "Linear#2.b"]


def test_layer_that_is_applied_twice_keeps_one_parameter():
    X = Input("X", shape=(None, 4))
    layer = Linear("tied", n_in=4, n_out=4)
    model = regplug.as_model(Model(layer(layer(X))))
    assert list(model.outputs) == ["X:out", "tied:out", "tied#2:out"]
    assert list(model.params) == ["tied.W", "tied.b"]


def dense(name=None):
    return Linear(name, n_in=4, n_out=4)


def owned(model):
    """Return the names of each layer's outputs and parameters, by layer."""
    seen = regplug.as_model(model)
    names = {param: name for name, param in seen.params.items()}
    return {
        layer.name: [*layer.outputs, *(names[param] for param in layer.params)]
        for layer in seen.layers
    }


def test_number_that_a_layer_has_as_its_name_is_passed_over():
    model = Model(
        Sequential(dense("fc"), dense("fc#2"), dense("fc"))(Input("X", shape=(None, 4)))
    )
    names = {
        name: [f"{name}:out", f"{name}.W", f"{name}.b"]
        for name in ("fc", "fc#2", "fc#3")
    }
    assert owned(model) == {"X": ["X:out"], **names}


def test_layer_after_a_tied_one_has_its_own_number():
    tied, last = dense(), dense()
    model = Model(last(tied(tied(Input("X", shape=(None, 4))))))
    assert owned(model) == {
        "X": ["X:out"],
        "Linear": ["Linear:out", "Linear.W", "Linear.b"],
        "Linear#2": ["Linear#2:out"],
        "Linear#3": ["Linear#3:out", "Linear#3.W", "Linear#3.b"],
    }
    assert regplug.as_model(model).params["Linear#3.W"] is last.W


def test_layer_without_parameters_counts():
    network = Sequential(BatchNorm(n_in=4, affine=False), BatchNorm(n_in=4))
    assert owned(Model(network(Input("X", shape=(None, 4))))) == {
        "X": ["X:out"],
        "BatchNorm": ["BatchNorm:out"],
        "BatchNorm#2": ["BatchNorm#2:out", "BatchNorm#2.loc", "BatchNorm#2.scale"],
    }


def test_layer_of_the_name_of_an_input_is_another_one():
    model = Model(dense("X")(Input("X", shape=(None, 4))))
    assert owned(model) == {"X": ["X:out"], "X#2": ["X#2:out", "X#2.W", "X#2.b"]}


def test_parameters_of_a_layer_whose_output_has_another_name_are_in_no_layer():
    first, second = dense(), dense()
    hidden = first(Input("X", shape=(None, 4)))
    hidden.name = "hidden"
    model = Model(second(hidden))
    assert owned(model)["hidden"] == ["hidden:out"]
    assert owned(model)["Linear"] == ["Linear:out", "Linear.W", "Linear.b"]
    seen = regplug.as_model(model).params
    assert (seen["Linear.W"], seen["Linear#2.W"], seen["Linear#2.b"]) == (
        second.W,
        first.W,
        first.b,
    )


def test_parameters_of_a_layer_whose_output_has_no_name_are_in_no_layer():
    first, second = dense(), dense()
    hidden = first(Input("X", shape=(None, 4)))
    hidden.name = None
    seen = regplug.as_model(Model(second(hidden))).params
    assert (seen["Linear.W"], seen["Linear#2.W"]) == (second.W, first.W)


def test_activation_of_two_layers_is_a_layer_of_its_own():
    X = Input("X", shape=(None, 4))
    both = Linear("left", n_in=4, n_out=3)(X) + Linear("right", n_in=4, n_out=3)(X)
    model = regplug.as_model(Model(Softmax()(ReLU()(both))))
    assert set(model.outputs) == {
        "X:out",
        "left:out",
        "right:out",
        "ReLU:out",
        "ReLU:Softmax",
    }
    assert model.roles["@output"] == {"ReLU:Softmax"}


def test_result_without_a_name_is_an_output():
    model = Model(Linear("fc", n_in=4, n_out=1)(Input("X", shape=(None, 4)))[:, 0])
    assert regplug.as_model(model).outputs["output:out"] is model.y


def test_running_statistics_are_no_parameters():
    params = regplug.as_model(mlp(BatchNorm("bn", n_in=6))).params
    assert {"bn.loc", "bn.scale"} < set(params)
    assert not [name for name in params if "running" in name]


def test_own_dropout_is_no_output_and_stays_in_the_training_graph():
    model = mlp(Dropout("drop", p=0.5, random_state=0))
    assert not [
        name for name in regplug.as_model(model).outputs if "drop" in name.lower()
    ]
    result = regplug.compose(["dropout=0.5@*:ReLU", "weight_l2=0.1@*.W"]).apply(model)
    for y in (model.y, result.outputs["logits:out"]):
        assert [
            v
            for v in ancestors([y])
            if v.owner and isinstance(v.owner.op, DropoutLayer)
        ]


# numbers


def residual():
    block = TransformerBlock("block", d_model=4, n_head=2, mlp_ratio=2)
    return (
        Model(Linear("head", n_in=4, n_out=2)(block(Input("X", shape=(None, 3, 4))))),
        (2, 3, 4),
        "block_ff:out",
    )


def convolution():
    X = Input("X", shape=(None, 6, 6, 2))
    network = Sequential(
        Conv2D("conv", in_channels=2, out_channels=4, kernel_size=3),
        BatchNorm("bn", n_in=4),
        ReLU(),
        ResnetBlock2D("res", in_channels=4, n_groups=2),
        Flatten,
        Linear("head", n_in=64, n_out=2),
    )
    return Model(network(X)), (2, 6, 6, 2), "bn:ReLU"


def recurrent():
    states = GRU("gru", n_in=3, n_hidden=4)(Input("X", shape=(None, 5, 3)))
    return Model(Linear("head", n_in=4, n_out=2)(states[:, -1])), (2, 5, 3), "gru:out"


@pytest.mark.parametrize("build", [mlp, residual, convolution, recurrent])
def test_numbers_equal_those_of_a_mapping(build):
    model, shape, hidden = (mlp(), (2, 4), "fc:ReLU") if build is mlp else build()
    model.initialize(seed=0)
    weight_l2 = ("weight_l2", {"pattern": "*.W*", "weight": 0.1})
    composition = [weight_l2, f"hidden_l1=0.1@{hidden}", f"dropout=0.5@{hidden}"]
    seen = regplug.as_model(model)
    one = regplug.compose(composition, seed=3).apply(model)
    other = regplug.compose(composition, seed=3).apply(
        dict(seen.outputs), params=dict(seen.params)
    )
    assert one.matches == other.matches
    last = next(name for name, variable in seen.outputs.items() if variable is model.y)
    x = np.random.default_rng(0).normal(size=shape)
    outputs = [
        one.outputs[last],
        other.outputs[last],
        one.loss,
        other.loss,
        one.clean[last],
    ]
    first, second, loss, same_loss, clean = compute(outputs, {seen.outputs["X:out"]: x})
    np.testing.assert_array_equal(first, second)
    assert loss == same_loss > 0
    assert not np.allclose(first, clean)
    assert one.clean[last] is model.y


def test_readme_quickstart_trains_with_penalties_and_dropout():
    from sklearn.datasets import load_digits

    digits, y = load_digits(return_X_y=True)
    with pytensor.config.change_flags(floatX="float32"):
        X, onehot = (digits / 16).astype("float32"), np.eye(10, dtype="float32")[y]
        X_in = Input("X_in", shape=(None, 64))
        network = Sequential(
            Linear("fc1", n_in=64, n_out=32),
            ReLU(),
            Linear("logits", n_in=32, n_out=10),
        )
        model = Model(network(X_in), compile_kwargs=UNFUSED).initialize(seed=0)
        manager = regplug.compose(
            ["dropout=0.2@fc1:ReLU", "weight_l2=1e-3@*.W", "hidden_l1=1e-3"], seed=7
        )
        result = manager.apply(model)
        rule = chain(
            clip_by_global_norm(1.0),
            adam(learning_rate=cosine_schedule(1e-2, total_steps=100)),
        )
        loss_fn = CrossEntropy(
            expect_onehot_labels=True, expect_logits=True, reduction="mean"
        )
        step = PytensorML.compile_train(
            model, result, rule, loss_fn, extra_outputs=list(result.terms.values())
        )
        predict = PytensorML.compile_predict(model, result)
        loader = DataLoader(X, onehot, batch_size=64, random_state=0)
        losses, *terms = np.array([step(*loader()) for _ in range(60)]).T
    assert losses[-10:].mean() < 0.5 * losses[:10].mean()
    assert [(term > 0).all() for term in terms] == [True, True]
    assert manager.state()["step"] == 60
    assert np.array_equal(predict(X[:20]), predict(X[:20]))
    np.testing.assert_allclose(predict(X[:20]), model.predict(X[:20]), rtol=1e-6)
    assert (predict(X).argmax(axis=-1) == y).mean() > 0.8


def test_penalty_is_added_to_the_loss_function():
    model = mlp()
    manager = regplug.compose(
        [("weight_l2", {"pattern": "fc.W", "weight": 0.5, "reduction": "sum"})]
    )
    step = PytensorML.compile_train(
        model, manager.apply(model), sgd(0.1), SquaredError()
    )
    x, t = data()
    penalty = 0.5 * (regplug.as_model(model).params["fc.W"].get_value() ** 2).sum()
    data_loss = ((compute(model.y, {inputs_of(model)[0]: x}) - t) ** 2).mean()
    np.testing.assert_allclose(step(x, t), data_loss + penalty)


def test_loss_that_is_built_already_gets_the_penalty():
    model = mlp()
    result = regplug.compose(
        [("weight_l2", {"weight": 0.5, "pattern": "*.W", "reduction": "sum"})]
    ).apply(model)
    t = pt.matrix("t")
    loss = ((result.outputs["logits:out"] - t) ** 2).mean()
    inputs = [*inputs_of(model), t]
    step = PytensorML.compile_train(model, result, sgd(0.1), loss=loss, inputs=inputs)
    x, y = data()
    expected = compute(loss + result.loss, dict(zip(inputs, (x, y), strict=True)))
    np.testing.assert_allclose(step(x, y), expected)


def test_both_kinds_of_loss_are_refused():
    model = mlp()
    result = regplug.compose(["dropout=0.5"]).apply(model)
    with pytest.raises(ModelError, match="one of loss_fn and loss"):
        PytensorML.compile_train(model, result, sgd(0.1))
    with pytest.raises(ModelError, match="one of loss_fn and loss"):
        PytensorML.compile_train(
            model, result, sgd(0.1), SquaredError(), loss=result.loss
        )


def test_constraints_of_the_composition_hold_after_a_step():
    class Small(regplug.Regularizer):
        """Keep parameters within [-0.1, 0.1]."""

        targets = "params"

        @hookimpl
        def constrain(self, matched):
            return {name: w.clip(-0.1, 0.1) for name, w in matched.items()}

    model = mlp()
    result = regplug.compose([Small(pattern="fc.W")]).apply(model)
    PytensorML.compile_train(model, result, sgd(0.1), SquaredError())(*data())
    values = {
        name: param.get_value()
        for name, param in regplug.as_model(model).params.items()
    }
    assert abs(values["fc.W"]).max() <= 0.1 < abs(values["logits.W"]).max()


def test_change_that_applies_always_is_in_the_prediction():
    class Halved(regplug.Regularizer):
        """Halve an output, in training and in prediction."""

        applies = "always"

        @hookimpl
        def modify_graph(self, value):
            return value / 2

    model = mlp()
    result = regplug.compose([Halved(pattern="logits:out")]).apply(model)
    x, _ = data()
    predict = PytensorML.compile_predict(model, result)
    np.testing.assert_allclose(
        predict(x), compute(model.y, {inputs_of(model)[0]: x}) / 2
    )


# the step


def test_step_advances_without_updates():
    model = mlp()
    manager = regplug.compose(["dropout=0.5"], seed=1)
    result = manager.apply(model)
    function = pytensor_ml.function(inputs_of(model), result.outputs["fc:ReLU"])
    x, _ = data(32)
    first, second = function(x), function(x)
    assert manager.state()["step"] == 2
    assert not np.array_equal(first == 0, second == 0)


def test_training_continues_at_the_step_of_a_restored_manager():
    model = mlp()
    manager = regplug.compose(["dropout=0.5"], seed=1)
    manager.restore({"seed": 1, "step": 5, "weights": {"dropout": 0.5}})
    step = PytensorML.compile_train(
        model, manager.apply(model), sgd(0.1), SquaredError()
    )
    step(*data())
    assert manager.state()["step"] == 6


def test_counters_that_disagree_are_refused_by_name():
    model = mlp()
    manager = regplug.compose(["dropout=0.5"])
    manager.restore({"seed": 0, "step": 5, "weights": {"dropout": 0.5}})
    result = manager.apply(model)
    with pytest.raises(
        ModelError, match=r"counters .* disagree: regplug.step = 5, .*step_count = 0"
    ):
        PytensorML.compile_train(model, result, adam(1e-3), SquaredError())


def test_manager_whose_step_is_in_another_graph_is_refused():
    manager = regplug.compose(["dropout=0.5@h"])
    x = pt.matrix("x")
    h = 2 * x
    h.name = "h"
    manager.apply({"h": h})
    with pytest.raises(
        ModelError, match="needs a StepCounter: compose a manager of its own"
    ):
        manager.apply(Model(h))


def test_checkpoint_continues_with_the_same_masks(tmp_path):
    x, t = data()

    def run(steps, path, *, restore=False):
        model = mlp(Dropout("drop", p=0.2, random_state=1))
        manager = regplug.compose(COMPOSITION, seed=4)
        result = manager.apply(model)
        loss = ((result.outputs["logits:out"] - t) ** 2).mean() + result.loss
        updates = adam(1e-2)(loss, model.weights)
        shared = [
            *collect_shared_variables(loss),
            *collect_optimizer_state(updates, model.weights),
        ]
        if restore:
            load_state(shared, path)
        inputs = inputs_of(model)
        step = PytensorML.compile_train(
            model, result, updates, loss=loss - result.loss, inputs=inputs
        )
        losses = [float(step(x)) for _ in range(steps)]
        save_state(shared, path)
        return losses, manager.state()["step"]

    unbroken, _ = run(6, tmp_path / "unbroken.safetensors")
    before, _ = run(3, tmp_path / "half.safetensors")
    after, step = run(3, tmp_path / "half.safetensors", restore=True)
    assert before + after == unbroken
    assert step == 6


# the model's own updates


def test_running_statistics_are_those_of_the_dropped_layer():
    model = mlp(
        BatchNorm("bn", n_in=6, momentum=0.25), Dropout("drop", p=0.2, random_state=1)
    )
    result = regplug.compose(["dropout=0.5@fc:ReLU"], seed=7).apply(model)
    params = regplug.as_model(model).params
    statistics = {
        v.name: v for v in ancestors([model.y]) if v.name and "running" in v.name
    }
    step = PytensorML.compile_train(model, result, sgd(0.1), SquaredError())
    x, t = data()
    mean, variance = np.zeros(6), np.ones(6)
    for number in range(3):
        hidden = np.maximum(
            x @ params["fc.W"].get_value() + params["fc.b"].get_value(), 0
        )
        keep = regplug.noise.reference.keep(
            7, "dropout", "fc:ReLU", hidden.shape, number, 0.5
        )
        mean = 0.75 * mean + 0.25 * (2 * hidden * keep).mean(axis=0)
        variance = 0.75 * variance + 0.25 * (2 * hidden * keep).var(axis=0)
        step(x, t)
    np.testing.assert_allclose(statistics["bn_running_mean"].get_value(), mean)
    np.testing.assert_allclose(statistics["bn_running_var"].get_value(), variance)


def test_generator_advances_by_the_draw_from_the_dropped_layer():
    X = Input("X", shape=(None, 4))
    hidden = Linear("fc", n_in=4, n_out=6)(X)
    rng = pytensor.shared(np.random.default_rng(5), name="counts.rng")
    _, counts = pt.random.poisson(pt.exp(hidden), rng=rng, return_next_rng=True)
    model = Model(counts * 1.0).initialize(seed=0)
    # and warns of nothing
    result = regplug.compose(["dropout=0.5@fc:out"], seed=7).apply(model)
    sample = pytensor_ml.function(
        [X], result.outputs["output:out"], mode=UNFUSED["mode"]
    )
    x, _ = data()
    numpy, fc = np.random.default_rng(5), compute(hidden, {X: x})
    for number in range(3):
        keep = regplug.noise.reference.keep(
            7, "dropout", "fc:out", fc.shape, number, 0.5
        )
        np.testing.assert_array_equal(sample(x), numpy.poisson(np.exp(2 * fc * keep)))


# plans and warnings


def test_plan_takes_the_model(tmp_path, monkeypatch):
    lines = [
        "from pytensor_ml.activations import ReLU",
        "from pytensor_ml.layers import Input, Linear, Sequential",
        "from pytensor_ml.model import Model",
        "fc = Linear('fc', n_in=4, n_out=6)",
        "network = Sequential(fc, ReLU(), Linear('logits', n_in=6, n_out=2))",
        "model = Model(network(Input('X', shape=(None, 4))))",
    ]
    (tmp_path / "planned_network.py").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        plan, ["planned_network:model", "-r", "dropout=0.5", "-r", "weight_l2=1e-4@*.W"]
    )
    assert result.exit_code == 0, result.output
    for name in ("fc:ReLU", "fc.W", "logits.W"):
        assert name in result.output


def test_match_that_the_loss_does_not_depend_on_warns_by_name():
    model = mlp()
    result = regplug.compose(["dropout=0.5@logits:out"]).apply(model)
    loss = result.outputs["fc:ReLU"].mean()
    parameters = [
        param
        for name, param in regplug.as_model(model).params.items()
        if name.startswith("fc")
    ]
    model.y = result.outputs["fc:ReLU"]
    assert set(model.weights) == set(parameters)
    with pytest.warns(
        RegplugWarning, match="dropout: the loss does not depend on 'logits:out'"
    ):
        PytensorML.compile_train(
            model, result, sgd(0.1), loss=loss, inputs=inputs_of(model)
        )


def test_model_is_left_as_it_was():
    model = mlp()
    y, (copy,) = model.y, clone_replace([model.y], {})
    regplug.compose(COMPOSITION).apply(model)
    assert model.y is y
    assert equal_computations([y], [copy])
