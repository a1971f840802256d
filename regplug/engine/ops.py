"""What nodes compute and names tell, where both engines call their ops alike."""

from __future__ import annotations

import functools
import re
from typing import Any

__all__ = [
    "CONVOLUTIONS",
    "PRODUCTS",
    "REDUCTIONS",
    "has_given_name",
    "inner_graph",
    "is_a",
    "is_sum",
    "kind",
    "outer_of_inner",
    "scalar_kind",
]

PRODUCTS = ("Dot", "BatchedDot")
CONVOLUTIONS = ("AbstractConv2d", "AbstractConv3d", "ConvOp")
REDUCTIONS = ("CAReduce", "MaxAndArgmax", "Max", "Argmax")

_SLICE = re.compile(r"^(.*)\[-?\d+:(-?\d+)?\]$", re.DOTALL)
_GRADIENT = re.compile(r"^\(d.*/d.*\)$", re.DOTALL)


def kind(node: Any) -> str:
    """Return the class of a node's op, or of the op that it repeats over a batch."""
    # PyTensor's matmul is a Dot in a Blockwise
    return type(getattr(node.op, "core_op", node.op)).__name__


def scalar_kind(node: Any) -> str:
    """Return the class of what a node does entry by entry, ``NoneType`` for none."""
    return type(getattr(node.op, "scalar_op", None)).__name__


def is_a(node: Any, *names: str) -> bool:
    """Tell whether a node's op is of a class with one of these names."""
    cls: Any = type(node.op)
    return not _class_names(cls).isdisjoint(names)


@functools.cache
def _class_names(cls):
    return {base.__name__ for base in cls.__mro__}


def is_sum(node: Any) -> bool:
    """Tell whether a node sums along axes."""
    return is_a(node, "Sum") or (is_a(node, "CAReduce") and scalar_kind(node) == "Add")


def inner_graph(node: Any) -> tuple[list[Any], list[Any]]:
    """Return the inputs and outputs of one step of a scan, to be read only."""
    op = node.op
    if hasattr(op, "inner_inputs"):
        return list(op.inner_inputs), list(op.inner_outputs)
    return list(op.inputs), list(op.outputs)


def outer_of_inner(node: Any) -> dict[Any, Any]:
    """Return the inputs of a step of a scan, each with the scan's own input for it."""
    numbers = node.op.get_oinp_iinp_iout_oout_mappings()["outer_inp_from_inner_inp"]
    outer: dict[Any, Any] = {}
    for number, variable in enumerate(inner_graph(node)[0]):
        outer[variable] = node.inputs[numbers[number]]
    return outer


def has_given_name(variable: Any) -> bool:
    """Tell whether a variable's name is the one that the engine's constructor gives.

    Such as ``mean``, ``max``, ``W.T``, ``x[0:]``. No tag marks them: the name is the
    engine's where the node is the one that the constructor makes.
    """
    name, node = variable.name, variable.owner
    if not name or node is None or not node.inputs:
        return False
    if name in _MADE_AS:
        return _MADE_AS[name](node)
    first = node.inputs[0]
    if name.endswith(".T"):
        is_transpose = is_a(node, "DimShuffle", "MatrixTranspose")
        return is_transpose and first.name == name[:-2]
    slice_ = _SLICE.match(name)
    if slice_ and is_a(node, "Subtensor"):
        # a scan that goes backwards names a slice of what it reversed
        sources = [first] + (first.owner.inputs[:1] if first.owner else [])
        return slice_[1] in [source.name for source in sources]
    return bool(_GRADIENT.match(name))


def _is_mean(node):
    """Tell whether a sum was divided, by one number or axis by axis."""
    divided = False
    while node is not None:
        what = scalar_kind(node)
        divided = divided or what == "TrueDiv"
        is_step = what in ("TrueDiv", "Cast") or (divided and is_a(node, "DimShuffle"))
        if not is_step:
            return divided and is_sum(node)
        node = node.inputs[0].owner
    return False


def _is_variance(node):
    """Tell whether it is a mean of squares, or corrected, a difference."""
    return _is_mean(node) or (
        scalar_kind(node) == "Sub" and all(map(_is_quotient, node.inputs))
    )


def _is_quotient(variable):
    node = variable.owner
    quotients = ("Sqr", "Pow", "TrueDiv")
    return node is not None and (_is_mean(node) or scalar_kind(node) in quotients)


def _is_deviation(node):
    return scalar_kind(node) == "Sqrt" and node.inputs[0].name == "var"


def _is_extremum(node):
    return is_a(node, "MaxAndArgmax", "Max", "Argmax")


_MADE_AS = {
    "mean": _is_mean,
    "var": _is_variance,
    "std": _is_deviation,
    "max": _is_extremum,
    "argmax": _is_extremum,
}
