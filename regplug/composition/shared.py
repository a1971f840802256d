"""LazySharedVariable: a value of a manager, which changes without a recompile."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from regplug.errors import ModelError

__all__ = ["LazySharedVariable"]


class LazySharedVariable:
    """A value: a NumPy array until a graph is there, then a shared variable."""

    def __init__(self, name: str, value: Any, dtype: str):
        self.name = name
        self.value = np.array(value, dtype)
        self.variable: Any = None

    def get(self) -> np.ndarray:
        """Return a copy of the value."""
        # on JAX the variable holds an array of JAX
        return np.array(
            self.value if self.variable is None else self.variable.get_value()
        )

    def set(self, value: Any) -> None:
        """Assign the value, in compiled functions, too."""
        self.value = np.array(value, self.value.dtype)
        if self.variable is not None:
            self.variable.set_value(self.value)

    def connect(self, engine: ModuleType) -> Any:
        """Return the shared variable, made now if it is not there yet."""
        if self.variable is None:
            self.variable = engine.shared(self.value, name=self.name)
            self.variable.tag.regplug = True
        return self.variable

    def become(self, variable: Any) -> None:
        """Take a variable of a library's own kind; refuse a second kind."""
        if self.variable is None:
            variable.set_value(self.value)
            variable.name, variable.tag.regplug = self.name, True
            self.variable = variable
        elif type(self.variable) is not type(variable):
            raise ModelError(
                f"this manager's {self.name} is in a graph already, as "
                f"{type(self.variable).__name__}, and this model needs a "
                f"{type(variable).__name__}: compose a manager of its own for it."
            )
