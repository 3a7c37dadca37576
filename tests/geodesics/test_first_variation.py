"""Derivatives of distances: against closed forms and finite differences, and in training."""

import pytest
import torch
from torch import nn

from pullback.errors import ConvergenceWarning, InvalidParameterError
from pullback.geodesics import LBFGS, connect, differentiable_length
from pullback.geodesics.end_hessian import distance_hessian
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, great_circle_dist, paraboloid, stereographic
from pullback.models import ConstantStd, Decoder, NormalLikelihood, RBFPrecision, mlp

# A curve that is off by a share e is longer by about e^2 only, but off in its derivatives by e.
SETTLED = {"rtol": 1e-8, "graph": None, "levels": (64, 128, 256, 512)}
BY_LBFGS = {"rtol": 1e-6, "solver": LBFGS(tol=1e-14)}  # which is not corrected to fourth order


def pairs(d=2, n=5, shift=0.0):
    a, b = 0.5 * torch.randn(2, n, d, dtype=torch.float64) + shift
    return a.requires_grad_(), b.requires_grad_()


def gradients(M, a, b, **options):
    return torch.autograd.grad(M.dist(a, b, **(SETTLED | options)).sum(), (a, b))


def central_difference(f, h=1e-4):
    with torch.no_grad():
        return (f(h) - f(-h)) / (2 * h)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "dist", "shift"),
    [
        (Manifold(stereographic, dim=2), great_circle_dist, 0.0),
        (Manifold(stereographic, dim=3), great_circle_dist, 0.0),
        (Manifold(HalfPlane()), HalfPlane().dist, 2.0),
    ],
)
def test_by_the_ends_as_in_closed_form(space, dist, shift):
    a, b = pairs(space.dim, shift=shift)
    truth = torch.autograd.grad(dist(a, b).sum(), (a, b))
    torch.testing.assert_close(gradients(space, a, b), truth, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 3, 9])
def test_by_the_ends_as_finite_differences_say(d):
    M = Manifold(mlp([d, 16, 12]), dim=d)
    a, b = pairs(d)
    to_a, to_b = torch.randn(2, 5, d, dtype=torch.float64)
    options = SETTLED | (BY_LBFGS if d > 8 else {})
    by_a, by_b = gradients(M, a, b, **options)
    difference = central_difference(lambda h: M.dist(a + h * to_a, b + h * to_b, **options))
    found = (by_a * to_a).sum(-1) + (by_b * to_b).sum(-1)
    torch.testing.assert_close(found, difference, rtol=1e-5, atol=1e-7)


def rbf_decoder():
    std = RBFPrecision(torch.randn(4, 2), torch.ones(4), torch.full((6, 4), 5.0), 0.1)
    return Decoder(mlp([2, 16, 6]), NormalLikelihood(std))


def constant_decoder():
    return Decoder(mlp([3, 8, 4]), NormalLikelihood(ConstantStd(4)))


