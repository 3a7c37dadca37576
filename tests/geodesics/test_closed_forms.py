"""dist, exp and log of a manifold against geodesics that are known in closed form."""

import math
from typing import NamedTuple

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from pullback.manifolds import Manifold
from pullback.manifolds.reference import (
    HalfPlane,
    curved_plane,
    curved_plane_inverse,
    great_circle_dist,
    meridian_length,
    paraboloid,
    stereographic,
    torus,
)

PLANE = HalfPlane()


class Geodesics(NamedTuple):
    """Shortest curves c from a to b: how long, how they begin, and a point c(t) on the way."""

    manifold: Manifold
    a: Tensor
    b: Tensor
    length: Tensor
    velocity: Tensor
    t: Tensor
    point: Tensor


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def great_circles(d):
    a, b = torch.randn(2, 6, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64)
    a, b = (0.9 * z / (1 + z.norm(dim=-1, keepdim=True)) for z in (a, b))
    angle = great_circle_dist(a, b)
    A, B, w, t = stereographic(a), stereographic(b), angle.unsqueeze(-1), 0.3
    on_the_way = (torch.sin((1 - t) * w) * A + torch.sin(t * w) * B) / torch.sin(w)
    leaving = w * (B - torch.cos(w) * A) / torch.sin(w)
    x, rise = leaving.split([d, 1], -1)
    below = 1 - A[:, -1:]  # z = x / (1 - h) for the point (x, h) of the sphere
    velocity = x / below + A[:, :-1] * rise / below**2
    point = on_the_way[:, :-1] / (1 - on_the_way[:, -1:])
    return Geodesics(
        Manifold(stereographic, dim=d), a, b, angle, velocity, torch.full_like(angle, t), point
    )


def half_circles():
    """x = x_0 + r tanh u, y = r / cosh u, where u is the length."""
    a, b = tensor([[-1.0, 0.4], [0.0, 1.0], [2.0, 0.3]]), tensor([[1.2, 0.5], [0.1, 3.0], [0.5, 2]])
    centre = (b.square().sum(-1) - a.square().sum(-1)) / (2 * (b - a)[:, 0])
    radius = (a[:, 0] - centre).hypot(a[:, 1])
    u, end = (torch.asinh((p[:, 0] - centre) / p[:, 1]) for p in (a, b))
    way, t = end - u, torch.full_like(u, 0.6)
    cosh = torch.cosh(u)
    velocity = (way * radius / cosh).unsqueeze(-1) * torch.stack([1 / cosh, -torch.tanh(u)], -1)
    there = u + t * way
    point = torch.stack([centre + radius * torch.tanh(there), radius / torch.cosh(there)], -1)
    return Geodesics(Manifold(PLANE), a, b, way.abs(), velocity, t, point)


def vertical_lines():
    a, b = tensor([[0.3, 0.2], [-1.0, 5.0]]), tensor([[0.3, 4.0], [-1.0, 0.5]])
    rise, t = (b / a)[:, 1].log(), tensor([0.5, 0.25])
    velocity = torch.stack([0 * rise, a[:, 1] * rise], -1)
    point = torch.stack([a[:, 0], a[:, 1] * torch.exp(t * rise)], -1)
    return Geodesics(Manifold(PLANE), a, b, rise.abs(), velocity, t, point)


