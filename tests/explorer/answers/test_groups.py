import base64

import numpy as np
import pytest
import torch

from pullback import Manifold
from pullback.explorer import Scene
from pullback.explorer.answers.groups import answer_clusters, answer_neighbors, nearest_center
from pullback.explorer.answers.plain import View
from pullback.explorer.messages import Clusters, Neighbors


@pytest.fixture(scope="module")
def heaps():
    """Two heaps, ten codes each."""
    rng = np.random.default_rng(0)
    codes = torch.as_tensor(rng.normal(size=(20, 2)) / 10)
    codes[10:] += 3
    return Scene("heaps", Manifold(lambda z: 2 * z, dim=2, data=codes), codes)


@pytest.mark.parametrize("distance", ["euclidean", "geodesic"])
def test_clusters_are_the_heaps(heaps, distance):
    view = View()
    found = answer_clusters(heaps, view, Clusters(2, distance))
    labels = np.frombuffer(base64.b64decode(found["labels"]), "u1")
    assert len(labels) == 20
    assert len(set(labels[:10])) == len(set(labels[10:])) == 1
    assert labels[0] != labels[10]
    np.testing.assert_allclose(found["centers"], view.centers)
    assert np.linalg.norm(np.asarray(found["centers"])[labels[10]] - 3) < 0.3


@pytest.mark.parametrize("index", [0, 17])
def test_neighbours_are_those_of_all_distances(scene, index):
    found = answer_neighbors(scene, View(), Neighbors(index, 6, "geodesic"))
    row = scene.manifold.pairwise_dist(scene.Z[index : index + 1], scene.Z, progress=False)[0]
    order = row.argsort()[1:7]
    assert found["indices"] == order.tolist()
    np.testing.assert_allclose(found["distances"], row[order], rtol=1e-4)
    flat = answer_neighbors(scene, View(), Neighbors(index, 6, "euclidean"))
    near = (scene.Z - scene.Z[index]).norm(dim=-1)
    assert flat["indices"] == near.argsort()[1:7].tolist()


def test_all_others_may_be_asked_for(heaps):
    found = answer_neighbors(heaps, View(), Neighbors(3, 19, "geodesic"))
    assert sorted([*found["indices"], 3]) == list(range(20))


@pytest.mark.slow
def test_over_a_table_fields_choose_the_same_neighbours_and_cells(scene):
    table = Scene("table", scene.manifold.tabulated(margin=0.6), scene.Z)
    for index in (0, 17):
        ask = Neighbors(index, 6, "geodesic")
        found, truth = (answer_neighbors(s, View(), ask) for s in (table, scene))
        assert found["indices"] == truth["indices"]
        np.testing.assert_allclose(found["distances"], truth["distances"], rtol=2e-3)
    centers = scene.Z[:3]
    truth = scene.manifold.pairwise_dist(scene.Z, centers, progress=False).argmin(-1)
    found = nearest_center(table, centers, scene.Z)
    assert float((found == truth).double().mean()) > 0.95
