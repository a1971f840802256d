"""What a plugin's source says of itself, read without running it."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
from functools import lru_cache
from importlib.machinery import PathFinder
from typing import NamedTuple

__all__ = ["SourceInfo", "inspect_source", "locate"]


class SourceInfo(NamedTuple):
    """A class in its source file.

    Attributes
    ----------
    path, docstring : str
    error : str
        What is wrong; empty where nothing is.
    """

    path: str = ""
    docstring: str = ""
    error: str = ""


def inspect_source(module: str, attribute: str, hops: int = 8) -> SourceInfo:
    """Return what the source of ``module:attribute`` says.

    A name that is imported from elsewhere is followed `hops` times.
    """
    path = locate(module)
    if path is None:
        return SourceInfo(error=f"no module named {module!r}")
    if not path.endswith(".py") or not hops:
        return SourceInfo(path)
    try:
        text, tree = _parse(path, os.stat(path).st_mtime_ns)
    except (OSError, SyntaxError, ValueError) as error:
        return SourceInfo(path, error=_unreadable(path, error))
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name == attribute:
            docstring = ast.get_docstring(statement) or ""
            return SourceInfo(path, docstring, _missing_import(tree))
        imported = _imported_name(statement, attribute)
        if imported:
            other = _absolute(statement, module, path)
            return inspect_source(other, imported, hops - 1)
    # a loop, a call or a star may make it
    mention = rf"\b({attribute}|import \*|__getattr__)(?!\w)"
    if not re.search(mention.encode(), text):
        return SourceInfo(path, error=f"{path} has no {attribute!r}")
    return SourceInfo(path, error=_missing_import(tree))


def _unreadable(path, error):
    if isinstance(error, SyntaxError):
        return f"syntax error in {path}, line {error.lineno}: {error.msg}"
    return f"cannot read {path}: {error}"


# the regularizers of one module come one after another
@lru_cache(maxsize=16)
def _parse(path, changed):
    with open(path, "rb") as file:
        text = file.read()
    return text, ast.parse(text, path)


def locate(module: str) -> str | None:
    """Return the file of a module, importing nothing.

    `importlib.util.find_spec` alone would import its parents.
    """
    name, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(name)
        for part in rest:
            if spec is None or spec.submodule_search_locations is None:
                return None
            name += f".{part}"
            spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.has_location:
        return None
    return spec.origin


def _missing_import(tree):
    for statement in tree.body:
        names = []
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            names = [statement.module or ""]
        for name in names:
            top = name.partition(".")[0]
            if not _is_installed(top):
                return f"needs {top!r}, which is not installed"
    return ""


def _is_installed(top):
    if top in sys.stdlib_module_names:
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return True


def _imported_name(statement, attribute):
    """Return what a statement imports under the name of an attribute, if anything."""
    if isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            if attribute == (alias.asname or alias.name):
                return alias.name
    return None


def _absolute(statement, module, path):
    package = module
    if not path.endswith("__init__.py"):
        package = module.rpartition(".")[0]
    name = "." * statement.level + (statement.module or "")
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:
        return name
