"""Tiny graphs on the engine of this Python, run without a compiler."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from regplug.engine import ENGINES


def installed_engines() -> list[str]:
    """Return the names of the engines that this Python has."""
    return [name for name in ENGINES if importlib.util.find_spec(name) is not None]


def installed_engine() -> ModuleType:
    """Return the face of the engine that this Python has: `T`, `grad`, `scan`, `shared` and others."""
    for name in installed_engines():
        return face(name)
    raise ImportError(f"no engine is installed: {' or '.join(ENGINES)}")


def face(engine: str) -> ModuleType:
    """Return the face of an engine."""
    return importlib.import_module(f"regplug.engine.{engine}")


def function(inputs: list, outputs: Any, updates: Any = None, **options: Any) -> Any:
    """Compile for the engine's Python mode, as it is: slow to run, quick to build."""
    name = installed_engine().__name__.rpartition(".")[2]
    engine = importlib.import_module(name)
    options.setdefault("on_unused_input", "ignore")
    updates = list((updates or {}).items())
    if "mode" in options:
        return engine.function(inputs, outputs, updates=updates, **options)
    change_flags = (
        engine.change_flags if name == "theano" else engine.config.change_flags
    )
    with change_flags(cxx=""):  # else the inside of a scan is compiled
        mode = engine.compile.mode.Mode(linker="py", optimizer=None)
        return engine.function(inputs, outputs, updates=updates, mode=mode, **options)


def evaluate(outputs: Any, givens: dict | None = None) -> Any:
    """Return the values of `outputs`, with values for the inputs."""
    givens = givens or {}
    return function(list(givens), outputs)(*givens.values())
