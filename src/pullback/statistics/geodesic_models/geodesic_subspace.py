"""Geodesic subspaces through a point: projections onto them, and the one nearest to data."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback.manifolds import Manifold
from pullback.shapes import Codes, Mask
from pullback.statistics.geodesic_models.gauss_newton import Expansion, minimize
from pullback.statistics.geodesic_models.geodesic_residuals import GeodesicResiduals, Residuals

__all__ = ["Extension", "GeodesicSubspaces", "Nearest", "principal_axes", "turned"]


class Nearest(NamedTuple):
    """The points of a geodesic subspace nearest to data.

    Attributes:
        coordinates: a_i, the nearest point being exp(mu, sum_j a_ij v_j), shape `(n, K)`.
        residuals: the logs from there to the data, and their derivatives.
        converged: where the search for the nearest point converged, shape `(n,)`.

    Example:
        >>> Nearest._fields
        ('coordinates', 'residuals', 'converged')
    """

    coordinates: Tensor
    residuals: Residuals
    converged: Mask

    def mean_square(self, w: Tensor) -> Tensor:
        """Average the squared distances with weights w that sum to 1.

        It is infinite where a point of positive weight was not reached.
        """
        squared = self.residuals.squared()
        return torch.where(w > 0, w * squared, 0).sum()


class GeodesicSubspaces:
    r"""The subspaces exp(mu, span(v_1, ..., v_K)) of a point mu, near data.

    Args:
        manifold: the latent space.
        Z: data, shape `(n, d)`.
        mean: mu, shape `(d,)`.
        factor: L with M(mu) = L L^T, shape `(d, d)`; frames are in its coordinates L^T v.
        exact: whether geodesics to the data are searched with care.
        tol: the length of a step after which to stop.
        max_iter: most steps.

    Source:
        Sommer, Lauze, Nielsen, Optimization over geodesics for exact principal geodesic analysis
        (2014).

    Example:
        >>> Z, mean = torch.tensor([[3.0, 4.0]]).double(), torch.zeros(2).double()
        >>> eye = torch.eye(2).double()
        >>> spaces = GeodesicSubspaces(Manifold(lambda z: z, dim=2), Z, mean, eye, tol=1e-6)
        >>> spaces.nearest(eye[:1], torch.zeros(1, 1).double()).coordinates.round(decimals=6)
        tensor([[3.]], dtype=torch.float64)
    """

    def __init__(
        self,
        manifold: Manifold,
        Z: Codes,
        mean: Tensor,
        factor: Tensor,
        *,
        tol: float,
        exact: bool = False,
        max_iter: int = 50,
    ) -> None:
        self.misses = GeodesicResiduals(manifold, Z, exact=exact)
        self.mean = mean
        self.factor = factor
        self.tol = tol
        self.max_iter = max_iter

    def nearest(self, frame: Tensor, start: Tensor) -> Nearest:
        """Project the data onto a geodesic subspace.

        Args:
            frame: K orthonormal rows, the coordinates L^T v_j, shape `(K, d)`.
            start: coordinates to begin with, shape `(n, K)`.

        Returns:
            The nearest points, as far as can be seen from the start.
        """
        vectors = self.vectors(frame)

        def expand(a: Tensor) -> Expansion:
            there = self.misses.at(self.mean, a @ vectors)
            T = there.by_velocity @ vectors.mT
            gradient = -(T.mT @ there.values.unsqueeze(-1)).squeeze(-1)
            return Expansion(there.squared() / 2, gradient, T.mT @ T)

        found = minimize(expand, start, tol=self.tol, max_iter=self.max_iter)
        return Nearest(found.at, self.misses.at(self.mean, found.at @ vectors), found.converged)

    def startable(self, frame: Tensor, start: Tensor) -> Tensor:
        """Return coordinates to begin with: 0, the point mu, where the given ones cannot serve."""
        there = self.misses.at(self.mean, start @ self.vectors(frame))
        return torch.where(there.reached.unsqueeze(-1), start, 0)

    def extend(self, frame: Tensor, axes: Tensor, start: Tensor, w: Tensor) -> "Extension":
        """Add the direction that brings a geodesic subspace nearest to the data.

        Args:
            frame: the rows so far, shape `(K - 1, d)`.
            axes: an orthonormal basis of what is orthogonal to them, the first row the direction to
                begin with, shape `(d - K + 1, d)`.
            start: coordinates of the data to begin with, shape `(n, K)`.
            w: weights that sum to 1, shape `(n,)`.

        Returns:
            The new direction, and the nearest points.
        """
        problem = _Turning(self, frame, axes, start, w)
        y = axes.new_zeros(1, len(axes) - 1)
        found = minimize(problem.expand, y, tol=self.tol, max_iter=self.max_iter)
        u = problem.direction(found.at[0])[0]
        nearest = self.nearest(torch.cat([frame, u.unsqueeze(0)]), problem.warm)
        converged = bool(found.converged) and bool(nearest.converged[w > 0].all())
        return Extension(u, nearest, found.n_iter, converged)

    def vectors(self, frame: Tensor) -> Tensor:
        """Return the tangent vectors at mu whose coordinates are the rows of a frame `(K, d)`."""
        solve = torch.linalg.solve_triangular
        vectors: Tensor = solve(self.factor, frame, upper=False, left=False)
        return vectors


class Extension(NamedTuple):
    """A direction that was added to a geodesic subspace.

    Attributes:
        direction: its coordinates L^T v, shape `(d,)`.
        nearest: the nearest points of the larger subspace.
        n_iter: steps that were tried.
        converged: whether the search for it and those for the nearest points converged.

    Example:
        >>> Extension._fields[0]
        'direction'
    """

    direction: Tensor
    nearest: Nearest
    n_iter: int
    converged: bool


class _Turning:
    """Half of the mean squared distance to the nearest points, as a function of the last direction.

    The direction is that of u_0 + sum_j y_j b_j, where u_0 and the b_j are orthonormal.
    """

    def __init__(
        self, spaces: GeodesicSubspaces, frame: Tensor, axes: Tensor, start: Tensor, w: Tensor
    ) -> None:
        self.spaces = spaces
        self.frame = frame
        self.axes = axes
        self.w = w
        self.warm = start

    def direction(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the direction u, shape `(d,)`, and its derivatives by y, shape `(q, d)`."""
        others = self.axes[1:]
        ahead = self.axes[0] + y @ others
        u = ahead / ahead.norm()
        return u, (others - (others @ u).unsqueeze(-1) * u) / ahead.norm()

    def expand(self, y: Tensor) -> Expansion:
        u, turns = self.direction(y[0])
        frame = torch.cat([self.frame, u.unsqueeze(0)])
        nearest = self.spaces.nearest(frame, self.warm)
        there, a = nearest.residuals, nearest.coordinates
        self.warm = torch.where(there.reached.unsqueeze(-1), a, self.warm)
        D = a[:, -1, None, None] * (there.by_velocity @ self.spaces.vectors(turns).mT)
        # As a_n is where the distance is least within the subspace, its change with y adds nothing
        # to the gradient: only the turn of the last direction counts.
        gradient = -torch.einsum("n,nai,na->i", self.w, D, there.values)
        Q = torch.linalg.qr(there.by_velocity @ self.spaces.vectors(frame).mT)[0]
        D = D - Q @ (Q.mT @ D)
        hessian = torch.einsum("n,nai,naj->ij", self.w, D, D)
        return Expansion(nearest.mean_square(self.w)[None] / 2, gradient[None], hessian[None])


