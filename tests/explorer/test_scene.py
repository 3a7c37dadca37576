import json
import shutil

import numpy as np
import pytest
import torch

from pullback import Manifold
from pullback.errors import InvalidDataError
from pullback.explorer import Column, Explorer, Scene


@pytest.fixture(scope="module")
def copied(run, tmp_path_factory):
    """A copy of the run that may be altered, and its scene."""
    from pullback.runs import Run, RunFolder

    folder = tmp_path_factory.mktemp("explored") / "arcs"
    shutil.copytree(run, folder)
    return folder, Scene.of_run(Run(RunFolder(folder)))


@pytest.mark.slow
def test_a_run_is_explored_with_its_table_labels_and_features(copied):
    from pullback.runs import Run, RunFolder

    folder, scene = copied
    read = Run(RunFolder(folder))
    assert scene.title == "arcs"
    assert scene.has_table
    assert (folder / "table").is_dir()  # where the next start finds it
    torch.testing.assert_close(scene.Z, read.encode(read.data.X))
    label, part, *features = scene.columns
    assert [label.labels[k] for k in label.values] == read.data.y.tolist()
    assert [part.labels[k] == "held-out" for k in part.values] == read.data.test.tolist()
    assert [column.name for column in features] == ["x", "y", "t", "side"]
    raw = read.data.X * read.data.scale + read.data.center
    np.testing.assert_allclose(features[0].values, raw[:, 0])
    np.testing.assert_allclose(
        scene.decode(scene.Z[:5]),
        read.manifold.decode(scene.Z[:5]).numpy() * read.data.scale + read.data.center,
    )


@pytest.mark.slow
def test_a_run_that_is_deleted_while_it_is_open_is_explored_to_the_end(copied, ask, tmp_path):
    from websockets.sync.client import connect

    folder, scene = copied
    asked = [
        {"id": 1, "type": "path", "a": scene.Z[0].tolist(), "b": scene.Z[1].tolist()},
        {"id": 2, "type": "sample", "index": 5},
        {"id": 3, "type": "neighbors", "index": 5, "k": 3},
        {"id": 4, "type": "layer", "name": "log_volume", "resolution": 16},
        {"id": 5, "type": "ball", "point": scene.Z[0].tolist(), "radii": [0.5]},
    ]
    kept = tmp_path / "kept"
    with Explorer(scene, port=0) as explorer:
        address = explorer.url.replace("http", "ws").replace("/?", "/live?")
        with connect(address) as socket:
            before = [ask(socket, message) for message in asked]
            shutil.move(folder, kept)
            try:
                after = [ask(socket, message) for message in asked]
            finally:
                shutil.move(kept, folder)
    for answer in (*before, *after):
        assert answer["type"] != "error", answer
        answer.pop("seconds", None)
    assert json.dumps(before) == json.dumps(after)


@pytest.mark.slow
def test_a_model_is_explored_with_what_is_known_of_its_samples():
    from pullback.models import VAE

    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    vae = VAE(data_dim=3, latent_dim=2, std="constant", hidden=(4,)).eval()
    scene = Scene.of_model(vae, X, np.arange(40) % 2, columns={"dose": X[:, 0]})
    assert [column.name for column in scene.columns] == ["label", "dose", "x1", "x2", "x3"]
    assert [column.kind for column in scene.columns] == ["category"] + ["number"] * 4
    torch.testing.assert_close(scene.Z, vae.encode(X).detach().double())
    images = Scene.of_model(vae, X, image_shape=(1, 3))
    assert images.columns == ()
    assert images.pixels == (X.min(), X.max())


def test_columns_are_labels_or_numbers_and_may_have_gaps():
    assert Column.of("dose", [0.5, np.nan, 2.25]).numbers() == [0.5, None, 2.25]
    assert Column.of("dose", [0.5, np.nan, 2.25]).at(1) is None
    assert Column.of("day", [3, 1, 3]).labels == ("1", "3")
    with pytest.raises(InvalidDataError, match="one value for each sample"):
        Column.of("image", np.zeros((3, 2)))


def test_a_column_of_another_length_is_refused():
    flat, codes = Manifold(lambda z: z, dim=2), torch.eye(2).double()
    with pytest.raises(InvalidDataError, match="'side' has 3 values for 2 samples"):
        Scene("flat", flat, codes, columns=(Column.of("side", ["a", "b", "a"]),))
