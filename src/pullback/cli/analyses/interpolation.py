"""The way from one sample to another: along the geodesic, and along the straight line."""

import pandas as pd
import torch
from matplotlib.axes import Axes
from torch import Tensor

from pullback import plots
from pullback.cli.analyses.base import Analysis, Subject
from pullback.errors import InvalidParameterError, check_integer
from pullback.geodesics import Status

__all__ = ["interpolate"]


def interpolate(subject: Subject, sample_a: int, sample_b: int, *, n_steps: int) -> Analysis:
    """Follow the geodesic from one sample to another, and the straight line, and decode both.

    Args:
        subject: the run.
        sample_a: the number of the first sample.
        sample_b: the number of the second one.
        n_steps: how many points along each curve, ends included.

    Returns:
        A row for each point: the curve it lies on, t, its code and the decoded features.

    Raises:
        InvalidParameterError: the samples are not two different ones of the run.

    Example:
        >>> interpolate(subject, 3, 17, n_steps=10)  # doctest: +SKIP
    """
    check_integer("--steps", n_steps, low=2)
    if sample_a == sample_b:
        raise InvalidParameterError("SAMPLE", "two different samples", f"{sample_a} twice")
    a, b = subject.Z[subject.rows_of([sample_a, sample_b])]
    path = subject.manifold.geodesic(a, b)
    t = torch.linspace(0, 1, n_steps, dtype=a.dtype, device=a.device)
    curves = {"geodesic": path.points(n_steps), "straight line": torch.lerp(a, b, t[:, None])}
    frames = [
        subject.with_features(
            pd.DataFrame({"curve": name, "t": t.cpu(), **subject.coordinates(points)}), points
        )
        for name, points in curves.items()
    ]
    status = Status(int(path.status)).name.lower()
    summary = [
        f"geodesic: {status}, length {float(path.length):.4g}; "
        f"straight line: length {float(path.straight_length):.4g}"
    ]
    return Analysis(pd.concat(frames), summary, lambda: _draw(subject, curves))


def _draw(subject: Subject, curves: dict[str, Tensor]) -> Axes:
    images = {name: subject.manifold.decode(points).cpu() for name, points in curves.items()}
    if subject.image_shape is None:
        return plots.steps(images)
    rows = torch.cat(list(images.values()))
    columns = len(images["geodesic"])
    shape = subject.image_shape
    return plots.images(rows, shape=shape, columns=columns, labels=tuple(images))
