"""A linear-Gaussian VAE, whose every quantity has a closed form, and those closed forms."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from pullback.models import VAE, ConstantStd, Decoder, GaussianEncoder, NormalLikelihood

MIN_SCALE = 1e-4  # what GaussianEncoder adds to the softplus


@dataclass
class LinearGaussian:
    """x = W z + b + s eps, with q(z|x) = N(A (x - b), diag t^2)."""

    W: np.ndarray
    b: np.ndarray
    s: float
    A: np.ndarray
    t: np.ndarray

    @classmethod
    def random(cls, data_dim: int, latent_dim: int, *, exact: bool, seed: int = 0):
        rng = np.random.default_rng(seed)
        basis = np.linalg.qr(rng.normal(size=(data_dim, latent_dim)))[0]
        W = basis * rng.uniform(0.5, 2.0, latent_dim)  # orthogonal: the true posterior is diagonal
        b, s = rng.normal(size=data_dim), 0.7
        precision = (W**2).sum(0) / s**2 + 1
        A, t = (W / s**2).T / precision[:, None], precision**-0.5
        if not exact:
            A, t = 0.8 * A + 0.05 * rng.normal(size=A.shape), 1.3 * t
        return cls(W, b, s, A, t)

    def vae(self) -> VAE:
        D, d = self.W.shape
        mean, network = nn.Linear(d, D).double(), nn.Linear(D, 2 * d).double()
        raw = np.log(np.expm1(self.t - MIN_SCALE))
        with torch.no_grad():
            mean.weight.copy_(torch.tensor(self.W))
            mean.bias.copy_(torch.tensor(self.b))
            network.weight.copy_(torch.tensor(np.vstack([self.A, np.zeros_like(self.A)])))
            network.bias.copy_(torch.tensor(np.concatenate([-self.A @ self.b, raw])))
        std = ConstantStd(D, 1.0).double()
        std.log_std.fill_(math.log(self.s))
        decoder = Decoder(mean, NormalLikelihood(std))
        return VAE.from_modules(GaussianEncoder(network, d), decoder)

    def draw(self, n: int, seed: int = 1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        D, d = self.W.shape
        return rng.normal(size=(n, d)) @ self.W.T + self.b + self.s * rng.normal(size=(n, D))

    def log_marginal(self, x: np.ndarray) -> np.ndarray:
        covariance = self.W @ self.W.T + self.s**2 * np.eye(len(self.b))
        return stats.multivariate_normal(self.b, covariance).logpdf(x)

    def kl(self, x: np.ndarray) -> np.ndarray:
        m = (x - self.b) @ self.A.T
        return 0.5 * (m**2 + self.t**2 - 1 - np.log(self.t**2)).sum(-1)

    def reconstruction(self, x: np.ndarray) -> np.ndarray:
        m = (x - self.b) @ self.A.T
        squared = ((x - self.b - m @ self.W.T) ** 2).sum(-1) + ((self.W * self.t) ** 2).sum()
        return -0.5 * len(self.b) * np.log(2 * np.pi * self.s**2) - 0.5 * squared / self.s**2


def as_array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()
