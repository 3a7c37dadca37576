"""Riemannian metrics on a latent space."""

from pullback.metrics.base import ChordExpansion, Metric
from pullback.metrics.immersions import immersion, output_mean
from pullback.metrics.pullback import PullbackMetric, where_to_compute

__all__ = [
    "ChordExpansion",
    "Metric",
    "PullbackMetric",
    "immersion",
    "output_mean",
    "where_to_compute",
]
