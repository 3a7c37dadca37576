"""Refinement: curves from coarse to fine, relaxed, judged and corrected until they settle."""

from dataclasses import replace

import torch
from torch import Tensor

from pullback.curves import Polyline, straight_line
from pullback.geodesics.base import Relaxation, Status
from pullback.geodesics.result import through
from pullback.geodesics.search.candidates import Candidates, Found, Starts
from pullback.geodesics.search.certificate import certify
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.measure import evenly, fine_points, from_chords, measure, resample
from pullback.geodesics.search.search import Search
from pullback.geodesics.search.starts import choose
from pullback.shapes import Codes, Points

__all__ = ["find", "refine"]


def find(
    search: Search,
    point_a: Codes,
    point_b: Codes,
    *,
    graph: LatentGraph | None = None,
    given: dict[str, Points] | None = None,
    only_given: bool = False,
) -> Found:
    """Find a curve for each pair: choose where to begin, and refine what is followed.

    This is one side of the seam: whoever else has curves for pairs hands the same `Found` to
    `verdict.judge`, which asks nothing about where they come from.

    Args:
        search: what the search is told.
        point_a: start points a, shape `(n_pairs, d)`.
        point_b: end points b, shape `(n_pairs, d)`.
        graph: a graph over the region, or None.
        given: curves to start from, by name, each `(n_pairs, nodes, d)`.
        only_given: begin from these alone.

    Returns:
        One candidate for each pair, and what was tried.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: 2 * z), None, (32, 64), 1e-4)
        >>> a, b = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]], dtype=torch.float64)
        >>> [part.length.tolist() for part in find(search, a, b).parts]
        [[10.0]]
    """
    starts = choose(search, point_a, point_b, graph=graph, given=given, only_given=only_given)
    return refine(search, starts)


def refine(search: Search, starts: Starts) -> Found:
    """Bring starts from the coarsest level to the one on which the shortest of each pair settles.

    Args:
        search: what the search is told.
        starts: where the curves begin.

    Returns:
        The shortest curve of each pair, as many nodes as it needed.

    Example:
        >>> from pullback.manifolds.reference import stereographic
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(stereographic), None, (32, 64), 1e-4)
        >>> a, b = torch.tensor([[[-1.0, 0.0]], [[0.6, 0.8]]], dtype=torch.float64)
        >>> (part,) = refine(search, choose(search, a, b)).parts
        >>> round(part.length.item(), 3), part.nodes.shape  # on the equator: arccos(-0.6)
        (2.214, torch.Size([1, 33, 2]))
    """
    curves, finished = starts.followed, [starts.certain]
    start_lengths = starts.unknown_lengths()
    rival_length = torch.full_like(starts.straight_length, torch.nan)
    for level in search.levels:
        if len(curves.pair) == 0:
            break
        curves = _relax(search, _resampled(search, curves, level))
        if level == search.levels[0]:
            start_lengths = starts.lengths(curves)
            if curves.nodes.shape[-1] > 1:  # on a line there is one way
                rival_length = curves.rival_length(len(rival_length), search.thresholds)
        curves = curves.where(curves.rivals(search.thresholds))
        done, curves = _settled(search, curves, is_last=level == search.levels[-1])
        finished.append(done)
    parts = [_or_straight(search, part, starts.straight_length) for part in finished]
    return Found(
        [part for part in parts if len(part.pair) > 0],
        starts.straight_length,
        starts.lower_bound,
        start_lengths,
        rival_length,
        starts.names,
    )


def _resampled(search: Search, curves: Candidates, level: int) -> Candidates:
    """Give curves the nodes of a level; what went through a wall between nodes is begun anew."""
    nodes = resample(curves.nodes, level + 1)
    unseen = curves.tunnelled(search.thresholds)
    if bool(unseen.any()):
        origin = resample(curves.origin[unseen], level + 1)
        nodes[unseen], _ = evenly(search.metric, origin, search.times(origin))
    return curves._replace(nodes=nodes)


