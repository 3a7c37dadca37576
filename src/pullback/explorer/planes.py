"""The plane of a latent space that is shown: two of its axes, or two principal geodesics."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pullback.errors import ConvergenceError
from pullback.manifolds import Manifold
from pullback.metrics import TabulatedMetric
from pullback.shapes import Codes, Latent
from pullback.statistics import PrincipalGeodesicAnalysis

__all__ = ["PRINCIPAL", "ShownPlane", "plane_of_axes", "principal_plane"]

PRINCIPAL = "principal"
"""What stands for the two axes where the plane is that of the principal geodesics."""
# The most codes, drawn at random by this seed, of which the mean and the principal geodesics are
# found: on the decoder itself, and over a table, where geodesics cost less, by judgement.
# In 3 dimensions without a table 64 poses of motion capture took 10 s, and 100 digits 13 s and 200
# 54 s, on two cores that were busy with six processes: more take too long, fewer scatter.
_SAMPLE, _ON_TABLE, _SEED = 64, 256, 0
# By how much the outline is drawn in, as a share of its size: numbers of the page are rounded, and
# a point on the edge is still to lie inside.
_INWARD = 1e-9


@dataclass(frozen=True, eq=False)
class ShownPlane:
    """The points origin + u_1 b_1 + u_2 b_2 of a latent space.

    Attributes:
        axes: the two axes, or `PRINCIPAL`.
        names: what u_1 and u_2 are called.
        origin: the point of coordinates (0, 0), shape `(d,)`.
        basis: b_1 and b_2, shape `(2, d)`.
        dual: what gives the coordinates of a point, `dual @ (z - origin)`, shape `(2, d)`: also of
            one beside the plane, which is shown where it is projected to.
        space: the lowest and the highest corner of where points may be, shape `(2, d)`.
        words: how the plane was found.

    Example:
        >>> space = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]).double()
        >>> plane = plane_of_axes((2, 0), space.mean(0), space)
        >>> plane.lift(torch.tensor([3.0, 1.0]).double()).tolist(), plane.box
        ([1.0, 1.0, 3.0], [[0.0, 0.0], [3.0, 1.0]])
        >>> plane.coordinates(torch.tensor([[7.0, 8.0, 9.0]]).double()).tolist()
        [[9.0, 7.0]]
    """

    axes: tuple[int, int] | str
    names: tuple[str, str]
    origin: Tensor
    basis: Tensor
    dual: Tensor
    space: Tensor
    words: tuple[str, ...] = ()

    def lift(self, points: Tensor) -> Tensor:
        """Return points of the plane `(..., 2)` with all d coordinates, `(..., d)`."""
        lifted: Tensor = self.origin + points @ self.basis
        return lifted

    def coordinates(self, z: Tensor) -> Tensor:
        """Return the coordinates in the plane, `(..., 2)`, of points `(..., d)`."""
        shown: Tensor = (z.detach().double().cpu() - self.origin) @ self.dual.mT
        return shown

    def covers(self, points: Tensor) -> Tensor:
        """Return which points of the plane `(..., 2)` lie where points may be."""
        z = self.lift(points)
        slack = _INWARD * (self.space[1] - self.space[0])
        return ((z >= self.space[0] - slack) & (z <= self.space[1] + slack)).all(-1)

    @property
    def outline(self) -> list[list[float]] | None:
        """The corners of what of the plane lies where points may be; None if it is the box."""
        if self.axes != PRINCIPAL:
            return None
        corners: list[list[float]] = ((1 - _INWARD) * self._corners()).tolist()
        return corners

    @property
    def box(self) -> list[list[float]]:
        """The lower left and the upper right corner of the plane."""
        if not isinstance(self.axes, str):
            return [[float(corner[axis]) for axis in self.axes] for corner in self.space]
        corners = self._corners()
        return [corners.amin(0).tolist(), corners.amax(0).tolist()]

    def told(self) -> dict[str, Any]:
        """Say what the plane is, in numbers and words that JSON can hold."""
        return {
            "axes": self.axes if isinstance(self.axes, str) else list(self.axes),
            "names": list(self.names),
            "box": self.box,
            "outline": self.outline,
            "origin": self.origin.tolist(),
            "basis": self.basis.tolist(),
            "words": list(self.words),
        }

    def _corners(self) -> Tensor:
        """Cut a square that holds all of it along each face of the space."""
        far = float(self.dual.norm() * (self.space[1] - self.space[0]).norm())
        corners = far * torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=torch.float64)
        for normal, low, high in zip(self.basis.T, *(self.space - self.origin), strict=True):
            corners = _cut(_cut(corners, normal, high), -normal, -low)
        return corners


def plane_of_axes(axes: tuple[int, int], middle: Latent, space: Tensor) -> ShownPlane:
    """Return the plane of two axes through a point.

    Args:
        axes: the two axes.
        middle: what a point of the plane has along the others, shape `(d,)`.
        space: the corners of where points may be, shape `(2, d)`.

    Example:
        >>> plane_of_axes((0, 2), torch.ones(3).double(), torch.eye(3)[:2].double()).names
        ('z1', 'z3')
    """
    i, j = axes
    origin, basis = middle.double().cpu().clone(), torch.zeros(2, len(middle)).double()
    origin[[i, j]] = 0.0
    basis[0, i] = basis[1, j] = 1.0
    return ShownPlane(axes, (f"z{i + 1}", f"z{j + 1}"), origin, basis, basis, space)


def principal_plane(manifold: Manifold, Z: Codes, space: Tensor) -> ShownPlane:
    r"""Return the plane mu + u_1 v_1 + u_2 v_2 of the codes' Frechet mean and principal directions.

    v_1 and v_2 are the principal axes of the logs at mu, orthonormal in M(mu), and the coordinates
    of z are those of its projection along what is orthogonal to both, u_k = (z - mu)^T M(mu) v_k.
    To first order about mu they are those of principal geodesic analysis.

    Args:
        manifold: the latent space.
        Z: the codes, shape `(n, d)`; some drawn at random if they are many.
        space: the corners of where points may be, shape `(2, d)`.

    Raises:
        ConvergenceError: no mean was found.
        InvalidDataError: all codes coincide, or the metric is singular at their mean.

    Source:
        Fletcher, Lu, Pizer, Joshi, Principal geodesic analysis for the study of nonlinear
        statistics of shape (2004).

    Example:
        >>> Z = torch.tensor([[2.0, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 0]]).double()
        >>> space = torch.stack([Z.amin(0) - 1, Z.amax(0) + 1])
        >>> plane = principal_plane(Manifold(lambda z: 2 * z, dim=3), Z, space)
        >>> (2 * plane.basis).round(decimals=6).abs().tolist()  # of length 1 in the metric 4 I
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        >>> plane.words[0][105:149]
        '80 % of the variance along g1 and 20 % along'
    """
    order = torch.randperm(len(Z), generator=torch.Generator().manual_seed(_SEED))
    most = _ON_TABLE if isinstance(manifold.metric, TabulatedMetric) else _SAMPLE
    some = Z[order[:most].sort().values.to(Z.device)]
    found = PrincipalGeodesicAnalysis(manifold, 2).fit(some)
    mean, basis = found.mean_.double().cpu(), found.components_.double().cpu()
    if not bool(((mean > space[0]) & (mean < space[1])).all()):
        raise ConvergenceError(
            "The mean of the codes was not found: the search for it left the box of what was "
            "measured. Choose two axes instead."
        )
    M = manifold.metric_matrix(found.mean_).double().cpu()
    shares = [f"{100 * share:.0f} %" for share in found.explained_variance_ratio_]
    words = _words(shares, len(some), len(Z), converged=found.converged_)
    return ShownPlane(PRINCIPAL, ("g1", "g2"), mean, basis, basis @ M, space, words)


def _words(shares: list[str], n_used: int, n: int, *, converged: bool) -> tuple[str, ...]:
    whose = f"all {n} codes" if n_used == n else f"{n_used} of the {n} codes (seed {_SEED})"
    words = [
        f"The plane goes through the Fréchet mean of {whose}, along the two geodesics on which "
        f"they vary most: {shares[0]} of the variance along g1 and {shares[1]} along g2. Codes "
        "beside it are projected to it; at the mean a unit is a unit of length."
    ]
    if not converged:
        words.append("The search for the mean did not settle: the plane is near it at best.")
    return tuple(words)


def _cut(corners: Tensor, normal: Tensor, most: Tensor) -> Tensor:
    """Return the corners of what of a polygon has normal . u <= most."""
    above = corners @ normal - most
    kept = []
    for p, q, h, g in zip(
        corners, corners.roll(-1, 0), above.tolist(), above.roll(-1).tolist(), strict=True
    ):
        if h <= 0:
            kept.append(p)
        if h * g < 0:
            kept.append(p + (q - p) * (h / (h - g)))
    return torch.stack(kept)
