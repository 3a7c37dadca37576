"""Logs of data at base points that move: each search starts from the curves of the last one."""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.geodesics import ShortGeodesics, measure_pairs, search_shortly, with_ends
from pullback.geodesics.fields.rows import table_to_march, ways_between
from pullback.manifolds import Manifold
from pullback.shapes import Codes, Latent, Points

__all__ = ["Logarithms", "Logs"]

# Segments of the two levels of a search whose directions count: lengths are exact on fewer segments
# than initial velocities are.
_LEVELS = (128, 256)


class Logs(NamedTuple):
    """The logs of data at base points.

    Attributes:
        vectors: log_c(z), of length d(c, z) in the metric, shape `(*batch, d)`; zero where the
            search did not come to a finite curve.
        lengths: d(c, z), or an upper bound where the search did not converge, shape `(*batch,)`;
            infinite where there is no finite curve.
        converged: where the search converged, shape `(*batch,)`; a short search only says whether
            its curve is finite.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=2)
        >>> logs = Logarithms(M, torch.tensor([[3.0, 4.0]]).double()).at(torch.zeros(1, 2).double())
        >>> logs.vectors.round(decimals=9), logs.lengths.tolist()
        (tensor([[[3., 4.]]], dtype=torch.float64), [[10.0]])
    """

    vectors: Tensor
    lengths: Tensor
    converged: Tensor


class Logarithms:
    r"""The logs of data points at base points, for algorithms that move the base points.

    log_c(z) is the initial velocity of the geodesic from c to z. The curves of a call are kept, and
    the next call with as many base points starts from them.

    Args:
        manifold: the latent space.
        Z: data points, shape `(n, d)`.
        exact: search each geodesic as `Manifold.geodesic` does, with a certificate; else shortly,
            to about a thousandth, which on a table costs a hundredth.
        curves: curves near those of the first call, to start from, shape `(n, nodes, d)`.

    Attributes:
        curves: nodes of the curves of the last call, shape `(n, nodes, d)`; those that
            were given, or none, before the first.

    Source:
        Froehlich, Hauberg, Arvanitidis, Fast and robust shortest paths on manifolds learned from
        data (2019), propose to start from the curves of the last iteration.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> Z = torch.tensor([[0.0, 2.0], [0.0, 4.0]]).double()
        >>> logarithms = Logarithms(Manifold(HalfPlane(), dim=2), Z, exact=True)
        >>> logarithms.at(torch.tensor([[0.0, 1.0]]).double()).lengths / torch.tensor(2.0).log()
        tensor([[1.0000, 2.0000]], dtype=torch.float64)
    """

    def __init__(
        self, manifold: Manifold, Z: Codes, *, exact: bool = False, curves: Points | None = None
    ) -> None:
        self.manifold = manifold
        self.Z = Z.detach()
        self.exact = exact
        self.curves = self.Z[:0].unsqueeze(1) if curves is None else curves

    def at(self, points: Latent, *, owner: Tensor | None = None) -> Logs:
        """Compute the logs of the data.

        Args:
            points: base points c, shape `(k, d)`.
            owner: for each data point the index of the base point that it belongs to, shape `(n,)`;
                None for the logs of every data point at every base point.

        Returns:
            Logs with batch shape `(k, n)`, or `(n,)` if owners are given.
        """
        points = points.detach().to(self.Z)
        if owner is None:
            a = points.repeat_interleave(len(self.Z), 0)
            b = self.Z.repeat(len(points), 1)
            batch: tuple[int, ...] = (len(points), len(self.Z))
        else:
            a, b, batch = points[owner], self.Z, (len(self.Z),)
        warm = self.curves if len(self.curves) == len(a) else None
        find = self._solve if self.exact else self._search
        velocity, length, converged = find(a, b, warm)
        finite = length.isfinite() & velocity.isfinite().all(-1)
        vectors = self._of_length(a, velocity, length, finite)
        length = torch.where(finite, length, torch.inf)
        return Logs(
            vectors.reshape(*batch, -1), length.reshape(batch), (converged & finite).reshape(batch)
        )

    def _search(self, a: Tensor, b: Tensor, warm: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if warm is None:
            found = self._begin(a, b)
        else:
            found = search_shortly(self.manifold.metric, a, b, initial=warm)
        self.curves = found.nodes
        return found.velocity(), found.length, found.length.isfinite()

    def _begin(self, a: Tensor, b: Tensor) -> ShortGeodesics:
        """Search from ways down fields where those are cheap, and else as for distances."""
        table = table_to_march(self.manifold.metric, len(a))
        if table is None:
            return self._begin_anew(a, b)
        ways = ways_between(table, a, b)
        found = ShortGeodesics(torch.full_like(a[:, 0], torch.nan), ways)
        known = ways.isfinite().all(-1).all(-1)
        if bool(known.any()):
            some = search_shortly(table, a[known], b[known], initial=ways[known])
            found.length[known], found.nodes[known] = some.length, some.nodes
        rest = ~found.length.isfinite()
        if bool(rest.any()):
            others = self._begin_anew(a[rest], b[rest])
            found.length[rest], found.nodes[rest] = others.length, others.nodes
        return found

    def _begin_anew(self, a: Tensor, b: Tensor) -> ShortGeodesics:
        metric, graph = self.manifold.metric, self.manifold.graph_over(torch.cat([a, b]))
        found = measure_pairs(metric, a, b, graph=graph, short=True, curves=True)
        return ShortGeodesics(found.length, cast("Tensor", found.nodes))

    def _solve(self, a: Tensor, b: Tensor, warm: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        options: dict[str, Any] = {"levels": _LEVELS}
        if warm is not None:
            usable = warm.isfinite().all(-1).all(-1)[:, None, None]
            line = straight_line(a, b, warm.shape[1] - 1)
            options["initial"] = torch.where(usable, with_ends(warm, a, b), line)
        result = self.manifold.geodesic(a, b, **options)
        self.curves = result.curve.nodes
        velocity = result.curve.velocity(a.new_zeros(1)).squeeze(-2)
        return velocity, result.length, result.converged

    def _of_length(self, a: Tensor, velocity: Tensor, length: Tensor, finite: Tensor) -> Tensor:
        """Keep the direction of a curve, and give it the length that was measured."""
        speed = self.manifold.norm(a, torch.where(finite.unsqueeze(-1), velocity, 0))
        usable = finite & (speed > 0)
        factor = torch.where(usable, length, 0) / torch.where(usable, speed, 1)
        return torch.where(usable.unsqueeze(-1), velocity * factor.unsqueeze(-1), 0)
