"""The categorical likelihood of sequences of letters."""

from typing import Any

import torch
from torch.distributions import Categorical, Distribution, OneHotCategorical

from pullback.errors import InvalidDataError, InvalidParameterError, check_integer
from pullback.models.likelihoods.base import Likelihood
from pullback.models.likelihoods.distributions.one_hot import OneHotSequence
from pullback.models.likelihoods.readings import reading_of
from pullback.models.likelihoods.settings import Settings
from pullback.shapes import Ambient, Data, Latent

__all__ = ["CategoricalLikelihood"]


class CategoricalLikelihood(Likelihood, name="categorical"):
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
    families = (Categorical, OneHotCategorical)
    settings = frozenset({"n_categories"})
    reading = (reading_of(OneHotCategorical, "logits"), "logits, the classes last")

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

    @classmethod
    def build(cls, config: Settings) -> "Likelihood":
        """Return the likelihood with the number of letters of the settings."""
        return cls(config.n_categories or 0)

    @classmethod
    def check_config(cls, config: Settings) -> None:
        """Refuse a number of letters that does not divide D, see `Likelihood.check_config`."""
        super().check_config(config)
        allowed = f"an integer >= 2 that divides data_dim = {config.data_dim}"
        if config.n_categories is None:
            cure = "Give the number K of letters: x is a sequence of L of them, one-hot, D = L K."
            raise InvalidParameterError("n_categories", allowed, None, cure)
        if config.data_dim % check_integer("n_categories", config.n_categories, 2):
            raise InvalidParameterError("n_categories", allowed, config.n_categories)

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return 2 sqrt(p), a point of a sphere of radius 2, whose metric is the Fisher's."""
        return 2 * torch.exp(torch.log_softmax(p.logits, -1) / 2)
