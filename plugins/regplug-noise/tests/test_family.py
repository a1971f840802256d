"""Each regularizer against its formula in NumPy, on the masks of the NumPy reference."""

import numpy as np
import pytest

import regplug
from regplug.noise import reference
from regplug.testing import function, installed_engine

FAMILY = {
    "alpha_dropout": {},
    "drop_block": {"block": 3, "channel_axis": -1},
    "drop_path": {},
    "dropout": {},
    "gaussian_dropout": {},
    "locked_dropout": {},
    "noise": {},
    "salt_and_pepper": {},
    "spatial_dropout": {"channel_axis": -1},
    "uniform_noise": {},
}
RATES = [name for name in FAMILY if name not in ("noise", "uniform_noise")]
SHAPE = (4, 9, 8, 3)
TOLERANCE = {"float16": 2e-3, "float32": 1e-5, "float64": 1e-12}


def values(dtype="float32", shape=SHAPE):
    return (np.random.RandomState(0).normal(size=shape) + 2).astype(dtype)


def build(name, dtype="float32", weight=0.3, shape=SHAPE, **options):
    """Return the manager and a function from the output to the regularized output."""
    T = installed_engine().T
    h = T.TensorType(dtype, (False,) * len(shape))("h")
    manager = regplug.compose(
        [(name, {"pattern": "h:out", "weight": weight, **FAMILY[name], **options})],
        seed=3,
    )
    result = manager.apply({"h:out": h})
    return manager, function([h], result.outputs["h:out"], updates=result.updates)


def keep(name, rate, shape=SHAPE, draw=0, step=0, shared_axes=()):
    return reference.keep(
        3, name, "h:out", shape, step, rate, draw=draw, shared_axes=shared_axes
    )


