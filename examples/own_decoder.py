"""Bring your own decoder: any module or function whose output is a tensor or a distribution."""

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent

import pullback as pb


class Decoder(nn.Module):
    """A decoder as one might have at hand: 2 latent dimensions, 20 binary outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 20))

    def forward(self, z: Tensor) -> Independent:
        """Return p(x|z), a product of Bernoulli distributions."""
        return Independent(Bernoulli(logits=3 * self.network(z)), 1)


def run() -> Tensor:
    """Print geodesics in the Fisher-Rao metric of the decoder and return their lengths."""
    torch.manual_seed(0)
    M = pb.Manifold(Decoder(), dim=2)
    a, b = torch.randn(2, 5, 2, dtype=torch.float64)
    result = M.geodesic(a, b)
    print(result)
    print("probabilities half-way:", M.decode(result.points(3)[:, 1])[0, :5].tolist())
    return result.length


if __name__ == "__main__":
    run()
