"""Standard deviations sigma(z) of a normal likelihood: constant, a network, or RBF precision."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pullback.errors import InvalidParameterError, check_integer, check_number
from pullback.shapes import Ambient, Data, Latent

__all__ = ["ConstantStd", "NetworkStd", "RBFPrecision"]


class ConstantStd(nn.Module):
    """The same standard deviation everywhere: sigma_j(z) = s for every feature j.

    Args:
        data_dim: the data dimension D.
        std: the standard deviation s > 0, in the unit of the data.
        learned: whether s is a parameter, trained along with the rest ("calibrated").

    Raises:
        InvalidParameterError: a value is out of range.

    Source:
        Rybkin, Daniilidis and Levine, "Simple and Effective VAE Training with Calibrated
        Decoders", 2021, for the learned one.

    Example:
        >>> ConstantStd(3, 0.5)(torch.zeros(2))
        tensor([0.5000, 0.5000, 0.5000])
    """

    log_std: Tensor

    def __init__(self, data_dim: int, std: float = 0.15, *, learned: bool = False) -> None:
        super().__init__()
        self.data_dim = check_integer("data_dim", data_dim)
        log_std = torch.tensor(math.log(check_number("std", std, 0.0, open_low=True)))
        if learned:
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std)

    @torch.no_grad()
    def set_level(self, std: float) -> None:
        """Set s."""
        self.log_std.fill_(math.log(check_number("std", std, 0.0, open_low=True)))

    def forward(self, z: Latent) -> Data:
        """Map z `(*batch, d)` to sigma `(*batch, D)`."""
        return self.log_std.exp().expand(*z.shape[:-1], self.data_dim)


class NetworkStd(nn.Module):
    """A network's standard deviation: sigma(z) = min_std + s softplus(f(z)).

    The unit s is 1 until `set_level` puts the level of the noise in its place, so that f has to
    give numbers of order 1 for data of any scale.
    It interpolates where there are data; away from them its values mean nothing.

    Args:
        network: f, maps z `(*batch, d)` to `(*batch, D)`.
        min_std: the smallest standard deviation > 0, in the unit of the data.

    Raises:
        InvalidParameterError: `min_std` is not positive.

    Example:
        >>> from pullback.models import mlp
        >>> NetworkStd(mlp([2, 8, 5]), min_std=0.01)(torch.zeros(3, 2)).shape
        torch.Size([3, 5])
    """

    def __init__(self, network: nn.Module, min_std: float = 0.02) -> None:
        super().__init__()
        self.network = network
        min_std = check_number("min_std", min_std, 0.0, open_low=True)
        self.min_std: Tensor
        self.register_buffer("min_std", torch.tensor(min_std))
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(1.0))

    @torch.no_grad()
    def set_level(self, std: float, min_std: float | None = None) -> None:
        """Take `std` as the unit s, and shift the last bias so that sigma starts near it.

        Args:
            std: the standard deviation to start from.
            min_std: a new smallest standard deviation; the present one if None.
        """
        if min_std is not None:
            self.min_std.fill_(min_std)
        last = [module for module in self.network.modules() if isinstance(module, nn.Linear)][-1]
        self.scale.fill_(std)
        floor = float(self.min_std) / std
        excess = max(1 - floor, 0.1 * floor)
        last.bias.fill_(excess + math.log(-math.expm1(-excess)))  # the inverse of softplus

    def forward(self, z: Latent) -> Data:
        """Map z `(*batch, d)` to sigma `(*batch, D)`."""
        raw: Tensor = self.network(z)
        return self.min_std + self.scale * softplus(raw)


class RBFPrecision(nn.Module):
    """A standard deviation that grows away from the data: a positive RBF network of precision.

    `beta(z) = W v(z) + zeta`, `v_k(z) = exp(-lambda_k |z - c_k|^2)`, `sigma(z) = beta(z)^(-1/2)`.
    Far from every centre sigma tends to `zeta^(-1/2)`: the model knows what it does not know.

    Args:
        centers: c, `(K, d)`.
        bandwidths: lambda > 0, `(K,)`, in the unit of 1 / |z|^2.
        weights: W > 0, `(D, K)`, in the unit of 1 / x^2.
        zeta: the precision > 0 far away from the centres.

    Raises:
        InvalidParameterError: shapes that do not fit, or numbers that are not positive.

    Source:
        Arvanitidis, Hansen and Hauberg, "Latent Space Oddity", 2018.

    Example:
        >>> std = RBFPrecision(torch.zeros(1, 2), torch.ones(1), 100 * torch.ones(3, 1), 1e-4)
        >>> std(torch.tensor([[0.0, 0.0], [9.0, 9.0]]))[:, 0].round(decimals=2)
        tensor([  0.1000, 100.0000])
    """

    centers: Tensor
    bandwidths: Tensor
    weights: Tensor
    zeta: Tensor

    def __init__(self, centers: Tensor, bandwidths: Tensor, weights: Tensor, zeta: float) -> None:
        super().__init__()
        zeta = check_number("zeta", zeta, 0.0, open_low=True)
        if centers.ndim != 2:
            raise InvalidParameterError("centers", "of shape (K, d)", tuple(centers.shape))
        if bandwidths.shape != centers.shape[:1] or not bool((bandwidths > 0).all()):
            raise InvalidParameterError("bandwidths", f"positive, ({len(centers)},)", bandwidths)
        if weights.ndim != 2 or weights.shape[1] != len(centers) or not bool((weights > 0).all()):
            allowed = f"positive, (D, {len(centers)})"
            raise InvalidParameterError("weights", allowed, tuple(weights.shape))
        # Buffers and no parameters: the fit keeps the weights positive, which an optimiser would
        # not.
        self.register_buffer("centers", centers)
        self.register_buffer("bandwidths", bandwidths)
        self.register_buffer("weights", weights)
        self.register_buffer("zeta", centers.new_tensor(zeta))

    @classmethod
    def flat(cls, n_centers: int, latent_dim: int, data_dim: int, std: float) -> "RBFPrecision":
        """Return one that has not seen data: sigma = `std` wherever z is.

        Args:
            n_centers: number of centres K.
            latent_dim: the latent dimension d.
            data_dim: the data dimension D.
            std: the constant standard deviation > 0.

        Returns:
            The module, with centres at the origin and negligible weights.

        Example:
            >>> RBFPrecision.flat(4, 2, 3, 0.5)(torch.zeros(2))
            tensor([0.5000, 0.5000, 0.5000])
        """
        zeta = check_number("std", std, 0.0, open_low=True) ** -2
        weights = torch.full((data_dim, n_centers), 1e-12 * zeta)
        return cls(torch.zeros(n_centers, latent_dim), torch.ones(n_centers), weights, zeta)

    @torch.no_grad()
    def set_(self, other: "RBFPrecision") -> None:
        """Take over the values of another one of the same shape."""
        for name, buffer in self.named_buffers():
            buffer.copy_(getattr(other, name))

    def with_weights(self, weights: Tensor) -> "RBFPrecision":
        """Return one with the same centres, bandwidths and zeta, and other weights `(D, K)`."""
        return RBFPrecision(self.centers, self.bandwidths, weights, float(self.zeta))

    def kernels(self, z: Latent) -> Ambient:
        """Return v(z), `(*batch, K)`."""
        # Differences first: |z|^2 - 2 z.c + |c|^2 cancels, and cdist has no second derivative.
        squared = (z.unsqueeze(-2) - self.centers).square().sum(-1)
        exponent = self.bandwidths * squared
        # Denormal numbers would make every product with them a hundred times slower, so what is
        # below 1e-28 in single precision, 1e-230 in double, is zero.
        largest = -0.75 * math.log(torch.finfo(exponent.dtype).tiny)
        return torch.where(exponent < largest, torch.exp(-exponent), 0.0)

    def precision(self, z: Latent) -> Data:
        """Return beta(z), `(*batch, D)`."""
        return self.kernels(z) @ self.weights.T + self.zeta

    def forward(self, z: Latent) -> Data:
        """Map z `(*batch, d)` to sigma `(*batch, D)`."""
        return self.precision(z).rsqrt()
