"""What curvature costs: the field over a latent plane, and single points in many dimensions.

The field is that of the common problem's decoder, d = 2 and 1568 outputs with its deviations, on a
grid around the codes. The decoders of many dimensions are those of `many_dimensions.py`, as wide as
it takes for d independent directions. There the scalar curvature of one point is estimated by
planes at random, and compared with the exact one where that is affordable.

`python benchmarks/curvature.py` prints both tables.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from common_problem import CommonProblem
from many_dimensions import smooth_decoder
from torch import Tensor

from pullback import Manifold
from pullback.geodesics import grid_nodes

EXACT = 32
"""The most dimensions in which the exact curvature is computed too."""


def seconds_of(call: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Return what a call returns, and the CPU seconds that it took."""
    begin = time.process_time()
    with torch.no_grad():
        found = call()
    return found, time.process_time() - begin


def print_field(resolution: int) -> None:
    """Measure the field of the common problem: the decoder itself costs a second or less."""
    problem = CommonProblem(2)
    M = Manifold(problem.decoder())
    z = grid_nodes(problem.codes, resolution=resolution, margin=0.25)
    _, decoding = seconds_of(lambda: M.metric.immersion(z))
    _, volume = seconds_of(lambda: M.log_volume(z))
    scalar, seconds = seconds_of(lambda: M.scalar_curvature(z))
    quantiles = torch.tensor([0.01, 0.5, 0.99], dtype=torch.float64)
    shown = ", ".join(f"{q:.2g}" for q in (scalar / 2).nanquantile(quantiles).tolist())
    print("| points | curvature: CPU s | log-volume | images alone | NaN | K: 1, 50, 99 % |")
    print("|---" * 6 + "|")
    print(
        f"| {resolution} x {resolution} | {seconds:.2f} | {volume:.2f} | {decoding:.2f} "
        f"| {int(scalar.isnan().sum())} | {shown} |"
    )


def row_of(dim: int, n_planes: int) -> str:
    """Estimate the scalar curvature at one point, and return a row of the table."""
    widths = max(128, 2 * dim), max(256, 2 * dim)
    M = Manifold(smooth_decoder(dim, widths=widths), dim=dim)
    draws = torch.Generator().manual_seed(1)
    z = torch.randn(1, dim, generator=draws, dtype=torch.float64)
    stack = torch.stack
    found, seconds = seconds_of(
        lambda: stack(M.estimate_scalar_curvature(z, n_planes=n_planes, generator=draws))
    )
    value, error = found[:, 0].tolist()
    row = f"| {dim} | {value:.4g} | {error:.2g} | {seconds:.3f} "
    if dim > EXACT:
        return row + "| | |"
    exact, exact_seconds = seconds_of(lambda: M.scalar_curvature(z))
    return row + f"| {exact.item():.4g} | {exact_seconds:.3f} |"


def print_dimensions(dims: Sequence[int], n_planes: int) -> None:
    """Print one row a dimension."""
    print(f"\n| d | scalar by {n_planes} planes | standard error | CPU s | exact | CPU s |")
    print("|---" * 6 + "|")
    row_of(2, 2)  # what PyTorch sets up once is not to be counted
    for dim in dims:
        print(row_of(dim, n_planes), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resolution", type=int, default=100, help="points along each axis")
    parser.add_argument("--dims", type=int, nargs="*", default=[8, 32, 128, 512])
    parser.add_argument("--planes", type=int, default=256, help="random planes at a point")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_field(arguments.resolution)
    print_dimensions(arguments.dims, arguments.planes)
