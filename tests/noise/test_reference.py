"""The definition of the bits: known answers, frozen values, and statistics of what comes out.

The draws are functions of fixed keys, so a bound that holds once holds always; each is one
that a perfect generator would miss with a probability of at most 1e-3.
"""

import itertools
import math
import shutil
import subprocess

import numpy as np
import pytest
from scipy import special, stats

from regplug.noise import reference
from regplug.noise.reference import bits, keep, normal, site_key, uniform

N = 10**7


def words(order, count):
    """Return `count` words of stream 0 in one of the orders in which they are used."""
    key = site_key(0, "dropout", "h:out")
    if order == "steps":
        a, b, _, _ = reference.philox((0, 0, 0, np.arange(count, dtype="uint32")), key)
        return reference.mix(a, b, np.uint32(0))
    if order == "labels":
        keys = np.stack([site_key(0, f"r{i}", "h:out") for i in range(count)])
        a, b, _, _ = reference.philox((0, 0, 0, 0), keys.T)
        return reference.mix(a, b, np.uint32(0))
    return bits(key, (-(-count // order), order), step=0).ravel()[:count]


ORDERS = {
    1000: 2**20,
    64: 2**20,
    4096: 2**20,
    1: 2**18,
    "steps": 2**20,
    "labels": 2**16,
}


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (
            [0xFFFFFFFF] * 4,
            [0xFFFFFFFF] * 2,
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, expected):
    assert [int(word[0]) for word in reference.philox(counter, key)] == expected


def test_bits_are_the_definition_in_plain_integers():
    def mix(a, b, j):
        x = (a + j * 0x9E3779B9) % 2**32
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32 ^ b
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    key, step, offset = site_key(3, "noise", "h:out"), 2**32 + 5, 2**32 - 1
    got = [bits(key, (2, 3, 700), step, offset, stream) for stream in (0, 1)]
    for row, i, j in [(0, 0, 0), (1, 0, 1), (0, 1, 323), (0, 1, 324), (1, 2, 699)]:
        block, column = divmod(i * 700 + j, 1024)
        counter = (block, (offset + row) % 2**32, (offset + row) >> 32, 5)
        a, b, c, d = (int(word[0]) for word in reference.philox(counter, key))
        assert [int(stream[row, i, j]) for stream in got] == [
            mix(a, b, column),
            mix(c, d, column),
        ]


SITES = {
    "plain": {"seed": 0, "name": "dropout", "output": "hid1:out", "step": 0},
    "second": {"seed": 0, "name": "dropout", "output": "hid1:out", "step": 0, "k": 1},
    "draw": {"seed": 0, "name": "dropout", "output": "hid1:out", "step": 0, "draw": 1},
    "rows": {
        "seed": 2**64 - 1,
        "name": "noise",
        "output": "in:out",
        "step": 2**40 + 3,
        "row_offset": 2**32 - 1,
    },
    "text": {
        "seed": -(2**63),
        "name": "bruit-\u00e9",
        "output": "h\u00e9:out",
        "step": 7,
    },
}

# Frozen: mask of (3, 1100) at rate 0.3, its last 33 columns packed, and uniforms and normals
# of (2,), big-endian. A change here changes what every user's seed gives.
GOLDEN = {
    "plain": [
        "7bfbaded39cfb32ffa9dfff8e0",
        "2d103b52",
        "3da2efd03f6a4bed",
        "3fb45dfaa9e777903fed497daedde298",
        "31954044",
        "3e329e3c40088e3e",
        "3fc653c788777d4d400111c7b8ac4072",
    ],
    "second": [
        "428fff0ad4f77a32db763c7f20",
        "36c03873",
        "3ed813d23f0e69bd",
        "3fdb027a4dcb34c03fe1cd37b97c1aa7",
        "3c683873",
        "3f8cf8543f0e59e9",
        "3ff19f0a7e17b4513fe1cb3d1932f6ed",
    ],
    "draw": [
        "ff5fae7d0ed6df627dd07ef7a0",
        "35282e50",
        "3ea515223dcab338",
        "3fd4a2a449c3ecba3fb9566733ac95c8",
        "b7fcb566",
        "beff8bf2beacb754",
        "bfdff17e420e7ef2bfd596ea887d0564",
    ],
    "rows": [
        "bbb3db4279da8fb67faa43ffa0",
        "36c434ae",
        "3ed8a41c3e95ee6c",
        "3fdb1483b32f6a523fd2bdcd965e2c30",
        "bdadb4b0",
        "bfb59758be960f55",
        "bff6b2eaffbc08d4bfd2c1ea8aec5fac",
    ],
    "text": [
        "3e6af596df77d7c7f7f5ff3fe0",
        "35603562",
        "3eac386a3eac760c",
        "3fd5870d64a5efdc3fd58ec194f001ac",
        "31dfbd8c",
        "3e3bedf4bfb18ceb",
        "3fc77dbe80d99851bff6319d701cb4a4",
    ],
}


def frozen(site):
    mask = keep(shape=(3, 1100), rate=0.3, **site)
    values = [
        draw(shape=(2,), dtype=dtype, **site)
        for draw in (uniform, normal)
        for dtype in reference.FLOATS
    ]
    texts = [
        value.astype(value.dtype.newbyteorder(">")).tobytes().hex() for value in values
    ]
    return [np.packbits(mask[:, -33:]).tobytes().hex(), *texts]


@pytest.mark.parametrize("site", SITES)
def test_values_are_frozen(site):
    assert frozen(SITES[site]) == GOLDEN[site]


def test_site_key_is_the_hash_of_the_json_text():
    # sha256sum of: [0, "dropout", "hid1:out", 0, 0]
    assert [int(word) for word in site_key(0, "dropout", "hid1:out")] == [
        0x55F4C298,
        0xAA1E6881,
    ]


@pytest.mark.parametrize("seed", [True, 1.0, "7", None])
def test_site_key_refuses_what_is_no_integer(seed):
    with pytest.raises(TypeError, match="is not an integer"):
        site_key(seed, "dropout", "h:out")


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_site_key_refuses_a_seed_outside_64_bits(seed):
    with pytest.raises(ValueError, match=rf"{seed} does not fit into 64 bits"):
        site_key(seed, "dropout", "h:out")


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, math.nan, math.inf])
def test_keep_refuses_a_rate_outside_its_range(rate):
    with pytest.raises(ValueError, match=rf"rate {rate} is outside \[0, 1\)"):
        keep(0, "dropout", "h:out", (2, 3), 0, rate)


def test_shapes_that_are_impossible_are_refused():
    with pytest.raises(ValueError, match="negative length"):
        keep(0, "dropout", "h:out", (2, -3), 0, 0.5)
    with pytest.raises(ValueError, match="at most 4398046511104 are possible"):
        keep(0, "dropout", "h:out", (0, 2**42 + 1), 0, 0.5)
    with pytest.raises(
        ValueError, match="shared axis 2 is outside an array of 2 dimensions"
    ):
        keep(0, "dropout", "h:out", (2, 3), 0, 0.5, shared_axes=(2,))
    with pytest.raises(
        ValueError, match="dtype 'int32' is not one of float16, float32, float64"
    ):
        normal(0, "noise", "h:out", (2, 3), 0, dtype="int32")


SIDES = [shape for ndim in range(5) for shape in itertools.product((0, 1), repeat=ndim)]


@pytest.mark.parametrize("shape", [*SIDES, (5,), (0, 3), (3, 0), (3, 0, 2), (2, 3, 4)])
def test_shapes_of_any_kind_work(shape):
    assert keep(0, "dropout", "h:out", shape, 0, 0.5).shape == shape
    for draw in (uniform, normal):
        for dtype in reference.FLOATS:
            value = draw(0, "noise", "h:out", shape, 0, dtype)
            assert value.shape == shape
            assert value.dtype == dtype
            larger = draw(0, "noise", "h:out", tuple(2 * n for n in shape), 0, dtype)
            if value.size:
                assert value.flat[0] == larger.flat[0]


def test_other_axes_are_flattened_into_columns():
    flat = keep(0, "dropout", "h:out", (4, 30), 0, 0.5)
    assert np.array_equal(
        keep(0, "dropout", "h:out", (4, 2, 3, 5), 0, 0.5).reshape(4, 30), flat
    )


@pytest.mark.parametrize("offset", [0, 1, 5, 2**32 - 3, 2**63 - 11])
def test_row_offset_gives_the_rows_of_the_whole(offset):
    whole = bits(site_key(0, "dropout", "h:out"), (10, 7), 3, row_offset=offset)
    part = bits(site_key(0, "dropout", "h:out"), (4, 7), 3, row_offset=offset + 6)
    assert np.array_equal(part, whole[6:])


def test_shared_axes_have_length_one_and_shared_rows_have_no_offset():
    site = (0, "dropout", "h:out", (4, 6, 5), 0, 0.5)
    assert keep(*site, shared_axes=(1,)).shape == (4, 1, 5)
    assert np.array_equal(keep(*site, shared_axes=(-2,)), keep(*site, shared_axes=(1,)))
    assert np.array_equal(
        keep(*site, shared_axes=(0,), row_offset=3), keep(*site, shared_axes=(0,))
    )
    assert not np.array_equal(
        keep(*site, shared_axes=(1,), row_offset=3), keep(*site, shared_axes=(1,))
    )


def test_every_part_of_the_site_counts():
    base = {
        "seed": 0,
        "name": "a",
        "output": "h:out",
        "step": 0,
        "k": 0,
        "draw": 0,
        "row_offset": 0,
    }
    change = {
        "seed": 1,
        "name": "b",
        "output": "g:out",
        "step": 1,
        "k": 1,
        "draw": 1,
        "row_offset": 1,
    }
    masks = [
        keep(shape=(8, 64), rate=0.5, **{**base, key: value})
        for key, value in change.items()
    ]
    masks.append(keep(shape=(8, 64), rate=0.5, **base))
    for i, one in enumerate(masks):
        for other in masks[:i]:
            assert 150 < np.count_nonzero(one == other) < 362  # 512 coins: 9.4 sd


def test_rate_zero_keeps_all_and_a_rate_becomes_its_nearest_threshold():
    assert keep(0, "dropout", "h:out", (1000, 1000), 0, 0).all()
    stream = bits(site_key(0, "dropout", "h:out"), (1000, 1000), 0)
    for rate, threshold in [
        (0.3, 1288490189),
        (0.5, 2**31),
        (1 - 2**-40, 2**32 - 1),
        (2.5 / 2**32, 2),
    ]:
        assert np.array_equal(
            keep(0, "dropout", "h:out", (1000, 1000), 0, rate), stream >= threshold
        )


@pytest.fixture(scope="module")
def streams():
    key = site_key(0, "dropout", "h:out")
    return [bits(key, (N // 1000, 1000), 0, stream=stream).ravel() for stream in (0, 1)]


@pytest.mark.parametrize(
    "rate", [1e-6, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999, 1 - 1e-6]
)
def test_keep_counts_at_ten_million(streams, rate):
    # both tails of the exact binomial distribution, 5e-4 each
    kept = np.count_nonzero(keep(0, "dropout", "h:out", (N // 1000, 1000), 0, rate))
    low, high = stats.binom.ppf([5e-4, 1 - 5e-4], N, 1 - rate)
    assert low <= kept <= high


def ks_distance(sample, cdf):
    expected = cdf(np.sort(sample).astype("float64"))
    grid = np.arange(len(sample) + 1) / len(sample)
    return max(np.max(expected - grid[:-1]), np.max(grid[1:] - expected))


KS_BOUND = stats.kstwobign.ppf(1 - 1e-3) / math.sqrt(N)  # 6.2e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_at_ten_million(dtype):
    sample = uniform(0, "noise", "h:out", (N // 1000, 1000), 0, dtype).ravel()
    assert sample.min() >= 0
    assert sample.max() < 1
    assert ks_distance(sample, lambda x: x) < KS_BOUND
    assert abs(sample.mean(dtype="float64") - 0.5) < 3.3 * math.sqrt(1 / 12 / N)
    assert abs(sample.var(dtype="float64") - 1 / 12) < 3.3 * math.sqrt(1 / 180 / N)


def test_uniform_float16_takes_each_of_its_2048_values_equally_often():
    sample = uniform(0, "noise", "h:out", (1000, 1000), 0, "float16").astype("float32")
    counts = np.bincount((sample * 2048).astype(int).ravel(), minlength=2048)
    assert len(counts) == 2048
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_at_ten_million(dtype):
    sample = normal(0, "noise", "h:out", (N // 1000, 1000), 0, dtype).ravel()
    assert ks_distance(sample, special.ndtr) < KS_BOUND
    sample = sample.astype("float64")
    square = sample * sample
    # 3.3 standard errors of each moment of N normals
    assert abs(sample.mean()) < 3.3 * math.sqrt(1 / N)
    assert abs(square.mean() - 1) < 3.3 * math.sqrt(2 / N)
    assert abs((square * sample).mean()) < 3.3 * math.sqrt(15 / N)
    assert abs((square * square).mean() - 3) < 3.3 * math.sqrt(96 / N)
    for z in (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.25, 4.5):
        for tail in (np.count_nonzero(sample > z), np.count_nonzero(sample < -z)):
            low, high = stats.binom.ppf([5e-4, 1 - 5e-4], N, special.ndtr(-z))
            assert low <= tail <= high, z


def test_normal_has_a_fine_grid():
    assert len(np.unique(normal(0, "noise", "h:out", (1000, 1000), 0))) > 9e5


@pytest.mark.parametrize("order", ORDERS)
def test_words_have_uniform_bytes(order):
    counts = np.bincount(words(order, ORDERS[order]).view("uint8"), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("order", ORDERS)
def test_words_have_no_serial_correlation(order):
    sample = words(order, ORDERS[order]) / 2**32 - 0.5
    for lag in (1, 2, 3, 7, 64, 1000, 1024, 4096):
        correlation = np.dot(sample[lag:], sample[:-lag]) / (len(sample) - lag) * 12
        assert abs(correlation) * math.sqrt(len(sample) - lag) < 4.2, lag


@pytest.mark.parametrize("order", ORDERS)
def test_bits_have_the_right_number_of_runs(order):
    sequence = np.unpackbits(words(order, ORDERS[order]).view("uint8"))
    runs = np.count_nonzero(sequence[1:] != sequence[:-1])
    assert abs(runs - len(sequence) / 2) < 3.3 * math.sqrt(len(sequence)) / 2


@pytest.mark.parametrize(
    "order", [order for order in ORDERS if order not in (1, "labels")]
)
def test_birthday_spacings_are_poisson(order):
    # 4096 birthdays in 2**32 days: the number of equal spacings has mean 4096**3 / 2**34 = 4
    days = np.sort(words(order, ORDERS[order]).reshape(-1, 4096), axis=1).astype(
        "int64"
    )
    spacings = np.sort(np.diff(days, axis=1), axis=1)
    equal = np.count_nonzero(np.diff(spacings, axis=1) == 0, axis=1)
    low, high = stats.poisson.ppf([5e-4, 1 - 5e-4], 4 * len(equal))
    assert low <= equal.sum() <= high


def test_streams_and_neighbours_are_independent(streams):
    sample = [
        (stream.reshape(-1, 1000) / 2**32 - 0.5) * math.sqrt(12) for stream in streams
    ]
    for one, other in [
        (sample[0], sample[1]),
        (sample[0][1:], sample[0][:-1]),
        (sample[0][:, 1:], sample[0][:, :-1]),
        (sample[0][1:], sample[1][:-1]),
    ]:
        assert abs((one * other).mean()) * math.sqrt(one.size) < 3.3


@pytest.mark.skipif(
    shutil.which("dieharder") is None, reason="needs the Debian package dieharder"
)
@pytest.mark.parametrize("order", [1000, "steps"])
@pytest.mark.parametrize("test", ["0", "100", "101"])
def test_dieharder_passes_a_short_subset(order, test, tmp_path):
    words(order, 2**22).tofile(tmp_path / "words")
    command = [
        "dieharder",
        "-d",
        test,
        "-p",
        "20",
        "-g",
        "201",
        "-f",
        str(tmp_path / "words"),
    ]
    result = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "PASSED" in result.stdout or "WEAK" in result.stdout
    assert "FAILED" not in result.stdout
