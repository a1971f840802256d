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


class Found(NamedTuple):
    """A class in its source file: the path, its docstring, and what is wrong (empty: nothing)."""

    path: str = ""
    docstring: str = ""
    problem: str = ""


def find(module: str, attribute: str, hops: int = 8) -> Found:
    """Return what the source of ``module:attribute`` says; an imported name is followed that many times."""
    path = locate(module)
    if path is None:
        return Found(problem=f"no module named {module!r}")
    if not path.endswith(".py") or not hops:
        return Found(path)
    try:
        text, tree = _parse(path, os.stat(path).st_mtime_ns)
    except SyntaxError as error:
        return Found(
            path, problem=f"syntax error in {path}, line {error.lineno}: {error.msg}"
        )
    except (OSError, ValueError) as error:
        return Found(path, problem=f"cannot read {path}: {error}")
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name == attribute:
            return Found(path, ast.get_docstring(statement) or "", _missing(tree))
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == attribute and (
                    other := _absolute(statement, module, path)
                ):
                    return find(other, alias.name, hops - 1)
    absent = not re.search(
        rf"\b({attribute}|import \*|__getattr__)(?!\w)".encode(), text
    )
    return Found(
        path, problem=f"{path} has no {attribute!r}" if absent else _missing(tree)
    )


@lru_cache(maxsize=16)  # the regularizers of one module come one after another
def _parse(path: str, changed: int) -> tuple[bytes, ast.Module]:
    with open(path, "rb") as file:
        text = file.read()
    return text, ast.parse(text, path)


def locate(module: str) -> str | None:
    """Return the file of a module, importing nothing (`find_spec` would import its parents)."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for index, _ in enumerate(rest):
            if spec is None or spec.submodule_search_locations is None:
                return None
            spec = PathFinder.find_spec(
                ".".join([top, *rest[: index + 1]]), spec.submodule_search_locations
            )
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None and spec.has_location else None


def _missing(tree: ast.Module) -> str:
    for statement in tree.body:
        names = (
            [alias.name for alias in statement.names]
            if isinstance(statement, ast.Import)
            else []
        )
        if isinstance(statement, ast.ImportFrom) and not statement.level:
            names = [statement.module or ""]
        for name in names:
            if not _is_installed(name):
                return f"needs {name.partition('.')[0]!r}, which is not installed"
    return ""


def _is_installed(name: str) -> bool:
    top = name.partition(".")[0]
    try:
        return (
            top in sys.stdlib_module_names or importlib.util.find_spec(top) is not None
        )
    except (ImportError, ValueError):
        return True


def _absolute(statement: ast.ImportFrom, module: str, path: str) -> str | None:
    if not statement.level:
        return statement.module
    package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
    for _ in range(statement.level - 1):
        package = package.rpartition(".")[0]
    return ".".join(part for part in (package, statement.module) if part)
