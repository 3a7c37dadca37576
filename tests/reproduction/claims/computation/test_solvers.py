"""Adam finds what is known, a count is right, and what failed is not called shortest."""

import pytest
import torch

from pullback.curves import straight_line
from pullback.manifolds.reference import HalfPlane
from pullback.metrics import PullbackMetric
from pullback.reproduction.claims.computation.counting import CountingMetric
from pullback.reproduction.claims.computation.solvers import adam, compare

FLAT = PullbackMetric(lambda z: z, dim=2)


@pytest.mark.slow
def test_adam_finds_geodesics_of_the_half_plane_and_counts_what_it_asks():
    a, b = torch.tensor([[[-0.5, 1.0], [0.0, 1.0]], [[0.5, 1.0], [0.1, 1.0]]]).double()
    counting = CountingMetric(HalfPlane())
    nodes, converged = adam(counting, straight_line(a, b, 10), 500)
    assert converged.all()
    truth = torch.acosh(1 + (a - b).square().sum(-1) / (2 * a[:, 1] * b[:, 1]))
    torch.testing.assert_close(HalfPlane().chords(nodes).sum(-1), truth, rtol=2e-3, atol=0)
    # The first and nine inner nodes of each chain at a step; the short chain is done before.
    assert counting.n_points % 10 == 0
    assert counting.n_points < 500 * 2 * 10


def test_steps_that_end_are_no_convergence():
    bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]]).double()
    assert not adam(FLAT, bent, 3)[1].any()


def test_only_what_converged_is_shortest():
    line = straight_line(torch.zeros(2, 2).double(), torch.ones(2, 2).double(), 4)
    bent = line.clone()
    bent[1, 2, 0] += 0.3
    yes, no = torch.tensor([True, True]), torch.tensor([True, False])

    def half(metric, line):
        metric.metric_matrix(line[:, 0])
        return line, no

    found = compare(FLAT, line, {"half": half, "bent": lambda metric, line: (bent, yes)})
    assert found["half"]["converged and shortest"] == 0.5
    assert found["bent"]["converged and shortest"] == 0.5
    assert (found["half"]["points a pair"], found["bent"]["points a pair"]) == (1, 0)
    assert found["half"]["length by the line's"] == pytest.approx(1.0)
    assert found["half"]["deviation of the speed"] == pytest.approx(0.0, abs=1e-9)
