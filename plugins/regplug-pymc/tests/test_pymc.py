"""Models of PyMC: penalties are priors."""

import sys

import numpy as np
import pytest

import regplug
from regplug import CompositionError, ModelError, Regularizer, hookimpl
from regplug.authoring.regularizer import uses_weight
from regplug.errors import RegplugWarning

if sys.version_info < (3, 12):
    pytest.skip("PyMC 6 needs Python 3.12", allow_module_level=True)

import pymc as pm
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode
from regplug_pymc import regularize

pytestmark = pytest.mark.filterwarnings(
    "ignore:PyTensor could not link to a BLAS:UserWarning"
)
PYTHON = Mode(linker="py", optimizer="fast_run").excluding("fusion")


@pytest.fixture(autouse=True)
def python_mode():
    """Compile for Python, inner graphs too."""
    with pytensor.config.change_flags(linker="py", cxx=""):
        yield


def data(rows=60, columns=5):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, columns))
    return X, X @ np.r_[2.0, -3.0, 1.0, np.zeros(columns - 3)] + 0.3 * rng.normal(
        size=rows
    )


def linear(X, y, sigma=1.0, prior=pm.Flat):
    with pm.Model() as model:
        beta = prior("beta", shape=X.shape[1])
        mu = pm.Deterministic("mu", pm.math.dot(X, beta))
        pm.Normal("y", mu, sigma, observed=y)
    return model


def summed(regularizer, weight, **options):
    return regularizer, {
        "weight": weight,
        "pattern": "beta",
        "reduction": "sum",
        "biases": True,
    } | options


def find_map(model):
    options = {
        "jitter": False,
        "return_inferencedata": True,
        "progressbar": False,
        "compile_kwargs": {"mode": PYTHON},
    }
    posterior = pm.find_MAP(model=model, **options).posterior
    return {name: posterior[name].values[0, 0] for name in posterior}


def test_variables_are_seen_under_their_names():
    with pm.Model() as model:
        X = pm.Data("X", np.ones((3, 2)))
        count = pm.Poisson("count", 3)
        w = pm.Normal("w", shape=(2, 2))
        h = pm.Deterministic("h", pm.math.tanh(X @ w))
        pm.Deterministic("out", h @ w * count)
    seen = regplug.as_model(model)
    assert set(seen.outputs) == {"X", "count", "w", "h", "out"}
    assert seen.params == {"w": w}
    assert seen.roles == {"@input": {"X"}, "@hidden": {"h"}, "@output": {"out"}}


def test_ridge_is_the_estimate_with_weight_l2():
    from sklearn.linear_model import Ridge

    X, y = data()
    model = linear(X, y, sigma=0.5)
    manager = regularize(model, [summed("weight_l2", 1.5)])
    alpha = 2 * 0.5**2 * 1.5
    ridge = Ridge(alpha=alpha, fit_intercept=False).fit(X, y).coef_
    np.testing.assert_allclose(find_map(model)["beta"], ridge, atol=1e-4)
    manager.weights["weight_l2"] = 40
    ridge = Ridge(alpha=alpha * 40 / 1.5, fit_intercept=False).fit(X, y).coef_
    np.testing.assert_allclose(find_map(model)["beta"], ridge, atol=1e-4)


def test_lasso_has_the_support_of_the_estimate_with_weight_l1():
    from sklearn.linear_model import Lasso

    X, y = data(columns=8)
    model = linear(X, y)
    regularize(model, [summed("weight_l1", 12.0)])
    lasso = Lasso(alpha=12.0 / len(y), fit_intercept=False).fit(X, y).coef_
    assert 0 < (abs(lasso) > 1e-3).sum() < 8
    np.testing.assert_array_equal(
        abs(find_map(model)["beta"]) > 1e-3, abs(lasso) > 1e-3
    )


