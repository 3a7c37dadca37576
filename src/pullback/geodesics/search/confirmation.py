"""What becomes of answers that do not stand a second look: they are searched again, and named."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pullback.geodesics.base import Status
from pullback.geodesics.result import GeodesicResult
from pullback.geodesics.search.certificate import SMALL_DIM, excess_on
from pullback.geodesics.search.exploration import explored
from pullback.geodesics.search.measure import resample
from pullback.geodesics.search.verification import SecondLook, look_again, measure_densely

if TYPE_CHECKING:
    from pullback.geodesics.search.search import Search

__all__ = ["confirmed", "polished"]

_ENOUGH = 64  # segments of the coarsest chain that a curve is polished or searched again with
_AGAIN = 2  # times that an answer is searched again before it is given up
# A length that is off, or a gain that an attack makes, beyond this share and this many times `rtol`
# is worth another search. What is promised is 0.1 %.
_SHARE, _TIMES = 3e-4, 3.0
_SEGMENTS_ON_TABLES = 128  # that measure an answer of a table first, on the decoder
_SCREENED = 65  # nodes at which the exact equation is looked at first: 33 suspect four times more
_SPOILED = 1e-4  # share of the energy above the exact geodesic, estimated, that is worth an attack
_NOISE = 2e-5  # relative error of lengths that were measured in single precision


def polished(search: "Search", result: GeodesicResult, *, everything: bool) -> GeodesicResult:
    """Relax answers of an approximate metric on the exact one, at least those it spoils.

    Args:
        search: the search that found them.
        result: the answers, a flat batch.
        everything: polish all, not only those whose status is `INEXACT`.

    Returns:
        The answers in the same order.

    Example:
        >>> from pullback.geodesics.search.search import Search
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4)
        >>> a, b = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
        >>> found = search.run(a, b, graph=None, given={})
        >>> polished(search, found, everything=True).converged.item()
        True
    """
    chosen = torch.full_like(result.status, everything, dtype=torch.bool)
    chosen |= result.status == Status.INEXACT
    rows = chosen.nonzero().squeeze(-1)
    return _search_again(search, result, rows, result.curve.nodes[rows])


def confirmed(search: "Search", result: GeodesicResult) -> GeodesicResult:
    """Look again at the answers that converged, and search those again that do not stand it.

    A length that more points change means a wall between the nodes, and takes more nodes; a curve
    that a descent shortens is searched again from where that led. What does not stand after that is
    `UNRESOLVED` or `STALLED`, with the length that many points measure.

    Args:
        search: the search that found them.
        result: the answers, a flat batch.

    Returns:
        The answers in the same order.

    Example:
        >>> from pullback.geodesics.search.search import Search
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: z), None, (32, 64), 1e-4)
        >>> a, b = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
        >>> found = search.run(a, b, graph=None, given={})
        >>> confirmed(search, found).converged.item()
        True
    """
    if result.curve.nodes.shape[-1] == 1:
        return _confirmed_on_a_line(search, result)
    if result.curve.nodes.shape[-1] > 2:
        near = search if search.metric.is_near else search._replace(metric=search.metric.exact)
        result = explored(near, result)
    rows = (result.converged & ~_is_certain(search, result)).nonzero().squeeze(-1)
    for attempt in range(_AGAIN + 1):
        if len(rows) == 0:
            break
        before = result.take(rows)
        look = _look(search, before)
        unseen, longer = _faults(before, look, search.rtol)
        failed = unseen | longer
        result = _remeasured(result, rows, look, search.rtol)
        if attempt == _AGAIN:
            status = torch.where(unseen, int(Status.UNRESOLVED), int(Status.STALLED))
            return result.replace(status=result.status.index_put((rows[failed],), status[failed]))
        rows = rows[failed]
        result = _search_again(search, result, rows, look.nodes[failed])
        rows = rows[result.converged[rows]]
    return result


def _confirmed_on_a_line(search: "Search", result: GeodesicResult) -> GeodesicResult:
    """Measure until lengths settle: on a line there is one way, so that is all there is to know."""
    known = result.converged | (result.status == Status.UNRESOLVED)
    rows = (known & ~_is_certain(search, result)).nonzero().squeeze(-1)
    if len(rows) == 0:
        return result
    before = result.take(rows)
    measured = measure_densely(search.metric.exact, before.curve.nodes, rtol=search.rtol)
    rtol = max(search.rtol, _NOISE)
    agrees = before.converged & ((measured.length / before.length - 1).abs() <= rtol)
    settled = (measured.error <= rtol) | agrees
    status = torch.where(settled, int(Status.CONVERGED), int(Status.UNRESOLVED))
    look = SecondLook(measured, before.curve.nodes, measured.length)
    result = _remeasured(result, rows, look, search.rtol)
    return result.replace(
        status=result.status.index_put((rows,), status),
        refinement=result.refinement.index_put(
            (rows,), torch.where(agrees, before.refinement, measured.error)
        ),
    )


def _is_certain(search: "Search", result: GeodesicResult) -> Tensor:
    """Mark curves as long as the straight line between their images, but for rounding."""
    nodes = result.curve.nodes
    rounding = nodes.shape[1] * search.metric.exact.chord_rounding(nodes[:, 0])
    return result.length <= result.lower_bound * (1 + 1e-6) + rounding


def _look(search: "Search", result: GeodesicResult) -> SecondLook:
    """Attack the curves; those of a table only where the exact equation says that it may pay."""
    nodes, exact = result.curve.nodes, search.metric.exact
    if exact is search.metric or nodes.shape[-1] > SMALL_DIM:
        return look_again(exact, nodes, rtol=search.rtol)
    measured = measure_densely(exact, nodes, rtol=search.rtol, n_segments=_SEGMENTS_ON_TABLES)
    look = SecondLook(measured, nodes, measured.length.clone())
    # The Hessian of the table is cheap; where it promises something, that of the decoder decides.
    few = resample(nodes, _SCREENED)
    spoiled = excess_on(exact, search.metric, few, rough=True) > _SPOILED
    rows = spoiled.nonzero().squeeze(-1)
    excess = excess_on(exact, exact, nodes[rows]) if len(rows) > 0 else measured.length[rows]
    rows, excess = rows[excess > _SPOILED], excess[excess > _SPOILED]
    if len(rows) == 0:
        return look
    attacked = look_again(exact, nodes[rows], rtol=search.rtol)
    promised = measured.length[rows] * (1 - excess.clamp(max=1.0))
    descended = torch.minimum(attacked.descended, promised)
    # A promise is to be kept from where the answer is, a descent from where it led.
    led = (attacked.descended <= promised)[:, None, None]
    n_nodes = attacked.nodes.shape[1]
    start = resample(nodes, n_nodes)
    moved = start.index_put((rows,), torch.where(led, attacked.nodes, start[rows]))
    return SecondLook(measured, moved, look.descended.index_put((rows,), descended))


def _remeasured(
    result: GeodesicResult, rows: Tensor, look: SecondLook, rtol: float
) -> GeodesicResult:
    """Put in what many points measure, where that differs from what fewer did."""
    dense, before = look.measured, result.take(rows)
    known = before.refinement.clamp(min=_NOISE, max=max(_NOISE, rtol))
    off = (dense.length / before.length - 1).abs() > known
    values = {
        "length": torch.where(off, dense.length, before.length),
        "energy": torch.where(off, dense.energy, before.energy),
        "speed_variation": torch.maximum(before.speed_variation, dense.speed_variation),
    }
    return result.replace(
        **{name: getattr(result, name).index_put((rows,), new) for name, new in values.items()}
    )


def _faults(before: GeodesicResult, look: SecondLook, rtol: float) -> tuple[Tensor, Tensor]:
    """Mark lengths that were off or did not settle, and curves that an attack made shorter."""
    allowed = max(_SHARE, _TIMES * rtol)
    length = look.measured.length
    unseen = ~((length / before.length - 1).abs() <= allowed) | ~(look.measured.error <= allowed)
    return unseen, look.descended < (1 - allowed) * length


def _search_again(
    search: "Search", result: GeodesicResult, rows: Tensor, curves: Tensor
) -> GeodesicResult:
    """Search from given curves, on the exact metric and with at least as many nodes as before."""
    if len(rows) == 0:
        return result
    before = result.take(rows)
    levels = tuple(level for level in search.levels if level >= min(_ENOUGH, search.levels[-1]))
    exact = search._replace(metric=search.metric.exact, levels=levels)
    found = exact.run(curves[:, 0], curves[:, -1], graph=None, given={"found": curves})
    return result.put(rows, found.following(before))
