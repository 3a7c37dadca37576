"""Normal distributions on a curved space: draws through exp, and the normaliser that they give."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import ConvergenceError, InvalidDataError
from pullback.geodesics import Trajectory
from pullback.manifolds import Manifold
from pullback.shapes import Codes, Latent, MetricMatrix
from pullback.statistics.logarithms import Logarithms

__all__ = [
    "NormalDraws",
    "Normalizer",
    "antithetic",
    "draw_normal",
    "follow_normal",
    "sample_normal",
    "squared_mahalanobis",
    "standardized",
    "take_off",
]

# The shift of a draw, in standard deviations, by which exp is differentiated as a difference. Set
# by judgement: the geodesics are right to 1e-4, so that the difference is right to about a percent.
_SHIFT = 0.02
# The relative tolerance of the geodesics that are followed.
_RTOL = 1e-4
# The most steps of the integrator on each of them: it bounds the time that a wall may take.
_MAX_STEPS = 100
# Rounds of draws for a sample, before the covariance is said to reach too far.
_ROUNDS = 20
# Draws in each round for each sample that is wanted, and at least: of them some are refused.
_PER_SAMPLE, _FEWEST = 8, 64
# A draw counts as beyond the cut locus if the shortest geodesic to it is shorter by this share than
# the one that was followed: well above the errors of both lengths.
_CUT = 0.02


class Normalizer(NamedTuple):
    """An estimate of the normaliser C.

    Attributes:
        value: C, in the unit of the Riemannian volume.
        standard_error: of C, over the draws.
        log_value: log C.

    Example:
        >>> Normalizer(2.0, 0.1, math.log(2)).relative_error
        0.05
    """

    value: float
    standard_error: float
    log_value: float

    @property
    def relative_error(self) -> float:
        """The standard error of log C."""
        return self.standard_error / self.value


class NormalDraws(NamedTuple):
    r"""Draws v = A eps of a normal distribution in a tangent space, taken to the space by exp.

    Attributes:
        eps: standard normal draws, shape `(n, d)`, see `antithetic`.
        vectors: v, with Sigma = A A^T, shape `(n, d)`.
        points: exp(mu, v), shape `(n, d)`; mu where the geodesic could not be followed.
        log_weights: log of the volume that a unit of eps takes up around each point, times
            (2 pi)^(d/2), so that C is the mean of the weights; -inf where the draw is left out,
            shape `(n,)`.
        logs: the logs of the points as searches find them, shape `(n, d)`.
        n_lost: draws whose geodesic could not be followed: to a wall, or an edge of the space.
        n_beyond: draws past the cut locus, to whose ends a shorter geodesic leads.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=2)
        >>> draws = draw_normal(M, torch.zeros(2).double(), torch.eye(2).double(), antithetic(4, 2))
        >>> (draws.log_weights.exp() / (2 * math.pi)).round(decimals=6).tolist()  # sqrt det M
        [4.0, 4.0, 4.0, 4.0]
    """

    eps: Tensor
    vectors: Tensor
    points: Tensor
    log_weights: Tensor
    logs: Tensor
    n_lost: int
    n_beyond: int

    def normalizer(self) -> Normalizer:
        """Estimate C = mean of the weights; the error is that over the pairs eps and -eps.

        Raises:
            ConvergenceError: no draw could be followed.
        """
        top = self.log_weights.max()
        _refuse_none(top.isfinite(), len(self.eps))
        relative = (self.log_weights - top).exp()
        pairs = (relative[: len(relative) // 2] + relative[len(relative) // 2 :]) / 2
        mean, scatter = float(pairs.mean()), float(pairs.std() / len(pairs) ** 0.5)
        log_value = float(top) + math.log(mean)
        return Normalizer(math.exp(log_value), math.exp(float(top)) * scatter, log_value)


def antithetic(n: int, dim: int, rng: Any = None, *, like: Tensor | None = None) -> Codes:
    """Draw standard normal vectors in pairs eps, -eps: what is odd in eps has no error.

    Args:
        n: how many, rounded up to an even number.
        dim: d.
        rng: a NumPy `RandomState` or `Generator`; seed 0 if None.
        like: a tensor of the dtype and device; float64 on the CPU if None.

    Returns:
        The draws, first all eps, then all -eps, shape `(n, d)`.

    Source:
        Owen, Monte Carlo theory, methods and examples (2013), section 8.2.

    Example:
        >>> eps = antithetic(6, 2)
        >>> eps.shape, eps.sum().item()
        (torch.Size([6, 2]), 0.0)
    """
    import numpy as np

    rng = np.random.RandomState(0) if rng is None else rng
    half = torch.as_tensor(rng.standard_normal(((n + 1) // 2, dim)))
    half = half if like is None else half.to(like)
    return torch.cat([half, -half])


def standardized(eps: Codes) -> Codes:
    """Stretch draws in pairs eps, -eps so that their second moment is I, as in the limit of many.

    In a flat space the likelihood has then no error at all. Where there are too few draws for that,
    they stay as they are.

    Example:
        >>> eps = standardized(antithetic(8, 2))
        >>> (eps.T @ eps / 8 - torch.eye(2)).abs().max().item() < 1e-12
        True
    """
    L, positive = linalg.cholesky(eps.T @ eps / len(eps))
    stretched = torch.linalg.solve_triangular(L, eps.T, upper=False).T
    return torch.where(positive, stretched, eps)


def squared_mahalanobis(vectors: Codes, covariance: MetricMatrix) -> Tensor:
    """Compute v^T Sigma^-1 v for vectors `(n, d)`: shape `(n,)`, infinite if Sigma is singular.

    Example:
        >>> squared_mahalanobis(torch.tensor([[2.0, 0.0]]), torch.diag(torch.tensor([4.0, 1.0])))
        tensor([1.])
    """
    L, positive = linalg.cholesky(covariance)
    whitened = torch.linalg.solve_triangular(L, vectors.T, upper=False)
    return torch.where(positive, whitened.square().sum(0), torch.inf)


@torch.no_grad()
def draw_normal(
    manifold: Manifold,
    mean: Latent,
    covariance: MetricMatrix,
    eps: Codes,
    *,
    exact: bool = True,
) -> NormalDraws:
    r"""Take normal draws at mu to the space, with the volume that each of them stands for.

    With z = exp(mu, v) the Riemannian volume is dV(z) = sqrt(det M(z)) |det D exp(mu, v)| dv, as
    long as v lies before the cut locus, and so

        C = int exp(-1/2 log(mu, z)^T Sigma^-1 log(mu, z)) dV(z)
          = (2 pi)^(d/2) E[ sqrt(det M(z)) |det dz / d eps| ],  z = exp(mu, A eps).

    The derivative by eps is taken by central differences of exp. Draws past the cut locus stand for
    points that nearer draws stand for already, and are left out: those where the determinant has
    changed its sign, and those to whose end the search finds a geodesic shorter by 2 %.

    Args:
        manifold: the latent space.
        mean: mu, shape `(d,)`.
        covariance: Sigma, in the coordinates of the tangent space at mu, shape `(d, d)`.
        eps: standard normal draws, shape `(n, d)`.
        exact: as above; else the weight is sqrt(det M(z) det Sigma), with no derivative of exp and
            no cut locus, as the paper writes it.

    Returns:
        The draws.

    Raises:
        InvalidDataError: Sigma is not positive definite.
        ConvergenceError: no draw could be followed.

    Source:
        Arvanitidis, Hansen, Hauberg, A locally adaptive normal distribution (2016), section 3;
        Pennec, Intrinsic statistics on Riemannian manifolds (2006), section 4.

    Example:
        >>> from pullback.manifolds.reference import stereographic
        >>> M, eps = Manifold(stereographic, dim=2), antithetic(100, 2)
        >>> mean, covariance = torch.zeros(2).double(), 0.01 * torch.eye(2).double()
        >>> C = draw_normal(M, mean, covariance, eps).normalizer()
        >>> round(C.value / (2 * math.pi * 0.04), 2)  # 1 - 0.04 / 3, for sigma = 0.2 on the sphere
        0.99
    """
    d = len(mean)
    A, positive = linalg.cholesky(covariance)
    if not bool(positive):
        raise InvalidDataError("The covariance of a component is not positive definite.")
    vectors = eps @ A.T
    ends = follow_normal(manifold, mean, vectors)
    followed = ends.isfinite().all(-1)
    _refuse_none(followed.any(), len(eps))
    points = torch.where(followed[:, None], ends, mean)
    found = Logarithms(manifold, points).at(mean.unsqueeze(0))
    beyond = followed & (found.lengths[0] < (1 - _CUT) * manifold.norm(mean, vectors)) & exact
    stretch = A.expand(len(eps), d, d)
    # Draws past the cut locus need no derivative, as they do not count; their geodesics are long
    # and dear to follow.
    if exact:
        near = followed & ~beyond
        stretch = torch.full_like(stretch, torch.nan)
        stretch[near] = _derivative(manifold, mean, A, eps[near])
        followed = followed & (beyond | stretch.isfinite().all(-1).all(-1))
    sign, log_det = torch.linalg.slogdet(stretch.nan_to_num(nan=0.0))
    beyond = beyond | (followed & (sign <= 0))
    log_weights = d / 2 * math.log(2 * math.pi) + manifold.log_volume(points) + log_det
    counted = followed & ~beyond & log_weights.isfinite()
    return NormalDraws(
        eps,
        vectors,
        points,
        torch.where(counted, log_weights, -torch.inf),
        torch.where(found.converged[0, :, None], found.vectors[0], vectors),
        int((~followed).sum()),
        int(beyond.sum()),
    )


def _derivative(manifold: Manifold, mean: Latent, A: Tensor, eps: Codes) -> Tensor:
    """Differentiate exp(mu, A eps) by eps, by central differences: `(n, d, d)`, NaN if lost."""
    steps = _SHIFT * torch.eye(len(mean)).to(eps)
    shifts = torch.cat([steps, -steps]).unsqueeze(1)
    up, down = follow_normal(manifold, mean, (eps + shifts) @ A.T).chunk(2)
    return (up - down).movedim(0, -1) / (2 * _SHIFT)


@torch.no_grad()
def sample_normal(
    manifold: Manifold,
    mean: Latent,
    covariance: MetricMatrix,
    n: int,
    rng: Any,
    *,
    exact: bool = True,
) -> Codes:
    """Draw points of the normal distribution on the space, by rejection.

    Draws are kept with a probability in proportion to their weights, see `draw_normal`; the largest
    weight that was met counts as the bound.

    Args:
        manifold: the latent space.
        mean: mu, shape `(d,)`.
        covariance: Sigma, shape `(d, d)`.
        n: how many.
        rng: a NumPy `RandomState` or `Generator`.
        exact: see `draw_normal`.

    Returns:
        Points, shape `(n, d)`.

    Raises:
        ConvergenceError: too few draws can be followed, or kept.

    Source:
        Caffo, Booth, Davis, Empirical supremum rejection sampling (2002).

    Example:
        >>> import numpy as np
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> mean, covariance = torch.zeros(1).double(), torch.eye(1).double()
        >>> sample_normal(M, mean, covariance, 3, np.random.RandomState(0)).shape
        torch.Size([3, 1])
    """
    points, log_weights, uniforms = (mean.new_zeros(0, *shape) for shape in ((len(mean),), (), ()))
    kept = uniforms > 0
    size = max(_PER_SAMPLE * n, _FEWEST)
    for _ in range(_ROUNDS):
        if int(kept.sum()) >= n:
            return points[kept][:n]
        eps = torch.as_tensor(rng.standard_normal((size, len(mean)))).to(mean)
        draws = draw_normal(manifold, mean, covariance, eps, exact=exact)
        points = torch.cat([points, draws.points])
        log_weights = torch.cat([log_weights, draws.log_weights])
        uniforms = torch.cat([uniforms, torch.as_tensor(rng.uniform(size=size)).to(mean)])
        kept = uniforms.log() < log_weights - log_weights.max()
    raise ConvergenceError(
        f"Of {len(points)} draws of a component only {int(kept.sum())} can be kept, but {n} are "
        "needed: its covariance reaches too far. Ask for fewer, or fit it to less spread-out data."
    )


def follow_normal(manifold: Manifold, mean: Latent, vectors: Tensor) -> Tensor:
    """Follow geodesics roughly from one point: ends `(*batch, d)`, NaN where that failed.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> follow_normal(M, torch.zeros(1).double(), torch.ones(3, 1).double()).T
        tensor([[1.0000, 1.0000, 1.0000]], dtype=torch.float64)
    """
    return take_off(manifold, mean, vectors).end


def take_off(manifold: Manifold, mean: Latent, vectors: Tensor) -> Trajectory:
    """Follow geodesics roughly from one point, to read where they are on the way too.

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> flight = take_off(M, torch.zeros(1).double(), torch.ones(1).double())
        >>> flight.status.item()
        0
    """
    return manifold.shoot(mean, vectors, rtol=_RTOL, atol=_RTOL / 100, max_steps=_MAX_STEPS)


def _refuse_none(some: Tensor, n: int) -> None:
    if not bool(some):
        raise ConvergenceError(
            f"None of {n} geodesics from the mean of a component could be followed to a point of "
            "the space: its covariance may reach past every edge, or the decoder is broken around "
            "it. Start from other means (`init`, `random_state`)."
        )
