"""How the decoder bends the latent space: over a grid of the plane, or at the samples."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pullback import plots
from pullback.cli.analyses.base import Analysis, Subject
from pullback.errors import InvalidParameterError, check_integer
from pullback.geodesics import grid_nodes
from pullback.plots.maps.latent_map import LatentMap, plane_of

__all__ = ["measure_curvature"]

# How far the grid reaches beyond the codes on each side, as a share of their extent. Set by
# judgement: enough to show what happens where the data end.
_MARGIN = 0.25
# Up to this latent dimension the curvature is computed from all its d^4 numbers at each point, of
# which 8 dimensions have 4096; beyond, it is estimated from planes drawn at random.
_EXACT = 8
# The shares of samples below the values of curvature that the summary line names.
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def measure_curvature(subject: Subject, *, resolution: int) -> Analysis:
    """Measure the curvature, by the exact metric.

    Args:
        subject: the run.
        resolution: points along each axis of the grid around the samples.

    Returns:
        For d = 2 a row for each point of the grid: its code, Gaussian and scalar curvature and
        log-volume. Else a row for each sample: its code, scalar curvature and log-volume, and the
        standard error of the curvature for d > 8, where it is estimated by planes at random.

    Raises:
        InvalidParameterError: the latent space has one dimension, and no curvature.

    Example:
        >>> measure_curvature(subject, resolution=100)  # doctest: +SKIP
    """
    d = subject.vae.latent_dim
    if d == 1:
        allowed = "a run whose latent space has two dimensions or more"
        raise InvalidParameterError("DIR", allowed, "one dimension", "A line is not curved.")
    return _over_plane(subject, resolution) if subject.is_plane else _at_samples(subject)


def _over_plane(subject: Subject, resolution: int) -> Analysis:
    check_integer("--resolution", resolution, low=2)
    manifold, Z = subject.manifold, subject.Z
    nodes = grid_nodes(plane_of(Z), resolution=resolution, margin=_MARGIN)
    scalar = manifold.scalar_curvature(nodes).cpu().numpy()
    frame = pd.DataFrame(
        {
            **subject.coordinates(nodes),
            "gaussian_curvature": scalar / 2,
            "scalar_curvature": scalar,
            "log_volume": manifold.metric.exact.log_volume(nodes).detach().cpu().numpy(),
        }
    )
    here = (manifold.scalar_curvature(Z) / 2).cpu().numpy()
    (left, bottom), (right, top) = nodes[0].tolist(), nodes[-1].tolist()
    chart = LatentMap((scalar / 2).reshape(resolution, -1).T, (left, right, bottom, top))
    summary = [_tell("Gaussian", here)]
    return Analysis(
        frame, summary, lambda: plots.curvature(manifold, Z.cpu(), subject.y, chart=chart)
    )


def _at_samples(subject: Subject) -> Analysis:
    manifold, Z = subject.manifold, subject.Z
    frame = subject.codes_frame()
    if Z.shape[1] <= _EXACT:
        frame["scalar_curvature"] = manifold.scalar_curvature(Z).cpu().numpy()
    else:
        generator = torch.Generator(Z.device).manual_seed(subject.seed)
        estimate = manifold.estimate_scalar_curvature(Z, generator=generator)
        frame["scalar_curvature"] = estimate.value.cpu().numpy()
        frame["standard_error"] = estimate.standard_error.cpu().numpy()
    frame["log_volume"] = manifold.metric.exact.log_volume(Z).detach().cpu().numpy()
    return Analysis(frame, [_tell("scalar", frame["scalar_curvature"].to_numpy())])


def _tell(name: str, values: NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return f"{name} curvature: the metric is singular at all {len(values)} samples"
    quantiles = zip(_QUANTILES, np.quantile(known, _QUANTILES), strict=True)
    told = ", ".join(f"{value:.4g} ({share:.0%})" for share, value in quantiles)
    singular = len(values) - len(known)
    lost = f"; the metric is singular at {singular} more" if singular else ""
    return f"{name} curvature at {len(known)} samples, quantiles: {told}{lost}"
