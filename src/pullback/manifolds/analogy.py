"""Analogies: a change that is seen at one point, carried to another and made there."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.errors import InvalidDataError, check_data, check_number
from pullback.geodesics import Status, connect, shoot
from pullback.manifolds.latent_space import LatentSpace
from pullback.manifolds.transport.transport import transport
from pullback.shapes import Latent, Mask, StatusCodes, Tangent

__all__ = ["Analogy", "AttributeVector", "analogy", "attribute_vector"]


@dataclass(frozen=True, eq=False)
class Analogy:
    """Where carried changes lead.

    Attributes:
        point: the points exp(c, v), shape `(*batch, d)`: NaN where a step failed.
        tangent_vector: v at c, shape `(*batch, d)`.
        status: `Status` codes of the first step that failed, 0 if none did, shape `(*batch,)`.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> found = analogy(Manifold(lambda z: z, dim=1), [0.0], [1.0], [5.0])
        >>> bool(found.converged), found.point.round(decimals=6).tolist()
        (True, [6.0])
    """

    point: Latent
    tangent_vector: Tangent
    status: StatusCodes

    __repr__ = as_line
    _repr_html_ = as_html

    @property
    def converged(self) -> Mask:
        """Where every step worked, shape `(*batch,)`."""
        return self.status == Status.CONVERGED


@dataclass(frozen=True, eq=False)
class AttributeVector:
    """The direction in which an attribute changes, known at one point.

    Attributes:
        space: the latent space.
        base: the point, shape `(d,)`.
        tangent_vector: the direction there, shape `(d,)`.
        n_failed: how many codes could not be reached from the point, and were left out.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> space = Manifold(lambda z: 2 * z, dim=1)
        >>> more = attribute_vector(space, [[0.0], [1.0], [3.0]], [False, False, True])
        >>> more.apply([7.0], 2.0).point.round(decimals=6).tolist()  # 2.5 from mean to mean
        [12.0]
    """

    space: LatentSpace
    base: Latent
    tangent_vector: Tangent
    n_failed: int

    __repr__ = as_line
    _repr_html_ = as_html

    def apply(self, point: Any, amount: float = 1.0) -> Analogy:
        """Carry the direction to points and follow it there.

        Args:
            point: c, shape `(*batch, d)`.
            amount: by which the direction is multiplied; negative to take the attribute away.

        Returns:
            The points that this leads to.
        """
        check_number("amount", amount)
        (c,) = self.space._broadcast(point=point)
        v = amount * self.tangent_vector.expand_as(c)
        return _carry(self.space, self.base.expand_as(c), v, c.detach(), _none(c))


def analogy(space: LatentSpace, point_a: Any, point_b: Any, point_c: Any) -> Analogy:
    r"""Answer a is to b as c is to what: exp(c, v), where v is log(a, b) carried from a to c.

    v is transported along the geodesic from a to c. In a flat space the answer is c + b - a.

    Args:
        space: the latent space.
        point_a: a, shape `(*batch, d)`.
        point_b: b, shape `(*batch, d)`.
        point_c: c, shape `(*batch, d)`.

    Returns:
        The points, with a status for each; `space.decode` shows them.

    Raises:
        InvalidDataError: points are not finite, or of shapes that do not fit.

    Source:
        Hauberg, Differential geometry for generative modeling (2025).

    Example:
        >>> from pullback.manifolds import Manifold
        >>> flat = Manifold(lambda z: z, dim=2)
        >>> found = analogy(flat, [0.0, 0.0], [1.0, 0.0], [0.0, 2.0])
        >>> found.point.round(decimals=6).tolist()
        [1.0, 2.0]
    """
    a, b, c = (
        p.detach() for p in space._broadcast(point_a=point_a, point_b=point_b, point_c=point_c)
    )
    v, status = _log(space, a, b)
    return _carry(space, a, v, c, status)


def attribute_vector(
    space: LatentSpace, codes: Any, labels: Any, *, base: Any = None
) -> AttributeVector:
    r"""Find the direction from codes without an attribute to those with it, at one point p.

    It is the mean of log(p, z) over the codes with it, less that over those without. In a flat
    space that is the difference of their means, whatever the point.

    Args:
        space: the latent space.
        codes: codes z of data, shape `(n, d)`.
        labels: whether each has the attribute, booleans of shape `(n,)`.
        base: p, shape `(d,)`; if None, the code without the attribute that is nearest to the mean
            of those in the coordinates.

    Returns:
        The direction at p, to be applied at other points.

    Raises:
        InvalidDataError: bad codes or labels, or none of the codes on one side could be reached.

    Source:
        White, Sampling generative networks (2016), for flat latent spaces.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> flat = Manifold(lambda z: z, dim=2)
        >>> codes = [[0.0, 0.0], [0.0, 1.0], [2.0, 0.0]]
        >>> found = attribute_vector(flat, codes, [False, False, True])
        >>> found.tangent_vector.round(decimals=6).tolist()
        [2.0, -0.5]
    """
    (z,) = space._broadcast(codes=check_data("codes", codes, dim=space.dim).detach())
    has = _check_labels(labels, z)
    if base is None:
        without = z[~has]
        p = without[(without - without.mean(0)).norm(dim=-1).argmin()]
    else:
        (p,) = (x.detach() for x in space._broadcast(base=base))
    vectors, status = _log(space, p.expand_as(z), z)
    good = status == Status.CONVERGED
    if not bool((good & has).any() and (good & ~has).any()):
        raise InvalidDataError(
            "None of the `codes` on one side of the attribute is joined to the base point by a "
            "geodesic that was found. Give another `base`, nearer to both."
        )
    direction = vectors[good & has].mean(0) - vectors[good & ~has].mean(0)
    return AttributeVector(space, p, direction, int((~good).sum()))


def _check_labels(labels: Any, z: Tensor) -> Tensor:
    has = torch.as_tensor(labels, device=z.device)
    if has.shape != z.shape[:1] or has.dtype != torch.bool:
        raise InvalidDataError(
            f"`labels` must be booleans of shape ({len(z)},), one for each code, but got "
            f"{has.dtype} of shape {tuple(has.shape)}. For a class k give `labels == k`."
        )
    if not bool(has.any()) or bool(has.all()):
        raise InvalidDataError(
            "`labels` must hold both codes with the attribute and codes without, but all are alike."
        )
    return has


def _log(space: LatentSpace, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Find the initial velocities of geodesics, and how that ended.

    They are those of the curves: where a wall of the variance parts neighbours, no velocity hits b.
    """
    result = connect(space.metric, a, b, graph=space.graph_over(torch.stack([a, b])))
    v = result.curve.velocity(a.new_zeros(1)).squeeze(-2)
    size = space.metric.norm(a, v)
    scale = torch.where(size > 0, result.length / size, 1)
    return v * scale.unsqueeze(-1), result.status


def _carry(space: LatentSpace, a: Tensor, v: Tensor, c: Tensor, status: Tensor) -> Analogy:
    """Transport v from a to c along the geodesic between, and follow it there."""
    path = connect(space.metric, a, c, graph=space.graph_over(torch.stack([a, c])))
    moved = transport(space.metric, torch.where(v.isfinite(), v, 0), path)
    vector = moved.vectors
    known = vector.isfinite().all(-1, keepdim=True)
    flight = shoot(space.metric, c, torch.where(known, vector, 0))
    for later in (path.status, moved.status, flight.status):
        status = torch.where(status == Status.CONVERGED, later, status)
    good = (status == Status.CONVERGED).unsqueeze(-1)
    vector = torch.where(good, vector, torch.nan)
    return Analogy(torch.where(good, flight.end, torch.nan), vector, status)


def _none(c: Tensor) -> Tensor:
    return torch.zeros(c.shape[:-1], dtype=torch.long, device=c.device)
