"""The search for geodesics: from several starts, from coarse to fine, and what is found."""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.curves import Polyline, straight_line
from pullback.geodesics.base import Relaxation, Solver, Status
from pullback.geodesics.result import GeodesicResult, through
from pullback.geodesics.search.bends import shortest_bends
from pullback.geodesics.search.candidates import TUNNELLED, Candidates
from pullback.geodesics.search.certificate import SMALL_DIM, certify
from pullback.geodesics.search.graph import LatentGraph
from pullback.geodesics.search.measure import (
    at_constant_speed,
    fine_points,
    from_chords,
    measure,
    resample,
)
from pullback.geodesics.solvers.lbfgs import LBFGS
from pullback.geodesics.solvers.newton import Newton
from pullback.metrics import Metric

__all__ = ["Search", "default_solver"]

_STEADY = 1e-3  # standard deviation of the speed over its mean
_SWEEPS = 3  # each measures a line more finely where it is long
_DETOUR = 1.1  # a path on a graph is longer than the geodesic near it, but not by more
_HOPELESS = 1.15  # a start that is longer than another by more hardly ends on the shorter curve
# A start ends on the same curve as a shorter one that it runs beside, nearer than a share of its
# length: of starts that are about as long, and of those that are longer by a factor.
_ON, _BESIDE, _CLEARLY = 0.03, 0.15, 1.005
_LOOKS = 16  # places where starts are compared
_LONGER = 1.001  # a curve longer than the straight line by this factor is not worth keeping
_ROUGH_TOL = 1e-3  # the correction that follows squares what is left
_FINE_TOL = 1e-7
_PATIENCE = 60  # steps of a second solve
# Of `rtol`: what corrections leave, and with how much left a curve is solved again; and the same
# on an approximate metric, whose own error is larger.
_EXACT, _REMAINS = 1e-5, 0.1
_ROUGHLY_EXACT, _ROUGHLY_REMAINS = 1e-2, 1.0
_UNKNOWN = 0.02  # of the squared residual: what may be left to gain, for most bends
_NUDGE = 0.02  # of its extent, by which a curve is pushed off a saddle
_BENT = 0.1  # a geodesic curvature, in units of 1 / length, that more nodes should straighten
_SWINGING, _UNEVEN = 0.004, 2.5  # variation of the speed, and its square in units of `rtol`
_MISMATCH = 8  # a chain's length errs by more than the curve through it, measured with more points
_ENOUGH = 64  # points that measure a curve, if they are at least two for each segment
_INEXACT = 3e-3  # an approximate metric that is off by more along a curve is not to be trusted


def default_solver(metric: Metric, dim: int) -> Solver:
    """Choose the solver by measurement: exact second order in up to 8 dimensions, else L-BFGS.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> metric = PullbackMetric(lambda z: z)
        >>> type(default_solver(metric, 2)).__name__, type(default_solver(metric, 32)).__name__
        ('Newton', 'LBFGS')
    """
    if dim > SMALL_DIM:
        return LBFGS()
    return Newton(max_age=1 if metric.hessian_cost < 2 else 3)


