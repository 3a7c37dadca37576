"""A table of a metric: a smooth interpolant that stands in for it, with a measured error."""

import os
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import (
    ConvergenceWarning,
    InvalidParameterError,
    check_data,
    check_number,
    check_path,
)
from pullback.metrics.base import Metric
from pullback.metrics.chords import EndExpansion
from pullback.metrics.tables.bspline import BSpline
from pullback.metrics.tables.chain_derivatives import FEWEST_NODES, derivatives_of_chains
from pullback.metrics.tables.edge import Edge
from pullback.metrics.tables.factors import read_matrix
from pullback.metrics.tables.fit import error_kept_by, fit_spline
from pullback.metrics.tables.quadratic_form import quadratic_form
from pullback.metrics.tables.storage import TableParts, file_in, read_table, write_table
from pullback.shapes import Codes, Latent, Mask, MetricMatrix, Nodes, Points, Scalars, Tangent

__all__ = ["TabulatedMetric"]

# Random points of the table at which its error against the exact metric is measured: the share of
# the domain that keeps to an error, 95 %, is then known to 0.7 %.
_PROBES = 1024
# Points beyond the table that are asked of the exact metric at once. By judgement: few, for the
# second derivatives of a decoder are held for all of them.
_BEYOND = 512
# Points that are read off the table at once. Each gathers 4^d coefficients of each component, 0.4
# kB in the plane and 3 kB in space: 1.6 MB and 13 MB, which a processor's cache still holds.
_CHUNK = 4096
# A table is near the exact metric, `is_near`, up to this relative error of v^T M v. Lengths then
# err by half as much, 1 %: ways that differ by more are told apart on the table.
_NEAR = 0.02
# The edge, in which the table passes over into the exact metric, as a share of the margin: the half
# that is farther from the codes. Between the codes and the edge there is as much table alone.
_BAND = 0.5


