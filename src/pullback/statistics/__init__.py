"""Statistics in a curved latent space."""

from pullback.statistics.base import LatentEstimator
from pullback.statistics.centers.centers import Centers
from pullback.statistics.centers.frechet_mean import FrechetMean, frechet_means
from pullback.statistics.centers.geometric_median import GeometricMedian, geometric_medians
from pullback.statistics.clustering.k_means import KMeans
from pullback.statistics.clustering.k_medoids import KMedoids
from pullback.statistics.clustering.noise_choice import NoiseChoice, choose_noise
from pullback.statistics.clustering.scores import clustering_scores, triplet_share
from pullback.statistics.clustering.stability import clustering_stability
from pullback.statistics.densities.kernel_density import KernelDensity
from pullback.statistics.densities.land import LAND
from pullback.statistics.distances.distances import GeodesicAffinity, GeodesicDistances
from pullback.statistics.distances.embedding import GeodesicEmbedding
from pullback.statistics.distances.k_neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
)
from pullback.statistics.encoder import Encoder
from pullback.statistics.geodesic_models.geodesic_regression import GeodesicRegression
from pullback.statistics.geodesic_models.principal_geodesic import PrincipalGeodesicAnalysis
from pullback.statistics.logarithms import Logarithms, Logs

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
    "NoiseChoice",
    "PrincipalGeodesicAnalysis",
    "choose_noise",
    "clustering_scores",
    "clustering_stability",
    "frechet_means",
    "geometric_medians",
    "triplet_share",
]
