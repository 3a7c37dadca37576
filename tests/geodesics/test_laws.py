"""Laws that geodesic distances obey in every space."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pullback.geodesics import LatentGraph, connect
from pullback.manifolds.reference import paraboloid
from pullback.metrics import PullbackMetric

GENERATOR = torch.Generator().manual_seed(7)
A = torch.randn(2, 8, generator=GENERATOR, dtype=torch.float64) / 2
B = torch.randn(8, 5, generator=GENERATOR, dtype=torch.float64)


def decoder(z):
    return torch.tanh(z @ A.to(z)) @ B.to(z)


METRIC = PullbackMetric(decoder)
point = st.tuples(*[st.floats(-1, 1, allow_subnormal=False)] * 2).map(
    lambda p: torch.tensor(p, dtype=torch.float64)
)
FEW = settings(max_examples=15)


def dist(a, b, metric=METRIC):
    result = connect(metric, a, b, levels=(8, 16, 32), rtol=1e-3)
    assert result.converged.all()
    return result.length


@pytest.mark.slow
@FEW
@given(a=point, b=point)
def test_distance_is_symmetric(a, b):
    torch.testing.assert_close(dist(a, b), dist(b, a), rtol=1e-6, atol=1e-12)


@pytest.mark.slow
@FEW
@given(a=point, b=point, c=point)
def test_a_detour_is_no_shorter(a, b, c):
    ab, bc, ac = dist(torch.stack([a, b, a]), torch.stack([b, c, c]))
    assert ac <= (ab + bc) * (1 + 1e-4)


@pytest.mark.slow
@FEW
@given(a=point, b=point)
def test_no_way_is_shorter_than_the_chord_nor_longer_than_the_line(a, b):
    result = connect(METRIC, a, b, levels=(8, 16, 32))
    assert result.lower_bound <= result.length * (1 + 1e-12)
    assert result.length <= result.straight_length * (1 + 1e-4)
    assert 2 * result.energy >= result.length**2 * (1 - 1e-12)


@pytest.mark.slow
@FEW
@given(a=point, b=point, x=st.floats(-2, 2), y=st.floats(-2, 2), angle=st.floats(0, 6.3))
def test_coordinates_do_not_matter(a, b, x, y, angle):
    rotation = torch.tensor([[x + 3, y], [angle / 7, 1.0]], dtype=torch.float64)
    changed = PullbackMetric(lambda z: decoder(z @ rotation))
    inverse = torch.linalg.inv(rotation)
    torch.testing.assert_close(
        dist(a @ inverse, b @ inverse, changed), dist(a, b), rtol=1e-6, atol=1e-9
    )


@pytest.mark.slow
@FEW
@given(a=point, b=point, seed=st.integers(0, 100), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_a_rotation_of_the_data_space_changes_nothing(a, b, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))
    turned = PullbackMetric(lambda z: scale * (decoder(z) @ Q) + scale)
    # Images of this size are rounded by `eps` times it, and a length is the sum of some hundred
    # chords between them: near points are no further apart than that.
    rounding = 1000 * torch.finfo(torch.float64).eps * (1 + decoder(b).norm().item()) * scale
    torch.testing.assert_close(dist(a, b, turned), scale * dist(a, b), rtol=1e-6, atol=rounding)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape_a", "shape_b"),
    [((2,), (2,)), ((3, 2), (3, 2)), ((2, 3, 2), (2, 3, 2)), ((2,), (3, 2)), ((2, 1, 2), (3, 2))],
)
@pytest.mark.parametrize("with_graph", [False, True])
def test_a_batch_is_a_loop(shape_a, shape_b, with_graph):
    a, b = torch.rand(*shape_a, dtype=torch.float64), -torch.rand(*shape_b, dtype=torch.float64)
    a[..., 0] += 1
    codes = torch.randn(30, 2, dtype=torch.float64)
    graph = LatentGraph.build(METRIC, codes, resolution=10) if with_graph else None
    result = connect(METRIC, a, b, graph=graph)
    a, b = torch.broadcast_tensors(a, b)
    batch = a.shape[:-1]
    values = [getattr(result, name) for name in ("length", "energy", "residual", "status", "start")]
    assert all(value.shape == batch for value in values)
    assert result.points(7).shape == (*batch, 7, 2)
    for at in itertools.product(*map(range, batch)):
        one = connect(METRIC, a[at], b[at], graph=graph)
        assert one.length.shape == ()
        assert one.status == result.status[at]
        assert one.start == result.start[at]
        torch.testing.assert_close(one.length, result.length[at], rtol=1e-9, atol=0)
        torch.testing.assert_close(one.points(9), result.points(9)[at], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.energy, result.energy[at], rtol=1e-6, atol=0)


@pytest.mark.slow
def test_one_start_for_each_end_or_one_for_all():
    a, b = torch.zeros(2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(dist(a, b), dist(a.expand(4, 2), b), rtol=1e-9, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("f", [decoder, paraboloid])
def test_single_precision_is_near_double(f):
    a, b = torch.randn(2, 30, 2)
    metric = PullbackMetric(f)
    single, double = connect(metric, a, b), connect(metric, a.double(), b.double())
    assert single.length.dtype == torch.float32
    assert single.converged.all()
    torch.testing.assert_close(single.length.double(), double.length, rtol=1e-4, atol=1e-6)
    codes = torch.cat([a, b])
    graph = LatentGraph.build(metric, codes, resolution=12)
    paths = graph.paths(a, b, 16)
    assert paths.isfinite().all()
    twin = LatentGraph.build(metric, codes.double(), resolution=12)
    torch.testing.assert_close(
        graph.dist(a, b).double(), twin.dist(a.double(), b.double()), rtol=1e-3, atol=1e-4
    )
