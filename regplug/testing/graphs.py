"""Tiny graphs on the engine of this Python, run without a compiler."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from regplug.engine import ENGINES


def installed_engine() -> ModuleType:
    """Return the facade of this Python's engine: `T`, `grad`, `shared` and others."""
    for name in ENGINES:
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(f"regplug.engine.{name}")
    raise ImportError(f"no engine is installed: {' or '.join(ENGINES)}")


def function(inputs: list, outputs: Any, updates: Any = None, **options: Any) -> Any:
    """Compile for the engine's Python mode, as it is: slow to run, quick to build."""
    name = installed_engine().__name__.rpartition(".")[2]
    engine = importlib.import_module(name)
    options = {"on_unused_input": "ignore"} | options
    options["updates"] = list((updates or {}).items())
    if "mode" in options:
        return engine.function(inputs, outputs, **options)
    # Theano has change_flags in the package, PyTensor in its configuration
    owner = engine if hasattr(engine, "change_flags") else engine.config
    # without a compiler, which would take the inside of a scan
    with owner.change_flags(cxx=""):
        mode = engine.compile.mode.Mode(linker="py", optimizer=None)
        return engine.function(inputs, outputs, mode=mode, **options)


def evaluate(outputs: Any, givens: dict | None = None) -> Any:
    """Return the values of `outputs`, with values for the inputs."""
    givens = givens or {}
    return function(list(givens), outputs)(*givens.values())
