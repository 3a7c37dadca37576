"""What reports and the ledger measure alike, so that one name has one meaning.

The others are elsewhere: F1 and the share of triplets in `statistics.clustering_scores` and
`triplet_share`, log p(x) in `models.marginal`, and how far walks drift in `sampling.excursions`.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from pullback.errors import InvalidDataError

__all__ = ["jerkiness", "rank_correlation", "total_std"]


def jerkiness(images: Tensor) -> Tensor:
    """Compute the largest over the mean step along curves of images.

    Args:
        images: points along curves in data space, `(*batch, k, D)`.

    Returns:
        `max_i |x_i+1 - x_i| / mean_i |x_i+1 - x_i|` >= 1, `(*batch,)`.

    Raises:
        InvalidDataError: there are fewer than two points.

    Example:
        >>> jerkiness(torch.tensor([[0.0], [1.0], [4.0]])).item()
        1.5
    """
    if images.shape[-2] < 2:
        raise InvalidDataError("A curve needs at least two points to have a step.")
    step = images.diff(dim=-2).norm(dim=-1)
    ratio: Tensor = step.amax(-1) / step.mean(-1)
    return ratio


@torch.no_grad()
def total_std(decoder: nn.Module, z: Tensor) -> Tensor:
    """Compute the sum of sigma_j(z) over the features.

    "Latent Space Oddity" maps its logarithm, which has the same ranks.

    Args:
        decoder: a decoder to distributions with a standard deviation, of the precision of z.
        z: points, `(*batch, d)`.

    Returns:
        The sums, `(*batch,)`.

    Example:
        >>> from pullback.models import ConstantStd, Decoder, NormalLikelihood
        >>> likelihood = NormalLikelihood(ConstantStd(5, 0.5))
        >>> total_std(Decoder(nn.Linear(2, 5), likelihood, latent_dim=2), torch.zeros(1, 2))
        tensor([2.5000])
    """
    total: Tensor = decoder(z).stddev.sum(-1)
    return total


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Compute Spearman's correlation; 0 where one of the two is constant, and tells nothing.

    Args:
        a: numbers, `(n,)`.
        b: numbers, `(n,)`.

    Example:
        >>> rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([3.0, 4.0, 5.0]))
        1.0
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
