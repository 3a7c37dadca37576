"""Riemannian metrics on a latent space."""

from pullback.metrics.ambient import AmbientMetric
from pullback.metrics.base import ChordExpansion, EndExpansion, Metric
from pullback.metrics.field import FieldMetric
from pullback.metrics.immersions import immersion, output_mean
from pullback.metrics.pullback import PullbackMetric
from pullback.metrics.tabulated import TabulatedMetric

__all__ = [
    "AmbientMetric",
    "ChordExpansion",
    "EndExpansion",
    "FieldMetric",
    "Metric",
    "PullbackMetric",
    "TabulatedMetric",
    "immersion",
    "output_mean",
]
