"""Solvers of geodesics against each other: a fixed point and SciPy's, GEORCE and Adam."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pullback.autodiff import gradient
from pullback.curves import CubicSpline, straight_line
from pullback.geodesics import Collocation, GPFixedPoint, Solver
from pullback.geodesics.base import Status
from pullback.geodesics.solvers.georce import GEORCE
from pullback.geodesics.tally import note
from pullback.metrics import Metric
from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.computation.counting import CountingMetric
from pullback.reproduction.claims.oddity.clustering import (
    MODEL,
    QUICK_MODEL,
    TRAINING,
    latent_space,
)
from pullback.reproduction.lab import Lab

__all__ = ["ADAM_RATE", "SOLVERS", "TOLERANCE", "adam", "compare"]

# Points by which the curves of all solvers are measured: the chords between so many tell the length
# to much less than the share by which a curve counts as shortest.
_MEASURED = 257
# A curve counts as shortest if its length is within this share of the least that a solver found.
_SLACK = 0.01
ADAM_RATE = 1e-2
"""The learning rate of Adam in the code of the authors of GEORCE."""
TOLERANCE = 1e-4
"""The norm of the gradient of the energy at which these authors stop."""
_CONVERGED, _SHORTEST = "converged", "converged and shortest"
_POINTS, _LENGTH = "points a pair", "length by the line's"


def measure(
    lab: Lab,
    seed: int,
    *,
    solvers: Sequence[str],
    n_pairs: int,
    n_segments: int,
    max_steps: int,
    max_nodes: int,
    n_per_digit: int | None,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Connect codes of digits by solvers that begin with the straight line.

    Args:
        lab: data and models.
        seed: of the model and the pairs.
        solvers: which solvers.
        n_pairs: pairs of codes.
        n_segments: segments of each chain.
        max_steps: the most steps of solvers that step.
        max_nodes: the most nodes of the mesh of SciPy's.
        n_per_digit: how many images of each digit; all if None.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        By solver: the share of pairs that it calls converged; the share that are also within 1 %
        of the least length that a solver found; points at which the metric was asked for a pair;
        the median length by that of the straight line; the relative deviation of the speed.
    """
    X, _ = lab.digits((0, 1, 2), seed=seed, n_per_digit=n_per_digit)
    vae = lab.vae(X, model, training, seed=seed)
    manifold, Z = latent_space(vae, X)
    line = straight_line(Z[:n_pairs], Z[n_pairs : 2 * n_pairs], n_segments)
    methods = _methods(max_steps, max_nodes)
    return compare(manifold.metric, line, {name: methods[name] for name in solvers})


def compare(metric: Metric, line: Tensor, solvers: Mapping[str, "_Method"]) -> Numbers:
    """Compare solvers that begin with the same chains.

    Args:
        metric: the Riemannian metric.
        line: the chains, `(n, k, d)`.
        solvers: by name, functions of both that return chains, and where they converged, `(n,)`.

    Returns:
        The columns of `measure`, by solver.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> line = straight_line(torch.zeros(1, 2).double(), torch.ones(1, 2).double(), 4)
        >>> flat = PullbackMetric(lambda z: z, dim=2)
        >>> compare(flat, line, {"Adam": partial(adam, max_steps=1)})["Adam"]["converged"]
        1.0
    """
    flat = _length_and_speed(metric, line)[0]
    tables, lengths, successes = {}, [], []
    for name, solve in solvers.items():
        counting = CountingMetric(metric)
        note(geodesics=len(line))  # each relaxes all chains once more
        nodes, converged = solve(counting, line)
        length, unevenness = _length_and_speed(metric, nodes)
        lengths.append(length)
        successes.append(converged)
        tables[name] = {
            _CONVERGED: float(converged.double().mean()),
            _POINTS: counting.n_points / len(line),
            _LENGTH: float((length / flat).median()),
            "deviation of the speed": float(unevenness.mean()),
        }
    least = torch.stack(lengths).amin(0)
    for name, length, converged in zip(solvers, lengths, successes, strict=True):
        short = converged & (length <= (1 + _SLACK) * least)
        tables[name][_SHORTEST] = float(short.double().mean())
    return tables


def adam(metric: Metric, line: Tensor, max_steps: int) -> tuple[Tensor, Tensor]:
    """Lower E = sum_s u_s^T G(x_s) u_s of chains by Adam, as the authors of GEORCE compare with.

    Args:
        metric: the Riemannian metric.
        line: the chains, `(n, k, d)`.
        max_steps: the most steps.

    Returns:
        The chains, and whether the gradient of each fell below 1e-4, `(n,)`.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> bent = torch.tensor([[[0.0, 0.0], [0.4, 0.9], [1.0, 0.0]]], dtype=torch.float64)
        >>> nodes, _ = adam(PullbackMetric(lambda z: z, dim=2), bent, 200)
        >>> nodes[0, 1].round(decimals=2).tolist()
        [0.5, 0.0]
    """
    inner = line[:, 1:-1].clone()
    optimizer = torch.optim.Adam([inner], lr=ADAM_RATE)
    running = torch.arange(len(line))
    for _ in range(max_steps):
        slope = _slope(metric, line[running], inner[running])
        steep = slope.flatten(1).norm(dim=-1) > TOLERANCE
        running = running[steep]
        if len(running) == 0:
            break
        kept = inner.clone()
        inner.grad = torch.zeros_like(inner).index_copy(0, running, slope[steep])
        optimizer.step()
        inner.copy_(kept.index_copy(0, running, inner[running]))  # the others are done
    converged = torch.ones(len(line), dtype=torch.bool).index_fill(0, running, False)
    return torch.cat([line[:, :1], inner, line[:, -1:]], 1), converged


