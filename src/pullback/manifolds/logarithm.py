"""The logarithm: the velocity with which a geodesic has to leave its start to meet its end."""

import torch

from pullback.curves import Curve
from pullback.geodesics import Status, refine_velocity
from pullback.geodesics.solvers.multiple_shooting import fit_arcs, n_arcs
from pullback.metrics import Metric
from pullback.shapes import Latent, Mask, Tangent

__all__ = ["initial_velocity"]


def initial_velocity(
    metric: Metric, curve: Curve, point_a: Latent, point_b: Latent
) -> tuple[Tangent, Mask]:
    """Refine the initial velocities of curves that are nearly geodesics until they hit the ends.

    Curves are polished as arcs, see `fit_arcs`; where that fails, as where a rough curve leaves the
    space between its nodes, they are aimed as one, see `refine_velocity`.

    Args:
        metric: the Riemannian metric.
        curve: the curves, in a batch `(*batch,)`.
        point_a: where they begin, shape `(*batch, d)`.
        point_b: where they shall end, shape `(*batch, d)`.

    Returns:
        Velocities at the starts, shape `(*batch, d)`, and which of them miss their ends,
        `(*batch,)`: those are NaN.

    Example:
        >>> from pullback.geodesics import connect
        >>> from pullback.manifolds.reference import HalfPlane
        >>> a, b = torch.tensor([[0.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
        >>> curve = connect(HalfPlane(), a, b).curve
        >>> initial_velocity(HalfPlane(), curve, a, b)[0].round(decimals=4).tolist()  # log 2
        [0.0, 0.6931]
    """
    d = point_a.shape[-1]
    t = torch.linspace(0, 1, n_arcs(d) + 1).to(point_a)
    nodes = (x.reshape(-1, len(t), d) for x in (curve.at(t), curve.velocity(t)))
    velocity, status, _ = fit_arcs(metric, *nodes)
    missed = (status != Status.CONVERGED).nonzero().squeeze(-1)
    if len(missed) > 0:
        rough = curve.velocity(t[:1])
        ends = (x.reshape(-1, d)[missed] for x in (point_a, point_b, rough))
        velocity[missed], status[missed], _ = refine_velocity(metric, *ends)
    lost = status.reshape(point_a.shape[:-1]) != Status.CONVERGED
    return torch.where(lost.unsqueeze(-1), torch.nan, velocity.reshape(point_a.shape)), lost