def draw(kind, name, dtype, shape=SHAPE):
    return getattr(reference, kind)(3, name, "h:out", shape, 0, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", FAMILY)
def test_formula_on_the_reference_masks(name, dtype):
    h = values(dtype)
    exact = h.astype("float64")
    if name == "alpha_dropout":
        s = -1.0507009873554805 * 1.6732632423543772  # minus lambda times alpha of SELU
        a = 1 / np.sqrt(0.7 * (1 + 0.3 * s**2))
        expected = a * np.where(keep(name, 0.3), exact, s) - a * 0.3 * s
    elif name == "drop_block":
        gamma = 0.3 * 9 * 8 / (3 * 3 * (9 - 3 + 1) * (8 - 3 + 1))
        kept = np.ones(SHAPE, bool)
        for n, i, j, c in np.argwhere(~keep(name, gamma)):
            if 1 <= i < 8 and 1 <= j < 7:
                kept[n, i - 1 : i + 2, j - 1 : j + 2, c] = False
        expected = np.where(kept, exact * kept.size / kept.sum(), 0)
    elif name == "gaussian_dropout":
        expected = exact * (
            1 + np.sqrt(0.3 / 0.7) * draw("normal", name, dtype).astype("float64")
        )
    elif name == "noise":
        expected = exact + 0.3 * draw("normal", name, dtype).astype("float64")
    elif name == "uniform_noise":
        expected = exact + 0.3 * (
            2 * draw("uniform", name, dtype).astype("float64") - 1
        )
    elif name == "salt_and_pepper":
        expected = np.where(
            keep(name, 0.3, draw=1), exact, np.where(keep(name, 0.5, draw=0), 1, 0)
        )
    else:
        shared = {
            "dropout": (),
            "drop_path": (1, 2, 3),
            "locked_dropout": (1,),
            "spatial_dropout": (1, 2),
        }[name]
        expected = np.where(keep(name, 0.3, shared_axes=shared), exact / 0.7, 0)
    _, regularize = build(name, dtype)
    got = regularize(h)
    assert got.dtype == dtype
    np.testing.assert_allclose(
        got, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize("name", FAMILY)
def test_weight_0_is_the_identity_and_weights_are_live(name):
    manager, regularize = build(name)
    h = values()
    assert not np.array_equal(regularize(h), h)
    manager.weights[name] = 0
    np.testing.assert_array_equal(regularize(h), h)


@pytest.mark.parametrize("name", FAMILY)
def test_each_step_draws_anew_and_a_seed_draws_again(name):
    h = values()
    manager, regularize = build(name)
    first, second = regularize(h), regularize(h)
    assert not np.array_equal(first, second)
    manager.restore({"seed": 3, "step": 0, "weights": {name: 0.3}})
    np.testing.assert_array_equal(regularize(h), first)
    manager.restore({"seed": 4, "step": 0, "weights": {name: 0.3}})
    assert not np.array_equal(regularize(h), first)


@pytest.mark.parametrize(
    "name",
    ["alpha_dropout", "dropout", "drop_path", "gaussian_dropout", "locked_dropout"],
)
def test_mean_is_kept(name):
    shape = (20_000, 2, 3)
    h = np.ones(shape, "float64")
    if name == "alpha_dropout":
        h = np.random.RandomState(1).normal(size=shape)
    _, regularize = build(name, "float64", shape=shape)
    got = regularize(h)
    error = got.std() / np.sqrt(
        20_000
    )  # rows are independent, whatever is shared within one
    assert abs(got.mean() - h.mean()) < 5 * error
    if name == "alpha_dropout":
        assert abs(got.var() - 1) < 0.05


def test_dropout_without_rescale_keeps_the_values():
    _, regularize = build("dropout", rescale=False)
    h = values()
    np.testing.assert_array_equal(regularize(h), np.where(keep("dropout", 0.3), h, 0))


def test_dropout_passes_on_an_infinity_that_is_kept_and_drops_the_others():
    _, regularize = build("dropout", shape=(3, 50))
    got = regularize(np.full((3, 50), np.inf, "float32"))
    mask = keep("dropout", 0.3, shape=(3, 50))
    assert np.isinf(got[mask]).all()
    assert (got[~mask] == 0).all()


def test_salt_and_pepper_values():
    _, regularize = build("salt_and_pepper", low=-7.0, high=9.5)
    h = values()
    got = regularize(h)
    replaced = got != h
    assert set(np.unique(got[replaced])) == {-7.0, 9.5}
    assert 0.25 < replaced.mean() < 0.35


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("rate", [1, 1.5, -0.1, float("nan")])
def test_rate_outside_its_range_is_refused(name, rate):
    with pytest.raises(regplug.OptionError, match=name):
        regplug.compose([(name, {"weight": rate})])
    manager, _ = build(name)
    with pytest.raises(regplug.OptionError, match=name):
        manager.weights[name] = rate


@pytest.mark.parametrize("std", [-0.1, float("inf"), float("nan")])
def test_std_outside_its_range_is_refused(std):
    with pytest.raises(regplug.OptionError, match="noise"):
        regplug.compose([("noise", {"weight": std})])


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        (
            "dropout",
            {"shared_axes": [4]},
            "shared axis 4 is outside an array of 4 dimensions",
        ),
        ("spatial_dropout", {"channel_axis": 4}, r"axis 4 of 'h:out'.*one of 1 to 3"),
        (
            "spatial_dropout",
            {"channel_axis": 0},
            "axis 0 of 'h:out'.*one of 1 to 3; axis 0 is the batch: .*dimshuffle",
        ),
        ("locked_dropout", {"time_axis": -5}, r"axis -5 of 'h:out'.*one of 0 to 3$"),
        ("locked_dropout", {"time_axis": 4}, r"axis 4 of 'h:out'.*one of 0 to 3$"),
        (
            "drop_block",
            {"channel_axis": -4},
            r"axis -4 of 'h:out'.*one of 1 to 3; .*dropout with shared_axes",
        ),
    ],
)
def test_axis_outside_the_array_is_refused(name, options, text):
    with pytest.raises(regplug.RegularizerError, match=text):
        build(name, **options)


def test_drop_block_larger_than_the_map_is_refused():
    _, regularize = build("drop_block", block=9)
    with pytest.raises(
        AssertionError,
        match="block 9 is larger than the map 'h:out' .*'torchvision' or 'timm'",
    ):
        regularize(values())
    with pytest.raises(
        regplug.RegularizerError,
        match=r"block 7 is larger than 'h:out'|feature map has 4 axes",
    ):
        build("drop_block", shape=(4, 9), block=7)


