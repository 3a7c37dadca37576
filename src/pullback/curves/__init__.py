"""Curves in a latent space."""

from pullback.curves.base import Curve, energy, length
from pullback.curves.discrete import Polyline, straight_line
from pullback.curves.graded import GradedSpline, graded_durations, graded_times
from pullback.curves.spline import CubicSpline

__all__ = [
    "CubicSpline",
    "Curve",
    "GradedSpline",
    "Polyline",
    "energy",
    "graded_durations",
    "graded_times",
    "length",
    "straight_line",
]
