"""Theano 1.0.5 behind the engine's facade."""

# what is imported and not used here is part of the facade
# ruff: noqa: F401

from __future__ import annotations

import operator

import theano
import theano.tensor as T
from theano import grad, scan, shared
from theano.compile.builders import OpFromGraph
from theano.compile.ops import Shape, Shape_i, ViewOp
from theano.compile.sharedvalue import SharedVariable
from theano.gof import Op
from theano.gradient import disconnected_grad, grad_clip
from theano.scalar.basic import Second
from theano.scan_module.scan_op import Scan
from theano.tensor.elemwise import Elemwise
from theano.tensor.nlinalg import svd
from theano.tensor.opt import Assert
from theano.tensor.raw_random import RandomStateType

from regplug.engine.draw_theano import Draw
from regplug.engine.facade import NAMES
from regplug.engine.gate import GateBase

__all__ = list(NAMES)

# by default_update: theanets passes on no other updates
uses_default_updates = True


def is_dense(variable):
    """Tell whether a variable is a dense tensor."""
    return isinstance(variable.type, T.TensorType)


def is_generator(variable):
    """Tell whether a variable is the state of a random generator."""
    # MRG_RandomStreams keeps its states in matrices of integers, with a tag
    return isinstance(variable.type, RandomStateType) or hasattr(variable.tag, "is_rng")


def has_inner_graph(node):
    """Tell whether a node computes a graph of its own, as a scan does."""
    return isinstance(node.op, (OpFromGraph, Scan))


def allow_float64():
    """Return a context in which the flag warn_float64 does not count."""
    return theano.change_flags(warn_float64="ignore")


def jacobian(vector, wrt):
    """Return the derivatives of each entry of `vector`, along a new axis 0.

    One entry after the other.
    """
    return T.jacobian(vector, wrt)


def refine_type(new, old):
    """Return `new` with what the type of `old` knows of its shape beyond that."""
    known = tuple(map(operator.or_, new.broadcastable, old.broadcastable))
    if known == new.broadcastable:
        return new
    return T.patternbroadcast(new, known)


def inner_graph(op):
    """Return inputs and outputs of a scan's inner graph, to build upon."""
    return list(op.inputs), list(op.outputs)


def scan_with(op, inputs, outputs, added):
    """Return a scan's op of another inner graph, which has `added` non-sequences more.

    These are the last inputs.
    """
    # what is beyond the other inputs, is one
    return Scan(inputs, outputs, dict(op.info))


def linker_problem(dtype):
    """Return why the default linker cannot compile a dtype, and the way out, or ""."""
    return ""


def renew_test_values(node):
    """Compute the test values of a node whose inputs were replaced.

    A clone keeps those of the old inputs.
    """
    if theano.config.compute_test_value == "off":
        return
    for variable in node.outputs:
        vars(variable.tag).pop("test_value", None)
    try:
        storage = {variable: [Op._get_test_value(variable)] for variable in node.inputs}
    # an input without one was reported when the model was built
    except AttributeError:
        return
    storage.update((variable, [None]) for variable in node.outputs)
    computed = {variable: [variable in node.inputs] for variable in storage}
    node.op.make_thunk(node, storage, computed, no_recycling=[])()
    for variable in node.outputs:
        variable.tag.test_value = storage[variable][0]


def static_shape(variable):
    """Return the length of each axis, None where it is unknown."""
    return tuple(1 if one else None for one in variable.broadcastable)


def no_traceback():
    """Return a context in which no variable notes where it was made.

    That takes a third of the time.
    """
    return theano.change_flags(**{"traceback.limit": 0})


def working_dtype(dtype):
    """Return the dtype to compute in: floatX for integers, float32 for float16."""
    if "float" not in dtype:
        return theano.config.floatX
    if dtype == "float16":
        return "float32"
    return dtype


class Gate(GateBase, ViewOp):
    # the metaclass looks only here, not at the bases
    __props__ = GateBase.__props__
    grad = R_op = GateBase.pass_back
