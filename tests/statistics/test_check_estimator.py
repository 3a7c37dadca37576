"""scikit-learn's own checks of its contract, on a flat space of whatever dimension they ask for.

`LEFT_OUT` names each check that an estimator is excused from, with the reason.
"""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from pullback.manifolds import Manifold
from pullback.metrics import PullbackMetric
from pullback.statistics import (
    LAND,
    FrechetMean,
    GeodesicAffinity,
    GeodesicDistances,
    GeodesicEmbedding,
    GeodesicRegression,
    GeometricMedian,
    KernelDensity,
    KMeans,
    KMedoids,
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    PrincipalGeodesicAnalysis,
)


def identity(z):
    return z


FLAT = Manifold(PullbackMetric(identity))

ESTIMATORS = [
    FrechetMean(FLAT),
    GeodesicAffinity(FLAT),
    GeodesicDistances(FLAT),
    GeodesicEmbedding(FLAT),
    GeodesicRegression(FLAT),
    GeometricMedian(FLAT),
    KMeans(FLAT, 3, n_init=2),
    KMedoids(FLAT, 3, n_init=2),
    KNeighborsClassifier(FLAT),
    KNeighborsRegressor(FLAT),
    KNeighborsTransformer(FLAT),
    KernelDensity(FLAT),
    LAND(FLAT, n_samples=50, max_iter=5),
    PrincipalGeodesicAnalysis(FLAT),
]

LEFT_OUT: dict[str, dict[str, str]] = {}


def left_out(estimator):
    return LEFT_OUT.get("*", {}) | LEFT_OUT.get(type(estimator).__name__, {})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=left_out)
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)