class Search(NamedTuple):
    """The data and the hyper-parameters of one call.

    Attributes:
        metric: the metric that is searched.
        given_solver: the solver, None for the default.
        levels: numbers of segments, from coarse to fine.
        rtol: the relative error that lengths are to keep to.
        explores: start from bent lines too, in more than two dimensions.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> search = Search(PullbackMetric(lambda z: 2 * z), None, (32, 64), 1e-4)
        >>> a, b = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]]], dtype=torch.float64)
        >>> search.run(a, b, graph=None, given={}).length.tolist()
        [10.0]
    """

    metric: Metric
    given_solver: Solver | None
    levels: tuple[int, ...]
    rtol: float
    explores: bool = True

    @property
    def _is_approximate(self) -> bool:
        return self.metric.exact is not self.metric

    def solver(self, dim: int) -> Solver:
        """The solver for curves in d dimensions: the one that was given, or the default."""
        return self.given_solver or default_solver(self.metric, dim)

    def run(
        self, a: Tensor, b: Tensor, *, graph: LatentGraph | None, given: dict[str, Tensor]
    ) -> GeodesicResult:
        """Search from the straight line, the path on the graph, and curves that are given."""
        n_segments = self.levels[0]
        line = straight_line(a, b, n_segments)
        points = fine_points(Polyline(line))
        length, _, speed_variation = measure(self.metric, points)
        same = (a == b).all(-1)
        length = _none_if(same, length)
        straight = Candidates.of_starts([line])._replace(length=length)
        lower_bound = _none_if(same, self.metric.chord_floor(a, b))
        scatter = self.metric.chord_rounding(line[:, [0, -1]]).amax(-1) * points.shape[1]
        certain = _is_shortest(length, speed_variation, lower_bound, scatter)
        finished = [self._regular(straight.where(certain))]
        sought = straight.pair[~certain]
        starts = {"straight": line[sought]} if "found" not in given else {}
        if graph is not None:
            limit = _DETOUR * length[sought]
            found = graph.paths(a[sought], b[sought], n_segments, limit=limit)
            starts["graph"] = found
        for name, curve in given.items():
            starts[name] = resample(curve[sought], n_segments + 1)
        if (
            self.explores and a.shape[-1] > 2 and "found" not in given
        ):  # of a plane, the graph sees all of it
            aside = shortest_bends(self.metric, line[sought])
            starts |= {f"bent {i}": curve for i, curve in enumerate(aside)}
        curves = Candidates.of_starts(list(starts.values()))
        nodes, length = self._at_constant_speed(curves.nodes)
        curves = curves._replace(nodes=nodes, length=length, pair=sought[curves.pair])
        curves = curves.where(curves.close(_HOPELESS))
        beside = ~curves.best() & self._beside_best(curves)
        left_out, ahead = curves.where(beside), curves.start[curves.leader()[beside]]
        curves = curves.where(~beside)
        start_lengths = line.new_full((len(line), len(starts)), torch.nan)
        start_lengths[:, 0] = straight.length
        rival_length = torch.full_like(straight.length, torch.nan)
        for level in self.levels:
            if len(curves.pair) == 0:
                break
            curves = self._relax(self._refine(curves, level))
            if level == self.levels[0]:
                start_lengths[curves.pair, curves.start] = curves.length
                same = start_lengths[left_out.pair, ahead]
                start_lengths[left_out.pair, left_out.start] = same
                if a.shape[-1] > 1:  # on a line there is one way
                    rival_length = curves.rival_length(len(line))
            curves = curves.where(curves.rivals())
            last = level == self.levels[-1]
            settled = (curves.status == Status.CONVERGED) & (curves.refinement <= self.rtol)
            waiting = curves.any_of_pair(~settled & ~self._is_spent(curves)) & (not last)
            held, curves = curves.where(waiting), self._certify(curves.where(~waiting))
            bent = (curves.residual > _BENT) & self._corrects(a.shape[-1])
            settled = ((curves.refinement <= self.rtol) & ~bent) | self._is_spent(curves)
            waiting = curves.any_of_pair(~settled) & (not last)
            done = curves.where(~waiting)
            finished.append(done.where(done.best()))
            curves = held.join(curves.where(waiting))
        finished = [self._fall_back(part, straight.length) for part in finished]
        return self._assemble(
            [part for part in finished if len(part.pair) > 0],
            straight_length=straight.length,
            lower_bound=lower_bound,
            start_lengths=start_lengths,
            rival_length=rival_length,
            starts=tuple(starts),
        )

    def _beside_best(self, curves: Candidates) -> Tensor:
        """Mark starts so close to the shortest of their pair that both would end on one curve."""
        nodes = curves.nodes[:, :: max(1, self.levels[0] // _LOOKS)]
        between = torch.stack([nodes, nodes[curves.leader()]], -2)
        single = self.metric.single
        chords = self.metric.chords(between) if single is None else single.chords(between.float())
        gap = chords.squeeze(-1).amax(-1) / curves.length
        clearly = curves.length > _CLEARLY * curves.length[curves.leader()]
        return gap < torch.where(clearly, _BESIDE, _ON)

    def _regular(self, lines: Candidates) -> Candidates:
        """Look at the metric half-way along lines whose image is straight."""
        if len(lines.pair) == 0:
            return lines
        middle = lines.nodes[:, lines.nodes.shape[1] // 2]
        _, regular = linalg.cholesky(self.metric.metric_matrix(middle))
        return lines._replace(regular=regular)

    def _at_constant_speed(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Space nodes evenly along their curves, and measure these roughly."""
        points = fine_points(Polyline(nodes))
        single = self.metric.single
        chords = self.metric.chords(points) if single is None else single.chords(points.float())
        chords = chords.to(points)
        return at_constant_speed(points, chords, nodes.shape[1]), chords.sum(-1)

    def _refine(self, curves: Candidates, level: int) -> Candidates:
        # A curve that was not seen by its chain of nodes is worth nothing: begin again from the
        # start, with more nodes.
        nodes = resample(curves.nodes, level + 1)
        unseen = (curves.length > TUNNELLED * curves.chain) & curves.length.isfinite()
        if bool(unseen.any()):
            nodes[unseen], _ = self._at_constant_speed(resample(curves.origin[unseen], level + 1))
        return curves._replace(nodes=nodes)

    def _relax(self, curves: Candidates) -> Candidates:
        """Relax the chains, and judge by their own lengths how well the curves are resolved."""
        nodes, status, n_steps = self._solve(curves.nodes)
        curves = self._judge(curves._replace(nodes=nodes))
        return curves._replace(status=status, n_steps=curves.n_steps + n_steps)

    def _judge(self, curves: Candidates) -> Candidates:
        """Measure curves, and the chains of their nodes: where they differ, nodes are too few."""
        points, n_segments = fine_points(through(curves.nodes)), curves.nodes.shape[1] - 1
        step = (points.shape[1] - 1) // n_segments  # every such point is a node
        steps = (1, 2, step, 2 * step if n_segments % 2 == 0 else step)
        chords = self.metric.chords_by_step(points, steps)
        length, _, speed_variation = from_chords(*chords[:2])
        narrow, wide = (part.sum(-1) for part in chords[2:])
        mismatch = ((4 * narrow - wide) / 3 - length).abs() / length
        # Else it is the curve that is off, for it swings between its nodes.
        # Speeds that vary by a share s make it longer by about s^2 / 2.
        swinging = max(_SWINGING, (_UNEVEN * self.rtol) ** 0.5)
        smooth = (speed_variation < swinging) | (length < (4 * narrow - wide) / 3)
        mismatch = torch.where(smooth, mismatch / _MISMATCH, mismatch)
        unknown = torch.zeros_like(length)
        return curves._replace(length=length, chain=narrow, mismatch=mismatch, excess=unknown)

    def _solve(self, nodes: Tensor) -> Relaxation:
        """Solve roughly, and in single precision where there is one, if corrections follow."""
        d = nodes.shape[-1]
        if d == 1:
            return self._walk(nodes)
        solver, single = self.solver(d), self.metric.single
        if not self._corrects(d):
            return solver.relax(self.metric, nodes)
        tol = max(solver.tol, _ROUGH_TOL)
        if single is None or tol < _ROUGH_TOL:
            return solver.relax(self.metric, nodes, tol=tol)
        rough = solver.relax(single, nodes.float(), tol=tol)
        status, n_steps = rough.status, rough.n_steps
        relaxed = torch.cat([nodes[:, :1], rough.nodes[:, 1:-1].to(nodes), nodes[:, -1:]], 1)
        broken = (status == Status.NOT_FINITE) | (status == Status.STALLED)
        rows = broken.nonzero().squeeze(-1)
        if len(rows) > 0:  # it may be for the precision
            again = solver.relax(self.metric, nodes[rows], tol=tol)
            relaxed[rows], status[rows] = again.nodes, again.status
            n_steps[rows] += again.n_steps
        return Relaxation(relaxed, status, n_steps)

    def _walk(self, nodes: Tensor) -> Relaxation:
        """Walk at constant speed: on a line there is one path, and nothing else to find."""
        path = straight_line(nodes[:, 0], nodes[:, -1], 512)
        for _ in range(_SWEEPS):
            path, _ = self._at_constant_speed(path)
        count = torch.zeros(len(nodes), dtype=torch.long, device=nodes.device)
        walked = Polyline(path).points(nodes.shape[1])
        return Relaxation(walked, count + int(Status.CONVERGED), count + _SWEEPS)

    def _is_spent(self, curves: Candidates) -> Tensor:
        """Mark what a solver without Hessian did not bring home: a finer chain is harder still."""
        spent = curves.status == Status.MAX_STEPS
        return spent & (not self._corrects(curves.nodes.shape[-1]))

    def _corrects(self, dim: int) -> bool:
        return 1 < dim <= SMALL_DIM and self.solver(dim).second_order

    def _certify(self, curves: Candidates) -> Candidates:
        """Correct the chains to fourth order, and solve again those of which much remains."""
        if len(curves.pair) == 0:
            return curves
        curves = self._correct(curves)
        remains = _ROUGHLY_REMAINS if self._is_approximate else _REMAINS
        rows = (curves.excess > remains * self.rtol).nonzero().squeeze(-1)
        if len(rows) == 0 or not self._corrects(curves.nodes.shape[-1]):
            return curves
        again = curves.where(rows)
        nodes = torch.where(
            (again.second_variation == 0)[:, None, None], _nudged(again.nodes), again.nodes
        )
        solver = self.solver(nodes.shape[-1])
        solver = replace(solver, max_steps=min(solver.max_steps, _PATIENCE))
        nodes, _, n_steps = solver.relax(self.metric, nodes, tol=max(solver.tol, _FINE_TOL))
        again = self._judge(again._replace(nodes=nodes, n_steps=again.n_steps + n_steps))
        again = self._correct(again)
        better = (again.length <= curves.length[rows] * (1 + self.rtol)).nonzero().squeeze(-1)
        return curves.put(rows[better], again.where(better))

    def _correct(self, curves: Candidates) -> Candidates:
        d = curves.nodes.shape[-1]
        accuracy = self.rtol * (_ROUGHLY_EXACT if self._is_approximate else _EXACT)
        certificate = certify(
            self.metric, curves.nodes, correct=self._corrects(d), accuracy=accuracy
        )
        # Where the second variation is not positive, or not known, it does not bound what is left.
        bent = certificate.residual.square()
        share = torch.where(certificate.second_variation == 0, 1.0, 0.0)
        share = torch.where(certificate.second_variation.isnan(), _UNKNOWN, share)
        excess = certificate.excess.nan_to_num(nan=0.0) + share * bent
        # On a line a chain can only be off in its speed, which does not change the length.
        return curves._replace(
            nodes=certificate.nodes,
            excess=excess if d > 1 else torch.zeros_like(excess),
            residual=certificate.residual,
            regular=certificate.regular,
            second_variation=(certificate.second_variation if d > 1 else torch.ones_like(excess)),
        )

    def _measure(self, nodes: Tensor) -> Tensor:
        return measure(self.metric, fine_points(through(nodes)))[0]

    def _fall_back(self, curves: Candidates, straight_length: Tensor) -> Candidates:
        """Put the straight line back where the search ended on something longer."""
        suspect = (curves.length > _LONGER * straight_length[curves.pair]).nonzero().squeeze(-1)
        if len(suspect) == 0:
            return curves
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

    def _assemble(
        self, parts: list[Candidates], *, straight_length: Tensor, **known: Any
    ) -> GeodesicResult:
        """Measure the answers on the exact metric, and put the pairs back in order."""
        results = [self._answer(part, straight_length) for part in parts]
        order = torch.cat([part.pair for part in parts]).argsort()
        answer = GeodesicResult.cat(results).take(order)
        return answer.replace(straight_length=straight_length, **known)

    def _coincident(
        self, curves: Candidates, length: Tensor, coincident: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tell points nearer than rounding lets images differ from those with one image.

        So near, the distance is the norm of the step. Where that norm says that the images should
        differ, or the metric is singular, something else is wrong: those stay so.
        """
        exact, (a, b) = self.metric.exact, curves.nodes[:, [0, -1]].unbind(1)
        norm = exact.norm(a, b - a)
        near = (
            coincident & curves.regular & (norm <= curves.nodes.shape[1] * exact.chord_rounding(a))
        )
        return torch.where(near, norm, length), coincident & ~near

    def _answer(self, curves: Candidates, straight_length: Tensor) -> GeodesicResult:
        n_segments = curves.nodes.shape[1] - 1
        points = fine_points(through(curves.nodes))
        spare = curves.nodes.shape[-1] > 1 and n_segments % 2 == 0 and n_segments >= _ENOUGH
        if self._is_approximate and spare:
            points = points[:, ::2]
        length, energy, speed_variation = measure(self.metric.exact, points)
        inside = self.metric.exact.contains(points).all(-1)
        same = (curves.nodes[:, 0] == curves.nodes[:, -1]).all(-1)
        stays = (curves.nodes == curves.nodes[:, :1]).all(-1).all(-1)
        length, energy = _none_if(stays, length), _none_if(stays, energy)
        coincident = (length <= 0) & ~same
        if bool(coincident.any()):
            length, coincident = self._coincident(curves, length, coincident)
            energy = torch.maximum(energy, length.square() / 2)
        still = length <= 0
        off = (curves.length - length).abs() / length
        status = curves.status.clone()
        settled = status == Status.CONVERGED
        status[settled & ~(curves.refinement <= self.rtol)] = Status.UNRESOLVED
        if self._is_approximate:
            status[settled & (off > _INEXACT)] = Status.INEXACT
        status[~curves.regular & (status != Status.NOT_FINITE) & ~same] = Status.DEGENERATE
        status[coincident] = Status.DEGENERATE
        known = length.isfinite()
        status[~known] = Status.NOT_FINITE
        status[~inside] = Status.LEFT_DOMAIN
        zero = torch.zeros_like(length)
        return GeodesicResult(
            curve=through(curves.nodes),
            length=length,
            energy=energy,
            straight_length=straight_length[curves.pair],
            lower_bound=zero,
            residual=torch.where(still, zero, _known(curves.residual.nan_to_num(nan=0.0), known)),
            speed_variation=torch.where(still, zero, speed_variation),
            refinement=torch.where(still, zero, _known(curves.refinement, known)),
            second_variation=_known(curves.second_variation, known),
            n_segments=torch.full_like(curves.pair, n_segments),
            n_steps=curves.n_steps,
            status=status,
            start=curves.start,
            start_lengths=length.unsqueeze(-1),
            rival_length=torch.full_like(length, torch.nan),
            starts=("straight",),
        )


def _none_if(same: Tensor, lengths: Tensor) -> Tensor:
    """Put 0 where both ends are one point: rounding may place its images apart, row by row."""
    return torch.where(same & lengths.isfinite(), 0.0, lengths)


def _known(values: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, values, torch.nan)


def _is_shortest(
    length: Tensor, speed_variation: Tensor, lower_bound: Tensor, scatter: Tensor
) -> Tensor:
    """Mark the lines that no curve can beat: their images are straight, and run through evenly."""
    # Rounding moves points off that line, and so lengthens chords in its square.
    excess = torch.fmin(scatter, scatter.square() / (2 * lower_bound))
    short = length <= lower_bound * (1 + 1e-12) + scatter + excess
    return short & ~(speed_variation > _STEADY + scatter / lower_bound)


def _nudged(nodes: Tensor) -> Tensor:
    """Push curves aside, for those that are stationary but not the shortest near by."""
    chord = nodes[:, -1] - nodes[:, 0]
    axis = torch.nn.functional.one_hot(chord.abs().argmin(-1), chord.shape[-1]).to(nodes)
    along = torch.nn.functional.normalize(chord, dim=-1)
    aside = axis - (axis * along).sum(-1, keepdim=True) * along
    extent = nodes.diff(dim=1).norm(dim=-1).sum(-1)
    t = torch.linspace(0, torch.pi, nodes.shape[1], dtype=nodes.dtype, device=nodes.device)
    bulge = t.sin()[:, None] * (_NUDGE * extent[:, None] * aside).unsqueeze(1)
    return torch.cat([nodes[:, :1], (nodes + bulge)[:, 1:-1], nodes[:, -1:]], 1)
