"""What a pass over the data finds, however it is cut into blocks."""

import numpy as np
import pytest
import torch

from pullback.models.training.data import TrainingData


def cut_into(size, monkeypatch):
    """Let blocks have so many rows where nobody says how many."""
    blocks = TrainingData.blocks
    monkeypatch.setattr(TrainingData, "blocks", lambda data: blocks(data, None, size))


@pytest.mark.parametrize("size", [1, 7, 40, 4096])
def test_a_survey_in_blocks_is_that_of_all_rows(size, monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.randn(40, 3) * [1.0, 5.0, 0.1] + 100 * np.arange(40)[:, None]  # a trend over the blocks
    cut_into(size, monkeypatch)
    survey = TrainingData(X, 3, torch.zeros((), dtype=torch.float64)).survey()
    np.testing.assert_allclose(survey.center, X.mean(0), rtol=1e-12)
    np.testing.assert_allclose(survey.scale, np.sqrt(X.var(0).mean()), rtol=1e-12)
    np.testing.assert_array_equal(survey.minimum, X.min(0))
    np.testing.assert_array_equal(survey.maximum, X.max(0))


def test_what_refuses_rows_sees_all_of_them(monkeypatch):
    cut_into(3, monkeypatch)
    seen = []
    X = torch.arange(20.0).reshape(10, 2)
    TrainingData(X, 2, X).survey(lambda name, rows: seen.append((name, rows)))
    assert {name for name, _ in seen} == {"X"}
    assert torch.equal(torch.cat([rows for _, rows in seen]), X)
