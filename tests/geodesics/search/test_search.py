"""The search from several starts: which are followed, what is begun anew, and what is said."""

import pytest
import torch

from pullback.curves import straight_line
from pullback.geodesics import connect
from pullback.geodesics.base import Status
from pullback.geodesics.search.candidates import TUNNELLED, Candidates
from pullback.geodesics.search.search import Search, _nudged
from pullback.manifolds.reference import stereographic
from pullback.metrics import PullbackMetric

SPHERE = PullbackMetric(stereographic)
A, B = torch.tensor([-0.5, 0.3]).double(), torch.tensor([0.6, 0.3]).double()


def hill(z, height=1.5, width=0.5):
    """The graph of a bell over the plane, which short ways go round."""
    top = height * (-(z / width).square().sum(-1, keepdim=True) / 2).exp()
    return torch.cat([z, top], -1)


HILL = PullbackMetric(hill)


def bulge(a, b, share, n=65):
    """The line from a to b with a sine added that is as high as a share of its length."""
    line = straight_line(a[None], b[None], n - 1)[0]
    aside = torch.stack([a[1] - b[1], b[0] - a[0]])
    t = torch.linspace(0, torch.pi, n, dtype=a.dtype)[:, None]
    return line + share * t.sin() * aside


@pytest.mark.slow
def test_a_start_is_followed_unless_it_is_hopelessly_longer():
    """A start a tenth longer may end on the shorter curve, one longer by a half hardly does."""
    hopeful, hopeless = bulge(A, B, 0.2), bulge(A, B, 0.6)
    found = connect(SPHERE, A, B, initial=[hopeful, hopeless])
    followed = found.start_lengths.isfinite().tolist()
    assert found.starts == ("straight", "given 0", "given 1")
    assert followed == [True, True, False]
    assert bool(found.converged)


@pytest.mark.slow
def test_a_start_that_is_longer_at_first_may_win():
    """The top lies a little below the line: of two ways round it the upper one is the shorter."""
    a, b = torch.tensor([-2.0, 0.1]).double(), torch.tensor([2.0, 0.1]).double()
    above, below = bulge(a, b, 0.3), bulge(a, b, -0.2)
    at_first = [float(HILL.chords(start[None]).sum()) for start in (above, below)]
    assert 1.02 < at_first[0] / at_first[1] < 1.1
    alone = [float(connect(HILL, a, b, initial=start).length) for start in (above, below)]
    assert alone[0] < 0.97 * alone[1]
    for starts in ([above, below], [below, above]):
        found = connect(HILL, a, b, initial=starts)
        assert bool(found.converged)
        assert float(found.length) == pytest.approx(alone[0], rel=1e-4)
        # By how much the winner won: both were followed to their ends.
        assert float(found.start_margin) == pytest.approx(alone[1] / alone[0] - 1, rel=1e-2)


def test_a_curve_is_pushed_off_its_saddle_sideways():
    """By a fiftieth of its length, most in the middle, and not at its ends."""
    line = straight_line(torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double(), 8)
    moved = (_nudged(line) - line)[0]
    along = torch.tensor([0.6, 0.8], dtype=torch.float64)
    torch.testing.assert_close(moved @ along, torch.zeros(9).double(), rtol=0, atol=1e-12)
    assert float(moved.norm(dim=-1).max()) == float(moved[4].norm()) > 0.01 * 5
    assert not moved[[0, -1]].any()


def a_tunnel(factor):
    """A candidate that seems longer than its chain by a factor, and where it began."""
    origin = straight_line(A[None], B[None], 8)
    nodes = bulge(A, B, 0.3, 9)[None]
    curves = Candidates.of_starts([nodes])
    one = torch.ones(1, dtype=torch.float64)
    return curves._replace(origin=origin, length=factor * one, chain=one)


def test_a_tunnel_is_begun_anew_from_its_start_with_more_nodes():
    search = Search(SPHERE, None, (8, 16), 1e-4)
    again = search._refine(a_tunnel(1.01 * TUNNELLED), 16).nodes
    assert again.shape == (1, 17, 2)
    torch.testing.assert_close(again[..., 1], torch.full((1, 17), 0.3).double())  # on the line
    further = search._refine(a_tunnel(0.99 * TUNNELLED), 16).nodes
    torch.testing.assert_close(further[:, ::2], bulge(A, B, 0.3, 9)[None])


def fence(z):
    """A wall about as thick as a step between nodes, that ends at |y| = 1 / 2."""
    x, y = z[..., :1], z[..., 1:]
    wall = 3 * (-((x - 0.031) / 0.04).square()).exp() * torch.sigmoid((0.5 - y.abs()) / 0.03)
    return torch.cat([z, wall], -1)


@pytest.mark.slow
def test_a_thin_wall_is_not_tunnelled_through():
    """Chains of few nodes step over it: they are begun anew with more, and find the way round."""
    metric = PullbackMetric(fence)
    a, b = torch.tensor([-1.0, 0.0]).double(), torch.tensor([1.0, 0.05]).double()
    found = connect(metric, a, b, initial=bulge(a, b, 0.2))
    truth = float(metric.chords(found.points(20001)[None]).sum())
    assert float(found.length) == pytest.approx(truth, rel=1e-3)
    assert truth < 2.4  # round the end of the wall; over it, it is more than 7
    assert bool(found.converged)


@pytest.mark.slow
def test_what_has_not_settled_is_not_converged():
    found = connect(
        HILL,
        torch.tensor([-2.0, 0.05]).double(),
        torch.tensor([2.0, 0.0]).double(),
        levels=(4,),
        rtol=1e-8,
    )
    assert found.status == Status.UNRESOLVED
    assert float(found.refinement) > 1e-8
