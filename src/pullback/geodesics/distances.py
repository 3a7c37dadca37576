"""Many distances: pairs of points measured in blocks, with their error on a sample of them."""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.errors import ConvergenceWarning
from pullback.geodesics.kernels.table_search import table_search
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.short import search_shortly
from pullback.geodesics.solve import connect
from pullback.geodesics.tally import note
from pullback.metrics import Metric
from pullback.progress import progress_bar
from pullback.shapes import Codes, Nodes

__all__ = [
    "Lengths",
    "PairwiseDistances",
    "measure_pairs",
    "pairwise",
    "refine_sample",
    "warn_of_failures",
]

_BLOCK = 256  # pairs that are solved with care at once: their nodes stay at some hundred megabytes
# Pairs that are searched shortly at once: eight times as many, for chains end with 65 nodes where
# careful ones may end with 257.
_SHORT_BLOCK = 2048
_NODES = 65  # of the curves that are returned, as many as a short search ends with


class Lengths(NamedTuple):
    """Lengths of geodesics, and how they were found.

    Attributes:
        length: d(a, b), or an upper bound where the search did not converge; NaN or infinite where
            there is no finite curve.
        converged: where the search converged; a short search and a path on a graph only say whether
            they found a finite curve.
        nodes: nodes along the curves, shape `(k, nodes, d)`, or None if they were not asked for.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> a = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        >>> lengths = measure_pairs(PullbackMetric(lambda z: 2 * z), a, a + 1, short=True)
        >>> lengths.length.round(decimals=6).tolist(), lengths.n_failed
        ([2.0, 2.0], 0)
    """

    length: Tensor
    converged: Tensor
    nodes: Tensor | None = None

    @property
    def n_failed(self) -> int:
        """How many did not converge."""
        return int((~self.converged).sum())


@dataclass(frozen=True, eq=False)
class PairwiseDistances:
    """Distances between the points of one set or two, with their error on a sample of pairs.

    Attributes:
        distances: shape `(n_a, n_b)`; of one set symmetric, with a zero diagonal.
        sample: indices of the pairs that were solved again with all care, shape `(k, 2)`.
        refined: their distances, shape `(k,)`.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> M = Manifold(lambda z: 2 * z, dim=2)
        >>> found = M.pairwise(torch.eye(2).double(), progress=False)
        >>> found.distances.round(decimals=4).tolist(), found.error(1.0) < 1e-6
        ([[0.0, 2.8284], [2.8284, 0.0]], True)
    """

    distances: Tensor
    sample: Tensor
    refined: Tensor

    __repr__ = as_line
    _repr_html_ = as_html

    @property
    def errors(self) -> Tensor:
        """Relative errors of the sampled pairs, shape `(k,)`: positive where too long."""
        found = self.distances[self.sample[:, 0], self.sample[:, 1]]
        return torch.where(self.refined > 0, found / self.refined - 1, found)

    def error(self, share: float = 0.95) -> float:
        """Return the relative error that this share of the sampled pairs keeps to."""
        return float(self.errors.abs().quantile(share)) if len(self.sample) > 0 else 0.0

    def __str__(self) -> str:
        """Say how many distances there are, and how well they are known."""
        n_a, n_b = self.distances.shape
        return (
            f"{n_a} x {n_b} distances; relative error on {len(self.sample)} refined pairs: "
            f"median {self.error(0.5):.1e}, 95 % {self.error():.1e}, largest {self.error(1.0):.1e}"
        )


def measure_pairs(
    metric: Metric,
    point_a: Codes,
    point_b: Codes,
    *,
    graph: LatentGraph | None = None,
    short: bool = False,
    curves: bool = False,
    progress: bool = False,
) -> Lengths:
    """Measure from each a to its b, block by block.

    A short search takes the shorter of the straight line and the shortest path on the graph, and a
    few Newton steps on few nodes; only curves that are longer than their chains, and so may have
    something between two nodes, then take more. On a table the search is compiled where it can be,
    and as careful as that of `connect`. Lengths are those on the metric itself, and there is no
    certificate: the caller refines a sample, see `PairwiseDistances`.

    Args:
        metric: the metric; for short searches one that is cheap, such as a table.
        point_a: start points, shape `(k, d)`.
        point_b: end points, shape `(k, d)`.
        graph: a graph over the region, that searches start from; None for straight lines only.
        short: search shortly; else solve each pair as `connect` does.
        curves: return nodes along the geodesics too.
        progress: show a bar where there are many blocks.

    Returns:
        A length for each pair.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
        >>> measure_pairs(HalfPlane(), a, 2 * a).length.round(decimals=6)  # log 2
        tensor([0.6931], dtype=torch.float64)
    """
    find, size = (_search, _SHORT_BLOCK) if short else (_solve, _BLOCK)
    blocks = range(0, max(1, len(point_a)), size)
    bar = progress_bar(blocks, "distances", disable=not progress or len(blocks) < 4, leave=False)
    found = []
    for k in bar:
        a, b = point_a[k : k + size], point_b[k : k + size]
        if len(a) == 0:
            none = a.new_zeros(0)
            found.append(Lengths(none, none.bool(), a.new_zeros(0, _NODES, a.shape[-1])))
        else:
            block = find(metric, a, b, graph)
            found.append(block if curves else block._replace(nodes=None))
    nodes = [block.nodes for block in found if block.nodes is not None]
    return Lengths(
        torch.cat([block.length for block in found]),
        torch.cat([block.converged for block in found]),
        torch.cat(nodes) if curves else None,
    )


