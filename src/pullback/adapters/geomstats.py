"""A manifold under geomstats' names, so that its learning algorithms can be tried on it."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import ConvergenceWarning, InvalidParameterError
from pullback.manifolds import Manifold

__all__ = ["GeomstatsMetric", "GeomstatsSpace", "as_geomstats_metric"]

Array = NDArray[Any]


def as_geomstats_metric(manifold: Manifold) -> "GeomstatsMetric":
    """Give a manifold the names and the order of arguments of a metric of geomstats.

    Nothing is copied, and geomstats is not needed. Its estimators take `metric.space`.

    Args:
        manifold: the latent space.

    Returns:
        The metric.

    Source:
        Miolane et al., Geomstats: a Python package for Riemannian geometry in machine learning
        (2020).

    Example:
        >>> metric = as_geomstats_metric(Manifold(lambda z: 2 * z, dim=2))
        >>> float(metric.dist([0.0, 0.0], [3.0, 4.0]).round(6)), metric.space.shape
        (10.0, (2,))
    """
    return GeomstatsMetric(manifold)


class GeomstatsMetric:
    """A manifold as geomstats speaks of a metric: vectors first, arrays of NumPy in and out.

    Args:
        manifold: the latent space.

    Attributes:
        manifold: the latent space.
        space: what geomstats calls a space, equipped with this metric.

    Example:
        >>> metric = GeomstatsMetric(Manifold(lambda z: 2 * z, dim=2))
        >>> metric.exp(tangent_vec=[1.0, 0.0], base_point=[0.0, 5.0]).round(6).tolist()
        [1.0, 5.0]
        >>> path = metric.geodesic([0.0, 0.0], end_point=[1.0, 2.0])
        >>> path(0.5).round(6).tolist()
        [[0.5, 1.0]]
    """

    def __init__(self, manifold: Manifold) -> None:
        self.manifold = manifold
        self.space = GeomstatsSpace(self)

    def metric_matrix(self, base_point: Any) -> Array:
        """Compute M(z), shape `(..., d, d)`."""
        return _array(self.manifold.metric_matrix(base_point))

    def inner_product(self, tangent_vec_a: Any, tangent_vec_b: Any, base_point: Any) -> Array:
        """Compute <u, v>_z, shape `(...,)`."""
        return _array(self.manifold.inner_product(base_point, tangent_vec_a, tangent_vec_b))

    def squared_norm(self, vector: Any, base_point: Any) -> Array:
        """Compute <v, v>_z, shape `(...,)`."""
        return self.inner_product(vector, vector, base_point)

    def norm(self, vector: Any, base_point: Any) -> Array:
        """Compute |v|_z, shape `(...,)`."""
        return _array(self.manifold.norm(base_point, vector))

    def exp(self, tangent_vec: Any, base_point: Any) -> Array:
        """Follow geodesics for a time of 1, see `Manifold.exp`: points, shape `(..., d)`."""
        return _array(self.manifold.exp(base_point, tangent_vec))

    def log(self, point: Any, base_point: Any) -> Array:
        """Compute initial velocities, see `Manifold.log`: vectors at the base point `(..., d)`."""
        return _array(self.manifold.log(base_point, point))

    def dist(self, point_a: Any, point_b: Any) -> Array:
        """Measure geodesic distances, see `Manifold.dist`: shape `(...,)`."""
        return _array(self.manifold.dist(point_a, point_b))

    def squared_dist(self, point_a: Any, point_b: Any) -> Array:
        """Measure squared geodesic distances, shape `(...,)`."""
        return np.square(self.dist(point_a, point_b))

    def dist_pairwise(self, points: Any, n_jobs: int = 1) -> Array:
        """Measure all distances, see `Manifold.pairwise_dist`: shape `(n, n)`.

        `n_jobs` is ignored, as all are computed together.
        """
        del n_jobs
        return _array(self.manifold.pairwise_dist(points, progress=False))

    def geodesic(
        self, initial_point: Any, end_point: Any = None, initial_tangent_vec: Any = None
    ) -> Callable[[Any], Array]:
        """Find geodesics that lead to end points, or start with velocities.

        Args:
            initial_point: start points, shape `(..., d)`.
            end_point: end points, shape `(..., d)`.
            initial_tangent_vec: velocities at the start, shape `(..., d)`, if there are no ends.

        Returns:
            The curves: a function from times `(n_times,)` to points `(..., n_times, d)`.

        Raises:
            InvalidParameterError: both are given, or neither.
        """
        if (end_point is None) == (initial_tangent_vec is None):
            got = "neither" if end_point is None else "both"
            raise InvalidParameterError("end_point", "given, or `initial_tangent_vec`", got)
        if initial_tangent_vec is not None:
            found: Any = self.manifold.shoot(initial_point, initial_tangent_vec)
            curve, converged = found, found.converged
        else:
            found = self.manifold.geodesic(initial_point, end_point)
            curve, converged = found.curve, found.converged
        if not bool(converged.all()):
            warnings.warn(
                f"{int((~converged).sum())} of {converged.numel()} geodesics did not converge. "
                "`Manifold.geodesic` and `Manifold.shoot` say which and why.",
                ConvergenceWarning,
                stacklevel=2,
            )

        def path(t: Any) -> Array:
            times = torch.as_tensor(np.atleast_1d(t)).to(converged.device, self.manifold.dtype)
            return _array(curve.at(times))

        return path


class GeomstatsSpace:
    """The space R^d of codes, as far as the estimators of geomstats ask about it.

    Args:
        metric: what it is equipped with.

    Attributes:
        metric: what it is equipped with.
        dim: the dimension d.
        shape: the shape of a point, `(d,)`.
        point_ndim: 1, for a point is a vector.

    Example:
        >>> space = as_geomstats_metric(Manifold(lambda z: 2 * z, dim=2)).space
        >>> from geomstats.learning.frechet_mean import FrechetMean  # doctest: +SKIP
        >>> FrechetMean(space).fit(z).estimate_  # doctest: +SKIP
        array([0.1, 0.2])
        >>> space.dim, space.point_ndim
        (2, 1)
    """

    def __init__(self, metric: GeomstatsMetric) -> None:
        self.metric = metric
        self.dim = metric.manifold.dim
        self.shape = (self.dim,)
        self.point_ndim = 1

    def projection(self, point: Any) -> Array:
        """Return the point: every vector of R^d is one."""
        return np.asarray(point)

    def to_tangent(self, vector: Any, base_point: Any) -> Array:
        """Return the vector: every vector of R^d is tangent."""
        del base_point
        return np.asarray(vector)


def _array(values: Tensor) -> Array:
    array: Array = values.detach().cpu().numpy()
    return array
