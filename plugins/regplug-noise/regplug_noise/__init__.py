"""Dropout and noise: the whole family draws from regplug's counter-based generator.

Rate (in [0, 1)) and standard deviation are the `weight`. Shape and dtype never change;
weight 0 is the identity, exactly.
"""

from regplug_noise.additive import (
    GaussianDropout,
    Noise,
    SaltAndPepper,
    UniformNoise,
)
from regplug_noise.blocks import DropBlock
from regplug_noise.masks import (
    AlphaDropout,
    Dropout,
    DropPath,
    LockedDropout,
    SpatialDropout,
)

__all__ = [
    "AlphaDropout",
    "DropBlock",
    "DropPath",
    "Dropout",
    "GaussianDropout",
    "LockedDropout",
    "Noise",
    "SaltAndPepper",
    "SpatialDropout",
    "UniformNoise",
]
