import pytest
import torch
from torch.distributions import Bernoulli, Gamma, Normal

from pullback.randomness import draw, seed_from, seeded


def test_draw_leaves_the_global_state_alone_and_advances_the_generator():
    generator = torch.Generator().manual_seed(3)
    before = torch.get_rng_state()
    first = draw(Normal(torch.zeros(4), 1.0), (2,), generator)
    second = draw(Normal(torch.zeros(4), 1.0), (2,), generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)
    again = draw(Normal(torch.zeros(4), 1.0), (2,), torch.Generator().manual_seed(3))
    assert torch.equal(first, again)


def test_draw_is_reparametrised_where_it_can_be():
    rate = torch.ones(3, requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    draw(Gamma(torch.full((3,), 2.0), rate), (), generator).sum().backward()
    assert rate.grad is not None
    assert not draw(Bernoulli(torch.full((3,), 0.5)), (), generator).requires_grad


@pytest.mark.slow
def test_draws_have_the_right_moments():
    generator = torch.Generator().manual_seed(0)
    many = torch.stack([draw(Normal(1.0, 2.0), (5,), generator) for _ in range(4000)])
    assert abs(float(many.mean()) - 1) < 0.06
    assert abs(float(many.std()) - 2) < 0.06
    assert abs(float(torch.corrcoef(many.T)[0, 1])) < 0.06


def test_seeded_restores_the_state_after_an_error():
    before = torch.get_rng_state()
    try:
        with seeded(1):
            torch.randn(3)
            raise KeyError
    except KeyError:
        pass
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_of_neighbours_differ():
    assert len({seed_from(0, stage, epoch) for stage in range(3) for epoch in range(100)}) == 300
