"""Independent draws by a power of the volume element, for d <= 3."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from pullback.errors import (
    ConvergenceError,
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
    check_integer,
    check_number,
    check_points,
)
from pullback.manifolds import Manifold
from pullback.metrics.tables.bspline import BSpline
from pullback.sampling.base import check_manifold
from pullback.sampling.chains.target import region_mask
from pullback.sampling.independent import IndependentSampler
from pullback.sampling.samples import Samples
from pullback.sampling.support import Support
from pullback.shapes import Mask

__all__ = ["VolumeSampler"]

# Cells of the grid along each axis, by the dimension: so that there are 1024, 16,384 or 32,768 in
# all.
_CELLS = {1: 1024, 2: 128, 3: 32}
# The most cells that torch.multinomial takes.
_MOST = 2**24
# Added to the bound on the log-density in each cell, for what the spline does not see between its
# nodes. Set by judgement: with more, 5 % more proposals are refused for each 0.05; with less, draws
# where the density is underestimated are cut off.
_SLACK = 0.05
# How far the box reaches beyond the codes on each side, as a share of the largest extent.
_MARGIN = 0.2
# How far the log-density may lie below the largest one, in natural logarithms: e^-700 is near the
# smallest number of double precision, and nothing is ever drawn there.
_DEPTH = 700.0
# Rounds of proposals before the search for draws is given up.
_ROUNDS = 1000


class VolumeSampler(IndependentSampler):
    r"""Independent draws with density (det M)^(power / 2) dz, in a box of at most 3 dimensions.

    - `power=1`: uniform by the Riemannian volume. With a wall of the variance most of the volume
      is in the wall, where the model knows nothing: give the support as the `region`.
    - `power=0`: uniform in the coordinates.
    - `power=-1`: the inverse volume, which seeks the data where the volume is large off them: the
      draws of the Riemannian Hamiltonian VAE.

    A cubic spline through the log-volume on a grid lies below the largest of its coefficients in
    each cell: this bound is proposed from, and the exact density decides. In more dimensions use
    `Hamiltonian` with a region.

    Args:
        manifold: the latent space.
        box: the lowest and the highest corner, shape `(2, d)`; None for the box of the codes of a
            support, a fifth larger.
        power: the power of the volume element.
        region: the density is 0 outside: a `Support`, another object with `contains(z)`, or a
            function from points `(n, d)` to a mask `(n,)`. Parts of it that are more than a cell
            away from any node of the grid inside are missed.
        n_cells: cells along each axis; None for 1024, 128 or 32 for d = 1, 2 or 3.

    Attributes:
        box: as given, or found.

    Raises:
        InvalidParameterError: not a manifold, d > 3, a box that is none, or there is neither box
            nor support.
        InvalidDataError: the density is infinite or 0 all over the box.

    Source:
        Chadebec, Thibeau-Sutre, Burgos, Allassonnière, Data augmentation in high dimensional low
        sample size setting using a geometry-based variational autoencoder (2022), for the power -1;
        de Boor, A Practical Guide to Splines (1978), chapter XI, for the bound.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> strip = VolumeSampler(Manifold(HalfPlane()), [[0.0, 1.0], [1.0, 4.0]])
        >>> samples = strip.sample(1000, random_state=0)
        >>> round((1 / samples.points[:, 1]).mean().item(), 1)  # 1 / y is uniform in [1 / 4, 1]
        0.6
        >>> round(math.exp(-samples.log_density[0].item()), 1)  # the volume, 3 / 4
        0.8
    """

    def __init__(
        self,
        manifold: Manifold,
        box: Any = None,
        *,
        power: float = 1.0,
        region: Any = None,
        n_cells: int | None = None,
    ) -> None:
        self.manifold, self.region = check_manifold(manifold), region
        self.power = check_number("power", power)
        self.box = self._check_box(box)
        d = self.box.shape[1]
        if d > 3:
            cure = "Use `Hamiltonian` with a `region`."
            raise InvalidParameterError("manifold", "of at most 3 dimensions", d, cure)
        most = int(_MOST ** (1 / d))
        n_cells = _CELLS[d] if n_cells is None else n_cells
        self.n_cells = check_integer("n_cells", n_cells, low=4, high=most)
        with torch.no_grad():
            self._bound, self._low = self._bound_cells()
        self._size = (self.box[1] - self.box[0]) / self.n_cells

    def draw(self, n: int, generator: torch.Generator) -> Samples:
        """Draw points, see `IndependentSampler.sample`.

        Args:
            n: how many.
            generator: the source of randomness.

        Returns:
            Points `(n, d)`, the logarithm of their density with respect to the Riemannian volume,
            normalised by the share of proposals that were accepted, and that share.

        Raises:
            ConvergenceError: hardly any proposal was accepted.

        Warns with `ConvergenceWarning` if the density was above its bound at a proposal.
        """
        weights = self._bound.exp()
        kept: list[Tensor] = []
        n_kept = n_proposed = n_above = 0
        for _ in range(_ROUNDS):
            if n_kept >= n:
                break
            z, accepted, above = self._propose(weights, max(n, 1000), generator)
            kept.append(z[accepted])
            n_kept += int(accepted.sum())
            n_proposed += len(z)
            n_above += int(above.sum())
        else:
            raise ConvergenceError(
                f"Only {n_kept} of {n_proposed} proposals were accepted, but {n} were asked for: "
                "give a `box` closer to the region, or more `n_cells`."
            )
        if n_above:
            warnings.warn(
                f"the density was above its bound at {n_above} of {n_proposed} proposals, where "
                "too few points were drawn: raise `n_cells`.",
                ConvergenceWarning,
                stacklevel=3,
            )
        points, share = torch.cat(kept)[:n], n_kept / n_proposed
        whole = self._bound.logsumexp(0) + self._size.log().sum() + math.log(share)
        log_density = (self.power - 1) * self.manifold.metric.log_volume(points)
        log_density = log_density - whole - self._offset
        return Samples(
            points,
            status=torch.zeros((), dtype=torch.long, device=points.device),
            log_density=log_density,
            acceptance=points.new_tensor(share),
        )

    def _propose(
        self, weights: Tensor, n: int, generator: torch.Generator
    ) -> tuple[Tensor, Mask, Mask]:
        """Propose points; say which to keep, and where the density exceeds its bound."""
        cell = torch.multinomial(weights, n, replacement=True, generator=generator)
        draws = [
            torch.rand(n, k, generator=generator, dtype=weights.dtype, device=weights.device)
            for k in (self.box.shape[1], 1)
        ]
        z = self._low[cell] + self._size * draws[0]
        log_ratio = self._log_weight(z) - self._bound[cell]
        inside = region_mask(self.region, z)
        accepted = inside & (draws[1].squeeze(1).log() < log_ratio)
        return z, accepted, inside & (log_ratio > 0)

    def _log_weight(self, z: Tensor) -> Tensor:
        """The log-density with respect to dz, less that of the largest node."""
        value = self.power * self.manifold.metric.log_volume(z) - self._offset
        usable = value.isfinite() & self.manifold.metric.contains(z)
        return torch.where(usable, value, -torch.inf)

    def _bound_cells(self) -> tuple[Tensor, Tensor]:
        """Bound the log-density in cells `(cells,)`, and say where these begin, `(cells, d)`.

        Cells that no corner of which is in the region, nor of a neighbour, are left out, and so are
        those where the metric is not finite.
        """
        d, n = self.box.shape[1], self.n_cells
        steps = torch.arange(n + 1, device=self.box.device)
        index = torch.cartesian_prod(*[steps] * d).reshape(-1, d)
        nodes = self.box[0] + (self.box[1] - self.box[0]) * index.to(self.box) / n
        self._offset = 0.0
        value = self._log_weight(nodes)
        inside = region_mask(self.region, nodes) & value.isfinite()
        allowed = value[inside]
        if self.power < 0 and bool((self.manifold.metric.log_volume(nodes) == -torch.inf).any()):
            raise InvalidDataError(
                "The metric is singular in the box, where a negative `power` of the volume is "
                "infinite. Give a smaller `box`."
            )
        if len(allowed) == 0:
            raise InvalidDataError(
                "The density is 0 at every node of the grid: the `region` is not in the `box`, or "
                "smaller than a cell. Give a `box` closer to it."
            )
        self._offset = float(allowed.max())
        shape = [n + 1] * d
        value = _filled((value - self._offset).reshape(shape)).clamp(min=-_DEPTH)
        spline = BSpline.through(value.unsqueeze(0), self.box[0], self.box[1])
        bound = _largest(spline.coefficients[0], 4) + _SLACK
        near = torch.nn.functional.pad(inside.reshape(shape).to(value), [1, 1] * d)
        chosen = (_largest(near, 4) > 0).flatten()
        return bound.flatten()[chosen], nodes[(index < n).all(1)][chosen]

    def _check_box(self, box: Any) -> Tensor:
        like = torch.zeros((), dtype=self.manifold.dtype, device=self.manifold.device)
        if box is None:
            if not isinstance(self.region, Support):
                raise InvalidParameterError("box", "given where `region` is no Support", None)
            codes = self.region.codes
            width = _MARGIN * (codes.amax(0) - codes.amin(0)).amax()
            return torch.stack([codes.amin(0) - width, codes.amax(0) + width]).to(like)
        corners = check_points("box", box, self.manifold.dim).detach().to(like)
        if corners.ndim != 2 or len(corners) != 2 or not bool((corners[0] < corners[1]).all()):
            allowed = "the lowest and the highest corner, shape (2, d)"
            raise InvalidParameterError("box", allowed, corners.tolist())
        return corners


def _filled(values: Tensor) -> Tensor:
    """Carry the values of the nearest nodes to those without: a cliff would make a spline swing."""
    while bool(values.isinf().any()):
        around = torch.nn.functional.pad(values, [1, 1] * values.ndim, value=-torch.inf)
        values = torch.where(values.isinf(), _largest(around, 3), values)
    return values


def _largest(values: Tensor, width: int) -> Tensor:
    """The largest of each `width` neighbours along every axis."""
    for axis in range(values.ndim):
        values = values.unfold(axis, width, 1).amax(-1)
    return values
