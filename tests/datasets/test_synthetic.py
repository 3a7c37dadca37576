import numpy as np
import pytest

from pullback.datasets import circle
from pullback.errors import InvalidParameterError


@pytest.mark.parametrize(("data_dim", "n_harmonics"), [(2, 1), (3, 1), (5, 2), (6, 3), (1000, 3)])
def test_lengths_along_the_noiseless_circle_are_those_of_the_formula(data_dim, n_harmonics):
    X, angle = circle(2000, data_dim=data_dim, noise=0.0, random_state=0)
    order = np.argsort(angle)
    closed = np.append(order, order[0])
    steps = np.linalg.norm(np.diff(X[closed], axis=0), axis=1)
    length = 2 * np.pi * np.sqrt(n_harmonics * data_dim)
    assert steps.sum() == pytest.approx(length, rel=1e-4)
    between = order[100:1200]
    arc = np.sqrt(n_harmonics * data_dim) * (angle[between[-1]] - angle[between[0]])
    assert steps[100:1199].sum() == pytest.approx(arc, rel=1e-4)


def test_the_circle_spans_six_dimensions():
    X, _ = circle(300, data_dim=50, noise=0.0, random_state=0)
    singular = np.linalg.svd(X, compute_uv=False)
    assert singular[5] > 1
    assert singular[6] < 1e-9 * singular[0]


def test_the_noise_has_its_standard_deviation():
    clean, angle = circle(500, data_dim=200, noise=0.0, random_state=3)
    noisy, same = circle(500, data_dim=200, noise=0.1, random_state=3)
    np.testing.assert_array_equal(angle, same)
    assert (noisy - clean).std() == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"n": 0}, "n"),
        ({"data_dim": 1}, "data_dim"),
        ({"noise": -1.0}, "noise"),
        ({"noise": np.inf}, "noise"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_parameters_outside_their_range_are_refused(wrong, name):
    with pytest.raises(InvalidParameterError, match=f"`{name}` must be"):
        circle(**{"n": 5, **wrong})
