import numpy as np
import pytest
import torch
from matplotlib.colors import SymLogNorm

import pullback as pb
from pullback.errors import InvalidDataError
from pullback.manifolds.reference import HalfPlane, paraboloid, torus
from pullback.plots import curvature
from pullback.plots.style import new_axes

Z = torch.tensor([[-2.0, -3.0], [2.0, 3.0]])


@pytest.mark.slow
def test_the_curvature_of_a_torus_is_drawn_around_zero():
    manifold = pb.Manifold(torus, dim=2)
    ax = curvature(manifold, Z, resolution=24)
    (image,) = ax.images
    bottom, top = image.get_extent()[2:]
    v = np.linspace(bottom, top, 24)
    K = np.cos(v) / (2 + np.cos(v))
    np.testing.assert_allclose(image.get_array(), np.repeat(K[:, None], 24, 1), atol=1e-6)
    low, high = image.get_clim()
    assert low == -high
    assert not isinstance(image.norm, SymLogNorm)


def test_decades_are_told_apart():
    image = curvature(pb.Manifold(paraboloid, dim=2), Z, resolution=32).images[0]
    assert isinstance(image.norm, SymLogNorm)
    assert image.get_clim()[0] == -image.get_clim()[1]


@pytest.mark.slow
def test_outside_of_the_space_there_is_no_colour():
    values = curvature(pb.Manifold(HalfPlane()), Z, resolution=8).images[0].get_array()
    assert np.ma.getmaskarray(values)[:4].all() or np.isnan(np.ma.getdata(values)[:4]).all()
    np.testing.assert_allclose(values[4:], -1)
    everywhere = pb.Manifold(lambda z: z[..., :1], dim=2)  # singular
    assert curvature(everywhere, Z, resolution=4).images


@pytest.mark.slow
def test_the_given_axes_are_drawn_on_and_a_map_needs_a_plane():
    ax = new_axes()
    assert curvature(pb.Manifold(lambda z: z, dim=2), Z, resolution=4, ax=ax) is ax
    with pytest.raises(InvalidDataError, match="two latent dimensions"):
        curvature(pb.Manifold(lambda z: z, dim=3), torch.eye(3))
