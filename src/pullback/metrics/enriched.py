"""An ambient metric of the user's own under any decoder or immersion."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent
from torch.nn.functional import pad

from pullback.autodiff import unvalidated_distributions
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.metrics.ambient.base import AmbientMetric, CostField, FlatMetric
from pullback.metrics.ambient.field import FieldMetric
from pullback.metrics.base import Metric
from pullback.metrics.immersions import output_mean
from pullback.metrics.information.information_blocks import BlockInformation
from pullback.metrics.pullback import PullbackMetric
from pullback.models.decoding.door import probes

__all__ = ["with_ambient"]

# An ambient metric is tried along this many orthonormal directions drawn at random, or along all of
# them in fewer dimensions. One that is not symmetric or not positive shows it in nearly any of
# them.
_DIRECTIONS = 64
# The share of its largest entry by which an ambient metric may be off symmetry or below zero: what
# single precision leaves.
_ROUNDING = 1e-6


def with_ambient(metric: Metric, ambient: AmbientMetric, origin: Tensor) -> PullbackMetric:
    r"""Let the data space of a decoder have a metric of its own.

    With phi = (mu, sigma) and a metric G of the data space it is M = J_mu^T G(mu) J_mu +
    J_sigma^T G(mu) J_sigma. In general an image holds the same number of entries for each of the D
    numbers that are observed, and each set of D is multiplied by G; a `CostField` multiplies all. G
    is taken at the decoder's mean; for a bare immersion, or where there is no mean, at the first D
    entries of the image. A metric that is the same everywhere is pulled back through a linear map,
    as fast as without it.

    Where lengths of the image are measured by a field F already, as by a Fisher matrix, the two
    make sqrt(G) F sqrt(G), for which G must be diagonal: weights or a cost.

    Args:
        metric: the pull-back through the decoder, or through a bare immersion.
        ambient: G.
        origin: a point of the latent space, shape `(d,)`: G is tried around there.

    Returns:
        The metric with G in between, with the same decoder.

    Raises:
        InvalidParameterError: the sizes of G and of the images do not fit, or G is not diagonal
            where it must be.
        InvalidDataError: G is not finite, symmetric and positive semi-definite where it is tried.

    Source:
        Arvanitidis, Hauberg, Schölkopf, Geometrically enriched latent spaces (2021), section 3.

    Example:
        >>> from pullback.metrics import Weights
        >>> plane = PullbackMetric(lambda z: z, dim=2)
        >>> M = with_ambient(plane, Weights([1.0, 4.0]), torch.zeros(2, dtype=torch.float64))
        >>> M.metric_matrix(torch.zeros(2)).tolist()
        [[1.0, 0.0], [0.0, 4.0]]
    """
    check_kinds(metric, ambient)
    assert isinstance(metric, PullbackMetric)
    z = probes(origin, 4)
    with torch.no_grad():
        image, mean = metric.immersion(z), _mean(metric, z)
    layout = _lay_out(metric, ambient, image, mean)
    _try_out(ambient, image[..., : layout.D] if mean is None or not layout.beside else mean)
    if isinstance(ambient, FlatMetric) and not isinstance(metric, FieldMetric):
        return _FlatPullback(metric, ambient, layout)
    field = metric.field if isinstance(metric, FieldMetric) else None
    immersion = partial(_image_and_mean, metric) if layout.beside else metric.immersion
    enriched = FieldMetric(immersion, _AmbientField(ambient, field, layout), metric.dim)
    enriched.decoder, enriched.requires_grad = metric.decoder, metric.requires_grad
    return enriched


class _Layout(NamedTuple):
    """How the m entries of an image belong to the D numbers that are observed.

    Attributes:
        m: entries of an image.
        D: numbers that are observed.
        beside: the mean follows the image; else it is its first D entries.
        side_by_side: what belongs to one number stands together; else it is D entries apart.
    """

    m: int
    D: int
    beside: bool
    side_by_side: bool

    def blocks(self, v: Tensor) -> Tensor:
        """Arrange `(*batch, m)` as sets of D: `(*batch, m / D, D)`."""
        sizes = (self.D, -1) if self.side_by_side else (-1, self.D)
        blocks: Tensor = v.unflatten(-1, sizes)
        return blocks.mT if self.side_by_side else blocks

    def image(self, blocks: Tensor) -> Tensor:
        """Undo `blocks`."""
        return (blocks.mT if self.side_by_side else blocks).flatten(-2)


class _FlatPullback(PullbackMetric):
    """The pull-back through the linear map of a constant metric, set by set."""

    def __init__(self, metric: PullbackMetric, ambient: FlatMetric, layout: _Layout) -> None:
        super().__init__(partial(_flattened, metric, ambient, layout), metric.dim)
        self.decoder, self.requires_grad = metric.decoder, metric.requires_grad
        self._parts = metric, ambient, layout

    @property
    def single(self) -> PullbackMetric | None:
        metric, ambient, layout = self._parts
        if self._single is None and metric.single is not None:
            self._single = _FlatPullback(metric.single, ambient, layout)
        return self._single


class _AmbientField(AmbientMetric):
    """G on each set of D entries of an image, and a field in between if there is one."""

    def __init__(
        self, ambient: AmbientMetric, field: AmbientMetric | None, layout: _Layout
    ) -> None:
        self._ambient, self._field, self._layout = ambient, field, layout

    def apply(self, x: Tensor, v: Tensor) -> Tensor:
        m, D, beside, _ = self._layout
        point = x[..., m:] if beside else x[..., :D]
        image, pushed = x[..., :m], v[..., :m]
        if self._field is None:
            covector = self._enriched(point, pushed)
        else:
            root = self._enriched(point, torch.ones_like(image)).sqrt()
            covector = root * self._field.apply(image, root * pushed)
        # The columns beyond m hold the mean, which only says at which point G is evaluated: lengths
        # do not depend on its change.
        return pad(covector, (0, x.shape[-1] - m))

    def n_entries(self, m: int) -> int:
        own = self._ambient.n_entries(self._layout.D)
        return m + own + (0 if self._field is None else self._field.n_entries(m))

    def _enriched(self, point: Tensor, v: Tensor) -> Tensor:
        if isinstance(self._ambient, CostField):
            return self._ambient.apply(point, torch.ones_like(point))[..., :1] * v
        blocks = self._layout.blocks(v)
        return self._layout.image(self._ambient.apply(point.unsqueeze(-2), blocks))


def check_kinds(metric: object, ambient: object) -> None:
    """Raise `InvalidParameterError` where the two kinds of metrics cannot be put together.

    Example:
        >>> from pullback.metrics import Weights
        >>> check_kinds(PullbackMetric(lambda z: z), Weights([1.0]))
    """
    if not isinstance(metric, PullbackMetric):
        allowed = "pulled back through a decoder or an immersion"
        raise InvalidParameterError("metric", allowed, f"a {type(metric).__name__}")
    if not isinstance(ambient, AmbientMetric):
        allowed = "an ambient metric, such as `Weights(w)` or `CostField(cost)`"
        raise InvalidParameterError("ambient", allowed, f"a {type(ambient).__name__}")
    if isinstance(metric, FieldMetric) and not ambient.diagonal:
        raise InvalidParameterError(
            "ambient",
            "diagonal (`Weights`, `WeightField` or `CostField`) for this decoder, whose images are "
            "measured by a matrix already",
            f"a {type(ambient).__name__}",
        )


def _lay_out(
    metric: PullbackMetric, ambient: AmbientMetric, image: Tensor, mean: Tensor | None
) -> _Layout:
    """Find out how the entries of an image belong together, or refuse to guess."""
    m, n = image.shape[-1], 0 if mean is None else mean.shape[-1]
    D = ambient.dim or n or m
    leads = mean is not None and torch.equal(mean, image[..., :n])
    beside = n == D and not leads
    if isinstance(ambient, CostField) and D in ({n} if n else range(m + 1)):
        return _Layout(m, D, beside, side_by_side=False)
    if m == D or (n == D and leads and m % D == 0):
        return _Layout(m, D, beside, side_by_side=False)
    if metric.decoder is None and m % D == 0 and not isinstance(metric, FieldMetric):
        return _Layout(m, D, beside, side_by_side=False)
    observed = _n_observed(metric, image)
    if observed == D and D in (n, n or D):
        return _Layout(m, D, beside, side_by_side=True)
    fitting = ", ".join(str(size) for size in sorted({n, observed, m} - {0}))
    cure = "Give one weight, row or coordinate for each number that is observed, events flattened."
    got = f"a metric of dimension {D}, where images have {m} entries"
    raise InvalidParameterError("ambient", f"of a dimension that fits: {fitting}", got, cure)


def _n_observed(metric: PullbackMetric, image: Tensor) -> int:
    """How many observations an image describes, each by neighbouring entries; 0 if unknown."""
    m = image.shape[-1]
    if isinstance(metric, FieldMetric):
        size = metric.field.size if isinstance(metric.field, BlockInformation) else 0
        return m // size if size else 0
    if metric.decoder is None:
        return 0
    output = metric.decoder(image.new_zeros(1, cast("int", metric.dim)))
    output = output.base_dist if isinstance(output, Independent) else output
    return m // output.logits.shape[-1] if isinstance(output, Categorical) else 0


def _mean(metric: PullbackMetric, z: Tensor) -> Tensor | None:
    """The decoder's mean, one row for each point; None where there is none."""
    if metric.decoder is None:
        return None
    mean = output_mean(metric.decoder(z)).to(z)
    return mean if mean.ndim == 2 and bool(mean.isfinite().all()) else None


