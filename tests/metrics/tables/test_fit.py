"""Grids of tables: made of derivatives in single precision where that is as good."""

import pytest
import torch
from torch import nn

from pullback.metrics import PullbackMetric
from pullback.metrics.tables import fit
from pullback.metrics.tables.fit import fit_spline

CORNERS = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)


def smooth_decoder(across=1.0, *, n_hidden=16, n_outputs=30):
    """A decoder that changes by a share as much across the diagonal as along it."""
    torch.manual_seed(0)
    first, second = nn.Linear(2, n_hidden), nn.Linear(n_hidden, n_outputs)
    with torch.no_grad():
        along = first.weight.mean(1, keepdim=True)
        first.weight.copy_(along + across * (first.weight - along))
    return PullbackMetric.from_decoder(nn.Sequential(first, nn.Tanh(), second), dim=2)


def probes(n=200):
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1


def fitted(metric, rtol, monkeypatch, *, rough=None):
    """Fit a spline, and say for each grid whether its derivatives were of single precision."""
    asked = []
    tabulate = fit.tabulate

    def noted(*args, rough, **options):
        asked.append(rough)
        return tabulate(*args, rough=rough, **options)

    with monkeypatch.context() as patch:
        patch.setattr(fit, "tabulate", noted)
        if rough is not None:
            patch.setattr(fit, "_may_be_rough", lambda *_: rough)
        spline, errors = fit_spline(metric, *CORNERS, probes(), rtol=rtol)
    return spline, errors, asked


def test_single_precision_changes_a_table_by_far_less_than_its_error(monkeypatch):
    # Of many outputs rounding averages out: 3e-6 with and without vector instructions, where of 30
    # it is up to 1.1e-5.
    metric = smooth_decoder(n_hidden=64, n_outputs=200)
    spline, errors, asked = fitted(metric, 1e-3, monkeypatch)
    exact, truth, _ = fitted(metric, 1e-3, monkeypatch, rough=False)
    assert all(asked)
    assert spline.coefficients.dtype == torch.float64
    assert spline.coefficients.shape == exact.coefficients.shape
    assert (spline.coefficients - exact.coefficients).abs().max() < 1e-5
    assert (errors - truth).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("metric", "rtol"),
    [
        (smooth_decoder(), 1e-6),  # more is asked for than single precision has
        (smooth_decoder(across=1e-4), 1e-3),  # thin: one direction hardly counts
        (PullbackMetric(lambda z: torch.cat([z, z.square()], -1), dim=2), 1e-3),  # a function
    ],
)
def test_where_it_is_not_as_good_derivatives_are_of_double_precision(metric, rtol, monkeypatch):
    monkeypatch.setattr(fit, "_MOST", {2: 64})
    _, _, asked = fitted(metric, rtol, monkeypatch)
    assert asked == [False]


def test_a_node_that_single_precision_calls_singular_is_asked_again(monkeypatch):
    metric = smooth_decoder()
    exact = fit.tabulate(metric, *CORNERS, 8)
    monkeypatch.setattr(metric, "rough_matrix", lambda z: 0 * metric.metric_matrix(z))
    assert torch.equal(
        fit.tabulate(metric, *CORNERS, 8, rough=True).coefficients, exact.coefficients
    )


def test_a_table_tells_how_many_points_are_measured_grid_by_grid():
    from pullback.manifolds.reference import HalfPlane
    from pullback.metrics import TabulatedMetric
    from pullback.progress import heard

    told = []
    codes = torch.tensor([[-1.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    with heard(lambda *words: told.append(words)):
        table = TabulatedMetric.build(HalfPlane(), codes, rtol=1e-10)
    n = table.n_cells[0]
    last = [words for words in told if words[0] == f"table of {n} x {n} cells"]
    assert [done for _, done, _ in last] == sorted({done for _, done, _ in last})
    assert last[0][1] == 0
    assert last[-1][1:] == ((n + 1) ** 2, (n + 1) ** 2)
    assert len({words[0] for words in told}) > 1  # a coarser one went before
