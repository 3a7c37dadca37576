"""The formula of the paper, where its error is known."""

import pytest
import torch
from torch.distributions import Independent, Normal

from pullback.metrics import FisherRaoMetric
from pullback.reproduction.claims.computation.kl_metric import codes, one_sided, toy_decoder


def test_the_formula_is_exact_where_the_divergence_is_quadratic():
    A = torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]]).double()
    decoder = lambda z: Independent(Normal(z @ A, torch.ones(3).double()), 1)  # noqa: E731
    M = one_sided(decoder, torch.randn(4, 2).double(), 0.1)
    torch.testing.assert_close(M, (A @ A.T).expand(4, 2, 2))


def test_the_formula_is_off_by_its_step_where_the_scale_changes():
    # Of N(0, exp(z)^2) KL(z, z + h) = h + (exp(-2 h) - 1) / 2 = h^2 - 2 h^3 / 3 + ..., and M = 2.
    decoder = lambda z: Independent(Normal(torch.zeros_like(z), z.exp()), 1)  # noqa: E731
    z = torch.zeros(1, 1).double()
    for step in (1e-2, 1e-3):
        error = one_sided(decoder, z, step).item() - 2
        assert error / step == pytest.approx(-4 / 3, rel=step)


@pytest.mark.parametrize("name", ["Normal", "Beta"])
def test_decoders_are_broad_far_from_the_codes_and_change_near_them(name):
    generator = torch.Generator().manual_seed(0)
    z = codes(20, generator)
    decoder = toy_decoder(name, z, 3, generator)
    far = decoder(torch.full((1, 2), 30.0).double()).stddev
    assert far.flatten().tolist() == pytest.approx([10.0 if name == "Normal" else 12**-0.5] * 3)
    M = FisherRaoMetric.from_decoder(decoder, dim=2).metric_matrix(z)
    assert (torch.linalg.eigvalsh(M)[:, 0] > 1e-4).all()
