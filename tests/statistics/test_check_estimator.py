"""scikit-learn's own checks of its contract, on a flat space of whatever dimension they ask for.

They run in processes of their own: they give constructors values of the wrong type, which the run
-time check of types in this one would refuse, where the contract wants `fit` to.
"""

import inspect
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

LEFT_OUT = {
    "GeodesicRegression": {
        "check_supervised_y_2d": "the targets are points of the space, so they have two dimensions"
    },
    "KMeans": {
        "check_sample_weight_equivalence_on_dense_data": "the random starts depend on how many rows"
        " there are, and a weight of 2 is one row; scikit-learn excuses its own for the same reason"
    },
    "KMedoids": {
        "check_sample_weight_equivalence_on_dense_data": "as of KMeans, and a medoid is one row"
    },
}
"""Checks that an estimator is excused from, with the reason."""

METHODS = [
    "fit",
    "fit_predict",
    "fit_transform",
    "inverse_transform",
    "kneighbors",
    "kneighbors_graph",
    "predict",
    "predict_proba",
    "score",
    "score_samples",
    "transform",
]

SKIPPED = {
    "check_array_api_input": "tensors of PyTorch are taken, but what comes back are arrays of NumPy"
}
"""Checks that scikit-learn skips by itself, as they ask for what is not declared."""

GROUPS = [
    ["FrechetMean", "GeodesicAffinity", "GeodesicDistances", "KMeans"],
    ["GeometricMedian", "KMedoids", "KNeighborsClassifier"],
    ["KNeighborsRegressor", "KNeighborsTransformer", "PrincipalGeodesicAnalysis"],
    ["GeodesicEmbedding", "KernelDensity"],
    ["GeodesicRegression"],
    ["LAND"],
]
DEAR = pytest.mark.exhaustive
SETTINGS = {
    "GeodesicRegression": {"max_iter": 5},
    "KMeans": {"n_clusters": 3, "n_init": 2},
    "KMedoids": {"n_clusters": 3, "n_init": 2},
    "LAND": {"n_samples": 8, "max_iter": 1},
    # Of all components, those without any variance are arbitrary.
    "PrincipalGeodesicAnalysis": {"n_components": 1},
}


def identity(z):
    return z


def report(names):
    """Check estimators, and return what did not pass: name, check, status and exception."""
    from sklearn.utils.estimator_checks import check_estimator

    from pullback import Manifold, statistics
    from pullback.metrics import PullbackMetric

    warnings.simplefilter("ignore")
    found = []
    for name in names:
        flat = Manifold(PullbackMetric(identity))
        estimator = getattr(statistics, name)(flat, **SETTINGS.get(name, {}))
        results = check_estimator(estimator, on_fail=None, on_skip=None)
        assert len(results) > 30
        found += [
            (name, each["check_name"], each["status"], repr(each["exception"])[:500])
            for each in results
            if each["status"] != "passed"
        ]
    return found


@pytest.mark.thorough
@pytest.mark.parametrize(
    "names",
    [
        # The dearest are left to the exhaustive ones: what estimators share, the others show.
        group if "KMeans" in group else pytest.param(group, marks=DEAR)
        for group in GROUPS
    ],
    ids="-".join,
)
def test_every_check_that_makes_sense_passes(names):
    run = [sys.executable, __file__, *names]
    done = subprocess.run(run, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, check, status, exception in json.loads(done.stdout.splitlines()[-1]):
        if status == "skipped":
            assert check in SKIPPED or "decision_function" in check, (name, check, exception)
        else:
            assert check in LEFT_OUT.get(name, {}), (name, check, exception)


def test_every_estimator_is_checked():
    from pullback import statistics
    from pullback.statistics import LatentEstimator

    estimators = {
        name
        for name in statistics.__all__
        if isinstance(kind := getattr(statistics, name), type)
        and issubclass(kind, LatentEstimator)
        and kind is not LatentEstimator
    }
    assert estimators == {name for group in GROUPS for name in group}


def test_data_have_the_name_that_scikit_learn_gives_them():
    from pullback import statistics

    for name in {name for group in GROUPS for name in group} | {"Encoder"}:
        for method, function in inspect.getmembers(getattr(statistics, name), callable):
            if method in METHODS:
                assert list(inspect.signature(function).parameters)[1] == "X", (name, method)


@pytest.mark.parametrize("name", ["KMeans", "GeodesicRegression"])
def test_a_row_of_numbers_is_refused_in_few_words(name):
    from pullback import statistics
    from pullback.errors import InvalidDataError
    from pullback.manifolds import Manifold

    estimator = getattr(statistics, name)(Manifold(lambda z: 2 * z, dim=1))
    with pytest.raises(InvalidDataError, match=r"but got \(1000,\). Reshape your data") as caught:
        estimator.fit(np.arange(1000.0), np.zeros((1000, 1)))
    assert len(str(caught.value)) < 300


if __name__ == "__main__":
    print(json.dumps(report(sys.argv[1:])))  # noqa: T201
