"""The verdict: curves measured on the exact metric, their status and certificate, a second look."""

from dataclasses import replace

import torch
from torch import Tensor

from pullback.curves import straight_line
from pullback.geodesics.base import Status
from pullback.geodesics.result import GeodesicResult, through
from pullback.geodesics.search.candidates import Candidates, Found
from pullback.geodesics.search.exploration import other_ways
from pullback.geodesics.search.measure import fine_points, measure, none_if
from pullback.geodesics.search.refinement import find
from pullback.geodesics.search.search import Search
from pullback.geodesics.search.verification import SecondLook, look_again, measure_densely
from pullback.metrics import Metric

__all__ = ["answers", "judge", "revised"]


def judge(
    search: Search, found: Found, *, confirm: bool = True, polish: bool = False
) -> GeodesicResult:
    """Say what curves are that were found, and look again at those that seem to be geodesics.

    This is the other side of the seam: whoever found the curves, their lengths and energies are
    measured anew on the exact metric. What `Found` says of their equation is believed: status,
    errors, residual, where the metric is regular, and the second variation.

    Answers of an approximate metric that it spoils are relaxed on the exact one. Of what converged,
    a length that more points change means a wall between the nodes, and takes more nodes; a curve
    that a descent shortens is searched again from where that led. What does not stand after that
    is `UNRESOLVED` or `STALLED`, with the length that many points measure.

    Args:
        search: what the search was told.
        found: the curves, one for each pair.
        confirm: take the second look.
        polish: relax all answers on the exact metric, not only those whose status is `INEXACT`.

    Returns:
        One answer for each pair, in the order of the pairs.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4)
        >>> a, b = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
        >>> result = judge(search, find(search, a, b))
        >>> result.converged.item(), round(result.length.item(), 6)
        (True, 1.414214)
    """
    return revised(search, answers(search, found), confirm=confirm, polish=polish)


def revised(
    search: Search, result: GeodesicResult, *, confirm: bool = True, polish: bool = False
) -> GeodesicResult:
    """Relax answers that an approximate metric spoils on the exact one, and look again.

    Args:
        search: what the search was told.
        result: answers that were measured on the exact metric.
        confirm: take the second look.
        polish: relax all answers on the exact metric, not only those whose status is `INEXACT`.

    Returns:
        The answers of the verdict, see `judge`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4)
        >>> a, b = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
        >>> revised(search, answers(search, find(search, a, b))).status.tolist()
        [0]
    """
    if search.is_approximate:
        chosen = (result.status == Status.INEXACT) | polish
        rows = chosen.nonzero().squeeze(-1)
        result = _search_again(search, result, rows, result.curve.nodes[rows])
    return _confirmed(search, result) if confirm else result


def answers(search: Search, found: Found) -> GeodesicResult:
    """Measure what was found on the exact metric, and put the pairs in order; no second look.

    Args:
        search: what the search was told.
        found: the curves, one for each pair.

    Returns:
        One answer for each pair.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4)
        >>> a, b = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
        >>> answers(search, find(search, a, b)).status.tolist()
        [0]
    """
    results = [_answer(search, part, found) for part in found.parts]
    order = torch.cat([part.pair for part in found.parts]).argsort()
    return _or_line(search, GeodesicResult.cat(results).take(order))


def _or_line(search: Search, result: GeodesicResult) -> GeodesicResult:
    """Put the straight line back in place of what did not converge and is longer than it.

    Among walls few points say of either that it is longer or shorter, so that both are measured by
    as many as the second look takes.
    """
    lost = (~result.converged & result.length.isfinite()).nonzero().squeeze(-1)
    if len(lost) == 0:
        return result
    exact, n_points = search.metric.exact, search.thresholds.dense + 1
    answer = result.take(lost)
    a, b = answer.curve.nodes[:, [0, -1]].unbind(1)
    length, energy, speed_variation = measure(exact, straight_line(a, b, n_points - 1))
    own = measure(exact, answer.curve.points(n_points))[0]
    worse = (own > search.thresholds.longer * length).nonzero().squeeze(-1)
    nodes = search.line(a, b, answer.curve.nodes.shape[1] - 1)
    straight = answer.replace(
        curve=search.curve(nodes),
        length=length,
        energy=energy,
        speed_variation=speed_variation,
    )
    return result.put(lost[worse], straight.take(worse))


