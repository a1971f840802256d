"""Roles by what the graph does: where data meet parameters, there is a layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from regplug.engine.ops import (
    PRODUCTS,
    REDUCTIONS,
    inner_graph,
    is_a,
    is_sum,
    kind,
    outer_of_inner,
    scalar_kind,
)
from regplug.graph.rewiring import toposort
from regplug.models.patterns import ROLES

__all__ = ["LayeredGraph"]

# entry by entry, or a part of the whole: these change data and make no layer of them
_ENTRYWISE = ("Elemwise", "DimShuffle", "Reshape")
_PARTS = ("Join", "Subtensor", "IncSubtensor", "AdvancedIncSubtensor")


class LayeredGraph:
    """A graph's layers, and what lies up- and downstream of them.

    A *layer* is a node in which data meet parameters in a product, a convolution, a
    lookup or a scan. What is added or multiplied entry by entry (bias, gain, slope,
    temperature, penalty) makes no layer.

    Parameters
    ----------
    engine : module
    nodes : list of apply nodes
        In topological order.
    weights, data : iterable of variable
        What is known to be a parameter, and to be none. Of what is not known, float
        shared variables and matrices of constants (a frozen network's) are parameters.

    Attributes
    ----------
    layers : dict of apply node to set of variable
        By node, the data that are contracted with parameters.
    """

    def __init__(
        self,
        engine: ModuleType,
        nodes: Sequence[Any],
        weights: Iterable[Any],
        data: Iterable[Any],
    ):
        self._engine, self.nodes = engine, nodes
        self._weights, self.data = set(weights), set(data)
        self._uses: dict[Any, list[Any]] = defaultdict(list)
        self._constants: set[Any] = set()
        # by node: the data whose values it reads
        self._read: dict[Any, set[Any]] = {}
        self.layers: dict[Any, set[Any]] = {}
        for node in nodes:
            for variable in node.inputs:
                self._uses[variable].append(node)
                if variable.owner is None:
                    self._take_root(variable)
        for node in nodes:
            self._take_outputs(node)
        self._go_downstream()
        self._go_upstream()

    def _take_root(self, root):
        if root in self._weights or root in self.data:
            return
        is_float = "float" in getattr(root.type, "dtype", "")
        if hasattr(root, "data"):
            if is_float and root.ndim > 1 and 1 not in root.data.shape:
                self._weights.add(root)
                self._constants.add(root)
        elif not hasattr(root, "get_value"):
            self.data.add(root)
        elif is_float and not getattr(root.tag, "regplug", False):
            self._weights.add(root)

    def _take_outputs(self, node):
        values = node.inputs
        if is_a(node, "Shape", "Shape_i"):
            values = []
        elif scalar_kind(node) == "Second":
            # as a gradient begins: the first has a shape to fill, and nothing else
            values = node.inputs[1:]
        self._read[node] = self.data.intersection(values)
        if not self._weights.isdisjoint(node.outputs):
            return
        if self._read[node]:
            self.data.update(node.outputs)
            contracted = self._contracted(node)
            if contracted:
                self.layers[node] = contracted
        elif not self._weights.isdisjoint(values):
            self._weights.update(node.outputs)
            if self._weights.intersection(node.inputs) <= self._constants:
                self._constants.update(node.outputs)

    def _contracted(self, node):
        """Return the data that a node contracts with parameters."""
        data = self._read[node]
        weights = []
        for variable in self._weights.intersection(node.inputs):
            if variable.ndim:
                weights.append(self._wide_axes(variable))
        if is_a(node, "Scan") and weights:
            return self._contracted_inside(node)
        if scalar_kind(node) == "Mul":
            summed = self._summed_axes(node.outputs[0])
            is_layer = node.outputs[0].ndim > 1 and any(
                map(summed.intersection, weights)
            )
        elif is_a(node, *_ENTRYWISE, *_PARTS):
            is_layer = False
        else:
            # a product takes a vector, too
            least = 1 + (kind(node) not in PRODUCTS)
            is_layer = max(map(len, weights), default=0) >= least
        return data if is_layer else set()

    def _wide_axes(self, variable):
        axes = set()
        for axis, length in enumerate(self._engine.static_shape(variable)):
            if length != 1:
                axes.add(axis)
        return axes

    def _summed_axes(self, variable):
        """Return the axes along which a product by hand is summed."""
        axes: set[int] = set()
        for node in self._uses[variable]:
            if is_sum(node):
                every = range(variable.ndim)
                axes.update(every if node.op.axis is None else node.op.axis)
        return axes

    def _contracted_inside(self, node):
        """Return the data that meet parameters within one step of a scan."""
        outer = outer_of_inner(node)
        weights = {inner for inner in outer if outer[inner] in self._weights}
        nodes = toposort(inner_graph(node)[1])
        step = LayeredGraph(self._engine, nodes, weights, outer.keys() - weights)
        if not step.layers:
            return set()
        contracted = {outer[inner] for inner in step.before & outer.keys()}
        # a layer, though it may contract nothing but its own states
        return contracted & self.data or {None}

    def _go_downstream(self):
        """Find what lies behind layers, and what is a reduction."""
        # the layers upstream, as the bits of a number
        self.upstream: dict[Any, int] = defaultdict(int)
        self._reduced: set[Any] = set()
        self._bits = {node: 1 << number for number, node in enumerate(self.layers)}
        for node in self.nodes:
            found = self._bits.get(node, 0)
            found |= self._upstream_of(node)
            self.upstream.update(dict.fromkeys(node.outputs, found))
            if node not in self.layers and self._is_reduction(node):
                self._reduced.update(node.outputs)

    def _is_reduction(self, node):
        """Tell whether a node reduces data, or reshapes what is nothing but reduced."""
        data = self._read[node]
        if not data:
            return False
        if is_a(node, *_ENTRYWISE):
            return data <= self._reduced
        return is_a(node, *REDUCTIONS) and not self._is_product(node.inputs[0].owner)

    def _is_product(self, node):
        """Tell whether what is summed is a product by hand, of a layer or of two."""
        if node is None or scalar_kind(node) != "Mul":
            return False
        found = [self.upstream[variable] for variable in self._read[node]]
        # each with layers that the other has not
        is_of_two = len(found) == 2 and found[0] & ~found[1] and found[1] & ~found[0]
        return node in self.layers or bool(is_of_two)

    def _go_upstream(self):
        """Find what lies before layers, and what the first ones contract."""
        self.before: set[Any] = set()
        self._first: set[Any] = set()
        for node in reversed(self.nodes):
            contracted = self.layers.get(node, set())
            data = self._read[node]
            if node in self.layers or not self.before.isdisjoint(node.outputs):
                self.before |= data
            self._first |= contracted & data
            # a mask meets activations, in a scan the states
            meets = is_a(node, "Elemwise") and self._upstream_of(node)
            meets = meets or (is_a(node, "Scan") and contracted & data)
            if not meets and not self._first.isdisjoint(node.outputs):
                self._first |= data

    def roles(
        self, candidates: Mapping[str, Any], reductions: bool = False
    ) -> dict[str, set[str]]:
        """Return the names of candidates behind each role.

        An *input* has no layer upstream and feeds one: targets, and masks of
        activations, are none. A *hidden* one has layers on both sides, and of those
        that reach the next layer through another one alone, it is that other; it is
        never a scalar or a statistic (a reduction that meets what it was made of). An
        *output* has layers upstream and none downstream, the last again; it is no
        scalar, no function of a target, and no reduction (a loss of each sample) where
        there is anything else; with `reductions`, where a caller listed the outputs, it
        may be one all the same.
        """
        judged = self._judged()
        first, between, after = {}, {}, {}
        for name, variable in candidates.items():
            if "float" not in variable.dtype or variable not in self.data:
                continue
            is_before = variable in self.before
            if not self.upstream[variable]:
                if variable in self._first:
                    first[name] = variable
            elif is_before and variable.ndim and not self._is_statistic(variable):
                between[name] = variable
            elif not is_before and variable.ndim and variable not in judged:
                after[name] = variable
        whole = {key: each for key, each in after.items() if each not in self._reduced}
        if reductions or not whole:
            whole = after
        found = (
            self._earliest(first),
            self._latest(between),
            self._latest(whole),
        )
        return dict(zip(ROLES, found, strict=True))

    def undecided(self, candidates: Mapping[str, Any]) -> list[str]:
        """Return the names of candidates that only a frozen network reads, it seems.

        Where that belongs to the loss, they are the prediction. It seems frozen where
        its parameters are constants, and the layers upstream have others; or where they
        meet, on another branch, data that no layer was applied to: a target, or what a
        generator's result is compared with.
        """
        frozen = self._frozen()
        if not frozen:
            return []
        below: dict[Any, int] = defaultdict(int)
        for node in reversed(self.nodes):
            found = self._bits.get(node, 0)
            for variable in node.outputs:
                found |= below[variable]
            for variable in self._read[node]:
                below[variable] |= found
        names = []
        for name, variable in candidates.items():
            is_only = below[variable] and not below[variable] & ~frozen
            if is_only and not self.upstream[variable] & frozen:
                names.append(name)
        return names

    def _frozen(self):
        """Return the layers that look like a frozen network's, as bits."""
        firsts: dict[Any, int] = defaultdict(int)
        trained = frozen = copied = 0
        for node, bit in self._bits.items():
            if not self._upstream_of(node):
                for weight in self._weights.intersection(node.inputs):
                    firsts[weight] |= bit
            if not self._weights.intersection(node.inputs) <= self._constants:
                trained |= bit
        for node, bit in self._bits.items():
            upstream = self._upstream_of(node)
            if upstream & trained and not bit & trained:
                frozen |= bit
            if upstream & copied:
                copied |= bit
            for weight in self._weights.intersection(node.inputs):
                elsewhere = firsts[weight]
                if upstream and elsewhere and not elsewhere & upstream:
                    copied |= bit
        # without a scalar there is no loss that they could belong to
        judging = 0
        for variable, upstream in self.upstream.items():
            if getattr(variable, "ndim", None) == 0:
                judging |= upstream
        return (frozen | copied) & judging

    def _upstream_of(self, node):
        found = 0
        for variable in self._read[node]:
            found |= self.upstream[variable]
        return found

    def is_compared(self, variable: Any, outputs: Iterable[Any]) -> bool:
        """Tell whether an input that feeds a layer meets what comes of outputs, too."""
        if self.upstream[variable] or variable not in self.before:
            return False
        bare, after = {variable}, set(outputs)
        for node in self.nodes:
            is_bare = not bare.isdisjoint(self._read[node])
            is_after = not after.isdisjoint(self._read[node])
            if is_bare and is_after:
                return True
            if is_bare and not self.upstream[node.outputs[0]]:
                bare.update(node.outputs)
            if is_after:
                after.update(node.outputs)
        return False

    def _judged(self):
        """Return what is computed of targets: of data that no layer reads."""
        judged: set[Any] = set()
        for node in self.nodes:
            for variable in self._read[node]:
                if variable.owner is None and variable not in self.before:
                    judged.add(variable)
            if not judged.isdisjoint(node.inputs):
                judged.update(node.outputs)
        return judged

    def _is_statistic(self, variable):
        """Tell whether it meets, entry by entry, what it was reduced from."""
        if variable not in self._reduced:
            return False
        stack = [variable]
        while stack:
            for node in self._uses[stack.pop()]:
                if node in self.layers or not is_a(node, *_ENTRYWISE):
                    continue
                for other in self._read[node] - self._reduced:
                    if self.upstream[other] == self.upstream[variable]:
                        return True
                stack.extend(self._reduced.intersection(node.outputs))
        return False

    def _earliest(self, candidates):
        """Return the names of candidates that are computed of no other one."""
        later: set[Any] = set()
        others = set(candidates.values())
        for node in self.nodes:
            if not later.isdisjoint(node.inputs) or not others.isdisjoint(node.inputs):
                later.update(node.outputs)
        return {name for name, variable in candidates.items() if variable not in later}

    def _latest(self, candidates):
        """Leave out the names that reach a layer through another one alone."""
        others = set(candidates.values())
        direct: set[Any] = set()
        through: set[Any] = set()
        for node in reversed(self.nodes):
            data = self._read[node]
            outputs = set(node.outputs)
            direct |= data & self.layers.get(node, set())
            if not direct.isdisjoint(outputs - others):
                direct |= data
            if not through.isdisjoint(outputs) or not others.isdisjoint(outputs):
                through |= data
        early = through - direct
        return {name for name, variable in candidates.items() if variable not in early}
