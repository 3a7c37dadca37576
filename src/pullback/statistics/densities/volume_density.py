"""How the exponential map stretches volume, read off a chain of nodes along the geodesic."""

import math

import torch
from torch import Tensor

from pullback.metrics import Metric
from pullback.shapes import Points, Scalars

__all__ = ["log_volume_density"]


@torch.no_grad()
def log_volume_density(metric: Metric, nodes: Points) -> Scalars:
    r"""Compute the logarithm of the volume density theta_a(b) = |det D exp_a| at log_a(b).

    In orthonormal coordinates of the tangent space at a, a region of volume V around log_a(b) has
    an image of Riemannian volume theta V: (sin r / r)^(d-1) on the unit sphere, (sinh r / r)^(d-1)
    where the curvature is -1, 1 where it is 0. It is symmetric in a and b.

    theta = sqrt(det M(a) det M(b)) / |det s_ab|, where s = d(a, b)^2 / 2 and s_ab is its matrix of
    mixed derivatives by a and b. Of a chain of N chords of least energy N S / 2, S the sum of
    squared chords, it is a Schur complement, whose determinant is
    (N/2)^d prod_i |det B_i| / det A with B_i the mixed derivatives of the chords i by their two
    ends, and A those of S by the interior nodes. That costs as much as one step of Newton's method;
    chains of all nodes and of every second one together leave an error of fourth order.

    Args:
        metric: the metric.
        nodes: nodes along geodesics at equal times, shape `(n, N + 1, d)`, N divisible by 4.

    Returns:
        log theta, shape `(n,)`: NaN where the metric is not finite, `inf` at a conjugate point
        beyond which s is no minimum.

    Source:
        Poisson, Pound, Vega, The motion of point particles in curved spacetime (2011), section 7,
        where the inverse of theta is the van Vleck determinant.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> height = torch.linspace(0, 1, 65).double().exp()  # of distance 1 from the first
        >>> nodes = torch.stack([torch.zeros_like(height), height], -1)[None]
        >>> log_volume_density(HalfPlane(), nodes).exp().round(decimals=4)  # sinh(1)
        tensor([1.1752], dtype=torch.float64)
    """
    ends = metric.log_volume(nodes[:, 0]) + metric.log_volume(nodes[:, -1])
    fine, coarse = _log_mixed(metric, nodes), _log_mixed(metric, nodes[:, ::2])
    return ends - (4 * fine - coarse) / 3


def _log_mixed(metric: Metric, nodes: Tensor) -> Tensor:
    """Compute log |det s_ab| of chains."""
    n_chords, d = nodes.shape[1] - 1, nodes.shape[-1]
    chain = metric.expand_chords(nodes)
    outer = torch.stack([nodes[:, [0, 1]], nodes[:, [-2, -1]]], 1).flatten(-2)
    mixed = metric.expand_ends(outer).hessian[..., :d, d:]
    mixed = torch.cat([mixed, chain.off_diagonal], 1)
    interior = _log_det_of_chain(chain.diagonal, chain.off_diagonal)
    return d * math.log(n_chords / 2) + _log_det(mixed).sum(-1) - interior


def _log_det_of_chain(diagonal: Tensor, off_diagonal: Tensor) -> Tensor:
    """Eliminate one block after the other; the determinants of the pivots multiply."""
    pivot = diagonal[:, 0]
    total = _log_det(pivot)
    for i in range(off_diagonal.shape[1]):
        known, _ = torch.linalg.solve_ex(pivot, off_diagonal[:, i])
        pivot = diagonal[:, i + 1] - off_diagonal[:, i].mT @ known
        total = total + _log_det(pivot)
    return total


def _log_det(A: Tensor) -> Tensor:
    log_det: Tensor = torch.linalg.slogdet(A).logabsdet
    return log_det
