"""The Op `Draw`: the bits of the reference under every linker of the engine at hand."""

import pickle

import numpy as np
import pytest

from regplug.noise import reference

try:
    import pytensor as engine
    import pytensor.tensor as T
    from pytensor.gradient import DisconnectedInputError

    from regplug.engine.draw_pytensor import Draw

    LINKERS = ["numba", "cvm", "py"]
except ImportError:
    import theano as engine
    import theano.tensor as T
    from theano.gradient import DisconnectedInputError

    from regplug.engine.draw_theano import Draw

    LINKERS = ["cvm", "py"]

OUTPUTS = ["h0:out", "h1:out", "h2:out"]
DRAWS = [
    ("keep", "bool"),
    *(
        (kind, dtype)
        for kind in ("uniform", "normal")
        for dtype in ("float32", "float64")
    ),
]
SHAPES = [
    (),
    (0,),
    (1,),
    (7,),
    (1, 1),
    (0, 3),
    (3, 0),
    (7, 1),
    (5, 33),
    (3, 2500),
    (1, 1, 1, 1),
    (2, 40, 30, 1),
]
OFFSET, STEP, RATE = 2**32 - 2, 2**33 + 5, 0.3


class Site:
    """Shared variables for every input of a Draw, so that one compiled function serves all cases."""

    def __init__(self, ndim):
        self.keys = engine.shared(
            np.stack([reference.site_key(0, "dropout", output) for output in OUTPUTS])
        )
        self.index, self.step, self.row_offset = (
            engine.shared(np.int64(value)) for value in (1, STEP, OFFSET)
        )
        self.rate = engine.shared(np.float64(RATE))
        self.shape, self.ndim = T.lvector(), ndim

    def draw(self, kind, dtype, static_shape=None):
        rate = [self.rate] if kind == "keep" else []
        op = Draw(kind, dtype, static_shape or (None,) * self.ndim)
        return op(self.keys, self.index, self.step, self.row_offset, *rate, self.shape)

    def compile(self, output, linker):
        function = engine.function(
            [self.shape], output, mode=engine.compile.mode.Mode(linker, None)
        )
        return lambda *shape: function(lengths(*shape))


def lengths(*shape):
    return np.array(shape, "int64")


def expected(kind, dtype, shape, output="h1:out", step=STEP):
    if kind == "keep":
        return reference.keep(
            0, "dropout", output, shape, step, RATE, row_offset=OFFSET
        )
    return getattr(reference, kind)(
        0, "dropout", output, shape, step, dtype, row_offset=OFFSET
    )


@pytest.mark.parametrize(
    ("linker", "ndim"),
    # a vector is compiled as a matrix of one column is, five kernels a linker later
    [
        (linker, ndim)
        for linker in LINKERS
        for ndim in (0, 1, 2, 4)
        if linker == "py" or ndim != 1
    ],
)
def test_masks_and_noise_are_those_of_the_reference(linker, ndim):
    site = Site(ndim)
    function = site.compile([site.draw(kind, dtype) for kind, dtype in DRAWS], linker)
    for shape in (shape for shape in SHAPES if len(shape) == ndim):
        for (kind, dtype), value in zip(DRAWS, function(*shape), strict=True):
            value = np.asarray(value)
            assert value.shape == shape
            assert value.dtype == dtype
            if kind == "normal":
                np.testing.assert_array_max_ulp(
                    value, expected(kind, dtype, shape), maxulp=4
                )
            else:
                assert np.array_equal(value, expected(kind, dtype, shape))


@pytest.mark.parametrize("linker", LINKERS)
def test_a_compiled_function_follows_its_shared_inputs(linker):
    site = Site(2)
    function = site.compile(site.draw("keep", "bool"), linker)
    site.index.set_value(np.int64(2))
    site.step.set_value(np.int64(STEP + 1))
    assert np.array_equal(
        function(4, 5), expected("keep", "bool", (4, 5), "h2:out", STEP + 1)
    )
    site.rate.set_value(np.float64(0))
    assert function(40, 50).all()


@pytest.mark.parametrize("linker", LINKERS)
def test_a_rate_becomes_its_nearest_threshold_half_to_even(linker):
    site = Site(2)
    function = site.compile(site.draw("keep", "bool"), linker)
    key = reference.site_key(0, "dropout", "h1:out")
    bits = reference.bits(key, (4, 30), STEP, OFFSET)
    for row, column in np.ndindex(4, 5):
        cell = int(bits[row, column])  # kept where the threshold is at most this
        for above, is_kept in [
            (-0.5, True),
            (0, True),
            (0.4, True),
            (0.5, cell % 2 == 0),
            (0.6, False),
            (1, False),
        ]:
            site.rate.set_value(np.float64((cell + above) / 2**32))
            assert function(4, 30)[row, column] == is_kept, above
    site.rate.set_value(
        np.float64(1 - 2**-53)
    )  # 2**32 does not fit into 32 bits, and as 0 would keep all
    assert not function(40, 50).any()


@pytest.mark.parametrize("linker", LINKERS)
def test_results_of_two_calls_are_not_one_array(linker):
    site = Site(2)
    function = site.compile(site.draw("normal", "float32"), linker)
    first = function(4, 5)
    site.step.set_value(np.int64(0))
    second = function(4, 5)
    assert np.array_equal(first, expected("normal", "float32", (4, 5)))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("rate", [-0.25, 1.0, 1.5, np.nan])
