"""The version of regplug, as messages and metadata have it."""

__version__ = "0.2.0"
