"""Leaps of means to where curves and centre together have the least energy."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.geodesics import default_solver, with_ends
from pullback.geodesics.search.measure import resample
from pullback.manifolds import Manifold
from pullback.shapes import Points
from pullback.statistics.centers.bundle import relax_bundle
from pullback.statistics.centers.mass import Mass

__all__ = ["Leap", "can_leap", "leap", "stay"]

# Segments of the chains that are relaxed: as many as exact geodesics are searched on first. On the
# sphere of radius 1 a mean is off by 1e-6 of the spread with 128, and by 2e-5 with 32.
_SEGMENTS = 128
# Memory, in bytes, that a bundle may take: 512 MiB, which is that of 10,000 curves of 128 segments
# in the plane. Of more data the centres are found by steps along logs.
_MOST_BYTES = 2**29
# Numbers that a bundle keeps for each node, as multiples of d^2: the Hessians of two states, their
# damping and what is solved for.
_KEPT = 12


class Leap(NamedTuple):
    """Where leaps ended.

    Attributes:
        points: the centres, shape `(k, d)`.
        curves: curves from there to the data, shape `(n, n_segments + 1, d)`.
        turn: Newton's step for a mean of logs, as a matrix, shape `(k, d, d)`: the inverse of half
            the second derivative of F, times the metric; the identity where it is not known.
        n_steps: Newton steps taken, shape `(k,)`.
        converged: where they came to a minimum, shape `(k,)`.

    Example:
        >>> stay(torch.zeros(1, 2), torch.zeros(1, 3, 2)).turn.tolist()
        [[[1.0, 0.0], [0.0, 1.0]]]
    """

    points: Tensor
    curves: Points
    turn: Tensor
    n_steps: Tensor
    converged: Tensor


def can_leap(manifold: Manifold, n: int, d: int) -> bool:
    """Say whether d x d work at every node is cheap, and n curves in d dimensions fit into memory.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=2)
        >>> can_leap(M, 1000, 2), can_leap(M, 1_000_000, 2)
        (True, False)
    """
    newton = default_solver(manifold.metric, d).second_order
    return newton and 8 * _KEPT * d**2 * n * _SEGMENTS <= _MOST_BYTES


def stay(points: Tensor, curves: Points) -> Leap:
    """Return the leap to where one is.

    Example:
        >>> stay(torch.zeros(1, 2), torch.zeros(1, 3, 2)).n_steps.tolist()
        [0]
    """
    d = points.shape[-1]
    turn = torch.eye(d).to(points).expand(len(points), d, d)
    n_steps = torch.zeros(len(points), dtype=torch.long, device=points.device)
    return Leap(points, curves, turn, n_steps, n_steps < 0)


@torch.no_grad()
def leap(
    manifold: Manifold,
    curves: Points,
    mass: Mass,
    points: Tensor,
    *,
    max_steps: int,
    tol: float,
) -> Leap:
    """Relax the curves of each group together with its centre.

    Args:
        manifold: the latent space.
        curves: curves from the centres to the data, shape `(n, nodes, d)`.
        mass: groups and weights; curves without weight are only taken along, and groups without
            any stay.
        points: the centres, shape `(k, d)`.
        max_steps: most Newton steps.
        tol: how exact the centre shall be, as a share of the spread.

    Returns:
        The new centres and curves, to be measured by a search.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> curves = torch.tensor([[[0.0], [1.0]], [[0.0], [3.0]]]).double()
        >>> mass = Mass(torch.zeros(2).long(), torch.ones(2).double(), 1)
        >>> options = {"max_steps": 9, "tol": 1e-3}
        >>> leap(M, curves, mass, torch.zeros(1, 1).double(), **options).points.round(decimals=6)
        tensor([[2.]], dtype=torch.float64)
    """
    here = stay(points, curves)
    rows = ((mass.weights > 0) & curves.isfinite().flatten(1).all(-1)).nonzero().squeeze(-1)
    if len(rows) == 0:
        return here
    own = Mass(mass.owner[rows], mass.weights[rows], mass.n_groups)
    nodes = resample(curves, _SEGMENTS + 1)
    nodes[:, 0] = points[mass.owner]
    found = relax_bundle(manifold.metric, nodes[rows], own, max_steps=max_steps, tol=tol**2)
    points = points.clone()
    points[own.owner] = found.nodes[:, 0]
    curves = with_ends(nodes, points[mass.owner], nodes[:, -1])
    curves[rows] = found.nodes
    factor, positive = linalg.cholesky(found.hessian)
    turn = torch.cholesky_solve(2 * manifold.metric_matrix(points), factor)
    known = (positive & found.converged)[:, None, None]
    return Leap(points, curves, torch.where(known, turn, here.turn), found.n_steps, found.converged)