def pooled(seeds, height, width, before_height, before_width):
    """Return where a window that begins so much before a position, of axes 1 and 2, has a seed."""
    sides = [
        (before_height, height - 1 - before_height),
        (before_width, width - 1 - before_width),
    ]
    padded = np.pad(seeds, [(0, 0), *sides, (0, 0)])
    return np.lib.stride_tricks.sliding_window_view(
        padded, (height, width), axis=(1, 2)
    ).any(axis=(-1, -2))


def torchvision_drop_block(h, rate, block):
    """Return what torchvision's drop_block2d makes of h, given regplug's seeds."""
    _, height, width, _ = h.shape
    block = min(block, height, width)
    places = (height - block + 1) * (width - block + 1)
    seeds = ~keep("drop_block", rate * height * width / (block**2 * places), h.shape)
    inner = seeds[:, block // 2 : height - block // 2, block // 2 : width - block // 2]
    padding = [(0, 0), (block - 1, block - 1), (block - 1, block - 1), (0, 0)]
    padded = np.pad(
        inner, padding
    )  # twice by half a block: for the map, and for the pooling
    dropped = np.lib.stride_tricks.sliding_window_view(
        padded, (block, block), axis=(1, 2)
    ).any(axis=(-1, -2))
    return h * ~dropped * (dropped.size / (1e-6 + np.sum(~dropped)))


def timm_drop_block(h, rate, block, couple_channels):
    """Return what timm's drop_block_2d makes of h, given regplug's seeds."""
    _, height, width, _ = h.shape
    kh, kw = min(block, height), min(block, width)
    gamma = rate * height * width / (kh * kw) / ((height - kh + 1) * (width - kw + 1))
    seeds = ~keep(
        "drop_block", gamma, h.shape, shared_axes=(3,) if couple_channels else ()
    )
    # the pooling begins half a block before; for even blocks timm cuts off the first of
    # one row too many
    dropped = pooled(seeds, kh, kw, (kh - 1) // 2, (kw - 1) // 2)
    return h * ~dropped * (dropped.size / (np.sum(~dropped) + 1e-7))


@pytest.mark.parametrize("block", [1, 3, 5, 7, 9, 11])
def test_drop_block_of_torchvision_is_its_formula_given_the_seeds(block):
    shape = (5, 9, 14, 3)
    _, regularize = build(
        "drop_block", "float64", shape=shape, block=block, variant="torchvision"
    )
    h = values("float64", shape)
    np.testing.assert_allclose(
        regularize(h), torchvision_drop_block(h, 0.3, block), rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("block", [1, 2, 3, 6, 7, 9, 10, 12, 20])
@pytest.mark.parametrize("couple_channels", [True, False])
def test_drop_block_of_timm_is_its_formula_given_the_seeds(block, couple_channels):
    shape = (5, 9, 14, 3)
    options = {"block": block, "variant": "timm", "shared_channels": couple_channels}
    _, regularize = build("drop_block", "float64", 0.05, shape=shape, **options)
    h = values("float64", shape)
    np.testing.assert_allclose(
        regularize(h),
        timm_drop_block(h, 0.05, block, couple_channels),
        rtol=1e-6,
        atol=1e-12,
    )


@pytest.mark.parametrize("variant", ["paper", "torchvision"])
@pytest.mark.parametrize("block", [2, 4, 5, 8])
@pytest.mark.parametrize("channel_axis", [-1, 1])
def test_drop_block_reaches_from_half_a_block_before_its_seed(
    block, channel_axis, variant
):
    shape = (4, 9, 8, 3) if channel_axis == -1 else (4, 3, 9, 8)
    _, regularize = build(
        "drop_block",
        "float64",
        shape=shape,
        block=block,
        channel_axis=channel_axis,
        variant=variant,
    )
    h = values("float64", shape)
    gamma = 0.3 * 9 * 8 / (block * block * (9 - block + 1) * (8 - block + 1))
    seeds = np.moveaxis(~keep("drop_block", gamma, shape), channel_axis, -1)
    before, after = (block - 1) // 2, block // 2
    dropped = np.zeros(seeds.shape, bool)
    for n, i, j, c in np.argwhere(seeds):
        if before <= i < 9 - after and before <= j < 8 - after:
            dropped[n, i - before : i + after + 1, j - before : j + after + 1, c] = True
    assert dropped.any()
    np.testing.assert_array_equal(
        regularize(h) == 0, np.moveaxis(dropped, -1, channel_axis)
    )


def dropped_share(rate, block, height, width, variant):
    """Return the expected share: position t is kept where none of the c(t) seeds whose blocks cover it is one."""
    sides = (
        [min(block, height), min(block, width)]
        if variant == "timm"
        else [min(block, height, width)] * 2
    )
    places = (height - sides[0] + 1) * (width - sides[1] + 1)
    gamma = rate * height * width / (sides[0] * sides[1] * places)
    covers = []
    for length, side in zip((height, width), sides, strict=True):
        starts = np.arange(length) - side // 2  # of the blocks of all seeds
        if variant != "timm":
            starts = starts[(starts >= 0) & (starts + side <= length)]
        at = np.arange(length)[:, None]
        covers.append(((starts <= at) & (at < starts + side)).sum(axis=1))
    return (1 - (1 - gamma) ** np.outer(*covers)).mean()


def test_drop_block_shares_are_those_of_the_libraries():
    # of torchvision's and timm's own functions at 28 x 28, block 7, rate 0.5
    assert round(dropped_share(0.5, 7, 28, 28, "torchvision"), 2) == 0.37
    assert round(dropped_share(0.5, 7, 28, 28, "timm"), 2) == 0.51


@pytest.mark.parametrize("variant", ["paper", "torchvision", "timm"])
@pytest.mark.parametrize("block", [3, 4])
def test_drop_block_drops_the_share_of_its_formula(variant, block):
    shape = (400, 9, 8, 2)
    manager, regularize = build("drop_block", shape=shape, block=block, variant=variant)
    h = np.ones(shape, "float32")
    for tenths in range(1, 10):
        manager.weights["drop_block"] = tenths / 10
        got = regularize(h)
        shares = (got == 0).mean(axis=(1, 2)).ravel()  # each map is a draw of its own
        error = shares.std() / np.sqrt(shares.size)
        assert (
            abs(shares.mean() - dropped_share(tenths / 10, block, 9, 8, variant))
            < 4 * error
        )
        assert abs(got.mean() - 1) < 1e-4


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("weight", [0.3, 1 - 1e-9])  # at the second nothing is kept
def test_drop_block_has_the_gradient_of_a_product_with_its_mask(weight, dtype):
    engine = installed_engine()
    h = engine.T.TensorType(dtype, (False,) * 4)("h")
    result = regplug.compose(
        [
            (
                "drop_block",
                {"pattern": "h:out", "weight": weight, "block": 8, "channel_axis": -1},
            )
        ]
    ).apply({"h:out": h})
    gradient = engine.grad(result.outputs["h:out"].sum(), h)
    compute = function([h], [result.outputs["h:out"], gradient], updates=result.updates)
    got, gradient = compute(np.ones((5, 8, 8, 3), dtype))
    np.testing.assert_array_equal(gradient, got)
    assert np.isfinite(gradient).all()
    assert (gradient == 0).any()


def test_drop_block_of_one_batch_with_shared_channels_drops_the_same_in_all():
    for variant in ("paper", "torchvision", "timm"):
        _, regularize = build(
            "drop_block", block=3, variant=variant, shared_channels=True
        )
        got = regularize(np.ones(SHAPE, "float32")) == 0
        assert (got == got[..., :1]).all()
        assert got.any()


def test_locked_dropout_with_time_first_has_the_masks_of_the_batch_first():
    shape = (4, 9, 3)
    manager, batch_first = build("locked_dropout", shape=shape)
    other, time_first = build("locked_dropout", shape=(9, 4, 3), time_axis=0)
    h = values(shape=shape)
    for each in (manager, other):
        each.row_offset = 6
    whole = batch_first(h)
    np.testing.assert_array_equal(
        time_first(h.transpose(1, 0, 2)).transpose(1, 0, 2), whole
    )
    mask = reference.keep(
        3, "locked_dropout", "h:out", shape, 0, 0.3, shared_axes=(1,), row_offset=6
    )
    np.testing.assert_array_equal(whole != 0, np.broadcast_to(mask, shape))


def test_locked_dropout_of_time_without_a_batch_is_refused():
    with pytest.raises(
        regplug.RegularizerError, match="with time on axis 0, axis 1 is the batch"
    ):
        build("locked_dropout", shape=(9,), time_axis=0)


def test_dropout_shared_along_the_batch_is_the_same_at_every_offset():
    manager, regularize = build("dropout", shape=(6, 50), shared_axes=[0])
    manager.row_offset = 5
    got = regularize(np.ones((6, 50), "float32"))
    mask = keep("dropout", 0.3, (6, 50), shared_axes=(0,))
    np.testing.assert_array_equal(got != 0, np.broadcast_to(mask, (6, 50)))


@pytest.mark.parametrize("rate", [1e-7, 1e-5, 1e-3, 0.3, 0.999, 0.9999])
@pytest.mark.parametrize(
    "name", ["alpha_dropout", "dropout", "drop_block", "gaussian_dropout"]
)
def test_rates_near_0_and_1_are_right_in_float16(name, rate):
    shape = (30, 9, 8, 3)
    h = values("float16", shape)
    exact = h.astype("float64")
    if name == "alpha_dropout":
        s = -1.0507009873554805 * 1.6732632423543772
        a = 1 / np.sqrt((1 - rate) * (1 + rate * s**2))
        expected = a * np.where(keep(name, rate, shape), exact, s) - a * rate * s
    elif name == "dropout":
        expected = np.where(keep(name, rate, shape), exact / (1 - rate), 0)
    elif name == "drop_block":
        expected = torchvision_drop_block(exact, rate, 3)
    else:
        expected = exact * (
            1
            + np.sqrt(rate / (1 - rate))
            * draw("normal", name, "float16", shape).astype("float64")
        )
    _, regularize = build(name, "float16", rate, shape)
    got = regularize(h)
    assert got.dtype == "float16"
    # one rounding to float16, and what float32 leaves of 1 - rate
    scale = np.abs(expected) + (
        np.abs(exact * np.sqrt(rate / (1 - rate))) if name == "gaussian_dropout" else 0
    )
    assert (np.abs(got - expected) <= (2**-11 + 3e-4) * scale + 2**-24).all()
    if rate < 0.9:
        assert (got == expected.astype("float16")).mean() > 0.99


def test_rate_is_taken_before_it_is_rounded_to_the_dtype():
    bits = reference.bits(reference.site_key(3, "dropout", "h:out"), (1, 200), 0)[0]
    for dtype in ("float16", "float32", "float64"):
        manager, regularize = build("dropout", dtype, shape=(1, 200))
        for cell in range(20):
            for above, is_kept in (
                (0, True),
                (1, False),
            ):  # kept where its bits are at least the threshold
                manager.restore(
                    {
                        "seed": 3,
                        "step": 0,
                        "weights": {"dropout": (int(bits[cell]) + above) / 2**32},
                    }
                )
                assert (regularize(np.ones((1, 200), dtype))[0, cell] != 0) == is_kept


def test_integer_outputs_are_refused():
    engine = installed_engine()
    words = engine.T.imatrix("words")
    with pytest.raises(
        regplug.RegularizerError, match="'in:out' is int32, and only floats"
    ):
        regplug.compose(["dropout=0.5@in:out"]).apply({"in:out": words})


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", RATES)
def test_rate_that_rounds_to_1_gives_finite_numbers(name, dtype):
    _, regularize = build(name, dtype, weight=1 - 1e-9)
    assert np.isfinite(regularize(values(dtype))).all()


def test_rate_that_rounds_to_1_has_a_finite_gradient():
    engine = installed_engine()
    h = engine.T.fmatrix("h")
    result = regplug.compose(
        [("dropout", {"pattern": "h:out", "weight": 1 - 1e-9})]
    ).apply({"h:out": h})
    gradient = function(
        [h], engine.grad(result.outputs["h:out"].sum(), h), updates=result.updates
    )
    assert not gradient(np.ones((3, 5), "float32")).any()
