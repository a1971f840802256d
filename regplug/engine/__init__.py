"""The engines: Theano 1.0.5 and PyTensor behind one facade, and what formulas need.

Each of `theano` and `pytensor` here has the same names; nobody sets which one is used:
it is that of the variables handed in.
"""

from regplug.engine.facade import ENGINES, engine_of, name_of, tensor
from regplug.engine.formulas import (
    differences,
    mean,
    nonzero,
    norm,
    number,
    root,
    shape_text,
)

__all__ = [
    "ENGINES",
    "differences",
    "engine_of",
    "mean",
    "name_of",
    "nonzero",
    "norm",
    "number",
    "root",
    "shape_text",
    "tensor",
]
