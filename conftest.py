"""What all tests share: the engine of this Python, and theanets where it runs."""

from __future__ import annotations

import collections
import collections.abc
import gc
import importlib
import logging
import os
import sys
import types
import warnings

import pytest

from regplug.testing import installed_engine

gc.set_threshold(
    50_000
)  # graphs are many small objects: looking for garbage took a fifth of the time
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # two processes with one folder wait seconds for its lock, at each kernel that Theano compiles
    os.environ["THEANO_FLAGS"] = (
        f"{os.environ.get('THEANO_FLAGS', '')},compiledir_format={worker}"
    )


@pytest.fixture
def engine():
    """Return the face of the engine that this Python has."""
    return installed_engine()


@pytest.fixture
def T(engine):
    """Return the engine's tensor module."""
    return engine.T


@pytest.fixture
def theanets(monkeypatch):
    """Return theanets, with what its helper libraries need from the outside."""
    if sys.version_info >= (3, 11):
        pytest.skip("theanets needs Theano, which needs Python 3.10")
    monkeypatch.setattr(
        collections, "Callable", collections.abc.Callable, raising=False
    )  # gone from Python 3.10
    climate = types.ModuleType(
        "climate"
    )  # its logger; the name is another project's on PyPI by now
    climate.get_logger = logging.getLogger
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setitem(sys.modules, "climate", climate)
        warnings.simplefilter("ignore")  # of its imports
        return importlib.import_module("theanets")
