"""The campaign against wrong answers: its evaluators are right, and it sees what is wrong."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))


@pytest.fixture
def honesty():
    return importlib.import_module("honesty")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pullback.errors.SmoothnessWarning")
@pytest.mark.parametrize("dim", [2, 3])
def test_the_evaluators_agree_with_the_metrics(honesty, dim):
    from pullback import Manifold

    for name, kind in honesty.KINDS.items():
        case = kind.make(dim, torch.Generator().manual_seed(5))
        M = Manifold(case.source, dim=dim)
        z, toward = case.codes[:8], case.codes[8:16] - case.codes[:8]
        v = 1e-5 * toward / toward.norm(dim=-1, keepdim=True)
        chord = case.squared_chords(torch.stack([z - v / 2, z + v / 2], 1)).squeeze(-1).sqrt()
        norm = M.norm(z, v).to(chord)
        assert ((chord - norm).abs() <= 1e-4 * norm).all(), name


def test_a_descent_straightens_curves_in_curved_coordinates(honesty):
    case = honesty.KINDS["flow"].make(2, torch.Generator().manual_seed(0))
    a, b = case.codes[:6], case.codes[6:12]
    line = honesty.lines(a, b, 65)
    found = honesty.descend(case.squared_chords, line, n_steps=100)
    length = honesty.measure(case.squared_chords, honesty.along(found, 1025)).length
    floor = case.squared_chords(torch.stack([a, b], 1)).sqrt().squeeze(-1)
    torch.testing.assert_close(length, floor, rtol=2e-3, atol=0)


@pytest.mark.thorough
def test_wrong_answers_are_counted(honesty, monkeypatch):
    from pullback import Manifold

    def count():
        rows = honesty.judge("flow", 2, False, False, 0, 6)
        return rows[list(honesty.COUNTS)].sum().to_dict()

    right = count()
    assert right["converged"] == 6
    assert right["length"] == right["local"] == right["global"] == 0
    search = Manifold.geodesic

    def lying(self, a, b):
        found = search(self, a, b)
        return found.replace(length=1.01 * found.length)

    monkeypatch.setattr(Manifold, "geodesic", lying)
    assert count()["length"] == 6

    def straight(self, a, b):
        found = search(self, a, b)
        line = honesty.lines(a, b, 65)
        curve = type(found.curve)(line)
        return found.replace(curve=curve, length=self.length(curve))

    monkeypatch.setattr(Manifold, "geodesic", straight)
    wrong = count()
    assert wrong["local"] >= 4
    assert wrong["global"] >= 2
