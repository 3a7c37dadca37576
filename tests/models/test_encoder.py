"""What an encoder makes of the numbers of its network."""

import pytest
import torch
from torch import nn

from pullback.errors import InvalidParameterError
from pullback.models import GaussianEncoder


def test_the_spread_is_the_softplus_and_never_below_its_floor():
    raw = torch.tensor([[0.3, -0.2, -1000.0, 2.0]])
    q = GaussianEncoder(nn.Identity(), 2)(raw)
    assert q.mean.tolist() == raw[:, :2].tolist()
    spread = torch.log(1 + raw[:, 2:].exp()) + 1e-4
    torch.testing.assert_close(q.stddev, spread, rtol=1e-6, atol=0)
    assert q.log_prob(q.mean).isfinite().all()


def test_a_network_of_another_width_is_refused():
    with pytest.raises(InvalidParameterError, match="4 outputs.*got one with 5"):
        GaussianEncoder(nn.Identity(), 2)(torch.zeros(1, 5))
