"""Likelihoods p(x|z): what turns the features of a decoder into a distribution.

A likelihood is a module `forward(features, z) -> Distribution` over one observation. To add one,
write a class here and name it in `LIKELIHOODS`.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Distribution,
    Independent,
    NegativeBinomial,
    Normal,
    Poisson,
)

from pullback.errors import InvalidDataError, check_integer
from pullback.models.one_hot import OneHotSequence
from pullback.shapes import Data, Latent

__all__ = [
    "COUNTS",
    "LIKELIHOODS",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "Likelihood",
    "NegativeBinomialLikelihood",
    "NormalLikelihood",
    "PoissonLikelihood",
]

COUNTS = frozenset({"negative_binomial", "poisson"})
"""The likelihoods of counts, whose features are the logarithms of their means."""


class Likelihood(nn.Module, ABC):
    """Turn decoder features into p(x|z); subclasses write `forward`.

    Distributions are built with `validate_args=False`, for they must work under `torch.func`,
    where the values of a tensor cannot be looked at.

    Example:
        >>> class Unit(Likelihood):
        ...     def forward(self, features, z):
        ...         return Independent(Normal(features, 1.0, validate_args=False), 1)
    """

    support: tuple[float, float] = (float("-inf"), float("inf"))
    """The interval that observations must lie in."""

    @abstractmethod
    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return p(x|z) with event shape (D,), from features `(*batch, D)` at z `(*batch, d)`."""

    def check(self, name: str, x: Data) -> None:
        """Refuse observations in the support's interval that are none all the same.

        Args:
            name: what they are called, for the message.
            x: observations, `(*batch, D)`.

        Raises:
            InvalidDataError: they are none of this likelihood.
        """


class NormalLikelihood(Likelihood):
    """The likelihood p(x|z) = N(mu(z), diag sigma(z)^2), the features being mu(z).

    Args:
        std: a module that maps z `(*batch, d)` to standard deviations sigma `(*batch, D)`.

    Example:
        >>> import torch
        >>> from pullback.models import ConstantStd
        >>> likelihood = NormalLikelihood(ConstantStd(5, 0.1))
        >>> likelihood(torch.zeros(3, 5), torch.zeros(3, 2)).stddev.shape
        torch.Size([3, 5])
    """

    def __init__(self, std: nn.Module) -> None:
        super().__init__()
        self.std = std

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return N(features, diag std(z)^2)."""
        std: Tensor = self.std(z)
        normal = Normal(features, std, validate_args=False)
        return Independent(normal, 1, validate_args=False)


class BernoulliLikelihood(Likelihood):
    """The likelihood p(x|z) = prod_j p_j^x_j (1 - p_j)^(1 - x_j), the features being logits of p.

    Grey values between 0 and 1 are read as probabilities, as the field does for images.

    Example:
        >>> import torch
        >>> BernoulliLikelihood()(torch.zeros(3, 5), torch.zeros(3, 2)).mean[0, 0]
        tensor(0.5000)
    """

    support = (0.0, 1.0)

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of Bernoulli distributions with these logits."""
        bernoulli = Bernoulli(logits=features, validate_args=False)
        return Independent(bernoulli, 1, validate_args=False)


