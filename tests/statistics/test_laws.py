"""Laws that hold for every estimator: what becomes of hostile input, and scikit-learn's contract.

Each fit ends within a time bound, and either raises an error that says what to do, or gives finite
answers wherever there is one, and says where there is none: by a warning, a label -1 or -inf.
"""

import contextlib
import time
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone

from pullback import statistics
from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
    PullbackError,
)
from pullback.manifolds import Manifold
from pullback.metrics import Metric, PullbackMetric
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
    LatentEstimator,
    PrincipalGeodesicAnalysis,
)

BOUND = 20.0  # CPU seconds for what takes less than two


class Flat(Metric):
    """The plane, with a metric that is not finite where `broken` says so."""

    def __init__(self, broken, value=torch.nan):
        super().__init__(dim=2)
        self.broken, self.value = broken, value

    def metric_matrix(self, z):
        eye = torch.eye(2, dtype=z.dtype, device=z.device).expand(*z.shape, 2)
        return torch.where(self.broken(z)[..., None, None], self.value, eye)


def in_strip(z):
    return z[..., 0].abs() < 1


def on_the_right(z):
    return z[..., 0] > 1


def far(z):
    return z[..., 0] > -9


PLANE = Manifold(PullbackMetric(lambda z: z, dim=2))
TORN = Manifold(Flat(in_strip))
WALLED = Manifold(Flat(in_strip, torch.inf))
HOLED = Manifold(Flat(on_the_right))
BROKEN = Manifold(Flat(far))

CLOUD = 0.3 * np.random.default_rng(0).normal(size=(8, 2))
TWO_GROUPS = np.concatenate([CLOUD - [2, 0], CLOUD[::-1] - [-2, 0]])
SOME_IN_THE_HOLE = np.concatenate([CLOUD, CLOUD[:2] - [-3, 0]])


def poisoned(value):
    Z = CLOUD.copy()
    Z[3, 1] = value
    return Z


ESTIMATORS = {
    "FrechetMean": lambda M, k=2: FrechetMean(M),
    "GeometricMedian": lambda M, k=2: GeometricMedian(M),
    "KMeans graph": lambda M, k=2: KMeans(M, k, n_init=2, random_state=0),
    "KMeans log": lambda M, k=2: KMeans(M, k, n_init=2, method="log", random_state=0),
    "KMedoids": lambda M, k=2: KMedoids(M, k, random_state=0),
    "KMedoids graph": lambda M, k=2: KMedoids(
        M, k, method="alternate", distances="graph", random_state=0
    ),
    "GeodesicDistances": lambda M, k=2: GeodesicDistances(M),
    "GeodesicDistances inf": lambda M, k=2: GeodesicDistances(M, unreachable=np.inf),
    "GeodesicAffinity": lambda M, k=2: GeodesicAffinity(M),
    "GeodesicAffinity inf": lambda M, k=2: GeodesicAffinity(M, unreachable=np.inf),
    "GeodesicEmbedding": lambda M, k=2: GeodesicEmbedding(M, k),
    "GeodesicEmbedding stress": lambda M, k=2: GeodesicEmbedding(M, k, kind="stress"),
    "GeodesicRegression": lambda M, k=2: GeodesicRegression(M),
    "KNeighborsClassifier": lambda M, k=2: KNeighborsClassifier(M, k),
    "KNeighborsRegressor": lambda M, k=2: KNeighborsRegressor(M, k, method="graph"),
    "KNeighborsTransformer": lambda M, k=2: KNeighborsTransformer(M, k),
    "KernelDensity": lambda M, k=2: KernelDensity(M),
    "KernelDensity number": lambda M, k=2: KernelDensity(M, bandwidth=0.5),
    "KernelDensity graph": lambda M, k=2: KernelDensity(M, method="graph", volume_density=False),
    "LAND": lambda M, k=1: LAND(M, k, n_samples=20, tol=10.0, random_state=0),
    "PrincipalGeodesicAnalysis": lambda M, k=2: PrincipalGeodesicAnalysis(M, k),
    "PrincipalGeodesicAnalysis exact": lambda M, k=1: PrincipalGeodesicAnalysis(
        M, k, method="exact"
    ),
}
METHODS = ("predict", "predict_proba", "transform", "score_samples", "score", "sample")

