"""Import what the user names: MODULE:OBJECT."""

import importlib
import operator
import os
import sys
import traceback
from typing import Any

from regplug import text
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
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        hint = ""
        if isinstance(error, ModuleNotFoundError):
            hint = f" Modules are looked for in {os.getcwd()} and what is installed."
        what = describe_error(error)
        raise ModelError(
            f"{reference!r} could not be imported: {what}.{hint}"
        ) from error
    try:
        return operator.attrgetter(path)(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ModelError(f"{reference}: {_lacking(error)}") from error


def _lacking(error):
    """Return what an object lacks, with the nearest that it has; else the error."""
    try:
        owner = getattr(error.obj, "__name__", error.obj)
        hint = did_you_mean(error.name, dir(error.obj))
        if error.name:
            return f"{owner} has no {error.name!r}.{hint}"
    except KeyboardInterrupt:
        raise
    # no AttributeError, or the owner's own methods
    except BaseException:
        pass
    return f"{describe_error(error)}."


def describe_error(error: BaseException) -> str:
    """Return an error's kind and text, and the user's last line that led to it."""
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(os.getcwd() + os.sep):
            place = f" ({os.path.relpath(frame.filename)}, line {frame.lineno})"
    return text.describe_error(error) + place
