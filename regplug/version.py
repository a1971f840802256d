"""The version of regplug, as messages and metadata have it."""

__all__ = ["__version__"]

__version__ = "0.2.0"
