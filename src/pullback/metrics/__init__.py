"""Riemannian metrics on a latent space."""

from pullback.metrics.base import ChordExpansion, EndExpansion, Metric
from pullback.metrics.immersions import immersion, output_mean
from pullback.metrics.pullback import PullbackMetric, where_to_compute
from pullback.metrics.tabulated import TabulatedMetric

__all__ = [
    "ChordExpansion",
    "EndExpansion",
    "Metric",
    "PullbackMetric",
    "TabulatedMetric",
    "immersion",
    "output_mean",
    "where_to_compute",
]
