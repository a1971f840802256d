"""Linear models on scikit-learn's diabetes data (442 patients, 10 columns), trained through regplug.

The columns are brought to variance 1, the data loss is half the mean squared error.
Coefficients are compared relative to the largest one (some tens), to 1e-5, and the sets
of exact zeros are compared as sets.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from sklearn import linear_model
from sklearn.datasets import load_diabetes

import regplug
from regplug.testing import function


@pytest.fixture(scope="module")
def data():
    """Return standardized columns (442, 10) and the centred target (442,)."""
    x, y = load_diabetes(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return x, y - y.mean()


def half_mean_squared_error(T, data, w):
    x, y = (T.as_tensor_variable(each) for each in data)
    return ((y - x.dot(w).flatten()) ** 2).mean() / 2


def assert_same_coefficients(found, expected, same_zeros):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())
    if same_zeros:
        np.testing.assert_array_equal(found == 0, expected == 0)
        assert 0 < (expected == 0).sum() < len(expected)


def train(engine, data, regularizers, steps=400):
    """Return the coefficients after proximal gradient steps of length 1 / L on the engine."""
    x, _ = data
    w = engine.shared(np.zeros((x.shape[1], 1)), name="w")
    rate = len(x) / np.linalg.norm(x, 2) ** 2
    loss = half_mean_squared_error(engine.T, data, w)
    result = regplug.compose(regularizers).apply({"loss:out": loss}, params={"w": w})
    (gradient,) = engine.grad(loss + result.loss, [w])
    updates = result.constrain({w: w - rate * gradient}, learning_rate=rate)
    step = function([], [], updates={**updates, **result.updates})
    for _ in range(steps):
        step()
    return w.get_value().ravel()


@pytest.mark.parametrize("alpha", [0.5, 5.0, 15.0])
def test_soft_threshold_reaches_the_lasso_of_scikit_learn_with_its_zeros(
    alpha, engine, data
):
    oracle = linear_model.Lasso(
        alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=100_000
    ).fit(*data)
    found = train(
        engine, data, [("soft_threshold", alpha)], steps=1000 if alpha < 1 else 300
    )
    assert_same_coefficients(found, oracle.coef_, same_zeros=True)


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(1.0, 0.9), (5.0, 0.5)])
def test_soft_threshold_and_weight_l2_reach_the_elastic_net_of_scikit_learn(
    alpha, l1_ratio, engine, data
):
    oracle = linear_model.ElasticNet(
        alpha=alpha, l1_ratio=l1_ratio, fit_intercept=False, tol=1e-14, max_iter=100_000
    ).fit(*data)
    ridge = {"weight": alpha * (1 - l1_ratio), "reduction": "sum", "half": True}
    found = train(
        engine, data, [("weight_l2", ridge), ("soft_threshold", alpha * l1_ratio)]
    )
    np.testing.assert_allclose(
        found, oracle.coef_, rtol=0, atol=1e-5 * abs(oracle.coef_).max()
    )
    np.testing.assert_array_equal(found == 0, oracle.coef_ == 0)


def minimum(engine, data, regularizers, is_split):
    """Return the minimizer of data loss plus penalty by L-BFGS-B on the engine's values and gradients.

    Split: w = p - q with p, q > 0, where the absolute values have a derivative; both at
    their bound is a zero.
    """
    count, tiny = data[0].shape[1], 1e-12
    p = engine.shared(np.full((count, 1), 1.0), name="p")
    q = engine.shared(np.full((count, 1), 1.0), name="q")
    loss = half_mean_squared_error(engine.T, data, p - q if is_split else p)
    params = [p, q] if is_split else [p]
    result = regplug.compose(regularizers).apply({"loss:out": loss}, params=params)
    compute = function(
        [], [loss + result.loss, *engine.grad(loss + result.loss, params)]
    )

    def objective(values):
        for variable, part in zip(
            params, values.reshape(len(params), count, 1), strict=True
        ):
            variable.set_value(part)
        value, *gradients = compute()
        return float(value), np.concatenate([each.ravel() for each in gradients])

    bounds = [(tiny if is_split else None, None)] * count * len(params)
    options = {"maxiter": 20_000, "maxfun": 20_000, "ftol": 1e-16, "gtol": 1e-10}
    start = np.ones(count * len(params))
    found = scipy.optimize.minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return found.x[:count] - found.x[count:] if is_split else found.x


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(1.0, 0.9), (5.0, 0.95)])
def test_elastic_net_at_the_optimum_agrees_with_scikit_learn(
    alpha, l1_ratio, engine, data
):
    oracle = linear_model.ElasticNet(
        alpha=alpha, l1_ratio=l1_ratio, fit_intercept=False, tol=1e-14, max_iter=100_000
    ).fit(*data)
    found = minimum(
        engine,
        data,
        [("elastic_net", {"weight": alpha, "l1_ratio": l1_ratio})],
        is_split=True,
    )
    assert_same_coefficients(found, oracle.coef_, same_zeros=True)


@pytest.mark.parametrize("alpha", [1.0, 100.0])
def test_weight_l2_with_reduction_sum_agrees_with_ridge(alpha, engine, data):
    oracle = linear_model.Ridge(
        alpha=alpha, fit_intercept=False, solver="cholesky"
    ).fit(*data)
    weight = alpha / (
        2 * len(data[0])
    )  # Ridge adds alpha sum(w ** 2) to the sum of squares
    found = minimum(
        engine,
        data,
        [("weight_l2", {"weight": weight, "reduction": "sum"})],
        is_split=False,
    )
    assert_same_coefficients(found, oracle.coef_, same_zeros=False)
