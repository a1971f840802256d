"""The rows of docs/parity.md, and regplug's side of each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import regplug
from regplug.testing import function, installed_engine

RATE = 0.1  # the learning rate that proximal steps are given


def rows(library):
    """Return the pairs of expressions in the table of a library."""
    text = (Path(__file__).parents[2] / "docs" / "parity.md").read_text("utf-8")
    section = re.search(rf"^### {library}\n(.*?)(?=^### |\Z)", text, re.M | re.S).group(
        1
    )
    found = re.findall(r"^\| `(.+?)` \| `(.+?)` \|", section, re.M)
    assert len(found) == section.count("\n| ") - 1  # all rows but the head
    return found


def compute(entry, values, name=None, steps=1):
    """Return what regplug makes of parameters ``w``, ``b`` and so on, or of an output ``h``.

    Returns
    -------
    dict
        ``penalty`` and its gradients ``d<name>``, each parameter after the update, ``<name>``, and as the model
        sees it, ``used <name>``; an output ``h`` as it is after the regularizer.
    """
    engine = installed_engine()
    shared = {key: engine.shared(value, name=key) for key, value in values.items()}
    outputs = {f"{key}:out": 1 * variable for key, variable in shared.items()}
    is_output = "h" in values
    manager = regplug.compose([pattern(entry, "h:out")] if is_output else [entry])
    result = manager.apply(outputs, params={} if is_output else shared)
    updates = result.constrain(
        {variable: 1 * variable for variable in shared.values()}, learning_rate=RATE
    )
    gradients = engine.grad(
        result.loss, list(shared.values()), disconnected_inputs="ignore"
    )
    wanted = {"penalty": result.loss}
    for (key, variable), gradient in zip(shared.items(), gradients, strict=True):
        wanted |= {
            f"d{key}": gradient,
            key: updates[variable],
            f"used {key}": result.outputs[f"{key}:out"],
        }
    step = function([], list(wanted.values()), updates=result.updates)
    for _ in range(steps):
        found = step()
    return dict(zip(wanted, found, strict=True)) | {"manager": manager}


def pattern(entry, pattern):
    """Return the entry with a pattern."""
    name, options = entry
    options = options if isinstance(options, dict) else {"weight": options}
    return name, {"pattern": pattern, **options}


def assert_same_noise(one, other, clean):
    """Check that two noisy versions of a large array of ones have the same support, mean and deviation."""
    one, other = (np.asarray(each, "float64") - clean for each in (one, other))
    assert len(np.unique(one.round(5))) == 2 or len(np.unique(one)) > 1000
    if len(np.unique(one.round(5))) == 2:
        np.testing.assert_allclose(
            np.unique(one.round(5)), np.unique(other.round(5)), rtol=1e-4
        )
    deviation = one.std()
    bound = 5 * deviation * np.sqrt(2 / one.size)
    assert abs(one.mean() - other.mean()) < bound
    assert abs(deviation - other.std()) < 2 * bound
