"""The units of the data: fixed affine maps that let the networks work around zero and one."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pullback.errors import check_integer
from pullback.shapes import Data

__all__ = [
    "COUNT_UNIT",
    "DATA_UNIT",
    "LOGIT_UNIT",
    "UNITLESS",
    "CountStandardization",
    "Destandardization",
    "LogMean",
    "Standardization",
    "Unchanged",
    "Unit",
]

# The mean count that a feature starts from which was never counted in the training data: its
# logarithm would be infinite.
_NEVER = 1e-4


class Standardization(nn.Module):
    """The map `y = (x - c) / s` from the unit of the data, with one s for all features.

    One scale, not one for each feature: Euclidean distances between observations keep their
    proportions, on which the geometry of the latent space stands. It is the identity until `set_`.

    Args:
        data_dim: the data dimension D.

    Attributes:
        center: c, `(D,)`, in the unit of the data.
        scale: s > 0, in the unit of the data.

    Raises:
        InvalidParameterError: D is no integer >= 1.

    Example:
        >>> standardize = Standardization(2)
        >>> standardize.set_(torch.tensor([10.0, 20.0]), torch.tensor(5.0))
        >>> standardize(torch.tensor([15.0, 10.0]))
        tensor([ 1., -2.])
    """

    center: Tensor
    scale: Tensor

    def __init__(self, data_dim: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(check_integer("data_dim", data_dim)))
        self.register_buffer("scale", torch.ones(()))

    @property
    def is_identity(self) -> bool:
        """Whether it has not been set yet."""
        return bool((self.center == 0).all()) and float(self.scale) == 1.0

    def set_(self, center: Tensor, scale: Tensor) -> None:
        """Set c, `(D,)`, and s > 0."""
        self.center.copy_(center)
        self.scale.copy_(scale)

    def forward(self, x: Data) -> Data:
        """Map observations x `(*batch, D)` to y `(*batch, D)`."""
        return (x - self.center) / self.scale


class Destandardization(Standardization):
    """The inverse map `x = c + s y`, into the unit of the data.

    Args:
        data_dim: the data dimension D.

    Raises:
        InvalidParameterError: D is no integer >= 1.

    Example:
        >>> destandardize = Destandardization(2)
        >>> destandardize.set_(torch.tensor([10.0, 20.0]), torch.tensor(5.0))
        >>> destandardize(torch.tensor([1.0, -2.0]))
        tensor([15., 10.])
    """

    def forward(self, x: Data) -> Data:
        """Map y `(*batch, D)` to observations x `(*batch, D)`."""
        return self.center + self.scale * x


class CountStandardization(Standardization):
    """The map `y = log(1 + x) - log(1 + c)` of counts, with c the mean of each feature.

    Counts span decades; their logarithms do not. It is `y = log(1 + x)` until `set_`.

    Args:
        data_dim: the data dimension D.

    Raises:
        InvalidParameterError: D is no integer >= 1.

    Example:
        >>> standardize = CountStandardization(2)
        >>> standardize.set_(torch.tensor([0.0, 9.0]), torch.tensor(5.0))
        >>> standardize(torch.tensor([0.0, 9.0]))
        tensor([0., 0.])
    """

    def set_(self, center: Tensor, scale: Tensor) -> None:
        """Set c, `(D,)`; logarithms of counts have no unit, so the scale stays 1."""
        self.center.copy_(center.log1p())

    def forward(self, x: Data) -> Data:
        """Map counts x `(*batch, D)` to y `(*batch, D)`."""
        return super().forward(x.log1p())


class LogMean(Destandardization):
    """The map `log m = log c + y` to the log means of counts, with c the mean of each feature.

    Args:
        data_dim: the data dimension D.

    Raises:
        InvalidParameterError: D is no integer >= 1.

    Example:
        >>> log_mean = LogMean(2)
        >>> log_mean.set_(torch.tensor([1.0, 100.0]), torch.tensor(5.0))
        >>> log_mean(torch.zeros(2)).exp().round()
        tensor([  1., 100.])
    """

    def set_(self, center: Tensor, scale: Tensor) -> None:
        """Set c, `(D,)`; a feature that was never counted may still be, once in 10,000 samples."""
        self.center.copy_(center.clamp(min=_NEVER).log())


class Unchanged(Destandardization):
    """The identity, of features without a unit where the data have one.

    Args:
        data_dim: the data dimension D.

    Raises:
        InvalidParameterError: D is no integer >= 1.

    Example:
        >>> Unchanged(2)(torch.tensor([1.0, -2.0]))
        tensor([ 1., -2.])
    """

    def forward(self, x: Data) -> Data:
        """Return x `(*batch, D)`."""
        return x


class Unit(NamedTuple):
    """The unit of a kind of data: how they come into a network, and out of one.

    Attributes:
        standardize: makes the map from data of dimension D into the encoder.
        destandardize: makes the map from the decoder's network to the features of the likelihood.
        features: what these features are, in words.

    Example:
        >>> DATA_UNIT.standardize(3)(torch.ones(3))
        tensor([1., 1., 1.])
    """

    standardize: type[Standardization]
    destandardize: type[nn.Module]
    features: str


DATA_UNIT = Unit(Standardization, Destandardization, "means")
"""Features are in the unit of the data: they are measured from their mean, in one scale."""

COUNT_UNIT = Unit(CountStandardization, LogMean, "log means")
"""Counts: both networks see logarithms."""

LOGIT_UNIT = Unit(Standardization, Unchanged, "logits")
"""Data are measured from their mean, in one scale; the features are logits, without a unit."""

UNITLESS = Unit(Standardization, nn.Identity, "logits")
"""Neither the data nor the features have a unit, so nothing is changed."""
