"""Claims that are quick to measure, and of which it is known what comes out."""

import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.manifolds import Manifold
from pullback.reproduction import Claim, Criterion

CALLS = []


def draw(lab, seed, *, shift=0.0, n=10):
    """Return the mean of n normal draws around a shift."""
    CALLS.append(seed)
    values = torch.randn(n, generator=torch.Generator().manual_seed(seed)) + shift
    return {"draws": {"mean": float(values.mean()), "undefined": float("nan")}}


def fail(lab, seed):
    if seed == 1:
        raise InvalidDataError("It broke.")
    return {"row": {"column": 1.0}}


def travel(lab, seed):
    """Find geodesics in the plane, seed + 1 of them, and measure others along a graph."""
    plane, Z = Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double()
    lengths = plane.geodesic(Z[:1].expand(seed + 1, 2), Z[1]).length
    plane.pairwise_dist(Z, method="graph")
    return {"plane": {"length": float(lengths.mean())}}


def look(lab, seed):
    """Measure along a graph alone."""
    Z = torch.eye(2).double()
    distances = Manifold(lambda z: 2 * z, dim=2).pairwise_dist(Z, method="graph")
    return {"plane": {"length": float(distances.max())}}


def claim(key="mean", measure=draw, criteria=None, **settings):
    if criteria is None:
        criteria = [Criterion("The mean is positive.", mean, at_least=0.0, surely=True)]
    quick = {"n": 2} if measure is draw else {}
    return Claim(key, "It is <positive>.", "A source", "Once", "Twice", measure, criteria,
                 settings=settings, quick=quick)  # fmt: skip


def mean(found):
    return found["draws"]["mean"]


@pytest.fixture
def calls():
    CALLS.clear()
    return CALLS
