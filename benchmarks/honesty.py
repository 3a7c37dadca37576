"""Does "converged" mean it? A campaign of random geodesics on 24 kinds of decoders.

    python benchmarks/honesty.py [--pairs 80] [--seed 0] [--jobs 2] [--kinds narrow walls]

Every answer is measured again with 4097 points by an evaluator that does not use the package
(`decoder_kinds.py`), and attacked (`attack.py`): by L-BFGS from the answer, from bends of it to
both sides, from the straight line and, where d = 2, from the shortest path on a fine grid. On a
line, d = 1, there is one way, and only its length is judged. Of the answers that say "converged"
it counts, by kind,

    length   the length is off by more than 0.1 %
    local    a descent from the answer itself is shorter by more than 0.1 %
    global   any curve that was found is shorter by more than 1 %
    warned   of the last, those whose certificate says that another curve may be as short
    speed    the speed is less even than the certificate says, by more than 2 %
"""

import argparse
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import joblib
import pandas as pd
import torch
from attack import along, bends, descend, grid_paths, lines, measure, redistributed
from decoder_kinds import KINDS, Case
from torch import Tensor

import pullback as pb

_POINTS = 4097  # that measure a curve
_ROUGH = 513  # that say whether a curve is worth _POINTS
_NODES, _COARSE = 129, 65  # of curves that attack from the answer itself, and from elsewhere
_BENT = 0.15  # of its extent, by which an answer is bent aside
_WRONG, _LOCAL, _GLOBAL, _UNEVEN = 1e-3, 1e-3, 1e-2, 0.02
COUNTS = ("converged", "length", "local", "global", "warned", "speed")


def variants(dim: int) -> Iterator[tuple[bool, bool]]:
    """Yield with and without data, with and without a table, where there are tables."""
    for data in (False, True):
        for table in (False, True):
            if not table or dim <= 3:
                yield data, table


def manifold(case: Case, dim: int, *, data: bool, table: bool) -> pb.Manifold:
    """Make the manifold of a case, as its user would."""
    M = pb.Manifold(case.source, dim=dim, data=case.codes if data else None)
    return M.tabulated(case.codes) if table else M


def attacks(case: Case, a: Tensor, b: Tensor, answer: Tensor, seed: int) -> Iterator[Tensor]:
    """Yield the curves that attacks end on, first of a descent from the answers themselves."""
    generator = torch.Generator().manual_seed(seed)
    yield descend(case.squared_chords, redistributed(case.squared_chords, answer, _NODES))
    coarse = redistributed(case.squared_chords, answer, _COARSE)
    starts = [bends(coarse, share, generator) for share in (_BENT, -_BENT, 2 * _BENT)]
    starts.append(lines(a, b, _COARSE))
    if a.shape[-1] == 2:
        paths = grid_paths(case.squared_chords, case.codes, a, b)
        fine = torch.cat([along(path.unsqueeze(0), _ROUGH) for path in paths])
        starts.append(redistributed(case.squared_chords, fine, _COARSE))
    for start in starts:
        yield descend(case.squared_chords, start)


