"""The boundary problem: geodesics between given points."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback.curves import Curve
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_integer,
    check_number,
    check_points,
)
from pullback.geodesics.base import Solver
from pullback.geodesics.result import GeodesicResult
from pullback.geodesics.search.candidates import Found
from pullback.geodesics.search.compiled import bounded, find_compiled, may_vouch, vouch
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.refinement import find
from pullback.geodesics.search.search import Search
from pullback.geodesics.search.thresholds import THRESHOLDS
from pullback.geodesics.search.verdict import judge, revised
from pullback.geodesics.solvers.gauss_newton import GaussNewtonLBFGS
from pullback.geodesics.tally import note
from pullback.metrics import Metric

__all__ = ["connect"]

# The most segments of a level that may be asked for: with 4096 one pair takes 8 s. A geodesic of
# length 256 is right to 1e-4 with them.
_FINEST = 4096
# Memory, in bytes, that the searches of one block of pairs may hold together: 256 MiB. A larger
# block needs more memory, a smaller one has fewer curves to share the cost of a call.
_BLOCK_BYTES = 2**28
_DENSE_DIM = GaussNewtonLBFGS().most_dense  # up to which there are d x d blocks at every node


def connect(
    metric: Metric,
    point_a: Any,
    point_b: Any,
    *,
    graph: LatentGraph | None = None,
    initial: Curve | Any | Sequence[Curve | Any] | None = None,
    solver: Solver | None = None,
    levels: Sequence[int] = (32, 64, 128, 256),
    rtol: float = 1e-4,
    polish: bool = False,
    confirm: bool = True,
    throw: bool = False,
) -> GeodesicResult:
    r"""Find the geodesics from points a to points b, thousands at once.

    Minimises the energy 1/2 int |c'(t)|^2 dt with c(0) = a and c(1) = b. Each pair starts from the
    straight line, from its shortest path if a graph is given, and from the given curves; all are
    relaxed on few nodes, and the shortest is refined until its length has settled: until a formula
    of fourth order and a measurement with more points agree with the chain of nodes.

    Args:
        metric: the Riemannian metric; of one that approximates another, lengths and energies are
            measured again on the exact one.
        point_a: start points a, shape `(*batch, d)`: a tensor, an array or nested sequences.
        point_b: end points b, shape `(*batch, d)`; broadcast against a.
        graph: a graph over the region, for starts that see round obstacles.
        initial: curves to start from too, with the ends a and b: a `Curve` or points
            `(*batch, n, d)`, or a list of these.
        solver: the solver; `default_solver` if None.
        levels: numbers of segments, from coarse to fine, each in [2, 4096].
        rtol: a length has settled when its estimated relative error is below this.
        polish: relax all answers on the exact metric, where `metric` approximates it; else only
            those along which it is off by more than 0.3 %.
        confirm: look again at what converged: measure it by more points, attack it by L-BFGS, and
            where there may be many look for other ways; what does not stand is searched again.
            False trusts the solver with the given starts, as to judge it.
        throw: raise if a pair does not converge, rather than say so in the result.

    Returns:
        The curves with a status and a certificate for each pair.

    Raises:
        InvalidDataError: the points are not finite or of different dimensions, or a given curve
            does not join them.
        InvalidParameterError: `levels` or `rtol` is out of range.
        ConvergenceError: `throw` is true and a pair did not converge.

    Source:
        The chain of nodes: Hauberg, Differential geometry for generative modeling (2025), chapter
        on computing geodesics. The metric: Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on
        the curvature of deep generative models (2018).

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> paraboloid = lambda z: torch.cat([z, z.square().sum(-1, keepdim=True)], -1)
        >>> a, b = torch.tensor([-1.0, 0.2]).double(), torch.tensor([1.0, 0.2]).double()
        >>> result = connect(PullbackMetric(paraboloid), a, b)
        >>> bool(result.length < result.straight_length), bool(result.converged)
        (True, True)
    """
    point_a, point_b = _check_ends(metric, point_a, point_b)
    _check_kind("graph", graph, LatentGraph, "LatentGraph.build(metric, codes)")
    _check_kind("solver", solver, Solver, "Newton()")
    check_number("rtol", rtol, low=0, open_low=True)
    search = Search(metric, solver, _check_levels(levels), rtol, confirm, THRESHOLDS)
    given = _named([_check_initial(curve, point_a, point_b) for curve in _as_list(initial)])
    a, b = (p.detach().reshape(-1, p.shape[-1]) for p in (point_a, point_b))
    note(geodesics=len(a))
    results = []
    with torch.no_grad():
        for block in _blocks(a, search.levels[-1]):
            starts = {name: curve[block] for name, curve in given.items()}
            asked = _Asked(a[block], b[block], graph, starts, confirm, polish)
            results.append(_solve(search, asked))
    result = GeodesicResult.cat(results).reshape(point_a.shape[:-1])
    return result.raise_if_failed() if throw else result


class _Asked(NamedTuple):
    point_a: Tensor
    point_b: Tensor
    graph: LatentGraph | None
    given: dict[str, Tensor]
    confirm: bool
    polish: bool


def _solve(search: Search, asked: _Asked) -> GeodesicResult:
    """Solve pairs by compiled kernels where there are some, and by PyTorch what these leave."""
    a, b, given = asked.point_a, asked.point_b, asked.given
    compiled = None
    if not given and search.metric.exact is not search.metric:  # a table, perhaps
        compiled = find_compiled(search, a, b, only_straight=asked.graph is None)
    if compiled is None:
        found = find(search, a, b, graph=asked.graph, given=given)
        return judge(search, found, confirm=asked.confirm, polish=asked.polish)
    found, rows = compiled
    results = [_judge_compiled(search, found, asked)] if len(rows) > 0 else []
    if len(rows) < len(a):
        left = torch.ones(len(a), dtype=torch.bool, device=a.device).index_fill(0, rows, False)
        others = left.nonzero().squeeze(-1)
        found = find(search, a[others], b[others], graph=asked.graph)
        results.append(judge(search, found, confirm=asked.confirm, polish=asked.polish))
        rows = torch.cat([rows, others])
    return _in_order(results, rows)


def _judge_compiled(search: Search, found: Found, asked: _Asked) -> GeodesicResult:
    """Vouch for curves of a table, and judge those with all care that cannot be vouched for."""
    if asked.polish or not may_vouch(search, asked.point_a.shape[-1]):
        found = bounded(search, found)
        return judge(search, found, confirm=asked.confirm, polish=asked.polish)
    answers, sure = vouch(search, found)
    if bool(sure.all()):
        return answers
    places = [mask.nonzero().squeeze(-1) for mask in (sure, ~sure)]
    vouched, left = (answers.take(rows) for rows in places)
    doubtful = revised(search, left, confirm=asked.confirm, polish=True)
    return _in_order([vouched, doubtful], torch.cat(places))


def _in_order(results: list[GeodesicResult], places: Tensor) -> GeodesicResult:
    """Join results, and put them into the order of the places of their pairs."""
    joined = GeodesicResult.cat([result for result in results if len(result) > 0])
    return joined if len(results) == 1 else joined.take(places.argsort())


def _blocks(points: Tensor, n_segments: int) -> list[slice]:
    """Part the pairs into those that are solved at once, so that a search keeps to its memory."""
    n, d = points.shape
    row = 4 * d**2 if d <= _DENSE_DIM else 0
    size = int(min(1024, max(1, _BLOCK_BYTES // (8 * n_segments * (row + 64 * d)))))
    return [slice(k, k + size) for k in range(0, n, size)]


def _named(curves: list[Tensor]) -> dict[str, Tensor]:
    return {f"given {i}" if len(curves) > 1 else "given": curve for i, curve in enumerate(curves)}


def _as_list(initial: Any) -> list[Any]:
    if initial is None:
        return []
    is_list = isinstance(initial, (list, tuple))
    if is_list and all(isinstance(item, (Curve, Tensor)) for item in initial):
        return list(initial)
    return [initial]


def _check_initial(curve: Any, point_a: Tensor, point_b: Tensor) -> Tensor:
    nodes = curve.nodes if isinstance(curve, Curve) else check_points("initial", curve)
    nodes = nodes.detach().to(point_a)
    d = point_a.shape[-1]
    if nodes.ndim < 2 or nodes.shape[-2] < 2 or nodes.shape[-1] != d:
        raise InvalidDataError(
            f"`initial` must hold curves of shape (..., n, {d}) with n >= 2, but got "
            f"{tuple(nodes.shape)}."
        )
    nodes = nodes.expand(*point_a.shape[:-1], *nodes.shape[-2:]).reshape(-1, *nodes.shape[-2:])
    ends = torch.stack([point_a, point_b], -2).reshape(-1, 2, d)
    gap = (nodes[:, [0, -1]] - ends).norm(dim=-1).amax(-1)
    reach = (nodes.amax(1) - nodes.amin(1)).norm(dim=-1)
    rounding = 16 * torch.finfo(nodes.dtype).eps * nodes.abs().amax((1, 2))
    if bool((gap > 1e-4 * reach + rounding).any()):
        raise InvalidDataError(
            "`initial` must hold curves that begin at `point_a` and end at `point_b`, but one "
            f"misses them by {float(gap.max()):.3g} (pair {int(gap.argmax())})."
        )
    return torch.cat([ends[:, :1], nodes[:, 1:-1], ends[:, 1:]], 1)


def _check_ends(metric: Metric, point_a: Any, point_b: Any) -> tuple[Tensor, Tensor]:
    point_a = check_points("point_a", point_a, metric.dim)
    point_b = check_points("point_b", point_b, point_a.shape[-1])
    try:
        point_a, point_b = torch.broadcast_tensors(point_a, point_b.to(point_a))
    except RuntimeError as error:
        raise InvalidDataError(
            f"`point_a` and `point_b` must have shapes that broadcast, but got "
            f"{tuple(point_a.shape)} and {tuple(point_b.shape)}. Give one b for each a, or one b."
        ) from error
    if point_a.numel() == 0:
        raise InvalidDataError("`point_a` must hold at least one point, but it is empty.")
    return point_a, point_b


def _check_kind(name: str, value: Any, kind: type, example: str) -> None:
    if value is not None and not isinstance(value, kind):
        allowed = f"a `{kind.__name__}`, for instance `{example}`, or None"
        raise InvalidParameterError(name, allowed, f"{value!r}"[:80])


def _check_levels(levels: Sequence[int]) -> tuple[int, ...]:
    given = levels if isinstance(levels, Sequence) else [levels]
    checked = tuple(check_integer("levels", level, low=2, high=_FINEST) for level in given)
    if len(checked) < 1 or any(a >= b for a, b in pairwise(checked)):
        raise InvalidParameterError(
            "levels", "at least one number of segments, each larger than the last", checked
        )
    return checked
