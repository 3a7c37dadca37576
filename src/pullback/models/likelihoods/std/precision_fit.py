"""Fitting an `RBFPrecision`: its centres, its bandwidths and its positive weights."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.errors import InvalidDataError, check_integer, check_number
from pullback.exclusive import exclusive
from pullback.models.likelihoods.std.precision import RBFPrecision
from pullback.randomness import seeded
from pullback.shapes import Codes

__all__ = ["WeightFit", "fit_centers", "fit_weights", "regress_weights"]

# Rows of the kernel matrix that are computed at once: what is made of them stays in the cache of a
# CPU.
_ROWS = 256
# A cluster whose spread is below this share of the median one counts as a single point, and is
# given the median spread: its kernel would be infinitely narrow.
_DEGENERATE = 1e-2


class WeightFit(NamedTuple):
    """Fitted weights and how the fit went.

    Attributes:
        weights: W > 0, `(D, K)`.
        objective: what was minimised, before each step and after the last one.
        converged: whether the last step changed the objective by less than the tolerance.

    Example:
        >>> WeightFit(torch.ones(3, 2), [1.0, 0.5], True).converged
        True
    """

    weights: Tensor
    objective: list[float]
    converged: bool


def fit_centers(
    codes: Codes, n_centers: int, *, bandwidth_factor: float = 1.5, random_state: int = 0
) -> tuple[Tensor, Tensor]:
    """Place the centres by k-means on latent codes and give each its bandwidth.

    `lambda_k = 1/2 (a * mean_{z_j in C_k} |z_j - c_k|)^(-2)` for the cluster C_k. A cluster of one
    point, or of points that all but coincide, has no spread of its own, nor has a centre left over
    where points are duplicated: it gets the median spread of the others; if no cluster has one, the
    median distance from a centre to its nearest.

    Args:
        codes: latent codes, `(n, d)`.
        n_centers: number of centres K, at most n.
        bandwidth_factor: a > 0; larger is wider kernels and a variance that changes more slowly.
        random_state: seed of k-means.

    Returns:
        centers `(K, d)` and bandwidths lambda `(K,)`.

    Raises:
        InvalidParameterError: K is not in [1, n], or a is not positive.
        InvalidDataError: all codes coincide.

    Source:
        Arvanitidis, Hansen and Hauberg, "Latent Space Oddity", 2018.

    Example:
        >>> centers, bandwidths = fit_centers(torch.tensor([[0.0], [2.0], [10.0], [12.0]]), 2)
        >>> sorted(centers.flatten().tolist()), bandwidths
        ([1.0, 11.0], tensor([0.2222, 0.2222]))
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    factor = check_number("bandwidth_factor", bandwidth_factor, 0.0, open_low=True)
    check_integer("n_centers", n_centers, 1, len(codes))
    points = codes.detach().double().cpu().numpy()
    if bool((codes == codes[0]).all()):
        raise InvalidDataError(
            "`codes` must differ, but all of them coincide: the encoder ignores the data. "
            "Lower `constant_std` or lengthen `kl_warmup`, so that the latent space is used."
        )
    # Threads sum in any order, but the same seed must give the same bits.
    with exclusive(), threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
        means = KMeans(n_centers, n_init=4, random_state=random_state).fit(points)
    centers = codes.new_tensor(means.cluster_centers_)
    labels = torch.as_tensor(means.labels_, dtype=torch.long, device=codes.device)
    spread = _spreads(codes, centers, labels)
    return centers, 0.5 / (factor * spread).square()


def _spreads(codes: Tensor, centers: Tensor, labels: Tensor) -> Tensor:
    distance = (codes - centers[labels]).norm(dim=-1)
    zeros = codes.new_zeros(len(centers))
    count = zeros.index_add(0, labels, torch.ones_like(distance))
    spread = zeros.index_add(0, labels, distance) / count.clamp_min(1)
    positive = spread[spread > 0]
    if len(positive) == 0:
        gaps = torch.cdist(centers, centers)
        gaps = gaps.where(gaps > 0, torch.inf).amin(1)
        return gaps.median().expand_as(spread)
    return spread.where(spread > _DEGENERATE * positive.median(), positive.median())


