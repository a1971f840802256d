"""What a plugin's source says of itself, read without running it.

A guest in the process that asks: whatever a source, a folder or a finder of modules
holds, it ends nothing. A source of more than a million bytes or 20,000 operators, dots
and brackets (some 450,000 bytes of code) is not parsed. What is not read is not known
to be broken: `regplug doctor` imports it, and says.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import re
import stat
import sys
import warnings
from collections.abc import Iterable
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, NamedTuple
from zipimport import zipimporter

from regplug.text import describe_error

__all__ = ["SourceInfo", "inspect_source", "kind_of"]

# bytes
_LARGEST = 1_000_000
# The parser of Python 3.10 calls itself once for each of `a.b.c`, `a+b+c` or `a[b][c]`,
# with no limit: 100,000 of them end the process where its stack has 8 MB, 25,000 where
# it has 2.
_DEEPEST = 20_000
_MARKS = b".+-*/%@&|^([<>"
# from module to module, and from class to class
_HOPS, _MOST_BASES = 8, 50
_KINDS = {
    "modify_graph": "changes {}",
    "loss": "penalty on {}",
    "constrain": "constrains {} after updates",
}
_FACTS = ("applies", "pattern", "targets", "weight")
_TARGETS = {"outputs": "outputs", "params": "parameters"}


class SourceInfo(NamedTuple):
    """A class in its source file.

    Attributes
    ----------
    path, docstring : str
    error : str
        What is wrong; empty where nothing is.
    unread : str
        Why it is not known whether anything is; empty where it is.
    name : str
        What it is called in its file.
    kind : str
        What it does: ``penalty on outputs``, ``changes parameters, at prediction time
        too``; empty where that is not seen.
    options : tuple of str
        The names of its own options and of those of bases, but regplug's.
    """

    path: str = ""
    docstring: str = ""
    error: str = ""
    unread: str = ""
    name: str = ""
    kind: str = ""
    options: tuple[str, ...] = ()


class _Source(NamedTuple):
    text: str
    # the classes and what is imported, by name
    defined: dict[str, ast.stmt]
    # what it imports at its top level, each without its submodules
    imports: list[str]


class _UnreadError(Exception):
    """A source that is not read; the text says why."""


def inspect_source(module: str, attribute: str) -> SourceInfo:
    """Return what the source of ``module:attribute`` says."""
    try:
        return _inspect(module, attribute, _HOPS)
    except _UnreadError as error:
        return SourceInfo(unread=str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return SourceInfo(unread=describe_error(error))


def _inspect(module, attribute, hops):
    """Return what a source says; a name that is imported is followed `hops` times."""
    spec = _find_spec(module)
    if spec is None:
        return SourceInfo(error=f"no module named {module!r}")
    path = spec.origin
    if spec.submodule_search_locations is not None and not spec.has_location:
        return SourceInfo(error=f"{module!r} is a folder without an __init__.py")
    if not spec.has_location or not str(path).endswith(".py"):
        raise _UnreadError(f"{module!r} has no source in Python")
    try:
        source = _read(spec)
    except (SyntaxError, ValueError) as error:
        return SourceInfo(path, error=_unreadable(path, error))
    statement = source.defined.get(attribute.partition(".")[0])
    if isinstance(statement, ast.ImportFrom):
        return _follow(module, path, statement, attribute, hops)
    info = _describe(source, path, statement, attribute)
    members = _members(module, source, path, attribute, set())
    return info._replace(kind=_kind(members), options=tuple(_options(members)))


def _members(module, source, path, name, seen):
    """Return the statements of a class and its bases, by the name that each defines.

    Of a base that is nowhere to be read there are none, and each is `seen` once.
    """
    if (path, name) in seen or len(seen) == _MOST_BASES:
        return {}
    seen.add((path, name))
    outer, _, inner = name.partition(".")
    statement = source.defined.get(outer)
    found: dict[str, ast.stmt] = {}
    if isinstance(statement, ast.ImportFrom):
        with contextlib.suppress(Exception):
            other = _absolute(statement, module, path)
            # the end of all bases, and of no interest
            if other.partition(".")[0] != "regplug":
                spec = _find_spec(other)
                name = name.replace(outer, _imported_name(statement, outer), 1)
                found = _members(other, _read(spec), spec.origin, name, seen)
    elif isinstance(statement, ast.ClassDef):
        body = _inner_class(statement, inner)
        if body is None:
            return {}
        for base in reversed(body.bases):
            base_name = getattr(base, "id", "")
            found |= _members(module, source, path, base_name, seen)
        for part in body.body:
            for target in getattr(part, "targets", [getattr(part, "target", part)]):
                found[getattr(target, "id", getattr(target, "name", ""))] = part
    return found


def _kind(members):
    targets = _constant(members.get("targets"), "outputs")
    if targets not in _TARGETS:
        return ""
    hooks = [hook for hook in _KINDS if isinstance(members.get(hook), ast.FunctionDef)]
    return kind_of(hooks, targets, _constant(members.get("applies")))


def kind_of(hooks: Iterable[str], targets: Any, applies: Any) -> str:
    """Return what a class does, in words: ``penalty on outputs``."""
    kinds = [_KINDS[hook].format(_TARGETS[targets]) for hook in hooks]
    if kinds and applies == "always":
        kinds.append("at prediction time too")
    return ", ".join(kinds)


def _constant(statement, otherwise=None):
    """Return the text or number that a statement assigns; None of any other."""
    if statement is None:
        return otherwise
    return getattr(getattr(statement, "value", None), "value", None)


def _options(members):
    for name, statement in members.items():
        if isinstance(statement, ast.AnnAssign) and not name.startswith("_"):
            kind = getattr(statement.annotation, "value", None)
            if getattr(kind, "id", "") != "ClassVar" and name not in _FACTS:
                yield name


def _follow(module, path, statement, attribute, hops):
    """Return what is said of a class where it is imported from."""
    if not hops:
        raise _UnreadError(f"{attribute!r} is imported from module to module")
    outer, dot, inner = attribute.partition(".")
    imported = _imported_name(statement, outer) + dot + inner
    try:
        other = _absolute(statement, module, path)
    except ImportError:
        return SourceInfo(path, error=f"{path} imports {outer!r} from beyond a package")
    return _inspect(other, imported, hops - 1)


def _unreadable(path, error):
    if isinstance(error, SyntaxError):
        return f"syntax error in {path}, line {error.lineno}: {error.msg}"
    return f"cannot read {path}: {error}"


def _describe(source, path, statement, attribute):
    """Return what is known of a class, or of what no statement defines."""
    outer, _, inner = attribute.partition(".")
    docstring = ""
    if statement is not None:
        found = _inner_class(statement, inner)
        if found is not None:
            docstring = ast.get_docstring(found) or ""
    # a loop, a call or a star may make it
    elif not re.search(rf"(?<!\w)({outer}|import \*|__getattr__)(?!\w)", source.text):
        return SourceInfo(path, error=f"{path} has no {outer!r}")
    return SourceInfo(path, docstring, _missing_import(source.imports), name=attribute)


def _inner_class(statement, names):
    """Return a class in a class, or None, for it may be inherited or made."""
    for name in filter(None, names.split(".")):
        for inner in statement.body:
            if isinstance(inner, ast.ClassDef) and inner.name == name:
                statement = inner
                break
        else:
            return None
    return statement


def _read(spec):
    """Return a module's source."""
    archive = ""
    if isinstance(spec.loader, zipimporter):
        archive = spec.loader.archive
    changed = os.stat(archive or spec.origin).st_mtime_ns
    source = _parse_once(archive, spec.origin, changed)
    if isinstance(source, BaseException):
        raise source.with_traceback(None)
    return source


