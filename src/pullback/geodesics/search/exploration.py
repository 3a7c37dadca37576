"""Other ways than the one that was found: in more than two dimensions no graph sees them all."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.geodesics.result import GeodesicResult, through
from pullback.geodesics.search.bends import shortest_bends
from pullback.geodesics.search.candidates import apart
from pullback.geodesics.search.measure import fine_points, measure, resample
from pullback.geodesics.solvers.lbfgs import LBFGS

if TYPE_CHECKING:
    from pullback.geodesics.search.search import Search

__all__ = ["explored"]

_TURNS = 2  # from each curve that is better than the last
_NODES = 33  # of the curves that look for other ways
_KEPT = 4  # bends of an answer that are followed
_HEIGHT = 0.3  # of the bends of an answer, as a share of its chord
_SHORTER = 2e-3  # by which share another way is shorter that is worth a search
_ANOTHER = 0.1  # of its extent, off the answer: nearer curves may be the same, not yet relaxed
_SCOUT = LBFGS(max_steps=30, tol=1e-3)


class _Ways(NamedTuple):
    nodes: Tensor  # the shortest curve that was found, (n, 33, d)
    length: Tensor  # its length, (n,)
    rival_length: Tensor  # of the shortest curve that runs apart from the answer, (n,); or inf


def explored(search: "Search", result: GeodesicResult) -> GeodesicResult:
    """Look for other ways from bends of the answers and from straight lines, and take shorter ones.

    Descents by L-BFGS on few nodes, whose first steps are long, leave a valley that Newton's method
    stays in. How long the shortest other way is goes into `rival_length`, shorter or not.

    Args:
        search: the search that found the answers.
        result: the answers, a flat batch, in more than two dimensions.

    Returns:
        The answers in the same order.

    Example:
        >>> from pullback.geodesics.search.search import Search
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4)
        >>> a, b = torch.zeros(1, 3).double(), torch.ones(1, 3).double()
        >>> found = search.run(a, b, graph=None, given={})
        >>> explored(search, found).converged.item()
        True
    """
    rows = result.converged.nonzero().squeeze(-1)
    for _ in range(_TURNS):
        if len(rows) == 0:
            break
        answer = result.take(rows)
        ways = _other_ways(search, answer)
        rival = torch.fmin(answer.rival_length, ways.rival_length)
        rival = torch.where(rival.isfinite(), rival, torch.nan)
        result = result.replace(rival_length=result.rival_length.index_put((rows,), rival))
        shorter = ways.length < (1 - _SHORTER) * answer.length
        rows = rows[shorter]
        if len(rows) > 0:
            result, rows = _taken(search, result, rows, ways.nodes[shorter])
    return result


def _other_ways(search: "Search", answer: GeodesicResult) -> _Ways:
    metric = search.metric
    rough = metric if metric.single is None else metric.single
    nodes = resample(answer.curve.nodes, _NODES)
    line = straight_line(nodes[:, 0], nodes[:, -1], _NODES - 1)
    starts = torch.cat([*shortest_bends(metric, nodes, height=_HEIGHT, kept=_KEPT), line])
    relaxed = _SCOUT.relax(rough, starts if rough is metric else starts.float()).nodes.to(nodes)
    length = measure(metric, fine_points(through(relaxed)))[0].nan_to_num(nan=torch.inf)
    n_starts = len(starts) // len(nodes)
    other = apart(relaxed, nodes.repeat(n_starts, 1, 1), _ANOTHER)
    rivals = torch.where(other, length, torch.inf).reshape(n_starts, -1)
    best = length.reshape(n_starts, -1).argmin(0)
    row = torch.arange(len(nodes), device=nodes.device)
    shortest = relaxed.unflatten(0, (n_starts, -1))[best, row]
    shortest = torch.cat([nodes[:, :1], shortest[:, 1:-1], nodes[:, -1:]], 1)
    return _Ways(shortest, length.reshape(n_starts, -1)[best, row], rivals.amin(0))


def _taken(
    search: "Search", result: GeodesicResult, rows: Tensor, nodes: Tensor
) -> tuple[GeodesicResult, Tensor]:
    """Search from other ways, and take what is shorter: also the rows that it was taken for."""
    before = result.take(rows)
    found = search.run(nodes[:, 0], nodes[:, -1], graph=None, given={"found": nodes})
    better = found.length < (1 - _SHORTER / 2) * before.length
    rival_length = torch.fmin(before.length, before.rival_length)
    found = found.following(before).replace(rival_length=rival_length)
    return result.put(rows[better], found.take(better.nonzero().squeeze(-1))), rows[better]
