"""docs/parity.md, torchvision and timm: each row run as it stands, with the peer itself, given regplug's seeds."""

from __future__ import annotations

import numpy as np
import pytest
from parity import compute, rows

from regplug.noise import reference

torch = pytest.importorskip("torch")
SHAPES = [
    (8, 5, 10, 12),
    (6, 4, 9, 4),
    (6, 4, 3, 11),
]  # in the last two a block is larger than the map


def compare(theirs, ours, shape, library, monkeypatch):
    """Compare the arrays that both make of one array, where torch's Bernoulli numbers are regplug's."""
    name = ours[0]

    def bernoulli(tensor, p):
        is_kept = name == "drop_path"
        shared = (1, 2, 3) if is_kept else (1,) * (tensor.shape[1] == 1)
        drawn = reference.keep(
            0, name, "h:out", shape, 0, 1 - p if is_kept else p, shared_axes=shared
        )
        first = [
            (all_of - some) // 2
            for all_of, some in zip(drawn.shape, tensor.shape, strict=True)
        ]
        inner = tuple(
            slice(start, start + length)
            for start, length in zip(first, tensor.shape, strict=True)
        )
        return tensor.copy_(torch.tensor(drawn[inner] == is_kept))

    h = np.random.RandomState(2).normal(size=shape)
    monkeypatch.setattr(torch.Tensor, "bernoulli_", bernoulli)
    their = eval(theirs, {library.__name__: library, "h": torch.tensor(h)}).numpy()
    our = compute(ours, {"h": h})["used h"]
    np.testing.assert_allclose(our, their, rtol=1e-5, atol=1e-12)
    assert (our == 0).any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("theirs", "ours"), rows("torchvision"))
def test_parity_with_torchvision(theirs, ours, shape, monkeypatch):
    if min(shape[2:]) % 2 == 0 and min(shape[2:]) < 5:
        shape = (
            *shape[:2],
            3,
            9,
        )  # it refuses even sides, also of a block that was cut
    compare(theirs, eval(ours), shape, pytest.importorskip("torchvision"), monkeypatch)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("theirs", "ours"), rows("timm"))
def test_parity_with_timm(theirs, ours, shape, monkeypatch):
    compare(theirs, eval(ours), shape, pytest.importorskip("timm"), monkeypatch)