class TabulatedMetric(Metric):
    r"""A metric read off a table, twice continuously differentiable, for d <= 3.

    In place of M(z) = L D L^T the table holds log D and the entries of the unit triangular L on a
    regular grid, and a cubic spline between: whatever it reads is positive definite, however many
    decades M spans. Near the edge of its domain it passes smoothly over into the exact metric,
    which answers outside: it never extrapolates.

    Args:
        metric: the exact metric.
        spline: log D and L on a grid.
        margin: the width of the edge, along each axis, shape `(d,)`.
        errors: relative errors of v^T M v that were measured at random points, shape `(n,)`.

    Attributes:
        errors: as given.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> codes = torch.tensor([[-1.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
        >>> table = TabulatedMetric.build(HalfPlane(), codes, rtol=1e-4)
        >>> table.error() < 1e-4
        True
        >>> table.metric_matrix(torch.tensor([0.5, 2.0]).double()).diagonal().round(decimals=4)
        tensor([0.2500, 0.2500], dtype=torch.float64)
    """

    hessian_cost: ClassVar[float] = 1.5

    def __init__(self, metric: Metric, spline: BSpline, margin: Tensor, errors: Tensor) -> None:
        super().__init__(len(spline.low))
        self._metric = metric
        self._spline = spline
        self._margin = margin
        self.errors = errors
        self._kept: dict[float, float] = {}
        self._edge = Edge(metric, spline, margin)
        self._single: TabulatedMetric | None = None

    @classmethod
    def build(
        cls,
        metric: Metric,
        codes: Codes,
        *,
        rtol: float = 3e-3,
        margin: float = 0.2,
        generator: torch.Generator | None = None,
    ) -> "TabulatedMetric":
        """Make a table over the bounding box of codes, as fine as the error bound asks for.

        Args:
            metric: the exact metric, in at most three dimensions.
            codes: points of the latent space to cover, shape `(n, d)`.
            rtol: the relative error of v^T M v that 95 % of the domain must keep to.
            margin: how far the table reaches beyond the codes, as a share of their extent.
            generator: draws the points at which the error is measured; seed 0 if None.

        Returns:
            The table; its `errors` say what was reached.

        Raises:
            InvalidParameterError: more than three dimensions, or a parameter out of range.
            InvalidDataError: the metric is singular or not finite somewhere on the grid.
        """
        codes = check_data("codes", codes, dim=metric.dim, min_samples=1).detach()
        check_number("rtol", rtol, 0, open_low=True)
        check_number("margin", margin, 0, open_low=True)
        d = codes.shape[1]
        if d > 3:
            cure = "In more dimensions use the metric itself."
            raise InvalidParameterError("codes", "of at most 3 dimensions for a table", d, cure)
        low, high = codes.amin(0), codes.amax(0)
        width = (margin * (high - low).amax()).clamp(min=1e-6).expand(d)
        low, high = low - width, high + width
        generator = generator or torch.Generator().manual_seed(0)
        kind: Any = {"dtype": torch.float64, "device": generator.device}
        draws = torch.rand(_PROBES, d, generator=generator, **kind).to(codes)
        probes = low + (high - low) * draws
        spline, errors = fit_spline(metric, low, high, probes, rtol=rtol)
        table = cls(metric, spline, _BAND * width, errors)
        if table.error() > rtol:
            warnings.warn(
                f"the table's error is {table.error():.2g} with the largest number of cells, "
                f"{table.n_cells[0]} along each axis, where `rtol` = {rtol:g} was asked for. Cover "
                "a smaller region, or `polish` the answers.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return table

    @property
    def is_cheap(self) -> bool:
        """True, see `Metric.is_cheap`."""
        return True

    @property
    def exact(self) -> Metric:
        """The metric that the table stands in for, see `Metric.exact`."""
        return self._metric.exact

    @property
    def is_near(self) -> bool:
        """Whether lengths err by less than the ways that are told apart, see `Metric.is_near`."""
        return self.error() <= _NEAR

    @property
    def single(self) -> "TabulatedMetric | None":
        """The table in single precision, see `Metric.single`."""
        exact = self._metric.single
        if self._single is None and exact is not None:
            spline = self._spline.float()
            self._single = TabulatedMetric(exact, spline, self._margin.float(), self.errors)
        return self._single

    @property
    def low(self) -> Tensor:
        """The lowest corner of the domain, shape `(d,)`."""
        return self._spline.low

    @property
    def high(self) -> Tensor:
        """The highest corner of the domain, shape `(d,)`."""
        return self._spline.high

    @property
    def n_cells(self) -> tuple[int, ...]:
        """Cells of the grid along each axis."""
        return tuple(size - 3 for size in self._spline.coefficients.shape[1:])

    @property
    def spline_parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the table is made of, for those who read it by other means.

        Coefficients of log D and of L by their components, `(components, n_1 + 2, ..., n_d + 2)`,
        the lowest and the highest corner, and the width of the edge, each `(d,)`.
        """
        return self._spline.coefficients, self.low, self.high, self._margin

    def error(self, share: float = 0.95) -> float:
        """Return the relative error of v^T M v that this share of the domain keeps to."""
        if share not in self._kept:
            self._kept[share] = error_kept_by(self.errors, share)
        return self._kept[share]

    def covers(self, z: Latent) -> Mask:
        """Say which points `(*batch, d)` are read off the table alone."""
        inside = (z >= self.low + self._margin) & (z <= self.high - self._margin)
        return inside.all(-1)

    def contains(self, z: Latent) -> Mask:
        """Say where the exact metric is defined, see `Metric.contains`."""
        return self._metric.contains(z)

    def chord_floor(self, point_a: Latent, point_b: Latent) -> Scalars:
        """Bound lengths in the exact metric from below, see `Metric.chord_floor`."""
        return self._metric.chord_floor(point_a, point_b)

    def lower_bounds(self, point_a: Codes, point_b: Nodes) -> Tensor:
        """Bound lengths in the exact metric from below, see `Metric.lower_bounds`."""
        return self._metric.lower_bounds(point_a, point_b)

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Read M(z), shape `(*batch, d, d)`, see `Metric.metric_matrix`."""

        def read(z: Tensor) -> tuple[Tensor]:
            return (read_matrix(self._spline, z),)

        flat = z.reshape(-1, z.shape[-1])
        (matrix,) = self._route(flat, flat, read, lambda z: (self._edge.metric_matrix(z),))
        return matrix.reshape(*z.shape, z.shape[-1])

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        """Read c'' off the table, see `Metric.acceleration`."""

        def read(pair: Tensor) -> tuple[Tensor]:
            z, v = pair.unbind(1)
            q = quadratic_form(self._spline, z, v, order=1)
            force = q.dz / 2 - (q.dv_dz * v.T).sum(1) / 2
            a, positive = linalg.solve(q.matrix.movedim(-1, 0), force.T)
            return (torch.where(positive.unsqueeze(-1), a, torch.nan),)

        pairs = torch.stack([z.reshape(-1, z.shape[-1]), v.reshape(-1, z.shape[-1])], 1)
        (a,) = self._route(
            pairs[:, 0], pairs, read, lambda p: (self._edge.acceleration(*p.unbind(1)),)
        )
        return a.reshape(z.shape)

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Differentiate the table once, see `Metric.chord_gradient`."""
        d = nodes.shape[-1]

        def read(ends: Tensor) -> tuple[Tensor, Tensor]:
            a, b = ends.chunk(2, -1)
            q = quadratic_form(self._spline, (a + b) / 2, b - a, order=1)
            return q.value, torch.cat([q.dz / 2 - q.dv, q.dz / 2 + q.dv]).T

        ends = torch.cat([nodes[:, :-1], nodes[:, 1:]], -1).reshape(-1, 2 * d)
        middle = (ends[:, :d] + ends[:, d:]) / 2
        value, pull = self._route(middle, ends, read, self._edge.chord_of_ends)
        n_chords = nodes.shape[1] - 1
        value, pull = value.reshape(-1, n_chords), pull.reshape(-1, n_chords, 2 * d)
        return value.sum(-1), pull[:, :-1, d:] + pull[:, 1:, :d]

    def energy_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Read the geodesic equation off the table at the nodes, see `Metric.energy_gradient`.

        The gradient of q(c, c') is q_z - (q_v)', with c' and c'' by differences of fourth order.
        """
        n, d = nodes.shape[1] - 2, nodes.shape[2]
        if n + 2 < FEWEST_NODES:
            return super().energy_gradient(nodes)

        def read(moving: Tensor) -> tuple[Tensor, Tensor]:
            z, v, bend = moving.unbind(1)
            q = quadratic_form(self._spline, z, v, order=1)
            turn = (q.matrix * bend.T).sum(1)
            return q.value, (q.dz - (q.dv_dz * v.T).sum(1) - 2 * turn).T

        def exact(moving: Tensor) -> tuple[Tensor, Tensor]:
            z, v, bend = moving.unbind(1)
            turn = bend - self._edge.acceleration(z, v)
            matrix = self._edge.metric_matrix(z)
            force = -2 * (matrix @ turn.unsqueeze(-1)).squeeze(-1)
            return torch.einsum("bi,bij,bj->b", v, matrix, v), force

        moving = torch.stack([nodes[:, 1:-1], *derivatives_of_chains(nodes)], 2).reshape(-1, 3, d)
        value, force = self._route(moving[:, 0], moving, read, exact)
        return value.reshape(-1, n).mean(-1) * (n + 1), force.reshape(-1, n, d)

    def expand_ends(self, ends: Tensor) -> EndExpansion:
        """Differentiate the table twice, see `Metric.expand_ends`."""
        d = ends.shape[-1] // 2

        def read(ends: Tensor) -> EndExpansion:
            a, b = ends.chunk(2, -1)
            q = quadratic_form(self._spline, (a + b) / 2, b - a, order=2)
            mixed = (q.dv_dz + q.dv_dz.transpose(0, 1)) / 2
            skew = (q.dv_dz.transpose(0, 1) - q.dv_dz) / 2
            outer, square = q.dz_dz / 4, 2 * q.matrix
            top = torch.cat([outer - mixed + square, outer + skew - square], 1)
            bottom = torch.cat([outer - skew - square, outer + mixed + square], 1)
            hessian = torch.cat([top, bottom]).movedim(-1, 0)
            gradient = torch.cat([q.dz / 2 - q.dv, q.dz / 2 + q.dv]).T
            return EndExpansion(q.value, gradient, hessian, q.matrix.movedim(-1, 0))

        flat = ends.reshape(-1, 2 * d)
        middle = (flat[:, :d] + flat[:, d:]) / 2
        parts = self._route(middle, flat, read, self._edge.expand_ends)
        return EndExpansion(*(part.reshape(*ends.shape[:-1], *part.shape[1:]) for part in parts))

    def _route(
        self,
        z: Tensor,
        items: Tensor,
        read: Callable[[Tensor], tuple[Tensor, ...]],
        exact: Callable[[Tensor], tuple[Tensor, ...]],
    ) -> tuple[Tensor, ...]:
        """Answer items `(n, ...)` at points z from the table, others from the exact metric."""
        inside = self.covers(z.detach())
        if bool(inside.all()):
            chunks = [read(part) for part in torch.split(items, _CHUNK)]
            return tuple(torch.cat(parts) for parts in zip(*chunks, strict=True))
        beyond = [exact(part) for part in torch.split(items[~inside], _BEYOND)]
        outer = tuple(torch.cat(parts) for parts in zip(*beyond, strict=True))
        answers = tuple(part.new_empty(len(items), *part.shape[1:]) for part in outer)
        for answer, part in zip(answers, outer, strict=True):
            answer[~inside] = part
        if bool(inside.any()):
            inner = self._route(z[inside], items[inside], read, exact)
            for answer, part in zip(answers, inner, strict=True):
                answer[inside] = part
        return answers

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save the table into a folder, such as that of its model; see `load`.

        Raises:
            StorageError: the folder cannot be written.
        """
        parts = TableParts(self._spline, self._margin, self.errors)
        write_table(check_path("folder", folder), parts, self._metric)

    @staticmethod
    def is_saved(folder: str | os.PathLike[str]) -> bool:
        """Say whether a folder holds a table."""
        return file_in(check_path("folder", folder)).is_file()

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        metric: Metric,
        *,
        device: str | torch.device | None = None,
    ) -> "TabulatedMetric":
        """Load the table that `save` wrote, for the same metric.

        Args:
            folder: the folder.
            metric: the exact metric; its values at some points are compared with the table's own.
            device: where the metric computes; None for the CPU.

        Raises:
            StorageError: there is no table, it is damaged, or it was made from another metric.
        """
        parts = read_table(check_path("folder", folder), metric, device=device)
        return cls(metric, *parts)