@pytest.mark.parametrize(
    ("name", "options", "prior"),
    [
        (
            "weight_l2",
            {},
            lambda name, shape: pm.Normal(name, 0, 1 / np.sqrt(2 * 1.5), shape=shape),
        ),
        (
            "weight_l2",
            {"half": True},
            lambda name, shape: pm.Normal(name, 0, 1 / np.sqrt(1.5), shape=shape),
        ),
        (
            "weight_l2",
            {"reduction": "mean"},
            lambda name, shape: pm.Normal(name, 0, np.sqrt(5 / 3), shape=shape),
        ),
        (
            "weight_l1",
            {},
            lambda name, shape: pm.Laplace(name, 0, 1 / 1.5, shape=shape),
        ),
        (
            "weight_l1",
            {"reduction": "mean"},
            lambda name, shape: pm.Laplace(name, 0, 5 / 1.5, shape=shape),
        ),
    ],
)
def test_penalty_is_the_prior_that_the_readme_says(name, options, prior):
    X, y = data()
    model, explicit = linear(X, y), linear(X, y, prior=prior)
    regularize(model, [summed(name, 1.5, **options)])
    ours, theirs = model.compile_logp(mode=PYTHON), explicit.compile_logp(mode=PYTHON)
    points = [{"beta": np.random.default_rng(seed).normal(size=5)} for seed in range(3)]
    differences = [ours(point) - theirs(point) for point in points]
    np.testing.assert_allclose(differences, differences[0], rtol=1e-9)


def test_sample_draws_from_the_posterior_under_the_prior():
    X, y = data(rows=4)
    model = linear(X[:, :1], y)
    regularize(model, [summed("weight_l2", 2.0)])
    with model:
        options = {
            "chains": 1,
            "cores": 1,
            "random_seed": 1,
            "progressbar": False,
            "compute_convergence_checks": False,
        }
        trace = pm.sample(400, tune=300, compile_kwargs={"mode": PYTHON}, **options)
    precision = (X[:, 0] ** 2).sum() + 2 * 2.0
    draws = trace.posterior["beta"].values.ravel()
    assert abs(draws.mean() - X[:, 0] @ y / precision) < 5 * precision**-0.5 / np.sqrt(
        len(draws) / 5
    )
    assert 0.8 < draws.std() * precision**0.5 < 1.2


def test_each_term_is_a_named_potential():
    X, y = data()
    model = linear(X, y)
    before = model.compile_logp(mode=PYTHON)
    hidden = ("hidden_l1", {"pattern": "mu", "weight": 0.3})
    regularize(
        model,
        [summed("weight_l2", 0.5), summed("weight_l2", 0.25, name="again"), hidden],
    )
    assert [potential.name for potential in model.potentials] == [
        "weight_l2",
        "again",
        "hidden_l1",
    ]
    beta = np.arange(5.0)
    penalty = 0.75 * (beta**2).sum() + 0.3 * abs(X @ beta).mean()
    np.testing.assert_allclose(
        model.compile_logp(mode=PYTHON)({"beta": beta}),
        before({"beta": beta}) - penalty,
    )


def test_penalty_is_on_the_variable_and_not_on_its_transform():
    with pm.Model() as model:
        pm.HalfNormal("scale", shape=2)
    before = model.compile_logp(mode=PYTHON)
    regularize(model, [summed("weight_l2", 1.0, pattern="scale")])
    point = {"scale_log__": np.log([2.0, 3.0])}
    np.testing.assert_allclose(
        before(point) - model.compile_logp(mode=PYTHON)(point), 13.0
    )


def test_inside_the_context_as_after_it():
    X, y = data()
    after = linear(X, y)
    regularize(after, [summed("weight_l2", 0.5)])
    with pm.Model() as inside:
        beta = pm.Flat("beta", shape=5)
        regularize(inside, [summed("weight_l2", 0.5)])
        pm.Normal("y", pm.math.dot(X, beta), 1, observed=y)
    point = {"beta": np.ones(5)}
    assert inside.compile_logp(mode=PYTHON)(point) == after.compile_logp(mode=PYTHON)(
        point
    )


def test_weights_are_live_in_a_compiled_log_probability():
    X, y = data()
    model = linear(X, y)
    manager = regplug.compose([summed("weight_l2", 0.5)])
    assert regularize(model, manager) is manager
    logp, gradient = model.compile_logp(mode=PYTHON), model.compile_dlogp(mode=PYTHON)
    point = {"beta": np.ones(5)}
    value, slope = logp(point), gradient(point)
    manager.weights["weight_l2"] = 1.5
    np.testing.assert_allclose(logp(point), value - 5)
    np.testing.assert_allclose(gradient(point), slope - 2)


