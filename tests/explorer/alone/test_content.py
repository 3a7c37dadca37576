import base64

import numpy as np
import pytest
import torch

from pullback.errors import InvalidParameterError


@pytest.fixture(scope="module")
def content(plane):
    from pullback.explorer.alone.content import content_of

    return content_of(plane)


def read(text, kind="<f4"):
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.mark.slow
def test_codes_and_columns_are_those_of_the_scene(plane, content):
    np.testing.assert_allclose(read(content["codes"]), plane.Z.ravel(), rtol=1e-6)
    np.testing.assert_array_equal(read(content["columns"]["side"]), plane.columns[0].values)
    height = read(content["columns"]["height"])
    assert np.isnan(height[3])
    np.testing.assert_allclose(height, plane.columns[1].values, rtol=1e-6)
    assert content["scene"]["title"] == "plane"
    assert "need Python" in content["scene"]["alone"]


@pytest.mark.slow
def test_points_may_be_where_the_table_alone_answers(plane, content):
    low, high = torch.tensor(content["scene"]["box"]).double()
    table = plane.manifold.metric
    inside = 1e-6 * (high - low)
    assert bool(table.covers(torch.stack([low + inside, high - inside])).all())
    assert not bool(table.covers(torch.stack([low - inside, high + inside])).any())
    assert bool(((low < plane.Z) & (high > plane.Z)).all())


@pytest.mark.slow
def test_layers_are_those_of_the_live_page(plane, content):
    from pullback.explorer.answers import View, answer, layers_of
    from pullback.explorer.messages import Layer

    layers = content["layers"]
    assert list(layers) == [layer["name"] for layer in layers_of(plane)]
    live = answer(plane, View(), Layer("log_volume", 128))
    assert layers["log_volume"] == live


def test_a_space_of_three_dimensions_is_refused(solid):
    from pullback.explorer.alone.content import content_of

    with pytest.raises(InvalidParameterError, match="`latent_dim` must be 2 .* got 3"):
        content_of(solid)


def test_a_metric_without_a_table_is_refused(scene):
    from pullback.explorer.alone.content import content_of

    with pytest.raises(InvalidParameterError, match=r"over a table of its metric.*tabulated\(Z\)"):
        content_of(scene)