def test_a_rate_outside_its_range_is_refused(linker, rate):
    site = Site(1)
    function = site.compile(site.draw("keep", "bool"), linker)
    site.rate.set_value(np.float64(rate))
    with pytest.raises(ValueError, match=r"rate .*outside \[0, 1\)") as error:
        function(3)
    assert str(rate) in str(error.value)


@pytest.mark.parametrize("linker", LINKERS)
def test_a_negative_length_and_a_missing_key_are_refused(linker):
    site = Site(2)
    function = site.compile(site.draw("uniform", "float32"), linker)
    with pytest.raises(ValueError, match="negative length"):
        function(3, -2)
    site.index.set_value(np.int64(3))
    with pytest.raises(ValueError, match=r"(?s)key.*outside the table of keys"):
        function(3, 2)


def test_float16_is_drawn_by_numpy():
    site = Site(2)
    function = site.compile(
        [site.draw(kind, "float16") for kind in ("uniform", "normal")], "cvm"
    )
    for kind, value in zip(("uniform", "normal"), function(3, 5), strict=True):
        assert np.array_equal(value, expected(kind, "float16", (3, 5)))


def test_numba_says_that_it_has_no_float16():
    if "numba" not in LINKERS:
        pytest.skip("Theano has no numba linker")
    site = Site(2)
    noise, x = site.draw("normal", "float16"), T.TensorType("float16", (None, None))()
    with pytest.raises(NotImplementedError, match="float16"):
        site.compile(noise, "numba")
    with pytest.raises(NotImplementedError, match="float16"):
        engine.function([x, site.shape], x + np.float16(0.5) * noise, mode="NUMBA")


def test_shapes_are_inferred_without_drawing():
    site = Site(3)
    shape = site.draw("normal", "float32").shape
    function = engine.function(
        [site.shape], shape, mode=engine.compile.mode.Mode("py", "fast_run")
    )
    assert list(function(lengths(2, 3, 4))) == [2, 3, 4]
    assert not any(
        isinstance(node.op, Draw) for node in function.maker.fgraph.toposort()
    )


def test_static_lengths_become_the_type():
    mask = Site(3).draw("keep", "bool", (None, 1, 4))
    assert mask.broadcastable == (False, True, False)
    assert getattr(mask.type, "shape", (None, 1, 4)) == (None, 1, 4)


@pytest.mark.parametrize("linker", LINKERS)
def test_a_switch_drops_what_is_not_finite(linker):
    site, x = Site(2), T.fmatrix()
    kept = T.switch(site.draw("keep", "bool"), x * np.float32(2), np.float32(0))
    function = engine.function(
        [x, site.shape], kept, mode=engine.compile.mode.Mode(linker, "fast_run")
    )
    value = np.full((3, 5), -np.inf, "float32")
    value[1] = np.nan
    value[2] = 1.5
    mask = expected("keep", "bool", (3, 5))
    np.testing.assert_array_equal(
        function(value, lengths(3, 5)), np.where(mask, 2 * value, 0)
    )


@pytest.mark.parametrize("shape", [(), (7,), (3, 2500), (2, 40, 30, 1)])
def test_noise_that_is_added_has_the_same_bits(shape):
    if "numba" not in LINKERS:
        pytest.skip("only numba adds noise as it draws it")
    site, x, scale = (
        Site(len(shape)),
        T.TensorType("float32", (None,) * len(shape))("x"),
        np.float32(0.1),
    )
    noise = site.draw("normal", "float32")
    function = engine.function([x, site.shape], scale * noise + x, mode="NUMBA")
    assert [type(node.op).__name__ for node in function.maker.fgraph.toposort()][
        -1
    ] == "AddedDraw"
    value = np.array(np.random.default_rng(0).normal(size=shape), "float32", order="F")
    assert np.array_equal(
        function(value, lengths(*shape)),
        value + scale * expected("normal", "float32", shape),
    )
    if shape:
        with pytest.raises(ValueError, match="another shape"):
            function(value, lengths(shape[0] + 1, *shape[1:]))
    twice = engine.function([x, site.shape], [scale * noise + x, noise], mode="NUMBA")
    assert "AddedDraw" not in str(twice.maker.fgraph)


def test_no_gradient_flows_into_a_draw_and_the_right_one_around_it():
    site, x = Site(2), T.dmatrix()
    kept = T.switch(site.draw("keep", "bool"), x * 2.0, 0.0).sum()
    gradient = engine.function(
        [x, site.shape], engine.grad(kept, x), mode=engine.compile.mode.Mode("py", None)
    )
    assert np.array_equal(
        gradient(np.ones((3, 5)), lengths(3, 5)), 2.0 * expected("keep", "bool", (3, 5))
    )
    with pytest.raises(DisconnectedInputError):
        engine.grad(kept, site.rate)


def test_equal_draws_are_one_and_other_sites_are_another():
    site = Site(2)
    once, again = site.draw("normal", "float32"), site.draw("normal", "float32")
    other = Draw("normal", "float32", (None, None))(
        site.keys, 2, site.step, site.row_offset, site.shape
    )
    function = engine.function(
        [site.shape],
        [once + again, once + other],
        mode=engine.compile.mode.Mode("py", "fast_run"),
    )
    assert (
        sum(isinstance(node.op, Draw) for node in function.maker.fgraph.toposort()) == 2
    )


def test_draws_survive_pickling():
    op = Draw("keep", "bool", (None, 1))
    assert pickle.loads(pickle.dumps(op)) == op
    assert op != Draw("keep", "bool", (None, None))
