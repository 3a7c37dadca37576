"""The boundary problem: geodesics between given points, from coarse to fine and several starts."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.curves import CubicSpline, Curve, Polyline, length, straight_line
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_integer,
    check_number,
    check_points,
)
from pullback.geodesics.base import Relaxation, Solver, Status
from pullback.geodesics.graph import LatentGraph
from pullback.geodesics.newton import Newton
from pullback.geodesics.result import GeodesicResult
from pullback.metrics import ChordExpansion, Metric

__all__ = ["STARTS", "connect"]

STARTS = ("straight", "graph")
"""Where the search for a geodesic begins; `GeodesicResult.start` is an index into these."""

# Few nodes can step over a wall that the curve between them runs into. A curve longer than its
# chain of chords by these factors was not seen well enough to be trusted, or to be kept.
_SEEN = 1.1
_TUNNELLED = 1.3
_STEADY = 1e-3  # standard deviation of the speed over its mean
_SWEEPS = 3  # each measures a line more finely where it is long
_DISTINCT = 0.02  # candidates further apart than this share of their extent are rivals
_LONGER = 1.001  # a curve longer than the straight line by this factor is not worth keeping
_COARSE_TOL = 1e-5  # a curve that will be refined need not be solved to the end
_MEASURE = 8  # points measured for each segment that was solved


def connect(
    metric: Metric,
    point_a: Any,
    point_b: Any,
    *,
    graph: LatentGraph | None = None,
    solver: Solver | None = None,
    levels: Sequence[int] = (16, 32, 64, 128, 256),
    rtol: float = 1e-4,
    throw: bool = False,
) -> GeodesicResult:
    r"""Find the geodesics from points a to points b, thousands at once.

    Minimises the energy 1/2 int |c'(t)|^2 dt with c(0) = a and c(1) = b. Each pair starts from the
    straight line and, if a graph is given, from its shortest path; both are relaxed on few nodes,
    the shorter one is kept and refined until its length, measured again on the metric with more
    points, no longer changes.

    Args:
        metric: the Riemannian metric.
        point_a: start points a, shape `(*batch, d)`: a tensor, an array or nested sequences.
        point_b: end points b, shape `(*batch, d)`; broadcast against a.
        graph: a graph over the region, for starts that see round obstacles.
        solver: the solver; `Newton()` if None.
        levels: numbers of segments, from coarse to fine, at least two.
        rtol: a length has settled when a doubling of the nodes changes it by less than this share.
        throw: raise if a pair does not converge, rather than say so in the result.

    Returns:
        The curves with a status and a certificate for each pair.

    Raises:
        InvalidDataError: the points are not finite or of different dimensions.
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
    search = _Search(metric, solver or Newton(), _check_levels(levels), rtol)
    check_number("rtol", rtol, low=0, open_low=True)
    with torch.no_grad():
        flat_a, flat_b = (p.reshape(-1, p.shape[-1]) for p in (point_a, point_b))
        result = search.run(flat_a, flat_b, graph)
    result = _with_batch_shape(result, point_a.shape[:-1])
    return result.raise_if_failed() if throw else result


class _Curves(NamedTuple):
    """Candidates, each for one of the pairs, and how far the search has brought them."""

    nodes: Tensor
    origin: Tensor
    pair: Tensor
    start: Tensor
    length: Tensor
    chain: Tensor
    refinement: Tensor
    status: Tensor
    n_steps: Tensor

    def where(self, keep: Tensor) -> "_Curves":
        return _Curves(*(part[keep] for part in self))


