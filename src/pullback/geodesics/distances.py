"""All distances between many points: short searches on a fast metric, with a measured error."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from pullback.display import as_html, as_line
from pullback.errors import ConvergenceWarning
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.short import search_shortly
from pullback.geodesics.solve import connect
from pullback.metrics import Metric
from pullback.progress import progress_bar
from pullback.shapes import Codes, Nodes

__all__ = ["PairwiseDistances", "pairwise", "refine_sample"]

_BLOCK = 256  # pairs that are solved at once
_SHORT_BLOCK = 2048


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


def pairwise(
    metric: Metric,
    point_a: Codes,
    point_b: Nodes | None = None,
    *,
    graph: LatentGraph | None,
    short: bool = True,
    progress: bool = True,
) -> Tensor:
    """Measure all distances between points, each pair by a search that begins on a graph.

    A short search takes the shorter of the straight line and the shortest path on the graph, and a
    few Newton steps on few nodes; only pairs that were not seen well then take more nodes. There is
    no certificate: the caller refines a sample, see `PairwiseDistances`.

    Args:
        metric: the metric; for short searches one that is cheap to evaluate, such as a table.
        point_a: points, shape `(n_a, d)`.
        point_b: points, shape `(n_b, d)`; `point_a` if None.
        graph: a graph over the region, which short searches need.
        short: search shortly; else solve each pair as `connect` does, and warn of those that do not
            converge.
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
    size = _SHORT_BLOCK if short else _BLOCK
    blocks = range(0, len(i), size)
    bar = progress_bar(blocks, "distances", disable=not progress or len(blocks) < 4, leave=False)
    lengths, n_failed = [], 0
    for k in bar:
        ends = point_a[i[k : k + size]], b[j[k : k + size]]
        if short and graph is not None:
            lengths.append(search_shortly(metric, *ends, graph=graph).length)
        else:
            result = connect(metric, *ends, graph=graph)
            lengths.append(result.length)
            n_failed += int((~result.converged).sum())
    if n_failed:
        warnings.warn(
            f"{n_failed} of {len(i)} geodesics did not converge; their lengths are upper bounds, "
            "or NaN. `Manifold.geodesic` says which and why.",
            ConvergenceWarning,
            stacklevel=3,
        )
    distances = point_a.new_zeros(len(point_a), len(b))
    if lengths:
        distances[i, j] = torch.cat(lengths)
    return distances + distances.T if symmetric else distances


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


def _pairs(n_a: int, n_b: int, *, symmetric: bool) -> Tensor:
    """The pairs to solve, `(2, n)`: of one set each once, without the diagonal."""
    if symmetric:
        return torch.triu_indices(n_a, n_b, offset=1)
    return torch.cartesian_prod(torch.arange(n_a), torch.arange(n_b)).T