def _relax(search: Search, curves: Candidates) -> Candidates:
    """Relax the chains, and judge by their own lengths how well the curves are resolved.

    A chain of few nodes can become shorter by stepping through walls while the curve through it
    becomes longer. Such a chain is relaxed less, and if that does not help it stays as it was, for
    more nodes to see the walls.
    """
    before, relaxed = curves, _relaxed(search, curves)
    for slack in search.thresholds.slacker:
        rows = _longer(search, relaxed, before).nonzero().squeeze(-1)
        if len(rows) == 0:
            return relaxed
        again = before.where(rows)._replace(n_steps=relaxed.n_steps[rows])
        relaxed = relaxed.put(rows, _relaxed(search, again, slack=slack))
    rows = _longer(search, relaxed, before).nonzero().squeeze(-1)
    kept = _judge(search, before.where(rows))._replace(
        status=torch.full_like(rows, int(Status.UNRESOLVED)), n_steps=relaxed.n_steps[rows]
    )
    return relaxed.put(rows, kept)


def _longer(search: Search, curves: Candidates, before: Candidates) -> Tensor:
    """Mark curves that a relaxation has made longer."""
    return curves.length > search.thresholds.lengthened * before.length


def _relaxed(search: Search, curves: Candidates, *, slack: float = 1.0) -> Candidates:
    nodes, status, n_steps = _solve(search, curves.nodes, slack=slack)
    curves = _judge(search, curves._replace(nodes=nodes))
    return curves._replace(status=status, n_steps=curves.n_steps + n_steps)


def _solve(search: Search, nodes: Tensor, *, slack: float = 1.0) -> Relaxation:
    """Solve roughly, and in single precision where there is one, if corrections follow.

    `slack` is how many times less is asked than usual.
    """
    d = nodes.shape[-1]
    if d == 1:
        return _walk(search, nodes)
    solver, single, rough_tol = search.solver(d), search.metric.single, search.thresholds.rough_tol
    if not search.corrects(d):
        tol = min(solver.tol, search.thresholds.graded_tol * search.rtol) * slack
        return solver.relax(search.metric, nodes, tol=tol if solver.graded or slack > 1 else None)
    tol = max(solver.tol, rough_tol) * slack
    if single is None or tol < rough_tol:
        return solver.relax(search.metric, nodes, tol=tol)
    rough = solver.relax(single, nodes.float(), tol=tol)
    status, n_steps = rough.status, rough.n_steps
    relaxed = torch.cat([nodes[:, :1], rough.nodes[:, 1:-1].to(nodes), nodes[:, -1:]], 1)
    broken = (status == Status.NOT_FINITE) | (status == Status.STALLED)
    rows = broken.nonzero().squeeze(-1)
    if len(rows) > 0:  # perhaps only for want of digits: once more in double precision
        again = solver.relax(search.metric, nodes[rows], tol=tol)
        relaxed[rows], status[rows] = again.nodes, again.status
        n_steps[rows] += again.n_steps
    return Relaxation(relaxed, status, n_steps)


def _walk(search: Search, nodes: Tensor) -> Relaxation:
    """Walk at constant speed: on a line there is one path, and nothing else to find."""
    thresholds = search.thresholds
    path = straight_line(nodes[:, 0], nodes[:, -1], thresholds.walked)
    for _ in range(thresholds.sweeps):
        path, _ = evenly(search.metric, path)
    count = torch.zeros(len(nodes), dtype=torch.long, device=nodes.device)
    walked = Polyline(path).points(nodes.shape[1])
    return Relaxation(walked, count + int(Status.CONVERGED), count + thresholds.sweeps)