class _Search(NamedTuple):
    """The data and the hyper-parameters of one call."""

    metric: Metric
    solver: Solver
    levels: tuple[int, ...]
    rtol: float

    def run(self, a: Tensor, b: Tensor, graph: LatentGraph | None) -> GeodesicResult:
        straight = _candidates([straight_line(a, b, self.levels[0])])
        straight = straight._replace(length=self._measure(straight.nodes))
        lower_bound, rounding = self.metric.chord_floor(a, b)
        # No curve is shorter than the straight line between the images, if that line is one.
        # Rounding moves points off that line, and so lengthens chords in its square.
        scatter = rounding * (_MEASURE * self.levels[0])
        excess = torch.fmin(scatter, scatter.square() / (2 * lower_bound))
        floor = lower_bound * (1 + 1e-12) + rounding + excess
        certain = (straight.length <= floor) & self._is_steady(straight, scatter / lower_bound)
        finished = [straight.where(certain)]
        curves = self._shortlist(straight.where(~certain), graph)
        for level in self.levels[1:]:
            curves = self._relax(self._refine(curves, level), self.solver.tol)
            last = level == self.levels[-1]
            curves = curves.where(_survivors(curves, seen=_SEEN if not last else torch.inf))
            settled = (curves.status == Status.CONVERGED) & (curves.refinement <= self.rtol)
            settled = (settled & (curves.length <= _SEEN * curves.chain)) | last
            finished.append(curves.where(settled))
            curves = curves.where(~settled)
            if len(curves.pair) == 0:
                break
        finished = [self._fall_back(part, straight.length) for part in finished]
        certified = [self._certify(part) for part in finished if len(part.pair) > 0]
        return _assemble(certified, straight.length, lower_bound)

    def _is_steady(self, curves: _Curves, noise: Tensor) -> Tensor:
        """Mark the curves that are run through at constant speed, but for rounding."""
        speed = self.metric.chords(Polyline(curves.nodes).points(_MEASURE * self.levels[0] + 1))
        return ~(speed.std(-1) > (_STEADY + noise) * speed.mean(-1))

    def _shortlist(self, straight: _Curves, graph: LatentGraph | None) -> _Curves:
        starts = [straight.nodes]
        if graph is not None and len(straight.pair) > 0:
            a, b = straight.nodes[:, 0], straight.nodes[:, -1]
            starts.append(graph.paths(a, b, self.levels[0]))
        curves = _candidates(starts)
        nodes = self._at_constant_speed(curves.nodes)
        curves = curves._replace(nodes=nodes, pair=straight.pair[curves.pair])
        curves = self._relax(curves, _COARSE_TOL)
        return curves.where(_survivors(curves, seen=0.0))

    def _walk(self, metric: Metric, nodes: Tensor, *, tol: float) -> Relaxation:
        """Walk at constant speed: on a line there is one path, and nothing else to find."""
        del metric, tol
        path = straight_line(nodes[:, 0], nodes[:, -1], 512)
        for _ in range(_SWEEPS):
            path = self._at_constant_speed(path)
        count = torch.zeros(len(nodes), dtype=torch.long, device=nodes.device)
        walked = Polyline(path).points(nodes.shape[1])
        return Relaxation(walked, count + int(Status.CONVERGED), count + _SWEEPS)

    def _at_constant_speed(self, nodes: Tensor) -> Tensor:
        """Move nodes along their curves until all chords are of about one length."""
        points = Polyline(nodes).points(_MEASURE * (nodes.shape[1] - 1) + 1)
        chords = self.metric.chords(points)
        # A trace of the latent length keeps nodes apart where the metric is zero.
        steps = points.diff(dim=1).norm(dim=-1)
        share = chords / chords.sum(-1, keepdim=True) + 1e-6 * steps / steps.sum(-1, keepdim=True)
        share = torch.where(share.isfinite(), share, torch.ones_like(share))
        position = torch.cat([torch.zeros_like(share[:, :1]), share.cumsum(-1)], -1)
        t = torch.linspace(0, 1, nodes.shape[1], dtype=nodes.dtype, device=nodes.device)
        wanted = t * position[:, -1:]
        right = torch.searchsorted(position, wanted).clamp(1, position.shape[1] - 1)
        before, after = position.gather(1, right - 1), position.gather(1, right)
        fraction = ((wanted - before) / (after - before)).clamp(0, 1).unsqueeze(-1)
        row = torch.arange(len(nodes), device=nodes.device).unsqueeze(1)
        moved = torch.lerp(points[row, right - 1], points[row, right], fraction.expand_as(nodes))
        return torch.cat([nodes[:, :1], moved[:, 1:-1], nodes[:, -1:]], 1)

    def _refine(self, curves: _Curves, level: int) -> _Curves:
        # A curve that was not seen by its chain of nodes is worth nothing: begin again from the
        # start, with more nodes.
        nodes = _through(curves.nodes).points(level + 1)
        unseen = (curves.length > _TUNNELLED * curves.chain) & curves.length.isfinite()
        if bool(unseen.any()):
            nodes[unseen] = self._at_constant_speed(_resample(curves.origin[unseen], level + 1))
        return curves._replace(nodes=nodes)

    def _relax(self, curves: _Curves, tol: float) -> _Curves:
        solve = self._walk if curves.nodes.shape[-1] == 1 else self.solver.relax
        nodes, status, n_steps = solve(self.metric, curves.nodes, tol=tol)
        measured = self._measure(nodes)
        return curves._replace(
            nodes=nodes,
            length=measured,
            chain=length(self.metric, nodes),
            refinement=(measured - curves.length).abs() / measured,
            status=status,
            n_steps=curves.n_steps + n_steps,
        )

    def _measure(self, nodes: Tensor) -> Tensor:
        n_points = _MEASURE * (nodes.shape[1] - 1) + 1
        return length(self.metric, _through(nodes).points(n_points))

    def _fall_back(self, curves: _Curves, straight_length: Tensor) -> _Curves:
        """Put the straight line back where the search ended on something longer."""
        suspect = (curves.length > _LONGER * straight_length[curves.pair]).nonzero().squeeze(-1)
        a, b = curves.nodes[suspect, 0], curves.nodes[suspect, -1]
        line = straight_line(a, b, curves.nodes.shape[1] - 1)
        measured = self._measure(line)
        worse = curves.length[suspect] > _LONGER * measured
        nodes, lengths, status = (
            part.clone() for part in (curves.nodes, curves.length, curves.status)
        )
        longer = suspect[worse]
        settled = curves.refinement[longer] <= self.rtol
        nodes[longer], lengths[longer] = line[worse], measured[worse]
        status[longer] = torch.where(settled, int(Status.STALLED), int(Status.UNRESOLVED))
        return curves._replace(nodes=nodes, length=lengths, status=status)

    def _certify(self, curves: _Curves) -> "_Certified":
        n_segments = curves.nodes.shape[1] - 1
        points = _through(curves.nodes).points(_MEASURE * n_segments + 1)
        speed = self.metric.chords(points)
        expansion = self.metric.expand_chords(curves.nodes)
        acceleration, regular = linalg.solve(expansion.metric, expansion.gradient)
        squared = _normal_part(curves.nodes, expansion, acceleration).amax(-1)
        residual = n_segments**2 / 2 * squared.sqrt() / curves.length
        still = curves.length <= 0
        same = (curves.nodes[:, 0] == curves.nodes[:, -1]).all(-1)
        status = curves.status.clone()
        status[(status == Status.CONVERGED) & ~(curves.refinement <= self.rtol)] = Status.UNRESOLVED
        status[~regular.all(-1) & (status != Status.NOT_FINITE) & ~same] = Status.DEGENERATE
        status[~curves.length.isfinite()] = Status.NOT_FINITE
        zero = torch.zeros_like(residual)
        return _Certified(
            curves=curves._replace(status=status),
            energy=speed.square().sum(-1) * (speed.shape[-1] / 2),
            residual=torch.where(still, zero, residual),
            speed_variation=torch.where(still, zero, speed.std(-1) / speed.mean(-1)),
        )


