"""Curves in a latent space."""

from pullback.curves.base import Curve, energy, length
from pullback.curves.discrete import Polyline, straight_line
from pullback.curves.spline import CubicSpline

__all__ = ["CubicSpline", "Curve", "Polyline", "energy", "length", "straight_line"]