NEEDS_TWO = {
    "GeodesicEmbedding",
    "GeodesicEmbedding stress",
    "GeodesicRegression",
    "KMeans graph",
    "KMeans log",
    "KMedoids",
    "KMedoids graph",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "KNeighborsTransformer",
    "KernelDensity",
    "KernelDensity graph",
    "LAND",
    "PrincipalGeodesicAnalysis",
    "PrincipalGeodesicAnalysis exact",
}
NEEDS_DIFFERENT = {
    "KernelDensity",
    "KernelDensity graph",
    "PrincipalGeodesicAnalysis",
    "PrincipalGeodesicAnalysis exact",
}
NEEDS_ALL_PAIRS = {"GeodesicAffinity", "GeodesicEmbedding", "GeodesicEmbedding stress"}
# What cannot be told of points that nothing reaches, in words.
REFUSES_THE_LOST = {
    "GeodesicDistances": "have no finite distance",
    "KNeighborsClassifier": "reach fewer than",
    "KNeighborsRegressor": "reach fewer than",
    "KNeighborsTransformer": "reach fewer than",
}
SLOW = {
    "GeodesicRegression",
    "KernelDensity number",
    "LAND",
    "PrincipalGeodesicAnalysis exact",
}
EVERY = pytest.mark.parametrize("name", ESTIMATORS)
EVERY_WITH_TIME = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.exhaustive) if n in SLOW else n for n in ESTIMATORS]
)


@contextlib.contextmanager
def within_bound():
    start = time.process_time()
    yield
    assert time.process_time() - start < BOUND


def data_for(name, Z):
    """What `fit` takes: points, and for a regression numbers for each of them."""
    y = np.arange(len(Z)) % 2
    return (np.arange(len(Z), dtype=float)[:, None] % 5, Z) if "Regression" in name else (Z, y)


def fitted(name, manifold, Z, **options):
    return ESTIMATORS[name](manifold, **options).fit(*data_for(name, Z))


def answers(estimator, X, y):
    """Return what each method says as plain arrays."""
    found = {}
    for method in METHODS:
        if method == "sample" and hasattr(estimator, "sample"):
            drawn = estimator.sample(3, random_state=0)
            found[method] = drawn[0] if isinstance(drawn, tuple) else drawn
        elif hasattr(estimator, method):
            arguments = (X, y) if method == "score" else (X,)
            said = getattr(estimator, method)(*arguments)
            found[method] = said.toarray() if hasattr(said, "toarray") else np.asarray(said)
    return found


def refuses(name, manifold, Z, match, **options):
    with within_bound(), pytest.raises(ValueError, match=match):
        fitted(name, manifold, Z, **options)


def test_every_public_estimator_is_here():
    public = {
        name
        for name in statistics.__all__
        if isinstance(getattr(statistics, name), type)
        and issubclass(getattr(statistics, name), LatentEstimator)
    }
    here = {name.split()[0] for name in ESTIMATORS}
    assert here == public - {"LatentEstimator"}


@EVERY
def test_one_point(name):
    if name in NEEDS_TWO:
        refuses(name, PLANE, CLOUD[:1], r"sample|`n_clusters`|`n_neighbors`|`bandwidth`")
        return
    with within_bound():
        said = answers(fitted(name, PLANE, CLOUD[:1]), *data_for(name, CLOUD[:1]))
    assert all(np.isfinite(value).all() for value in said.values())


@pytest.mark.slow
@EVERY
def test_points_that_are_all_equal(name):
    Z = np.ones((8, 2))
    if name in NEEDS_DIFFERENT:
        refuses(name, PLANE, Z, "coincide")
        return
    with within_bound():
        said = answers(fitted(name, PLANE, Z), *data_for(name, Z))
    assert all(np.isfinite(value).all() for value in said.values())