@pytest.mark.slow
@pytest.mark.parametrize("make", [rbf_decoder, constant_decoder, lambda: mlp([2, 16, 6])])
def test_by_the_parameters_as_finite_differences_say(make):
    module = make().double()
    d = 3 if make is constant_decoder else 2
    M = Manifold(module, dim=d, trainable=True)
    a, b = (p.detach() for p in pairs(d))
    parameters = [p for p in module.parameters() if p.requires_grad]
    directions = [torch.randn_like(p) for p in parameters]

    def moved(h):
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.add_(h * direction)
        lengths = M.dist(a, b, **SETTLED)
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.sub_(h * direction)
        return lengths

    difference = central_difference(moved, h=5e-5)
    lengths = M.dist(a, b, **SETTLED)
    for i in range(len(a)):
        gradient = torch.autograd.grad(
            lengths[i], parameters, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        found = sum((g * v).sum() for g, v in zip(gradient, directions, strict=True))
        torch.testing.assert_close(found, difference[i], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_one_start_gathers_the_derivatives_of_all():
    M = Manifold(stereographic, dim=2)
    a = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    b = pairs()[1]
    by_a, by_b = gradients(M, a, b)
    alone, other = gradients(M, a.detach().expand(5, 2).clone().requires_grad_(), b)
    torch.testing.assert_close(by_a, alone.sum(0), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(by_b, other, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_on_a_table_they_are_those_of_the_decoder():
    M = Manifold(stereographic, dim=2)
    a, b = pairs()
    truth = torch.autograd.grad(great_circle_dist(a, b).sum(), (a, b))
    table = M.tabulated(torch.cat([a, b]), rtol=1e-4)
    torch.testing.assert_close(gradients(table, a, b), truth, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_single_precision_passes_them_to_the_module():
    module = mlp([2, 16, 6])
    M = Manifold(module, dim=2, trainable=True)  # computes in double precision
    M.dist([[0.0, 0.0]], [[1.0, 1.0]]).sum().backward()
    gradient = module[0].weight.grad
    assert gradient.dtype == torch.float32
    assert bool(gradient.isfinite().all())
    assert bool((gradient != 0).any())


@pytest.mark.slow
def test_between_equal_points_there_is_none():
    module = mlp([2, 16, 6])
    M = Manifold(module, dim=2, trainable=True)
    a, b = (torch.tensor(p, dtype=torch.float64) for p in ([[0.5, 0.1]] * 2, [[0.5, 0.1], [1, 1]]))
    a, b = a.requires_grad_(), b.requires_grad_()
    lengths = M.dist(a, b)
    assert lengths[0] == 0
    lengths.sum().backward()
    assert torch.equal(a.grad[0], torch.zeros(2).double())
    assert torch.equal(b.grad[0], torch.zeros(2).double())
    assert bool((b.grad[1] != 0).all())
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_between_equal_points_alone_there_is_none():
    a = torch.tensor([[0.5, 0.1]], dtype=torch.float64, requires_grad=True)
    Manifold(stereographic, dim=2).dist(a, a.detach()).sum().backward()
    assert torch.equal(a.grad, torch.zeros_like(a))


@pytest.mark.slow
def test_a_pair_that_failed_spoils_no_other():
    def decoder(z):
        return paraboloid(z) * torch.where(z[..., :1] > 6, torch.nan, 1.0)

    M = Manifold(decoder, dim=2)
    a = torch.tensor([[0.0, 0.5], [0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([[1.0, 1.0], [7.0, 0.0]], dtype=torch.float64, requires_grad=True)
    with pytest.warns(ConvergenceWarning, match="1 of 2"):
        lengths = M.dist(a, b, graph=None)
    lengths[0].backward()
    by_a, _ = gradients(M, a[:1].detach().requires_grad_(), b[:1].detach().requires_grad_())
    torch.testing.assert_close(a.grad[:1], by_a, rtol=1e-4, atol=0)
    assert torch.equal(a.grad[1], torch.zeros(2).double())


@pytest.mark.slow
def test_who_asks_for_none_builds_no_graph():
    module = mlp([2, 8, 4])
    a, b = pairs()
    ends = a.detach(), b.detach()
    fixed, trainable = Manifold(module, dim=2), Manifold(module, dim=2, trainable=True)
    assert not fixed.dist(*ends).requires_grad
    with torch.no_grad():
        assert not trainable.dist(a, b).requires_grad
    assert trainable.dist(*ends).requires_grad
    assert fixed.dist(a, ends[1]).requires_grad
    assert not fixed.geodesic(a, b).length.requires_grad
    # A manifold that is not trainable has a copy of its own.
    fixed.dist(a, b).sum().backward()
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.slow
def test_the_values_stay_those_of_the_search():
    M = Manifold(stereographic, dim=2)
    a, b = pairs()
    result = M.geodesic(a, b)
    attached = differentiable_length(M.metric, result, a, b)
    assert torch.equal(attached.detach(), result.length)
    grid_a, grid_b = torch.broadcast_tensors(a.unsqueeze(1), b)
    of_grid = connect(M.metric, grid_a, grid_b)
    shaped = differentiable_length(M.metric, of_grid, grid_a, grid_b)
    assert shaped.shape == (5, 5)
    torch.testing.assert_close(shaped.diagonal(), attached, rtol=1e-6, atol=0)


@pytest.mark.thorough
def test_a_loss_with_distances_falls_by_training():
    module = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5)).double()
    M = Manifold(module, dim=2, trainable=True)
    a, b = (p.detach() for p in pairs(n=4))
    wanted = torch.tensor([1.0, 2.0, 0.5, 1.5], dtype=torch.float64)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        loss = (M.dist(a, b, graph=None) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.slow
def test_descent_finds_the_mean_of_three_points():
    M = Manifold(stereographic, dim=2)
    corners = torch.tensor([[0.4, 0.0], [-0.1, 0.5], [-0.2, -0.3]], dtype=torch.float64)
    point = torch.tensor([0.8, 0.9], dtype=torch.float64, requires_grad=True)
    for _ in range(20):
        spread = M.dist(point, corners, graph=None).square().sum()
        (gradient,) = torch.autograd.grad(spread, point)
        point = (point - 0.05 * gradient).detach().requires_grad_()
    truth = great_circle_dist(point.expand(3, 2), corners).square().sum()
    (slope,) = torch.autograd.grad(truth, point)
    assert slope.norm() < 1e-4


def hessians(dist, a, b):
    """Second derivatives of single distances by both ends, `(n, 2, d, 2, d)`."""
    hessian = torch.autograd.functional.hessian
    ends = torch.stack([a, b], 1).detach()
    return torch.stack([hessian(lambda e: dist(e[:1], e[1:]).sum(), pair) for pair in ends])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "dist", "shift"),
    [
        (Manifold(stereographic, dim=2), great_circle_dist, 0.0),
        (Manifold(stereographic, dim=3), great_circle_dist, 0.0),
        (Manifold(HalfPlane()), HalfPlane().dist, 2.0),
        (Manifold(lambda z: 3 * z, dim=2), lambda a, b: 3 * (a - b).norm(dim=-1), 0.0),
    ],
)
def test_twice_by_the_ends_as_in_closed_form(space, dist, shift):
    a, b = pairs(space.dim, n=2, shift=shift)
    # The error of a chain of 64 segments is 1e-4 of the derivative, less its leading term.
    torch.testing.assert_close(
        hessians(space.dist, a, b), hessians(dist, a, b), rtol=1e-6, atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 2, 4])
def test_twice_by_the_ends_as_finite_differences_of_the_slope_say(d):
    M = Manifold(mlp([d, 16, 12]), dim=d)
    (a, b), way = pairs(d, n=3), torch.randn(3, d, dtype=torch.float64)
    by_a, by_b = torch.autograd.grad(M.dist(a, b).sum(), (a, b), create_graph=True)
    penalty = (by_a * way).sum() + 2 * (by_b * way).sum()
    found = torch.autograd.grad(penalty, (a, b))

    def slopes(h):
        moved_a, moved_b = (a + h * way).detach(), (b + 2 * h * way).detach()
        return torch.stack(gradients(M, moved_a.requires_grad_(), moved_b.requires_grad_()))

    difference = (slopes(1e-4) - slopes(-1e-4)) / 2e-4
    torch.testing.assert_close(torch.stack(found), difference, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_second_derivative_that_there_is_not_is_refused():
    a, b = pairs()
    trainable = Manifold(mlp([2, 8, 4]), dim=2, trainable=True)
    with pytest.raises(InvalidParameterError, match=r"`create_graph` must be False.*`trainable`"):
        torch.autograd.grad(trainable.dist(a, b).sum(), a, create_graph=True)
    sphere = Manifold(stereographic, dim=2)
    (slope,) = torch.autograd.grad(sphere.dist(a, b).sum(), a, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), a, create_graph=True)
    with pytest.raises(InvalidParameterError, match="no third derivative"):
        torch.autograd.grad(bend.sum(), a)


@pytest.mark.slow
def test_beyond_a_conjugate_point_the_second_derivatives_are_unknown():
    # On the equator of the sphere, half as far again as to the antipode.
    angle = torch.linspace(0, 1.5 * torch.pi, 65, dtype=torch.float64)
    equator = torch.stack([angle.cos(), angle.sin()], -1).unsqueeze(0)
    assert bool(distance_hessian(Manifold(stereographic, dim=2).metric, equator).isnan().all())


@pytest.mark.slow
def test_many_derivatives_at_once():
    M = Manifold(stereographic, dim=2)
    a, b = pairs()
    jacobian = torch.autograd.functional.jacobian
    rows = [jacobian(lambda a: M.dist(a, b.detach()), a.detach(), vectorize=v) for v in (0, 1)]
    torch.testing.assert_close(rows[0], rows[1], rtol=1e-12, atol=1e-12)
