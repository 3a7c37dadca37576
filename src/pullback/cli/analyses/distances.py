"""All geodesic distances between samples."""

import numpy as np
import pandas as pd

from pullback import plots
from pullback.cli.analyses.base import Analysis, Subject
from pullback.statistics import triplet_share

__all__ = ["measure_distances"]


def measure_distances(subject: Subject, *, method: str) -> Analysis:
    """Measure the distances between all samples.

    Args:
        subject: the run.
        method: one of those of `Manifold.pairwise`.

    Returns:
        A square table: a row and a column for each sample, by their numbers, and the labels.

    Raises:
        InvalidParameterError: there is no such method.

    Example:
        >>> measure_distances(subject, method="auto")  # doctest: +SKIP
    """
    found = subject.manifold.pairwise(subject.Z, method=method)
    distances = found.distances.cpu().numpy()
    frame = pd.DataFrame({"sample": subject.index})
    if subject.y is not None:
        frame["label"] = subject.y
    columns = pd.DataFrame(distances, columns=[str(number) for number in subject.index])
    summary = [str(found)]
    y = subject.y
    if y is not None and 1 < len(np.unique(y)) < len(y) and not np.isnan(distances).any():
        straight = np.linalg.norm(subject.Z.cpu()[:, None] - subject.Z.cpu()[None], axis=-1)
        summary.append(
            f"nearer to the own class than to another: {triplet_share(distances, y):.1%} of "
            f"triplets, {triplet_share(straight, y):.1%} by Euclidean distance"
        )
    return Analysis(
        pd.concat([frame, columns], axis=1),
        summary,
        lambda: plots.distance_matrix(distances, y),
    )
