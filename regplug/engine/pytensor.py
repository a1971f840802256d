"""PyTensor behind the engine's face."""

from __future__ import annotations

import pytensor.tensor as T
from pytensor import config, grad, scan, shared
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.gradient import disconnected_grad
from pytensor.raise_op import Assert
from pytensor.tensor.linalg import eigh
from pytensor.tensor.variable import TensorVariable

from regplug.engine.draw_pytensor import Draw

__all__ = [
    "Assert", "Draw", "SharedVariable", "T", "TensorVariable", "advances_unasked", "allow_float64",
    "disconnected_grad", "eigh", "grad", "jacobian", "like", "renew_test_values", "scan", "shared", "static_shape",
    "untraced",
]

advances_unasked = False  # updates are explicit: a default_update is deprecated from 3.3


def allow_float64():
    """Return a context in which float64 beside float32 is meant, whatever the flag warn_float64 says."""
    return config.change_flags(warn_float64="ignore")


def jacobian(vector, wrt):
    """Return the derivatives of each entry of `vector`, along a new axis 0: all entries at once."""
    return T.jacobian(vector, wrt, vectorize=True)


def like(new, old):
    """Return `new` with what the type of `old` knows of its shape, where that of `new` knows less."""
    return old.type.filter_variable(new)


def renew_test_values(node):
    """Do nothing: PyTensor computes no test values."""


def static_shape(variable):
    """Return the length of each axis, None where it is unknown."""
    return tuple(variable.type.shape)


def untraced():
    """Return a context in which no variable notes where it was made, which takes a third of the time."""
    return config.change_flags(traceback__limit=0)