def test_network_with_a_penalized_hidden_layer():
    """Return a network as in PyMC's gallery: tanh layers, weights of normal priors."""
    X, _ = data(columns=3)
    labels = (X[:, 0] * X[:, 1] > 0).astype("int64")
    rng = np.random.default_rng(2)
    with pm.Model() as model:
        ann_input = pm.Data("ann_input", X)
        weights_1 = pm.Normal(
            "w_in_1", 0, sigma=1, shape=(3, 4), initval=rng.normal(size=(3, 4))
        )
        weights_out = pm.Normal(
            "w_1_out", 0, sigma=1, shape=4, initval=rng.normal(size=4)
        )
        act_1 = pm.Deterministic("act_1", pm.math.tanh(pt.dot(ann_input, weights_1)))
        pm.Bernoulli(
            "out", pm.math.sigmoid(pt.dot(act_1, weights_out)), observed=labels
        )
    start = model.initial_point()
    manager = regularize(model, ["weight_l2=0.5@w_in*", "hidden_l1=0.5@act_*"])
    names = ["weight_l2", "hidden_l1"]
    terms = model.replace_rvs_by_values([model[name] for name in names])
    reported = pytensor.function([model.rvs_to_values[weights_1]], terms, mode=PYTHON)(
        start["w_in_1"]
    )
    expected = [
        0.5 * (start["w_in_1"] ** 2).mean(),
        0.5 * abs(np.tanh(X @ start["w_in_1"])).mean(),
    ]
    np.testing.assert_allclose(reported, np.negative(expected))
    assert list(manager.weights) == names
    found = find_map(model)
    logp = model.compile_logp(mode=PYTHON)
    assert logp({name: found[name] for name in start}) > logp(start)


def test_numbers_equal_those_of_a_mapping():
    X, y = data()
    model = linear(X, y)
    composition = [
        summed("weight_l2", 0.5),
        ("hidden_l1", {"pattern": "mu", "weight": 0.3}),
    ]
    seen = regplug.as_model(model)
    one = regplug.compose(composition).apply(model)
    other = regplug.compose(composition).apply(
        dict(seen.outputs), params=dict(seen.params)
    )
    graphs = model.replace_rvs_by_values([one.loss, other.loss])
    first, second = pytensor.function(model.value_vars, graphs, mode=PYTHON)(
        np.arange(5.0)
    )
    assert first == second > 0


# what is refused


def test_regularizer_that_modifies_the_graph_is_refused_by_name():
    X, y = data()
    model = linear(X, y)
    with pytest.raises(
        CompositionError,
        match=r"dropout \(regplug-noise .*\) is refused .* it modifies the graph",
    ):
        regularize(model, [summed("weight_l2", 0.5), "dropout=0.5@mu"])
    assert model.potentials == []


def test_constraint_is_refused_by_name():
    class Positive(Regularizer):
        """Keep parameters positive."""

        targets = "params"

        @hookimpl
        def constrain(self, matched):
            return {name: abs(w) for name, w in matched.items()}

    X, y = data()
    with pytest.raises(
        CompositionError,
        match="positive .* is refused .* constrains an optimizer's updates",
    ):
        regularize(linear(X, y), [Positive()])


def test_term_that_draws_noise_is_refused_by_name():
    class Jittered(Regularizer):
        """The mean square of the parameters, with noise."""

        targets = "params"

        @hookimpl
        def loss(self, matched, noise):
            return sum(
                ((w + noise.at(name).normal(w)) ** 2).mean()
                for name, w in matched.items()
            )

    X, y = data()
    with pytest.raises(
        CompositionError, match="jittered .* is refused .* it draws noise"
    ):
        regularize(linear(X, y), [Jittered(weight=1.0)])


def named(kind):
    """Return a model in which the label ``weight_l2`` is taken."""
    with pm.Model(
        coords={"weight_l2": range(3)} if kind == "dimension" else None
    ) as model:
        pm.Normal("weight_l2" if kind == "variable" else "beta", shape=3)
    return model


@pytest.mark.parametrize("kind", ["variable", "dimension"])
def test_label_that_is_taken_is_refused(kind):
    model = named(kind)
    composition = [
        summed("weight_l1", 0.5, pattern="*"),
        summed("weight_l2", 0.5, pattern="*"),
    ]
    with pytest.raises(
        CompositionError,
        match=f"weight_l2 .* has the name of a {kind} of the model, 'weight_l2': give",
    ):
        regularize(model, composition)
    assert model.potentials == []


