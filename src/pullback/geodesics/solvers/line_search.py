"""The line search of quasi-Newton methods: which steps are kept, and what is tried next."""

from pullback.shapes import Mask, Scalars

__all__ = ["backtrack"]

# The share of the decrease promised by the slope that a step must keep (Armijo's rule, with the
# constant of Nocedal and Wright).
_ARMIJO = 1e-4
# The least and the most of a refused step that is tried next: a parabola through far too long a
# step says little (the bounds of Dennis and Schnabel).
_LEAST, _MOST = 0.1, 0.5


def backtrack(value: Scalars, tried: Scalars, slope: Scalars, finite: Mask) -> tuple[Mask, Scalars]:
    """Judge one step of each curve by Armijo's rule.

    Args:
        value: S before the step, shape `(batch,)`.
        tried: S after it.
        slope: the derivative of S along the whole step, before it.
        finite: where S and its gradient are finite after the step.

    Returns:
        Which steps are kept, and the share of the others to try next: the minimum of the parabola
        through S, its slope, and S at the end of the refused step.

    Source:
        Nocedal and Wright, Numerical Optimization (2006), section 3.5.

    Example:
        >>> import torch
        >>> before, slope, finite = torch.ones(2), torch.full((2,), -1.0), torch.ones(2).bool()
        >>> kept, share = backtrack(before, torch.tensor([0.5, 2.0]), slope, finite)
        >>> kept.tolist(), share[1].item()
        ([True, False], 0.25)
    """
    accepted = finite & (tried <= value + _ARMIJO * slope)
    share = (-slope / (2 * (tried - value - slope))).nan_to_num(0).clamp(_LEAST, _MOST)
    return accepted, share