# the regularizers of one module come one after another
@lru_cache(maxsize=16)
def _parse_once(archive, path, changed):
    """Return a source, or why there is none."""
    try:
        return _parse(archive, path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error


def _parse(archive, path):
    text = _read_zipped(archive, path) if archive else _read_file(path)
    if len(text) - len(text.translate(None, _MARKS)) > _DEEPEST:
        what = f"more than {_DEEPEST:,} operators, dots and brackets"
        raise _UnreadError(f"{path} has {what}")
    with warnings.catch_warnings():
        # of escapes such as "\d": they are the author's to see
        warnings.simplefilter("ignore")
        tree = ast.parse(text, path)
    return _Source(text.decode(errors="replace"), _defined(tree), _imports(tree))


def _defined(tree):
    defined: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef):
            defined.setdefault(statement.name, statement)
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                defined.setdefault(alias.asname or alias.name, statement)
    return defined


def _imports(tree):
    names = []
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            names.append(statement.module or "")
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _read_file(path):
    about = os.stat(path)
    # a pipe would be waited for
    if not stat.S_ISREG(about.st_mode):
        raise _UnreadError(f"{path} is no regular file")
    _require_small(path, about.st_size)
    with open(path, "rb") as file:
        return file.read(about.st_size)


def _read_zipped(archive, path):
    from zipfile import ZipFile

    name = os.path.relpath(path, archive).replace(os.sep, "/")
    with ZipFile(archive) as opened:
        _require_small(path, opened.getinfo(name).file_size)
        return opened.read(name)