@torch.no_grad()
def fit_weights(
    precision: RBFPrecision,
    chunks: Iterable[tuple[Tensor, Tensor]],
    *,
    shrinkage: float = 0.0,
    max_steps: int = 300,
    tol: float = 1e-5,
) -> WeightFit:
    """Fit the weights by likelihood, the centres and bandwidths being fixed.

    `min_{W > 0} sum_{n,j} [beta_nj e_nj - log beta_nj]` with `beta_n = W v(z_n) + zeta` and e the
    squared residuals: twice the negative log-likelihood of a normal. With `shrinkage` s > 0 each
    weight has the prior `s sum_jk [w_jk / w_j - log(w_jk / w_j)]`, where
    `w_j = n / sum_nk v_nk e_nj` is the weight that all centres would share: s observations at each
    centre with the mean residual of the feature, which keep centres that see few points from
    trusting them too much.

    Both are convex, and the majorise-minimise step `w <- (s + sqrt(s^2 + 4 a b)) / (2 a)` with
    `a = sum_n v_nk e_nj + s / w_j` and `b = w_jk^2 sum_n v_nk / beta_nj` never raises their sum,
    keeps W positive and has no step size. The residuals are read once, chunk by chunk.

    Args:
        precision: the network whose centres, bandwidths and zeta are used; it is not changed.
        chunks: pairs of latent points `(b, d)` and squared residuals `(b, D)`.
        shrinkage: s >= 0, in observations for each centre; 0 for maximum likelihood.
        max_steps: most steps.
        tol: stop when a step lowers the objective per residual by less than this.

    Returns:
        The weights and the objective per residual at each step.

    Source:
        Fevotte and Idier, "Algorithms for Nonnegative Matrix Factorization with the
        beta-Divergence", 2011 (the Itakura-Saito case).

    Example:
        >>> flat = RBFPrecision.flat(1, 2, 3, std=1000.0)
        >>> z, squared_residuals = torch.zeros(50, 2), torch.full((50, 3), 0.25)
        >>> fit_weights(flat, [(z, squared_residuals)]).weights.flatten()
        tensor([4.0000, 4.0000, 4.0000])
    """
    cross = torch.zeros_like(precision.weights)
    total = cross.new_zeros(())
    kernels = []
    for z, squared in chunks:
        v = precision.kernels(z)
        cross += squared.T @ v
        total += squared.sum()
        kernels += [v[i : i + _ROWS] for i in range(0, len(v), _ROWS)]
    mass = torch.stack([v.sum(0) for v in kernels]).sum(0)
    n_rows = sum(len(v) for v in kernels)
    overlap = mass.sum() / n_rows
    tiny = torch.finfo(cross.dtype).tiny ** 0.75  # well above the denormal numbers
    # Each centre starts at the precision of the residuals near it, divided by the number of kernels
    # that overlap there on average, since their precisions add up.
    weights = mass / (overlap * cross).clamp_min(tiny)
    shared = n_rows / cross.sum(1, keepdim=True).clamp_min(tiny)
    s = check_number("shrinkage", shrinkage, 0.0)
    weighed = cross + s / shared
    objective: list[float] = []
    while True:
        log_sum, inverse = _log_and_inverse(weights, kernels, precision.zeta)
        loss = (weights * weighed).sum() + precision.zeta * total - log_sum
        loss -= s * (weights / shared).log().sum()
        objective.append(float(loss) / (len(cross) * n_rows))
        converged = len(objective) > 1 and objective[-2] - objective[-1] < tol
        if converged or len(objective) > max_steps:
            return WeightFit(weights, objective, converged)
        curved = weights * (weights * inverse.clamp_min(tiny))  # the square alone could overflow
        linear = weighed.clamp_min(tiny)
        weights = ((s + (s * s + 4 * linear * curved).sqrt()) / (2 * linear)).clamp_min(tiny)


def _log_and_inverse(weights: Tensor, kernels: list[Tensor], zeta: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_nj log beta_nj and sum_n v_nk / beta_nj, `(D, K)`."""
    log_sum, inverse = zeta.new_zeros(()), torch.zeros_like(weights)
    for v in kernels:
        beta = v @ weights.T + zeta
        log_sum += beta.log().sum()
        inverse += beta.reciprocal().T @ v
    return log_sum, inverse


def regress_weights(
    precision: RBFPrecision,
    codes: Codes,
    std: Tensor,
    *,
    n_steps: int = 1000,
    batch_size: int = 256,
    learning_rate: float = 0.1,
    random_state: int = 0,
) -> WeightFit:
    """Fit the weights by regression onto the standard deviations of a variance network.

    `min_{W >= 1e-5 w} mean_{n,j} (log beta_nj - log s_nj^(-2))^2` by projected Adam, w being the
    mean of s^(-2), which also sets the unit of W and so of the learning rate.

    Args:
        precision: the network whose centres, bandwidths and zeta are used; it is not changed.
        codes: latent points, `(n, d)`.
        std: the standard deviations s that the variance network gives there, `(n, D)`.
        n_steps: steps of Adam.
        batch_size: points a step.
        learning_rate: the learning rate, in units of w.
        random_state: seed of the mini-batches.

    Returns:
        The weights and the objective of each mini-batch.

    Source:
        Arvanitidis, Hansen and Hauberg, "Latent Space Oddity", 2018, the authors' code.

    Example:
        >>> flat = RBFPrecision.flat(1, 2, 3, std=1000.0)
        >>> fit = regress_weights(flat, torch.zeros(50, 2), torch.full((50, 3), 0.5), n_steps=200)
        >>> fit.weights.flatten().round(decimals=1)
        tensor([4., 4., 4.])
    """
    target = -2 * std.detach().log()
    unit = target.exp().mean()
    kernels = precision.kernels(codes).detach()
    scaled = torch.full_like(precision.weights, 1 / precision.weights.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([scaled], learning_rate)
    objective = []
    with seeded(random_state, codes.device), torch.enable_grad():
        for _ in range(n_steps):
            batch = torch.randint(len(codes), (min(batch_size, len(codes)),), device=codes.device)
            beta = unit * kernels[batch] @ scaled.T + precision.zeta
            loss = (beta.log() - target[batch]).square().mean()
            (scaled.grad,) = torch.autograd.grad(loss, [scaled])
            optimizer.step()
            with torch.no_grad():
                scaled.clamp_min_(1e-5)
            objective.append(float(loss.detach()))
    return WeightFit(unit * scaled.detach(), objective, True)
