"""The metric that an immersion pulls back into the latent space."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pullback import linalg
from pullback.autodiff import Map, SmoothMap, differentiable, unvalidated_distributions
from pullback.metrics.base import Metric
from pullback.metrics.chords import (
    ChordExpansion,
    Refine,
    RefinedChords,
    halved_chords,
    image_chords,
)
from pullback.metrics.immersions import immersion as immersion_of
from pullback.models.decoding.copying import cast_module, copy_module
from pullback.models.decoding.door import check_map, probes
from pullback.models.decoding.laws import is_rough_copy
from pullback.models.decoding.preparation import take_in, where_to_compute
from pullback.shapes import (
    Ambient,
    Codes,
    Latent,
    MetricMatrix,
    Nodes,
    Pairs,
    Points,
    Scalars,
    Tangent,
)

__all__ = ["PullbackMetric"]

_Metric = TypeVar("_Metric", bound="PullbackMetric")

# The bytes of one batch of images on a CPU, 3 MiB: it stays in the cache of a core and in memory
# that is used again, three times faster than larger ones.
_IMAGE_BYTES = 3 * 2**20
# The same on an accelerator, 1 GiB: it wants as much work at once as its memory holds.
_ACCELERATOR_BYTES = 2**30
# Points at which the copy of a decoder in single precision is held against the exact metric before
# it is used for rough searches.
_PROBES = 4
# The rounding of a distance between images, as a share of their size: `cdist` squares it, and so
# loses half of the digits.
_ROUNDING = 1e-7
# Where many chords share their ends, this many blocks of images are held at once: a longer block
# finds more ends shared, and needs more memory.
_BLOCK_IMAGES = 8


class PullbackMetric(Metric):
    r"""The pull-back M(z) = J_phi(z)^T J_phi(z) of the Euclidean metric under an immersion phi.

    With phi = (mu, sigma) this is the expected metric of a Gaussian decoder,
    M = J_mu^T J_mu + J_sigma^T J_sigma. Chords are straight lines in R^m, so the length of a chain
    of nodes is a lower bound on the length of the curve through them.

    Args:
        immersion: phi, from points `(*batch, d)` to images `(*batch, m)`, row by row.
        dim: the dimension d of the latent space, or None where any will do.

    Attributes:
        smooth: the immersion with its derivatives, see `SmoothMap`.
        decoder: what `from_decoder` measures, its own copy of a module; None for a bare immersion.

    Source:
        Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018), equation 8.

    Example:
        >>> paraboloid = lambda z: torch.cat([z, z.square().sum(-1, keepdim=True)], -1)
        >>> M = PullbackMetric(paraboloid, dim=2)
        >>> M.metric_matrix(torch.tensor([1.0, 0.0])).tolist()
        [[5.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, immersion: Map, dim: int | None = None) -> None:
        super().__init__(dim)
        self.immersion = immersion
        self.smooth = SmoothMap(immersion)
        self.decoder: Callable[[Tensor], Any] | None = None
        self._ambient_dim: int | None = None
        self._single: PullbackMetric | None = None
        self._is_single_tried = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is found again when it is asked for."""
        return vars(self) | {"_ambient_dim": None}

    @classmethod
    def from_decoder(
        cls: type[_Metric],
        decoder: nn.Module | Callable[[Tensor], Any],
        *,
        dim: int | None = None,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device | None = None,
        trainable: bool = False,
    ) -> _Metric:
        """Pull the metric back through a decoder, whatever it returns: see `immersion`.

        A module is copied into `dtype` and evaluation mode; the caller's stays as it is.

        Args:
            decoder: a module or a callable from z `(*batch, d)` to a distribution or a tensor.
            dim: the latent dimension d; read off the decoder's `latent_dim` if it has one.
            dtype: the floating-point type to compute in.
            device: where to compute; None for where a module is, and the CPU for a function.
            trainable: follow a module as it trains: its present weights are used at every call, and
                derivatives reach them.

        Returns:
            The metric.

        Raises:
            InvalidParameterError: `dim` is missing, the metric knows nothing of the family that
                comes out, or the decoder is in training mode and would answer differently there.
            DeviceError: the device is not on this machine.
            InvalidDataError: the decoder returns NaN, ignores the batch, is not deterministic, or
                does not depend on z at all.

        Example:
            >>> metric = PullbackMetric.from_decoder(nn.Linear(2, 3), dim=2)
            >>> metric.metric_matrix(torch.zeros(5, 2).double()).shape
            torch.Size([5, 2, 2])
        """
        taken = take_in(decoder, dim=dim, dtype=dtype, device=device, trainable=trainable)
        return cls.from_prepared(taken.decoder, taken.origin, trainable=trainable)

    @classmethod
    def from_prepared(
        cls: type[_Metric],
        decoder: Callable[[Tensor], Any],
        origin: Latent,
        *,
        trainable: bool = False,
    ) -> _Metric:
        """Pull the metric back through what `prepare_decoder` returned and `look` has passed.

        Args:
            decoder: from points `(n, d)` to a distribution or a tensor; it is not copied.
            origin: a point of the latent space, which says dimension, dtype and device.
            trainable: derivatives reach its weights.

        Raises:
            InvalidDataError: the decoder is broken, see `from_decoder`.

        Example:
            >>> PullbackMetric.from_prepared(torch.tanh, torch.zeros(2)).dim
            2
        """
        of_output = partial(_immersion_of_output, decoder)
        check_map(of_output, origin)
        metric = cls(of_output, len(origin))
        metric.decoder = decoder
        metric.requires_grad = trainable
        return metric

    @property
    def single(self) -> "PullbackMetric | None":
        """A copy of the module in single precision, see `Metric.single`.

        None for a function, and where the copy cannot be evaluated or is far off, as of a module
        that holds numbers in double precision besides its weights.
        """
        if not self._is_single_tried and isinstance(self.decoder, nn.Module):
            self._single = self._find_single(self.decoder)
            self._is_single_tried = True
        return self._single

    def _find_single(self, decoder: nn.Module) -> "PullbackMetric | None":
        twin = cast_module(copy_module(decoder), torch.float32)
        immersion = partial(_immersion_of_output, twin)
        origin = torch.zeros(self.dim or 1, dtype=torch.float64, device=where_to_compute(twin))
        try:
            rough = is_rough_copy(immersion, self.immersion, probes(origin, _PROBES))
        except Exception:  # of whatever kind: the search does without, in double precision
            return None
        return PullbackMetric(immersion, self.dim) if rough else None

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute J^T J, shape `(*batch, d, d)`, see `Metric.metric_matrix`."""
        return self._grams(z, z.dtype)

    def rough_matrix(self, z: Latent) -> MetricMatrix:
        """Compute J^T J of J in single precision, see `Metric.rough_matrix`."""
        single = self.single
        return self.metric_matrix(z) if single is None else single._grams(z.float(), z.dtype)

    def _grams(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        def gram(z: Tensor) -> Tensor:
            _, J = self.smooth.jacobian(z)
            J = J.to(dtype)
            return J.mT @ J

        flat, sweeps = z.reshape(-1, z.shape[-1]), 1 + z.shape[-1]
        chunks = [gram(part) for part in self._chunks(flat, sweeps=sweeps, held=sweeps)]
        return torch.cat(chunks).reshape(*z.shape, z.shape[-1])

    def inner_product(self, z: Latent, u: Tangent, v: Tangent) -> Scalars:
        """Compute <J u, J v> in two forward sweeps, see `Metric.inner_product`."""
        pushed_u = self.push_forward(z, u)
        return (pushed_u * self.push_forward(z, v)).sum(-1)

    def norm(self, z: Latent, v: Tangent) -> Scalars:
        """Compute |J v| in one forward sweep, see `Metric.norm`."""
        norm: Tensor = torch.linalg.vector_norm(self.push_forward(z, v), dim=-1)
        return norm

    def push_forward(self, z: Latent, v: Tangent) -> Ambient:
        """Push tangent vectors into the ambient space: J_phi(z) v, shape `(*batch, m)`.

        Args:
            z: points, shape `(*batch, d)`.
            v: tangent vectors at z, shape `(*batch, d)`.
        """
        return self.smooth.jvp(z, v)[1]

    def chord_floor(self, point_a: Latent, point_b: Latent) -> Scalars:
        """Measure the straight line between the images, see `Metric.chord_floor`."""
        point_a, point_b = torch.broadcast_tensors(point_a, point_b)
        image_a, image_b = self.immersion(torch.stack([point_a, point_b]))
        floor: Tensor = (image_b - image_a).norm(dim=-1)
        return floor

    @torch.no_grad()
    def lower_bounds(self, point_a: Codes, point_b: Nodes) -> Tensor:
        """Measure the straight lines between all images, see `Metric.lower_bounds`."""
        image_a, image_b = self.immersion(point_a), self.immersion(point_b)
        size = image_a.norm(dim=-1, keepdim=True) + image_b.norm(dim=-1)
        floor: Tensor = torch.cdist(image_a, image_b) - _ROUNDING * size
        return floor.nan_to_num(nan=0.0, posinf=0.0).clamp(min=0)

    def chord_rounding(self, z: Latent) -> Scalars:
        """Take a few units in the last place of the images, see `Metric.chord_rounding`."""
        return _rounding(self.immersion(z))

    def acceleration(self, z: Latent, v: Tangent) -> Tangent:
        """Solve J^T J c'' = -J^T D^2 phi[v, v], see `Metric.acceleration`."""

        def solved(z: Tensor, v: Tensor) -> Tensor:
            J, pulled = self.smooth.bend(z, v)
            a, positive = linalg.solve(J.mT @ J, pulled)
            return torch.where(positive.unsqueeze(-1), 0 - a, torch.nan)

        d = z.shape[-1]
        pairs = torch.stack([z.reshape(-1, d), v.reshape(-1, d)], 1)
        parts = [solved(*part.unbind(1)) for part in self._chunks(pairs, sweeps=2 + d)]
        return torch.cat(parts).reshape(z.shape)

    def chord_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Pull 2 (2 phi_i - phi_(i-1) - phi_(i+1)) back, see `Metric.chord_gradient`."""
        return self._pull_bends(nodes, _bend)

    def energy_gradient(self, nodes: Points) -> tuple[Tensor, Tensor]:
        """Pull both bends back in one sweep, see `Metric.energy_gradient`."""
        return self._pull_bends(nodes, _bend_to_fourth_order)

    def _pull_bends(
        self, nodes: Tensor, bend_of: Callable[[Tensor], Tensor], weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute S, and J_i^T of twice the bend of the images at each interior node."""
        values, pulled = [], []
        for part in self._chunks(nodes, sweeps=4):
            with differentiable():
                image, pull, *_ = torch.func.vjp(self.immersion, part)
                bend = torch.zeros_like(image)
                bend[:, 1:-1] = bend_of(image)
                (gradient,) = pull(bend.mul_(2))
            squared = image.diff(dim=-2).square().sum(-1)
            values.append((squared if weights is None else weights * squared).sum(-1))
            pulled.append(gradient[:, 1:-1])
        return torch.cat(values), torch.cat(pulled)

    def weighted_chord_gradient(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Pull weighted bends back, see `Metric.weighted_chord_gradient`."""
        return self._pull_bends(nodes, lambda image: _weighted_bend(image, weights), weights)

    def gauss_newton(self, nodes: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Multiply the Jacobians of neighbouring nodes, see `Metric.gauss_newton`."""
        both, between = (weights[1:] + weights[:-1]), weights[1:-1]
        diagonal, off_diagonal = [], []
        for part in self._chunks(nodes[:, 1:-1], sweeps=1 + nodes.shape[-1]):
            _, J = self.smooth.jacobian(part)
            diagonal.append(2 * both[:, None, None] * (J.mT @ J))
            off_diagonal.append(-2 * between[:, None, None] * (J[:, :-1].mT @ J[:, 1:]))
        return torch.cat(diagonal), torch.cat(off_diagonal)

    def expand_chords(self, nodes: Points) -> ChordExpansion:
        """Expand in one sweep over the nodes, see `Metric.expand_chords`."""
        sweeps = 2 * nodes.shape[-1] + 4
        parts = [self._expand_chords(part) for part in self._chunks(nodes, sweeps=sweeps)]
        return ChordExpansion(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _expand_chords(self, nodes: Tensor) -> ChordExpansion:
        # Neighbouring chords share a node, so one sweep over the nodes serves all of them:
        # dS/dz_i = 2 J_i^T r_i with r_i = 2 phi_i - phi_(i-1) - phi_(i+1).
        chord = self.immersion(nodes).diff(dim=-2)
        at = self.smooth.second_order(nodes[:, 1:-1], -chord.diff(dim=-2))
        gram = at.jacobian.mT @ at.jacobian
        return ChordExpansion(
            value=chord.square().sum((-1, -2)),
            gradient=2 * at.gradient,
            diagonal=4 * gram + 2 * at.hessian,
            off_diagonal=-2 * at.jacobian[:, :-1].mT @ at.jacobian[:, 1:],
            metric=gram,
        )

    def chords_between(self, points: Nodes, pairs: Pairs) -> Tensor:
        """Map each point of a block of pairs once, see `Metric.chords_between`."""
        if len(pairs) == 0:
            return points.new_zeros(0)
        chords: list[Tensor] = []
        blocks = torch.split(pairs, _BLOCK_IMAGES * self._n_rows(points, sweeps=4))
        for block in blocks:
            index, position = block.unique(return_inverse=True)
            image = torch.cat(
                [self.immersion(part) for part in self._chunks(points[index], sweeps=4)]
            )
            for ends in torch.split(position, self._n_rows(points, sweeps=4)):
                chords.append((image[ends[:, 1]] - image[ends[:, 0]]).norm(dim=-1))
        return torch.cat(chords)

    def chords_by_step(self, points: Points, steps: Sequence[int] = (1, 2)) -> tuple[Tensor, ...]:
        """Measure all on the same images, see `Metric.chords_by_step`."""
        flat = points.reshape(-1, *points.shape[-2:])
        chords: list[list[Tensor]] = [[] for _ in steps]
        for part in self._chunks(flat, sweeps=3):
            for chord, found in zip(image_chords(self.immersion(part), steps), chords, strict=True):
                found.append(chord)
        shape = points.shape[:-2]
        return tuple(torch.cat(found).reshape(*shape, found[0].shape[-1]) for found in chords)

    def refined_chords(self, points: Points, n_steps: int, refine: Refine) -> RefinedChords:
        """Take images of the points between alone, see `Metric.refined_chords`.

        Chords of twice the step are those of the first measurement.
        """
        steps = [2**k for k in range(n_steps)]
        parts, place = [], 0
        for part in self._chunks(points, sweeps=3):
            image = self.immersion(part)
            coarse = image_chords(image, steps)
            rows, between = refine(coarse, slice(place, place + len(part)))
            fine: tuple[Tensor, ...] = ()
            if len(rows) > 0:
                halves = halved_chords(image[rows], self.immersion(between.to(part)))
                fine = (halves, *(chord[rows] for chord in coarse[:-1]))
            (floor,) = image_chords(image, [image.shape[1] - 1])
            rounding = _rounding(image[:, :: image.shape[1] - 1]).amax(-1)
            parts.append(RefinedChords(coarse, rounding, floor.squeeze(-1), place + rows, fine))
            place += len(part)
        return RefinedChords.joined(parts)

    def _squared_chords(self, points: Tensor) -> Tensor:
        def squared(points: Tensor) -> Tensor:
            return self.immersion(points).diff(dim=-2).square().sum(-1)

        flat = points.reshape(-1, *points.shape[-2:])
        chords = torch.cat([squared(part) for part in self._chunks(flat, sweeps=2)])
        return chords.reshape(*points.shape[:-2], points.shape[-2] - 1)

    def _chunks(self, items: Tensor, *, sweeps: int, held: int = 1) -> tuple[Tensor, ...]:
        """Split items along their first axis so that their images fit where they are computed.

        On an accelerator all sweeps have to fit, on a CPU those that are held at the same time.
        """
        if items.numel() == 0:
            return (items,)
        return torch.split(items, self._n_rows(items, sweeps=sweeps, held=held))

    def _n_rows(self, items: Tensor, *, sweeps: int, held: int = 1) -> int:
        if self._ambient_dim is None:
            with torch.no_grad():
                self._ambient_dim = self.immersion(items.reshape(-1, items.shape[-1])[:1]).shape[-1]
        on_cpu = items.device.type == "cpu"
        budget = _IMAGE_BYTES // held if on_cpu else _ACCELERATOR_BYTES // sweeps
        item_bytes = self._ambient_dim * items.element_size() * math.prod(items.shape[1:-1])
        return max(1, budget // max(1, item_bytes))


def _rounding(image: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(image, dim=-1)
    return 4 * torch.finfo(image.dtype).eps * size


def _bend(image: Tensor) -> Tensor:
    """Twice the way to each interior image from the middle between its two neighbours."""
    return -image.diff(n=2, dim=-2)


def _weighted_bend(image: Tensor, weights: Tensor) -> Tensor:
    return -(weights.unsqueeze(-1) * image.diff(dim=-2)).diff(dim=-2)


def _bend_to_fourth_order(image: Tensor) -> Tensor:
    bend = _bend(image)
    wide = 2 * image[:, 2:-2] - image[:, :-4] - image[:, 4:]
    bend[:, 1:-1].mul_(4 / 3).sub_(wide, alpha=1 / 12)
    return bend


def _immersion_of_output(decoder: Callable[[Tensor], Any], z: Tensor) -> Tensor:
    flat = z.reshape(-1, z.shape[-1])  # the one shape that every decoder takes
    # Unvalidated, so that one NaN does not end the whole batch: the search finds it in the image,
    # and says for which pair.
    with unvalidated_distributions():
        image = immersion_of(decoder(flat)).to(z.dtype)
    if image.ndim < 2 or len(image) != len(flat):
        return image  # which `check_map` refuses
    rows = image.flatten(1)
    return rows.reshape(*z.shape[:-1], rows.shape[-1])