class PoissonLikelihood(Likelihood):
    """The likelihood of counts p(x|z) = prod_j Poisson(x_j; m_j), the features being log m.

    There is no exposure beside it: how much of a sample was counted, as the depth to which a cell
    was sequenced, is part of x, and the latent space has to tell it. Where it should not, bring the
    samples to one depth first.

    Example:
        >>> import torch
        >>> PoissonLikelihood()(torch.zeros(3, 5), torch.zeros(3, 2)).mean[0, 0]
        tensor(1.)
    """

    support = (0.0, float("inf"))

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of Poisson distributions with these log means."""
        poisson = Poisson(features.exp(), validate_args=False)
        return Independent(poisson, 1, validate_args=False)

    def check(self, name: str, x: Data) -> None:
        """Refuse what is no whole number >= 0, see `Likelihood.check`."""
        _check_counts(name, x)


class NegativeBinomialLikelihood(Likelihood):
    """The likelihood p(x|z) = prod_j NB(x_j; m_j, t_j) of counts that scatter wider than Poisson's.

    The features are log m, and t_j > 0, the dispersion, is one learnt number for each feature that
    does not depend on z: `Var[x_j] = m_j + m_j^2 / t_j`, Poisson's for t_j -> infinity. There is no
    exposure, see `PoissonLikelihood`.

    Args:
        data_dim: the data dimension D.

    Attributes:
        log_dispersion: log t, `(D,)`.

    Raises:
        InvalidParameterError: D is no integer >= 1.

    Example:
        >>> likelihood = NegativeBinomialLikelihood(5)
        >>> likelihood(torch.zeros(3, 5), torch.zeros(3, 2)).variance[0, 0].item()
        2.0
    """

    support = (0.0, float("inf"))

    def __init__(self, data_dim: int) -> None:
        super().__init__()
        self.log_dispersion = nn.Parameter(torch.zeros(check_integer("data_dim", data_dim)))

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of negative binomial distributions with these log means."""
        logits = features - self.log_dispersion  # of m / (m + t)
        counts = NegativeBinomial(
            self.log_dispersion.exp().expand_as(logits), logits=logits, validate_args=False
        )
        return Independent(counts, 1, validate_args=False)

    def check(self, name: str, x: Data) -> None:
        """Refuse what is no whole number >= 0, see `Likelihood.check`."""
        _check_counts(name, x)


class CategoricalLikelihood(Likelihood):
    """The likelihood of sequences p(x|z) = prod_l p_(l, x_l), the features being logits of p.

    A sequence of L letters out of K is given as L rows of K numbers, a one in place of the letter
    and zeros else, flattened: D = L K. The positions are independent given z.

    Args:
        n_categories: the number of letters K >= 2.

    Raises:
        InvalidParameterError: K is no integer >= 2.

    Example:
        >>> likelihood = CategoricalLikelihood(3)
        >>> p = likelihood(torch.zeros(7, 6), torch.zeros(7, 2))
        >>> p.mean.shape, p.log_prob(torch.tensor([1.0, 0, 0, 0, 1, 0])).shape
        (torch.Size([7, 6]), torch.Size([7]))
    """

    support = (0.0, 1.0)

    def __init__(self, n_categories: int) -> None:
        super().__init__()
        self.n_categories = check_integer("n_categories", n_categories, 2)

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of categorical distributions with these logits."""
        return OneHotSequence(features.unflatten(-1, (-1, self.n_categories)))

    def check(self, name: str, x: Data) -> None:
        """Refuse rows that are not one-hot at every position, see `Likelihood.check`."""
        letters = x.detach().unflatten(-1, (-1, self.n_categories))
        wrong = ((letters != 0) & (letters != 1)).any(-1) | (letters.sum(-1) != 1)
        if bool(wrong.any()):
            *_, position = wrong.nonzero()[0].tolist()
            raise InvalidDataError(
                f"`{name}` must be one-hot: at each of {letters.shape[-2]} positions one 1 among "
                f"{self.n_categories} entries and zeros else, but {int(wrong.sum())} are not, the "
                f"first at position {position}. Encode letters as numbers 0, 1, ... and then with "
                "`torch.nn.functional.one_hot(letters, n_categories).flatten(-2)`."
            )


def _check_counts(name: str, x: Tensor) -> None:
    x = x.detach()
    wrong = (x < 0) | (x != x.round())
    if bool(wrong.any()):
        *_, feature = wrong.nonzero()[0].tolist()
        raise InvalidDataError(
            f"`{name}` must hold counts, whole numbers >= 0, but {int(wrong.sum())} of its "
            f"{x.numel()} entries are none, the first of them {float(x[wrong][0]):g} of feature "
            f"{feature}. Give the raw counts, not normalised or logarithmic ones."
        )


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": BernoulliLikelihood,
    "categorical": CategoricalLikelihood,
    "negative_binomial": NegativeBinomialLikelihood,
    "normal": NormalLikelihood,
    "poisson": PoissonLikelihood,
}
"""The likelihoods by the names that `VAE(likelihood=...)` takes."""
