"""The laws that tie a map to its derivatives, held against differences of its values."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.autodiff import Map, SecondOrder, jvp, second_order
from pullback.shapes import Latent, Tangent

__all__ = ["Breach", "broken_laws", "is_rough_copy"]

# The steps of the differences that derivatives are held against, as powers of the precision's unit
# of rounding, in units of the points' spread: 1e-3 to 4e-8 in double precision, 0.05 to 6e-4 in
# single. The largest suits maps that round their values, the smallest suits walls and narrow bumps.
_STEPS = (0.19, 0.255, 0.32, 0.385, 0.47)
# The share by which a derivative may differ from the differences, as a power of the unit of
# rounding: 1e-4 in double precision, 0.02 in single.
_SHARE = 0.25
# The rounding that is assumed in each value of a difference, in units of the last place.
_ENDS = 8.0
# The rounding, in the same units, that sums inside of a decoder may leave in a first and in a
# second derivative: a smaller difference breaks no law.
_INSIDE = 1e3, 1e5
# A derivative is called wrong only if it is off by this many times more than the differences at two
# steps differ from each other: else the differences are in doubt, and not the derivative.
_SURE = 10.0
# The share of a derivative that rounding may spoil in a difference that is still counted.
_KNOWN = 0.01
# The most numbers in the images that are differentiated at once: 4 MiB in double precision.
_NUMBERS = 2**19
# The share by which derivatives in single precision may be off the exact ones to be good enough for
# a rough search, whose answer is corrected afterwards.
_ROUGH = 0.05


class Breach(NamedTuple):
    """A law that is broken.

    Attributes:
        law: its words.
        error: by how much, as a share of the derivative; NaN if that is not finite.
        allowed: the share that is allowed.

    Example:
        >>> f = lambda z: z.square().detach() + z
        >>> broken_laws(f, torch.ones(4, 1).double())[0].error > 0.4
        True
    """

    law: str
    error: float
    allowed: float


def broken_laws(
    f: Map, z: Latent, *, spread: float = 1.0, share: float | None = None
) -> list[Breach]:
    """Hold the derivatives of a map, as `torch.func` computes them, against differences.

    The slope J v is that of the values, the second derivative forward over forward is that of the
    slope, forward over reverse gives the same, and so does each sweep that gives J. A law counts as
    broken where the differences at several steps agree with each other, and not with the
    derivative: near a kink, such as of ReLU, or where values are rounded, they do not.

    Args:
        f: the map, from points `(n, d)` to images `(n, m)`.
        z: points, shape `(n, d)`.
        spread: the distance over which the map is taken to change.
        share: by what share of its size a derivative may be off; eps^(1/4) if None.

    Returns:
        The laws that are broken, the first of them first.

    Example:
        >>> z = torch.linspace(-1, 1, 8).double().unsqueeze(-1)
        >>> broken_laws(torch.sin, z)
        []
        >>> [breach.law for breach in broken_laws(lambda z: z * z.detach(), z)]
        ['J v is the slope', 'the second derivative, forward over forward, is the slope of J v']
    """
    v = spread * _directions(z)
    share = torch.finfo(z.dtype).eps ** _SHARE if share is None else share
    with torch.no_grad():
        return [breach for breach in _judge(f, z, v, share) if not breach.error <= breach.allowed]


def is_rough_copy(f: Map, exact: Map, z: Latent) -> bool:
    """Say whether a map in single precision has about the derivatives of the exact one.

    Args:
        f: the map in single precision.
        exact: the map in double precision.
        z: points in double precision, shape `(n, d)`.

    Example:
        >>> is_rough_copy(torch.sin, torch.sin, torch.ones(1, 1).double())
        True
    """
    v = _directions(z)
    with torch.no_grad():
        truth = _derivatives(exact, z, v)
        found = _derivatives(f, z.float(), v.float())
    if found.slope.dtype != torch.float32:
        return False
    steep, near = truth.slope.norm(), _ROUGH * truth.bend.norm() + _ROUGH * truth.slope.norm()
    pairs = (
        (found.slope, truth.slope, _ROUGH * steep),
        (found.at.jacobian, truth.at.jacobian, _ROUGH * truth.at.jacobian.norm()),
        (found.bend, truth.bend, near),
        (found.at.gradient, truth.at.gradient, _ROUGH * truth.at.gradient.norm()),
    )
    return all(bool((a.to(b) - b).norm() <= size) for a, b, size in pairs)


class _Derivatives(NamedTuple):
    """A map and what `torch.func` says of it, along v and against a covector r."""

    v: Tangent
    r: Tensor
    slope: Tensor
    bend: Tensor
    at: SecondOrder


def _derivatives(f: Map, z: Tensor, v: Tensor) -> _Derivatives:
    slope, bend = jvp(lambda z: jvp(f, z, v)[1], z, v)
    # At random: the parts of a normalised layer add up to 0, whatever z is.
    r = _draws(slope.shape, z, seed=2)
    return _Derivatives(v, r, slope, bend, second_order(f, z, r))


def _judge(f: Map, z: Tensor, v: Tensor, share: float) -> Iterator[Breach]:
    """Yield each law with the largest error among the points."""
    of, eps = _derivatives(f, z, v), torch.finfo(z.dtype).eps
    steps = torch.tensor([eps**power for power in _STEPS], device="cpu").to(z)
    ahead, behind = _along(f, z, v, steps), _along(f, z, v, -steps)
    value, slope = (
        (a - b) / (2 * steps[:, None, None]) for a, b in zip(ahead, behind, strict=True)
    )
    size, steep = of.at.value.norm(dim=-1), of.slope.norm(dim=-1)
    inside = _INSIDE[0] * eps * size
    scale = steep + value[-2].norm(dim=-1).nan_to_num(0)
    error = _off(of.slope, value, steps, size, scale) - inside
    yield _worst("J v is the slope", error, scale, share)
    inside = _INSIDE[1] * eps * size + _INSIDE[0] * eps * steep
    scale = of.bend.norm(dim=-1) + slope[-2].norm(dim=-1).nan_to_num(0) + share * steep
    error = _off(of.bend, slope, steps, steep, scale) - inside
    law = "the second derivative, forward over forward, is the slope of J v"
    yield _worst(law, error, scale, share)
    yield from _compare_orders(of, share)


def _along(f: Map, z: Tensor, v: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Compute f and its slope at z + h v for all steps h, shape `(steps, n, m)` each."""
    ends = (z + steps[:, None, None] * v).flatten(0, 1)
    n_rows = max(len(z), _NUMBERS // max(1, f(z[:1]).numel()))
    pairs = zip(ends.split(n_rows), v.repeat(len(steps), 1).split(n_rows), strict=True)
    values, slopes = zip(*(jvp(f, end, toward) for end, toward in pairs), strict=True)
    shape = (len(steps), len(z), -1)
    return torch.cat(values).reshape(shape), torch.cat(slopes).reshape(shape)


def _off(stated: Tensor, quotients: Tensor, steps: Tensor, size: Tensor, scale: Tensor) -> Tensor:
    """Say how far a derivative is off the difference quotients at falling steps, `(steps, n, m)`.

    Where these do not agree with each other far better, it counts as right.
    """
    h, apart = steps[:, None], quotients.diff(dim=0).norm(dim=-1).nan_to_num(torch.inf)
    # Two steps that agree exactly prove nothing if others differ: they are so small that rounded
    # values do not change over them. If all agree exactly, the map is constant.
    apart = torch.where((apart == 0) & apart.any(0), torch.inf, apart)
    # How much values are rounded is seen at the smallest steps: more than one unit where large
    # numbers cancel inside of the map.
    seen = (apart * h[1:])[-2:].nan_to_num(posinf=0).amax(0)
    rounding = seen.clamp(min=_ENDS * torch.finfo(size.dtype).eps * float(size.max())) / h
    error = ((quotients - stated).norm(dim=-1) - rounding).nan_to_num(torch.inf)
    error = torch.where(rounding < _KNOWN * scale, error, torch.inf).amin(0)
    # The second smallest disagreement of neighbouring steps is taken: a kink between the ends
    # spoils some differences, and one pair may agree by chance, but hardly two.
    sure = error.isfinite() & (error > _SURE * apart.sort(0).values[1])
    error = torch.where(sure, error, 0)
    return torch.where(stated.isfinite().all(-1), error, torch.nan)


def _compare_orders(of: _Derivatives, share: float) -> Iterator[Breach]:
    """Compare what several orders of differentiation say of the same."""
    at, v, r = of.at, of.v, of.r
    eps, weight, far = torch.finfo(v.dtype).eps, r.norm(dim=-1), v.norm(dim=-1)
    first, second = (units * eps * at.value.norm(dim=-1) for units in _INSIDE)
    steep = at.jacobian.norm(dim=(-1, -2)) * far
    pushed = torch.einsum("nmd,nd->nm", at.jacobian, v)
    error = (pushed - of.slope).norm(dim=-1) - first
    yield _worst("all sweeps give the same J", error, steep, share)
    pulled = torch.einsum("nmd,nm->nd", at.jacobian, r)
    error = (pulled - at.gradient).norm(dim=-1) * far - weight * first
    yield _worst("J^T r is that of J", error, weight * steep, share)
    inside = weight * (second + _INSIDE[0] * eps * steep)
    along = torch.einsum("ni,nij,nj->n", v, at.hessian, v)
    error = (along - (r * of.bend).sum(-1)).abs() - inside
    size = weight * (of.bend.norm(dim=-1) + share * steep)
    law = "the second derivative, forward over reverse, is that forward over forward"
    yield _worst(law, error, size, share)
    skew = (at.hessian - at.hessian.mT).norm(dim=(-1, -2)) * far.square() - inside
    size = at.hessian.norm(dim=(-1, -2)) * far.square() + share * weight * steep
    yield _worst("second derivatives are symmetric", skew, size, share)


def _worst(law: str, error: Tensor, scale: Tensor, share: float) -> Breach:
    """Return the largest error as a share of its scale, plus a little of the largest scale."""
    least = torch.finfo(scale.dtype).tiny ** 0.5
    shares = error.clamp(min=0) / (scale + share * share * scale.max() + least)
    # NaN if a share is: then the law counts as broken.
    return Breach(law, float(shares.max()), share)


def _directions(z: Tensor) -> Tensor:
    """Directions at random, as long as the points are in the mean."""
    toward = _draws(z.shape, z, seed=1)
    directions: Tensor = toward * (z.shape[-1] ** 0.5 / toward.norm(dim=-1, keepdim=True))
    return directions


def _draws(shape: torch.Size, like: Tensor, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu").to(like)
