"""What a Riemannian metric on the latent space is, and what follows from it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import gradient, jvp, second_order
from pullback.metrics.chords import ChordExpansion, EndExpansion, Refine, RefinedChords, interleaved
from pullback.shapes import (
    Codes,
    Latent,
    Mask,
    MetricMatrix,
    Nodes,
    Pairs,
    Points,
    Scalars,
    Tangent,
)

__all__ = ["Metric"]

_BOUNDS = 2**20  # lower bounds that are taken at once, so that memory stays at some megabytes
_ROUNDING = 1e-7  # by which a lower bound is lowered, as a share: far above double precision's own


class Metric(ABC):
    """A Riemannian metric: a positive definite matrix M(z) that changes smoothly with z.

    A new metric implements `metric_matrix`; everything else has a default that follows from it,
    which a metric with more structure may override for speed or accuracy.

    Args:
        dim: the dimension d of the latent space, or None where any will do.

    Example:
        >>> class Flat(Metric):
        ...     def metric_matrix(self, z):
        ...         return torch.eye(z.shape[-1]).expand(*z.shape, -1)
        >>> Flat().norm(torch.zeros(2), torch.tensor([3.0, 4.0])).item()
        5.0
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    @abstractmethod
    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute M(z).

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            Symmetric positive semi-definite matrices, shape `(*batch, d, d)`.
        """

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute <u, v>_z = u^T M(z) v.

        Args:
            z: points, shape `(*batch, d)`.
            u: tangent vectors at z, shape `(*batch, d)`.
            v: tangent vectors at z, shape `(*batch, d)`.

        Returns:
            Inner products, shape `(*batch,)`.
        """
        return torch.einsum("...i,...ij,...j->...", u, self.metric_matrix(z), v)

    def norm(self, z: Latent, v: Tangent) -> Scalars:
        """Compute |v|_z = sqrt(v^T M(z) v), shape `(*batch,)`; see `inner_product`."""
        return self.inner_product(z, v, v).clamp(min=0).sqrt()

    def log_volume(self, z: Latent) -> Scalars:
        """Compute log sqrt det M(z), the logarithm of the magnification factor.

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            The log-volume, shape `(*batch,)`: -inf where M(z) is singular.
        """
        return linalg.half_log_det(self.metric_matrix(z))

    def chords(self, points: Points) -> Tensor:
        """Measure the chord between each two neighbours on a curve, M taken half-way.

        Args:
            points: points along curves, shape `(*batch, n, d)`.

        Returns:
            Chord lengths, shape `(*batch, n - 1)`.
        """
        return self._squared_chords(points).clamp(min=0).sqrt()

    def chords_between(self, points: Nodes, pairs: Pairs) -> Tensor:
        """Measure the chords between pairs of points, each point being used many times.

        Args:
            points: points, shape `(nodes, d)`.
            pairs: indices of the points that each chord joins, shape `(k, 2)`.

        Returns:
            Chord lengths, shape `(k,)`.
        """
        return self.chords(points[pairs]).squeeze(-1)

    def chords_by_step(self, points: Points, steps: Sequence[int] = (1, 2)) -> tuple[Tensor, ...]:
        """Measure the chords between neighbours on a curve, between every second point, and so on.

        Chords of steps 1 and 2 together give lengths and energies to fourth order in the step.

        Args:
            points: n points along curves, shape `(*batch, n, d)`.
            steps: the steps s, each a divisor of n - 1.

        Returns:
            Chord lengths for each step, shapes `(*batch, (n - 1) / s)`.
        """
        return tuple(self.chords(points[..., ::step, :]) for step in steps)

    def refined_chords(self, points: Points, n_steps: int, refine: Refine) -> RefinedChords:
        """Measure chords between few points, and between more where that leaves a doubt.

        Args:
            points: n points along curves, shape `(batch, n, d)`.
            n_steps: how many steps are measured, 1, 2, 4 and so on: the last divides n - 1.
            refine: says which curves to measure by more points, and by which; it is asked once for
                each curve, of some curves at a time.
        """
        steps = [2**k for k in range(n_steps)]
        coarse = self.chords_by_step(points, steps)
        ends = points[:, [0, -1]]
        rounding = self.chord_rounding(ends).amax(-1)
        rows, between = refine(coarse, slice(0, len(points)))
        fine: tuple[Tensor, ...] = ()
        if len(rows) > 0:
            fine = self.chords_by_step(interleaved(points[rows], between.to(points)), steps)
        return RefinedChords(coarse, rounding, self.chord_floor(*ends.unbind(1)), rows, fine)

    def chord_floor(self, point_a: Latent, point_b: Latent) -> Scalars:
        """Bound the length of every curve from a to b from below.

        For a pull-back it is the straight line between the images; without an immersion it is 0.

        Args:
            point_a: start points, shape `(*batch, d)`.
            point_b: end points, shape `(*batch, d)`.

        Returns:
            The lower bound, shape `(*batch,)`.
        """
        return torch.zeros_like(point_a[..., 0] + point_b[..., 0])

    @torch.no_grad()
    def lower_bounds(self, point_a: Codes, point_b: Nodes) -> Tensor:
        """Bound the lengths of all curves between two sets of points from below.

        These are the bounds of `chord_floor` for all pairs, less what rounding may add to them. A
        metric that overrides `chord_floor` gets them pair by pair, unless it overrides this too.

        Args:
            point_a: start points, shape `(n_a, d)`.
            point_b: end points, shape `(n_b, d)`.

        Returns:
            Lower bounds >= 0, shape `(n_a, n_b)`: 0 where nothing is known.
        """
        rows = max(1, _BOUNDS // max(1, len(point_b)))
        parts = []
        for block in point_a.split(rows):
            a = block.repeat_interleave(len(point_b), 0)
            parts.append(self.chord_floor(a, point_b.repeat(len(block), 1)))
        floor = (1 - _ROUNDING) * torch.cat(parts).reshape(len(point_a), len(point_b))
        return floor.nan_to_num(nan=0.0, posinf=0.0).clamp(min=0)

    def chord_rounding(self, z: Latent) -> Scalars:
        """Say how far off a chord measured near z may be for the finite precision of its ends.

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            The absolute error, shape `(*batch,)`: that of the images of an immersion, else 0.
        """
        return torch.zeros_like(z[..., 0])

    requires_grad: bool = False
    """Whether the metric depends on parameters that lengths shall pass derivatives on to."""

    hessian_cost: ClassVar[float] = 5.0
    """Roughly what `expand_chords` costs in units of `chord_gradient`: solvers go by it."""

    @property
    def is_cheap(self) -> bool:
        """Whether a thousand points cost less than the search for a geodesic, as on a table.

        On a cheap metric many distances are measured by short searches, and graphs are finer.
        """
        return False

    @property
    def exact(self) -> "Metric":
        """The metric that answers are measured with: another where this one approximates it."""
        return self

    @property
    def is_near(self) -> bool:
        """Whether the metric is near enough to the exact one to look for other ways on it."""
        return True

    @property
    def single(self) -> "Metric | None":
        """The same metric in single precision, for rough searches; None where there is none."""
        return None

    def rough_matrix(self, z: Latent) -> MetricMatrix:
        """Compute M(z) from derivatives in single precision where there are such, see `single`.

        Sums are taken in the precision of z. Whoever asks has to look at how far off that is.

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            M, shape `(*batch, d, d)`: by default that of `metric_matrix`.
        """
        return self.metric_matrix(z)

    def contains(self, z: Latent) -> Mask:
        """Say which points `(*batch, d)` lie where the metric is defined: by default all."""
        return torch.ones_like(z[..., 0], dtype=torch.bool)

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        r"""Compute c'' of the geodesic through z with velocity v: the right side of its equation.

        M c'' = 1/2 grad_z (v^T M v) - (D_v M) v, by one reverse and one forward sweep: no tensor of
        Christoffel symbols is formed.

        Args:
            z: points, shape `(*batch, d)`.
            v: velocities, shape `(*batch, d)`.

        Returns:
            c'', shape `(*batch, d)`: NaN where the metric is singular or not finite.

        Source:
            do Carmo, Riemannian Geometry (1992), chapter 3.
        """
        pull = gradient(lambda z: self.inner_product(z, v, v).unsqueeze(-1), z)[1]
        _, change = jvp(lambda z: (self.metric_matrix(z) @ v.unsqueeze(-1)).squeeze(-1), z, v)
        a, positive = linalg.solve(self.metric_matrix(z), pull / 2 - change)
        return torch.where(positive.unsqueeze(-1), a, torch.nan)

    def squared_chord_sum(self, nodes: Points) -> Scalars:
        """Compute S = sum_i |chord_i|^2 of chains of nodes `(*batch, n, d)`: shape `(*batch,)`."""
        return self._squared_chords(nodes).sum(-1)

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Compute S and its gradient in the interior nodes, by one reverse sweep.

        Args:
            nodes: chains of nodes with fixed ends, shape `(batch, n + 2, d)`.

        Returns:
            S, shape `(batch,)`, and dS/dz_i, shape `(batch, n, d)`.
        """
        value, pull = gradient(lambda z: self._squared_chords(z), nodes)
        return value.sum(-1), pull[:, 1:-1]

    def energy_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        r"""Compute S and the gradient of the energy to fourth order in the step.

        The gradients g_h of S and g_2h of the chains of every second node err by h^2 in the same
        way, so 4/3 g_h - 1/12 g_2h is free of that error (g_h next to the ends).

        Args:
            nodes: chains of nodes at equal times with fixed ends, shape `(batch, n + 2, d)`.

        Returns:
            S, shape `(batch,)`, and the gradient at the interior nodes, in the unit of dS/dz_i,
            shape `(batch, n, d)`.
        """
        value, force = self.chord_gradient(nodes)
        force = force.clone()
        for first in (0, 1):
            chain = nodes[:, first::2]
            if chain.shape[1] > 2:
                wide = self.chord_gradient(chain)[1]
                force[:, first + 1 : first + 2 * wide.shape[1] : 2].mul_(4 / 3).sub_(wide / 12)
        return value, force

    def weighted_chord_gradient(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Compute sum_i w_i |chord_i|^2 and its gradient in the interior nodes.

        With w_i = 1 / (N dt_i) and N segments it is that of a chain whose steps of the time dt_i
        differ: N / 2 of it tends to the energy.

        Args:
            nodes: chains of nodes with fixed ends, shape `(batch, n + 2, d)`.
            weights: w, the same for all chains, shape `(n + 1,)`.

        Returns:
            The sum, shape `(batch,)`, and its derivative by each node, shape `(batch, n, d)`.
        """
        value, pull = gradient(lambda z: weights * self._squared_chords(z), nodes)
        return value.sum(-1), pull[:, 1:-1]

    def gauss_newton(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        r"""Compute the leading part of the Hessian of sum_i w_i |chord_i|^2: positive definite.

        Here it is that of the metric held still in the middle of each chord; a pull-back has
        J_i^T J_k in its blocks, and so sees how the metric changes along the chain.

        Args:
            nodes: chains of nodes with fixed ends, shape `(batch, n + 2, d)`.
            weights: w, the same for all chains, shape `(n + 1,)`.

        Returns:
            The blocks on the diagonal, shape `(batch, n, d, d)`, and beside it,
            `(batch, n - 1, d, d)`.
        """
        chord = 2 * weights[:, None, None] * self.metric_matrix((nodes[:, 1:] + nodes[:, :-1]) / 2)
        return chord[:, :-1] + chord[:, 1:], -chord[:, 1:-1]

    def expand_chords(self, nodes: Points) -> ChordExpansion:
        """Expand the sum of squared chords to second order in the interior nodes.

        Args:
            nodes: chains of nodes with fixed ends, shape `(batch, n + 2, d)`.

        Returns:
            The value, the gradient, the blocks of the Hessian and the metric at the nodes.
        """
        d = nodes.shape[-1]
        chord = self.expand_ends(torch.cat([nodes[:, :-1], nodes[:, 1:]], -1))
        gradient, hessian, metric = chord.gradient, chord.hessian, chord.metric
        return ChordExpansion(
            value=chord.value.sum(-1),
            gradient=gradient[:, :-1, d:] + gradient[:, 1:, :d],
            diagonal=hessian[:, :-1, d:, d:] + hessian[:, 1:, :d, :d],
            off_diagonal=hessian[:, 1:-1, :d, d:],
            metric=(metric[:, :-1] + metric[:, 1:]) / 2,
        )

    def expand_ends(self, ends: Latent) -> EndExpansion:
        """Expand single squared chords to second order in both their ends.

        Args:
            ends: the two ends of each chord, one after the other, shape `(*batch, 2 d)`.

        Returns:
            The value, the gradient, the Hessian and the metric half-way.
        """
        one = ends.new_ones(*ends.shape[:-1], 1)
        chord = second_order(self._squared_chord_of_ends, ends, one)
        a, b = ends.chunk(2, -1)
        metric = self.metric_matrix((a + b) / 2)
        return EndExpansion(chord.value.squeeze(-1), chord.gradient, chord.hessian, metric)

    def _squared_chords(self, points: Tensor) -> Tensor:
        middle = (points[..., 1:, :] + points[..., :-1, :]) / 2
        step = points.diff(dim=-2)
        return torch.einsum("...i,...ij,...j->...", step, self.metric_matrix(middle), step)

    def _squared_chord_of_ends(self, ends: Tensor) -> Tensor:
        a, b = ends.chunk(2, -1)
        return self._squared_chords(torch.stack([a, b], -2))
