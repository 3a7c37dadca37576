"""The latent space of a decoder as a Riemannian manifold."""

import copy
import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pullback import curves
from pullback.curves import Curve, Polyline
from pullback.errors import (
    ConvergenceWarning,
    InvalidParameterError,
    check_choice,
    check_data,
    check_integer,
    check_points,
)
from pullback.geodesics import (
    GeodesicResult,
    LatentGraph,
    PairwiseDistances,
    Trajectory,
    connect,
    differentiable_length,
    pairwise,
    refine_sample,
    refine_velocity,
    shoot,
)
from pullback.manifolds.posterior import GeometryPosterior
from pullback.metrics import (
    AmbientMetric,
    Metric,
    TabulatedMetric,
    metric_of,
    output_mean,
)
from pullback.models import VAE, EnsembleDecoder
from pullback.models.preparation import where_to_compute
from pullback.shapes import Latent, MetricMatrix, Scalars, Tangent

__all__ = ["Manifold"]

_MEASURE = 1000  # chords that a curve is measured by, at least
_MANY = 2000  # pairs from which on a table pays
_TABLE_RESOLUTION = 96  # of the graph on a table, whose edges are cheap to measure


class Manifold:
    r"""A latent space with the Riemannian metric that its decoder pulls back.

    Points may be tensors or arrays with any leading batch dimensions; they are taken to the
    manifold's own dtype and device, and answers come back there.

    Args:
        decoder: a `VAE`, a module or callable from z to a distribution or tensor, or a `Metric`; or
            a list of decoders of one latent space or an `EnsembleDecoder`, for their expected
            metric.
        metric: `"expected"`, `"fisher_rao"` or `"kl"`; None for the default of the decoder's
            likelihood: see `metrics.metric_of`.
        ambient: a metric of the data space, such as `metrics.Weights` of its features.
        dim: the latent dimension d, where the decoder does not say it.
        data: codes of data, shape `(n, d)`: the search for geodesics also starts from the shortest
            path on a graph over them. Without them, and for d <= 2, a grid around the end points
            serves.
        dtype: the floating-point type to compute in.
        device: where to compute; None for where a module is, and the CPU for a function or metric.
        trainable: follow the module as it trains: its present weights are used, and distances pass
            derivatives on to them. Else the manifold keeps a copy of its own.

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
        decoder: VAE | nn.Module | Callable[[Tensor], Any] | Metric | Sequence[Any],
        *,
        metric: str | None = None,
        ambient: AmbientMetric | None = None,
        dim: int | None = None,
        data: Any = None,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device | None = None,
        trainable: bool = False,
    ) -> None:
        source: Any = decoder.decoder if isinstance(decoder, VAE) else decoder
        if isinstance(source, list | tuple | nn.ModuleList):
            source = EnsembleDecoder(source)
        self.metric: Metric
        if isinstance(source, Metric):
            if None not in (dim, source.dim) and dim != source.dim:
                raise InvalidParameterError("dim", f"{source.dim}, the metric's own", dim)
            if metric is not None or ambient is not None:
                allowed = "None where a metric is given itself"
                name = "ambient" if metric is None else "metric"
                raise InvalidParameterError(name, allowed, metric or type(ambient).__name__)
            self.metric = source
        else:
            self.metric = metric_of(
                source,
                metric,
                ambient=ambient,
                dim=dim,
                dtype=dtype,
                device=device,
                trainable=trainable,
            )
        self._like = torch.zeros((), dtype=dtype, device=where_to_compute(source, device))
        self.dim = dim if self.metric.dim is None else self.metric.dim
        self.data = None
        if data is not None:
            self.data = check_data("data", data, dim=self.dim).detach().to(self._like)
        self._graph: LatentGraph | None = None

    @property
    def decoder(self) -> Callable[[Tensor], Any] | None:
        """What the metric is pulled back through, the manifold's own copy; None for a metric."""
        exact = self.metric.exact
        found: Callable[[Tensor], Any] | None = getattr(exact, "decoder", None)
        return found

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

    def tabulated(
        self,
        data: Any = None,
        *,
        rtol: float = 3e-3,
        margin: float = 0.2,
        folder: str | os.PathLike[str] | None = None,
    ) -> "Manifold":
        """Return the same manifold over a table of its metric, a hundred times faster (d <= 3).

        Geodesics are searched on the table; their lengths and energies are measured again on the
        decoder itself. See `TabulatedMetric`.

        Args:
            data: points to cover, shape `(n, d)`; the manifold's own data if None.
            rtol: the relative error of the metric that 95 % of the domain must keep to.
            margin: how far the table reaches beyond the points, as a share of their extent.
            folder: where the table is kept, such as the folder of the model: it is read from there
                if it fits, and made and saved if there is none.

        Returns:
            A manifold whose `metric` is a `TabulatedMetric`.

        Raises:
            InvalidParameterError: d > 3, or there are no points to cover.
            InvalidDataError: the metric is singular somewhere on the table.
            StorageError: the folder holds a damaged table, or one of another model.
        """
        if data is None and self.data is None:
            allowed = "given where the manifold was made without data"
            raise InvalidParameterError("data", allowed, None)
        codes = self.data if data is None else check_data("data", data, dim=self.dim)
        assert codes is not None
        codes = codes.detach().to(self._like)
        if folder is not None and TabulatedMetric.is_saved(folder):
            table = TabulatedMetric.load(folder, self.metric.exact, device=self.device)
            if table.error() > rtol or not bool(table.covers(codes).all()):
                table = TabulatedMetric.build(self.metric.exact, codes, rtol=rtol, margin=margin)
                table.save(folder)
        else:
            table = TabulatedMetric.build(self.metric.exact, codes, rtol=rtol, margin=margin)
            if folder is not None:
                table.save(folder)
        fast = copy.copy(self)
        fast.metric, fast.dim, fast._graph = table, table.dim, None
        fast.data = codes if self.data is None else self.data
        return fast

    def geodesic(self, point_a: Any, point_b: Any, **options: Any) -> GeodesicResult:
        """Find the geodesics from points a to points b: see `geodesics.connect`.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.
            options: `initial`, `solver`, `levels`, `rtol`, `polish`, `throw` and `graph` of
                `geodesics.connect`; with `graph=None` only the straight line is tried as a start.

        Returns:
            Curves, lengths and a certificate for each pair.
        """
        a, b = self._broadcast(point_a=point_a, point_b=point_b)
        if "graph" not in options:
            options["graph"] = self.graph_over(torch.stack([a, b]).detach())
        return connect(self.metric, a, b, **options)

    def posterior(self) -> GeometryPosterior:
        """Return the geometries of the members of an ensemble, for error bars.

        Raises:
            InvalidParameterError: the manifold has one decoder only.
        """
        return GeometryPosterior(self)

    def dist(self, point_a: Any, point_b: Any, *, samples: bool = False, **options: Any) -> Tensor:
        """Measure the geodesic distances from points a to points b.

        The distance has derivatives by both points, and by the decoder's parameters if the
        manifold is `trainable`: by the first variation, with no propagation through the solver.

        Warns with `ConvergenceWarning` if a pair did not converge; `geodesic` says which.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.
            samples: measure in the metric of each member of an ensemble, see `posterior`.
            options: those of `geodesic`.

        Returns:
            Distances, shape `(*batch,)`; with `samples` `(n_samples, *batch)`.
        """
        if samples:
            return self.posterior().dist(point_a, point_b, **options)
        a, b = self._broadcast(point_a=point_a, point_b=point_b)
        result = self.geodesic(a, b, **options)
        n_failed = int((~result.converged).sum())
        if n_failed:
            warnings.warn(
                f"{n_failed} of {result.length.numel()} geodesics did not converge; their lengths "
                "are upper bounds, or NaN. `Manifold.geodesic` says which and why.",
                ConvergenceWarning,
                stacklevel=2,
            )
        exact = self.metric.exact
        attached = a.requires_grad or b.requires_grad or exact.requires_grad
        if not (attached and torch.is_grad_enabled()):
            return result.length
        return differentiable_length(exact, result, a, b)

    def exp(self, point: Any, tangent_vector: Any, **options: Any) -> Latent:
        """Follow geodesics from points with initial velocities v for a time of 1.

        Warns with `ConvergenceWarning` where a geodesic could not be followed to its end; the point
        is then NaN. `shoot` says which and why.

        Args:
            point: z, shape `(*batch, d)`.
            tangent_vector: v, shape `(*batch, d)`; broadcast against z.
            options: `rtol`, `atol` and `max_steps` of `geodesics.shoot`.

        Returns:
            End points, shape `(*batch, d)`.
        """
        trajectory = self.shoot(point, tangent_vector, **options)
        n_failed = int((~trajectory.converged).sum())
        if n_failed:
            warnings.warn(
                f"{n_failed} of {trajectory.status.numel()} geodesics could not be followed; their "
                "ends are NaN. `Manifold.shoot` says which and why.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return trajectory.end

    def shoot(self, point: Any, tangent_vector: Any, **options: Any) -> Trajectory:
        """Follow geodesics from points with initial velocities: see `geodesics.shoot`."""
        z, v = self._broadcast(point=point, tangent_vector=tangent_vector)
        return shoot(self.metric, z, v, **options)

    def log(self, point_a: Any, point_b: Any, **options: Any) -> Tangent:
        """Compute the initial velocity of the geodesic from a to b, so that `exp` leads to b.

        The geodesic is searched as by `geodesic`, and its velocity refined until it hits b.
        Warns with `ConvergenceWarning` where there is none that does, as across a wall of the
        variance that parts all neighbours: the velocity is then NaN.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.
            options: those of `geodesic`.

        Returns:
            Tangent vectors at a, of length dist(a, b), shape `(*batch, d)`.
        """
        a, b = (p.detach() for p in self._broadcast(point_a=point_a, point_b=point_b))
        result = self.geodesic(a, b, **options)
        start = result.curve.velocity(a.new_zeros(1)).squeeze(-2)
        velocity, status, _ = refine_velocity(self.metric, a, b, start)
        lost = status != 0
        if bool(lost.any()):
            warnings.warn(
                f"{int(lost.sum())} of {lost.numel()} geodesics miss their ends; their velocities "
                "are NaN. `Manifold.geodesic` finds the curves.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return torch.where(lost.unsqueeze(-1), torch.nan, velocity)

    def pairwise_dist(
        self, points_a: Any, points_b: Any = None, *, method: str = "auto", progress: bool = True
    ) -> Tensor:
        """Measure the distances between all points of one set, or of two; see `pairwise`.

        Args:
            points_a: points, shape `(n_a, d)`.
            points_b: points, shape `(n_b, d)`; `points_a` if None.
            method: one of those of `pairwise`.
            progress: show a bar while many pairs are solved.

        Returns:
            Distances, shape `(n_a, n_b)`; symmetric with a zero diagonal if `points_b` is None.
        """
        return self.pairwise(
            points_a, points_b, method=method, n_refined=0, progress=progress
        ).distances

    def pairwise(
        self,
        points_a: Any,
        points_b: Any = None,
        *,
        method: str = "auto",
        n_refined: int = 64,
        progress: bool = True,
    ) -> PairwiseDistances:
        """Measure all distances, and their error on a sample of pairs that are solved with care.

        Args:
            points_a: points, shape `(n_a, d)`.
            points_b: points, shape `(n_b, d)`; `points_a` if None.
            method: `"newton"` solves every pair as `dist` does; `"table"` (d <= 3) makes a table of
                the metric, unless there is one, and takes a short search on it for each pair;
                `"graph"` takes shortest paths on the graph over the data, a few per cent longer;
                `"auto"` takes the table for many pairs where it can, else `"newton"`.
            n_refined: pairs to refine for the estimate of the error.
            progress: show a bar while many pairs are solved.

        Returns:
            The distances, with the sample and its `error()`.
        """
        check_choice("method", method, ("auto", "graph", "newton", "table"))
        check_integer("n_refined", n_refined, low=0)
        a = self._points("points_a", check_data("points_a", points_a, dim=self.dim, min_samples=1))
        b = a
        if points_b is not None:
            b = check_data("points_b", points_b, dim=self.dim, min_samples=1)
            b = self._points("points_b", b)
        a, b = a.detach(), b.detach()
        if method == "auto":
            method = "table" if a.shape[1] <= 3 and len(a) * len(b) >= _MANY else "newton"
        space, both = self, torch.cat([a, b])
        if method == "table" and not isinstance(self.metric, TabulatedMetric):
            space = self.tabulated(both if self.data is None else torch.cat([both, self.data]))
        distances = space._distances(method, a, None if points_b is None else b, progress)
        graph = space.graph_over(both)
        return refine_sample(space.metric, distances, a, b, graph=graph, n=n_refined)

    def _distances(self, method: str, a: Tensor, b: Tensor | None, progress: bool) -> Tensor:
        other = a if b is None else b
        if method == "graph":
            distances = self._graph_for(torch.cat([a, other])).dist(a, other)
            return distances if b is not None else _symmetric(distances)
        graph = self.graph_over(torch.cat([a, other]))
        short = method == "table"
        return pairwise(self.metric, a, b, graph=graph, short=short, progress=progress)

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
        z = self._points("point", point)
        with torch.no_grad():
            mean = output_mean(self.decoder(z.reshape(-1, z.shape[-1])))
        rows = mean.flatten(1)
        return rows.reshape(*z.shape[:-1], rows.shape[-1])

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
        cheap = isinstance(self.metric, TabulatedMetric) and points.shape[-1] == 2
        resolution = _TABLE_RESOLUTION if cheap else None
        if self.data is not None:
            if self._graph is None:
                self._graph = LatentGraph.build(self.metric, self.data, resolution=resolution)
            return self._graph
        if self._graph is None or not self._graph.covers(points):
            nodes = points.unique(dim=0)
            self._graph = LatentGraph.build(self.metric, nodes, resolution=resolution)
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


def _symmetric(distances: Tensor) -> Tensor:
    distances = torch.minimum(distances, distances.T)
    return distances.fill_diagonal_(0)
