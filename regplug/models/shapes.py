"""Shapes of a model's variables, as far as they are known without running it."""

from __future__ import annotations

import contextlib
from typing import Any

from regplug.engine import shape_text
from regplug.graph.rewiring import rewire
from regplug.models.model import Model

__all__ = ["shape_texts"]


def shape_texts(model: Model) -> dict[Any, str]:
    """Return the shape of each output and parameter, ``?`` where it is unknown.

    Shared variables have their values' shapes; PyTensor infers from these what lies
    downstream.
    """
    shapes = {}
    for variable in _read(model.nodes):
        is_shared = isinstance(variable, model.engine.SharedVariable)
        # a generator has no shape
        if is_shared and hasattr(variable.type, "ndim"):
            shapes[variable] = variable.get_value(borrow=True).shape
    sized: dict[Any, Any] = {}
    # what cannot be rebuilt, or does not fit, costs the shapes from there on
    with contextlib.suppress(Exception):
        for variable, shape in shapes.items():
            sized[variable] = model.engine.T.specify_shape(variable, shape)
        rewire(model.nodes, {}, sized)
    texts = {variable: str(shape) for variable, shape in shapes.items()}
    for variable in (*model.params.values(), *model.reachable["outputs"].values()):
        if variable not in texts:
            texts[variable] = shape_text(sized.get(variable, variable))
    return texts


def _read(nodes):
    for node in nodes:
        yield from node.inputs
