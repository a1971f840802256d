"""Closures: the variables that a scan's step reads of the outer graph unasked.

``scan(lambda s: tanh(dot(s, U) + h), ...)`` reads a computed ``h`` that is no argument
of the step. Both engines copy the computation of ``h`` into the scan, where a
replacement of ``h`` does not reach it. Here the copies are found, and scans made that
read ``h`` itself, as if it had been handed over through ``non_sequences``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from regplug.engine import engine_of
from regplug.graph.numbering import Numbering
from regplug.graph.rewiring import rewire, toposort

__all__ = ["Closures", "ordered", "read_by_closures"]


@dataclass
class Closures:
    """What scans read of the outer graph through closures.

    Attributes
    ----------
    reading : dict of apply node to op and list of variable
        Scans that hold copies of wanted variables: an op without the copies, and the
        variables that it takes as its last non-sequences.
    unclear : dict of variable to None
        Wanted variables of which scans hold copies that may be of another variable,
        computed alike; these copies are left.
    holders : list of apply node
        All scans that hold copies, of either kind.
    """

    reading: dict[Any, tuple[Any, list[Any]]] = field(default_factory=dict)
    unclear: dict[Any, None] = field(default_factory=dict)
    holders: list[Any] = field(default_factory=list)


def read_by_closures(nodes: Collection[Any], wanted: Iterable[Any]) -> Closures:
    """Find the scans among `nodes` whose steps hold copies of the `wanted` variables.

    Copies are told by value numbering, so a step that writes the formula of a variable
    anew reads that variable.
    """
    closures = Closures()
    wanted = [variable for variable in wanted if variable.owner is not None]
    if wanted:
        engine = engine_of(wanted[0])
        if any(isinstance(node.op, engine.Scan) for node in nodes):
            search = _Search(engine, nodes, wanted, closures.unclear)
            closures.reading = search.open_all(nodes, search.known)
            closures.holders = [node for node in nodes if node in search.holders]
    return closures


def ordered(nodes: Collection[Any], reading: Mapping[Any, tuple]) -> list[Any]:
    """Return nodes in an order in which scans follow what they are to read."""
    if not reading:
        return list(nodes)
    outputs = [variable for node in nodes for variable in node.outputs]
    beyond = {variable for node in nodes for variable in node.inputs}
    also = {}
    for node, (_, added) in reading.items():
        beyond.update(added)
        also[node] = added
    return toposort(outputs, beyond.difference(outputs), also)


class _Search:
    """A search for copies; numbers outer variables, and those of each scan apart."""

    def __init__(self, engine, nodes, wanted, unclear):
        self.engine, self.wanted, self.unclear = engine, set(wanted), unclear
        self.holders: set[Any] = set()
        self.numbering = Numbering()
        self.known: dict[Any, int] = {}
        heads = [variable for node in nodes for variable in node.outputs]
        self.numbering.number([*wanted, *heads], self.known)
        self.alike: dict[int, list[Any]] = {self.known[each]: [] for each in wanted}
        for variable in dict.fromkeys([*wanted, *heads]):
            number = self.known[variable]
            if number in self.alike:
                self.alike[number].append(variable)

    def open_all(self, nodes, known):
        """Return the scans that hold copies: op without them, and what it reads."""
        reading = {}
        for node in nodes:
            if isinstance(node.op, self.engine.Scan):
                op, originals = self._open(node, known)
                if originals:
                    reading[node] = op, originals
        return reading

    def _open(self, node, known):
        inputs, outputs = self.engine.inner_graph(node.op)
        inner = self._inner_numbers(node, inputs, outputs, known)
        copies, doubts = self._copies(inner, inputs)
        nodes = toposort(outputs, copies)
        # a copy may lie within the copy of another variable, and go with it
        reached = set(outputs).union(*(each.inputs for each in nodes))
        self.unclear.update((doubts[v], None) for v in doubts if v in reached)
        reading = self.open_all(nodes, inner)
        originals = {copies[copy]: None for copy in copies if copy in reached}
        for _, added in reading.values():
            originals.update(dict.fromkeys(added))
        if originals or not self.holders.isdisjoint(nodes) or reached & doubts.keys():
            self.holders.add(node)
        if not originals:
            return node.op, []
        holders = {each: each.type(each.name) for each in originals}
        memo = {copy: holders.get(copies[copy], copy) for copy in copies} | holders
        rewire(nodes, {}, memo, reading)
        outputs = [memo.get(variable, variable) for variable in outputs]
        inputs.extend(holders.values())
        return self.engine.scan_with(node.op, inputs, outputs, len(holders)), [*holders]

    def _inner_numbers(self, node, inputs, outputs, known):
        """Return the numbers inside a scan; a non-sequence has that of outside."""
        inner = {variable: self.numbering.fresh() for variable in inputs}
        # on both engines they are the last inputs, inside and outside
        count = len(node.op.inner_non_seqs(inputs))
        first = len(inputs) - count
        outside = node.inputs[len(node.inputs) - count :]
        for given, variable in zip(inputs[first:], outside, strict=True):
            inner[given] = known[variable]
        self.numbering.number(outputs, inner)
        return inner

    def _copies(self, inner, inputs):
        """Return copies of wanted variables, and what may be one of these, apart."""
        copies, doubts = {}, {}
        for copy in inner.keys() - set(inputs):
            candidates = self._candidates(copy, inner[copy])
            wanted = [each for each in candidates if each in self.wanted]
            if len(candidates) == 1 and wanted and copy.type == wanted[0].type:
                copies[copy] = wanted[0]
            elif wanted:
                doubts[copy] = wanted[0]
        return copies, doubts

    def _candidates(self, copy, number):
        """Return the outer variables that something inside may be a copy of."""
        alike = self.alike.get(number, [])
        if not copy.name:
            return alike
        # another name excludes, as far as inner variables have names; none does not:
        # it may have been given after the scan was made
        same = [each for each in alike if each.name == copy.name]
        return same or [each for each in alike if not each.name]
