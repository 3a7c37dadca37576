"""The numbers that the search decides by: what each is, its unit, and why it is this one."""

from dataclasses import dataclass

__all__ = ["THRESHOLDS", "Thresholds"]


@dataclass(frozen=True)
class Thresholds:
    """What counts as straight, seen, settled, bent or wrong, in the order in which it is asked.

    Below each field stands what it is, its unit, and where its value comes from: a run that is on
    record, a calculation, or a judgement. `benchmarks/thresholds.py` halves and doubles each, and
    tells what that does to lengths, statuses and work; its table is in `benchmarks/README.md`.

    Example:
        >>> from dataclasses import replace
        >>> Thresholds().tunnelled, replace(THRESHOLDS, tunnelled=2.0).tunnelled
        (1.3, 2.0)
    """

    # --- starts: where curves begin, and which are dropped before they cost anything

    steady: float = 1e-3
    """A line whose image is straight needs no search where its speed varies by no more than this.

    Unit: standard deviation of the speed over its mean. Chosen: by judgement; no curve is shorter
    than a straight image, so that all a search could still do is to even out the speed."""

    detour: float = 1.1
    """Paths on the graph that are longer than this are not looked for.

    Unit: of the straight line's length. Chosen: by judgement; with edges in 32 directions a path on
    the graph is up to 1.3 % longer than the way that it stands for, so that a way which is
    shorter than the line is hardly missed."""

    hopeless: float = 1.15
    """A start that is so much longer than the shortest of its pair is dropped.

    Unit: of the shortest start's length. Chosen: with `arch`, so that a bend is followed where the
    metric is flat; a start that is a tenth longer may win, one that is half as long again does not
    (`tests/geodesics/search/test_starts.py`)."""

    on: float = 0.03
    """A start is dropped that runs this near to a shorter one of about the same length.

    Unit: largest gap between the two, in lengths of the curve. Chosen: by judgement; both would end
    on the same curve."""

    beside: float = 0.15
    """A start is dropped that runs this near to a shorter one and is `clearly` longer.

    Unit: largest gap between the two, in lengths of the curve. Chosen: by judgement; what is longer
    is pulled to the shorter curve from further away, so that this is more than `on`."""

    clearly: float = 1.005
    """From which length on a start counts as longer than another one.

    Unit: of the shorter start's length. Chosen: by judgement."""

    looks: int = 16
    """Places along two starts at which the gap between them is measured.

    Unit: segments. Chosen: by judgement; starts are smooth on the coarsest level."""

    arch: float = 0.25
    """Height of the sine arch of a bent start.

    Unit: of the chord. Chosen: by calculation; in flat space such an arch is 15 % longer than its
    chord, just what `hopeless` lets pass."""

    directions: int = 8
    """Directions in which a line is bent at most, to both sides each.

    Unit: a count. Chosen: by judgement; each costs two sweeps over a chain, and up to d = 9 they
    are all that there are."""

    bends: int = 2
    """Bent starts that are kept, the shortest.

    Unit: a count. Chosen: by judgement; each is relaxed on the coarsest level."""

    # --- refinement: which curves are followed, and when one has settled

    seen: float = 1.1
    """Where a curve is so much longer than its chain, other curves of its pair are kept too.

    Unit: length of the curve over the sum of the chords of its chain. Chosen: by judgement; few
    nodes step over a wall that the curve between them runs into. The chain is then too short to be
    compared with others, and one that now is longer may win."""

    tunnelled: float = 1.3
    """A curve that is so much longer than its chain crosses a wall between two nodes: begin anew.

    Unit: length of the curve over the sum of the chords of its chain. Chosen: by judgement; without
    it the walls of `tests/geodesics/search/test_refinement.py` are tunnelled through."""

    distinct: float = 0.02
    """From which gap on two curves of a pair are rivals and not the same one.

    Unit: largest gap between the two, in diagonals of the box around the shorter. Chosen: by
    judgement."""

    close: float = 1.01
    """A rival that is longer by less is followed to the next level.

    Unit: of the shortest curve's length. Chosen: by judgement."""

    walked: int = 512
    """Segments of the path by which the one way on a line is walked, for d = 1.

    Unit: segments. Chosen: by judgement; a path on a line is cheap."""

    sweeps: int = 3
    """Times that such a path is spaced anew, more finely where it was long.

    Unit: a count. Chosen: by judgement; with three, nodes on exp(z) are right to 1e-5
    (`tests/geodesics/search/test_refinement.py`)."""

    rough_tol: float = 1e-3
    """A solver ends when its next step promises less gain; corrections of fourth order follow.

    Unit: of the energy. Chosen: by judgement; a correction is a step of Newton's method, after
    which the square of this is left."""

    graded_tol: float = 0.05
    """A graded chain has converged when the next step of its solver promises less gain.

    Unit: of the energy, over `rtol`. Chosen: by runs on RBF decoders of digits with d = 20 and 50,
    where as much remained as was promised; it leaves nearly all of the tolerance to `mismatch`."""

    graded_remains: float = 0.5
    """A graded chain is solved again where its estimated excess is above this.

    Unit: of `rtol`. Chosen: by judgement; the other half is left to the error that comes from too
    few nodes, see `mismatch`."""

    graded_finer: float = 0.1
    """The factor by which `graded_tol` is made smaller each time such a chain is solved again.

    Unit: a ratio of promised gains. Chosen: by runs on smooth decoders with d = 128, whose valleys
    are so flat that 5e-6 was promised where a thousandth was estimated to remain."""

    graded_again: int = 3
    """How many times such a chain is solved again, at most, with the same number of nodes.

    Unit: a count. Chosen: by judgement; at the last of them a thousandth of `graded_tol` is asked
    for."""

    krylov: int = 60
    """Steps of conjugate gradients, at most, by which the excess of a graded chain is estimated.

    Unit: a count. Chosen: by runs; on digits with d = 10 to 50 ten to thirty were taken."""

    krylov_tol: float = 1e-2
    """These end when what they have not yet found of the correction is below this.

    Unit: of the correction's squared norm. Chosen: by calculation; the excess then errs by a
    hundredth."""

    lengthened: float = 1.001
    """A curve that a relaxation made longer by more than this has stepped through a wall.

    Unit: of its length before. Chosen: by judgement; it is what `rough_tol` leaves."""

    slacker: tuple[float, ...] = (100.0, 10000.0)
    """How many times less a solver is asked where what it was asked made a curve longer.

    Unit: of its usual tolerance, one after the other. Chosen: by a pair of `benchmarks/honesty.py
    --kinds sine --dims 10 --seed 1`, whose chains step between the folds of the image: with the
    usual tolerance 32 to 256 segments lead to curves 6 to 120 % longer than the start, with 100
    times that 256 segments lead to one 4 % shorter."""

    fine_tol: float = 1e-7
    """A chain that is solved a second time ends when its next step promises less gain.

    Unit: of the energy. Chosen: by judgement; these are the chains of which much was left after the
    corrections, see `remains`, so that `rough_tol` was too rough."""

    patience: int = 60
    """Steps of the solver, at most, when a chain is solved a second time.

    Unit: a count. Chosen: raised from 20 with the estimate of errors where curves swing between
    their nodes (commit 347af7c); the run is not on record."""

    mismatch: float = 8.0
    """How many times less than its chain a curve through the same nodes errs.

    Unit: a ratio of errors; what the two lengths differ by is divided by it. Chosen: by judgement;
    a curve is measured by at least twice as many points, by a formula of fourth order, which would
    make it 16."""

    swinging: float = 0.004
    """Variation of the speed up to which a curve does not swing between its nodes.

    Unit: standard deviation of the speed over its mean. Chosen: by judgement; a speed that varies
    by a share s makes a curve longer by s^2 / 2, here 8e-6."""

    uneven: float = 2.5
    """The same where `rtol` is above 6e-6, as it is by default: the square of that variation.

    Unit: of `rtol`. Chosen: by judgement; s^2 / 2 is then 1.25 `rtol`, of which `mismatch` lets an
    eighth count."""

    bent: float = 0.1
    """A geodesic curvature that more nodes should straighten, though the length has settled.

    Unit: 1 / length. Chosen: 0.2 was tried and taken back, for means need exact directions, not
    lengths only (commit da025ea)."""

    exact: float = 1e-5
    """Excess at which no more corrections are taken.

    Unit: of `rtol`. Chosen: 1e-3 was tried and taken back, for means need exact directions (commit
    da025ea)."""

    roughly_exact: float = 1e-2
    """The same on an approximate metric, such as a table, whose own error is larger.

    Unit: of `rtol`. Chosen: by judgement."""

    remains: float = 0.1
    """Excess after the corrections with which a chain is solved again.

    Unit: of `rtol`. Chosen: by judgement; it leaves nine tenths of the tolerance to `mismatch`."""

    roughly_remains: float = 1.0
    """The same on an approximate metric.

    Unit: of `rtol`. Chosen: by judgement."""

    unknown: float = 0.02
    """What may be left to gain where the second variation was not looked at (d > `small_dim`).

    Unit: share of the energy over the squared residual. Chosen: by calculation; a bend like k sine
    arches gains 1 / (pi k)^2 / 2 of its squared curvature at most: 0.05 for one, 0.013 for two."""

    nudge: float = 0.02
    """How far a curve is pushed aside that is stationary but not the shortest near by.

    Unit: of the curve's length in coordinates. Chosen: by judgement."""

    # --- the certificate: what a chain says of the geodesic equation

    small_dim: int = 8
    """The latent dimension up to which d x d work at every node is cheap next to the decoder's.

    Unit: a dimension. Chosen: by judgement; at 8 Newton's method took a 46th of the time of Adam,
    and L-BFGS a 29th at 32 (`benchmarks/README.md`, Many dimensions)."""

    sampled: int = 4
    """Nodes at which the geodesic equation is checked in more dimensions.

    Unit: nodes. Chosen: by judgement; each costs a d x d metric."""

    conjugate: float = 0.02
    """A second variation below this counts as none, and the certificate says so.

    Unit: of the H1 norm of the variation. Chosen: by judgement; on a sphere it is reached one per
    cent before the antipode, where 1 - (L / pi)^2 is 0.02."""

    caution: float = 1e-3
    """Damping that is added to the Hessian of a correction.

    Unit: of the H1 norm. Chosen: by judgement; well below `conjugate`."""

    corrections: int = 3
    """Corrections of a chain, at most: all by the Hessian of the chain before the first of them.

    Unit: a count. Chosen: by judgement; a Hessian costs as much as several gradients."""

    largest: float = 0.1
    """The largest correction that still is a small one.

    Unit: of the curve's length. Chosen: by judgement; beyond it the quadratic model does not hold.
    """

    # --- the verdict: what is said of a curve, on the exact metric

    longer: float = 1.001
    """A curve that is longer than the straight line is given up for that line.

    Unit: of the straight line's length. Chosen: by judgement; ten times the default `rtol`."""

    enough: int = 64
    """Answers of a table on so many segments, or more, are measured by every second point only.

    Unit: segments. Chosen: by judgement; the points cost evaluations of the decoder, and half of
    them still are as many as the nodes."""

    inexact: float = 3e-3
    """Difference between a table's length and the exact one from which a table is not trusted.

    Unit: of the length. Chosen: it is the `rtol` that tables are made for; such answers are
    relaxed on the exact metric."""

    # --- the second look: what an answer that converged has to stand

    again_from: int = 64
    """Segments of the coarsest chain with which an answer is polished or searched again.

    Unit: segments. Chosen: by judgement; coarser chains would lose what was found."""

    again_tol: float = 1e-5
    """The same as `rough_tol`, where an answer is polished or searched again.

    Unit: of the energy. Chosen: by a run with 1e-3 to 1e-7 on the two pairs that the table of the
    common problem spoils; chains that are searched again are hard ones, and with 1e-3 so much was
    left that they were solved twice. 1e-4 and 1e-5 took 0.75 of its time, 1e-7 0.8; with 1e-4 a
    chain between walls (`benchmarks/honesty.py`) ended on a saddle."""

    again: int = 2
    """Times that an answer is searched again before it is given up.

    Unit: a count. Chosen: by judgement."""

    wrong: float = 3e-4
    """A length that is off by more, or an attack that gains more, is worth another search.

    Unit: of the length. Chosen: a third of the 0.1 % that `benchmarks/honesty.py` counts."""

    wrong_times: float = 3.0
    """The same for looser `rtol`.

    Unit: of `rtol`. Chosen: by judgement; at the default it is what `wrong` says."""

    speed_settled: float = 0.02
    """By how much the variation of the speed may change with the number of points, on a line.

    Unit: standard deviation of the speed over its mean. Chosen: by `benchmarks/honesty.py`, which
    counts what is off by more; among walls as thin as a segment 38 of 256 speeds on lines were
    told by too few points, with this none."""

    noise: float = 2e-5
    """Error of lengths that were measured in single precision.

    Unit: of the length. Chosen: by judgement; `rounding` allows 0.005^2 / 2 = 1.3e-5."""

    dense: int = 512
    """Segments of the first measurement with many points.

    Unit: segments. Chosen: by `benchmarks/honesty.py`; a wall narrower than a segment is stepped
    over, and with 64 to 128 of them 2 of 270 answers among sharp walls were wrong by more than
    0.1 %, with these none."""

    densest: int = 4096
    """Segments of the last measurement, if lengths have not settled before.

    Unit: segments. Chosen: as many as those that `benchmarks/honesty.py` measures again by."""

    dense_on_tables: int = 128
    """Segments of the first measurement of a table's answer, on the decoder.

    Unit: segments. Chosen: by judgement; a table is smooth between its knots."""

    rounding: float = 0.005
    """Rounding of chords up to which single precision measures.

    Unit: of a chord. Chosen: by calculation; a chord that is rounded by a share s is longer by s^2
    / 2 on average, which adds up: 1.3e-5 here. It was 0.05 until commit 5618dc3, by which the same
    is 1.3e-3, more than is promised."""

    attack_nodes: int = 65
    """Nodes of the chain that attacks an answer; up to twice as many where the answer has more.

    Unit: nodes. Chosen: by `benchmarks/honesty.py`, whose own attacks find no more."""

    attack_steps: int = 12
    """Steps of L-BFGS that attack an answer.

    Unit: a count. Chosen: by `benchmarks/honesty.py`, whose own attacks take four times as many
    steps."""

    screened: int = 65
    """Nodes at which the exact equation is looked at first, of a table's answer.

    Unit: nodes. Chosen: by a run whose data are not on record; 33 nodes suspect four times as many
    answers (commit 0304558)."""

    spoiled: float = 1e-4
    """Estimated excess on the decoder from which a table's answer is attacked.

    Unit: of the energy. Chosen: 2e-5 was tried (commit b395b4c), and taken back when the decoder's
    own Hessian came to decide (commit 0304558)."""

    misled: float = 2e-4
    """Estimated excess on the decoder from which a table's answer is relaxed on the decoder.

    Unit: of the energy. Chosen: in a flat valley more is to be gained than the Hessian promises: of
    3968 answers (`benchmarks/honesty.py --pairs 31`, eight kinds) one that promised 2.7e-4 was too
    long by 1.7e-3, and of 33 (`--kinds "layer norm" --seed 4 --dims 2`) one that promised 3.5e-4 by
    2.8e-3. Of 217 answers on tables 7 promise more than this."""

    # --- exploration: other ways, in more than two dimensions or where starts part

    scout_nodes: int = 65
    """Nodes of the curves that look for other ways.

    Unit: nodes. Chosen: by the runs below `scout_bends`; with 33 they step between folds of the
    image, and what they lead to is no way."""

    scout_bends: tuple[int, ...] = (4, 12, 12)
    """Bends of an answer that are followed, the shortest, in each turn of looking for other ways.

    Unit: counts. Chosen: by `benchmarks/honesty.py --kinds sine --dims 10 --seed 1 --pairs 33`,
    without data: with 4 bends in three turns two answers of 30 miss a way that is 1 % shorter, with
    12 none does, and answers are 2 % shorter in the mean. Only answers that became better or are
    ambiguous take more than one turn."""

    scout_arch: float = 0.4
    """Height of the sine arches of these bends.

    Unit: of the answer's chord. Chosen: higher than `arch`, to leave the valley; with 0.3 one of
    the answers of the run below `scout_bends` misses a way, with 0.4 none."""

    scout_steps: int = 30
    """Steps of L-BFGS that a bend is relaxed by.

    Unit: a count. Chosen: by judgement; what it leads to is searched with all care."""

    scout_tol: float = 1e-3
    """Promised gain at which a bend is relaxed.

    Unit: of the energy. Chosen: by judgement; it is `rough_tol`."""

    finer_grid: int = 48
    """Nodes along each axis of the grid over an ambiguous answer in the plane, or twice as many.

    Unit: nodes. Chosen: by `benchmarks/honesty.py --kinds rbf bumps --seed 1 --pairs 33`, where two
    answers miss ways that are 7 and 27 % shorter; both are found with 48, with 64 and with 128."""

    finer_margin: float = 0.5
    """How far that grid reaches beyond the answer.

    Unit: of its extent. Chosen: by the same runs, where an answer misses a way that is 6 % shorter
    with 0.2, and does not with 0.5."""

    lost: float = 0.05
    """Answers are ambiguous, too, whose length differs by more from their best start.

    Unit: of that start's length. Chosen: by judgement; the answer among bumps was a third shorter
    than all of its starts, and carried no warning."""

    shorter: float = 2e-3
    """Another way is searched with all care where it seems to be shorter by more than this.

    Unit: of the answer's length. Chosen: by judgement; twice the 0.1 % that is promised. After that
    search it takes the answer's place if it is shorter by half as much."""

    another: float = 0.1
    """Only a curve that runs further off than this counts as another way than the answer.

    Unit: largest gap, in diagonals of the box around the answer. Chosen: in place of `distinct`,
    by which copies of the answer that were not yet relaxed counted as rivals (commit b395b4c)."""


THRESHOLDS = Thresholds()
"""The thresholds that every search takes, but in tests and experiments."""
