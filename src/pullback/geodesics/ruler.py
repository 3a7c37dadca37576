"""A ruler: geodesic distances to a set of points by one method, chosen in one place."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from pullback.errors import InvalidDataError, InvalidParameterError, check_choice
from pullback.geodesics.distances import Lengths, measure_pairs
from pullback.geodesics.fields.rows import measure_rows, table_to_march
from pullback.geodesics.search.graph import LatentGraph
from pullback.metrics import Metric, TabulatedMetric
from pullback.shapes import Codes, Mask, Nodes

__all__ = ["METHODS", "Ruler", "build_graph"]

METHODS = ("auto", "graph", "newton", "table")
"""How distances can be measured."""

# Pairs from which on `"auto"` makes a table, that is, prefers speed to accuracy. For a VAE of 784
# pixels it took 1 s to make one, and a careful search 30 ms a pair on one core: 2000 pairs take a
# minute with care, right to 1e-6, and 2 s on a table, right to 2e-3. 64 points have 2016 pairs.
_MANY = 2000
# Nodes of a graph along each axis of the plane, where the metric is cheap; else `LatentGraph.build`
# takes 64. By judgement: more than twice the nodes, whose edges cost little on a table.
_CHEAP_RESOLUTION = 96
# Pairs that are measured together, so that memory does not grow with how many there are. By
# judgement: a million need 35 MiB beside their lengths to be put into order, and fields from 1500
# codes have 700 targets each. Fewer pairs need less, but as many fields for fewer targets.
_TOGETHER = 2**20


class Ruler:
    """Measures from any points to given ones: the one policy of all who ask for many distances.

    Searches start from the straight line and from a graph over the given points and the data, which
    is made once: a distance does not depend on what else is measured with it. There is one
    exception, for speed: from a point of the plane to 100 others or more, on a table, searches
    start from the ways down a distance field instead. Both find the same geodesics, but where the
    search from the line and the graph misses a shorter one.

    `"auto"` is short searches on the metric itself where it is cheap, as a table is; and on a table
    that is made here where there are many pairs, d <= 3 and the metric is finite all around the
    points. Else each pair is solved with care.

    Args:
        metric: the metric.
        Z: the given points, shape `(n, d)`.
        method: `"newton"` solves every pair as `Manifold.dist` does; `"table"` (d <= 3) makes a
            table of the metric, unless it is cheap, and takes a short search on it, right to about
            0.2 %; where two ways are nearly as long it may measure the longer; `"graph"` takes
            shortest paths on the graph, a few per cent longer for d <= 2; `"auto"` see above.
        data: more points that the graph and the table shall cover, shape `(m, d)`.
        n_pairs: how many pairs are to be measured; None for those between the given points.

    Attributes:
        Z: the given points.
        metric: what is measured with: the metric, or a table of it.
        method: the method that was taken: never `"auto"`.
        graph: the graph over all points.

    Raises:
        InvalidParameterError: unknown method, or a table of more than three dimensions.
        InvalidDataError: the metric is not finite where a table or graph needs it.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> Z = torch.tensor([[0.0, 1.0]]).double()
        >>> ruler = Ruler(HalfPlane(), Z, "newton")
        >>> ruler.to(2 * Z).length.round(decimals=6)  # log 2
        tensor([[0.6931]], dtype=torch.float64)
    """

    def __init__(
        self,
        metric: Metric,
        Z: Codes,
        method: str = "auto",
        *,
        data: Nodes | None = None,
        n_pairs: int | None = None,
    ) -> None:
        check_choice("method", method, METHODS)
        nodes = Z if data is None else torch.cat([Z, data.to(Z)])
        n_pairs = len(Z) * (len(Z) - 1) // 2 if n_pairs is None else n_pairs
        self.Z = Z
        self.metric, self.method = _choose(metric, nodes, method, n_pairs)
        self.graph = build_graph(self.metric, nodes.unique(dim=0))

    def to(self, points: Codes, *, progress: bool = False) -> Lengths:
        """Measure from points `(m, d)` to all given ones: lengths `(m, n)`."""
        if self.method == "graph":
            distances = self.graph.dist(points, self.Z)
            return Lengths(distances, distances.isfinite())
        n = len(self.Z)
        length = self.Z.new_full((len(points), n), torch.nan)
        table = self._table_to_march(n)
        if table is not None:
            rows = measure_rows(table, points, [self.Z] * len(points), progress=progress)
            for i, row in enumerate(rows):
                length[i] = row
        return self._rest(length, points, torch.ones_like(length, dtype=torch.bool), progress)

    def among(self, *, progress: bool = False) -> Lengths:
        """Measure between the given points: lengths `(n, n)`, symmetric with a zero diagonal.

        Each pair is counted as failed once.
        """
        n = len(self.Z)
        if self.method == "graph":
            distances = self.graph.dist(self.Z, self.Z)
            length = torch.minimum(distances, distances.T).fill_diagonal_(0)
            below = torch.ones_like(length, dtype=torch.bool).tril()
            return Lengths(length, length.isfinite() | below)
        length = self.Z.new_full((n, n), torch.nan)
        n_rows = sum(self._table_to_march(n - 1 - i) is not None for i in range(n))
        table = self._table_to_march(n - 1)
        if table is not None:
            targets = [self.Z[i + 1 :] for i in range(n_rows)]
            rows = measure_rows(table, self.Z[:n_rows], targets, progress=progress)
            for i, row in enumerate(rows):
                length[i, i + 1 :] = row
        above = torch.ones_like(length, dtype=torch.bool).triu(1)
        found = self._rest(length, self.Z, above, progress)
        upper = found.length.masked_fill(~above, 0.0)
        return Lengths(upper + upper.T, found.converged | ~above)

    def _table_to_march(self, n_targets: int) -> TabulatedMetric | None:
        return table_to_march(self.metric, n_targets) if self.method == "table" else None

    def _rest(self, length: Tensor, points: Codes, wanted: Mask, progress: bool) -> Lengths:
        """Measure the pairs that are wanted and not known yet, one by one."""
        converged = length.isfinite()
        n_rows = max(1, _TOGETHER // max(1, length.shape[1]))
        parts = (part.split(n_rows) for part in (points, wanted, length, converged))
        for a, asked, lengths, successes in zip(*parts, strict=True):
            i, j = (asked & lengths.isnan()).nonzero().unbind(-1)
            found = self._search(a[i], self.Z[j], curves=False, progress=progress)
            lengths[i, j], successes[i, j] = found.length, found.converged
        return Lengths(length, converged)

    def pairs(
        self, point_a: Codes, point_b: Codes, *, curves: bool = False, progress: bool = False
    ) -> Lengths:
        """Measure from each a to its b, with the curves if asked for.

        Without curves, pairs that begin at the same a are measured from there together where that
        is faster: put those points first that come back most often.

        Args:
            point_a: points, shape `(k, d)`.
            point_b: points, shape `(k, d)`.
            curves: whether to return nodes along the geodesics.
            progress: show a bar where there are many pairs.

        Returns:
            Lengths, infinite where there is no finite curve.

        Raises:
            InvalidParameterError: the method is `"graph"`, which has no curves.
        """
        if self.method == "graph":
            raise InvalidParameterError("method", "one that finds curves", "'graph'")
        if curves:
            return self._search(point_a, point_b, curves=True, progress=progress)
        length = point_a.new_full((len(point_a),), torch.nan)
        converged = torch.zeros_like(length, dtype=torch.bool)
        n_blocks = max(1, -(-len(length) // _TOGETHER))
        ends = (points.tensor_split(n_blocks) for points in (point_a, point_b, length, converged))
        for a, b, lengths, successes in zip(*ends, strict=True):
            found = self._together(a, b, progress)
            lengths[:], successes[:] = found.length, found.converged
        return Lengths(length, converged)

    def _together(self, point_a: Codes, point_b: Codes, progress: bool) -> Lengths:
        """Measure pairs that may share fields, without curves."""
        length = point_a.new_full((len(point_a),), torch.nan)
        table = self._table_to_march(len(point_a))
        if table is not None:
            places = [k for k in _alike(point_a) if self._table_to_march(len(k)) is not None]
            targets = (point_b[place] for place in places)
            sources = point_a[torch.tensor([int(place[0]) for place in places], dtype=torch.long)]
            rows = measure_rows(table, sources, targets, progress=progress)
            for place, row in zip(places, rows, strict=True):
                length[place] = row
        rest = length.isnan().nonzero().squeeze(-1)
        found = self._search(point_a[rest], point_b[rest], curves=False, progress=progress)
        converged = length.isfinite()
        length[rest], converged[rest] = found.length, found.converged
        return Lengths(length, converged)

    def _search(self, point_a: Codes, point_b: Codes, *, curves: bool, progress: bool) -> Lengths:
        found = measure_pairs(
            self.metric,
            point_a,
            point_b,
            graph=self.graph,
            short=self.method == "table",
            curves=curves,
            progress=progress,
        )
        length = found.length.nan_to_num(nan=torch.inf)
        return Lengths(length, found.converged & length.isfinite(), found.nodes)

    def bounds(self, points: Codes) -> Tensor:
        """Bound the lengths from points to all given ones: see `Metric.lower_bounds`."""
        return self.metric.lower_bounds(points, self.Z)


def build_graph(metric: Metric, nodes: Codes) -> LatentGraph:
    """Build a graph over points for searches to start from, finer where the metric is cheap.

    Args:
        metric: the metric.
        nodes: points to cover, shape `(n, d)`.

    Returns:
        The graph.

    Raises:
        InvalidDataError: the metric is not finite on any edge.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> graph = build_graph(PullbackMetric(lambda z: 2 * z), torch.eye(2).double())
        >>> len(graph.nodes)  # both points, and a grid around them
        4098
    """
    finer = metric.is_cheap and nodes.shape[1] == 2
    return LatentGraph.build(metric, nodes, resolution=_CHEAP_RESOLUTION if finer else None)


def _alike(points: Tensor) -> Iterator[Tensor]:
    """Yield the places of equal points among some `(n, d)`, in the order of the points."""
    # Not by `unique`, which makes a tensor of each row, nor by `split`, of each place: hundreds of
    # bytes a point.
    columns = points.detach().numpy().T
    order = np.lexsort(columns)
    is_last = np.full(len(points), False)
    is_last[-1:] = True
    for column in columns:
        column = column[order]
        is_last[:-1] |= column[1:] != column[:-1]
    begin = 0
    for end in np.flatnonzero(is_last) + 1:
        yield torch.from_numpy(order[begin:end])
        begin = int(end)


def _choose(metric: Metric, nodes: Tensor, method: str, n_pairs: int) -> tuple[Metric, str]:
    """Choose the method, and make the table that it needs."""
    if method in ("graph", "newton"):
        return metric, method
    if metric.is_cheap:
        return metric, "table"
    if method == "table":
        return TabulatedMetric.build(metric.exact, nodes), method
    if nodes.shape[1] <= 3 and n_pairs >= _MANY:
        try:
            return TabulatedMetric.build(metric.exact, nodes), "table"
        except InvalidDataError:  # not finite all around the points, but maybe between them
            return metric, "newton"
    return metric, "newton"
