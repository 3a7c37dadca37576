"""What trainings have in common is counted right, and a training repeats."""

import numpy as np
import pytest
from scipy import stats

from pullback.reproduction.claims.stability.retraining import (
    STABILITY,
    coefficients_of_variation,
    paired_t,
)
from pullback.reproduction.lab import Lab


def test_the_variation_is_that_of_scipy_and_knows_no_unit():
    distances = np.random.default_rng(0).uniform(1, 2, size=(6, 9))
    expected = stats.variation(distances, axis=0, ddof=1)
    np.testing.assert_allclose(coefficients_of_variation(distances), expected)
    np.testing.assert_allclose(coefficients_of_variation(7 * distances), expected)


def test_equal_distances_do_not_differ():
    assert paired_t(np.ones(4), np.ones(4)) == 0.0


@pytest.mark.slow
def test_each_training_has_a_seed_of_its_own(tmp_path):
    claim = STABILITY[1]
    found = claim.measure(Lab(tmp_path), 3, **claim.settings_of(quick=True))
    assert found["ensemble of 5"]["geodesic CV"] > 0.001
    assert len(list((tmp_path / "models").iterdir())) == 2
