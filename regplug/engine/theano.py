"""Theano 1.0.5 behind the engine's face."""

from __future__ import annotations

import theano
import theano.tensor as T
from theano import grad, scan, shared
from theano.compile.sharedvalue import SharedVariable
from theano.gof import Op
from theano.gradient import disconnected_grad
from theano.tensor import TensorVariable
from theano.tensor.nlinalg import eigh
from theano.tensor.opt import Assert

from regplug.engine.draw_theano import Draw

__all__ = [
    "Assert", "Draw", "SharedVariable", "T", "TensorVariable", "advances_unasked", "allow_float64",
    "disconnected_grad", "eigh", "grad", "jacobian", "like", "renew_test_values", "scan", "shared", "static_shape",
    "untraced",
]

advances_unasked = True  # by default_update: theanets passes on no other updates


def allow_float64():
    """Return a context in which float64 beside float32 is meant, whatever the flag warn_float64 says."""
    return theano.change_flags(warn_float64="ignore")


def jacobian(vector, wrt):
    """Return the derivatives of each entry of `vector`, along a new axis 0: one entry after the other."""
    return T.jacobian(vector, wrt)


def like(new, old):
    """Return `new` with what the type of `old` knows of its shape, where that of `new` knows less."""
    known = tuple(a or b for a, b in zip(new.broadcastable, old.broadcastable, strict=True))
    return new if known == new.broadcastable else T.patternbroadcast(new, known)


def renew_test_values(node):
    """Compute the test values of a node whose inputs were replaced; a clone keeps those of the old inputs."""
    if theano.config.compute_test_value == "off":
        return
    for variable in node.outputs:
        vars(variable.tag).pop("test_value", None)
    try:
        storage = {variable: [Op._get_test_value(variable)] for variable in node.inputs}
    except AttributeError:  # an input without one was reported when the model was built
        return
    storage.update((variable, [None]) for variable in node.outputs)
    computed = {variable: [variable in node.inputs] for variable in storage}
    node.op.make_thunk(node, storage, computed, no_recycling=[])()
    for variable in node.outputs:
        variable.tag.test_value = storage[variable][0]


def static_shape(variable):
    """Return the length of each axis, None where it is unknown."""
    return tuple(1 if one else None for one in variable.broadcastable)


def untraced():
    """Return a context in which no variable notes where it was made, which takes a third of the time."""
    return theano.change_flags(**{"traceback.limit": 0})
