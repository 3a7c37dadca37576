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
    DistanceField,
    GeodesicResult,
    PairwiseDistances,
    Ruler,
    Trajectory,
    connect,
    differentiable_length,
    refine_sample,
    shoot,
    warn_of_failures,
)
from pullback.manifolds.analogy import Analogy, AttributeVector, analogy, attribute_vector
from pullback.manifolds.latent_space import LatentSpace
from pullback.manifolds.logarithm import initial_velocity
from pullback.manifolds.posterior import GeometryPosterior
from pullback.manifolds.spreading.balls import GeodesicBall, geodesic_ball
from pullback.manifolds.spreading.conjugate import conjugate_points
from pullback.manifolds.spreading.injectivity import InjectivityRadius, injectivity_radius
from pullback.manifolds.spreading.jacobi import JacobiField, jacobi_field
from pullback.manifolds.transport.pole_ladder import pole_ladder
from pullback.manifolds.transport.transport import Transport, transport
from pullback.manifolds.voronoi import VoronoiCells, voronoi_on_graph
from pullback.shapes import Latent, Scalars, Tangent

__all__ = ["Manifold"]

_MEASURE = 1000  # chords that a curve is measured by, at least

# Pairs whose curves `dist` holds at once: 4096 chains of 257 nodes in the plane are 17 MB. A larger
# block would be no faster, as `connect` has blocks of its own.
_BLOCK = 4096


