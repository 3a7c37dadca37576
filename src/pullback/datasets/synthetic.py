"""Made-up data whose geometry is known in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pullback.errors import check_integer, check_number

__all__ = ["circle"]


def circle(
    n: int,
    *,
    data_dim: int = 1000,
    noise: float = 0.1,
    random_state: int | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return noisy points on a circle that is bent into a space of high dimension.

    x = sqrt(D) Q phi(t) + noise * e, with t uniform on [0, 2 pi), e standard normal, Q a random
    matrix of orthonormal columns and phi(t) = (cos t, sin t, cos(2 t) / 2, sin(2 t) / 2, ...), of
    K = min(3, D // 2) harmonics. The curve runs at the constant speed sqrt(K D), so its points at
    angles s and t are sqrt(K D) * min(|s - t|, 2 pi - |s - t|) apart along it. For K > 1 it is no
    plane circle: its curvature is spread over 2 K dimensions.

    Args:
        n: number of points, >= 1.
        data_dim: the data dimension D, >= 2.
        noise: standard deviation of the noise in each coordinate, >= 0.
        random_state: seed of the angles, the embedding and the noise; if None, fresh ones.

    Returns:
        The points X, float64 `(n, D)`, and their angles t, float64 `(n,)`, in radians.

    Raises:
        InvalidParameterError: a parameter is outside its range.

    Source: the experiment of Hauberg, "Only Bayes should learn a manifold", 2018, section 5; the
    embedding is ours, chosen so that the distances have a closed form.

    Example:
        >>> import pullback as pb
        >>> X, angle = pb.datasets.circle(200, data_dim=1000, noise=0.1, random_state=0)
        >>> X.shape, angle.shape
        ((200, 1000), (200,))
    """
    n, data_dim = check_integer("n", n), check_integer("data_dim", data_dim, 2)
    noise = check_number("noise", noise, 0)
    if random_state is not None:
        random_state = check_integer("random_state", random_state, 0)
    generator = np.random.default_rng(random_state)

    harmonics = np.arange(1, min(3, data_dim // 2) + 1)
    columns, _ = np.linalg.qr(generator.standard_normal((data_dim, 2 * len(harmonics))))
    angle = generator.uniform(0, 2 * np.pi, n)
    phase = angle[:, None] * harmonics
    bent = np.concatenate([np.cos(phase) / harmonics, np.sin(phase) / harmonics], axis=1)
    X = np.sqrt(data_dim) * bent @ columns.T
    return X + noise * generator.standard_normal(X.shape), angle
