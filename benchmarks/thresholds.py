"""What each threshold of the search does: halved and doubled, on pairs that are hard in all ways.

    python benchmarks/thresholds.py                    # all of them: five CPU minutes
    python benchmarks/thresholds.py --only seen bent   # some

Every length is measured again with 2049 points by the kind's own evaluator, so that a wall that was
not seen counts. For each threshold, with half and with twice its value: how many pairs got longer
and shorter by more than 0.01 %, how many more of them converged, how many that say so are wrong by
more than 0.1 % in their length, and how many points passed through the decoders, in units of the
search as it is. Of ratios above 1 it is the excess that is halved and doubled.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import NamedTuple

import torch
from decoder_kinds import KINDS, Case
from evaluations import counted
from torch import Tensor

from pullback import Manifold
from pullback.geodesics import solve
from pullback.geodesics.search.thresholds import THRESHOLDS

PAIRS = 2  # of each setting
# Kind, dimension, and whether a table or a graph over the data serves.
SETTINGS = [
    ("rbf", 2, "graph"),
    ("rbf", 2, "table"),
    ("walls", 2, "graph"),
    ("walls", 2, "alone"),
    ("relu", 2, "graph"),
    ("sphere", 2, "alone"),
    ("narrow", 1, "alone"),
    ("walls", 3, "graph"),
    ("tanh", 10, "alone"),
]
CHANGED, WRONG = 1e-4, 1e-3
POINTS = 2049


class Problem(NamedTuple):
    """Pairs on one manifold."""

    manifold: Manifold
    case: Case
    a: Tensor
    b: Tensor


class Run(NamedTuple):
    """What came of all pairs: true lengths, what was said of them, and the points that it took."""

    length: Tensor
    said: Tensor
    converged: Tensor
    points: int


def problems() -> Iterator[Problem]:
    """Make the pairs of all settings."""
    for kind, dim, how in SETTINGS:
        generator = torch.Generator().manual_seed(dim)
        case = KINDS[kind].make(dim, generator)
        data = None if how == "alone" else case.codes
        manifold = Manifold(case.source, dim=dim, data=data)
        if how == "table":
            manifold = manifold.tabulated()
        if data is not None or dim < 3:
            manifold.graph_over(case.codes)
        yield Problem(manifold, case, case.codes[:PAIRS], case.codes[PAIRS : 2 * PAIRS])


Value = float | tuple[float, ...]


def times(value: Value, factor: float) -> Value:
    """Move a threshold: a count to no less than 1, and of a ratio above 1 what it exceeds 1 by."""
    if isinstance(value, tuple):
        return tuple(times(part, factor) for part in value)
    if isinstance(value, int):
        return max(1, int(value * factor))
    return 1 + (value - 1) * factor if 1 < value < 2 else value * factor


@contextmanager
def moved(name: str, value: Value) -> Iterator[None]:
    """Let all searches go by another value of one threshold while the context lasts."""
    before = solve.THRESHOLDS
    solve.THRESHOLDS = replace(before, **{name: value})
    try:
        yield
    finally:
        solve.THRESHOLDS = before


def search(pairs: list[Problem]) -> Run:
    """Search all pairs, and measure what was found by an evaluator of its own."""
    lengths, said, converged, points = [], [], [], 0
    for manifold, case, a, b in pairs:
        with counted(manifold.metric.exact) as rows:
            found = manifold.geodesic(a, b)
        points += sum(rows.values())
        with torch.no_grad():
            squared = case.squared_chords(found.points(POINTS))
        lengths.append(squared.clamp(min=0).sqrt().sum(-1))
        said.append(found.length)
        converged.append(found.converged)
    return Run(torch.cat(lengths), torch.cat(said), torch.cat(converged), points)


def told(run: Run, before: Run) -> list[str]:
    """Say what a move did, as cells of a table."""
    ratio = run.length / before.length - 1
    wrong = ((run.said / run.length - 1).abs() > WRONG) & run.converged
    more = int(run.converged.sum()) - int(before.converged.sum())
    numbers = [int((ratio > CHANGED).sum()), int((ratio < -CHANGED).sum()), more, int(wrong.sum())]
    return [
        *(f"{n:+d}" if k == 2 else str(n) for k, n in enumerate(numbers)),
        f"{run.points / before.points:.2f}",
    ]


def main() -> None:
    """Move every threshold, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", help="names of thresholds")
    given = parser.parse_args()
    torch.set_num_threads(1)
    pairs = list(problems())
    search(pairs)  # once for what a manifold looks at the first time only
    before = search(pairs)
    print(
        f"{len(before.length)} pairs, {int(before.converged.sum())} converged, "
        f"{before.points} points",
        told(before, before),
    )
    columns = ["longer", "shorter", "converged", "wrong", "points"]
    print(
        "| threshold | value |",
        " | ".join(f"half: {c}" for c in columns),
        "|",
        " | ".join(f"double: {c}" for c in columns),
        "|",
    )
    print("|---" * 12 + "|")
    for field in fields(THRESHOLDS):
        if given.only and field.name not in given.only:
            continue
        value, cells = getattr(THRESHOLDS, field.name), []
        for factor in (0.5, 2.0):
            other = times(value, factor)
            with moved(field.name, other):
                cells += told(search(pairs), before)
        print(f"| {field.name} | {value} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
