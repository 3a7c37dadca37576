"""What is found for a point or a pair does not depend on its place among others.

Kernels of matrix products may round equal rows of a batch differently by their place, and by the
size of the batch. So nothing is compared exactly here but what is equal by its coordinates.
"""

import pytest
import torch
from torch import nn

from pullback.manifolds import Manifold

N = 6
EPS = torch.finfo(torch.float64).eps


@pytest.fixture(scope="module")
def M():
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 784))
    return Manifold(network.double(), dim=2)


@pytest.fixture(scope="module")
def points():
    return torch.randn(3, N, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def lengths(M, a, b):
    return M.geodesic(a, b, graph=None).length


OPERATIONS = {
    "metric_matrix": (lambda M, a, b: M.metric_matrix(a), 1e4 * EPS),
    "inner_product": (lambda M, a, b: M.inner_product(a, b, b), 1e4 * EPS),
    "log_volume": (lambda M, a, b: M.log_volume(a), 1e4 * EPS),
    "decode": (lambda M, a, b: M.decode(a), 1e4 * EPS),
    "christoffels": (lambda M, a, b: M.christoffels(a), 1e-10),
    "scalar_curvature": (lambda M, a, b: M.scalar_curvature(a), 1e-10),
    "geodesic": (lengths, 1e-6),
    "exp": (lambda M, a, b: M.exp(a, (b - a) / 10), 1e-6),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("way", ["shuffled", "padded", "alone"])
def test_the_place_in_a_batch_changes_no_more_than_rounding(M, points, name, way):
    operation, share = OPERATIONS[name]
    a, b, others = points
    truth = operation(M, a, b)
    if way == "shuffled":
        order = torch.tensor([4, 2, 0, 5, 1, 3])
        found = operation(M, a[order], b[order])[order.argsort()]
    elif way == "padded":
        start, end = torch.cat([others[:3], a, others[:2]]), torch.cat([a[:3], b, b[:2]])
        found = operation(M, start, end)[3 : 3 + N]
    else:
        found = torch.cat([operation(M, a[k : k + 1], b[k : k + 1]) for k in range(N)])
    allowed = share * float(truth.abs().max())
    torch.testing.assert_close(found, truth, rtol=0, atol=allowed)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3, 5, 8, 17])
def test_equal_points_are_no_distance_apart_in_any_place(M, points, n):
    a = points.flatten(0, 1)[:n]
    others = a.roll(1, 0)
    start, end = torch.cat([a, a]), torch.cat([a, others if n > 1 else a])
    found = M.geodesic(start, end, graph=None)
    assert found.converged[:n].all()
    assert (found.length[:n] == 0).all()
    assert (M.pairwise_dist(a, progress=False).diagonal() == 0).all()
