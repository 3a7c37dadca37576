import base64
from dataclasses import replace

import numpy as np
import torch

from pullback import Manifold
from pullback.explorer import Scene
from pullback.explorer.answers.strips import strips


def test_images_go_from_the_darkest_to_the_brightest_of_the_data():
    X = np.array([[0.0, 10.0], [5.0, 2.0]])
    codes = torch.eye(2).double()
    scene = Scene("images", Manifold(lambda z: z, dim=2), codes, X, image_shape=(1, 2))
    (strip,) = strips(scene, np.array([[0.0, 10.0], [5.0, -3.0], [np.nan, 99.0]]))
    assert strip["shape"] == [3, 1, 2]
    pixels = np.frombuffer(base64.b64decode(strip["data"]), "u1").tolist()
    assert pixels == [0, 255, 128, 0, 0, 255]


def test_the_features_that_change_most_in_the_unit_of_the_model_come_first(scene):
    wide = replace(scene, scale=np.array([1.0, 100.0, 1.0]))
    rows = np.array([[0.0, 0.0, 0.0], [1.0, 50.0, 2.0]])
    (strip,) = strips(wide, rows)
    assert strip["names"] == ["height", "x", "y"]
    assert strip["values"] == [[0.0, 0.0, 0.0], [2.0, 1.0, 50.0]]


def test_there_are_twelve_features_at_most(solid):
    names = tuple(f"f{k}" for k in range(40))
    many = replace(solid, feature_names=names)
    (strip,) = strips(many, np.stack([np.zeros(40), np.arange(40.0)]))
    assert strip["names"] == [f"f{k}" for k in range(39, 27, -1)]
