"""A fitted mixture of normal distributions along geodesics: its density, labels and samples."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import DensityMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import ConvergenceWarning, check_choice, check_integer
from pullback.shapes import Codes
from pullback.statistics.base import LatentEstimator, numpy_random_state, to_array
from pullback.statistics.densities.expectation_maximization import responsibilities
from pullback.statistics.densities.riemannian_normal import sample_normal, squared_mahalanobis
from pullback.statistics.logarithms import Logarithms

__all__ = ["RiemannianMixture", "warn_of_unreached"]


class RiemannianMixture(DensityMixin, LatentEstimator):
    r"""A mixture p(z) = sum_k pi_k exp(-1/2 log_mu_k(z)^T Sigma_k^-1 log_mu_k(z)) / C_k.

    The base of `LAND`, which fits it: what can be asked of the mixture once it is there.

    Attributes:
        weights_: pi, an array of shape `(K,)`.
        means_: mu, a tensor of shape `(K, d)`.
        covariances_: Sigma, in the coordinates at each mean, a tensor of shape `(K, d, d)`.
        log_normalizer_: log C by the Riemannian volume, an array of shape `(K,)`.

    Example:
        >>> from pullback.statistics import LAND
        >>> issubclass(LAND, RiemannianMixture)
        True
    """

    weights_: NDArray[np.float64]
    means_: Tensor
    covariances_: Tensor
    log_normalizer_: NDArray[np.float64]
    normalizer: str
    exact: bool
    random_state: Any

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Compute the log-density of points by the Riemannian volume.

        Args:
            X: latent points, shape `(n, d)`.

        Returns:
            log p(z), shape `(n,)`: -inf where no component reaches.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        log_p: NDArray[np.float64] = to_array(self._joint(self._checked(X)).logsumexp(0))
        return log_p

    def log_density(self, X: Any, *, measure: str = "riemannian") -> NDArray[np.float64]:
        """Compute the log-density of points by one of two measures.

        Args:
            X: latent points, shape `(n, d)`.
            measure: `"riemannian"` for the volume of the space, as `score_samples`; `"lebesgue"`
                for that of the coordinates, log sqrt det M more, to compare with a density that
                knows of no metric.

        Returns:
            log p(z), shape `(n,)`.
        """
        check_choice("measure", measure, ("lebesgue", "riemannian"))
        log_p = self.score_samples(X)
        if measure == "lebesgue":
            log_p = log_p + to_array(self.manifold.log_volume(self._points(X, reset=False)))
        return log_p

    def score(self, X: Any, y: Any = None) -> float:
        """Compute the mean log-density of points, as scikit-learn's `GaussianMixture` does.

        Args:
            X: latent points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            The mean of `score_samples`: -inf if no component reaches a point.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        del y
        return float(self.score_samples(X).mean())

    def bic(self, X: Any) -> float:
        """Compute Schwarz's criterion on data `(n, d)`: lower is better."""
        log_p = self.score_samples(X)
        return self._n_parameters() * math.log(len(log_p)) - 2 * float(log_p.sum())

    def aic(self, X: Any) -> float:
        """Compute Akaike's criterion on data `(n, d)`: lower is better."""
        return 2 * self._n_parameters() - 2 * float(self.score_samples(X).sum())

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Compute the probability of each component given points.

        Args:
            X: latent points, shape `(n, d)`.

        Returns:
            Probabilities, shape `(n, K)`: those of the prior where no component reaches.
        """
        joint = self._joint(self._checked(X))
        share: NDArray[np.float64] = to_array(_with_prior(responsibilities(joint), self.weights_).T)
        return share

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Say which component is the most probable for each point.

        Args:
            X: latent points, shape `(n, d)`.

        Returns:
            Components, shape `(n,)`: -1 for a point that none reaches.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        joint = self._joint(self._checked(X))
        reached = joint.isfinite().any(0)
        labels: NDArray[np.int64] = to_array(torch.where(reached, joint.argmax(0), -1))
        return labels

    def sample(
        self, n_samples: int = 1, *, random_state: Any = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Draw points from the mixture.

        Normal draws in the tangent spaces are taken to the space by exp, and thinned by the volume
        that each of them stands for, the largest that was met counting as its bound: exact but for
        what exceeds it, which more draws would show.

        Args:
            n_samples: how many.
            random_state: an integer, a NumPy `RandomState` or `Generator`; that of the estimator
                if None.

        Returns:
            Points, shape `(n, d)`, and the component of each, shape `(n,)`, in order.

        Raises:
            ConvergenceError: too few draws can be followed, or kept.
        """
        check_is_fitted(self)
        check_integer("n_samples", n_samples)
        rng = numpy_random_state(self.random_state if random_state is None else random_state)
        counts = rng.multinomial(n_samples, self.weights_ / self.weights_.sum())
        exact = self.normalizer == "exact"
        parts = [
            sample_normal(self.manifold, mean, covariance, int(n), rng, exact=exact)
            for mean, covariance, n in zip(self.means_, self.covariances_, counts, strict=True)
        ]
        labels = np.repeat(np.arange(len(counts)), counts)
        return to_array(torch.cat(parts)), labels

    def _checked(self, Z: Any) -> Codes:
        check_is_fitted(self)
        return self._points(Z, reset=False)

    def _n_parameters(self) -> int:
        k, d = self.means_.shape
        return k - 1 + k * d + k * d * (d + 1) // 2

    def _joint(self, Z: Codes) -> Tensor:
        """Compute log pi_k p_k(z), shape `(K, n)`."""
        logs = Logarithms(self.manifold, Z, exact=self.exact).at(self.means_)
        squared = torch.stack(
            [
                squared_mahalanobis(v, S)
                for v, S in zip(logs.vectors, self.covariances_, strict=True)
            ]
        )
        with np.errstate(divide="ignore"):
            offset = torch.as_tensor(np.log(self.weights_) - self.log_normalizer_).to(Z)
        log_p = offset[:, None] - squared / 2
        log_p = torch.where(logs.lengths.isfinite(), log_p, -torch.inf)
        warn_of_unreached(int(log_p.isinf().all(0).sum()), len(Z))
        return log_p


def _with_prior(share: Tensor, weights: NDArray[np.float64]) -> Tensor:
    prior = torch.as_tensor(weights).to(share)[:, None]
    return torch.where(share.sum(0) > 0, share, prior)


def warn_of_unreached(n: int, total: int) -> None:
    """Warn of points that no component reaches.

    Example:
        >>> warn_of_unreached(0, 10)
    """
    if n > 0:
        warnings.warn(
            f"{n} of {total} points are reached by no geodesic from a component: their density is "
            "taken for 0.",
            ConvergenceWarning,
            stacklevel=5,
        )
