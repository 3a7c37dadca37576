"""Statistics in a curved latent space."""

from pullback.statistics.frechet_mean import FrechetMean
from pullback.statistics.k_means import KMeans
from pullback.statistics.scores import clustering_scores, triplet_share

__all__ = ["FrechetMean", "KMeans", "clustering_scores", "triplet_share"]
