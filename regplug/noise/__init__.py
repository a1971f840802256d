"""The bits of all noise: see `regplug.noise.reference`."""

from regplug.noise import reference

__all__ = ["reference"]
