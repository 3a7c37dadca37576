"""Tables of a metric: near the exact one by a measured error, smooth, never beyond their edge."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.interpolate import RectBivariateSpline

from pullback import Manifold
from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
    StorageError,
)
from pullback.geodesics import connect
from pullback.manifolds.reference import HalfPlane, paraboloid, stereographic
from pullback.metrics import Metric, PullbackMetric, TabulatedMetric
from pullback.metrics.tables.bspline import BSpline


def random_metric(d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(d, 8, generator=generator, dtype=torch.float64)
    B = torch.randn(8, 6, generator=generator, dtype=torch.float64)
    return PullbackMetric(lambda z: torch.cat([z, torch.tanh(z @ A.to(z)) @ B.to(z)], -1), dim=d)


def table_of(d, rtol=1e-3):
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(40, d, generator=generator, dtype=torch.float64) / 2
    metric = random_metric(d)
    return metric, TabulatedMetric.build(metric, codes, rtol=rtol), codes


def relative_error(read, exact):
    scale = exact.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]
    return ((read - exact).abs() / scale).amax((-1, -2))


def test_the_spline_is_scipys():
    x, y = np.linspace(0, 1, 9), np.linspace(-1, 3, 12)
    values = np.sin(3 * x)[:, None] * np.cos(y)
    spline = BSpline.through(
        torch.as_tensor(values)[None],
        torch.tensor([0.0, -1.0]).double(),
        torch.tensor([1.0, 3.0]).double(),
    )
    z = torch.rand(50, 2, dtype=torch.float64) * torch.tensor([1.0, 4.0]) - torch.tensor([0.0, 1.0])
    truth = RectBivariateSpline(x, y, values)
    at = spline(z, order=2)
    for i, j in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2)]:
        expected = truth.ev(*z.T.numpy(), dx=i, dy=j)
        np.testing.assert_allclose(at[i, j, 0].numpy(), expected, atol=1e-9)


def test_the_spline_converges_with_the_fourth_order():
    z = torch.rand(200, 1, dtype=torch.float64)
    errors = []
    for n in (20, 40, 80):
        x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        spline = BSpline.through(torch.sin(6 * x)[None], x[:1], x[-1:])
        errors.append((spline(z)[0, 0] - torch.sin(6 * z[:, 0])).abs().max())
    orders = torch.log2(torch.stack(errors[:-1]) / torch.stack(errors[1:]))
    assert bool((orders > 3.7).all())


@pytest.mark.parametrize("d", [1, 2, 3])
def test_it_is_as_near_as_it_says(d):
    metric, table, codes = table_of(d)
    assert table.error() <= 1e-3
    assert len(table.errors) == 1024
    fresh = table.low + (table.high - table.low) * torch.rand(500, d, dtype=torch.float64)
    fresh = fresh[table.covers(fresh)]
    errors = relative_error(table.metric_matrix(fresh), metric.metric_matrix(fresh))
    assert errors.quantile(0.9) <= 1e-3
    assert bool(table.covers(codes).all())
    assert len(table.n_cells) == d


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 3])
def test_its_derivatives_are_those_of_what_it_reads(d):
    _, table, _ = table_of(d)

    class Read(Metric):  # the same numbers, differentiated by autograd
        def metric_matrix(self, z):
            return table._edge.metric_matrix(z)

    inside = torch.randn(3, 7, d, dtype=torch.float64) / 4
    across = torch.randn(3, 7, d, dtype=torch.float64) * 2  # leaves the domain
    assert bool(table.covers(inside).all())
    assert not bool(table.covers(across).all())
    for nodes in (inside, across):
        for name, part in Read().expand_chords(nodes)._asdict().items():
            scale = float(part.abs().max())
            found = getattr(table.expand_chords(nodes), name)
            torch.testing.assert_close(found, part, rtol=0, atol=1e-9 * scale)
        value, gradient = table.chord_gradient(nodes)
        expected = table.expand_chords(nodes)
        torch.testing.assert_close(value, expected.value)
        torch.testing.assert_close(gradient, expected.gradient, rtol=1e-9, atol=1e-9)
        v = torch.randn_like(nodes)
        torch.testing.assert_close(
            table.acceleration(nodes, v), Read().acceleration(nodes, v), rtol=1e-7, atol=1e-7
        )


def test_outside_the_exact_metric_answers_and_the_passage_is_smooth():
    metric, table, _ = table_of(2)
    far = torch.tensor([[50.0, 0.0], [0.0, -9.0]], dtype=torch.float64)
    assert not bool(table.covers(far).any())
    torch.testing.assert_close(table.metric_matrix(far), metric.metric_matrix(far))
    x = torch.linspace(-0.5, 0.5, 4001, dtype=torch.float64) + table.high[0]
    line = torch.stack([x, torch.zeros_like(x)], -1)
    M = table.metric_matrix(line)[:, 0, 0]
    second = M.diff().diff() / (x[1] - x[0]) ** 2
    exact = metric.metric_matrix(line)[:, 0, 0]
    truth = exact.diff().diff() / (x[1] - x[0]) ** 2
    assert bool((M / exact - 1).abs().max() < 2e-3)
    assert bool((second - truth).abs().max() < 0.05 * truth.abs().max() + 0.05)


@pytest.mark.slow
def test_it_stays_positive_over_many_decades():
    def wall(z):
        x, y = z.unbind(-1)
        return torch.stack([x, 1e-2 * y, 300 * torch.exp(-((x / 0.1) ** 2))], -1)

    codes = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match="the table's error is"):
        table = TabulatedMetric.build(PullbackMetric(wall, dim=2), codes, rtol=1e-9)
    z = 2.4 * torch.rand(5000, 2, dtype=torch.float64) - 1.2
    assert bool((torch.linalg.eigvalsh(table.metric_matrix(z)) > 0).all())


@pytest.mark.slow
@pytest.mark.parametrize("immersion", [stereographic, paraboloid])
def test_geodesics_on_a_table_are_measured_on_the_decoder(immersion):
    metric = PullbackMetric(immersion, dim=2)
    a, b = torch.randn(2, 20, 2, dtype=torch.float64) / 2
    table = TabulatedMetric.build(metric, torch.cat([a, b]), rtol=1e-4)
    fast, slow = connect(table, a, b), connect(metric, a, b)
    assert fast.converged.all()
    torch.testing.assert_close(fast.length, slow.length, rtol=1e-5, atol=0)
    torch.testing.assert_close(fast.lower_bound, slow.lower_bound)
    polished = connect(table, a, b, polish=True)
    torch.testing.assert_close(polished.length, slow.length, rtol=1e-7, atol=0)
    coarse = TabulatedMetric.build(metric, torch.cat([a, b]), rtol=0.5)
    assert bool((connect(coarse, a, b).length >= slow.length * (1 - 1e-6)).all())


@pytest.mark.slow
def test_where_a_table_is_off_the_answer_is_polished():
    bumpy = PullbackMetric(lambda z: torch.cat([z, 0.2 * torch.sin(8 * z[..., :1])], -1), dim=2)
    codes = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    smooth = TabulatedMetric.build(PullbackMetric(lambda z: z, dim=2), codes, rtol=1e-2)
    wrong = TabulatedMetric(bumpy, smooth._spline, smooth._margin, smooth.errors)
    a, b = torch.tensor([[-0.8, 0.1], [0.8, 0.3]], dtype=torch.float64)
    result, truth = connect(wrong, a, b), connect(bumpy, a, b)
    assert result.converged
    seen_once = connect(wrong, a, b, confirm=False)  # by how far off the table's length is
    torch.testing.assert_close(seen_once.length, truth.length, rtol=1e-4, atol=0)
    torch.testing.assert_close(result.length, truth.length, rtol=1e-4, atol=0)


@pytest.mark.slow
def test_a_manifold_over_a_table():
    M = Manifold(torch.nn.Linear(2, 5), dim=2)
    Z = torch.randn(30, 2)
    fast = M.tabulated(Z)
    assert isinstance(fast.metric, TabulatedMetric)
    assert isinstance(M.metric, PullbackMetric)
    assert fast.decode(Z).shape == (30, 5)
    torch.testing.assert_close(fast.dist(Z[:5], Z[5:10]), M.dist(Z[:5], Z[5:10]), rtol=1e-6, atol=0)
    v = fast.log(Z[0], Z[1])
    torch.testing.assert_close(fast.exp(Z[0], v), Z[1].double(), rtol=0, atol=1e-6)
    with pytest.raises(InvalidParameterError, match="`data` must be given"):
        M.tabulated()
    with pytest.raises(InvalidParameterError, match="at most 3 dimensions"):
        Manifold(torch.nn.Linear(4, 5), dim=4).tabulated(torch.randn(9, 4))


def test_a_collapsed_axis_cannot_be_tabulated():
    dead = PullbackMetric(lambda z: torch.cat([z[..., :1], 0 * z[..., :1]], -1), dim=2)
    with pytest.raises(InvalidDataError, match="A latent axis may have collapsed"):
        TabulatedMetric.build(dead, torch.randn(5, 2).double())


SCRIPT = """
import sys, torch
from pullback import Manifold
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 5))
Z = torch.randn(20, 2)
fast = Manifold(net, dim=2).tabulated(Z, folder=sys.argv[1])
print(fast.dist(Z[:3], Z[3:6]).tolist())
"""


@pytest.mark.thorough
def test_it_is_kept_with_its_model(tmp_path):
    first, second = (
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    )
    assert first == second
    path = tmp_path / "table.safetensors"
    written = path.stat().st_mtime_ns
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, capture_output=True)
    assert path.stat().st_mtime_ns == written
    other = Manifold(torch.nn.Linear(2, 5), dim=2)
    with pytest.raises(StorageError, match="was made from another metric"):
        other.tabulated(torch.randn(20, 2), folder=tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageError, match="no table of a metric that can be read"):
        other.tabulated(torch.randn(20, 2), folder=tmp_path)
    with pytest.raises(StorageError, match="There is no table"):
        TabulatedMetric.load(tmp_path / "elsewhere", HalfPlane())


def test_single_precision_reads_the_same():
    M = Manifold(torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh()), dim=2)
    table = M.tabulated(torch.randn(20, 2)).metric
    z = torch.randn(9, 2, dtype=torch.float64) / 2
    read = table.single.metric_matrix(z.float())
    assert read.dtype == torch.float32
    torch.testing.assert_close(read.double(), table.metric_matrix(z), rtol=1e-4, atol=1e-6)