@pytest.mark.slow
@EVERY_WITH_TIME
def test_duplicates(name):
    Z = np.repeat(CLOUD[:4], 2, axis=0)
    with within_bound():
        X, y = data_for(name, Z)
        said = answers(fitted(name, PLANE, Z), X, y)
    for method, value in said.items():
        assert np.isfinite(value).all()
        if method in ("predict", "score_samples"):  # twice the same question
            same = value if "Regression" not in name else value[[0, 0]]
            np.testing.assert_allclose(same[::2], same[1::2], atol=1e-9)


@EVERY
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_points_that_are_not_finite(name, value):
    with pytest.raises(ValueError, match=r"`[Xy]` must be finite.*index \(3, 1\)|Input y contains"):
        fitted(name, PLANE, poisoned(value))


@EVERY_WITH_TIME
def test_points_that_are_not_finite_after_the_fit(name):
    estimator = fitted(name, PLANE, CLOUD)
    X = np.full((2, estimator.n_features_in_), np.nan)
    for method in ("predict", "transform", "score_samples"):
        if hasattr(estimator, method):
            with pytest.raises(ValueError, match="finite|NaN"):
                getattr(estimator, method)(X)


@EVERY
def test_points_of_another_dimension(name):
    with pytest.raises(InvalidDataError, match=r"`(X|y)` must have 2 features.* but got 3"):
        fitted(name, PLANE, np.ones((8, 3)) * np.arange(8)[:, None])


@EVERY
def test_more_parts_than_points(name):
    estimator = ESTIMATORS[name](PLANE)
    asked = {"n_clusters", "n_components", "n_neighbors"} & set(estimator.get_params())
    for setting in asked:
        with pytest.raises(ValueError, match=f"`{setting}` must be"):
            fitted(name, PLANE, CLOUD, k=9)
        with pytest.raises(InvalidParameterError, match=f"`{setting}` must be"):
            fitted(name, PLANE, CLOUD, k=0)


@EVERY
def test_settings_of_a_wrong_kind(name):
    estimator = ESTIMATORS[name](PLANE)
    params = estimator.get_params()
    words = {"method", "distances", "kind", "init", "normalizer", "mode"} & set(params)
    numbers = {"max_iter", "n_init", "n_samples", "tol", "reg_covar"} & set(params)
    wrong = dict.fromkeys(words, "nonsense") | dict.fromkeys(numbers, -1)
    wrong |= {"manifold": torch.exp} | ({"random_state": "x"} if "random_state" in params else {})
    for setting, value in wrong.items():
        spoilt = clone(estimator).set_params(**{setting: value})
        with pytest.raises(InvalidParameterError, match=f"`{setting}` must be"):
            spoilt.fit(*data_for(name, CLOUD))


@pytest.mark.thorough
@EVERY_WITH_TIME
@pytest.mark.parametrize(
    "manifold",
    [
        pytest.param(TORN, id="NaN"),
        pytest.param(WALLED, id="infinite", marks=pytest.mark.exhaustive),
    ],
)
def test_two_groups_that_no_finite_curve_joins(name, manifold):
    if name in NEEDS_ALL_PAIRS:
        refuses(name, manifold, TWO_GROUPS, "have no finite distance")
        return
    _check_what_is_said(name, manifold, TWO_GROUPS)


@pytest.mark.slow
@EVERY_WITH_TIME
def test_a_region_where_all_geodesics_fail(name):
    if name in NEEDS_ALL_PAIRS:
        refuses(name, HOLED, SOME_IN_THE_HOLE, "have no finite distance")
        return
    _check_what_is_said(name, HOLED, SOME_IN_THE_HOLE)


@EVERY
def test_a_space_where_all_geodesics_fail(name):
    with within_bound(), pytest.raises(PullbackError, match=r"NaN|not finite|No geodesic"):
        fitted(name, BROKEN, CLOUD)


