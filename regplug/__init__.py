"""Regularizers as plugins, for symbolic models of PyTensor or Theano.

``regplug list`` says what is installed, ``regplug show dropout`` what one does. A model
of your own, and what can be regularized in it:

>>> import numpy as np, pytensor, pytensor.tensor as pt, regplug
>>> x, t = pt.matrix("x"), pt.matrix("t")
>>> w = pytensor.shared(np.full((4, 3), 0.1), name="w")
>>> v = pytensor.shared(np.full((3, 2), 0.1), name="v")
>>> h = pt.tanh(x @ w)
>>> h.name = "h"
>>> y = h @ v
>>> y.name = "y"
>>> print(regplug.describe(y))
Outputs
Name  Role    Shape   Dtype    Computed from
x     input   (?, ?)  float64
h     hidden  (?, 3)  float64  x, w
y     output  (?, 2)  float64  h, v
<BLANKLINE>
Parameters
Name  Shape   Dtype    Feeds
w     (4, 3)  float64  h
v     (3, 2)  float64  y
<BLANKLINE>
Who feeds whom (↓ the line below, → others)
x
↓ h  (w)
↓ y  (v)

Compose regularizers (``NAME=WEIGHT@PATTERN``), apply them, and train on the result:

>>> manager = regplug.compose(["dropout=0.5@h", "weight_l2=1e-4"], seed=7)
>>> result = manager.apply(y)
>>> result.matches
{'dropout': ['h'], 'weight_l2': ['w', 'v']}
>>> cost = ((result.outputs["y"] - t) ** 2).mean() + result.loss
>>> updates = {p: p - 0.1 * pytensor.grad(cost, p) for p in (w, v)}
>>> step = pytensor.function([x, t], cost, updates={**updates, **result.updates})
>>> result.check(step)
>>> predict = pytensor.function([x], result.clean["y"])
>>> manager.weights["dropout"] = 0.2  # the compiled step uses it

To print a manager or a result shows what it holds. `read` and `Manager.write` are for
compositions in files. Authors begin with ``regplug new`` and `Regularizer`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "CompositionError",
    "ModelError",
    "CopyError",
    "Description",
    "Layer",
    "Manager",
    "Model",
    "NameConflictError",
    "NoMatchError",
    "OptionError",
    "PluginLoadError",
    "RegplugError",
    "RegplugWarning",
    "Regularizer",
    "RegularizerError",
    "Result",
    "Spec",
    "UnknownNameError",
    "UnknownRegularizerError",
    "WiringError",
    "__version__",
    "as_model",
    "available",
    "block",
    "compose",
    "describe",
    "engine",
    "hookimpl",
    "load",
    "noise",
    "read",
    "schedules",
]

from regplug.discovery.entry import block
from regplug.discovery.registry import available, load
from regplug.errors import (
    CompositionError,
    CopyError,
    ModelError,
    NameConflictError,
    NoMatchError,
    OptionError,
    PluginLoadError,
    RegplugError,
    RegplugWarning,
    RegularizerError,
    UnknownNameError,
    UnknownRegularizerError,
    WiringError,
    did_you_mean,
)
from regplug.version import __version__

if TYPE_CHECKING:
    from regplug import engine, noise
    from regplug.authoring import schedules
    from regplug.authoring.hookspecs import hookimpl
    from regplug.authoring.regularizer import Regularizer
    from regplug.composition.compose import Spec, compose, read
    from regplug.composition.manager import Manager
    from regplug.composition.result import Result
    from regplug.models.adapters import as_model
    from regplug.models.description import Description, describe
    from regplug.models.model import Layer, Model

# imported when used: a plugin that needs Regularizer alone pays for nothing else
_HOMES = {
    "Description": "models.description",
    "Layer": "models.model",
    "Manager": "composition.manager",
    "Model": "models.model",
    "Regularizer": "authoring.regularizer",
    "Result": "composition.result",
    "Spec": "composition.compose",
    "as_model": "models.adapters",
    "compose": "composition.compose",
    "describe": "models.description",
    "engine": "engine",
    "hookimpl": "authoring.hookspecs",
    "noise": "noise",
    "read": "composition.compose",
    "schedules": "authoring.schedules",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        hint = did_you_mean(name, __all__)
        raise AttributeError(f"module 'regplug' has no attribute {name!r}.{hint}")
    module = importlib.import_module(f"regplug.{_HOMES[name]}")
    # three names are modules themselves
    return getattr(module, name, module)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
