"""First and second derivatives of a chain, from its nodes alone: differences of fourth order."""

import torch
from torch import Tensor

__all__ = ["FEWEST_NODES", "derivatives_of_chains"]

# Differences of fourth order next to the end of a row of points at unit steps, times 12.
_SLOPE_AT_END = (-3.0, -10.0, 18.0, -6.0, 1.0)
# The second differences there: of fourth order, of unit steps, times 12 too.
_BEND_AT_END = (10.0, -15.0, -4.0, 14.0, -6.0, 1.0)
# With fewer nodes a chain has none that far from an end that its differences can be taken.
FEWEST_NODES = len(_BEND_AT_END)


def derivatives_of_chains(nodes: Tensor) -> tuple[Tensor, Tensor]:
    """First and second derivatives to fourth order at the interior nodes of chains, unit steps.

    Args:
        nodes: chains of at least `FEWEST_NODES` nodes, shape `(batch, n, d)`.

    Returns:
        Both derivatives by the number of the node, shape `(batch, n - 2, d)`.

    Example:
        >>> t = torch.arange(6, dtype=torch.float64).reshape(1, -1, 1)
        >>> slope, bend = derivatives_of_chains(t**3)
        >>> slope.flatten().round(decimals=6).tolist()
        [3.0, 12.0, 27.0, 48.0]
        >>> bend.flatten().round(decimals=6).tolist()
        [6.0, 12.0, 18.0, 24.0]
    """
    slope, bend = torch.empty_like(nodes[:, 1:-1]), torch.empty_like(nodes[:, 1:-1])
    far, near = nodes[:, 4:] - nodes[:, :-4], nodes[:, 3:-1] - nodes[:, 1:-3]
    slope[:, 1:-1] = (8 * near - far) / 12
    far, near = nodes[:, 4:] + nodes[:, :-4], nodes[:, 3:-1] + nodes[:, 1:-3]
    bend[:, 1:-1] = (16 * near - far - 30 * nodes[:, 2:-2]) / 12
    for row, chain, sign in ((0, nodes, 1), (-1, nodes.flip(1), -1)):
        for into, weights, scale in ((slope, _SLOPE_AT_END, sign), (bend, _BEND_AT_END, 1)):
            weight = nodes.new_tensor(weights) * (scale / 12)
            into[:, row] = torch.einsum("n,bnd->bd", weight, chain[:, : len(weight)])
    return slope, bend
