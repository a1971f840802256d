"""Import what the user names: MODULE:OBJECT."""

import importlib
import operator
import os
import sys
import traceback
from typing import Any

from regplug.errors import ModelError, did_you_mean


def import_object(reference: str) -> Any:
    """Return the object behind ``module:object``; the current directory is on the path.

    Raises
    ------
    ModelError
        It is of another form, the module cannot be imported, or has no such object.
    """
    module_name, _, path = reference.partition(":")
    if not module_name or not path or module_name.endswith(".py"):
        raise ModelError(
            f"{reference!r} is not of the form MODULE:OBJECT, such as mymodel:outputs."
        )
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        hint = ""
        if isinstance(error, ModuleNotFoundError):
            hint = f" Modules are looked for in {os.getcwd()} and what is installed."
        what = describe_error(error)
        raise ModelError(
            f"{reference!r} could not be imported: {what}.{hint}"
        ) from error
    try:
        return operator.attrgetter(path)(module)
    except AttributeError as error:
        owner = getattr(error.obj, "__name__", error.obj)
        hint = did_you_mean(error.name, dir(error.obj))
        raise ModelError(
            f"{reference}: {owner} has no {error.name!r}.{hint}"
        ) from error


def describe_error(error: BaseException) -> str:
    """Return an error's kind and text, and the user's last line that led to it."""
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(os.getcwd() + os.sep):
            place = f" ({os.path.relpath(frame.filename)}, line {frame.lineno})"
    return f"{type(error).__name__}: {error}{place}"
