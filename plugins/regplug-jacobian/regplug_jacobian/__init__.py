"""Penalties on the derivatives of outputs with respect to inputs, and on what small changes of inputs do."""

from regplug_jacobian.adversarial import VirtualAdversarial
from regplug_jacobian.gradients import GradientPenalty
from regplug_jacobian.norms import Contractive, Jacobian

__all__ = ["Contractive", "GradientPenalty", "Jacobian", "VirtualAdversarial"]
