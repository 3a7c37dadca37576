"""24 kinds of decoders, tame to hostile, each with an evaluator that owes nothing to pullback.

A kind makes a decoder for a latent dimension and a seed, and says in formulas of its own, written
here from the literature, how long a small step in its latent space is.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Gamma, Normal

import pullback as pb

__all__ = ["KINDS", "Case", "Kind"]

_HIDDEN, _OUT = 32, 20


class Case(NamedTuple):
    """A decoder to be measured, and the truth about it.

    Attributes:
        source: what `Manifold` is made of.
        squared_chords: squared lengths of the steps between neighbours among points
            `(*batch, n, d)`, shape `(*batch, n - 1)`, differentiable, in double precision.
        codes: points to cover, shape `(n, d)`.
    """

    source: Any
    squared_chords: Callable[[Tensor], Tensor]
    codes: Tensor


class Kind(NamedTuple):
    """A kind of decoder.

    Attributes:
        make: dimension and generator to a case.
        dims: the latent dimensions that it exists in.
    """

    make: Callable[[int, torch.Generator], Case]
    dims: tuple[int, ...] = (1, 2, 3, 5, 10)


def _draw(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _codes(generator: torch.Generator, dim: int, spread: float = 1.5, n: int = 150) -> Tensor:
    return spread * _draw(generator, n, dim)


def _of_image(
    source: Any, image: Callable[[Tensor], Tensor], codes: Tensor, signature: Tensor | None = None
) -> Case:
    """The length of a step is that of the difference between images."""

    def squared_chords(points: Tensor) -> Tensor:
        squared = image(points).diff(dim=-2).square()
        return (squared if signature is None else squared * signature).sum(-1)

    return Case(source, squared_chords, codes)


def _initialise(module: nn.Module, generator: torch.Generator, gain: float) -> nn.Module:
    """Draw weights with variance gain^2 / inputs and biases of size 1/2, whatever the layer."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "norm" in name:
                continue
            size = gain / weight[0].numel() ** 0.5 if weight.ndim > 1 else 0.5
            weight.copy_(size * torch.randn(weight.shape, generator=generator))
    return module.eval()


def _of_module(
    make: Callable[[int], nn.Module], dim: int, generator: torch.Generator, gain: float = 1.5
) -> Case:
    module = _initialise(make(dim), generator, gain)
    exact = _initialise(make(dim), generator, gain)
    exact.load_state_dict(module.state_dict())
    exact = exact.double().requires_grad_(False)

    def image(z: Tensor) -> Tensor:
        return exact(z.reshape(-1, dim)).reshape(*z.shape[:-1], -1)

    return _of_image(module, image, _codes(generator, dim))


def _network(dim: int, activation: Callable[[], nn.Module], out: int = _OUT) -> nn.Sequential:
    layers = [nn.Linear(dim, _HIDDEN), activation(), nn.Linear(_HIDDEN, _HIDDEN), activation()]
    network = nn.Sequential(*layers, nn.Linear(_HIDDEN, out))
    network.latent_dim = dim
    return network


class _Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


