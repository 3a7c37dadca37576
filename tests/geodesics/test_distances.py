"""All distances at once: near the refined ones by the error that they state."""

import pytest
import torch

from pullback import Manifold
from pullback.manifolds.reference import great_circle_dist, stereographic
from pullback.metrics import PullbackMetric


@pytest.fixture(scope="module")
def sphere():
    generator = torch.Generator().manual_seed(0)
    Z = torch.randn(50, 2, generator=generator, dtype=torch.float64) / 2
    return Manifold(PullbackMetric(stereographic, dim=2), data=Z), Z


@pytest.mark.slow
@pytest.mark.parametrize("method", ["auto", "table", "graph"])
def test_the_matrix_is_symmetric_near_the_truth_and_knows_its_error(sphere, method):
    M, Z = sphere
    truth = great_circle_dist(Z[:, None].expand(50, 50, 2), Z.expand(50, 50, 2))
    found = M.pairwise(Z, method=method, progress=False)
    D = found.distances
    assert torch.equal(D, D.T)
    assert bool((D.diagonal() == 0).all())
    off = ~torch.eye(50, dtype=torch.bool)
    error = (D[off] / truth[off] - 1).abs()
    bound = 0.1 if method == "graph" else 1e-3
    assert error.quantile(0.95) < bound
    assert found.error() == pytest.approx(float(error.quantile(0.95)), rel=2, abs=1e-5)
    refined = truth[found.sample[:, 0], found.sample[:, 1]]
    torch.testing.assert_close(found.refined, refined, rtol=1e-5, atol=0)
    assert f"{len(found.sample)} refined pairs" in str(found)


@pytest.mark.slow
def test_two_sets_and_few_points(sphere):
    M, Z = sphere
    truth = great_circle_dist(Z[:, None, :].expand(50, 45, 2), Z[5:].expand(50, 45, 2))
    found = M.pairwise_dist(Z, Z[5:], method="table", progress=False)
    torch.testing.assert_close(found, truth, rtol=2e-2, atol=1e-5)
    assert M.pairwise_dist(Z[:1]).tolist() == [[0.0]]
    twice = M.pairwise(Z[[0, 0]], method="table")
    assert twice.distances.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert twice.error() == 0.0


@pytest.mark.slow
def test_more_dimensions_are_solved_pair_by_pair():
    M = Manifold(torch.nn.Linear(5, 7), dim=5)
    Z = torch.randn(46, 5)
    found = M.pairwise(Z, progress=False)
    image = M.decode(Z)
    torch.testing.assert_close(found.distances, torch.cdist(image, image), rtol=1e-6, atol=1e-6)
