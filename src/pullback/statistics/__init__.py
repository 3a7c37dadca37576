"""Statistics in a curved latent space."""

from pullback.statistics.base import LatentEstimator
from pullback.statistics.descent import Centers
from pullback.statistics.distances import GeodesicAffinity, GeodesicDistances
from pullback.statistics.embedding import GeodesicEmbedding
from pullback.statistics.encoder import Encoder
from pullback.statistics.frechet_mean import FrechetMean, frechet_means
from pullback.statistics.geodesic_regression import GeodesicRegression
from pullback.statistics.geometric_median import GeometricMedian, geometric_medians
from pullback.statistics.k_means import KMeans
from pullback.statistics.k_medoids import KMedoids
from pullback.statistics.k_neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
)
from pullback.statistics.kernel_density import KernelDensity
from pullback.statistics.land import LAND
from pullback.statistics.logarithms import Logarithms, Logs
from pullback.statistics.principal_geodesic import PrincipalGeodesicAnalysis
from pullback.statistics.scores import clustering_scores, triplet_share

__all__ = [
    "LAND",
    "Centers",
    "Encoder",
    "FrechetMean",
    "GeodesicAffinity",
    "GeodesicDistances",
    "GeodesicEmbedding",
    "GeodesicRegression",
    "GeometricMedian",
    "KMeans",
    "KMedoids",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "KNeighborsTransformer",
    "KernelDensity",
    "LatentEstimator",
    "Logarithms",
    "Logs",
    "PrincipalGeodesicAnalysis",
    "clustering_scores",
    "frechet_means",
    "geometric_medians",
    "triplet_share",
]
