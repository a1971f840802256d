"""DropBlock: squares of a feature map set to zero."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Interval

from regplug import Regularizer, hookimpl
from regplug.engine import engine_of
from regplug_noise.masks import axis_of


class DropBlock(Regularizer):
    """Set square blocks of a feature map to zero and scale the rest by the share that was kept.

    Parameters
    ----------
    weight : float, in [0, 1)
        The share p of the map that is to be dropped.
    block : int
        The side of a block; at most the sides of the map.
    channel_axis : int
        The axis of the channels; the other two axes after the batch are height and width.

    Notes
    -----
    Each channel of each sample has its own blocks. Positions at which a whole block fits into the map of
    H x W are seeds with probability ``p H W / (block ** 2 (H - block + 1) (W - block + 1))``; a seed drops
    the block around it. The result is ``switch(kept, h size(kept) / max(sum(kept), 1), 0)``, over the whole
    batch, as blocks overlap and the share that is kept varies.

    References
    ----------
    G. Ghiasi, T.-Y. Lin and Q. V. Le (2018). DropBlock: a regularization method for convolutional networks.
    NeurIPS 31.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("drop_block", {"pattern": "conv*:out", "weight": 0.1, "block": 5})])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]
    block: Annotated[int, Ge(1)] = 7
    channel_axis: int = -1

    @hookimpl
    def modify_graph(self, outputs, matched, weight, noise):
        for name, h in matched.items():
            if h.ndim != 4:
                raise ValueError(f"{name!r} is {h.type}: a feature map has 4 axes: batch, height, width and channels")
            channels = axis_of(h, self.channel_axis, name)
            axes = [axis for axis in (1, 2, 3) if axis != channels]
            outputs[name] = self.drop(h, axes, weight, noise, name)

    def drop(self, h, axes, weight, noise, name):
        """Return h without its blocks, which lie along `axes`."""
        engine = engine_of(h)
        T, block = engine.T, self.block
        for axis in axes:
            if (engine.static_shape(h)[axis] or block) < block:
                raise ValueError(f"block {block} is larger than {name!r}, which is {h.type}")
        fits = T.and_(*(h.shape[axis] >= block for axis in axes))
        message = f"drop_block: block {block} is larger than the map {name!r}"
        height, width = (engine.Assert(message)(T.cast(h.shape[axis], "float64"), fits) for axis in axes)
        places = (height - block + 1) * (width - block + 1)
        dropped = ~noise.keep(h, weight * (height * width / (block**2 * places)))
        for axis in axes:
            at = T.arange(h.shape[axis]).dimshuffle(*("x" if other != axis else 0 for other in range(4)))
            dropped = dropped & (at >= (block - 1) // 2) & (at < h.shape[axis] - block // 2)
        for axis in axes:
            dropped = self.spread(T, dropped, axis)
        kept = T.cast(T.sum(T.cast(~dropped, "int64")), "float64")
        scale = T.cast(T.cast(h.size, "float64") / T.maximum(kept, 1.0), h.dtype)
        return T.switch(dropped, 0, h * scale)

    def spread(self, T, seeds, axis):
        """Return where a block along `axis` around a seed lies."""

        def zeros(length):
            return T.zeros([length if other == axis else seeds.shape[other] for other in range(4)], dtype="int32")

        before, after = self.block // 2 + 1, (self.block - 1) // 2
        counts = T.cumsum(T.concatenate([zeros(before), T.cast(seeds, "int32"), zeros(after)], axis=axis), axis=axis)
        all_before = (slice(None),) * axis
        return counts[(*all_before, slice(self.block, None))] > counts[(*all_before, slice(None, -self.block))]
