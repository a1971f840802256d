"""The Op `Draw` for PyTensor, and its numba implementation."""

from __future__ import annotations

import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.link.c.op import COp

from regplug.engine.draw import DrawBase

__all__ = ["Draw"]


class Draw(DrawBase, COp):
    __props__ = DrawBase.__props__  # the metaclass looks only here, not at the bases

    def make_node(self, *inputs):
        # numba takes a second to import, which `import pytensor` does not spend
        from regplug.engine import draw_numba  # noqa: F401

        output = pt.TensorType(self.dtype, shape=self.static_shape)()
        return Apply(self, self.typed(pt, inputs), [output])

    def __setstate__(self, state):
        from regplug.engine import draw_numba  # noqa: F401

        self.__dict__.update(state)
