"""What is said of curves, whoever found them: lengths by closed forms, statuses, a second look."""

from dataclasses import replace

import pytest
import torch

from pullback.curves import straight_line
from pullback.geodesics import Newton
from pullback.geodesics.base import Status
from pullback.geodesics.search import verdict, verification
from pullback.geodesics.search.candidates import Candidates, Found
from pullback.geodesics.search.search import Search
from pullback.geodesics.search.thresholds import THRESHOLDS
from pullback.geodesics.search.verdict import answers, judge
from pullback.manifolds.reference import stereographic
from pullback.metrics import Metric, PullbackMetric

PLANE, SPHERE = PullbackMetric(lambda z: z), PullbackMetric(stereographic)
A, B = torch.tensor([[0.0, 0.0]]).double(), torch.tensor([[3.0, 4.0]]).double()


def search(metric, **options):
    return Search(metric, None, (32, 64), 1e-4, **options)


def equator(n_segments, angle=2.0):
    """A great circle through the pole of the projection, at constant speed."""
    half = torch.linspace(-angle / 4, angle / 4, n_segments + 1, dtype=torch.float64)
    return torch.stack([half.tan(), torch.zeros_like(half)], -1)[None]


def bent(nodes, share):
    """Curves pushed aside by a sine, as high as a share of their length in coordinates."""
    chord = nodes[:, -1] - nodes[:, 0]
    aside = torch.stack([-chord[:, 1], chord[:, 0]], -1).unsqueeze(1)
    t = torch.linspace(0, torch.pi, nodes.shape[1], dtype=nodes.dtype)
    arch = share * t.sin()[:, None]
    arch[[0, -1]] = 0.0
    return nodes + arch * aside


def found_by_someone(*nodes, pairs=None, **said):
    """Curves that did not come from a search, said to have converged, one for each pair."""
    parts, n = [], 0
    for k, part in enumerate(nodes):
        curves = Candidates.of_starts([part])
        pair = torch.arange(n, n + len(part)) if pairs is None else torch.tensor(pairs[k])
        n += len(part)
        one = torch.ones(len(part)).double()
        values = {"length": one, "chain": one, "residual": 0 * one, "second_variation": one}
        values |= {name: torch.tensor(value) for name, value in said.items()}
        parts.append(curves._replace(pair=pair, **values))
    unknown = torch.full((n,), torch.nan).double()
    return Found(parts, 9.0 + 0 * unknown, 0 * unknown, unknown[:, None], unknown, ("elsewhere",))


def test_curves_from_elsewhere_are_measured_and_put_in_the_order_of_the_pairs():
    found = found_by_someone(equator(64, 2.0), equator(32, 1.0), pairs=[[1], [0]])
    result = answers(search(SPHERE), found)
    assert result.length.tolist() == pytest.approx([1.0, 2.0], rel=1e-8)
    assert result.energy.tolist() == pytest.approx([0.5, 2.0], rel=1e-8)
    assert result.n_segments.tolist() == [32, 64]
    assert result.starts == ("elsewhere",)
    assert result.converged.all()


class Halves(Metric):
    """The plane, of which only the lower half belongs to the space."""

    def metric_matrix(self, z):
        return torch.eye(2, dtype=z.dtype).expand(*z.shape[:-1], 2, 2)

    def contains(self, z):
        return z[..., 1] < 3.5


def with_a_hole(z):
    return torch.where(z[..., 1:] > 3.5, torch.nan, z)


class Table(Metric):
    """Says that the plane is larger by a share than it is."""

    share = 0.01

    def metric_matrix(self, z):
        return (1 + self.share) ** 2 * torch.eye(2, dtype=z.dtype).expand(*z.shape[:-1], 2, 2)

    @property
    def exact(self):
        return PLANE


@pytest.mark.parametrize(
    ("metric", "said", "status"),
    [
        (PLANE, {}, Status.CONVERGED),
        (PLANE, {"mismatch": [1e-3]}, Status.UNRESOLVED),
        (PLANE, {"excess": [1e-3]}, Status.UNRESOLVED),
        (PLANE, {"status": [Status.MAX_STEPS], "mismatch": [1e-3]}, Status.MAX_STEPS),
        (PLANE, {"regular": [False]}, Status.DEGENERATE),
        (PullbackMetric(lambda z: 0 * z), {"regular": [False]}, Status.DEGENERATE),
        (PullbackMetric(with_a_hole), {}, Status.NOT_FINITE),
        (Halves(2), {}, Status.LEFT_DOMAIN),
        (Table(2), {"length": [5.05]}, Status.INEXACT),
        (Table(2), {"length": [5.001]}, Status.CONVERGED),
    ],
)
def test_what_became_of_a_curve(metric, said, status):
    found = found_by_someone(straight_line(A, B, 8), **({"length": [5.0]} | said))
    result = answers(search(metric), found)
    assert Status(int(result.status)) is status
    assert result.length.isnan().all() if status is Status.NOT_FINITE else True


