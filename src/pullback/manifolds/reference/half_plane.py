"""The hyperbolic half-plane: a metric without an immersion, its distances, exp and log."""

import torch

from pullback.metrics import Metric
from pullback.shapes import Latent, Mask, MetricMatrix, Scalars, Tangent

__all__ = ["HalfPlane"]


class HalfPlane(Metric):
    r"""The hyperbolic plane in the half-plane model: M(x, y) = I / y^2 for y > 0.

    For y <= 0 the metric is NaN: those points are not in the space.

    Source:
        do Carmo, Riemannian Geometry (1992), chapter 8.

    Example:
        >>> HalfPlane().metric_matrix(torch.tensor([5.0, 2.0])).tolist()
        [[0.25, 0.0], [0.0, 0.25]]
    """

    def __init__(self) -> None:
        super().__init__(dim=2)

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Compute I / y^2, shape `(*batch, d, d)`, see `Metric.metric_matrix`."""
        y = z[..., 1, None, None]
        eye = torch.eye(2, dtype=z.dtype, device=z.device)
        return eye / torch.where(y > 0, y, torch.nan).square()

    def contains(self, z: Latent) -> Mask:
        """Say which points lie above the boundary, y > 0, see `Metric.contains`."""
        return z[..., 1] > 0

    def dist(self, point_a: Latent, point_b: Latent) -> Scalars:
        r"""Compute the geodesic distance 2 arsinh(|a - b| / (2 sqrt(y_a y_b))).

        Args:
            point_a: a = (x_a, y_a), shape `(*batch, 2)`.
            point_b: b = (x_b, y_b), shape `(*batch, 2)`.

        Returns:
            Distances, shape `(*batch,)`: NaN for points outside the space.

        Example:
            >>> a, b = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 10.0])
            >>> round(HalfPlane().dist(a, b).item(), 4)  # log 10
            2.3026
        """
        height_a, height_b = (torch.where(p > 0, p, torch.nan)[..., 1] for p in (point_a, point_b))
        gap = (point_a - point_b).norm(dim=-1)
        return 2 * torch.asinh(gap / (2 * (height_a * height_b).sqrt()))

    def exp(self, point: Latent, tangent_vector: Tangent) -> Latent:
        r"""Follow the geodesic from a = (x, y) with velocity v for unit time.

        It ends at (x + v_x sinh(s) / (s D), y / D) with s = |v| / y, its length, and
        D = cosh(s) - v_y sinh(s) / (s y).

        Args:
            point: a, shape `(*batch, 2)`.
            tangent_vector: v, shape `(*batch, 2)`.

        Returns:
            End points, shape `(*batch, 2)`: NaN for a outside the space.

        Source:
            do Carmo, Riemannian Geometry (1992), chapter 8.

        Example:
            >>> HalfPlane().exp(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.3026]))  # log 10
            tensor([ 0.0000, 10.0001])
        """
        x, y = torch.where(self.contains(point).unsqueeze(-1), point, torch.nan).unbind(-1)
        across, up = (tangent_vector / y.unsqueeze(-1)).unbind(-1)
        s = across.hypot(up)
        cosine = torch.where(s > 0, up / s, 0)
        # 1 - cosine, which must not cancel on the way up
        defect = torch.where(up > 0, (across / s).square() / (1 + cosine), 1 - cosine)
        D = torch.exp(-s) + defect * torch.sinh(s)
        stretch = torch.where(s > 0, torch.sinh(s) / s, 1)
        return torch.stack([x + y * across * stretch / D, y / D], -1)

    def log(self, point_a: Latent, point_b: Latent) -> Tangent:
        r"""Compute the velocity with which the geodesic from a reaches b in unit time.

        log = y_a s / sinh(s) (2 X, X^2 + Y^2 - 1) / (2 Y) with s = dist(a, b), Y = y_b / y_a and
        X = (x_b - x_a) / y_a.

        Args:
            point_a: a = (x_a, y_a), shape `(*batch, 2)`.
            point_b: b = (x_b, y_b), shape `(*batch, 2)`.

        Returns:
            Tangent vectors at a, shape `(*batch, 2)`: NaN for points outside the space.

        Source:
            do Carmo, Riemannian Geometry (1992), chapter 8.

        Example:
            >>> a, b = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 10.0])
            >>> HalfPlane().log(a, b)  # log 10
            tensor([0.0000, 2.3026])
        """
        s = self.dist(point_a, point_b)
        height = point_a[..., 1]
        X, rise = ((point_b - point_a) / height.unsqueeze(-1)).unbind(-1)
        Y = point_b[..., 1] / height
        stretch = height * torch.where(s > 0, s / torch.sinh(s), torch.where(s == 0, 1, s))
        return (
            torch.stack([X / Y, (X.square() + rise * (Y + 1)) / (2 * Y)], -1) * stretch[..., None]
        )
