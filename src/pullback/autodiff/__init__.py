"""Derivatives of batched maps: by jets where their operations have rules, else by PyTorch."""

from pullback.autodiff.contexts import differentiable, unmoved_modules, unvalidated_distributions
from pullback.autodiff.jet import Jet
from pullback.autodiff.smooth_map import SmoothMap
from pullback.autodiff.transforms import (
    Map,
    SecondOrder,
    gradient,
    jacobian,
    jvp,
    second_order,
)
from pullback.formulas import decomposed

__all__ = [
    "Jet",
    "Map",
    "SecondOrder",
    "SmoothMap",
    "decomposed",
    "differentiable",
    "gradient",
    "jacobian",
    "jvp",
    "second_order",
    "unmoved_modules",
    "unvalidated_distributions",
]