def _check_what_is_said(name, manifold, Z):
    """Finite answers at what is reached, and a report of the rest, or an error that explains."""
    X, y = data_for(name, Z)
    with within_bound(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = fitted(name, manifold, Z)
        try:
            said = answers(estimator, X, y)
        except InvalidDataError as error:
            assert REFUSES_THE_LOST[name] in str(error)  # noqa: PT017
            return
    warned = any(issubclass(w.category, ConvergenceWarning) for w in caught)
    lost = any(not np.isfinite(value).all() for value in said.values())
    assert warned or not lost or name.startswith("KM")  # a distance of inf says it itself
    failed = getattr(estimator, "n_failed_", 0)
    # Parts that have a medoid each are no failure, though their points are not joined.
    assert failed == 0 or warned or (estimator.labels_ >= 0).all()
    for method, value in said.items():
        rows = np.isfinite(value.reshape(len(value), -1)).any(1) if value.ndim else [True]
        assert np.sum(rows) >= 1  # something is known
        if method in ("predict", "predict_proba", "sample"):
            assert np.isfinite(value).all()
    if hasattr(estimator, "labels_"):
        np.testing.assert_array_equal(estimator.labels_, said["predict"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["KMeans graph", "KMeans log", "KMedoids", "KMedoids graph", "LAND"]
)
def test_labels_of_what_cannot_be_reached(name):
    with pytest.warns(ConvergenceWarning):
        labels = fitted(name, HOLED, SOME_IN_THE_HOLE).predict(SOME_IN_THE_HOLE)
    assert (labels[:8] >= 0).all()
    assert (labels[8:] == -1).all()


@EVERY
def test_settings_go_round(name):
    estimator = ESTIMATORS[name](PLANE)
    params = estimator.get_params(deep=False)
    twin = type(estimator)(**params)
    assert twin.get_params(deep=False) == params
    copy = clone(estimator).get_params(deep=False)
    del params["manifold"], copy["manifold"]
    assert copy == params


@pytest.mark.slow
@EVERY_WITH_TIME
def test_files_give_the_same_answers(name, tmp_path):
    X, y = data_for(name, CLOUD)
    estimator = fitted(name, PLANE, CLOUD)
    estimator.save(tmp_path / "estimator")
    again = type(estimator).load(tmp_path / "estimator", PLANE)
    before, after = answers(estimator, X, y), answers(again, X, y)
    assert before.keys() == after.keys()
    for method, value in before.items():
        np.testing.assert_array_equal(after[method], value)


@pytest.mark.slow
@EVERY_WITH_TIME
def test_a_seed_fixes_everything_and_data_stay_as_they_are(name):
    X, y = data_for(name, CLOUD.copy())
    before = X.copy(), y.copy()
    estimator = ESTIMATORS[name](Manifold(PLANE.metric))
    first = answers(estimator.fit(X, y), X, y)
    torch.rand(3)
    second = answers(clone(estimator).set_params(manifold=Manifold(PLANE.metric)).fit(X, y), X, y)
    for method, value in first.items():
        np.testing.assert_array_equal(second[method], value)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["KMeans graph", "KMedoids", "LAND"])
@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_whatever_numpy_takes_for_a_random_state_will_do(name, make):
    first, second = (
        ESTIMATORS[name](PLANE).set_params(random_state=make(5)).fit(CLOUD).score(CLOUD)
        for _ in range(2)
    )
    assert first == second


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["LAND", "KernelDensity"])
def test_draws_take_the_same_random_states(name):
    density = fitted(name, PLANE, CLOUD)
    for make in (int, np.random.default_rng, np.random.RandomState):
        first, second = (density.sample(4, random_state=make(5)) for _ in range(2))
        np.testing.assert_array_equal(np.vstack(first[:1]), np.vstack(second[:1]))
    with pytest.raises(InvalidParameterError, match="`random_state` must be"):
        density.sample(4, random_state=-1)
