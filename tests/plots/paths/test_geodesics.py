import numpy as np
import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.plots import geodesics


class Result:
    """Three curves, of which the last one failed."""

    converged = torch.tensor([True, True, False])

    def __init__(self, dim=2):
        self.dim = dim

    def points(self, n):
        t = torch.linspace(0, 1, n)[:, None]
        return torch.stack([torch.cat([t, k * t * (1 - t)], -1) for k in range(3)])[..., : self.dim]


def lines(ax):
    found = {c.get_label(): c for c in ax.collections if c.get_label()[0] != "_"}
    return {name: np.array([path.vertices for path in c.get_paths()]) for name, c in found.items()}


def test_curves_straight_lines_and_failures_are_told_apart():
    drawn = lines(geodesics(Result(), n_points=11))
    expected = Result().points(11).numpy()
    np.testing.assert_allclose(drawn["geodesic"], expected[:2])
    np.testing.assert_allclose(drawn["failed"], expected[2:])
    np.testing.assert_allclose(drawn["straight line"], expected[:, [0, -1]])


def test_only_the_first_ones_are_drawn_where_that_is_asked():
    drawn = lines(geodesics(Result(), most=2))
    assert len(drawn["straight line"]) == 2
    assert "failed" not in drawn


def test_other_dimensions_are_refused():
    with pytest.raises(InvalidDataError, match="two latent dimensions, but these have 1"):
        geodesics(Result(dim=1))
