"""The seed of it all: points of one class are closer to each other than to other classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback import plots
from pullback.pages.chapter import Block, Chapter, Picture, Table, Verdict
from pullback.pages.wording import bootstrap, interval, percent, signed
from pullback.report.study import Study
from pullback.statistics import triplet_share

__all__ = ["triplets", "weighted_triplet_share"]

_TITLE = "One class, close together"
_CLAIM = "Points of one class are closer to each other along geodesics than along straight lines."


def triplets(study: Study) -> Chapter:
    """Tell which distance keeps the classes together.

    Example:
        >>> triplets(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    if study.y is None or study.why_no_classes:
        why = f"{study.why_no_classes}, so there are no triplets to compare."
        return Chapter.absent("triplets", _TITLE, _CLAIM, why)
    numbers = _measure(study, study.y)
    straight, curved, gain = (numbers[key] for key in ("euclidean", "riemannian", "gain"))
    blocks: list[Block] = [
        "Take a point `i`, another one `j` of its class and one `k` of another class. A distance "
        f"that knows the classes has `d(i, j) < d(i, k)`. All such triplets of {len(study.X)} "
        "held-out points were asked; the model never saw the labels.",
        _picture(numbers),
        Table(
            ["", "triplets right", "95\N{NO-BREAK SPACE}% interval"],
            [
                ["Euclidean", percent(straight), interval(numbers["euclidean_interval"], percent)],
                ["Riemannian", percent(curved), interval(numbers["riemannian_interval"], percent)],
                ["gain", signed(gain), interval(numbers["gain_interval"])],
            ],
            "Intervals: points drawn again with replacement, a thousand times; the gain is paired.",
        ),
    ]
    return Chapter(
        "triplets",
        _TITLE,
        numbers,
        blocks,
        claim=_CLAIM,
        verdict=Verdict.of_interval(*numbers["gain_interval"]),
        outcome=f"{percent(curved)} of the triplets are right with geodesic distances, "
        f"{percent(straight)} with Euclidean ones: {signed(gain)}, "
        f"95\N{NO-BREAK SPACE}% interval {interval(numbers['gain_interval'])}.",
    )


def weighted_triplet_share(distances: NDArray[Any], y: NDArray[Any], times: NDArray[Any]) -> float:
    """Compute the share of right triplets when point i is there `times[i]` times.

    `sum w_i w_j w_k [d(i,j) < d(i,k)] / sum w_i w_j w_k` over i != j of one class and k of another:
    copies of one point are no pair.

    Args:
        distances: distances, `(n, n)`, symmetric.
        y: labels, `(n,)`.
        times: how often each point is there, `(n,)`.

    Example:
        >>> d = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.5], [2.0, 0.5, 0.0]])
        >>> weighted_triplet_share(d, np.array([0, 0, 1]), np.ones(3))
        0.5
    """
    return _TripletRanks(distances, y).share(times)


class _TripletRanks:
    """For each point the others in order of distance: sorted once, then weighted many times."""

    def __init__(self, distances: NDArray[Any], y: NDArray[Any]) -> None:
        self.order = np.argsort(distances, axis=1, kind="stable")
        same = y[:, None] == y[None, :]
        self.same = np.take_along_axis(same, self.order, 1)
        self.self = self.order == np.arange(len(y))[:, None]

    def share(self, times: NDArray[Any]) -> float:
        weights = np.asarray(times, float)[self.order]
        others = np.where(self.same, 0.0, weights)
        mates = np.where(self.same & ~self.self, weights, 0.0)
        beyond = others.sum(1, keepdims=True) - others.cumsum(1)
        right = (mates * beyond).sum(1)
        total = mates.sum(1) * others.sum(1)
        with np.errstate(invalid="ignore"):  # a draw without any triplet
            return float(times @ right / (times @ total))


def _measure(study: Study, y: NDArray[Any]) -> dict[str, Any]:
    straight, curved = (_TripletRanks(d, y) for d in (study.straight_distances, study.distances))
    n, seed = len(y), study.seed

    def gain(times: NDArray[Any]) -> float:
        return curved.share(times) - straight.share(times)

    shares = [triplet_share(d, y) for d in (study.straight_distances, study.distances)]
    return {
        "euclidean": shares[0],
        "riemannian": shares[1],
        "gain": shares[1] - shares[0],
        "euclidean_interval": list(bootstrap(straight.share, n, seed=seed)),
        "riemannian_interval": list(bootstrap(curved.share, n, seed=seed)),
        "gain_interval": list(bootstrap(gain, n, seed=seed)),
        "n_points": n,
    }


def _picture(numbers: dict[str, Any]) -> Picture:
    scores = {"Euclidean": [numbers["euclidean"]], "Riemannian": [numbers["riemannian"]]}
    intervals = {
        "Euclidean": [tuple(numbers["euclidean_interval"])],
        "Riemannian": [tuple(numbers["riemannian_interval"])],
    }
    return Picture(
        "triplets",
        lambda: plots.bars(scores, ["triplets\nright"], intervals=intervals),
        f"Bars: {percent(numbers['euclidean'])} of the triplets are right under the Euclidean, "
        f"{percent(numbers['riemannian'])} under the Riemannian distance.",
        "The share of triplets that each distance gets right. Chance is one half.",
    )
