"""Every geodesic that was asked for: which failed, how good the others are, what the graph errs."""

from typing import Any

import numpy as np

from pullback.geodesics import Status
from pullback.pages.chapter import Block, Chapter, Table, Verdict
from pullback.pages.wording import count, number, percent
from pullback.report.study import Study

__all__ = ["solver"]

# The most geodesics that the table lists.
_SHOWN = 10
_NAMES = {
    "residual": "residual of the geodesic equation (in units of 1 / length)",
    "speed_variation": "variation of the speed (standard deviation / mean)",
    "refinement": "estimated relative error of the length",
    "gain": "how much shorter than the straight line (share)",
    "n_steps": "steps of Newton's method",
    "graph_error": "graph distance / exact length − 1",
}


def solver(study: Study) -> Chapter:
    """Tell how the search for geodesics went.

    Example:
        >>> solver(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    numbers = _measure(study)
    n, failures = len(study.pairs), numbers["failed"]
    blocks: list[Block] = [
        "A curve that did not converge is never passed off as a geodesic: it is listed here, "
        "and left out of what compares geodesics with straight lines.",
    ]
    if n < len(study.planned):
        blocks.append(
            f"{len(study.planned)} were planned; the first {n} took so long that it was left at "
            "them. A model that was trained for longer is a smoother one."
        )
    if failures:
        rows = [
            [f"{f['pair'][0]}–{f['pair'][1]}", _point(f["from"]), _point(f["to"]), f["why"]]
            for f in failures
        ]
        blocks.append(Table(["pair", "from", "to", "what happened"], rows, numeric=False))
    if numbers["converged"]:
        blocks += _statistics(numbers)
    blocks.append(_certificates(study))
    return Chapter(
        "solver",
        "Every geodesic that was asked for",
        numbers,
        blocks,
        claim="Every geodesic that was asked for was found.",
        verdict=Verdict.HOLDS if not failures else Verdict.FAILS,
        outcome=f"{numbers['converged']} of {count(n, 'geodesic')} between random pairs of "
        "held-out codes converged.",
    )


def _statistics(numbers: dict[str, Any]) -> list[Block]:
    rows = [
        [_NAMES[key], *(number(numbers[key][q]) for q in ("median", "p95", "max"))]
        for key in _NAMES
    ]
    return [
        Table(["of the converged ones", "median", "95\N{NO-BREAK SPACE}%", "largest"], rows),
        "Distances between all points are those along a graph over the latent space: an estimate "
        "that is a little too long, on these pairs by "
        f"{percent(numbers['graph_error']['median'])} in the median.",
    ]


def _certificates(study: Study) -> Table:
    minimum = {1.0: "yes", 0.0: "no"}
    rows = [
        [
            str(pair["status"]),
            number(pair["length"]),
            percent(pair["gain"]),
            number(pair["lower_bound"]),
            f"{pair['refinement']:.0e}",
            f"{pair['residual']:.0e}",
            minimum.get(pair["second_variation"], "?"),
            str(pair["start"]),
        ]
        for pair in study.paths.to_frame()[:_SHOWN].to_dict("records")
    ]
    columns = ["status", "length", "gain", "lower bound", "error", "residual", "minimum", "start"]
    caption = (
        f"The certificates of the first {len(rows)} pairs. Gain: over the straight line. Lower "
        "bound: the straight line between the images. Error: estimated, of the length. Minimum: "
        "whether every small change makes the curve longer. Start: the straight line or the "
        "shortest path on a graph, whichever led to the shorter curve."
    )
    return Table(columns, rows, caption)


def _measure(study: Study) -> dict[str, Any]:
    paths = study.paths
    good = paths.converged.cpu().numpy()
    first, second = study.pairs.T
    lengths = paths.length.cpu().numpy()
    errors = study.distances[first, second] / np.where(lengths > 0, lengths, np.nan) - 1
    return {
        "pairs_planned": len(study.planned),
        "pairs": len(study.pairs),
        "converged": int(good.sum()),
        "failed": [_failure(study, i) for i in np.flatnonzero(~good).tolist()],
        "residual": _quantiles(paths.residual.cpu().numpy()[good]),
        "speed_variation": _quantiles(paths.speed_variation.cpu().numpy()[good]),
        "refinement": _quantiles(paths.refinement.cpu().numpy()[good]),
        "gain": _quantiles(paths.gain.cpu().numpy()[good]),
        "conjugate": int(paths.conjugate[paths.converged].sum()),
        "n_steps": _quantiles(paths.n_steps.cpu().numpy()[good]),
        "graph_error": _quantiles(errors[good]),
    }


def _failure(study: Study, i: int) -> dict[str, Any]:
    status = Status(int(study.paths.status[i]))
    first, second = study.pairs[i].tolist()
    return {
        "pair": [first, second],
        "from": study.Z[first].tolist(),
        "to": study.Z[second].tolist(),
        "status": status.name,
        "why": status.message,
    }


def _quantiles(values: Any) -> dict[str, float]:
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return dict.fromkeys(("median", "p95", "max"), float("nan"))
    middle, high, largest = np.percentile(values, [50, 95, 100])
    return {"median": float(middle), "p95": float(high), "max": float(largest)}


def _point(coordinates: list[float]) -> str:
    shown = ", ".join(number(value) for value in coordinates[:4])
    return f"({shown}{', …' if len(coordinates) > 4 else ''})"
