"""PyTensor behind the engine's facade."""

# what is imported and not used here is part of the facade
# ruff: noqa: F401

from __future__ import annotations

from dataclasses import replace

import pytensor.tensor as T
from pytensor import config, grad, scan, shared
from pytensor.compile.mode import get_default_mode
from pytensor.compile.ops import ViewOp
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.gradient import disconnected_grad, grad_clip
from pytensor.graph.op import HasInnerGraph
from pytensor.raise_op import Assert
from pytensor.scalar.basic import Second
from pytensor.scan.op import Scan
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.linalg import svd
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.shape import Shape, Shape_i
from pytensor.tensor.type import DenseTensorType

from regplug.engine.draw_pytensor import Draw
from regplug.engine.facade import NAMES
from regplug.engine.gate import GateBase

__all__ = list(NAMES)

# updates are explicit: a default_update is deprecated from 3.3
uses_default_updates = False


def is_dense(variable):
    """Tell whether a variable is a dense tensor."""
    # TensorType has sparse subclasses
    return isinstance(variable.type, DenseTensorType)


def is_generator(variable):
    """Tell whether a variable is the state of a random generator."""
    return isinstance(variable.type, RandomType)


def has_inner_graph(node):
    """Tell whether a node computes a graph of its own, as a scan does."""
    return isinstance(node.op, HasInnerGraph)


def allow_float64():
    """Return a context in which the flag warn_float64 does not count."""
    return config.change_flags(warn_float64="ignore")


def jacobian(vector, wrt):
    """Return the derivatives of each entry of `vector`, along a new axis 0.

    All entries at once.
    """
    return T.jacobian(vector, wrt, vectorize=True)


def refine_type(new, old):
    """Return `new` with what the type of `old` knows of its shape beyond that."""
    return old.type.filter_variable(new)


def inner_graph(op):
    """Return inputs and outputs of a scan's inner graph, to build upon."""
    if not hasattr(op.fgraph, "unfreeze"):  # before 3.3
        return list(op.inner_inputs), list(op.inner_outputs)
    graph = op.fgraph.unfreeze()
    return list(graph.inputs), list(graph.outputs)


def scan_with(op, inputs, outputs, added):
    """Return a scan's op of another inner graph, which has `added` non-sequences more.

    These are the last inputs.
    """
    info = replace(op.info, n_non_seqs=op.info.n_non_seqs + added)
    names = ("mode", "truncate_gradient", "name", "profile", "allow_gc", "strict")
    options = {name: getattr(op, name) for name in names}
    return Scan(inputs, outputs, info, **options)


def linker_problem(dtype):
    """Return why the default linker cannot compile a dtype, and the way out, or ""."""
    if dtype != "float16" or type(get_default_mode().linker).__name__ != "NumbaLinker":
        return ""
    return (
        "numba, the linker of PyTensor's default mode, has none: "
        "compile with pytensor.function(..., mode='CVM')"
    )


def renew_test_values(node):
    """Do nothing: PyTensor computes no test values."""


def static_shape(variable):
    """Return the length of each axis, None where it is unknown."""
    return tuple(variable.type.shape)


def no_traceback():
    """Return a context in which no variable notes where it was made.

    That takes a third of the time.
    """
    return config.change_flags(traceback__limit=0)


def working_dtype(dtype):
    """Return the dtype to compute in: floatX for integers, float32 for float16."""
    if "float" not in dtype:
        return config.floatX
    if dtype == "float16":
        return "float32"
    return dtype


class Gate(GateBase, ViewOp):
    # the metaclass looks only here, not at the bases
    __props__ = GateBase.__props__
    pullback = pushforward = GateBase.pass_back
