"""The part of the Op `Gate` that both engines share."""

from __future__ import annotations

from regplug.engine.facade import tensor

__all__ = ["GateBase"]


class GateBase:
    """The value of its input; the gradient where ``is_open`` holds, else 0.

    It is 0 whatever came in. Compiling removes it: it costs nothing forward, and
    backward a switch.

    Parameters
    ----------
    is_open : bool scalar variable
    """

    __props__ = ("is_open",)

    def __init__(self, is_open):
        self.is_open = is_open

    def pass_back(self, *arguments):
        """Return what passes of gradients, or of tangents: the last argument."""
        T = tensor(self.is_open)
        return [T.switch(self.is_open, each, 0) for each in arguments[-1]]
