"""Detours: ways on the coarse grid beside the shortest, and what they lead to."""

import numpy as np
import pytest
import torch

from pullback.metrics import PullbackMetric, TabulatedMetric

numba = pytest.importorskip("numba")

from pullback.geodesics.kernels.table_search import TableSearch  # noqa: E402

SIZE = 21  # nodes of the square grid along each axis


def hills(seed):
    """A table of the plane with twenty steep hills, and sixty points on it."""
    generator = torch.Generator().manual_seed(seed)
    centres = 1.5 * torch.randn(20, 2, generator=generator, dtype=torch.float64)

    def image(z):
        squared = (z.unsqueeze(-2) - centres.to(z)).square().sum(-1)
        return torch.cat([z, 4 * (-squared / 0.3).exp().sum(-1, keepdim=True)], -1)

    codes = 1.5 * torch.randn(60, 2, generator=generator, dtype=torch.float64)
    return TabulatedMetric.build(PullbackMetric(image, dim=2), codes, rtol=1e-3), codes


def detours_on(speed):
    """The nodes that detours lead by, from one side of a square to the other, by `speed(x, y)`."""
    from pullback.geodesics.kernels.coarse import Grid, Paths, rows_from
    from pullback.geodesics.kernels.detours import find_detours, new_detours

    @numba.njit
    def search(grid, paths, first, last):
        grid, paths = Grid(*grid), Paths(*paths)
        rows_from(grid, np.array([first, last]), paths)
        room = new_detours(grid)
        return room.found[: find_detours(grid, paths, first, last, room)]

    n = SIZE**2
    offset = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
    at = np.stack(np.divmod(np.arange(n), SIZE), -1)
    to = at[:, None] + offset
    inside = ((to >= 0) & (to < SIZE)).all(-1)
    slow = speed(*np.moveaxis((at[:, None] + to) / 2 / (SIZE - 1), -1, 0))
    length = np.where(inside, np.linalg.norm(offset, axis=-1) * slow, np.inf)
    grid = ((0.0, 0.0), (1.0, 1.0), (SIZE, SIZE), (SIZE, 1), offset, length)
    paths = np.empty((n, n), np.float32), np.empty((n, n), np.int16)
    middle = SIZE // 2
    found = search(grid, paths, middle, (SIZE - 1) * SIZE + middle)
    return np.stack(np.divmod(found, SIZE), -1) / (SIZE - 1)


@pytest.mark.slow
def test_a_hill_is_passed_on_both_sides_and_a_plain_is_not():
    def hill(x, y):
        return 1 + 9 * np.exp(-((x - 0.5) ** 2 + (y - 0.53) ** 2) / 0.02)

    by = detours_on(hill)
    assert by[:, 1].min() < 0.4  # the best, below the hill
    assert by[:, 1].max() > 0.6
    plain = detours_on(lambda x, y: 1 + 0 * x + (y - 0.5) ** 2)
    assert np.abs(plain[:, 1] - 0.5).max() == 0  # the best alone


@pytest.mark.slow
def test_shorter_ways_round_hills_are_found_by_detours_alone():
    table, codes = hills(2)
    pairs = torch.tensor([21])
    found = TableSearch(table).find(codes[pairs], codes[30 + pairs])
    assert found.resolved.tolist() == [True]
    assert found.start.tolist() == [2]
    # The straight line and the shortest path on the grid lead to a curve that is longer by 7 %.
    others = found.start_lengths[:, :2].nan_to_num(nan=torch.inf).amin(-1)
    assert bool((others / found.length > 1.05).all())
    rivals = found.start_lengths[:, [0, 1, 3]].nan_to_num(nan=torch.inf).amin(-1)
    assert torch.equal(found.rival_length, rivals)
    for length, n, nodes in zip(found.length, found.n_segments, found.nodes, strict=True):
        chords = table.chords_by_step(nodes[None, : int(n) + 1])
        measured = (4 * chords[0].sum() - chords[1].sum()) / 3
        assert abs(float(length / measured) - 1) < 1e-4


@pytest.mark.slow
def test_where_starts_part_bends_of_the_best_find_shorter_ways():
    table, codes = hills(1)
    found = TableSearch(table).find(codes[[0]], codes[[52]])
    assert found.resolved.tolist() == [True]
    assert found.start.tolist() == [3]
    others = found.start_lengths[:, :3].nan_to_num(nan=torch.inf).amin(-1)
    assert float(others / found.length) > 1.15
    assert float(found.rival_length) <= float(others)


def test_a_bend_is_an_arch_at_right_angles_to_the_chord():
    from pullback.geodesics.kernels.detours import bent

    @numba.njit
    def fill(chain, n, height, curve):
        bent(chain, n, height, curve)

    chain, curve = np.full((9, 2), np.nan), np.empty((17, 2))
    t = np.linspace(0, 1, 5)[:, None]
    chain[:5] = [1.0, 2.0] + t * [3.0, 4.0]
    fill(chain, 4, 0.2, curve)
    t = np.linspace(0, 1, 17)[:, None]
    arch = 0.2 * np.sin(np.pi * t) * [-4.0, 3.0]
    np.testing.assert_allclose(curve, [1.0, 2.0] + t * [3.0, 4.0] + arch, atol=1e-12)
    assert np.array_equal(curve[[0, -1]], chain[[0, 4]])