def _require_small(path, size):
    if size > _LARGEST:
        raise _UnreadError(f"{path} has more than {_LARGEST:,} bytes")


def _find_spec(module):
    """Return the spec of a module, importing nothing; None where there is none.

    `importlib.util.find_spec` alone would import its parents.
    """
    name, folders, spec = "", None, None
    for part in module.split("."):
        parent, name = name, f"{name}.{part}".lstrip(".")
        child = _find_in(folders, name)
        if child is None and spec is not None:
            child = _find_in(_joined_folders(parent, spec), name)
        if child is None:
            return None
        spec = child
        folders = _folders(name, spec)
    return spec


def _find_in(folders, name):
    """Return the spec of a module in folders, or on the path where these are None."""
    if name in sys.modules:
        return _loaded_spec(name)
    # the name without its parents, for those of a namespace would be looked up in what
    # is imported
    spec = PathFinder.find_spec(name.rpartition(".")[2], folders)
    if spec is not None and spec.has_location:
        return spec
    # such as those of editable installs
    for finder in list(sys.meta_path):
        if finder is not PathFinder and hasattr(finder, "find_spec"):
            found = finder.find_spec(name, folders)
            if found is not None:
                return found
    return spec


def _loaded_spec(name):
    loaded = sys.modules[name]
    if loaded is None:
        return None
    spec = getattr(loaded, "__spec__", None)
    if isinstance(spec, ModuleSpec):
        return spec
    return ModuleSpec(name, None)


def _folders(name, spec):
    if name in sys.modules:
        return list(getattr(sys.modules[name], "__path__", ()))
    return list(spec.submodule_search_locations or ())


def _joined_folders(name, spec):
    """Return where the older kind of namespace package looks, which joins folders."""
    if not spec.submodule_search_locations or not spec.has_location:
        return []
    if not re.search("extend_path|declare_namespace", _read(spec).text):
        return []
    folders = [entry for entry in sys.path if isinstance(entry, str)]
    return [os.path.join(folder, *name.split(".")) for folder in folders]


def _missing_import(imports):
    for top in imports:
        if not _is_installed(top):
            return f"needs {top!r}, which is not installed"
    return ""


def _is_installed(top):
    if top in sys.stdlib_module_names:
        return True
    try:
        return _find_in(None, top) is not None
    except KeyboardInterrupt:
        raise
    except BaseException:
        # a finder of another library
        return True


def _imported_name(statement, attribute):
    """Return what a statement imports under a name."""
    for alias in statement.names:
        if attribute == (alias.asname or alias.name):
            return alias.name
    raise AssertionError(attribute)


def _absolute(statement, module, path):
    package = module
    if not path.endswith("__init__.py"):
        package = module.rpartition(".")[0]
    name = "." * statement.level + (statement.module or "")
    return importlib.util.resolve_name(name, package)
