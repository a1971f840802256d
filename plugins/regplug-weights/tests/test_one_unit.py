"""What is begun from one normal number: layers of one unit."""

from __future__ import annotations

import numpy as np
import pytest

import regplug
from regplug.testing import function


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 3)])
def test_spectral_norm_and_penalty_of_a_layer_of_one_unit(shape, dtype, engine, T):
    x = T.matrix("x", dtype=dtype)
    w = engine.shared(
        np.arange(1, 4).astype(dtype)[: max(shape)].reshape(shape), name="w"
    )
    manager = regplug.compose(["spectral_norm", ("spectral_penalty", 1.0)])
    result = manager.apply({"out:out": T.dot(x, w)}, params={"w": w})
    step = function(
        [x], [result.outputs["out:out"], result.loss], updates=result.updates
    )
    out, loss = step(np.eye(shape[0], dtype=dtype))
    norm = np.linalg.norm(w.get_value())  # the one singular value
    np.testing.assert_allclose(out, w.get_value() / norm, rtol=1e-5)
    np.testing.assert_allclose(loss, norm**2 / 2, rtol=1e-5)
