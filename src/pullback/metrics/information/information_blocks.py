"""Fisher information matrices of families of distributions, each as a product with a vector.

Parameters x and tangent vectors v come in blocks, one for each observation, along the last axis;
the coordinates are those of `statistical_model`.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pullback.metrics.ambient.base import AmbientMetric
from pullback.metrics.information.special_functions import (
    bessel_information,
    log_cosh,
    scaled_trigamma,
    uniform_tilt_variance,
)
from pullback.models.likelihoods.negative_binomial import negative_binomial_information

__all__ = ["BlockInformation"]


class BlockInformation(AmbientMetric):
    """A block-diagonal metric: the same Fisher information for each block of parameters.

    Args:
        information: computes I(x) v for blocks of parameters x and tangent vectors v, both of
            shape `(*batch, n, size)`; the batch shapes broadcast.
        size: how many neighbouring parameters belong to one observation.
        held: a cheaper information by the place of a parameter in its block, for when that one is
            held and never moves.

    Example:
        >>> field = BlockInformation(lambda x, v: v * torch.exp(-x), size=1)
        >>> field.apply(torch.zeros(3), torch.ones(3)).tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(
        self,
        information: Callable[[Tensor, Tensor], Tensor],
        size: int,
        *,
        held: Mapping[int, Callable[[Tensor, Tensor], Tensor]] | None = None,
    ) -> None:
        self.information = information
        self.size = size
        self.held = {} if held is None else held

    def apply(self, x: Tensor, v: Tensor) -> Tensor:
        """Compute I(x) v block by block, see `AmbientMetric.apply`."""
        blocks = (values.unflatten(-1, (-1, self.size)) for values in (x, v))
        return self.information(*blocks).flatten(-2)

    def holding(self, still: Tensor) -> AmbientMetric:
        """Return the same metric for tangent vectors that are zero in some parameters.

        Args:
            still: which parameters never move, shape `(m,)`.
        """
        whole_place = still.unflatten(-1, (-1, self.size)).all(0)
        for place, information in self.held.items():
            if bool(whole_place[place]):
                return BlockInformation(information, self.size)
        return self


def gamma_information(x: Tensor, v: Tensor) -> Tensor:
    # Shape and mean are orthogonal; shape and rate nearly coincide where the shape is large.
    shape = x[..., 0].exp()
    return torch.stack([scaled_trigamma(shape), shape], -1) * v


def dirichlet_information(x: Tensor, v: Tensor) -> Tensor:
    r"""Compute alpha_i (alpha_i psi_1(alpha_i) v_i - psi_1(alpha_0) sum_j alpha_j v_j).

    With a^2 psi_1(a) = a + t(a), what is large cancels in v_i - sum_j (alpha_j / alpha_0) v_j.
    """
    alpha, share = x.exp(), torch.softmax(x, -1)
    total = alpha.sum(-1, keepdim=True)
    mean = (share * v).sum(-1, keepdim=True)
    return alpha * (v - mean) + scaled_trigamma(alpha) * v - share * scaled_trigamma(total) * mean


def von_mises_information(x: Tensor, v: Tensor) -> Tensor:
    location, spread = bessel_information(torch.sinh(x[..., 2]))
    return torch.stack([location, location, spread], -1) * v


def zero_inflated_information(
    x: Tensor,
    v: Tensor,
    counts: Callable[[Tensor, Tensor], Tensor] = negative_binomial_information,
) -> Tensor:
    r"""Compute the information of the counts that are seen: which zeros are extra is not.

    With f_0 the probability of 0 among counts, s the gradient of log f_0, I_0 the information of
    the counts and r = pi / (pi + (1 - pi) f_0), the blocks are
    (1 - pi) (I_0 - f_0 r s s^T), pi (1 - r) s and pi (1 - pi) (1 - f_0) r.
    """
    u, log_theta, logits = x.unbind(-1)
    log_zero = -2 * log_theta.exp() * log_cosh(u)
    score = torch.stack([-2 * log_theta.exp() * torch.tanh(u), log_zero], -1)
    extra, counted = torch.sigmoid(logits), torch.sigmoid(-logits)
    r, rest = torch.sigmoid(logits - log_zero), torch.sigmoid(log_zero - logits)
    along = (score * v[..., :2]).sum(-1)
    both = counts(x[..., :2], v[..., :2])
    pulled = extra * rest * v[..., 2] - counted * log_zero.exp() * r * along
    own = -extra * counted * torch.expm1(log_zero) * r * v[..., 2]
    first = counted.unsqueeze(-1) * both + pulled.unsqueeze(-1) * score
    return torch.cat([first, (extra * rest * along + own).unsqueeze(-1)], -1)


def continuous_bernoulli_information(x: Tensor, v: Tensor) -> Tensor:
    return uniform_tilt_variance(torch.sinh(x)) * v


def multivariate_normal_information(size: int, x: Tensor, v: Tensor) -> Tensor:
    r"""Compute Sigma^-1 dmu, and the gradient of half of 1/2 tr (Sigma^-1 dSigma)^2.

    With A = L^-1 dL, lower triangular, the latter is half of sum_i 2 A_ii^2 + sum_i>j A_ij^2.
    """
    n_entries = x.shape[-1] - size
    eye = torch.eye(size, dtype=x.dtype, device=x.device)
    packed = _unpack(x[..., size:], size)
    diagonal = (packed * eye).exp() * eye
    L = packed * (1 - eye) + diagonal
    moved = _unpack(v[..., size:], size)
    dL = moved * (1 - eye) + moved * diagonal
    A = torch.linalg.solve_triangular(L, dL, upper=False)
    pulled = torch.linalg.solve_triangular(L.mT, A * (1 + eye), upper=True)
    pulled = pulled * (1 - eye) + pulled * diagonal
    loc = torch.linalg.solve_triangular(L, v[..., :size, None], upper=False)
    loc = torch.linalg.solve_triangular(L.mT, loc, upper=True).squeeze(-1)
    rows, columns = torch.tril_indices(size, size, device=x.device)
    entries = pulled[..., rows, columns]
    return torch.cat([loc, entries.expand(*loc.shape[:-1], n_entries)], -1)


def _unpack(entries: Tensor, size: int) -> Tensor:
    """Put the entries of lower triangles, row by row, into matrices."""
    row = torch.arange(size, device=entries.device).unsqueeze(-1)
    lower = row >= row.mT
    index = torch.where(lower, row * (row + 1) // 2 + row.mT, 0)
    return entries[..., index] * lower
