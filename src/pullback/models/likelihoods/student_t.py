"""The Student-t likelihood: means, around which the data scatter with heavy tails."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, StudentT

from pullback.errors import check_integer, check_number
from pullback.models.likelihoods.base import Likelihood
from pullback.models.likelihoods.readings import reading_of
from pullback.models.standardization import DATA_UNIT
from pullback.shapes import Ambient, Data, Latent

__all__ = ["StudentTLikelihood"]

# The Fisher information of the degrees of freedom nu, for large nu: the coefficients of nu^-4,
# nu^-5, ..., right to 1e-11 from nu = 64 on.
_TAIL = (3.5, -13.0, 39.5, -119.0, 363.5, -1101.0)
# Steps of 2 by which nu is raised by a recurrence before the expansion is used: to 64 or more.
_STEPS = 32


class StudentTLikelihood(Likelihood, name="student_t"):
    r"""The likelihood p(x|z) = prod_j StudentT(x_j; nu, m_j, s_j), the features telling m.

    For measurements of which some are far off: a Normal pays for a residual by its square, a
    Student-t by its logarithm, so that outliers bend the decoder little. s_j > 0 is one learnt
    number for each feature that does not depend on z. The lengths are those of the Fisher
    information (nu + 1) / ((nu + 3) s_j^2) of m_j, so M = J^T J for phi_j = sqrt((nu + 1) /
    (nu + 3)) m_j / s_j.

    The variance s_j^2 nu / (nu - 2) is infinite for nu <= 2, and for nu <= 1 neither mean nor
    variance exist: they are nan, and so are reconstructions. The log-probability and the metric are
    right for every nu > 0; in single precision PyTorch's log-probability is off by 1e-5 at nu = 100
    and 0.005 at nu = 10,000, the same for all data.

    Args:
        data_dim: the data dimension D.
        df: the degrees of freedom nu > 0, the same for all samples and features; the larger, the
            closer to Normal.

    Attributes:
        log_scale: log s, `(D,)`.

    Raises:
        InvalidParameterError: D is no integer >= 1, or nu is not positive and finite.

    Source:
        Lange, Little, Taylor, Robust statistical modeling using the t distribution (1989).

    Example:
        >>> likelihood = StudentTLikelihood(5, df=4)
        >>> p = likelihood(torch.full((3, 5), 1000.0), torch.zeros(3, 2))
        >>> p.mean[0, 0].item(), p.variance[0, 0].item()
        (1000.0, 2.0)
    """

    unit = DATA_UNIT
    families = (StudentT,)
    reading = (reading_of(StudentT, "df", "loc", "scale"), "degrees of freedom, location, scale")
    held = ("df", "scale")

    def __init__(self, data_dim: int, df: float = 4.0) -> None:
        super().__init__()
        self.df = check_number("df", df, 0.0, open_low=True)
        self.log_scale = nn.Parameter(torch.zeros(check_integer("data_dim", data_dim)))

    def forward(self, features: Data, z: Latent) -> Distribution:
        """Return the product of Student-t distributions around these means."""
        student = StudentT(self.df, features, self.log_scale.exp(), validate_args=False)
        return Independent(student, 1, validate_args=False)

    @torch.no_grad()
    def set_unit(self, center: Tensor, scale: Tensor) -> None:
        """Begin from the spread of the data, see `Likelihood.set_unit`."""
        self.log_scale.copy_(scale.log().expand_as(self.log_scale))

    @staticmethod
    def image(p: Any) -> Ambient:
        """Return sqrt((nu + 1) / (nu + 3)) m / s, whose metric is the Fisher information of m."""
        image: Tensor = torch.sqrt((p.df + 1) / (p.df + 3)) * p.loc / p.scale
        return image

    @staticmethod
    def parameters_of(p: Any) -> Tensor:
        """Return m, log s and log(1 + 1 / nu), which is 0 where Student-t is Normal."""
        return torch.stack([p.loc, p.scale.log(), torch.log1p(1 / p.df)], -1)

    @staticmethod
    def information(x: Tensor, v: Tensor) -> Tensor:
        r"""Compute I(x) v: the mean is orthogonal to the scale and the degrees of freedom.

        I(m, m) = (nu + 1) / ((nu + 3) s^2), I(log s, log s) = 2 nu / (nu + 3), and
        I(log s, nu) = -2 / ((nu + 1) (nu + 3)), where dnu / dx = -nu (nu + 1).
        """
        inverse = torch.expm1(x[..., 2])  # 1 / nu: nothing below overflows as nu grows
        of_mean = (1 + inverse) / (1 + 3 * inverse) * torch.exp(-2 * x[..., 1])
        of_scale = 2 / (1 + 3 * inverse)
        scale, freedom = v[..., 1], v[..., 2]
        return torch.stack(
            [
                of_mean * v[..., 0],
                of_scale * (scale + freedom),
                of_scale * scale + _information_of_freedom(inverse) * freedom,
            ],
            -1,
        )


def _information_of_freedom(inverse: Tensor) -> Tensor:
    r"""Compute the Fisher information of log(1 + 1 / nu), from 1 / nu; it is between 1 and 3.5.

    That of nu, I(nu) = (psi'(nu / 2) - psi'((nu + 1) / 2)) / 4 - (nu + 5) / (2 nu (nu + 1) (nu +
    3)), is a small difference of large numbers. I(nu) - I(nu + 2) = 2 (14 nu^2 + 33 nu + 15) /
    (nu^2 (nu + 1)^2 (nu + 2) (nu + 3) (nu + 5)) is none, so it is summed, and its rest is a series.
    """
    e = inverse[..., None]
    k = 2 * torch.arange(_STEPS, dtype=e.dtype, device=e.device)
    ratio = (1 + e) / ((1 + k * e) * (1 + (k + 1) * e))
    # The partial fractions of the difference: 1 / (nu + j) is e / (1 + j e).
    two, three, five = (e / (1 + (k + j) * e) for j in (2, 3, 5))
    steps = ratio.square() * (10 / 3 * two - 42 * three + 200 / 3 * five)
    small, rest = inverse / (1 + 2 * _STEPS * inverse), torch.zeros_like(inverse)
    for coefficient in reversed(_TAIL):
        rest = coefficient + small * rest
    end = (1 + inverse) / (1 + 2 * _STEPS * inverse) ** 2
    return steps.sum(-1) + end.square() * rest
