"""Step sizes find the acceptance that they are to have."""

import pytest
import torch

from pullback.sampling.chains.step_size import StepSize


@pytest.mark.parametrize("guess", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("target", [0.57, 0.8])
def test_dual_averaging_finds_the_root(guess, target):
    size = StepSize.start(torch.ones(3, dtype=torch.float64), guess)
    scale = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    for _ in range(500):
        size = size.update(torch.exp(-size.log_step.exp() / scale), target=target)
    acceptance = torch.exp(-size.adapted / scale)
    assert torch.allclose(acceptance, torch.full_like(acceptance, target), atol=0.03)


def test_without_an_update_it_is_the_guess():
    size = StepSize.start(torch.ones(2), 0.25)
    assert torch.allclose(size.adapted, torch.tensor(0.25))
    assert torch.allclose(size.log_step.exp(), torch.tensor(0.25))