def pairwise(
    metric: Metric,
    point_a: Codes,
    point_b: Nodes | None = None,
    *,
    graph: LatentGraph | None,
    short: bool = True,
    progress: bool = True,
) -> Tensor:
    """Measure all distances between points, each pair as `measure_pairs` does.

    Warns with `ConvergenceWarning` of pairs that did not converge. `Ruler` chooses the metric, the
    graph and the kind of search by itself.

    Args:
        metric: the metric; for short searches one that is cheap to evaluate, such as a table.
        point_a: points, shape `(n_a, d)`.
        point_b: points, shape `(n_b, d)`; `point_a` if None.
        graph: a graph over the region, which short searches need.
        short: search shortly, if there is a graph; else solve each pair as `connect` does.
        progress: show a bar.

    Returns:
        Distances, shape `(n_a, n_b)`; symmetric with a zero diagonal if `point_b` is None.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 2 * z, dim=2)
        >>> z = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
        >>> pairwise(flat, z, graph=None, short=False).round(decimals=6).tolist()
        [[0.0, 10.0], [10.0, 0.0]]
    """
    symmetric = point_b is None
    b = point_a if point_b is None else point_b
    i, j = _pairs(len(point_a), len(b), symmetric=symmetric).to(point_a.device)
    short = short and graph is not None
    found = measure_pairs(metric, point_a[i], b[j], graph=graph, short=short, progress=progress)
    warn_of_failures(found.n_failed, len(i), stacklevel=3)
    distances = point_a.new_zeros(len(point_a), len(b))
    distances[i, j] = found.length
    return distances + distances.T if symmetric else distances


def warn_of_failures(n_failed: int, n_pairs: int, *, stacklevel: int = 4) -> None:
    """Warn of geodesics that did not converge.

    Args:
        n_failed: how many.
        n_pairs: of how many.
        stacklevel: whose line the warning names.

    Example:
        >>> warn_of_failures(0, 10)
    """
    if n_failed:
        warnings.warn(
            f"{n_failed} of {n_pairs} geodesics did not converge: their lengths are upper bounds, "
            "or no finite curve was found. `Manifold.geodesic` says which and why.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def refine_sample(
    metric: Metric, distances: Tensor, a: Tensor, b: Tensor, *, graph: LatentGraph | None, n: int
) -> PairwiseDistances:
    """Solve a sample of the pairs with all care on the exact metric, and keep the better lengths.

    Args:
        metric: the metric that the distances were measured with.
        distances: shape `(n_a, n_b)`.
        a: points, shape `(n_a, d)`.
        b: points, shape `(n_b, d)`.
        graph: a graph over the region.
        n: how many pairs.

    Returns:
        The distances, with the sample.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> z = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
        >>> wrong = torch.tensor([[0.0, 5.5], [5.5, 0.0]], dtype=torch.float64)
        >>> refined = refine_sample(PullbackMetric(lambda z: z), wrong, z, z, graph=None, n=4)
        >>> round(refined.error(), 6)
        0.1
    """
    generator = torch.Generator().manual_seed(0)
    n_pairs = distances.numel()
    chosen = torch.randperm(n_pairs, generator=generator, device="cpu")[:n].to(a.device)
    sample = torch.stack([chosen // len(b), chosen % len(b)], -1)
    sample = sample[(a[sample[:, 0]] != b[sample[:, 1]]).any(-1)]
    if len(sample) == 0:
        return PairwiseDistances(distances, sample, distances.new_zeros(0))
    ends = a[sample[:, 0]], b[sample[:, 1]]
    refined = connect(metric, *ends, graph=graph, polish=True).length
    return PairwiseDistances(distances, sample, refined)


def _search(metric: Metric, a: Tensor, b: Tensor, graph: LatentGraph | None) -> Lengths:
    """Search by compiled kernels on a table, and shortly what these leave, or on other metrics."""
    kernels = table_search(metric)
    if kernels is None:
        found = search_shortly(metric, a, b, graph=graph)
        return Lengths(found.length, found.length.isfinite(), found.nodes)
    curves = kernels.find(a, b)
    length, nodes = curves.length.to(a), curves.evenly(_NODES).to(a)
    rows = (~curves.resolved).nonzero().squeeze(-1)
    note(geodesics=len(a) - len(rows))  # a short search counts the others
    if len(rows) > 0:
        found = search_shortly(metric, a[rows], b[rows], graph=graph)
        length[rows], nodes[rows] = found.length, found.nodes
    return Lengths(length, length.isfinite(), nodes)


def _solve(metric: Metric, a: Tensor, b: Tensor, graph: LatentGraph | None) -> Lengths:
    found = connect(metric, a, b, graph=graph)
    length = found.length.detach()
    return Lengths(length, found.converged, found.curve.points(_NODES).detach())


def _pairs(n_a: int, n_b: int, *, symmetric: bool) -> Tensor:
    """The pairs to solve, `(2, n)`: of one set each once, without the diagonal."""
    if symmetric:
        return torch.triu_indices(n_a, n_b, offset=1)
    return torch.cartesian_prod(torch.arange(n_a), torch.arange(n_b)).T