def _answer(search: Search, curves: Candidates, found: Found) -> GeodesicResult:
    """Measure curves with equally many nodes, and say what they are."""
    exact, nodes, pair = search.metric.exact, curves.nodes, curves.pair
    points = _measured_points(search, nodes)
    length, energy, speed_variation = measure(exact, points, search.durations(points))
    inside = exact.contains(points).all(-1)
    stays = (nodes == nodes[:, :1]).all(-1).all(-1)
    length, energy = none_if(stays, length), none_if(stays, energy)
    coincident = (length <= 0) & (nodes[:, 0] != nodes[:, -1]).any(-1)
    if bool(coincident.any()):
        length, coincident = _coincident(exact, curves, length, coincident)
        energy = torch.maximum(energy, length.square() / 2)
    status = _status(search, curves, length)
    status[coincident] = Status.DEGENERATE
    known = length.isfinite()
    status[~known] = Status.NOT_FINITE
    status[~inside] = Status.LEFT_DOMAIN
    zero = torch.zeros_like(length)
    still = length <= 0
    return GeodesicResult(
        curve=search.curve(nodes),
        length=length,
        energy=energy,
        straight_length=found.straight_length[pair],
        lower_bound=found.lower_bound[pair],
        residual=torch.where(still, zero, _known(curves.residual.nan_to_num(nan=0.0), known)),
        speed_variation=torch.where(still, zero, speed_variation),
        refinement=torch.where(still, zero, _known(curves.refinement, known)),
        second_variation=_known(curves.second_variation, known),
        n_segments=torch.full_like(pair, nodes.shape[1] - 1),
        n_steps=curves.n_steps,
        status=status,
        start=curves.start,
        start_lengths=found.start_lengths[pair],
        rival_length=found.rival_length[pair],
        starts=found.starts,
    )


def _measured_points(search: Search, nodes: Tensor) -> Tensor:
    """Points that measure curves: half of them for fine chains of a table, for decoders cost."""
    points, n_segments = fine_points(through(nodes)), nodes.shape[1] - 1
    spare = nodes.shape[-1] > 1 and n_segments % 2 == 0 and n_segments >= search.thresholds.enough
    return points[:, ::2] if search.is_approximate and spare else points


def _status(search: Search, curves: Candidates, length: Tensor) -> Tensor:
    """Say what became of curves, by what the search knows and by their exact lengths."""
    status = curves.status.clone()
    settled = status == Status.CONVERGED
    status[settled & ~(curves.refinement <= search.rtol)] = Status.UNRESOLVED
    if search.is_approximate:
        off = (curves.length - length).abs() / length
        status[settled & (off > search.thresholds.inexact)] = Status.INEXACT
    same = (curves.nodes[:, 0] == curves.nodes[:, -1]).all(-1)
    status[~curves.regular & (status != Status.NOT_FINITE) & ~same] = Status.DEGENERATE
    return status


def _coincident(
    exact: Metric, curves: Candidates, length: Tensor, coincident: Tensor
) -> tuple[Tensor, Tensor]:
    """Tell points nearer than rounding lets images differ from those with one image.

    So near, the distance is the norm of the step. Where that norm says that the images should
    differ, or the metric is singular, something else is wrong: those stay so.
    """
    a, b = curves.nodes[:, [0, -1]].unbind(1)
    norm = exact.norm(a, b - a)
    near = coincident & curves.regular & (norm <= curves.nodes.shape[1] * exact.chord_rounding(a))
    return torch.where(near, norm, length), coincident & ~near


