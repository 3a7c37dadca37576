"""Chords that are measured by the metric in their middle: their derivatives by both ends."""

import torch

from pullback.metrics.chords import EndExpansion
from pullback.shapes import Latent, MetricMatrix, Scalars, Tangent

__all__ = ["from_middle"]


def from_middle(
    value: Scalars,
    metric: MetricMatrix,
    *,
    step: Tangent,
    gradient: Latent,
    hessian: MetricMatrix,
    mixed: MetricMatrix,
) -> EndExpansion:
    r"""Pass from middle and step to the two ends of a chord.

    A chord from a to b is S(m, s) = s^T M(m) s with m = (a + b) / 2 and s = b - a. Derivatives by m
    need one sweep for each of d dimensions, where the ends have 2 d.

    Args:
        value: S, shape `(*batch,)`.
        metric: M(m), shape `(*batch, d, d)`.
        step: s, shape `(*batch, d)`.
        gradient: dS/dm, shape `(*batch, d)`.
        hessian: d^2 S / dm^2, shape `(*batch, d, d)`.
        mixed: d^2 S / dm_j ds_k at entry (j, k), shape `(*batch, d, d)`.

    Returns:
        The expansion in both ends.

    Example:
        >>> one, zero = torch.ones(1, 1), torch.zeros(1, 1)  # S = (b - a)^2 with b - a = 3
        >>> given = {"step": torch.tensor([3.0]), "gradient": torch.zeros(1)}
        >>> at = from_middle(torch.tensor(9.0), one, **given, hessian=zero, mixed=zero)
        >>> at.gradient.tolist(), at.hessian.tolist()
        ([-6.0, 6.0], [[2.0, -2.0], [-2.0, 2.0]])
    """
    # By the chain rule d/da = (d/dm) / 2 - d/ds and d/db = (d/dm) / 2 + d/ds.
    force = 2 * (metric @ step.unsqueeze(-1)).squeeze(-1)
    both, turn = hessian / 4 + 2 * metric, (mixed + mixed.mT) / 2
    across = hessian / 4 - 2 * metric + (mixed - mixed.mT) / 2
    return EndExpansion(
        value=value,
        gradient=torch.cat([gradient / 2 - force, gradient / 2 + force], -1),
        hessian=torch.cat(
            [torch.cat([both - turn, across], -1), torch.cat([across.mT, both + turn], -1)], -2
        ),
        metric=metric,
    )