class _Certified(NamedTuple):
    curves: _Curves
    energy: Tensor
    residual: Tensor
    speed_variation: Tensor


def _through(nodes: Tensor) -> Curve:
    """Lay a curve through nodes: smooth, but on a line, where a spline could turn back."""
    return Polyline(nodes) if nodes.shape[-1] == 1 else CubicSpline(nodes)


def _normal_part(nodes: Tensor, expansion: ChordExpansion, acceleration: Tensor) -> Tensor:
    """Square the acceleration without its part along the curve, which only changes the speed."""
    along = nodes[:, 2:] - nodes[:, :-2]
    size = torch.einsum("bni,bnij,bnj->bn", along, expansion.metric, along)
    whole = (expansion.gradient * acceleration).sum(-1)
    part = (expansion.gradient * along).sum(-1).square() / size
    return (whole - torch.where(size > 0, part, torch.zeros_like(part))).clamp(min=0)


def _candidates(starts: list[Tensor]) -> _Curves:
    """Stack the starts of all pairs into one batch."""
    n_pairs = len(starts[0])
    nodes = torch.cat(starts)
    index = torch.arange(len(nodes), device=nodes.device)
    unknown = nodes.new_zeros(len(nodes))
    count = torch.zeros_like(index)
    return _Curves(
        nodes=nodes,
        origin=nodes,
        pair=index % max(1, n_pairs),
        start=index // max(1, n_pairs),
        length=unknown,
        chain=unknown,
        refinement=unknown,
        status=count,
        n_steps=count,
    )