class Manifold(LatentSpace):
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

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> path = Manifold(HalfPlane()).geodesic([0.0, 1.0], [0.0, 4.0])
            >>> path.points(3)[1].round(decimals=4).tolist(), bool(path.converged)
            ([0.0, 2.0], True)
        """
        a, b = self._broadcast(point_a=point_a, point_b=point_b)
        if "graph" not in options:
            options["graph"] = self.graph_over(torch.stack([a, b]).detach())
        return connect(self.metric, a, b, **options)

    def posterior(self) -> GeometryPosterior:
        """Return the geometries of the members of an ensemble, for error bars.

        Raises:
            InvalidParameterError: the manifold has one decoder only.

        Example:
            >>> M = Manifold([lambda z: 2 * z, lambda z: 4 * z], dim=1)
            >>> M.posterior().dist([0.0], [1.0]).round(decimals=4).tolist()
            [2.0, 4.0]
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

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> z = torch.tensor([0.0, 2.0]).double().requires_grad_()
            >>> distance = Manifold(HalfPlane()).dist([0.0, 1.0], z)
            >>> slope = torch.autograd.grad(distance, z)[0]
            >>> round(distance.item(), 4), slope.round(decimals=4).tolist()  # log 2
            (0.6931, [0.0, 0.5])
        """
        if samples:
            return self.posterior().dist(point_a, point_b, **options)
        a, b = self._broadcast(point_a=point_a, point_b=point_b)
        exact = self.metric.exact
        attached = a.requires_grad or b.requires_grad or exact.requires_grad
        if not (attached and torch.is_grad_enabled()):
            length, n_failed = self._lengths(a, b, options)
        else:
            result = self.geodesic(a, b, **options)
            length = differentiable_length(exact, result, a, b)
            n_failed = int((~result.converged).sum())
        if n_failed:
            warnings.warn(
                f"{n_failed} of {length.numel()} geodesics did not converge; their lengths "
                "are upper bounds, or NaN. `Manifold.geodesic` says which and why.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return length

    def _lengths(self, a: Tensor, b: Tensor, options: dict[str, Any]) -> tuple[Tensor, int]:
        """Measure pair by pair, without keeping the curves of more than a block of them."""
        if "initial" in options or a.shape[:-1].numel() <= _BLOCK:
            result = self.geodesic(a, b, **options)
            return result.length, int((~result.converged).sum())
        if "graph" not in options:
            options = {**options, "graph": self.graph_over(torch.stack([a, b]).detach())}
        lengths, n_failed = [], 0
        ends = (end.reshape(-1, end.shape[-1]).split(_BLOCK) for end in (a, b))
        for block in zip(*ends, strict=True):
            result = self.geodesic(*block, **options)
            lengths.append(result.length)
            n_failed += int((~result.converged).sum())
        return torch.cat(lengths).reshape(a.shape[:-1]), n_failed

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

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> Manifold(HalfPlane()).exp([0.0, 1.0], [0.0, 1.0]).round(decimals=4).tolist()  # e
            [0.0, 2.7183]
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
        """Follow geodesics from points with initial velocities: see `geodesics.shoot`.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> way = Manifold(HalfPlane()).shoot([0.0, 1.0], [0.0, 1.0])
            >>> bool(way.converged), way.end.round(decimals=4).tolist()
            (True, [0.0, 2.7183])
        """
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

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> Manifold(HalfPlane()).log([0.0, 1.0], [0.0, 2.0]).round(decimals=4).tolist()
            [0.0, 0.6931]
        """
        a, b = (p.detach() for p in self._broadcast(point_a=point_a, point_b=point_b))
        curve = self.geodesic(a, b, **options).curve
        velocity, lost = initial_velocity(self.metric, curve, a, b)
        if bool(lost.any()):
            warnings.warn(
                f"{int(lost.sum())} of {lost.numel()} geodesics miss their ends; their velocities "
                "are NaN. `Manifold.geodesic` finds the curves.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return velocity

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

        Example:
            >>> M = Manifold(lambda z: 2 * z, dim=1)
            >>> M.pairwise_dist([[0.0], [3.0]], progress=False).round(decimals=4).tolist()
            [[0.0, 6.0], [6.0, 0.0]]
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

        Example:
            >>> M = Manifold(lambda z: 2 * z, dim=1)
            >>> found = M.pairwise([[0.0], [3.0]], n_refined=4, progress=False)
            >>> found.error() < 1e-6
            True
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

    def dist_field(self, point: Any, *, resolution: int | None = None) -> DistanceField:
        """Measure from one point to all others that a table covers: see `DistanceField`.

        Args:
            point: the source, shape `(d,)`.
            resolution: cells of the field along each axis; None for what suits the dimension.

        Returns:
            The field: `at(z)` and `to(points)` are distances, with their errors; `log(z)` and
            `path(z)` lead back to the source.

        Raises:
            InvalidParameterError: the manifold has no table, see `tabulated`.
            InvalidDataError: `point` lies beyond the table.
            MissingExtraError: numba is not installed, and d > 1.

        Example:
            >>> M = Manifold(lambda z: 2 * z, dim=1).tabulated([[0.0], [1.0]])
            >>> M.dist_field([1.0]).at([[0.0], [1.0]]).round(decimals=6).tolist()
            [2.0, 0.0]
        """
        return DistanceField.build(self.metric, self._points("point", point), resolution=resolution)

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

        Example:
            >>> M = Manifold(lambda z: 2 * z, dim=1)
            >>> M.ruler([[0.0], [3.0]]).to(torch.ones(1, 1).double()).length.round(decimals=4)
            tensor([[2., 4.]], dtype=torch.float64)
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

        Example:
            >>> Manifold(lambda z: 2 * z, dim=1).length([[0.0], [1.0], [0.0]]).item()
            4.0
        """
        return curves.length(self.metric, self._points_along(curve))

    def energy(self, curve: Curve | Any) -> Scalars:
        """Measure the energy 1/2 int |c'|^2 dt of curves.

        Args:
            curve: a `Curve`, or points along curves at equal steps of t, shape `(*batch, n, d)`.

        Returns:
            Energies, shape `(*batch,)`.

        Example:
            >>> Manifold(lambda z: 2 * z, dim=1).energy([[0.0], [1.0]]).item()  # 1/2 2^2
            2.0
        """
        return curves.energy(self.metric, self._points_along(curve))

    def transport(
        self, tangent_vector: Any, *, along: Any, method: str = "ode", **options: Any
    ) -> Tangent:
        """Carry tangent vectors along curves, parallel to themselves.

        Warns with `ConvergenceWarning` where that failed; vectors are NaN where the curve had
        failed. `transporting` says which and why.

        Args:
            tangent_vector: v at the start of each curve, shape `(*more, *batch, d)`.
            along: the curves: geodesics, trajectories, a `Curve`, or points `(*batch, n, d)` that
                straight segments join.
            method: `"ode"`, see `transport.transport`, or `"pole_ladder"`, see `pole_ladder`.
            options: those of the method, such as `backwards`.

        Returns:
            Vectors at the other end, shape `(*more, *batch, d)`.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M, up = Manifold(HalfPlane()), [[0.0, 1.0], [0.0, 2.0]]
            >>> M.transport([1.0, 0.0], along=up).round(decimals=6).tolist()  # of the same length
            [2.0, 0.0]
        """
        moved = self.transporting(tangent_vector, along=along, method=method, **options)
        n_failed = int((~moved.converged).sum())
        if n_failed:
            warnings.warn(
                f"vectors along {n_failed} of {moved.status.numel()} curves were not transported "
                "to the tolerance, or the curve had failed. `Manifold.transporting` says which "
                "and why.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return moved.vectors

    def transporting(
        self, tangent_vector: Any, *, along: Any, method: str = "ode", **options: Any
    ) -> Transport:
        """Carry tangent vectors as `transport` does, and return them with a certificate.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M, up = Manifold(HalfPlane()), [[0.0, 1.0], [0.0, 2.0]]
            >>> bool(M.transporting([1.0, 0.0], along=up).converged)
            True
        """
        check_choice("method", method, ("ode", "pole_ladder"))
        carry = transport if method == "ode" else pole_ladder
        if not isinstance(along, GeodesicResult | Trajectory | Curve):
            along = self._points("along", along)
        vectors = self._points("tangent_vector", tangent_vector)
        return carry(self.metric, vectors, along, **options)

    def jacobi_field(
        self, point: Any, tangent_vector: Any, field: Any, derivative: Any, **options: Any
    ) -> JacobiField:
        """Solve for Jacobi fields along geodesics: see `jacobi.jacobi_field`.

        Args:
            point: a, shape `(*batch, d)`.
            tangent_vector: v, shape `(*batch, d)`.
            field: J(0), shape `(*batch, d)`.
            derivative: J'(0), shape `(*batch, d)`.
            options: `rtol` and `atol`.

        Returns:
            The fields, see `JacobiField`.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M = Manifold(HalfPlane())
            >>> J = M.jacobi_field([0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0])
            >>> end = torch.ones(1, dtype=torch.float64)
            >>> round(M.norm(J.points(end), J.at(end)).item(), 4)  # sinh 1
            1.1752
        """
        given = self._broadcast(
            point=point, tangent_vector=tangent_vector, field=field, derivative=derivative
        )
        return jacobi_field(self.metric, *given, **options)

    def conjugate_distance(self, point: Any, tangent_vector: Any, **options: Any) -> Scalars:
        """Measure how far the first conjugate point lies along geodesics exp(a, t v), t <= 1.

        Warns with `ConvergenceWarning` where a geodesic could not be followed to its end and had
        none until then.

        Args:
            point: a, shape `(*batch, d)`.
            tangent_vector: v, shape `(*batch, d)`: its length is how far is looked.
            options: `rtol` and `max_steps` of `conjugate.conjugate_points`.

        Returns:
            Distances, shape `(*batch,)`: infinite where there is none.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> Manifold(HalfPlane()).conjugate_distance([0.0, 1.0], [0.0, 1.0]).item()
            inf
        """
        z, v = self._broadcast(point=point, tangent_vector=tangent_vector)
        found = conjugate_points(self.metric, z, v, **options)
        n_failed = int((found.status != 0).sum())
        if n_failed:
            warnings.warn(
                f"{n_failed} of {found.status.numel()} geodesics could not be followed to their "
                "end; no conjugate point came before. `Manifold.shoot` says why.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return found.distance

    def injectivity_radius(
        self, point: Any, max_length: float, **options: Any
    ) -> InjectivityRadius:
        """Bound from above how far all geodesics from a point are shortest ways.

        Args:
            point: a, shape `(d,)`.
            max_length: how far to look.
            options: `n_directions`, `n_lengths` and `generator` of `injectivity_radius`.

        Returns:
            The bound, and what it comes from.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M = Manifold(HalfPlane())
            >>> M.injectivity_radius([0.0, 1.0], 0.5, n_directions=2, n_lengths=1).radius
            inf
        """
        z = self._points("point", point)
        options.setdefault("graph", None if self.data is None else self.graph_over(z))
        return injectivity_radius(self.metric, z, max_length, **options)

    def ball(self, point: Any, radius: float, n: int = 100, **options: Any) -> GeodesicBall:
        """Draw the boundaries of geodesic balls, for d = 2: see `balls.geodesic_ball`.

        Args:
            point: the centres, shape `(*batch, 2)`.
            radius: of all of them.
            n: points on each boundary.
            options: `conjugate`.

        Returns:
            The boundaries, and which of their points were reached.

        Example:
            >>> M = Manifold(lambda z: 2 * z, dim=2)
            >>> ball = M.ball([0.0, 0.0], 1.0, n=4)
            >>> ball.boundary.norm(dim=-1).round(decimals=6).tolist()
            [0.5, 0.5, 0.5, 0.5]
        """
        return geodesic_ball(self.metric, self._points("point", point), radius, n=n, **options)

    def voronoi(self, centers: Any, points: Any = None, *, resolution: int = 100) -> VoronoiCells:
        """Assign points to the nearest of some centres, by shortest paths on the graph.

        For exact distances give `voronoi.voronoi_cells` a `partial` of `Manifold.pairwise_dist`.

        Args:
            centers: the centres, shape `(k, d)`.
            points: the points, shape `(n, d)`; if None, a regular grid over the data and centres.
            resolution: points of the grid along each axis.

        Returns:
            The points, with the centre that each is nearest to.

        Example:
            >>> M = Manifold(lambda z: 2 * z, dim=2)
            >>> M.voronoi([[0.0, 0.0], [1.0, 0.0]], [[0.1, 0.3], [0.8, 0.0]]).labels.tolist()
            [0, 1]
        """
        return voronoi_on_graph(self, centers, points, resolution=resolution)

    def analogy(self, point_a: Any, point_b: Any, point_c: Any) -> Analogy:
        """Answer a is to b as c is to what: see `analogy.analogy`.

        Example:
            >>> flat = Manifold(lambda z: z, dim=2)
            >>> flat.analogy([0.0, 0.0], [1.0, 0.0], [0.0, 2.0]).point.round(decimals=6).tolist()
            [1.0, 2.0]
        """
        return analogy(self, point_a, point_b, point_c)

    def attribute_vector(self, codes: Any, labels: Any, *, base: Any = None) -> AttributeVector:
        """Find the direction in which codes gain an attribute: see `analogy.attribute_vector`.

        Example:
            >>> flat = Manifold(lambda z: z, dim=2)
            >>> found = flat.attribute_vector([[0.0, 0.0], [2.0, 0.0]], [False, True])
            >>> found.tangent_vector.round(decimals=6).tolist()
            [2.0, 0.0]
        """
        return attribute_vector(self, codes, labels, base=base)

    def _points_along(self, curve: Curve | Any) -> Tensor:
        if not isinstance(curve, Curve):
            return Polyline(self._points("curve", curve)).nodes
        n_segments = curve.nodes.shape[-2] - 1
        fineness = math.ceil(_MEASURE / n_segments)  # every node is among the points
        return self._points("curve", curve.points(fineness * n_segments + 1))
