"""A sphere, a hill to go round, and lines that are bent aside: what searches begin from."""

import torch

from pullback.curves import straight_line
from pullback.manifolds.reference import stereographic
from pullback.metrics import PullbackMetric

SPHERE = PullbackMetric(stereographic)
A, B = torch.tensor([-0.5, 0.3]).double(), torch.tensor([0.6, 0.3]).double()


def hill(z, height=1.5, width=0.5):
    """The graph of a bell over the plane, which short ways go round."""
    top = height * (-(z / width).square().sum(-1, keepdim=True) / 2).exp()
    return torch.cat([z, top], -1)


HILL = PullbackMetric(hill)


def bulge(a, b, share, n=65):
    """The line from a to b with a sine added that is as high as a share of its length."""
    line = straight_line(a[None], b[None], n - 1)[0]
    aside = torch.stack([a[1] - b[1], b[0] - a[0]])
    t = torch.linspace(0, torch.pi, n, dtype=a.dtype)[:, None]
    return line + share * t.sin() * aside
