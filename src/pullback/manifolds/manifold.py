"""The latent space of a decoder as a Riemannian manifold."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pullback import curves
from pullback.curves import Curve, Polyline
from pullback.errors import (
    ConvergenceWarning,
    InvalidParameterError,
    check_choice,
    check_data,
    check_points,
)
from pullback.geodesics import GeodesicResult, LatentGraph, connect
from pullback.metrics import Metric, PullbackMetric, output_mean, where_to_compute
from pullback.models import VAE
from pullback.shapes import Latent, MetricMatrix, Scalars

__all__ = ["Manifold"]

_BLOCK = 256  # pairs that are solved at once
_MEASURE = 1000  # chords that a curve is measured by, at least


class Manifold:
    r"""A latent space with the Riemannian metric that its decoder pulls back.

    Points may be tensors or arrays with any leading batch dimensions; they are taken to the
    manifold's own dtype and device, and answers come back there.

    Args:
        decoder: a `VAE`, a module or callable from z to a distribution or tensor, or a `Metric`.
        dim: the latent dimension d, where the decoder does not say it.
        data: codes of data, shape `(n, d)`: the search for geodesics also starts from the shortest
            path on a graph over them. Without them, and for d <= 2, a grid around the end points
            serves.
        dtype: the floating-point type to compute in.
        device: where to compute; None for where a module is, and the CPU for a function or metric.

    Raises:
        InvalidParameterError: the latent dimension is unknown, or the decoder is in training mode.
        InvalidDataError: the decoder is broken: see `PullbackMetric.from_decoder`.

    Source:
        Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018).

    Example:
        >>> paraboloid = lambda z: torch.cat([z, z.square().sum(-1, keepdim=True)], -1)
        >>> M = Manifold(paraboloid, dim=2)
        >>> M.metric_matrix([1.0, 0.0]).tolist()
        [[5.0, 0.0], [0.0, 1.0]]
        >>> round(M.dist([0.0, 0.0], [1.0, 0.0]).item(), 4)  # sqrt(5) / 2 + asinh(2) / 4
        1.4789
    """

    def __init__(
        self,
        decoder: VAE | nn.Module | Callable[[Tensor], Any] | Metric,
        *,
        dim: int | None = None,
        data: Any = None,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device | None = None,
    ) -> None:
        source = decoder.decoder if isinstance(decoder, VAE) else decoder
        self.metric: Metric
        if isinstance(source, Metric):
            if None not in (dim, source.dim) and dim != source.dim:
                raise InvalidParameterError("dim", f"{source.dim}, the metric's own", dim)
            self.metric = source
        else:
            self.metric = PullbackMetric.from_decoder(source, dim=dim, dtype=dtype, device=device)
        self._like = torch.zeros((), dtype=dtype, device=where_to_compute(source, device))
        self.dim = dim if self.metric.dim is None else self.metric.dim
        self.data = None
        if data is not None:
            self.data = check_data("data", data, dim=self.dim).detach().to(self._like)
        self._graph: LatentGraph | None = None

    @property
    def decoder(self) -> Callable[[Tensor], Any] | None:
        """What the metric is pulled back through, the manifold's own copy; None for a metric."""
        return self.metric.decoder if isinstance(self.metric, PullbackMetric) else None

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type that the manifold computes in."""
        return self._like.dtype

    @property
    def device(self) -> torch.device:
        """Where the manifold computes."""
        return self._like.device

    def __repr__(self) -> str:
        source = self.metric if self.decoder is None else self.decoder
        return f"Manifold({type(source).__name__}, dim={self.dim})"

    def metric_matrix(self, point: Any) -> MetricMatrix:
        """Compute M(z).

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            The metric, shape `(*batch, d, d)`.
        """
        return self.metric.metric_matrix(self._points("point", point))

    def inner_product(self, point: Any, tangent_vector_a: Any, tangent_vector_b: Any) -> Scalars:
        """Compute <u, v>_z = u^T M(z) v.

        Args:
            point: z, shape `(*batch, d)`.
            tangent_vector_a: u, shape `(*batch, d)`.
            tangent_vector_b: v, shape `(*batch, d)`.

        Returns:
            Inner products, shape `(*batch,)`.
        """
        z, u, v = self._broadcast(
            point=point, tangent_vector_a=tangent_vector_a, tangent_vector_b=tangent_vector_b
        )
        return self.metric.inner_product(z, u, v)

    def norm(self, point: Any, tangent_vector: Any) -> Scalars:
        """Compute |v|_z = sqrt(v^T M(z) v).

        Args:
            point: z, shape `(*batch, d)`.
            tangent_vector: v, shape `(*batch, d)`.

        Returns:
            Norms, shape `(*batch,)`.
        """
        z, v = self._broadcast(point=point, tangent_vector=tangent_vector)
        return self.metric.norm(z, v)

    def log_volume(self, point: Any) -> Scalars:
        """Compute log sqrt det M(z), the logarithm of the magnification factor.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Log-volumes, shape `(*batch,)`: -inf where the metric is singular.
        """
        return self.metric.log_volume(self._points("point", point))

    def geodesic(self, point_a: Any, point_b: Any, **options: Any) -> GeodesicResult:
        """Find the geodesics from points a to points b: see `geodesics.connect`.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.
            options: `solver`, `levels`, `rtol`, `throw` and `graph` of `geodesics.connect`; with
                `graph=None` only the straight line is tried as a start.

        Returns:
            Curves, lengths and a certificate for each pair.
        """
        a, b = self._broadcast(point_a=point_a, point_b=point_b)
        if "graph" not in options:
            options["graph"] = self.graph_over(torch.stack([a, b]))
        return connect(self.metric, a, b, **options)

    def dist(self, point_a: Any, point_b: Any) -> Scalars:
        """Measure the geodesic distances from points a to points b.

        Warns with `ConvergenceWarning` if a pair did not converge; `geodesic` says which.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.

        Returns:
            Distances, shape `(*batch,)`.
        """
        result = self.geodesic(point_a, point_b)
        n_failed = int((~result.converged).sum())
        if n_failed:
            warnings.warn(
                f"{n_failed} of {result.length.numel()} geodesics did not converge; their lengths "
                "are upper bounds, or NaN. `Manifold.geodesic` says which and why.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return result.length

    def pairwise_dist(
        self,
        points_a: Any,
        points_b: Any = None,
        *,
        method: str = "newton",
        progress: bool = True,
    ) -> Tensor:
        """Measure the distances between all points of one set, or of two.

        Args:
            points_a: points, shape `(n_a, d)`.
            points_b: points, shape `(n_b, d)`; `points_a` if None.
            method: `"newton"` solves every pair (about a tenth of a CPU second each); `"graph"`
                takes shortest paths on the graph over the data: a few per cent longer, and one
                Dijkstra sweep for each point instead of one solve for each pair.
            progress: show a bar while many pairs are solved.

        Returns:
            Distances, shape `(n_a, n_b)`; symmetric with a zero diagonal if `points_b` is None.
        """
        check_choice("method", method, ("newton", "graph"))
        a = self._points("points_a", check_data("points_a", points_a, dim=self.dim, min_samples=1))
        b = a
        if points_b is not None:
            b = check_data("points_b", points_b, dim=self.dim, min_samples=1)
            b = self._points("points_b", b)
        if method == "graph":
            distances = self._graph_for(torch.cat([a, b])).dist(a, b)
            return distances if points_b is not None else _symmetric(distances)
        i, j = _pairs(len(a), len(b), symmetric=points_b is None).to(a.device)
        blocks = range(0, len(i), _BLOCK)
        bar = tqdm(blocks, "distances", disable=not progress or len(blocks) < 4, leave=False)
        lengths = [self.dist(a[i[k : k + _BLOCK]], b[j[k : k + _BLOCK]]) for k in bar]
        distances = a.new_zeros(len(a), len(b))
        if lengths:
            distances[i, j] = torch.cat(lengths)
        return distances if points_b is not None else distances + distances.T

    def decode(self, point: Any) -> Tensor:
        """Decode points to the mean of p(x|z), event dimensions flattened.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Observations, shape `(*batch, D)`.

        Raises:
            InvalidParameterError: the manifold was made from a metric and has no decoder.
        """
        if self.decoder is None:
            raise InvalidParameterError(
                "decoder", "given to decode points", "a manifold made from a metric"
            )
        with torch.no_grad():
            return output_mean(self.decoder(self._points("point", point)))

    def length(self, curve: Curve | Any) -> Scalars:
        """Measure the length of curves.

        Args:
            curve: a `Curve`, or points along curves, shape `(*batch, n, d)`.

        Returns:
            Lengths, shape `(*batch,)`.
        """
        return curves.length(self.metric, self._points_along(curve))

    def energy(self, curve: Curve | Any) -> Scalars:
        """Measure the energy 1/2 int |c'|^2 dt of curves.

        Args:
            curve: a `Curve`, or points along curves at equal steps of t, shape `(*batch, n, d)`.

        Returns:
            Energies, shape `(*batch,)`.
        """
        return curves.energy(self.metric, self._points_along(curve))

    def graph_over(self, points: Latent) -> LatentGraph | None:
        """Return the graph that searches start from, built when first asked for.

        Args:
            points: the end points, shape `(*batch, d)`.

        Returns:
            The graph over the data, or over a grid around the points; None if there are no data and
            d > 2.
        """
        if self.data is None and points.shape[-1] > 2:
            return None
        return self._graph_for(points.reshape(-1, points.shape[-1]))

    def _graph_for(self, points: Tensor) -> LatentGraph:
        if self.data is not None:
            if self._graph is None:
                self._graph = LatentGraph.build(self.metric, self.data)
            return self._graph
        if self._graph is None or not self._graph.covers(points):
            self._graph = LatentGraph.build(self.metric, points.unique(dim=0))
        return self._graph

    def _points(self, name: str, points: Any) -> Tensor:
        return check_points(name, points, self.dim).to(self._like)

    def _broadcast(self, **points: Any) -> list[Tensor]:
        tensors = [self._points(name, value) for name, value in points.items()]
        try:
            return list(torch.broadcast_tensors(*tensors))
        except RuntimeError as error:
            shapes = ", ".join(
                f"`{n}` {tuple(t.shape)}" for n, t in zip(points, tensors, strict=True)
            )
            raise InvalidParameterError(
                next(iter(points)), "of a shape that broadcasts with the others", shapes
            ) from error

    def _points_along(self, curve: Curve | Any) -> Tensor:
        if not isinstance(curve, Curve):
            return Polyline(self._points("curve", curve)).nodes
        n_segments = curve.nodes.shape[-2] - 1
        fineness = math.ceil(_MEASURE / n_segments)  # every node is among the points
        return self._points("curve", curve.points(fineness * n_segments + 1))


def _pairs(n_a: int, n_b: int, *, symmetric: bool) -> Tensor:
    if symmetric:
        return torch.triu_indices(n_a, n_b, offset=1)
    return torch.cartesian_prod(torch.arange(n_a), torch.arange(n_b)).T


def _symmetric(distances: Tensor) -> Tensor:
    distances = torch.minimum(distances, distances.T)
    return distances.fill_diagonal_(0)
