"""Curves of least decorrelated energy: the minimisers that ensembles were introduced with."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.curves import Curve, Polyline, straight_line
from pullback.display import as_html, as_line
from pullback.errors import InvalidParameterError, check_integer
from pullback.geodesics import LBFGS, Solver
from pullback.geodesics.base import Status
from pullback.geodesics.search.search import default_solver
from pullback.manifolds.geodesic_space import GeodesicSpace
from pullback.metrics import EnsembleMetric

__all__ = ["DecorrelatedGeodesics", "decorrelated_geodesic"]


class DecorrelatedGeodesics(NamedTuple):
    """Chains of nodes of least decorrelated energy.

    Attributes:
        curve: straight segments between the nodes, which need not be evenly spaced.
        energy: N S / 2, with S the sum of decorrelated squared chords, shape `(*batch,)`.
        length: the length of the curve in the expected metric, shape `(*batch,)`.
        converged: where the solver found a minimum, shape `(*batch,)`.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> M = Manifold([lambda z: z, lambda z: z], dim=2)
        >>> found = decorrelated_geodesic(M, [0.0, 0.0], [3.0, 4.0])
        >>> round(found.length.item(), 6), round(found.energy.item(), 6)
        (5.0, 12.5)
    """

    curve: Curve
    energy: Tensor
    length: Tensor
    converged: Tensor

    def __repr__(self) -> str:
        """Show the tensors by their shapes."""
        return as_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def decorrelated_geodesic(
    manifold: GeodesicSpace,
    point_a: Any,
    point_b: Any,
    *,
    n_segments: int = 64,
    solver: Solver | None = None,
) -> DecorrelatedGeodesics:
    """Minimise the decorrelated energy of chains of N segments, and measure their lengths.

    The energy depends on N, see `metrics.DecorrelatedEnergy`. Each pair starts from the straight
    line and from the geodesic of the expected metric, and keeps the lower end.

    Args:
        manifold: a manifold whose metric is that of an ensemble.
        point_a: start points a, shape `(*batch, d)`.
        point_b: end points b, shape `(*batch, d)`; broadcast against a.
        n_segments: the number of segments N >= 2.
        solver: the solver; the default for the dimension if None.

    Returns:
        The curves, their energies and their lengths.

    Raises:
        InvalidParameterError: the metric is not that of an ensemble of immersions.

    Source:
        Syrota, Moreno-Munoz, Hauberg, Decoder ensembling for learned latent geometries (2024).

    Example:
        >>> from pullback.manifolds import Manifold
        >>> M = Manifold([lambda z: z, lambda z: 2 * z], dim=2)
        >>> bool(decorrelated_geodesic(M, [1.0, 1.0], [1.0, 2.0], n_segments=8).converged)
        True
    """
    expected = manifold.metric.exact
    if not isinstance(expected, EnsembleMetric):
        allowed = "one of several decoders"
        raise InvalidParameterError("manifold", allowed, f"a {type(expected).__name__}")
    check_integer("n_segments", n_segments, 2)
    functional = expected.decorrelated()
    geodesics = manifold.geodesic(point_a, point_b).curve
    nodes = geodesics.points(n_segments + 1)
    batch, d = nodes.shape[:-2], nodes.shape[-1]
    nodes = nodes.reshape(-1, n_segments + 1, d)
    line = straight_line(nodes[:, 0], nodes[:, -1], n_segments)
    method = solver or default_solver(functional, d)
    if method.graded and solver is None:
        method = LBFGS()  # the energy depends on how long the steps are, so they must be equal
    with torch.no_grad():
        ends = [method.relax(functional, start) for start in (line, nodes)]
        sums = torch.stack([functional.squared_chord_sum(end.nodes) for end in ends])
    best = sums.nan_to_num(nan=torch.inf).argmin(0)
    rows = torch.arange(len(best), device=best.device)
    chosen = torch.stack([end.nodes for end in ends])[best, rows]
    status = torch.stack([end.status for end in ends])[best, rows]
    curve = Polyline(chosen.reshape(*batch, n_segments + 1, d))
    return DecorrelatedGeodesics(
        curve=curve,
        energy=(n_segments / 2 * sums[best, rows]).reshape(batch),
        length=manifold.length(curve),
        converged=(status == Status.CONVERGED).reshape(batch),
    )