def _slope(metric: Metric, line: Tensor, inner: Tensor) -> Tensor:
    """Return the gradient of E by the inner nodes, `(n, k - 2, d)`."""

    def energy(inner: Tensor) -> Tensor:
        nodes = torch.cat([line[:, :1], inner, line[:, -1:]], 1)
        u = nodes.diff(dim=1)
        return metric.inner_product(nodes[:, :-1], u, u).unsqueeze(-1)

    return gradient(energy, inner)[1]


_Method = Callable[[Metric, Tensor], tuple[Tensor, Tensor]]


def _methods(max_steps: int, max_nodes: int) -> dict[str, _Method]:
    return {
        "fixed point": _relaxed(GPFixedPoint(max_steps=max_steps)),
        "bvp": _relaxed(Collocation(max_nodes=max_nodes)),
        "GEORCE": _relaxed(GEORCE(max_steps=max_steps)),
        "Adam": partial(adam, max_steps=max_steps),
    }


def _relaxed(solver: Solver) -> _Method:
    def solve(metric: Metric, line: Tensor) -> tuple[Tensor, Tensor]:
        found = solver.relax(metric, line)
        return found.nodes, found.status == Status.CONVERGED

    return solve


def _length_and_speed(metric: Metric, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Return length and relative deviation of the speed of the splines through nodes, `(n,)`."""
    chords = metric.chords(CubicSpline(nodes).points(_MEASURED))
    return chords.sum(-1), chords.std(-1) / chords.mean(-1)


def _ratio(column: str, solver: str, other: str) -> Callable[[Numbers], float]:
    return lambda found: found[solver][column] / found[other][column]


_SETTINGS: dict[str, Any] = {
    "n_pairs": 10,
    "n_segments": 100,
    "max_steps": 1000,
    "max_nodes": 1000,
    "n_per_digit": None,
    "model": MODEL,
    "training": TRAINING,
}
_QUICK: dict[str, Any] = {
    "n_pairs": 2,
    "n_segments": 12,
    "max_steps": 20,
    "max_nodes": 40,
    "n_per_digit": 40,
    "model": QUICK_MODEL,
    "training": {"epochs": 5},
}

FIXED_POINT = Claim(
    "solver-fixed-point",
    "A fixed-point iteration on a Gaussian process finds geodesics of learned manifolds with less "
    "work than a solver of boundary value problems, and where that one fails.",
    "Arvanitidis, Hauberg, Hennig, Schober, Fast and robust shortest paths on manifolds learned "
    "from data (2019)",
    "Against MATLAB's bvp5c on learned manifolds: seconds, failures, and the lengths of the "
    "curves, as pictures.",
    "A VAE of the digits 0, 1 and 2, by the recipe `models.oddity`, whose metric has the "
    "walls of sigma, over a table where that is exact enough. Ten pairs of codes; both begin with "
    "the straight line of 100 segments. SciPy's solve_bvp, of fourth order, stands in for bvp5c, "
    "with at most 1000 nodes. Counted are the points at which the metric or its derivative is "
    "asked for, in place of seconds. The numbers are new.",
    measure,
    [
        Criterion(
            "The fixed point asks for fewer points.",
            _ratio(_POINTS, "fixed point", "bvp"),
            at_most=1.0,
            surely=True,
        ),
        Criterion(
            "It converges for most pairs.",
            lambda found: found["fixed point"][_CONVERGED],
            at_least=0.5,
        ),
        Criterion(
            "It converges to the shorter curve for at least as many pairs.",
            lambda found: found["fixed point"][_SHORTEST] - found["bvp"][_SHORTEST],
            at_least=0.0,
        ),
    ],
    settings={**_SETTINGS, "solvers": ("fixed point", "bvp")},
    quick=_QUICK,
)

GEORCE_STEPS = Claim(
    "solver-georce",
    "GEORCE finds curves as short as those of Adam with less work.",
    "Rygaard, Hauberg, GEORCE: a fast new control algorithm for computing geodesics (2025)",
    "100 segments from the straight line, at most 1000 steps, or until the gradient is below 1e-4; "
    "Adam with rate 0.01. The mean of a VAE of CelebA: length 41.1518 in 1.36 s against 41.1585 in "
    "51.4 s by Adam; a surface: 2.2741 in 9 steps against 2.2755 in 1000.",
    "A VAE of the digits 0, 1 and 2 with two dimensions, by the recipe `models.oddity`: "
    "the metric has the walls of sigma, where the source has the mean alone, over a table where "
    "that is exact enough. Ten pairs of codes. GEORCE is ours: factors in place of inverses, "
    "Armijo's rule, and an end where a step promises less than 1e-9 of the energy. Counted are the "
    "points at which the metric or its derivative is asked for, in place of seconds.",
    measure,
    [
        Criterion(
            "Its curves are no longer than Adam's, in the median.",
            _ratio(_LENGTH, "GEORCE", "Adam"),
            at_most=1.0,
            published="41.1518 / 41.1585 = 0.9998",
        ),
        Criterion(
            "It asks for fewer points.",
            _ratio(_POINTS, "GEORCE", "Adam"),
            at_most=1.0,
            surely=True,
            published="1.36 s / 51.4 s = 0.026",
        ),
    ],
    settings={**_SETTINGS, "solvers": ("GEORCE", "Adam")},
    quick=_QUICK,
)

SOLVERS = [FIXED_POINT, GEORCE_STEPS]
