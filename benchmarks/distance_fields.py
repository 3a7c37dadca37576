"""Distance fields on a decoder of digits: what they cost, and how many shorter ways they see.

From some codes to others, on a table: compiled searches from a straight line and a coarse path,
beside fields of several resolutions, their numbers read off and their ways made geodesics. Lengths
are divided by the shortest that any of them found. Run it as
`python benchmarks/distance_fields.py --sources 8 --points 500`.
"""

import argparse
import time

import torch
from common_problem import CommonProblem
from torch import Tensor

from pullback import Manifold
from pullback.geodesics.kernels.table_search import TableSearch


def by_search(search: TableSearch, sources: Tensor, Z: Tensor) -> tuple[Tensor, float]:
    """Return lengths `(sources, points)` of compiled searches, and CPU s a pair."""
    search.find(Z, Z.flip(0))  # all shortest paths on the coarse grid
    start = time.process_time()
    lengths = torch.stack([search.find(a.expand_as(Z), Z).length for a in sources])
    return lengths, (time.process_time() - start) / lengths.numel()


def by_field(M: Manifold, sources: Tensor, Z: Tensor, n_cells: int) -> dict[str, Tensor | float]:
    """Return what fields say, their errors, what their ways become, and CPU s of both."""
    M.dist_field(sources[0], resolution=n_cells).to(Z[:4], refined=True)
    start = time.process_time()
    fields = [M.dist_field(a, resolution=n_cells) for a in sources]
    made = time.process_time()
    refined = torch.stack([field.to(Z, refined=True).distance for field in fields])
    done = time.process_time()
    return {
        "read": torch.stack([field.at(Z) for field in fields]),
        "error": torch.stack([field.error_at(Z) for field in fields]),
        "refined": refined,
        "field": (made - start) / len(sources),
        "pair": (done - made) / refined.numel(),
    }


def too_long(lengths: Tensor, best: Tensor) -> str:
    """Say how many lengths are too long by more than 0.1 and 1 %, and by how much at most."""
    excess = lengths / best - 1
    counts = [int((excess > share).sum()) for share in (1e-3, 1e-2)]
    return f"{counts[0]} | {counts[1]} | {float(excess.max()):.1e}"


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=8)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--cells", type=int, nargs="*", default=[64, 96, 128, 256])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    problem = CommonProblem()
    M = Manifold(problem.decoder(), data=problem.codes).tabulated(problem.codes)
    order = torch.randperm(len(problem.codes), generator=torch.Generator().manual_seed(0))
    Z = problem.codes[order[: asked.points]]
    sources, Z = Z[: asked.sources], Z[asked.sources :]
    searched, pair = by_search(TableSearch(M.metric), sources, Z)
    fields = {n: by_field(M, sources, Z, n) for n in asked.cells}
    best = torch.stack([searched, *(found["refined"] for found in fields.values())]).amin(0)
    print(f"{best.numel()} pairs")
    print(
        "| way | CPU ms a field | us a pair | > 0.1 % | > 1 % | max | read: median | 95 % | told |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(f"| searches | - | {1e6 * pair:.0f} | {too_long(searched, best)} | - | - | - |")
    for n, found in fields.items():
        off = (found["read"] - best).abs()
        share = (off / best).flatten()
        told = float((off <= found["error"]).double().mean())
        print(
            f"| {n} cells | {1e3 * found['field']:.0f} | {1e6 * found['pair']:.0f} | "
            f"{too_long(found['refined'], best)} | {float(share.median()):.1e} | "
            f"{float(share.quantile(0.95)):.1e} | {told:.2f} |"
        )


if __name__ == "__main__":
    main()