def judge(kind: str, dim: int, data: bool, table: bool, seed: int, pairs: int) -> pd.DataFrame:
    """Solve pairs of one configuration and attack the answers: a row for each pair."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1000 * seed + 10 * dim + len(kind))
    case = KINDS[kind].make(dim, generator)
    ends = case.codes[torch.randint(len(case.codes), (2, 2 * pairs), generator=generator)]
    ends = ends[:, (ends[0] != ends[1]).any(-1)][:, :pairs]
    a, b = ends
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of kinks, and of tables that reach their finest grid
        path = manifold(case, dim, data=data, table=table).geodesic(a, b)
    seconds = time.process_time() - started
    points = path.points(_POINTS)
    true, speed_variation = measure(case.squared_chords, points)
    descended, shortest = None, true.clone()
    # On a line, what seems shorter has stepped over a wall between the points that measure it.
    for curve in attacks(case, a, b, points, seed) if dim > 1 else ():
        length = measure(case.squared_chords, along(curve, _ROUGH)).length
        length = length.nan_to_num(nan=torch.inf)
        rows = (length < true).nonzero().squeeze(-1)
        if len(rows) > 0:
            length[rows] = measure(case.squared_chords, along(curve[rows], _POINTS)).length
        descended = length if descended is None else descended
        shortest = torch.minimum(shortest, length)
    descended = true if descended is None else descended
    attack_seconds = time.process_time() - started - seconds
    kept = path.converged
    missed = kept & (shortest < (1 - _GLOBAL) * true)
    columns = {
        "converged": kept,
        "length": kept & ~((path.length / true - 1).abs() <= _WRONG),
        "local": kept & (descended < (1 - _LOCAL) * true),
        "global": missed,
        "warned": missed & ambiguous(path),
        "careful": kept & ambiguous(path),
        "speed": kept & (speed_variation > path.speed_variation + _UNEVEN),
        "status": path.status,
        "reported": path.length,
        "true": true,
        "descended": descended,
        "shortest": shortest,
        "rival": getattr(path, "rival_length", torch.full_like(true, torch.nan)),
    }
    frame = pd.DataFrame({name: value.numpy() for name, value in columns.items()})
    frame = frame.assign(kind=kind, dim=dim, data=data, table=table, seed=seed, pair=frame.index)
    return frame.assign(seconds=seconds / len(a), attack_seconds=attack_seconds / len(a))


def ambiguous(path: pb.geodesics.GeodesicResult) -> Tensor:
    """Say where the certificate warns that another curve may be as short."""
    found: Any = getattr(path, "ambiguous", None)
    return path.conjugate | (path.start_margin < 1e-3) if found is None else found


def safely(**configuration: Any) -> pd.DataFrame:
    """Judge a configuration; one that fails outright is a row of its own."""
    try:
        return judge(**configuration)
    except Exception as error:  # it is counted, and shown at the end
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        row = dict.fromkeys((*COUNTS, "careful"), False)
        shown = {k: v for k, v in configuration.items() if k != "pairs"}
        return pd.DataFrame([{**row, **shown, "pair": -1, "error": said}])


def summary(rows: pd.DataFrame, by: str) -> str:
    """Count what was found, by kind or dimension, as a table in Markdown."""
    solved = rows[rows.pair >= 0]
    table = solved.groupby(by)[list(COUNTS)].sum().astype(int)
    table.insert(0, "pairs", solved.groupby(by).size())
    table.loc["all"] = table.sum()
    table["share"] = (100 * table.converged / table.pairs).map("{:.1f} %".format)
    header = [by, *table.columns]
    lines = [header, ["---"] * len(header)]
    lines += [
        [str(name), *map(str, row)] for name, row in zip(table.index, table.values, strict=True)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(rows: pd.DataFrame) -> None:
    """Print the tables, what it cost, and the configurations that failed outright."""
    for by in ("kind", "dim", "table"):
        print(summary(rows, by), "\n")
    solved = rows[rows.pair >= 0]
    print(f"CPU ms a pair: {1e3 * solved.seconds.mean():.1f} solved", end=", ")
    print(f"{1e3 * solved.attack_seconds.mean():.1f} attacked; ", end="")
    print(f"{100 * solved[solved.converged].careful.mean():.1f} % of the converged carry a warning")
    for _, row in rows[rows.pair < 0].iterrows():
        print(f"failed outright: {row.kind}, d = {row.dim}: {row.error}")


def main() -> None:
    """Run the campaign and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--pairs", type=int, default=80, help="of one configuration")
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--dims", type=int, nargs="+", default=[1, 2, 3, 5, 10])
    parser.add_argument("--out", help="a CSV file for every pair that was judged")
    parser.add_argument("--read", nargs="+", help="such files of parts, whose tables are printed")
    options = parser.parse_args()
    if options.read:
        report(pd.concat([pd.read_csv(path) for path in options.read]))
        return
    configurations = [
        {"kind": kind, "dim": dim, "data": d, "table": t, "seed": seed, "pairs": options.pairs}
        for seed in options.seed
        for kind in options.kinds
        for dim in KINDS[kind].dims
        if dim in options.dims
        for d, t in variants(dim)
    ]
    work = joblib.Parallel(options.jobs, verbose=1)
    rows = pd.concat(work(joblib.delayed(safely)(**one) for one in configurations))
    if options.out:
        rows.to_csv(options.out, index=False)
    report(rows)


if __name__ == "__main__":
    main()
