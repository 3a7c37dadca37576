"""Where curves begin: what is proposed, what is dropped, and what needs no search."""

from dataclasses import replace

import pytest
import torch

from pullback.geodesics import LatentGraph, connect
from pullback.geodesics.search.search import Search
from pullback.geodesics.search.starts import choose
from pullback.geodesics.search.thresholds import THRESHOLDS
from pullback.metrics import PullbackMetric

from .bent_lines import HILL, SPHERE, A, B, bulge

SEARCH = Search(SPHERE, None, (32, 64), 1e-4)


def followed(starts):
    return [starts.names[k] for k in starts.followed.start.tolist()]


def chosen(*shares, **thresholds):
    """Start from the line and from bulges of it, by thresholds that differ in some."""
    given = {f"by {share}": bulge(A, B, share)[None] for share in shares}
    search = SEARCH._replace(thresholds=replace(THRESHOLDS, **thresholds))
    return choose(search, A[None], B[None], given=given)


def test_a_start_is_dropped_if_it_is_hopelessly_longer():
    """One a tenth longer may end on the shorter curve, one longer by a half hardly does."""
    assert followed(chosen(0.2, 0.6)) == ["straight", "by 0.2"]
    assert followed(chosen(0.2, 0.6, hopeless=2.0)) == ["straight", "by 0.2", "by 0.6"]
    assert followed(chosen(0.2, 0.6, hopeless=1.0)) == ["by 0.2"]  # the shortest


def test_of_two_starts_side_by_side_one_is_followed_and_speaks_for_both():
    starts = chosen(0.2, 0.205)
    assert followed(starts) == ["straight", "by 0.2"]
    assert starts.left_out.start.tolist() == [2]
    relaxed = starts.followed._replace(length=torch.tensor([7.0, 5.0]).double())
    ahead = int(starts.ahead)
    assert starts.lengths(relaxed)[0, 2] == [7.0, 5.0][ahead]
    apart = chosen(0.2, 0.205, on=0.0, beside=0.0)
    assert followed(apart) == ["straight", "by 0.2", "by 0.205"]


def test_starts_are_evenly_spaced_and_keep_their_ends():
    starts = chosen(0.2)
    nodes = starts.followed.nodes
    assert nodes.shape == (2, 33, 2)
    torch.testing.assert_close(nodes[:, 0], A.expand(2, -1), rtol=0, atol=0)
    torch.testing.assert_close(nodes[:, -1], B.expand(2, -1), rtol=0, atol=0)
    chords = SPHERE.chords(nodes)
    assert bool((chords.std(-1) < 0.01 * chords.mean(-1)).all())


def test_a_line_whose_image_is_straight_and_even_needs_no_search():
    a, b = torch.zeros(2, 2).double(), torch.tensor([[3.0, 4.0], [0.0, 0.0]]).double()
    flat = SEARCH._replace(metric=PullbackMetric(lambda z: 2 * z))
    starts = choose(flat, a, b)
    assert starts.certain.length.tolist() == [10.0, 0.0]
    assert starts.lower_bound.tolist() == [10.0, 0.0]
    assert len(starts.followed.pair) == 0
    # The image of the line is straight, but walked unevenly: nodes have to move.
    uneven = SEARCH._replace(metric=PullbackMetric(lambda z: z.exp()))
    line = torch.zeros(1, 1).double(), torch.ones(1, 1).double()
    assert len(choose(uneven, *line).certain.pair) == 0
    trusting = uneven._replace(thresholds=replace(THRESHOLDS, steady=10.0))
    assert len(choose(trusting, *line).certain.pair) == 1


def test_an_image_that_is_straight_where_the_metric_is_singular_is_marked():
    thin = SEARCH._replace(metric=PullbackMetric(lambda z: z[..., :1]))
    starts = choose(thin, torch.zeros(1, 2).double(), torch.tensor([[1.0, 0.0]]).double())
    assert starts.certain.regular.tolist() == [False]


def test_only_given_curves_are_begun_from_where_an_answer_is_searched_again():
    given = {"found": bulge(A, B, 0.2)[None]}
    graph = LatentGraph.build(SPHERE, torch.stack([A, B]), resolution=8)
    all_of_them = choose(SEARCH, A[None], B[None], graph=graph, given=given)
    assert all_of_them.names == ("straight", "graph", "found")
    alone = choose(SEARCH, A[None], B[None], graph=graph, given=given, only_given=True)
    assert alone.names == ("found",)
    assert float(alone.straight_length) == float(all_of_them.straight_length)


def test_lines_are_bent_aside_only_where_no_graph_sees_all():
    """In three dimensions, and only by a search that explores; arches pass as not hopeless."""
    metric = PullbackMetric(lambda z: torch.cat([z, 0.01 * z.square().sum(-1, keepdim=True)], -1))
    a, b = torch.zeros(1, 3).double(), torch.ones(1, 3).double()
    search = Search(metric, None, (32, 64), 1e-4)
    assert choose(search, a, b).names == ("straight", "bent 0", "bent 1")
    assert followed(choose(search, a, b)) == ["straight", "bent 0", "bent 1"]
    assert choose(search._replace(explores=False), a, b).names == ("straight",)
    assert choose(search, a[:, :2], b[:, :2]).names == ("straight",)


def test_pairs_keep_their_places_where_some_need_no_search():
    def roof(z):  # flat for y < 0
        return torch.cat([z, z[..., 1:].relu().square()], -1)

    a = torch.tensor([[0.0, -1.0], [0.0, 0.5], [0.0, -2.0], [0.1, 0.5]]).double()
    b = torch.tensor([[1.0, -1.0], [1.0, 2.0], [2.0, -2.0], [1.1, 2.0]]).double()
    starts = choose(SEARCH._replace(metric=PullbackMetric(roof)), a, b)
    assert starts.certain.pair.tolist() == [0, 2]
    assert starts.followed.pair.tolist() == [1, 3]
    torch.testing.assert_close(starts.followed.nodes[:, 0], a[[1, 3]])


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
    # By itself, for the second look would find the other way from each.
    alone = [
        float(connect(HILL, a, b, initial=start, confirm=False).length) for start in (above, below)
    ]
    assert alone[0] < 0.97 * alone[1]
    for starts in ([above, below], [below, above]):
        found = connect(HILL, a, b, initial=starts)
        assert bool(found.converged)
        assert float(found.length) == pytest.approx(alone[0], rel=1e-4)
        # By how much the winner won: both were followed to their ends.
        assert float(found.start_margin) == pytest.approx(alone[1] / alone[0] - 1, rel=1e-2)
