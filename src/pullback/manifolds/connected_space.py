"""A curved space with its connection: what is carried along curves, and how geodesics spread."""

import warnings
from typing import Any

import torch

from pullback.curves import Curve
from pullback.errors import ConvergenceWarning, check_choice, check_data, check_integer
from pullback.geodesics import GeodesicResult, Trajectory, build_graph, grid_nodes
from pullback.manifolds.analogy import Analogy, AttributeVector, analogy, attribute_vector
from pullback.manifolds.curved_space import CurvedSpace
from pullback.manifolds.spreading.balls import GeodesicBall, geodesic_ball
from pullback.manifolds.spreading.conjugate import conjugate_points
from pullback.manifolds.spreading.injectivity import InjectivityRadius, injectivity_radius
from pullback.manifolds.spreading.jacobi import JacobiField, jacobi_field
from pullback.manifolds.transport.pole_ladder import pole_ladder
from pullback.manifolds.transport.transport import Transport, transport
from pullback.manifolds.voronoi import VoronoiCells, voronoi_cells
from pullback.shapes import Scalars, Tangent

__all__ = ["ConnectedSpace"]


class ConnectedSpace(CurvedSpace):
    """A latent space with its Levi-Civita connection: the base of `Manifold`; see `LatentSpace`.

    Example:
        >>> space = ConnectedSpace(lambda z: torch.cat([z, z**2], -1), dim=1)
        >>> line = [[0.0], [1.0]]
        >>> carried = space.transport([1.0], along=line)
        >>> round((space.norm(line[1], carried) / space.norm(line[0], [1.0])).item(), 6)
        1.0
    """

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
        """Carry tangent vectors as `transport` does, and return them with a certificate."""
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
        """
        return geodesic_ball(self.metric, self._points("point", point), radius, n=n, **options)

    def voronoi(self, centers: Any, points: Any = None, *, resolution: int = 100) -> VoronoiCells:
        """Assign points to the nearest of some centres, by shortest paths on the graph.

        For exact distances give `voronoi.voronoi_cells` a `partial` of `Manifold.pairwise_dist`.

        Args:
            centers: the centres, shape `(k, d)`.
            points: the points, shape `(n, d)`; if None, a regular grid over the data and centres.
            resolution: points of the grid along each axis.
        """
        c = self._points("centers", check_data("centers", centers, dim=self.dim, min_samples=1))
        covered = c if self.data is None else torch.cat([c, self.data])
        if points is None:
            check_integer("resolution", resolution, low=2)
            points = grid_nodes(covered, resolution=resolution)
        z = self._points("points", points)
        graph = None if self.data is None else self.graph_over(z)
        if graph is None:
            graph = build_graph(self.metric, torch.cat([covered, z]).unique(dim=0))
        # One search of the graph for each centre, not for each point.
        return voronoi_cells(lambda z, c: graph.dist(c, z).T, c, z)

    def analogy(self, point_a: Any, point_b: Any, point_c: Any) -> Analogy:
        """Answer a is to b as c is to what: see `analogy.analogy`."""
        return analogy(self, point_a, point_b, point_c)

    def attribute_vector(self, codes: Any, labels: Any, *, base: Any = None) -> AttributeVector:
        """Find the direction in which codes gain an attribute: see `analogy.attribute_vector`."""
        return attribute_vector(self, codes, labels, base=base)
