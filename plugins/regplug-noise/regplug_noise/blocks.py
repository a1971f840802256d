"""DropBlock: squares of a feature map set to zero."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Interval

from regplug import Regularizer, hookimpl
from regplug.engine import engine_of
from regplug_noise.masks import channel_axis_of

SMALLER = "choose a smaller block, or variant 'torchvision' or 'timm', which cut it to the map"


def read_as(axes):
    """Return which axes are taken for height and width, in words."""
    return "height on axis {} and width on axis {}".format(*axes)


class DropBlock(Regularizer):
    """Set square blocks of a feature map to zero and scale the rest by the share that was kept.

    Parameters
    ----------
    weight : float, in [0, 1)
        The share p of the map that is to be dropped; as blocks overlap, less is.
    block : int
        The side of a block.
    channel_axis : int, optional
        The axis of the channels; the other two axes after the batch are height and
        width. By default the axis that the graph shows, such as that of the convolution
        upstream; where it shows none, it must be given.
    variant : {"paper", "torchvision", "timm"}
        Where seeds may lie, and what becomes of a block that is larger than the map;
        see Notes.
    shared_channels : bool
        Whether all channels of a sample have the same blocks, as is timm's default.

    Notes
    -----
    A block has the sides b_H and b_W. In a map of H x W, each position that may be a
    seed is one with probability ``p H W / (b_H b_W (H - b_H + 1) (W - b_W + 1))``, and
    a seed drops the block around it. The result is ``switch(kept, h size(kept) /
    max(sum(kept), 1), 0)``, over the whole batch, as the share that is kept varies.

    ``paper``: b_H = b_W = `block`; seeds lie where the whole block fits into the map. A
    block larger than the map is refused. ``torchvision``: the same with b_H = b_W =
    min(block, H, W). ``timm``: b_H = min(block, H) and b_W = min(block, W); seeds lie
    anywhere, and their blocks are cut off at the border. The probability is the same as
    if they did not, so more is dropped: 0.51 of a map of 28 x 28 at p = 0.5 and block
    7, where the others drop 0.37.

    A block of even side b around a seed at i reaches from i - (b / 2 - 1) to i + b / 2;
    with ``timm`` from i - b / 2 to i + (b / 2 - 1). torchvision itself refuses even
    sides.

    References
    ----------
    G. Ghiasi, T.-Y. Lin and Q. V. Le (2018). DropBlock: a regularization method for
    convolutional networks. NeurIPS 31.

    Examples
    --------
    >>> import regplug
    >>> manager = regplug.compose([("drop_block", {"pattern": "conv*:out", "weight": 0.1, "block": 5})])
    """

    pattern = "@hidden"
    weight: Annotated[float, Interval(ge=0, lt=1)]
    block: Annotated[int, Ge(1)] = 7
    channel_axis: int | None = None
    variant: Literal["paper", "torchvision", "timm"] = "paper"
    shared_channels: bool = False

    @hookimpl
    def modify_graph(self, name, value, weight, noise, unit_axis):
        if value.ndim != 4:
            raise ValueError(
                f"{name!r} is {value.type}: a feature map has 4 axes: batch, "
                "channels, height and width, in any order after the batch"
            )
        channels = channel_axis_of(value, self.channel_axis, name, unit_axis)
        axes = [axis for axis in (1, 2, 3) if axis != channels]
        dropped = self.dropped(value, axes, channels, weight, noise, name)
        return self.rescaled(value, dropped, channels, weight)

    def dropped(self, h, axes, channels, weight, noise, name):
        """Return where blocks lie."""
        T = engine_of(h).T
        sides = self.sides(h, axes, name)
        height, width = self.lengths(h, axes, name)
        block_height, block_width = sides.values()
        places = (height - block_height + 1) * (width - block_width + 1)
        rate = weight * (height * width / (block_height * block_width * places))
        seeds = ~noise.keep(h, rate, [channels] if self.shared_channels else ())
        if self.variant != "timm":
            for axis, side in sides.items():
                at = T.arange(h.shape[axis]).dimshuffle(
                    *("x" if other != axis else 0 for other in range(4))
                )
                seeds = (
                    seeds & (at >= (side - 1) // 2) & (at < h.shape[axis] - side // 2)
                )
        for axis, side in sides.items():
            seeds = self.spread(T, seeds, axis, side)
        return seeds

    def sides(self, h, axes, name):
        """Return the side of a block along each of the axes."""
        engine = engine_of(h)
        if self.variant == "paper":
            for axis in axes:
                if (engine.static_shape(h)[axis] or self.block) < self.block:
                    raise ValueError(
                        f"block {self.block} is larger than {name!r}, which is "
                        f"{h.type} with {read_as(axes)}: give another channel_axis, or "
                        f"{SMALLER}"
                    )
            return dict.fromkeys(axes, self.block)
        sides = {axis: engine.T.minimum(h.shape[axis], self.block) for axis in axes}
        if self.variant == "torchvision":
            sides = dict.fromkeys(axes, engine.T.minimum(*sides.values()))
        return sides

    def lengths(self, h, axes, name):
        """Return the sides of the map in float64."""
        engine = engine_of(h)
        T = engine.T
        lengths = [T.cast(h.shape[axis], "float64") for axis in axes]
        if self.variant != "paper":
            return lengths
        fits = T.and_(*(h.shape[axis] >= self.block for axis in axes))
        message = (
            f"drop_block: block {self.block} is larger than the map {name!r} with "
            f"{read_as(axes)}: give another channel_axis, or {SMALLER}"
        )
        return [engine.Assert(message)(length, fits) for length in lengths]

    def spread(self, T, seeds, axis, side):
        """Return where a block along `axis` around a seed lies."""

        # counted in float32, exactly: in Python mode Theano's sums of int32 are int64,
        # which test values do not pass
        def zeros(length):
            return T.zeros(
                [length if other == axis else seeds.shape[other] for other in range(4)],
                dtype="float32",
            )

        before, after = side // 2, (side - 1) // 2
        if self.variant == "timm":
            before, after = after, before
        counts = T.concatenate(
            [zeros(before + 1), T.cast(seeds, "float32"), zeros(after)], axis=axis
        )
        counts = T.cumsum(counts, axis=axis)
        all_before = (slice(None),) * axis
        return (
            counts[(*all_before, slice(side, None))]
            > counts[(*all_before, slice(None, -side))]
        )

    def rescaled(self, h, dropped, channels, weight):
        """Return h without its blocks, the rest scaled by the share that was kept."""
        T = engine_of(h).T
        size = h.size // h.shape[channels] if self.shared_channels else h.size
        kept = T.cast(T.sum(T.cast(~dropped, "int64")), "float64")
        scale = T.cast(T.cast(size, "float64") / T.maximum(kept, 1.0), weight.dtype)
        return T.switch(dropped, 0, h * scale)
