"""Statistics in a curved latent space."""

from pullback.statistics.base import LatentEstimator
from pullback.statistics.frechet_mean import FrechetMean
from pullback.statistics.k_means import KMeans
from pullback.statistics.logarithms import Logarithms, Logs
from pullback.statistics.scores import clustering_scores, triplet_share

__all__ = [
    "FrechetMean",
    "KMeans",
    "LatentEstimator",
    "Logarithms",
    "Logs",
    "clustering_scores",
    "triplet_share",
]