def principal_axes(
    Y: Tensor, w: Tensor, *, orthogonal_to: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the variances of Y about 0 along its principal axes, and the axes as rows.

    Args:
        Y: coordinates, shape `(n, d)`.
        w: weights that sum to 1, shape `(n,)`.
        orthogonal_to: rows to which the axes shall be orthogonal, or None.

    Returns:
        Variances, falling, and orthonormal axes as rows.

    Example:
        >>> Y, w = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0.5, 0.5])
        >>> principal_axes(Y, w)[0].tolist()
        [2.0, 0.5]
    """
    basis = torch.eye(Y.shape[1], dtype=Y.dtype, device=Y.device)
    if orthogonal_to is not None and len(orthogonal_to):
        basis = torch.linalg.qr(orthogonal_to.mT, mode="complete")[0].mT[len(orthogonal_to) :]
    known = torch.where(w.unsqueeze(-1) > 0, Y, 0) @ basis.mT
    variances, axes = torch.linalg.eigh((w.unsqueeze(-1) * known).mT @ known)
    return variances.flip(0).clamp(min=0), axes.flip(1).mT @ basis


def turned(axes: Tensor, u: Tensor) -> Tensor:
    """Return an orthonormal basis of the span of axes that begins with u.

    Args:
        axes: orthonormal rows, shape `(q, d)`.
        u: a unit vector in their span, shape `(d,)`.

    Example:
        >>> turned(torch.eye(2), torch.tensor([0.0, 1.0])).abs().tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    basis = torch.linalg.qr(torch.cat([u.unsqueeze(0), axes]).mT)[0].mT[: len(axes)]
    return torch.cat([u.unsqueeze(0), basis[1:]])
