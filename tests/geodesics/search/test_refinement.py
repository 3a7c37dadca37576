"""From coarse to fine: what is begun anew, when a curve has settled, and what is never returned."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from pullback.curves import straight_line
from pullback.geodesics import LBFGS, GaussNewtonLBFGS, connect
from pullback.geodesics.base import Status
from pullback.geodesics.result import through
from pullback.geodesics.search.candidates import Candidates
from pullback.geodesics.search.measure import fine_points, measure
from pullback.geodesics.search.refinement import (
    _judge,
    _nudged,
    _or_straight,
    _relax,
    _resampled,
    _settled,
    _solve,
    find,
)
from pullback.geodesics.search.search import Search
from pullback.geodesics.search.thresholds import THRESHOLDS
from pullback.manifolds.reference import great_circle_dist
from pullback.metrics import PullbackMetric

from .bent_lines import HILL, SPHERE, A, B, bulge

PLANE = PullbackMetric(lambda z: z)
TUNNELLED = THRESHOLDS.tunnelled


def test_a_curve_is_pushed_off_its_saddle_sideways():
    """By a fiftieth of its length, most in the middle, and not at its ends."""
    line = straight_line(torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double(), 8)
    moved = (_nudged(line, THRESHOLDS.nudge) - line)[0]
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
    again = _resampled(search, a_tunnel(1.01 * TUNNELLED), 16).nodes
    assert again.shape == (1, 17, 2)
    torch.testing.assert_close(again[..., 1], torch.full((1, 17), 0.3).double())  # on the line
    further = _resampled(search, a_tunnel(0.99 * TUNNELLED), 16).nodes
    torch.testing.assert_close(further[:, ::2], bulge(A, B, 0.3, 9)[None])


def fence(z):
    """A wall about as thick as a step between nodes, that ends at |y| = 1 / 2."""
    x, y = z[..., :1], z[..., 1:]
    wall = 3 * (-((x - 0.031) / 0.04).square()).exp() * torch.sigmoid((0.5 - y.abs()) / 0.03)
    return torch.cat([z, wall], -1)


INF = float("inf")
UNPROTECTED = replace(THRESHOLDS, seen=INF, tunnelled=INF, lengthened=INF)


@pytest.mark.parametrize("protected", [True, False])
def test_tunnelling_is_what_the_protection_is_for(protected):
    """A start round the wall falls through it on 8 segments: without protection it stays there."""
    thresholds = THRESHOLDS if protected else UNPROTECTED
    metric, solver = PullbackMetric(fence), LBFGS(max_steps=30)
    search = Search(metric, solver, (8, 64), 1e-4, thresholds=thresholds)
    a, b = torch.tensor([[-1.0, 0.0]]).double(), torch.tensor([[1.0, 0.05]]).double()
    start = bulge(a[0], b[0], 0.35)[None]
    (part,) = find(search, a, b, given={"round": start}, only_given=True).parts
    truth = float(metric.chords(through(part.nodes).points(4001)).sum())
    if protected:
        assert truth < 2.4  # round the end of the wall
        assert float(part.length) == pytest.approx(truth, rel=1e-3)
    else:
        assert truth > 7  # over it


def test_a_chain_and_its_curve_agree_where_nodes_are_enough():
    """On a great circle at constant speed, whose length is known."""
    search = Search(SPHERE, None, (32,), 1e-4)
    angle = torch.linspace(-0.5, 0.5, 33, dtype=torch.float64)
    even = torch.stack([(angle / 2).tan(), torch.zeros_like(angle)], -1)[None]
    curves = _judge(search, Candidates.of_starts([even]))
    assert float(curves.length) == pytest.approx(1.0, rel=1e-9)
    assert float(curves.mismatch) < 1e-6
    assert float(curves.chain) < 1.0  # chords are shorter than arcs
    coarse = _judge(search, Candidates.of_starts([even[:, ::8]]))
    assert float(curves.mismatch) < float(coarse.mismatch)


def some(length, mismatch, status=Status.CONVERGED):
    """Lines of the plane for as many pairs, said to have such lengths and errors."""
    n = len(length)
    line = straight_line(A.expand(n, -1), B.expand(n, -1), 8)
    curves = Candidates.of_starts([line])
    length, mismatch = (torch.tensor(part).double() for part in (length, mismatch))
    status = torch.full_like(curves.status, status)
    return curves._replace(length=length, chain=length, mismatch=mismatch, status=status)


def test_what_has_settled_is_parted_from_what_goes_on():
    search = Search(PLANE, None, (8, 16), 1e-4)
    done, held = _settled(search, some([1.0, 1.0, 1.0], [0.0, 1e-2, 1e-5]), is_last=False)
    assert (done.pair.tolist(), held.pair.tolist()) == ([0, 2], [1])
    assert done.residual.isfinite().all()
    assert held.residual.isnan().all()  # the certificate is for what has settled
    done, held = _settled(search, some([1.0, 1.0], [0.0, 1e-2]), is_last=True)
    assert (done.pair.tolist(), held.pair.tolist()) == ([0, 1], [])


def test_a_curve_longer_than_the_line_is_given_up_for_it():
    search = Search(PLANE, None, (8,), 1e-4)
    line = (B - A).norm()
    bent = some([1.2 * float(line), float(line)], [0.0, 0.0])
    bent = bent._replace(nodes=torch.stack([bulge(A, B, 0.4, 9), bent.nodes[1]]))
    back = _or_straight(search, bent, line.expand(2))
    assert back.length.tolist() == pytest.approx([float(line)] * 2)
    assert back.status.tolist() == [Status.STALLED, Status.CONVERGED]
    torch.testing.assert_close(back.nodes[0], bent.nodes[1])
    unsettled = bent._replace(mismatch=torch.tensor([1.0, 0.0]).double())
    assert _or_straight(search, unsettled, line.expand(2)).status[0] == Status.UNRESOLVED


def test_rivals_are_told_from_the_first_level():
    """Between the poles of a sphere all meridians are as long: a start aside leads to another."""
    a, b = torch.tensor([[-1.0, 0.0]]).double(), torch.tensor([[0.98, 0.0]]).double()
    found = find(
        Search(SPHERE, None, (16, 32), 1e-3), a, b, given={"up": bulge(a[0], b[0], 0.3)[None]}
    )
    truth = float(great_circle_dist(a, b))
    assert found.starts == ("straight", "up")
    assert float(found.parts[0].length) == pytest.approx(truth, rel=1e-3)
    assert found.start_lengths.shape == (1, 2)


def test_on_a_line_nodes_are_spaced_evenly():
    metric = PullbackMetric(lambda z: z.exp())
    a, b = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    (part,) = find(Search(metric, None, (4,), 1e-4), a, b).parts
    even = torch.linspace(0, 1, 5).double() * (torch.e - 1) + 1
    torch.testing.assert_close(part.nodes.flatten(), even.log(), rtol=0, atol=1e-5)


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


def roll(z):
    """A sheet that is rolled up, a turn next to the other: few nodes step from turn to turn."""
    u, v = z[..., :1], z[..., 1:]
    radius = 1 + 0.02 * u
    return torch.cat([radius * u.cos(), radius * u.sin(), v], -1)


ROLL, ROLL_A = PullbackMetric(roll), torch.zeros(1, 2).double()
ROLL_B = torch.tensor([[4 * np.pi, 0.3]]).double()


@pytest.mark.parametrize("solver", [LBFGS(), GaussNewtonLBFGS()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("protected", [True, False])
def test_a_relaxation_that_steps_through_walls_is_taken_back(solver, protected):
    thresholds = THRESHOLDS if protected else replace(THRESHOLDS, lengthened=INF)
    search = Search(ROLL, solver, (8,), 1e-4, thresholds=thresholds)
    nodes = bulge(ROLL_A[0], ROLL_B[0], 0.05, 9)[None]
    before = Candidates.of_starts([nodes])
    before = before._replace(length=measure(ROLL, fine_points(through(nodes)))[0])
    after = _relax(search, before)
    if protected:
        assert float(after.length) <= 1.001 * float(before.length)
        # What it was is no geodesic, and what was tried counts.
        assert int(after.status) == Status.UNRESOLVED
        assert int(after.n_steps) > int(_solve(search, nodes).n_steps)
    else:
        assert float(after.length) > 1.1 * float(before.length)


def test_a_roll_is_flat_however_coarse_the_first_chain():
    """Unrolled it is a plane, whose distances are known."""
    along, _ = quad(lambda u: ((1 + 0.02 * u) ** 2 + 0.02**2) ** 0.5, 0, 4 * np.pi)
    result = connect(ROLL, ROLL_A, ROLL_B, levels=(8, 16, 32, 64, 128))
    assert bool(result.converged)
    assert float(result.length) == pytest.approx((along**2 + 0.3**2) ** 0.5, rel=1e-5)
