"""Decoders of many kinds, as people bring them."""

import torch
import torch.nn.functional as F
from torch import nn


class Images(nn.Module):
    """A linear stem, and layers on images of 2 channels and 4 x 4 pixels."""

    def __init__(self, *layers):
        super().__init__()
        self.stem = nn.Linear(2, 32)
        self.layers = nn.Sequential(*layers)

    def forward(self, z):
        return self.layers(self.stem(z).reshape(-1, 2, 4, 4))


class Attention(nn.Module):
    def __init__(self, multi_head):
        super().__init__()
        self.stem = nn.Linear(2, 16)
        self.heads = nn.MultiheadAttention(4, 2, batch_first=True) if multi_head else None

    def forward(self, z):
        x = self.stem(z).reshape(-1, 4, 4)
        if self.heads is None:
            return F.scaled_dot_product_attention(x, x, x)
        return self.heads(x, x, x, need_weights=False)[0]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, z):
        for _ in range(3):
            z = z + torch.tanh(self.layer(z))
        return z


class CouplingFlow(nn.Module):
    """A normalising flow of two affine coupling layers."""

    def __init__(self):
        super().__init__()
        self.scale = nn.ModuleList(nn.Linear(1, 1) for _ in range(2))
        self.shift = nn.ModuleList(nn.Linear(1, 1) for _ in range(2))

    def forward(self, z):
        a, b = z[..., :1], z[..., 1:]
        for scale, shift in zip(self.scale, self.shift, strict=True):
            a, b = b * torch.exp(torch.tanh(scale(a))) + shift(a), a
        return torch.cat([a, b], -1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(2, 4, batch_first=True)

    def forward(self, z):
        return self.cell(z.unsqueeze(1).expand(-1, 5, -1))[0]


def act(layer):
    return nn.Sequential(nn.Linear(2, 8), layer, nn.Linear(8, 5))


MODELS = {
    "tanh": lambda: act(nn.Tanh()),
    "silu": lambda: act(nn.SiLU()),
    "mish": lambda: act(nn.Mish()),
    "gelu": lambda: act(nn.GELU()),
    "softplus": lambda: act(nn.Softplus()),
    "glu": lambda: nn.Sequential(nn.Linear(2, 8), nn.GLU(), nn.Linear(4, 5)),
    "layer norm": lambda: nn.Sequential(nn.Linear(2, 8), nn.LayerNorm(8), nn.Tanh()),
    "layer norm, last": lambda: nn.Sequential(
        nn.Linear(2, 8), nn.Tanh(), nn.LayerNorm(8, elementwise_affine=False)
    ),
    "batch norm": lambda: nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh()),
    "group norm": lambda: Images(nn.GroupNorm(2, 2), nn.Tanh()),
    "instance norm": lambda: Images(nn.InstanceNorm2d(2, affine=True), nn.Tanh()),
    "convolution": lambda: Images(nn.Conv2d(2, 3, 3), nn.Tanh()),
    "transposed convolution": lambda: Images(nn.ConvTranspose2d(2, 3, 3, stride=2), nn.Sigmoid()),
    "upsampling": lambda: Images(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Tanh()),
    "attention": lambda: Attention(False),
    "multi-head attention": lambda: Attention(True),
    "transformer": lambda: nn.Sequential(
        nn.Linear(2, 16),
        nn.Unflatten(1, (4, 4)),
        nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation="gelu", batch_first=True),
    ),
    "residual": Residual,
    "flow": CouplingFlow,
    "recurrent": Recurrent,
}
