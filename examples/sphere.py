"""Geodesics on a manifold that everyone knows: the sphere in stereographic coordinates.

The immersion is a function from the plane to the unit sphere. Distances in the plane mean nothing
there; the pulled-back metric restores the arcs of great circles.
"""

import torch

import pullback as pb


def stereographic(z: torch.Tensor) -> torch.Tensor:
    """Map the plane to the unit sphere, from the south pole at the origin."""
    squared = z.square().sum(-1, keepdim=True)
    return torch.cat([2 * z, squared - 1], -1) / (1 + squared)


def run() -> float:
    """Print geodesics and return the largest error of their lengths."""
    sphere = pb.Manifold(stereographic, dim=2)
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 10, 2, generator=generator, dtype=torch.float64)
    result = sphere.geodesic(a, b)
    print(result)
    great_circle = (stereographic(a) * stereographic(b)).sum(-1).clamp(-1, 1).arccos()
    error = float((result.length / great_circle - 1).abs().max())
    print(f"largest relative error against arcs of great circles: {error:.1e}")
    return error


if __name__ == "__main__":
    run()