def meridians(d):
    direction = torch.randn(4, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction /= direction.norm(dim=-1, keepdim=True)
    begin, middle, end = tensor([[0.0, 0.5, 2.0, 3.0], [0.5, 1.0, 1.5, 1.0], [1.0, 3.0, 1.0, 0.2]])
    way = meridian_length(end) - meridian_length(begin)
    velocity = direction * (way / (1 + 4 * begin.square()).sqrt()).unsqueeze(-1)
    a, point, b = (r.unsqueeze(-1) * direction for r in (begin, middle, end))
    t = (meridian_length(middle) - meridian_length(begin)) / way
    return Geodesics(Manifold(paraboloid, dim=d), a, b, way.abs(), velocity, t, point)


def circles_of_the_torus():
    """A meridian, the outer and the inner equator: straight lines in the angles."""
    a, b = tensor([[0.3, -1.0], [0.0, 0.0], [0.5, math.pi]]), tensor([[0, 2.5], [1.6, 0], [1.5, 0]])
    t = tensor([0.5, 0.2, 0.8])
    length = tensor([2.5, 3 * 1.6, 1 * 1.5])
    return Geodesics(Manifold(torus, dim=2), a, a + b, length, b, t, a + t.unsqueeze(-1) * b)


def clairaut():
    """On a surface of revolution rho^2 du/ds = k, so that ds = r rho dv / sqrt(rho^2 - k^2)."""
    rows = []
    for k, begin, middle, end in [(0.8, 0.2, 1.0, 1.7), (1.2, -1.2, 0.1, 1.5), (0.5, 1, 2, 3)]:

        def rho(v):
            return 2 + math.cos(v)

        def root(v, k=k):
            return math.sqrt(rho(v) ** 2 - k**2)

        def turned(v, begin=begin, k=k, root=root):
            return quad(lambda s: k / (rho(s) * root(s)), begin, v, epsabs=1e-12)[0]

        def walked(v, begin=begin, root=root):
            return quad(lambda s: rho(s) / root(s), begin, v, epsabs=1e-12)[0]

        length = walked(end)
        velocity = [length * k / rho(begin) ** 2, length * root(begin) / rho(begin)]
        points = [[0.4, begin], [0.4 + turned(end), end], [0.4 + turned(middle), middle]]
        rows.append([*points, velocity, length, walked(middle) / length])
    a, b, point, velocity, length, t = map(tensor, zip(*rows, strict=True))
    return Geodesics(Manifold(torus, dim=2), a, b, length, velocity, t, point)


def lines_of_a_curved_plane():
    a, b = tensor([[-1.0, 0.5], [0.3, 0.2]]), tensor([[1.0, -0.5], [1.5, -2.0]])
    begin, way, t = curved_plane(a), curved_plane(b) - curved_plane(a), tensor([0.3, 0.6])
    _, velocity = torch.func.jvp(curved_plane_inverse, (begin,), (way,))
    point = curved_plane_inverse(begin + t.unsqueeze(-1) * way)
    return Geodesics(Manifold(curved_plane, dim=2), a, b, way.norm(dim=-1), velocity, t, point)


SPACES = {
    "the sphere": lambda: great_circles(2),
    "the sphere in three dimensions": lambda: great_circles(3),
    "half-circles of the half-plane": half_circles,
    "vertical lines of the half-plane": vertical_lines,
    "meridians of the paraboloid": lambda: meridians(2),
    "meridians of the paraboloid in four dimensions": lambda: meridians(4),
    "circles of the torus": circles_of_the_torus,
    "Clairaut's relation on the torus": clairaut,
    "the plane in curved coordinates": lines_of_a_curved_plane,
}


@pytest.fixture(params=SPACES)
def known(request):
    return SPACES[request.param]()


# A velocity is refined by the derivative of a whole geodesic, which takes seconds.
QUICK = "vertical lines of the half-plane"
# Those whose like is among the others: a sphere in three dimensions, a torus, a paraboloid.
ALIKE = {
    "the sphere",
    "meridians of the paraboloid in four dimensions",
    "circles of the torus",
    "the plane in curved coordinates",
}
some_slow = [
    name
    if name == QUICK
    else pytest.param(name, marks=pytest.mark.exhaustive if name in ALIKE else pytest.mark.slow)
    for name in SPACES
]


@pytest.mark.slow
def test_dist(known):
    found = known.manifold.dist(known.a, known.b, rtol=1e-6)
    torch.testing.assert_close(found, known.length, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_exp(known):
    all_the_way, some_way = known.velocity, known.t.unsqueeze(-1) * known.velocity
    found = known.manifold.exp(known.a, torch.stack([all_the_way, some_way]))
    truth = torch.stack([known.b, known.point])
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize("known", some_slow, indirect=True)
def test_log_and_back(known):
    M, a, b = known.manifold, known.a, known.b
    v = M.log(a, b)
    torch.testing.assert_close(v, known.velocity, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(M.norm(a, v), known.length, rtol=1e-6, atol=0)
    torch.testing.assert_close(M.exp(a, v), b, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_the_curve_passes_through_the_point(known):
    """A curve that is longer by a share e may be off by the square root of that."""
    curve = known.manifold.geodesic(known.a, known.b, rtol=1e-6).curve
    for i in range(len(known.a)):
        there = curve.at(known.t[i : i + 1])[i, 0]
        torch.testing.assert_close(there, known.point[i], rtol=1e-3, atol=1e-3)


def random_pairs(name, d):
    generator = torch.Generator().manual_seed(100 + d)
    n = 300 if d < 4 else 100  # enough for some that are nearly opposite to each other
    a, b = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    if name == "sphere":
        return Manifold(stereographic, dim=d), a, b, great_circle_dist(a, b)
    if name == "half-plane":
        a, b = 3 * torch.rand(2, n, 2, generator=generator, dtype=torch.float64) + 0.2
        return Manifold(PLANE), a, b, PLANE.dist(a, b)
    direction = a / a.norm(dim=-1, keepdim=True)
    begin, end = 3 * torch.rand(2, n, generator=generator, dtype=torch.float64)
    a, b = (r.unsqueeze(-1) * direction for r in (begin, end))
    return Manifold(paraboloid, dim=d), a, b, (meridian_length(end) - meridian_length(begin)).abs()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "d", "rtol"),
    [("sphere", d, 1e-6) for d in (2, 3, 8, 9)]
    + [("half-plane", 2, 1e-6)]
    + [("paraboloid", d, 1e-6) for d in (1, 2, 3, 9)]
    + [("sphere", 9, 1e-4), ("half-plane", 2, 1e-4), ("paraboloid", 2, 1e-4)],
)
def test_what_has_converged_is_as_right_as_it_was_asked_for(name, d, rtol):
    M, a, b, truth = random_pairs(name, d)
    result = M.geodesic(a, b, rtol=rtol)
    assert result.converged.float().mean() >= 0.95
    error = (result.length / truth - 1).abs()[result.converged]
    # `rtol` bounds an estimate, which a curve that passes near the end of the chart may exceed.
    assert bool((error <= 3 * rtol).all()), f"{error.amax():.1e}"
    assert error.quantile(0.9) <= rtol / 5


@pytest.mark.slow
def test_on_a_line_there_is_one_way():
    """In one dimension the sphere is a circle without a point, which no curve passes."""
    a, b = torch.randn(2, 50, 1, dtype=torch.float64)
    found = Manifold(stereographic, dim=1).dist(a, b, rtol=1e-6)
    truth = 2 * (a.atan() - b.atan()).abs().squeeze(-1)
    torch.testing.assert_close(found, truth, rtol=1e-6, atol=0)