class _Residual(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent_dim = dim
        self.enter, self.leave = nn.Linear(dim, _HIDDEN), nn.Linear(_HIDDEN, _OUT)
        self.blocks = nn.ModuleList(nn.Linear(_HIDDEN, _HIDDEN) for _ in range(4))

    def forward(self, z: Tensor) -> Tensor:
        h = self.enter(z)
        for block in self.blocks:
            h = h + 0.5 * block(h).tanh()
        return self.leave(h)


class _Normalised(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent_dim = dim
        self.first, self.norm = nn.Linear(dim, _HIDDEN), nn.LayerNorm(_HIDDEN)
        self.last = _network(_HIDDEN, nn.Tanh)

    def forward(self, z: Tensor) -> Tensor:
        # The squares keep the variance that it divides by away from 0, so that it is smooth.
        h = self.first(z)
        return self.last(self.norm(h + 0.1 * h.square()))


class _Attention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent_dim = dim
        self.embed = nn.Linear(dim, 4 * 16)
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
        self.leave = nn.Linear(64, _OUT)

    def forward(self, z: Tensor) -> Tensor:
        tokens = self.embed(z).tanh().unflatten(-1, (4, 16))
        mixed, _ = self.attend(3 * tokens, 3 * tokens, tokens, need_weights=False)
        return self.leave((tokens + mixed).flatten(1))


class _Convolution(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent_dim = dim
        self.enter = nn.Linear(dim, 8 * 4)
        self.up = nn.ConvTranspose1d(8, 8, 4, stride=2, padding=1)
        self.leave = nn.Conv1d(8, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.enter(z).tanh().unflatten(-1, (8, 4))
        return self.leave(self.up(h).tanh()).flatten(1)


def _couplings(dim: int, generator: torch.Generator, strength: float) -> Callable[[Tensor], Tensor]:
    """Curved coordinates of the whole space: additive couplings, which can be undone."""
    shifts = [(_draw(generator, dim, 8), _draw(generator, 8, dim)) for _ in range(4)]

    def bent(z: Tensor) -> Tensor:
        for k, (enter, leave) in enumerate(shifts):
            kept = (torch.arange(dim, device=z.device) % 2 == k % 2).to(z)
            z = z + strength * (1 - kept) * (((z * kept) @ enter.to(z)).tanh() @ leave.to(z))
        return z

    return bent


def _flow(dim: int, generator: torch.Generator) -> Case:
    """Flat space in curved coordinates, so that distances are known."""
    bent = _couplings(dim, generator, 0.5)
    return _of_image(bent, bent, _codes(generator, dim))


def _rbf(dim: int, generator: torch.Generator, *, n_centres: int = 30, share: float = 1.0) -> Case:
    """A mean, and a standard deviation that grows away from centres: the paper's decoder.

    The bandwidth is a share of the mean distance of a centre from its nearest neighbour.
    """
    codes = _codes(generator, dim)
    mean = _initialise(_network(dim, nn.Tanh), generator, 1.0).double().requires_grad_(False)
    centres = codes[:n_centres]
    spacing = torch.cdist(centres, centres).fill_diagonal_(torch.inf).amin(-1).mean()
    weight = _draw(generator, n_centres, _OUT).abs() + 0.5
    bandwidth = float(share * spacing)

    def image(z: Tensor) -> Tensor:
        squared = torch.cdist(z.reshape(-1, dim), centres).square()
        near = (-squared / (2 * bandwidth**2)).exp()
        std = (near @ weight + 0.04).rsqrt()
        return torch.cat([mean(z), std.reshape(*z.shape[:-1], -1)], -1)

    return _of_image(_RBF(mean, centres, weight, bandwidth), image, codes)


class _RBF(nn.Module):
    def __init__(self, mean: nn.Module, centres: Tensor, weight: Tensor, bandwidth: float) -> None:
        super().__init__()
        self.latent_dim, self.mean, self.bandwidth = centres.shape[1], mean, bandwidth
        self.register_buffer("centres", centres)
        self.register_buffer("weight", weight)

    def forward(self, z: Tensor) -> Normal:
        gap = (z.unsqueeze(-2) - self.centres).square().sum(-1)
        near = (-gap / (2 * self.bandwidth**2)).exp()
        return Normal(self.mean(z), (near @ self.weight + 0.04).rsqrt())


def _walls(dim: int, generator: torch.Generator) -> Case:
    """Sharp steps across random hyperplanes, on top of a gentle slope."""
    normals = torch.nn.functional.normalize(_draw(generator, dim, 4), dim=0)
    offsets, heights = _draw(generator, 4), 2 + _draw(generator, 4).abs()
    slope = _draw(generator, dim, 8) / dim**0.5

    def image(z: Tensor) -> Tensor:
        across = (z @ normals.to(z) - offsets.to(z)) * 20
        return torch.cat([z @ slope.to(z), heights.to(z) * across.tanh()], -1)

    return _of_image(image, image, _codes(generator, dim))


def _aniso(dim: int, generator: torch.Generator) -> Case:
    """Curved coordinates, then a stretch: the metric's condition is between 10^4 and 10^6."""
    bent = _couplings(dim, generator, 0.1)
    power = 2 + float(_draw(generator, 1).abs().clamp(max=1))
    stretch = torch.logspace(0, -power, dim, dtype=torch.float64)
    turn = torch.linalg.qr(_draw(generator, dim, dim))[0] * stretch
    bend = _draw(generator, dim, _OUT)

    def image(z: Tensor) -> Tensor:
        x = bent(z) @ turn.to(z)
        return torch.cat([3 * x, (x @ bend.to(z)).sin()], -1)

    return _of_image(image, image, _codes(generator, dim))


def _bumps(dim: int, generator: torch.Generator) -> Case:
    """The plane with steep hills on it, between which curves find several ways."""
    codes = _codes(generator, dim)
    centres, heights = codes[:20] / 2 + codes[20:40] / 2, 2 + 2 * _draw(generator, 20).abs()
    width = 0.3 * dim**0.5

    def image(z: Tensor) -> Tensor:
        squared = (z.unsqueeze(-2) - centres.to(z)).square().sum(-1)
        hill = (heights.to(z) * (-squared / (2 * width**2)).exp()).sum(-1, keepdim=True)
        return torch.cat([z, hill], -1)

    return _of_image(image, image, codes)


def _torus(dim: int, generator: torch.Generator) -> Case:
    """Each circle carries the next, so that ways inside and outside differ in length."""
    ratio = 0.5 + 0.4 * torch.rand(dim, generator=generator, dtype=torch.float64)

    def image(z: Tensor) -> Tensor:
        radius, parts = torch.ones_like(z[..., :1]), []
        for k in range(z.shape[-1]):
            angle = z[..., k : k + 1]
            parts += [radius * angle.cos(), radius * angle.sin()]
            radius = radius * (1 + ratio[k].to(z) * angle.cos())
        return torch.cat(parts, -1)

    return _of_image(image, image, _codes(generator, dim))


def _sphere(dim: int, generator: torch.Generator) -> Case:
    """The sphere in stereographic coordinates."""

    def image(z: Tensor) -> Tensor:
        s = z.square().sum(-1, keepdim=True)
        return torch.cat([2 * z, s - 1], -1) / (s + 1)

    return _of_image(image, image, _codes(generator, dim, 1.0))


class _Hyperbolic(pb.metrics.Metric):
    def metric_matrix(self, z: Tensor) -> Tensor:
        scale = 4 / (1 - z.square().sum(-1)).square()
        eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        return scale[..., None, None] * eye


def _hyperbolic(dim: int, generator: torch.Generator) -> Case:
    """The Poincare ball, measured in Minkowski space, where it is the hyperboloid."""
    codes = 0.9 * torch.tanh(_codes(generator, dim) / dim**0.5 / 1.5) / dim**0.5

    def image(z: Tensor) -> Tensor:
        s = z.square().sum(-1, keepdim=True)
        return torch.cat([2 * z, 1 + s], -1) / (1 - s)

    signature = torch.tensor([1.0] * dim + [-1.0], dtype=torch.float64)
    return _of_image(_Hyperbolic(dim), image, codes, signature)


def _bernoulli(logits: Tensor) -> Tensor:
    return 2 * (logits / 2).exp().atan()  # 2 arcsin(sqrt(p))


def _categorical(logits: Tensor) -> Tensor:
    return 2 * logits.unflatten(-1, (4, 5)).softmax(-1).sqrt().flatten(-2)


def _of_likelihood(
    name: str,
    output: Callable[[Tensor], Any],
    root: Callable[[Tensor], Tensor],
    dim: int,
    generator: torch.Generator,
) -> Case:
    """A network whose output is read as a likelihood, and that one's variance-stabilising map."""
    network = _initialise(_network(dim, nn.Tanh), generator, 1.5)
    exact = _network(dim, nn.Tanh).double()
    exact.load_state_dict(network.state_dict())
    exact.requires_grad_(False)
    source = pb.Decoder(network, name, latent_dim=dim, output=output)
    return _of_image(source, lambda z: root(exact(z)), _codes(generator, dim))


def _same(x: Tensor) -> Tensor:
    return x


def _in_classes(x: Tensor) -> Tensor:
    return x.unflatten(-1, (4, 5))


def _rate(x: Tensor) -> Tensor:
    return x.exp()


class _GammaDecoder(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.latent_dim, self.network = dim, _network(dim, nn.Tanh)

    def parameters_at(self, z: Tensor) -> tuple[Tensor, Tensor]:
        shape, rate = self.network(z).chunk(2, -1)
        return 0.2 + torch.nn.functional.softplus(shape), 0.2 + torch.nn.functional.softplus(rate)

    def forward(self, z: Tensor) -> Gamma:
        return Gamma(*self.parameters_at(z))


def _gamma(dim: int, generator: torch.Generator) -> Case:
    """The Fisher information of the gamma family, which has no flat image."""
    module = _initialise(_GammaDecoder(dim), generator, 1.5)
    exact = _GammaDecoder(dim).double()
    exact.load_state_dict(module.state_dict())
    exact.requires_grad_(False)

    def squared_chords(points: Tensor) -> Tensor:
        shape, rate = exact.parameters_at(points)
        s, r = ((x[..., 1:, :] + x[..., :-1, :]) / 2 for x in (shape, rate))
        ds, dr = shape.diff(dim=-2), rate.diff(dim=-2)
        squared = torch.polygamma(1, s) * ds**2 - 2 * ds * dr / r + s * (dr / r) ** 2
        return squared.sum(-1)

    return Case(module, squared_chords, _codes(generator, dim))


def _ensemble(dim: int, generator: torch.Generator) -> Case:
    members = [_initialise(_network(dim, nn.Tanh), generator, 1.5) for _ in range(3)]
    exact = [_network(dim, nn.Tanh).double() for _ in members]
    for copy, member in zip(exact, members, strict=True):
        copy.load_state_dict(member.state_dict())
        copy.requires_grad_(False)

    def image(z: Tensor) -> Tensor:
        return torch.cat([copy(z) for copy in exact], -1) / len(exact) ** 0.5

    return _of_image(members, image, _codes(generator, dim))


def _net(activation: Callable[[], nn.Module], gain: float = 1.5) -> Kind:
    return Kind(partial(_of_module, partial(_network, activation=activation), gain=gain))


KINDS: dict[str, Kind] = {
    "tanh": _net(nn.Tanh),
    "softplus": _net(nn.Softplus, 2.0),
    "gelu": _net(nn.GELU, 2.0),
    "silu": _net(nn.SiLU, 2.0),
    "relu": _net(nn.ReLU, 2.0),
    "sine": _net(_Sine),
    "residual": Kind(partial(_of_module, _Residual)),
    "layer norm": Kind(partial(_of_module, _Normalised)),
    "attention": Kind(partial(_of_module, _Attention)),
    "convolution": Kind(partial(_of_module, _Convolution)),
    "flow": Kind(_flow, (2, 3, 5, 10)),
    "rbf": Kind(_rbf),
    "narrow": Kind(partial(_rbf, n_centres=12, share=0.1)),
    "walls": Kind(_walls),
    "aniso": Kind(_aniso, (2, 3, 5, 10)),
    "bumps": Kind(_bumps),
    "torus": Kind(_torus, (2, 3, 5, 10)),
    "sphere": Kind(_sphere),
    "hyperbolic": Kind(_hyperbolic, (2, 3, 5, 10)),
    "bernoulli": Kind(partial(_of_likelihood, "bernoulli", _same, _bernoulli)),
    "categorical": Kind(partial(_of_likelihood, "categorical", _in_classes, _categorical)),
    "poisson": Kind(partial(_of_likelihood, "poisson", _rate, lambda x: 2 * (x / 2).exp())),
    "gamma": Kind(_gamma),
    "ensemble": Kind(_ensemble),
}