def _image_and_mean(metric: PullbackMetric, z: Tensor) -> Tensor:
    decode = cast("Callable[[Tensor], Any]", metric.decoder)
    # Unvalidated, so that one NaN does not end the whole batch: the search finds it in the image,
    # and says for which pair.
    with unvalidated_distributions():
        mean = output_mean(decode(z.reshape(-1, z.shape[-1]))).to(z.dtype)
    return torch.cat([metric.immersion(z), mean.reshape(*z.shape[:-1], mean.shape[-1])], -1)


def _flattened(metric: PullbackMetric, ambient: FlatMetric, layout: _Layout, z: Tensor) -> Tensor:
    return layout.image(ambient.flatten(layout.blocks(metric.immersion(z))))


def _try_out(ambient: AmbientMetric, points: Tensor) -> None:
    """Look at U^T G U for orthonormal directions U: all of them in few dimensions."""
    D = points.shape[-1]
    generator = torch.Generator().manual_seed(0)
    shape = (D, min(D, _DIRECTIONS))
    draws = torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")
    U = torch.linalg.qr(draws).Q.to(points)
    G = ambient.apply(points.unsqueeze(-2), U.mT.expand(len(points), -1, -1)) @ U
    name = type(ambient).__name__
    if not bool(G.isfinite().all()):
        raise InvalidDataError(f"`ambient`: {name} returned NaN or infinity at images of the map.")
    tolerance = max(_ROUNDING, torch.finfo(G.dtype).eps ** 0.5) * G.abs().amax((-1, -2))
    if not bool(((G - G.mT).abs().amax((-1, -2)) <= tolerance).all()):
        raise InvalidDataError(f"`ambient`: {name} is not symmetric at images of the map.")
    smallest = torch.linalg.eigvalsh((G + G.mT) / 2).amin(-1)
    if not bool((smallest >= -tolerance).all()):
        raise InvalidDataError(
            f"`ambient`: {name} is not positive at images of the map: an eigenvalue of "
            f"{smallest.min():.3g}. Costs and weights must be positive, matrices positive definite."
        )