def test_label_that_is_no_name_for_pymc_is_refused():
    model = linear(*data())
    with pytest.raises(
        CompositionError,
        match="a: .* has a name that PyMC refuses .*: give it another name=",
    ):
        regularize(model, [summed("weight_l2", 0.5, name="a:")])


def nested():
    with pm.Model(), pm.Model(name="sub") as model:
        pm.Normal("beta", shape=3)
    return model


def prefixed():
    with pm.Model(name="sub") as model:
        pm.Normal("beta", shape=3)
    return model


def plain():
    return linear(*data())


@pytest.mark.parametrize(
    ("build", "name"),
    [(plain, "weight_l2"), (prefixed, "sub::weight_l2"), (nested, "sub::weight_l2")],
)
def test_model_that_is_regularized_already_is_refused(build, name):
    model, term = build(), summed("weight_l2", 0.5, pattern="*beta")
    regularize(model, [term])
    with pytest.raises(
        CompositionError,
        match=f"weight_l2 .* is there already, as '{name}': the model is regularized",
    ):
        regularize(model, [summed("weight_l1", 0.5, pattern="*beta"), term])
    assert [potential.name for potential in model.potentials] == [name]


def test_none_is_the_model_of_the_context():
    with linear(*data()) as model:
        regularize(None, [summed("weight_l2", 0.5)])
    assert [potential.name for potential in model.potentials] == ["weight_l2"]


@pytest.mark.parametrize("model", [None, "model"])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(
        ModelError,
        match=f"{model!r} is no pymc.Model to regularize: .* inside `with model:`",
    ):
        regularize(model, [summed("weight_l2", 0.5)])


def test_model_without_variables_is_refused():
    with pytest.raises(ModelError, match="has no variables"):
        regularize(pm.Model(), ["weight_l2=1"])


def test_deterministic_that_depends_on_no_free_variable_warns_by_name():
    X, y = data()
    model = linear(X, y)
    with model:
        pm.Deterministic("fixed", pt.as_tensor_variable(X) * 2)
    with pytest.warns(
        RegplugWarning, match="hidden_l1: 'fixed', .* depends on no free variable"
    ):
        regularize(model, ["hidden_l1=0.1@fixed"])


def test_every_installed_regularizer_is_a_prior_or_refused_by_name():
    """What is accepted has a finite term; the rest is refused with its reason."""
    rng = np.random.default_rng(0)
    with pm.Model() as model:
        X = pm.Data("X", rng.normal(size=(6, 3)))
        w, v = pm.Normal("w", shape=(3, 4)), pm.Normal("v", shape=(4, 2))
        h = pm.Deterministic("h", pm.math.tanh(X @ w))
        pm.Deterministic("states", h.reshape((2, 3, 4)))
        p = pm.Deterministic("p", pm.math.softmax(h @ v, axis=-1))
        pm.Deterministic("error", (p[:, 0] ** 2).mean())
    patterns = {
        "recurrent_norm": "states",
        "recurrent_state": "states",
        "gradient_penalty": "error",
    }
    patterns["confidence_penalty"] = "p"
    required = {"max_norm": {"limit": 1.0}}
    accepted, refused = [], {}
    for entry in regplug.available():
        cls = regplug.load(entry.name)
        pattern = "w" if cls.targets == "params" else patterns.get(entry.name, "h")
        options = (
            {"pattern": pattern}
            | ({"weight": 0.1} if uses_weight(cls) else {})
            | required.get(entry.name, {})
        )
        try:
            regularize(model, [(entry.name, options)])
            accepted.append(entry.name)
        except CompositionError as error:
            refused[entry] = str(error)
    for entry, message in refused.items():
        assert message.startswith(f"{entry} is refused for a PyMC model: it ")
    assert {
        "weight_l1",
        "weight_l2",
        "hidden_l1",
        "recurrent_norm",
        "recurrent_state",
        "contractive",
    } <= set(accepted)
    assert {"dropout", "noise"} <= {entry.name for entry in refused}
    point = {
        name: rng.normal(size=value.shape)
        for name, value in model.initial_point().items()
    }
    terms = model.replace_rvs_by_values(model.potentials)
    values = model.compile_fn(terms, mode=PYTHON, on_unused_input="ignore")(point)
    assert dict(zip(accepted, np.isfinite(values), strict=True)) == dict.fromkeys(
        accepted, True
    )
