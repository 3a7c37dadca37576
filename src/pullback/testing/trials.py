"""What laws of metrics are tried on, and how a broken one is reported."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.metrics import Metric

__all__ = [
    "NODES",
    "REACH",
    "SAME",
    "MetricTrial",
    "agree",
    "difference",
    "hold",
    "size",
    "unit",
    "within",
]

SAME = 1e-9
"""What rounding may change, as a share."""
REACH = 0.05
"""How long chains of nodes are, as a share of the scale."""
NODES = 7
"""Nodes of a chain."""

# The step of finite differences of fourth order, in the unit of what they differentiate by.
_STEP = 1e-3


class MetricTrial(NamedTuple):
    """A metric, points, tangent vectors there, and how exact the laws must hold.

    Attributes:
        metric: the metric.
        z: points, shape `(n, d)`.
        u: tangent vectors, shape `(n, d)`.
        v: tangent vectors, shape `(n, d)`.
        scale: the length over which the metric changes much.
        rtol: the share by which finite differences may be off.
        definite: whether matrices must be positive definite.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> z = torch.ones(1, 2).double()
        >>> MetricTrial(HalfPlane(), z, z, z, 1.0, 1e-4, True).regular.tolist()
        [True]
    """

    metric: Metric
    z: Tensor
    u: Tensor
    v: Tensor
    scale: float
    rtol: float
    definite: bool

    @property
    def regular(self) -> Tensor:
        """Where M is positive definite, and its inverse not lost in rounding."""
        eigenvalues = torch.linalg.eigvalsh(self.metric.metric_matrix(self.z))
        regular: Tensor = eigenvalues[:, 0] > 1e-10 * eigenvalues[:, -1]
        return regular

    def chain(self) -> Tensor:
        """Bent chains of nodes through the points, shape `(n, nodes, d)`."""
        t = torch.linspace(-0.5, 0.5, NODES, dtype=self.z.dtype, device=self.z.device)[:, None]
        way, bend = (unit(w).unsqueeze(1) for w in (self.v, self.u))
        chain: Tensor = self.z.unsqueeze(1) + REACH * self.scale * (t * way + 0.3 * t**2 * bend)
        return chain


def difference(f: Callable[[Tensor], Tensor], z: Tensor, along: Tensor) -> Tensor:
    """Differentiate along vectors by central differences of fourth order.

    Example:
        >>> z = torch.zeros(1, dtype=torch.float64)
        >>> round(difference(torch.sin, z, z + 1).item(), 9)
        1.0
    """
    wide, narrow = (
        (f(z + n * _STEP * along) - f(z - n * _STEP * along)) / (2 * n * _STEP) for n in (2, 1)
    )
    return (4 * narrow - wide) / 3


def unit(v: Tensor) -> Tensor:
    """Return vectors of length 1.

    Example:
        >>> unit(torch.tensor([0.0, 2.0])).tolist()
        [0.0, 1.0]
    """
    unit: Tensor = v / v.norm(dim=-1, keepdim=True)
    return unit


def size(values: Tensor) -> Tensor:
    """Return the largest entry for each point, shape `(n,)`.

    Example:
        >>> size(torch.tensor([[1.0, -3.0]])).tolist()
        [3.0]
    """
    return values.abs().flatten(1).amax(-1)


def hold(law: str, holds: bool, message: str) -> None:
    """Raise `AssertionError` with the name of the law and the message, unless it holds.

    Example:
        >>> hold("symmetry", True, "")
    """
    if not holds:
        raise AssertionError(f"{law}: {message}")


def within(law: str, error: Tensor, allowed: Tensor | float, points: Tensor) -> None:
    """Raise for the first point at which an error is too large, or is no number.

    Args:
        law: its name.
        error: shape `(n, ...)`.
        allowed: how large it may be, shape `(n,)`.
        points: where, shape `(n, d)`.

    Raises:
        AssertionError: the law is broken.

    Example:
        >>> within("symmetry", torch.zeros(1), 0.1, torch.zeros(1, 2))
    """
    error = error.flatten(1).amax(-1) if error.ndim > 1 else error
    limit = torch.as_tensor(allowed, dtype=error.dtype, device=error.device).expand(error.shape)
    broken = (~(error <= limit)).nonzero().flatten().tolist()
    if not broken:
        return
    first = broken[0]
    point = ", ".join(f"{x:.6g}" for x in points[first].tolist())
    beyond = math.nan if error[first].isnan() else error[first].item()
    raise AssertionError(
        f"{law}: broken at {len(broken)} of {len(points)} points, first at point {first}, "
        f"({point}): off by {beyond:.3g} where {limit[first].item():.3g} is allowed"
    )


def agree(law: str, found: Tensor, truth: Tensor, allowed: Tensor | float, points: Tensor) -> None:
    """Raise where two tensors differ in shape, or by more than is allowed: see `within`.

    Example:
        >>> agree("norm", torch.ones(1), torch.ones(1), 0.1, torch.zeros(1, 2))
    """
    message = f"shape {tuple(found.shape)} in place of {tuple(truth.shape)}"
    hold(law, found.shape == truth.shape, message)
    within(law, (found - truth).abs(), allowed, points)
