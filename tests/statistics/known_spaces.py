"""What the tests of estimators on geodesic distances share: spaces whose truth is known."""

import warnings

import numpy as np
import torch

from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, stereographic
from pullback.metrics import PullbackMetric


def identity(z):
    return z


def broken_beyond_three(z):
    """A flat space in which nothing right of 3 can be decoded."""
    return torch.where(z[..., :1] > 3, torch.nan, z)


FLAT = Manifold(PullbackMetric(identity))  # of any dimension
SPHERE = Manifold(stereographic, dim=2)
HALF_PLANE = Manifold(HalfPlane(), dim=2)
BROKEN = Manifold(broken_beyond_three, dim=2)


def clusters(n=12, seed=0, spread=0.3, d=2):
    """Three groups of n points, and their labels."""
    rng = np.random.default_rng(seed)
    centers = np.pad(np.array([[0.0, 0.0], [3.0, 0.5], [1.0, 3.0]]), [(0, 0), (0, d - 2)])
    Z = np.concatenate([c + spread * rng.normal(size=(n, d)) for c in centers])
    return Z, np.repeat([0, 1, 2], n)


def upper_points(n, seed=0):
    """Points of the half-plane."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(size=n), np.exp(0.6 * rng.normal(size=n))], -1)


def upper_distances(a, b):
    """All distances between points of the half-plane, in closed form."""
    a, b = (torch.as_tensor(p) for p in (a, b))
    a, b = torch.broadcast_tensors(a[:, None], b)
    return HalfPlane().dist(a, b).numpy()


def quietly(function, *args, **options):
    """Call a function whose warnings are not what is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)
