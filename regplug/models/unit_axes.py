"""Where units of parameters and channels of outputs are, as the graph shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from regplug.engine.ops import CONVOLUTIONS, PRODUCTS, kind

__all__ = ["find_unit_axes"]

# and along how many axes, the last
_BATCHED_CONVOLUTIONS = {"Convolve1d": 1, "Convolve2d": 2}
_REDUCTIONS = ("Sum", "Max", "Min")
_KEEP_AXES = ("Elemwise", "Softmax", "LogSoftmax", "Pool")


def find_unit_axes(nodes: Iterable[Any], params: Iterable[Any]) -> dict[Any, int]:
    """Return the axis of parameters' units, and of the channels of what is computed.

    Parameters
    ----------
    nodes : iterable of apply nodes
        In topological order, not optimized.
    params : iterable of variable

    Returns
    -------
    dict of variable to int
        What the graph does not show, or shows in two ways that disagree, is left out.

    Notes
    -----
    In ``x @ w`` the units are on axis 1 of `w`, in ``w @ x`` on axis 0, and on axis 0
    of the kernel of Theano's convolutions, whose channels are on axis 1. Those of
    PyTensor, batched, repeat images along the units. Followed is what reorders axes,
    keeps them or sums over others. A vector that is added or multiplied, such as
    biases, shows channels where nothing upstream does. No node is looked into, scans
    neither.
    """
    walk = _Walk(params)
    for node in nodes:
        walk.visit(node)
    axes = dict(walk.channels)
    for param, shown in walk.units.items():
        if len(shown) == 1:
            axes[param] = min(shown)
    return axes


class _Walk:
    """What is known so far.

    Attributes
    ----------
    channels : dict of variable to int
    sources : dict of variable to (variable, tuple)
        Parameters, reordered ones too: the parameter, and which of its axes stands
        where.
    units : dict of variable to set of int
        What the uses of a parameter show.
    """

    def __init__(self, params):
        self.channels: dict[Any, int] = {}
        self.units: dict[Any, set[int]] = defaultdict(set)
        self.sources: dict[Any, tuple[Any, tuple[Any, ...]]] = {}
        for param in params:
            self.sources[param] = (param, tuple(range(param.ndim)))

    def visit(self, node):
        what = kind(node)
        if what in PRODUCTS:
            left, right = node.inputs
            self._multiply(left, right, node.outputs[0])
        elif what in CONVOLUTIONS:
            self._use(node.inputs[1], 0, node.outputs[0], 1)
        elif what in _BATCHED_CONVOLUTIONS:
            self._convolve(node, _BATCHED_CONVOLUTIONS[what])
        elif what in _REDUCTIONS:
            self._reduce(node.inputs[0], node.op.axis, node.outputs[0])
        elif what == "DimShuffle":
            self._reorder(node.inputs[0], node.op.new_order, node.outputs[0])
        elif what == "Reshape" and node.inputs[0].ndim == node.outputs[0].ndim == 2:
            # Theano's dot of a tensor and a matrix has the matrix in one of its own
            # shape
            self._pass_on_source(node.inputs[0], node.outputs[0])
        elif what in _KEEP_AXES:
            self._keep(node.inputs, node.outputs[0])

    def _multiply(self, left, right, product):
        if right in self.sources and right.ndim > 1:
            self._use(right, -1, product, product.ndim - 1)
        elif left in self.sources and left.ndim > 1:
            self._use(left, -2, product, product.ndim - 2)

    def _convolve(self, node, sides):
        """Note the units of PyTensor's convolutions: images are repeated along them."""
        images, kernels, *_ = node.inputs
        for axis, is_repeated in enumerate(images.type.broadcastable[:-sides]):
            if is_repeated:
                self._use(kernels, axis, node.outputs[0], axis)

    def _reduce(self, old, axes, new):
        """Follow channels that are none of the axes of a sum."""
        channel = self.channels.get(old)
        if channel is not None and axes is not None and channel not in axes:
            self.channels[new] = channel - sum(axis < channel for axis in axes)

    def _use(self, weight, axis, result, channel):
        """Note that the units of a parameter become the channels of a result."""
        if weight not in self.sources:
            return
        param, axes = self.sources[weight]
        # a vector that was widened to a matrix has no units
        if axes[axis] is not None:
            self.units[param].add(axes[axis])
            self.channels[result] = channel

    def _reorder(self, old, order, new):
        if self.channels.get(old) in order:
            self.channels[new] = order.index(self.channels[old])
        if old in self.sources:
            param, axes = self.sources[old]
            at = dict(enumerate(axes))
            self.sources[new] = (param, tuple(map(at.get, order)))

    def _keep(self, inputs, result):
        shown = {self.channels[each] for each in inputs if each in self.channels}
        if not shown and result.ndim > 1:
            shown = self._axes_of_vectors(inputs)
        if len(shown) == 1:
            self.channels[result] = min(shown)
        elif len(inputs) == 1:
            self._pass_on_source(inputs[0], result)

    def _axes_of_vectors(self, inputs):
        """Return where parameters of one dimension, widened to a result's, lie."""
        shown = set()
        for each in inputs:
            param, axes = self.sources.get(each, (None, ()))
            if param is not None and param.ndim == 1 and 0 in axes:
                shown.add(axes.index(0))
        return shown

    def _pass_on_source(self, old, new):
        if old in self.sources:
            self.sources[new] = self.sources[old]