def _survivors(curves: _Curves, *, seen: float) -> Tensor:
    """Mark the shortest candidate of each pair, and its rivals while it is not to be trusted."""
    if len(curves.pair) == 0:
        return torch.zeros_like(curves.pair, dtype=torch.bool)
    length = torch.where(curves.length.isfinite(), curves.length, torch.inf)
    shortest = length <= _smallest_of_pair(length, curves.pair)
    rank = torch.where(shortest, curves.start, curves.start.max() + 1)  # ties: the first start
    best = shortest & (rank <= _smallest_of_pair(rank, curves.pair))
    leader = torch.zeros(int(curves.pair.max()) + 1, dtype=torch.long, device=best.device)
    leader[curves.pair[best]] = best.nonzero().squeeze(-1)
    rival_of = leader[curves.pair]
    nodes = curves.nodes[rival_of]
    gap = (curves.nodes - nodes).norm(dim=-1).amax(-1)
    distinct = gap > _DISTINCT * (nodes.amax(1) - nodes.amin(1)).norm(dim=-1)
    ratio = (curves.length / curves.chain)[rival_of]
    # Where nothing was seen, the candidates may have fallen into the same tunnel.
    kept: Tensor = best | (distinct & ~(ratio <= seen)) | (ratio > max(seen, _TUNNELLED))
    return kept


def _smallest_of_pair(values: Tensor, pair: Tensor) -> Tensor:
    empty = values.new_zeros(int(pair.max()) + 1)
    smallest: Tensor = empty.scatter_reduce(0, pair, values, "amin", include_self=False)
    return smallest.gather(0, pair)


def _assemble(
    certified: list[_Certified], straight_length: Tensor, lower_bound: Tensor
) -> GeodesicResult:
    """Put the pairs back in order, their curves on one number of nodes."""
    finest = max((part.curves.nodes.shape[1] for part in certified), default=2)
    nodes = [_resample(part.curves.nodes, finest) for part in certified]
    segments = [torch.full_like(c.curves.pair, c.curves.nodes.shape[1] - 1) for c in certified]
    pair = torch.cat([part.curves.pair for part in certified])
    order = pair.argsort()

    def ordered(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts)[order]

    return GeodesicResult(
        curve=_through(ordered(nodes)),
        length=ordered([part.curves.length for part in certified]),
        energy=ordered([part.energy for part in certified]),
        straight_length=straight_length,
        lower_bound=lower_bound,
        residual=ordered([part.residual for part in certified]),
        speed_variation=ordered([part.speed_variation for part in certified]),
        refinement=ordered([part.curves.refinement for part in certified]),
        n_segments=ordered(segments),
        n_steps=ordered([part.curves.n_steps for part in certified]),
        status=ordered([part.curves.status for part in certified]),
        start=ordered([part.curves.start for part in certified]),
        starts=STARTS,
    )


def _resample(nodes: Tensor, n_nodes: int) -> Tensor:
    return nodes if nodes.shape[1] == n_nodes else _through(nodes).points(n_nodes)


def _with_batch_shape(result: GeodesicResult, shape: torch.Size) -> GeodesicResult:
    values: dict[str, Any] = {
        field.name: value.reshape(shape)
        for field in fields(result)
        if isinstance(value := getattr(result, field.name), Tensor)
    }
    nodes = result.curve.nodes
    return replace(result, curve=_through(nodes.reshape(*shape, *nodes.shape[1:])), **values)


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


def _check_levels(levels: Sequence[int]) -> tuple[int, ...]:
    given = levels if isinstance(levels, Sequence) else [levels]
    checked = tuple(check_integer("levels", level, low=2) for level in given)
    if len(checked) < 2 or any(a >= b for a, b in pairwise(checked)):
        raise InvalidParameterError(
            "levels", "at least two numbers of segments, each larger than the last", checked
        )
    return checked