def _known(values: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, values, torch.nan)


def _confirmed(search: Search, result: GeodesicResult) -> GeodesicResult:
    """Look again at the answers that converged, and search those again that do not stand it."""
    d = result.curve.nodes.shape[-1]
    if d == 1:
        return _confirmed_on_a_line(search, result)
    near = search if search.metric.is_near else search._replace(metric=search.metric.exact)
    result = _explored(near, result)
    rows = (result.converged & ~_is_certain(search, result)).nonzero().squeeze(-1)
    for attempt in range(search.thresholds.again + 1):
        if len(rows) == 0:
            break
        before = result.take(rows)
        look = look_again(near, before.curve.nodes)
        unseen, longer = _faults(search, before, look)
        failed = unseen | longer
        result = _remeasured(search, result, rows, look)
        if attempt == search.thresholds.again:
            status = torch.where(unseen, int(Status.UNRESOLVED), int(Status.STALLED))
            return result.replace(status=result.status.index_put((rows[failed],), status[failed]))
        failed |= look.spoiled
        rows = rows[failed]
        result = _search_again(search, result, rows, look.nodes[failed])
        rows = rows[result.converged[rows]]
    return result


def _confirmed_on_a_line(search: Search, result: GeodesicResult) -> GeodesicResult:
    """Measure until lengths and speeds settle: that is all there is to know where one way is."""
    known = result.converged | (result.status == Status.UNRESOLVED)
    rows = (known & ~_is_certain(search, result)).nonzero().squeeze(-1)
    if len(rows) == 0:
        return result
    before = result.take(rows)
    exact, speed_tol = search.metric.exact, search.thresholds.speed_settled
    measured = measure_densely(exact, before.curve.nodes, rtol=search.rtol, speed_tol=speed_tol)
    rtol = max(search.rtol, search.thresholds.noise)
    agrees = before.converged & ((measured.length / before.length - 1).abs() <= rtol)
    settled = (measured.error <= rtol) | agrees
    status = torch.where(settled, int(Status.CONVERGED), int(Status.UNRESOLVED))
    none = torch.zeros_like(settled)
    look = SecondLook(measured, before.curve.nodes, measured.length, none)
    error = torch.where(agrees, before.refinement, measured.error)
    result = _remeasured(search, result, rows, look)
    return result.replace(
        status=result.status.index_put((rows,), status),
        refinement=result.refinement.index_put((rows,), error),
    )


def _explored(search: Search, result: GeodesicResult) -> GeodesicResult:
    """Look for other ways, take those that are shorter, and say how long the shortest other is.

    In the plane a graph sees the ways, unless there are so many that starts end on unlike curves;
    where an answer is ambiguous then, or was lost on the way, a graph over it alone is asked.
    """
    thresholds, asked = search.thresholds, result.converged
    if result.curve.nodes.shape[-1] == 2:
        asked = asked & (result.start_margin > thresholds.shorter)
    result = _toured(search, result, asked)
    if result.curve.nodes.shape[-1] == 2:
        asked = result.converged & (result.ambiguous | _lost(search, result))
        result = _toured(search, result, asked, finer=True)
    return result


def _lost(search: Search, result: GeodesicResult) -> Tensor:
    """Mark answers that are much longer or shorter than the best start, which was not kept to."""
    first = result.start_lengths.nan_to_num(nan=torch.inf).amin(-1)
    changed = (result.length / first - 1).abs() > search.thresholds.lost
    return changed & first.isfinite()


