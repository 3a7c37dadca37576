"""What conjugate gradients say is left, against dense Hessians by automatic differentiation."""

import torch

from pullback.curves import graded_times
from pullback.geodesics import GaussNewtonLBFGS
from pullback.geodesics.solvers.gauss_newton import graded_weights
from pullback.geodesics.solvers.krylov import graded_excess
from pullback.manifolds.reference import stereographic
from pullback.metrics import PullbackMetric

SPHERE = PullbackMetric(stereographic)


def chain(n_segments=16):
    a = torch.tensor([[-0.6, 0.3, 0.1]], dtype=torch.float64)
    b = torch.tensor([[0.5, 0.4, -0.2]], dtype=torch.float64)
    times = graded_times(n_segments).unsqueeze(-1)
    return torch.lerp(a.unsqueeze(1), b.unsqueeze(1), times)


def test_it_is_what_the_dense_hessian_says():
    nodes = GaussNewtonLBFGS(tol=1e-2).relax(SPHERE, chain()).nodes
    weights = graded_weights(nodes)

    def total(inner):
        whole = torch.cat([nodes[0, :1], inner.reshape(-1, 3), nodes[0, -1:]])
        return (weights * stereographic(whole).diff(dim=0).square().sum(-1)).sum()

    found = graded_excess(SPHERE, nodes)
    inner, force = nodes[0, 1:-1].flatten(), found.force.flatten()
    H = torch.func.hessian(total)(inner)
    exact = force @ torch.linalg.solve(H, force) / 2 / total(inner)
    torch.testing.assert_close(found.value.squeeze(), total(inner))
    torch.testing.assert_close(found.excess.squeeze(), exact, rtol=0.05, atol=0)
    assert found.second_variation.isnan().all()


def test_little_is_left_on_a_fine_chain_and_it_falls_with_the_step():
    left = []
    for n_segments in (32, 64):
        nodes = GaussNewtonLBFGS(tol=1e-13).relax(SPHERE, chain(n_segments)).nodes
        left.append(graded_excess(SPHERE, nodes).excess.item())
    assert left[1] < left[0] / 8  # of second order in the step, and squared
    assert left[1] < 1e-4


def test_a_way_round_the_far_side_of_a_sphere_is_no_minimum():
    # Beyond the antipode a great circle can be shortened: its second variation is negative.
    angle = 1.3 * torch.pi * graded_times(64)
    nodes = torch.stack([torch.tan(angle / 2 - 0.7), 0 * angle, 0 * angle], -1)[None]
    nodes[..., 1] += 0.05 * torch.sin(torch.pi * graded_times(64))
    assert graded_excess(SPHERE, nodes).second_variation.item() == 0
