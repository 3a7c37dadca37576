"""The latent space of a decoder as a Riemannian manifold."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from pullback import curves
from pullback.curves import Curve, Polyline
from pullback.errors import ConvergenceWarning, check_choice, check_data, check_integer
from pullback.geodesics import (
    METHODS,
    GeodesicResult,
    PairwiseDistances,
    Ruler,
    Trajectory,
    connect,
    differentiable_length,
    refine_sample,
    refine_velocity,
    shoot,
    warn_of_failures,
)
from pullback.manifolds.connected_space import ConnectedSpace
from pullback.manifolds.posterior import GeometryPosterior
from pullback.shapes import Latent, Scalars, Tangent

__all__ = ["Manifold"]

_MEASURE = 1000  # chords that a curve is measured by, at least


class Manifold(ConnectedSpace):
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
        dtype: the floating-point type to compute in: torch.float64 or torch.float32, or NumPy's.
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

    def geodesic(self, point_a: Any, point_b: Any, **options: Any) -> GeodesicResult:
        """Find the geodesics from points a to points b: see `geodesics.connect`.

        Args:
            point_a: start points a, shape `(*batch, d)`.
            point_b: end points b, shape `(*batch, d)`; broadcast against a.
            options: `initial`, `solver`, `levels`, `rtol`, `polish`, `confirm`, `throw`, `graph` of
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

        The distance has first and second derivatives by both points; if the manifold is
        `trainable` first ones by them and by the decoder's parameters. They come from the first and
        second variation, with no propagation through the solver.

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
                `"auto"` takes the table if there is one, or for 2000 pairs or more where it can,
                else `"newton"`.
            n_refined: pairs to refine for the estimate of the error.
            progress: show a bar while many pairs are solved.

        Returns:
            The distances, with the sample and its `error()`.
        """
        check_choice("method", method, METHODS)
        check_integer("n_refined", n_refined, low=0)
        a = self._many("points_a", points_a)
        b = a if points_b is None else self._many("points_b", points_b)
        if points_b is None:
            ruler = self.ruler(a, method)
            found = ruler.among(progress=progress)
        else:
            nodes = a if self.data is None else torch.cat([a, self.data])
            ruler = Ruler(self.metric, b, method, data=nodes, n_pairs=len(a) * len(b))
            found = ruler.to(a, progress=progress)
        distances = found.length
        if ruler.method != "graph":  # where an infinite one says that there is no path
            warn_of_failures(found.n_failed, found.length.numel(), stacklevel=3)
            distances = distances.masked_fill(distances.isinf(), torch.nan)
        return refine_sample(ruler.metric, distances, a, b, graph=ruler.graph, n=n_refined)

    def ruler(self, points: Any, method: str = "auto") -> Ruler:
        """Return what measures many distances, from any points to given ones.

        All estimators measure with it: the same pair has the same distance, whoever asks.

        Args:
            points: the given points, shape `(n, d)`.
            method: one of those of `pairwise`.

        Returns:
            A ruler on the metric, or on a table of it: see `geodesics.Ruler`.

        Raises:
            InvalidParameterError: unknown method, or a table of more than three dimensions.
            InvalidDataError: bad points, or the metric is not finite where a table or graph needs
                it.
        """
        return Ruler(self.metric, self._many("points", points), method, data=self.data)

    def _many(self, name: str, points: Any) -> Tensor:
        checked = check_data(name, points, dim=self.dim, min_samples=1)
        return self._points(name, checked).detach()

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

    def _points_along(self, curve: Curve | Any) -> Tensor:
        if not isinstance(curve, Curve):
            return Polyline(self._points("curve", curve)).nodes
        n_segments = curve.nodes.shape[-2] - 1
        fineness = math.ceil(_MEASURE / n_segments)  # every node is among the points
        return self._points("curve", curve.points(fineness * n_segments + 1))
