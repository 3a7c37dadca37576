"""Which of several curves for a pair survive: the shortest, and who may still beat it."""

import math

import pytest
import torch

from pullback.geodesics.search.candidates import Candidates
from pullback.geodesics.search.thresholds import THRESHOLDS

NAN = math.nan
SEEN, TUNNELLED = THRESHOLDS.seen, THRESHOLDS.tunnelled


def candidates(*curves):
    """Curves for pair 0, each a length, the length of its chain, and how far it lies aside."""
    lengths, chains, aside = torch.tensor(curves, dtype=torch.float64).T
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    nodes = torch.stack([t.expand(len(curves), -1), aside[:, None] * (torch.pi * t).sin()], -1)
    found = Candidates.of_starts([part[None] for part in nodes])
    return found._replace(length=lengths, chain=chains)


def test_a_curve_that_was_seen_has_no_rivals_but_close_ones():
    seen = (1.0, 0.999, 0.0)
    curves = candidates(seen, (1.005, 1.0, 0.5), (1.05, 1.0, 0.5), (1.005, 1.0, 0.001))
    # The last is about as short, but the same curve; the third is another, but longer.
    assert curves.rivals().tolist() == [True, True, False, False]


@pytest.mark.parametrize("unseen", [1.01 * SEEN, 0.99 * TUNNELLED])
def test_a_curve_that_was_not_seen_well_keeps_its_rivals(unseen):
    curves = candidates((1.0, 1 / unseen, 0.0), (1.4, 1.4, 0.5), (1.4, 1.4, 0.001))
    assert curves.rivals().tolist() == [True, True, False]


def test_where_nothing_is_known_of_the_chain_all_that_differ_are_kept():
    assert candidates((1.0, NAN, 0.0), (1.4, 1.4, 0.5)).rivals().tolist() == [True, True]


def test_a_tunnel_keeps_all_for_they_may_have_fallen_into_the_same():
    curves = candidates((1.0, 0.99 / TUNNELLED, 0.0), (1.4, 1.4, 0.5), (1.4, 1.4, 0.001))
    assert curves.rivals().tolist() == [True, True, True]


def test_the_best_is_the_shortest_of_equals_the_first_and_never_one_without_a_length():
    starts = [torch.zeros(3, 2, 1)] * 3  # three starts for three pairs
    length = torch.tensor([2.0, 1.0, NAN, 1.0, 1.0, 5.0, 3.0, 1.0, 4.0])
    curves = Candidates.of_starts(starts)._replace(length=length)
    best = [False, True, False, True, False, False, False, False, True]
    assert curves.best().tolist() == best
    assert curves.leader().tolist() == [3, 1, 8, 3, 1, 8, 3, 1, 8]
    lost = curves._replace(length=torch.full_like(length, NAN)).best()
    assert lost.tolist() == [True] * 3 + [False] * 6


def test_close_are_those_within_a_share_of_the_shortest():
    curves = candidates((1.0, 1.0, 0.0), (1.1, 1.0, 0.1), (1.2, 1.0, 0.2), (NAN, 1.0, 0.3))
    assert curves.close(1.15).tolist() == [True, True, False, False]


def test_any_of_a_pair_speaks_for_all_of_it():
    curves = Candidates.of_starts([torch.zeros(3, 2, 1)] * 2)
    mask = torch.tensor([False, True, False, False, False, False])
    assert curves.any_of_pair(mask).tolist() == [False, True, False] * 2


def test_the_error_of_a_length_is_the_larger_of_both():
    curves = candidates((1.0, 1.0, 0.0), (1.0, 1.0, 0.1))
    curves = curves._replace(
        mismatch=torch.tensor([1e-3, 1e-6]), excess=torch.tensor([1e-5, math.nan])
    )
    assert curves.refinement.tolist() == pytest.approx([1e-3, 1e-6])


def test_some_are_chosen_joined_and_put_back():
    curves = candidates((1.0, 1.0, 0.0), (2.0, 1.0, 0.1), (3.0, 1.0, 0.2))
    some = curves.where(torch.tensor([2, 0]))
    assert some.length.tolist() == [3.0, 1.0]
    assert some.join(curves).start.tolist() == [2, 0, 0, 1, 2]
    put = curves.put(torch.tensor([1, 2]), some)
    assert put.length.tolist() == [1.0, 3.0, 1.0]
    assert curves.length.tolist() == [1.0, 2.0, 3.0]  # a copy was changed