def _judge(search: Search, curves: Candidates) -> Candidates:
    """Measure curves, and the chains of their nodes: where they differ, nodes are too few."""
    thresholds, n_segments = search.thresholds, curves.nodes.shape[1] - 1
    points = fine_points(through(curves.nodes))
    step = (points.shape[1] - 1) // n_segments  # every such point is a node
    steps = (1, 2, step, 2 * step if n_segments % 2 == 0 else step)
    chords = search.metric.chords_by_step(points, steps)
    length, _, speed_variation = from_chords(chords[0], chords[1], search.durations(points))
    narrow, wide = (part.sum(-1) for part in chords[2:])
    of_chain = (4 * narrow - wide) / 3
    mismatch = (of_chain - length).abs() / length
    # Else it is the curve that is off, for it swings between its nodes.
    # Speeds that vary by a share s make it longer by about s^2 / 2.
    swinging = max(thresholds.swinging, (thresholds.uneven * search.rtol) ** 0.5)
    smooth = (speed_variation < swinging) | (length < of_chain)
    mismatch = torch.where(smooth, mismatch / thresholds.mismatch, mismatch)
    unknown = torch.zeros_like(length)
    return curves._replace(length=length, chain=narrow, mismatch=mismatch, excess=unknown)


def _settled(search: Search, curves: Candidates, *, is_last: bool) -> tuple[Candidates, Candidates]:
    """Part the shortest curves of pairs that have settled from all those that go on.

    The certificate is taken only where the lengths of the chains of a pair have settled.
    """
    spent, fine = _is_spent(search, curves), curves.refinement <= search.rtol
    converged = (curves.status == Status.CONVERGED) & fine
    waiting = curves.any_of_pair(~converged & ~spent) & (not is_last)
    held, curves = curves.where(waiting), _certified(search, curves.where(~waiting))
    bends_on = search.corrects(curves.nodes.shape[-1])
    bent = (curves.residual > search.thresholds.bent) & bends_on
    settled = ((curves.refinement <= search.rtol) & ~bent) | _is_spent(search, curves)
    waiting = curves.any_of_pair(~settled) & (not is_last)
    done = curves.where(~waiting)
    return done.where(done.best()), held.join(curves.where(waiting))


def _is_spent(search: Search, curves: Candidates) -> Tensor:
    """Mark what a solver without Hessian did not bring home: a finer chain is harder still."""
    spent = curves.status == Status.MAX_STEPS
    return spent & (not search.corrects(curves.nodes.shape[-1]))


def _certified(search: Search, curves: Candidates) -> Candidates:
    """Correct the chains to fourth order, and solve again those of which much remains."""
    if len(curves.pair) == 0:
        return curves
    thresholds, d = search.thresholds, curves.nodes.shape[-1]
    curves = _correct(search, curves)
    if search.is_graded(d):
        return _solved_finely(search, curves)
    approximate = search.is_approximate
    remains = thresholds.roughly_remains if approximate else thresholds.remains
    rows = (curves.excess > remains * search.rtol).nonzero().squeeze(-1)
    if len(rows) == 0 or not search.corrects(d):
        return curves
    again = _solved_again(search, curves.where(rows))
    better = again.length <= curves.length[rows] * (1 + search.rtol)
    better = better.nonzero().squeeze(-1)
    return curves.put(rows[better], again.where(better))


def _solved_finely(search: Search, curves: Candidates) -> Candidates:
    """Solve graded chains again of which much remains: in a flat valley little was promised."""
    solver, thresholds = search.solver(curves.nodes.shape[-1]), search.thresholds
    tol = min(solver.tol, thresholds.graded_tol * search.rtol)
    for _ in range(thresholds.graded_again):
        rows = (curves.excess > thresholds.graded_remains * search.rtol).nonzero().squeeze(-1)
        if len(rows) == 0:
            break
        tol *= thresholds.graded_finer
        again = curves.where(rows)
        nodes, status, n_steps = solver.relax(search.metric, again.nodes, tol=tol)
        again = again._replace(nodes=nodes, n_steps=again.n_steps + n_steps)
        again = _correct(search, _judge(search, again))._replace(status=status)
        kept = ~_longer(search, again, curves.where(rows))
        curves = curves.put(rows[kept], again.where(kept))
        if not bool(kept.all()):
            break
    return curves


