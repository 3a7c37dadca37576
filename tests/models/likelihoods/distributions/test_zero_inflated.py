"""Zero-inflated counts: probabilities, moments and draws."""

import pytest
import torch
from torch.distributions import Independent, NegativeBinomial

from pullback.models import ZeroInflatedNegativeBinomial, draw


def some(dtype=torch.float64):
    mean = torch.tensor([0.3, 5.0, 40.0], dtype=dtype)
    dispersion = torch.tensor([0.7, 3.0, 50.0], dtype=dtype)
    return ZeroInflatedNegativeBinomial(mean, dispersion, torch.tensor([-1.0, 0.5, 2.0]).to(dtype))


def test_probabilities_sum_to_1_and_give_the_moments():
    p = some()
    x = torch.arange(3000, dtype=torch.float64).unsqueeze(-1)
    weight = p.log_prob(x).exp()
    torch.testing.assert_close(weight.sum(0), torch.ones(3).double())
    mean = (weight * x).sum(0)
    torch.testing.assert_close(mean, p.mean)
    torch.testing.assert_close((weight * (x - mean).square()).sum(0), p.variance)


def test_without_extra_zeros_it_is_torch_s_negative_binomial():
    p = some()
    none = ZeroInflatedNegativeBinomial(p.count_mean, p.dispersion, torch.tensor(-800.0).double())
    counts = NegativeBinomial(p.dispersion, logits=(p.count_mean / p.dispersion).log())
    x = torch.tensor([[0.0], [1.0], [7.0], [500.0]], dtype=torch.float64)
    torch.testing.assert_close(none.log_prob(x), counts.log_prob(x))
    torch.testing.assert_close(none.mean, counts.mean)
    torch.testing.assert_close(none.variance, counts.variance)


def test_draws_have_the_moments():
    """Six standard errors: a false alarm once in 1e8 entries."""
    n = 100_000
    p = some()
    x = draw(p, (n,), generator=torch.Generator().manual_seed(0))
    assert x.shape == (n, 3)
    assert ((x.mean(0) - p.mean).abs() < 6 * (p.variance / n).sqrt()).all()
    zeros, expected = (x == 0).double().mean(0), p.log_prob(torch.zeros(3).double()).exp()
    assert ((zeros - expected).abs() < 6 * (expected * (1 - expected) / n).sqrt()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("x", [0.0, 3.0])
def test_derivatives_are_finite_at_the_edges(x, dtype):
    t = torch.tensor([[-60.0, -20.0, -80.0], [10.0, 10.0, 80.0], [-5.0, 15.0, 0.0]], dtype=dtype)
    t.requires_grad_()
    p = ZeroInflatedNegativeBinomial(t[:, 0].exp(), t[:, 1].exp(), t[:, 2])
    p.log_prob(torch.tensor(x, dtype=dtype)).sum().backward()
    assert t.grad.isfinite().all()


def test_shapes_broadcast_and_expand():
    p = ZeroInflatedNegativeBinomial(torch.ones(4, 1), torch.ones(3), 0.0)
    assert p.batch_shape == (4, 3)
    wide = p.expand((2, 4, 3))
    assert wide.mean.shape == (2, 4, 3)
    assert wide.sample((5,)).shape == (5, 2, 4, 3)
    assert p.sample().shape == (4, 3)
    assert p.sample([2]).shape == (2, 4, 3)
    assert Independent(p, 1).log_prob(torch.zeros(4, 3)).shape == (4,)


def test_hostile_arguments_are_refused():
    with pytest.raises(ValueError, match="count_mean"):
        ZeroInflatedNegativeBinomial(torch.tensor(-1.0), 1.0, 0.0, validate_args=True)
    with pytest.raises(ValueError, match="dispersion"):
        ZeroInflatedNegativeBinomial(torch.tensor(1.0), 0.0, 0.0, validate_args=True)
    p = ZeroInflatedNegativeBinomial(torch.tensor(1.0), 1.0, 0.0, validate_args=True)
    with pytest.raises(ValueError, match="support"):
        p.log_prob(torch.tensor(-1.0))
