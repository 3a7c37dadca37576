"""Fisher information against closed forms; the laws of each family are in tests/testing."""

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch.distributions import (
    Beta,
    Categorical,
    Dirichlet,
    Gamma,
    Independent,
    Laplace,
    MultivariateNormal,
    NegativeBinomial,
    Normal,
    OneHotCategorical,
    Poisson,
    VonMises,
)

from pullback.errors import InvalidParameterError
from pullback.metrics import FisherRaoMetric, fisher_information, immersion, statistical_model
from pullback.models import OneHotSequence, ZeroInflatedNegativeBinomial


def pulled_back(coordinates, parameters):
    """Fisher information in natural parameters, from that in the coordinates of the model."""
    parameters = torch.tensor([parameters], dtype=torch.float64)
    field = statistical_model(coordinates(parameters)).field
    metric = FisherRaoMetric(lambda x: statistical_model(coordinates(x)).parameters, field)
    return metric.metric_matrix(parameters)[0]


def close(found, truth, rtol=1e-10):
    torch.testing.assert_close(found, torch.from_numpy(np.array(truth)), rtol=rtol, atol=1e-12)


def test_gamma_is_the_textbook_s():
    found = pulled_back(lambda x: Gamma(x[:, :1], x[:, 1:]), [2.5, 0.7])
    close(found, [[special.polygamma(1, 2.5), -1 / 0.7], [-1 / 0.7, 2.5 / 0.7**2]])


def test_beta_and_dirichlet_are_the_textbook_s():
    a, b = 2.5, 0.7
    cross = special.polygamma(1, a + b)
    truth = [
        [special.polygamma(1, a) - cross, -cross],
        [-cross, special.polygamma(1, b) - cross],
    ]
    close(pulled_back(lambda x: Beta(x[:, :1], x[:, 1:]), [a, b]), truth)
    close(pulled_back(Dirichlet, [a, b]), truth)


def test_von_mises_is_the_textbook_s_and_does_not_see_the_seam_of_angles():
    k = 3.0
    ratio = special.i1(k) / special.i0(k)
    truth = [[k * ratio, 0.0], [0.0, 1 - ratio / k - ratio**2]]
    close(pulled_back(lambda x: VonMises(x[:, :1], x[:, 1:]), [2.0, k]), truth)
    ends = torch.tensor([[[-math.pi], [math.pi]]], dtype=torch.float64)
    x = statistical_model(VonMises(ends, 1.0 + 0 * ends)).parameters
    torch.testing.assert_close(x[:, 0], x[:, 1])


def test_negative_binomial_is_orthogonal_in_mean_and_dispersion():
    mean, theta = 4.0, 1.5

    def family(x):
        return NegativeBinomial(x[:, 1:], logits=(x[:, :1] / x[:, 1:]).log())

    found = pulled_back(family, [mean, theta])
    close(found[0], [1 / (mean + mean**2 / theta), 0.0])


def test_fixed_dispersion_gives_the_immersion_s_metric():
    theta = torch.tensor([0.5, 3.0], dtype=torch.float64)

    def family(z):
        return Independent(NegativeBinomial(theta, logits=z), 1)

    z = torch.tensor([[0.3, -2.0], [5.0, -60.0]], dtype=torch.float64)
    fisher = FisherRaoMetric.from_decoder(family, dim=2)
    chord = (immersion(family(z)).diff(dim=0)).norm()
    torch.testing.assert_close(fisher.chords(z)[0], chord)


def test_few_extra_zeros_leave_the_negative_binomial():
    z = torch.tensor([[0.4, 0.9]], dtype=torch.float64).exp()
    mean, theta = z[:, :1], z[:, 1:]
    counts = fisher_information(NegativeBinomial(theta, logits=(mean / theta).log()))[0]
    inflated = fisher_information(ZeroInflatedNegativeBinomial(mean, theta, -60 + 0 * mean))[0]
    torch.testing.assert_close(inflated[:2, :2], counts)
    assert inflated[2].abs().max() < 1e-12


def test_multivariate_normal_is_the_product_where_the_covariance_is_diagonal():
    scale = torch.tensor([[0.5, 2.0]], dtype=torch.float64)
    joint = fisher_information(MultivariateNormal(0 * scale, scale_tril=torch.diag_embed(scale)))
    alone = fisher_information(Normal(0 * scale, scale))
    order = [0, 2, 1, 4]  # mu_1, log sigma_1, mu_2, log sigma_2 among mu, L_11, L_21, L_22
    torch.testing.assert_close(joint[0][order][:, order], alone[0])
    assert joint[0, 3].tolist() == pytest.approx([0, 0, 0, 1 / 2.0**2, 0])  # 1 / L_22^2


def test_multivariate_normal_has_the_trace_formula():
    generator = torch.Generator().manual_seed(0)
    A, direction = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    covariance, change = A @ A.T + torch.eye(3), direction + direction.T

    def family(z):
        moved = covariance + z.unsqueeze(-1) * change
        return MultivariateNormal(torch.zeros(3).double(), covariance_matrix=moved)

    z = torch.zeros(1, 1, dtype=torch.float64)
    field = statistical_model(family(z)).field
    metric = FisherRaoMetric(lambda z: statistical_model(family(z)).parameters, field)
    relative = torch.linalg.solve(covariance, change)
    torch.testing.assert_close(
        metric.metric_matrix(z)[0, 0, 0], torch.trace(relative @ relative) / 2
    )


@pytest.mark.parametrize("scale", [1e-15, 1e-8, 1e8])
def test_tiny_and_huge_scales_are_safe(scale):
    found = fisher_information(Normal(torch.zeros(1).double(), scale))
    close(found, [[scale**-2, 0.0], [0.0, 2.0]])


def test_flat_families_have_the_identity():
    p = Categorical(logits=torch.randn(5, 3))
    model = statistical_model(p)
    assert model.flat
    assert torch.equal(model.parameters, immersion(p))
    assert torch.equal(fisher_information(p), torch.eye(3).expand(5, 3, 3))
    assert not statistical_model(Normal(torch.zeros(2), 1.0)).flat


def test_products_are_block_diagonal():
    parts = Gamma(torch.tensor([[2.0]]), 1.0), Poisson(torch.tensor([[3.0]]))
    alone = [fisher_information(part)[0] for part in parts]
    for product in (parts, list(parts), dict(zip("ab", parts, strict=True))):
        torch.testing.assert_close(fisher_information(product)[0], torch.block_diag(*alone))


def test_events_of_several_dimensions_become_one():
    p = Independent(Gamma(torch.rand(5, 2, 3) + 1, 1.0), 2)
    assert statistical_model(p).parameters.shape == (5, 12)
    letters = OneHotSequence(torch.randn(5, 4, 3))
    assert statistical_model(letters).parameters.shape == (5, 12)
    one_by_one = Independent(OneHotCategorical(logits=letters.logits), 1)
    torch.testing.assert_close(immersion(letters), immersion(one_by_one))


def test_an_unknown_family_says_what_to_do():
    with pytest.raises(InvalidParameterError, match=r"Gamma.*type Laplace.*KLMetric.*register"):
        statistical_model(Laplace(torch.zeros(1), 1.0))
