"""How the image of the latent space bends in the space that it is immersed in."""

from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.autodiff import Map
from pullback.display import as_html, as_line
from pullback.manifolds.curvature.jet import jet
from pullback.metrics import FieldMetric, Metric, PullbackMetric, RestrictedMetric, SumMetric
from pullback.shapes import Latent, Mask, MetricMatrix

__all__ = [
    "SecondFundamentalForm",
    "flat_immersion",
    "image_size",
    "normal_part",
    "second_fundamental_form",
]


class SecondFundamentalForm(NamedTuple):
    """The second fundamental form II of an immersion, with the metric that it goes with.

    Attributes:
        normal: II(e_i, e_j), the part of d^2 phi / dz_i dz_j that is normal to the image, shape
            `(*batch, d, d, m)`; meaningless where the metric is singular.
        cholesky: the lower factor L of M = L L^T, shape `(*batch, d, d)`.
        positive: where M is positive definite, shape `(*batch,)`.

    Example:
        >>> parabola = lambda z: torch.cat([z, z.square()], -1)
        >>> form = second_fundamental_form(parabola, torch.zeros(1))
        >>> form.normal.flatten().tolist(), form.cholesky.item()
        ([0.0, 2.0], 1.0)
    """

    normal: Tensor
    cholesky: MetricMatrix
    positive: Mask

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def second_fundamental_form(immersion: Map, z: Latent) -> SecondFundamentalForm:
    r"""Compute II(e_i, e_j) = (1 - J M^-1 J^T) d^2 phi / dz_i dz_j with M = J^T J.

    Args:
        immersion: phi, from points `(*batch, d)` to images `(*batch, m)`, row by row.
        z: points, shape `(*batch, d)`.

    Returns:
        The form and the factor of the metric. All of it is held at once: m d^2 numbers a point.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 6.

    Example:
        >>> from pullback.manifolds.reference import paraboloid
        >>> second_fundamental_form(paraboloid, torch.zeros(2)).normal[..., -1]  # at the apex
        tensor([[2., 0.],
                [0., 2.]])
    """
    d = z.shape[-1]
    flat = z.reshape(-1, d)
    J, H = jet(immersion, flat)
    columns = J.movedim(0, 1)
    L, positive = linalg.cholesky(columns @ columns.mT)
    normal = normal_part(H.flatten(0, 1).movedim(0, 1), columns, L)
    return SecondFundamentalForm(
        normal.reshape(*z.shape, d, normal.shape[-1]),
        L.reshape(*z.shape, d),
        positive.reshape(z.shape[:-1]),
    )


def flat_immersion(metric: Metric) -> Map | None:
    """Return the map into a flat space by which a metric is pulled back, or None.

    Sums of such metrics are pulled back by all their maps at once: so the expected metric of an
    ensemble of k decoders by (phi_1, ..., phi_k) / sqrt(k).

    Args:
        metric: any metric.

    Returns:
        The immersion, from points `(*batch, d)` to images `(*batch, m)`; None if there is none.

    Example:
        >>> from pullback.metrics import ScaledMetric
        >>> line = ScaledMetric(PullbackMetric(lambda z: z), 9.0)
        >>> flat_immersion(line)(torch.ones(1)).item()
        3.0
    """
    if isinstance(metric, RestrictedMetric):
        whole = flat_immersion(metric.metric)
        return None if whole is None else _after(whole, metric.embed)
    if isinstance(metric, SumMetric):
        parts = [flat_immersion(part) for part in metric.metrics]
        there = [part for part in parts if part is not None]
        return _side_by_side(there, metric.weights) if len(there) == len(parts) else None
    if isinstance(metric, PullbackMetric) and not isinstance(metric, FieldMetric):
        return metric.immersion
    return None


def _after(outer: Map, inner: Map) -> Map:
    return lambda z: outer(inner(z))


def _side_by_side(parts: list[Map], weights: tuple[float, ...]) -> Map:
    def image(z: Tensor) -> Tensor:
        images = [part(z) * weight**0.5 for part, weight in zip(parts, weights, strict=True)]
        return torch.cat(images, -1)

    return image


def normal_part(vectors: Tensor, columns: Tensor, cholesky: MetricMatrix) -> Tensor:
    """Take away what is tangent to the image.

    Args:
        vectors: of the ambient space, shape `(n, k, m)`.
        columns: those of the Jacobian, shape `(n, d, m)`.
        cholesky: the lower factor of J^T J, shape `(n, d, d)`.

    Returns:
        The normal parts, shape `(n, k, m)`.

    Example:
        >>> normal_part(torch.ones(1, 1, 2), torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[2.0]]]))
        tensor([[[0., 1.]]])
    """
    frame = torch.linalg.solve_triangular(cholesky, columns, upper=False)
    return torch.baddbmm(vectors, vectors @ frame.mT, frame, alpha=-1)


def image_size(f: Map, z: Latent) -> int:
    """Return the number of entries m of the images of a map.

    Example:
        >>> image_size(lambda z: torch.cat([z, z], -1), torch.zeros(5, 2))
        4
    """
    with torch.no_grad():
        return int(f(z[:1]).shape[-1])
