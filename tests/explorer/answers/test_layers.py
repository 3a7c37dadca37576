import base64
import math

import numpy as np
import pytest
import torch

from pullback import Manifold
from pullback.explorer import Scene
from pullback.explorer.answers.layers import answer_layer, layers_of
from pullback.explorer.answers.plain import View
from pullback.explorer.messages import Layer
from pullback.statistics import KernelDensity


def values(found):
    data = np.frombuffer(base64.b64decode(found["data"]), "<f4")
    return data.reshape(found["shape"])


def grid(found):
    (left, bottom), (right, top) = found["box"]
    ny, nx = found["shape"]
    return np.meshgrid(np.linspace(left, right, nx), np.linspace(bottom, top, ny))


def test_the_volume_of_a_paraboloid_from_below(scene):
    found = answer_layer(scene, View(), Layer("log_volume", 16))
    x, y = grid(found)
    np.testing.assert_allclose(values(found), np.log1p(4 * (x**2 + y**2)) / 2, atol=1e-5)
    assert not np.allclose(values(found), values(found).T, atol=1e-3)  # x and y do not look alike


def test_the_curvature_of_a_paraboloid(scene):
    found = answer_layer(scene, View(), Layer("curvature", 12))
    x, y = grid(found)
    np.testing.assert_allclose(values(found), 4 / (1 + 4 * (x**2 + y**2)) ** 2, rtol=1e-4)
    assert found["low"] < found["high"]


def test_the_standard_deviation_is_offered_where_there_is_one():
    def decoder(z):
        return torch.distributions.Normal(z, torch.exp(z[..., :1]).expand_as(z))

    scene = Scene("normal", Manifold(decoder, dim=2), torch.eye(2).double())
    assert "sigma" in [layer["name"] for layer in layers_of(scene)]
    found = answer_layer(scene, View(), Layer("sigma", 8))
    np.testing.assert_allclose(values(found), grid(found)[0], atol=1e-5)


def test_cells_belong_to_labels_or_to_the_clusters(scene):
    found = answer_layer(scene, View(), Layer("cells", 8))
    left, right = values(found)[4, 0], values(found)[4, -1]
    assert (left, right) == (0, 1)  # by the labels, in the order of the alphabet
    view = View(centers=torch.tensor([[0.8, 0.0], [-0.8, 0.0]]).double())
    found = answer_layer(scene, view, Layer("cells", 8))
    assert (values(found)[4, 0], values(found)[4, -1]) == (1, 0)


@pytest.mark.slow
def test_the_density_is_that_of_kernels_over_a_table_and_over_a_graph():
    rng = np.random.default_rng(0)
    codes = torch.as_tensor(rng.normal(size=(40, 2)))
    scale = torch.tensor([1.0, 2.0], dtype=torch.float64)
    manifold = Manifold(lambda z: z * scale.to(z), dim=2, data=codes)
    table = Scene("table", manifold.tabulated(margin=0.6), codes)
    graph = Scene("graph", manifold, codes)
    found = answer_layer(table, View(), Layer("density", 24))
    x, y = grid(found)
    truth = KernelDensity(manifold, volume_density=False).fit(codes)
    points = np.stack([x.ravel(), y.ravel()], -1)
    density = np.exp(truth.score_samples(points)).reshape(x.shape)
    known = np.isfinite(values(found))
    assert known.mean() > 0.4
    np.testing.assert_allclose(
        np.exp(values(found))[known], density[known], atol=0.06 * density.max()
    )
    rough = answer_layer(graph, View(), Layer("density", 8))
    x, y = grid(rough)
    truth = np.exp(truth.score_samples(np.stack([x.ravel(), y.ravel()], -1)))
    np.testing.assert_allclose(np.exp(values(rough)).ravel(), truth, atol=0.15 * truth.max())


def test_a_plane_of_a_space_is_shown_through_the_mean(solid):
    found = answer_layer(solid, View((2, 0)), Layer("log_volume", 8))
    np.testing.assert_allclose(values(found), math.log(6), atol=1e-5)
    np.testing.assert_allclose(found["box"], solid.box[:, [2, 0]])
    found = answer_layer(solid, View((2, 0)), Layer("curvature", 8))
    np.testing.assert_allclose(values(found), 0, atol=1e-6)