def test_ends_that_are_one_point_are_no_distance_apart():
    result = answers(search(SPHERE), found_by_someone(straight_line(B, B, 8)))
    assert (result.length.item(), result.energy.item(), result.residual.item()) == (0, 0, 0)
    assert result.converged.all()


def test_points_nearer_than_rounding_are_as_far_apart_as_the_norm_says():
    far = PullbackMetric(lambda z: z + 1e9)
    near = B + torch.tensor([[1e-9, 0.0]]).double()
    result = answers(search(far), found_by_someone(straight_line(B, near, 8)))
    assert result.length.item() == pytest.approx(1e-9, rel=1e-6)
    assert result.converged.all()


def test_a_bent_curve_that_is_said_to_be_a_geodesic_is_found_out():
    """The attack shortens it, and a search from there ends on the great circle."""
    found = found_by_someone(bent(equator(64), 0.05))
    unlooked = judge(search(SPHERE), found, confirm=False)
    assert unlooked.length.item() > 2.005
    looked = judge(search(SPHERE), found)
    assert looked.length.item() == pytest.approx(2.0, rel=1e-6)
    assert looked.converged.all()
    assert looked.starts == ("elsewhere",)


def test_without_thresholds_of_what_is_wrong_the_same_curve_passes():
    blind = search(SPHERE, thresholds=replace(THRESHOLDS, wrong=10.0))
    assert judge(blind, found_by_someone(bent(equator(64), 0.05))).length.item() > 2.005


def thin_wall(z):
    """A wall over x = 0.503, ten times thinner than what measures it, half as high as long."""
    return torch.cat([z, 0.5 * (-((z[..., :1] - 0.503) / 1e-3).square()).exp()], -1)


def test_tunnelling_through_a_wall_between_all_points_is_seen_by_the_second_look():
    """Everybody has to cross it, up and down: the line is 2 long, not 1."""
    a, b = torch.zeros(1, 2).double(), torch.tensor([[1.0, 0.0]]).double()
    found = found_by_someone(straight_line(a, b, 8))
    coarse = search(PullbackMetric(thin_wall))._replace(
        levels=(8,), given_solver=Newton(max_steps=5)
    )
    assert judge(coarse, found, confirm=False).length.item() < 1.01
    looked = judge(coarse, found)
    assert looked.length.item() == pytest.approx(2.0, abs=0.02)
    assert not looked.converged.any()


def test_answers_of_a_table_that_is_off_are_relaxed_on_the_exact_metric():
    found = found_by_someone(bent(straight_line(A, B, 64), 0.02), length=[5.05])
    assert answers(search(Table(2)), found).status.tolist() == [Status.INEXACT]
    result = judge(search(Table(2)), found, confirm=False)
    assert result.length.item() == pytest.approx(5.0, rel=1e-9)
    assert result.converged.all()
    kept = found_by_someone(bent(straight_line(A, B, 64), 0.02), length=[5.004])
    assert judge(search(Table(2)), kept, confirm=False).length.item() > 5.002
    polished = judge(search(Table(2)), kept, confirm=False, polish=True)
    assert polished.length.item() == pytest.approx(5.0, rel=1e-9)


@pytest.mark.parametrize("is_near", [True, False])
def test_what_kinks_hide_from_the_exact_equation_is_attacked_where_a_table_is_not_near(
    monkeypatch, is_near
):
    """At kinks second derivatives promise nothing, however much is to be gained."""
    monkeypatch.setattr(Table, "is_near", is_near)
    monkeypatch.setattr(verification, "excess_on", lambda *a, **k: torch.zeros(1).double())
    monkeypatch.setattr(verdict, "_explored", lambda search, result: result)
    found = found_by_someone(bent(straight_line(A, B, 64), 0.02), length=[5.004])
    result = judge(search(Table(2)), found)
    gained = result.length.item() < 5.0001
    assert gained != is_near


@pytest.mark.parametrize(
    ("status", "length"), [(Status.MAX_STEPS, 5.0), (Status.UNRESOLVED, 5.0), (Status.CONVERGED, 6)]
)
def test_what_did_not_converge_is_never_longer_than_the_straight_line(status, length):
    """One that is said to have converged is for the second look, not for this."""
    nodes = bent(straight_line(A, B, 32), 0.3)
    found = found_by_someone(nodes, status=[int(status)])
    result = answers(search(PLANE), found)
    assert result.status.tolist() == [int(status)]
    if status == Status.CONVERGED:
        assert result.length.item() > length - 0.5
    else:
        assert result.length.item() == pytest.approx(length, rel=1e-12)
        torch.testing.assert_close(result.curve.nodes, straight_line(A, B, 32))
