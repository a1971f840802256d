"""The Op `Draw` for PyTensor, and its numba implementation."""

from __future__ import annotations

import functools

import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.link.c.op import COp

from regplug.engine.draw import DrawBase

__all__ = ["Draw"]


class Draw(DrawBase, COp):
    __doc__ = DrawBase.__doc__
    __props__ = DrawBase.__props__  # the metaclass looks only here, not at the bases

    def make_node(self, *inputs):
        _register()
        return Apply(self, self.typed(pt, inputs), [pt.TensorType(self.dtype, shape=self.static_shape)()])

    def __setstate__(self, state):
        _register()
        self.__dict__.update(state)


@functools.cache
def _register():
    # numba takes a second to import, which `import pytensor` does not spend
    from regplug.engine import draw_numba  # noqa: F401