def _solved_again(search: Search, curves: Candidates) -> Candidates:
    """Solve to a fine tolerance, from aside where a curve sits on a saddle, and correct."""
    thresholds, nodes = search.thresholds, curves.nodes
    saddle = (curves.second_variation == 0)[:, None, None]
    nodes = torch.where(saddle, _nudged(nodes, thresholds.nudge), nodes)
    solver = search.solver(nodes.shape[-1])
    solver = replace(solver, max_steps=min(solver.max_steps, thresholds.patience))
    tol = max(solver.tol, thresholds.fine_tol)
    nodes, _, n_steps = solver.relax(search.metric, nodes, tol=tol)
    curves = _judge(search, curves._replace(nodes=nodes, n_steps=curves.n_steps + n_steps))
    return _correct(search, curves)


def _correct(search: Search, curves: Candidates) -> Candidates:
    """Take corrections of fourth order, and note what the certificate says."""
    thresholds, d = search.thresholds, curves.nodes.shape[-1]
    exactly = thresholds.roughly_exact if search.is_approximate else thresholds.exact
    certificate = certify(
        search.metric,
        curves.nodes,
        correct=search.corrects(d),
        accuracy=search.rtol * exactly,
        thresholds=thresholds,
        graded=search.is_graded(d),
    )
    variation = certificate.second_variation
    # Where the second variation is not positive, or not known, it does not bound what is left.
    share = torch.where(variation == 0, 1.0, 0.0)
    unknown = variation.isnan() & certificate.excess.isnan()
    share = torch.where(unknown, thresholds.unknown, share)
    excess = certificate.excess.nan_to_num(nan=0.0) + share * certificate.residual.square()
    # On a line a chain can only be off in its speed, which does not change the length.
    return curves._replace(
        nodes=certificate.nodes,
        excess=excess if d > 1 else torch.zeros_like(excess),
        residual=certificate.residual,
        regular=certificate.regular,
        second_variation=variation if d > 1 else torch.ones_like(excess),
    )


def _or_straight(search: Search, curves: Candidates, straight_length: Tensor) -> Candidates:
    """Put the straight line back where the search ended on something longer."""
    longer = search.thresholds.longer
    suspect = (curves.length > longer * straight_length[curves.pair]).nonzero().squeeze(-1)
    if len(suspect) == 0:
        return curves
    a, b = curves.nodes[suspect, 0], curves.nodes[suspect, -1]
    line = straight_line(a, b, curves.nodes.shape[1] - 1)
    if (times := search.times(line)) is not None:
        line, _ = evenly(search.metric, line, times)
    measured = measure(search.metric, fine_points(through(line)))[0]
    worse = curves.length[suspect] > longer * measured
    rows = suspect[worse]
    parts = (part.clone() for part in (curves.nodes, curves.length, curves.status))
    nodes, lengths, status = parts
    settled = curves.refinement[rows] <= search.rtol
    nodes[rows], lengths[rows] = line[worse], measured[worse]
    status[rows] = torch.where(settled, int(Status.STALLED), int(Status.UNRESOLVED))
    return curves._replace(nodes=nodes, length=lengths, status=status)


def _nudged(nodes: Tensor, share: float) -> Tensor:
    """Push curves aside, for those that are stationary but not the shortest near by."""
    chord = nodes[:, -1] - nodes[:, 0]
    axis = torch.nn.functional.one_hot(chord.abs().argmin(-1), chord.shape[-1]).to(nodes)
    along = torch.nn.functional.normalize(chord, dim=-1)
    aside = axis - (axis * along).sum(-1, keepdim=True) * along
    extent = nodes.diff(dim=1).norm(dim=-1).sum(-1)
    t = torch.linspace(0, torch.pi, nodes.shape[1], dtype=nodes.dtype, device=nodes.device)
    bulge = t.sin()[:, None] * (share * extent[:, None] * aside).unsqueeze(1)
    return torch.cat([nodes[:, :1], (nodes + bulge)[:, 1:-1], nodes[:, -1:]], 1)