def _toured(
    search: Search, result: GeodesicResult, asked: Tensor, *, finer: bool = False
) -> GeodesicResult:
    """Look for other ways in turns: again from answers that became better or are ambiguous.

    In the plane there are two sides to bend to, so that ambiguous answers would see nothing new.
    """
    thresholds, rows = search.thresholds, asked.nonzero().squeeze(-1)
    is_plane = result.curve.nodes.shape[-1] == 2
    for turn in range(1 if finer else len(thresholds.scout_bends)):
        if len(rows) == 0:
            break
        answer = result.take(rows)
        ways = other_ways(search, answer.curve.nodes, turn=turn, finer=finer)
        rival = torch.fmin(answer.rival_length, ways.rival_length)
        rival = torch.where(rival.isfinite(), rival, torch.nan)
        result = result.replace(rival_length=result.rival_length.index_put((rows,), rival))
        shorter = ways.length < (1 - thresholds.shorter) * answer.length
        if bool(shorter.any()):
            result, better = _taken(search, result, rows[shorter], ways.nodes[shorter])
            shorter = torch.isin(rows, better)
        now = result.take(rows)
        rows = rows[shorter | (now.converged & now.ambiguous & (not is_plane))]
    return result


def _taken(
    search: Search, result: GeodesicResult, rows: Tensor, nodes: Tensor
) -> tuple[GeodesicResult, Tensor]:
    """Search from other ways, and take what is shorter: also the rows that it was taken for."""
    before = result.take(rows)
    found = _from(search, nodes)
    better = found.length < (1 - search.thresholds.shorter / 2) * before.length
    rival_length = torch.fmin(before.length, before.rival_length)
    found = found.following(before).replace(rival_length=rival_length)
    return result.put(rows[better], found.take(better.nonzero().squeeze(-1))), rows[better]


def _search_again(
    search: Search, result: GeodesicResult, rows: Tensor, curves: Tensor
) -> GeodesicResult:
    """Search from given curves, on the exact metric and with at least as many nodes as before."""
    if len(rows) == 0:
        return result
    fewest = min(search.thresholds.again_from, search.levels[-1])
    levels = tuple(level for level in search.levels if level >= fewest)
    tol = min(search.thresholds.rough_tol, search.thresholds.again_tol)
    exact = search._replace(
        metric=search.metric.exact,
        levels=levels,
        thresholds=replace(search.thresholds, rough_tol=tol),
    )
    return result.put(rows, _from(exact, curves).following(result.take(rows)))


def _from(search: Search, curves: Tensor) -> GeodesicResult:
    """Search from these curves alone, one for each pair."""
    ends = curves[:, [0, -1]].unbind(1)
    return answers(search, find(search, *ends, given={"found": curves}, only_given=True))


def _is_certain(search: Search, result: GeodesicResult) -> Tensor:
    """Mark curves as long as the straight line between their images, but for rounding."""
    nodes = result.curve.nodes
    rounding = nodes.shape[1] * search.metric.exact.chord_rounding(nodes[:, 0])
    return result.length <= result.lower_bound * (1 + 1e-6) + rounding


def _faults(search: Search, before: GeodesicResult, look: SecondLook) -> tuple[Tensor, Tensor]:
    """Mark lengths that were off or did not settle, and curves that an attack made shorter."""
    allowed = max(search.thresholds.wrong, search.thresholds.wrong_times * search.rtol)
    length = look.measured.length
    unseen = ~((length / before.length - 1).abs() <= allowed) | ~(look.measured.error <= allowed)
    return unseen, look.descended < (1 - allowed) * length


def _remeasured(
    search: Search, result: GeodesicResult, rows: Tensor, look: SecondLook
) -> GeodesicResult:
    """Put in what many points measure, where that differs from what fewer did."""
    dense, before, noise = look.measured, result.take(rows), search.thresholds.noise
    known = before.refinement.clamp(min=noise, max=max(noise, search.rtol))
    off = (dense.length / before.length - 1).abs() > known
    values = {
        "length": torch.where(off, dense.length, before.length),
        "energy": torch.where(off, dense.energy, before.energy),
        "speed_variation": torch.maximum(before.speed_variation, dense.speed_variation),
    }
    return result.replace(
        **{name: getattr(result, name).index_put((rows,), new) for name, new in values.items()}
    )
