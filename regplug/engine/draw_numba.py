"""`Draw` in numba, for PyTensor's default linker; and noise that is added, in one pass.

`fastmath=False` is said outright because numba inherits the flag from the caller, and
fused multiply-adds would change the last bits.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from hashlib import sha256

import numpy as np
from numba import njit

# SOURCE uses all of them
from numpy import float32, float64, int32, uint32, uint64  # noqa: F401
from pytensor.compile.mode import optdb
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.link.numba.cache import compile_numba_function_src
from pytensor.link.numba.dispatch.basic import register_funcify_and_cache_key
from pytensor.scalar import Add, Mul
from pytensor.tensor.elemwise import Elemwise

from regplug.engine.draw import DrawBase
from regplug.noise import reference
from regplug.noise.reference import NORMAL

__all__ = ["AddedDraw"]

# of the kernels below, for the cache on disk
VERSION = 3

helper = njit(fastmath=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)


philox = helper(reference.rounds)
mix = helper(reference.mix)
halves = helper(reference.halves)
polynomial = helper(reference.polynomial)


def filler(cell):
    """Return the function that fills a line by the value of each cell."""
    cell = helper(cell)

    @helper
    def fill(line, a, b, c, d, threshold):
        for j in range(line.size):
            line[j] = cell(mix(a, b, j), mix(c, d, j), threshold)

    return fill


def keep(h0, h1, threshold):
    return h0 >= threshold


def uniform_32(h0, h1, threshold):
    return float32(int32(h0 >> uint32(8))) * float32(2**-24)


def uniform_64(h0, h1, threshold):
    high, low = float64(int32(h0 >> uint32(5))), float64(int32(h1 >> uint32(6)))
    return (high * 2.0**26 + low) * 2.0**-53


def normal(real):
    coefficients, scale = tuple(map(real, NORMAL)), real(2**-23)

    def cell(h0, h1, threshold):
        t = real(halves(h0, h1)) * scale
        return polynomial(t * t, coefficients) * t

    return cell


LINES = {
    ("keep", "bool"): filler(keep),
    ("uniform", "float32"): filler(uniform_32),
    ("uniform", "float64"): filler(uniform_64),
    ("normal", "float32"): filler(normal(float32)),
    ("normal", "float64"): filler(normal(float64)),
}


@helper
def threshold_of(rate):
    if not (rate >= 0.0 and rate < 1.0):
        raise ValueError("rate is outside [0, 1)", rate)
    return uint32(min(np.rint(rate * 2.0**32), 2.0**32 - 1))


@helper
def check(shape, index, count):
    for length in shape:
        if length < 0:
            raise ValueError("shape has a negative length", length)
    if index < 0 or index >= count:
        raise ValueError("key is outside the table of keys", index)


SOURCE = """
def draw({base}keys, index, step, row_offset, {rate}shape):
    check(shape, index.item(), keys.shape[0])
    threshold = {threshold}
    k0, k1 = keys[index.item(), 0], keys[index.item(), 1]
    out = np.empty(({lengths}), dtype)
    {before}
    rows = {rows}
    if out.size == 0:
        return out
    flat = out.reshape(out.size)
    columns = out.size // rows
    row, at = uint64(row_offset.item()), 0
    for _ in range(rows):
        low, high = uint32(row), uint32(row >> uint64(32))
        for start in range(0, columns, COLUMNS):
            width = min(COLUMNS, columns - start)
            line = flat[at : at + width]
            block = uint32(start // COLUMNS)
            a, b, c, d = philox(block, low, high, uint32(step.item()), k0, k1)
            fill(line, a, b, c, d, threshold)
            {after}
            at += width
        row += uint64(1)
    return out
"""
BASE = """
    if base.shape != out.shape:
        raise ValueError(
            "noise is added to an array of another shape", base.shape, out.shape
        )
    other, factor = np.ascontiguousarray(base).reshape(base.size), scale.item()
"""


@helper
def add(line, other, factor):
    for j in range(line.size):
        line[j] = other[j] + factor * line[j]


@register_funcify_and_cache_key(DrawBase)
def numba_funcify_draw(op, node, **kwargs):
    if (op.kind, op.dtype) not in LINES:
        raise NotImplementedError(
            f"{op}: numba has no {op.dtype}; compile with the C or the Python linker"
        )
    return keyed(op.kind, op.dtype, len(op.static_shape), False)


def keyed(*site):
    """Return the function that serves all sites of a kind, and its key on disk.

    A kind is told by a draw's kind, dtype and number of dimensions.
    """
    text = repr(("regplug.Draw", VERSION, NORMAL, *site))
    return kernel(*site), sha256(text.encode()).hexdigest()


@functools.cache
def kernel(kind, dtype, ndim, is_added):
    parts = defaultdict(str, threshold="uint32(0)", rows="1")
    parts["lengths"] = "".join(f"shape[{axis}], " for axis in range(ndim))
    if ndim:
        parts["rows"] = "shape[0]"
    if kind == "keep":
        parts.update(rate="rate, ", threshold="threshold_of(rate.item())")
    if is_added:
        after = "add(line, other[at : at + width], factor)"
        parts.update(base="base, scale, ", before=BASE.strip(), after=after)
    names = dict(globals(), COLUMNS=reference.COLUMNS, dtype=np.dtype(dtype))
    names["fill"] = LINES[kind, dtype]
    source = SOURCE.format_map(parts)
    return njit(fastmath=False)(compile_numba_function_src(source, "draw", names))


class AddedDraw(Op):
    """``base + scale * draw`` in one pass over memory, for a scalar `scale`."""

    __props__ = ("draw",)

    def __init__(self, draw):
        self.draw = draw

    def make_node(self, base, scale, *inputs):  # type: ignore[override]
        return Apply(self, [base, scale, *inputs], [base.type()])

    def perform(self, node, inputs, output_storage):
        base, scale, *rest = inputs
        self.draw.perform(node, rest, output_storage)
        output_storage[0][0] = base + scale * output_storage[0][0]


@register_funcify_and_cache_key(AddedDraw)
def numba_funcify_added_draw(op, node, **kwargs):
    return keyed(op.draw.kind, op.draw.dtype, len(op.draw.static_shape), True)


@node_rewriter([Elemwise])
def local_add_draw(fgraph, node):
    """Replace ``base + scale * draw`` by `AddedDraw`, if nothing else uses the draw."""
    if not is_of_two(node, Add):
        return None
    for base, product in itertools.permutations(node.inputs):
        if not is_of_two(product.owner, Mul) or len(fgraph.clients[product]) != 1:
            continue
        for scale, noise in itertools.permutations(product.owner.inputs):
            is_one_type = base.type == noise.type == node.outputs[0].type
            is_scalar = all(scale.type.broadcastable) and scale.dtype == noise.dtype
            if is_one_type and is_scalar and is_drawn_for_this(fgraph, noise):
                draw = noise.owner
                added = AddedDraw(draw.op)
                return [added(base, scale.dimshuffle(), *draw.inputs)]
    return None


def is_of_two(node, scalar_op):
    """Tell whether a node is an operation of two inputs, entry by entry."""
    is_elemwise = node is not None and isinstance(node.op, Elemwise)
    if not is_elemwise or not isinstance(node.op.scalar_op, scalar_op):
        return False
    return len(node.inputs) == 2


def is_drawn_for_this(fgraph, noise):
    """Tell whether a variable is drawn, by numba, and nothing else uses it."""
    if noise.owner is None or not isinstance(noise.owner.op, DrawBase):
        return False
    is_here = (noise.owner.op.kind, noise.owner.op.dtype) in LINES
    return is_here and len(fgraph.clients[noise]) == 1


optdb["specialize"].register(
    "local_add_draw", local_add_draw, "numba", use_db_name_as_tag=False
)
