"""The Op `Draw` for Theano 1.0.5, and a fast ``switch`` on what it draws.

Theano's C code for ``switch(mask, value, 0)`` branches on each element, which on a
random mask costs ten times the draw. Where the mask comes from a `Draw`, the graph is
rewritten to `Masked`, which has no branch.
"""

from __future__ import annotations

import theano.tensor as T
from theano.gof import Apply, Op, local_optimizer
from theano.scalar import ScalarOp, Switch, transfer_type
from theano.tensor.opt import register_specialize

from regplug.engine.draw import DrawBase

__all__ = ["Draw"]


class Draw(DrawBase, Op):
    __props__ = DrawBase.__props__  # the metaclass looks only here, not at the bases

    def make_node(self, *inputs):
        broadcastable = [length == 1 for length in self.static_shape]
        output = T.TensorType(self.dtype, broadcastable)()
        return Apply(self, self.typed(T, inputs), [output])

    def R_op(self, inputs, eval_points):
        return [None]


class Masked(ScalarOp):
    """``value`` where ``mask`` holds, else 0: by a bitwise and, which knows no NaN."""

    nin = 2
    words = {"float32": "npy_uint32", "float64": "npy_uint64"}

    def impl(self, mask, value):
        if mask:
            return value
        return type(value)(0)

    def c_code(self, node, name, inputs, outputs, sub):
        (mask, value), (out,), word = inputs, outputs, self.words[node.outputs[0].dtype]
        return f"""{{
            {word} bits;
            memcpy(&bits, &{value}, sizeof bits);
            bits &= -({word})({mask} != 0);
            memcpy(&{out}, &bits, sizeof bits);
        }}"""

    def c_code_cache_version(self):
        return (1,)


masked = T.Elemwise(Masked(transfer_type(1), name="masked"))


@register_specialize
@local_optimizer([T.Elemwise])
def local_switch_of_draw(node):
    if not isinstance(node.op.scalar_op, Switch):
        return False
    mask, value, other = node.inputs
    if value.dtype not in Masked.words or not _is_drawn(mask):
        return False
    zero = T.extract_constant(other)
    if isinstance(zero, T.Variable) or zero != 0:
        return False
    result = masked(mask, value)
    # neither another dtype nor another shape, where the switch made one
    if result.type != node.outputs[0].type:
        return False
    return [result]


def _is_drawn(mask):
    source = mask.owner
    if source and isinstance(source.op, T.DimShuffle):
        source = source.inputs[0].owner
    return bool(source) and isinstance(source.op, Draw) and source.op.kind == "keep"
