"""The errors of regplug.

Each says what was asked, what is wrong, what is valid and what to do.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator

from regplug.text import describe_error, printable, safe_str, shortened

__all__ = [
    "CompositionError",
    "CopyError",
    "ModelError",
    "NameConflictError",
    "NoMatchError",
    "OptionError",
    "PluginLoadError",
    "RegplugError",
    "RegplugWarning",
    "RegularizerError",
    "UnknownNameError",
    "UnknownRegularizerError",
    "WiringError",
    "did_you_mean",
    "faults_as",
    "listing",
    "nearest",
]


# characters of an error
_LONGEST = 4000


class RegplugError(Exception):
    """Base of every error that regplug raises.

    Its text is safe to print and of a length that is read, whatever it quotes.

    Attributes
    ----------
    has_lines : bool
        Whether its line feeds are regplug's own, which the command line keeps: those of
        other people's texts could pass for lines of regplug.
    """

    has_lines = False

    def __init__(self, text: object = ""):
        super().__init__(shortened(printable(safe_str(text)), _LONGEST))


class RegplugWarning(UserWarning):
    """What may be right, and deserves a look; safe to print, too."""

    def __init__(self, text: object = ""):
        super().__init__(printable(safe_str(text)))


class UnknownRegularizerError(RegplugError):
    """No installed package offers a regularizer of that name."""


class OptionError(RegplugError):
    """An option that does not exist, or a value outside its type or range."""


class CompositionError(RegplugError):
    """A list, mapping, short form or TOML file that does not describe regularizers."""


class ModelError(RegplugError):
    """What was handed over is no model that regplug can see into."""


class NoMatchError(RegplugError):
    """A pattern that matches nothing."""


class UnknownNameError(RegplugError, KeyError):
    """A name that outputs, parameters, terms or regularizers do not have.

    A KeyError, too, as of any mapping.
    """

    # a KeyError shows the repr
    __str__ = Exception.__str__


class NameConflictError(RegplugError):
    """Two packages offer different regularizers under one name."""


class PluginLoadError(RegplugError):
    """A plugin could not be imported, or its class breaks the interface's rules."""


class RegularizerError(RegplugError):
    """A regularizer failed in a hook, or returned what the hook does not allow."""


class WiringError(RegplugError):
    """A compiled function that does not do what a result says."""


class CopyError(RegplugError, TypeError):
    """What belongs to one process.

    A TypeError, too, as Python's own refusals to pickle are.
    """


@contextlib.contextmanager
def faults_as(error_of: Callable[[str], RegplugError]) -> Iterator[None]:
    """Raise what other people's code raises as an error of regplug.

    That is anything: a panic of Rust and ``exit()`` are no `Exception`. Errors of
    regplug pass, and so does KeyboardInterrupt, which is the user's.

    Parameters
    ----------
    error_of : function of str
        Makes the error of the kind and the text of what was raised.
    """
    try:
        yield
    except (RegplugError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise error_of(describe_error(error)) from error


def nearest(name: object, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is spelt most like `name`, or None."""
    # capitals are the commonest slip; of two names that differ in these the first
    spellings: dict[str, str] = {}
    for each in names:
        spellings.setdefault(each.lower(), each)
    close = difflib.get_close_matches(str(name).lower(), spellings, n=1, cutoff=0.5)
    return spellings[close[0]] if close else None


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """Return a sentence with the nearest of `names`, with a space before it.

    Empty where none is near.
    """
    near = nearest(name, names) if isinstance(name, str) else None
    return f" Did you mean {near!r}?" if near else ""


def listing(names: Iterable[str], limit: int = 12) -> str:
    """Join names with commas, cut after `limit` of them."""
    names = list(names)
    parts = names[:limit]
    if len(names) > limit:
        parts.append(f"... ({len(names) - limit} more)")
    return ", ".join(parts) or "none"
