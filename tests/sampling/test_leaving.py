"""Walks that leave everything: where no wall holds them the metric fades, and they must say so."""

import pytest
import torch

from pullback import Manifold
from pullback.sampling import BrownianMotion, ChainStatus, excursions

CODES = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)).double()


def faint(z):
    """A mean that saturates and a deviation whose wall is low: beyond it there is no information.

    The deviation is 1 / 3 at the codes and 1 far away, as of an RBF precision with a large `zeta`.
    """
    weight = torch.exp(-z.square().sum(-1, keepdim=True) / 2)
    return torch.cat([torch.tanh(z), torch.tanh(z.flip(-1) - 1), (1 + 8 * weight).rsqrt()], -1)


@pytest.fixture(scope="module", params=["exact", "table"])
def space(request):
    exact = Manifold(faint, dim=2)
    return exact if request.param == "exact" else exact.tabulated(CODES, margin=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["driftless", "ito"])
def test_a_walk_that_leaves_ends_with_a_status_and_finite(space, method):
    n_steps, start = 100, CODES[:20]
    walk = BrownianMotion(space, step_size=0.3, method=method)
    samples = walk.sample(start, n_steps, random_state=0)
    assert samples.points.isfinite().all()
    assert samples.points.abs().max() > 2 * CODES.abs().max()  # beyond the table
    ended = ~samples.converged
    assert ended.sum() > 5
    known = (int(ChainStatus.DEGENERATE), int(ChainStatus.NOT_FINITE))
    assert torch.isin(samples.status[ended], torch.tensor(known)).all()
    # It moved with each step that it took, and never again.
    moved = (samples.points.diff(dim=1) != 0).any(-1)
    steps = torch.arange(n_steps)
    assert moved.equal(steps < samples.n_taken.unsqueeze(1))
    assert (samples.n_taken < n_steps).equal(ended)
    assert excursions(samples.points, CODES).isfinite().all()
    # The last point is one where the metric can still be used.
    M = space.metric_matrix(samples.last)
    assert (torch.linalg.eigvalsh(M) > 0).all()
    low, high = samples.n_taken[ended].aminmax()
    assert f"after {low}" in str(samples)
    assert f"{high} steps)" in str(samples)
