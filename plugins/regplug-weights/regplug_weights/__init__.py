"""Regularizers of parameters: penalties, noise, reparametrizations and constraints."""

from regplug_weights.constraints import MaxNorm, MinMaxNorm, NonNegative, UnitNorm
from regplug_weights.noise import DropConnect, WeightNoise
from regplug_weights.penalties import ElasticNet, GroupLasso, L2Sp, WeightL1, WeightL2
from regplug_weights.proximal import GroupSoftThreshold, SoftThreshold
from regplug_weights.reparametrizations import SpectralNorm, WeightStandardization
from regplug_weights.spectral import NuclearNorm, Orthogonality, SpectralPenalty

__all__ = [
    "DropConnect",
    "ElasticNet",
    "GroupLasso",
    "GroupSoftThreshold",
    "L2Sp",
    "MaxNorm",
    "MinMaxNorm",
    "NonNegative",
    "NuclearNorm",
    "Orthogonality",
    "SoftThreshold",
    "SpectralNorm",
    "SpectralPenalty",
    "UnitNorm",
    "WeightL1",
    "WeightL2",
    "WeightNoise",
    "WeightStandardization",
]
