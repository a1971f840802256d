"""Other libraries' words for options: what they are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["in_our_words"]

# words of elsewhere -> ours, of which a class has one or none
_WORDS = {
    "rate p prob probability dropout dropoutrate dropprob drop ratio": "weight rate",
    "lambda lam lambd alpha beta coef coefficient strength factor scale amount l1 l2": (
        "weight"
    ),
    "std stddev sigma noise noisestd scale": "weight",
    "penalty decay weightdecay": "weight",
    "dim dims axis axes axisofunits": "axis axes channel_axis time_axis shared_axes",
    "noiseshape broadcastdims": "shared_axes",
    "dataformat channelaxis channels": "channel_axis",
    "timeaxis timemajor batchfirst": "time_axis",
    "eps tol": "epsilon",
    "maxvalue maxnorm c threshold limit weight": "limit high",
    "minvalue": "low",
    "npoweriterations poweriterations niter iters steps": "iterations",
    "blocksize size": "block",
    "xi radius eps": "radius",
    "target sparsity": "rho",
    "l1ratio mix": "l1_ratio",
    "reduce mean sum": "reduction",
    "bias usebias includebias": "biases",
    "on layers layer where names targets patterns": "pattern",
    "label": "name",
}
_KEEP = ["keepprob", "keeprate", "keep", "retain", "retainprob"]


def in_our_words(
    word: str, value: Any, options: Mapping[str, Any]
) -> tuple[str, Any] | None:
    """Return our option, and its value, for a word of other libraries.

    None where a class has no such option.

    Parameters
    ----------
    word : str
        What the user wrote.
    value : object
    options : mapping of str to Option
        Those that the class has.
    """
    key = re.sub(r"[\W_]+", "", word).lower()
    if key in _KEEP and "weight" in options and isinstance(value, (int, float)):
        # in decimals, as the user thinks of it
        return "weight", round(1 - value, 12)
    for words, ours in _WORDS.items():
        if key in words.split():
            for option in ours.split():
                if option in options and option != word:
                    return option, value
    return None
