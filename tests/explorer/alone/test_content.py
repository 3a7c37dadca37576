import base64

import numpy as np
import pytest
import torch

from pullback.errors import InvalidParameterError


def read(text, kind="<f4"):
    return np.frombuffer(base64.b64decode(text), kind)


def test_codes_and_columns_are_those_of_the_scene(plane):
    from pullback.explorer.alone.content import shown_of

    shown = shown_of(plane)
    np.testing.assert_allclose(read(shown["codes"]), plane.Z.ravel(), rtol=1e-6)
    np.testing.assert_array_equal(read(shown["columns"]["side"]), plane.columns[0].values)
    height = read(shown["columns"]["height"])
    assert np.isnan(height[3])
    np.testing.assert_allclose(height, plane.columns[1].values, rtol=1e-6)
    assert shown["scene"]["title"] == "plane"
    assert "need Python" in shown["scene"]["alone"]


def test_points_may_be_where_the_table_alone_answers(plane):
    from pullback.explorer.alone.content import shown_of

    low, high = torch.tensor(shown_of(plane)["scene"]["box"]).double()
    table = plane.manifold.metric
    inside = 1e-6 * (high - low)
    assert bool(table.covers(torch.stack([low + inside, high - inside])).all())
    assert not bool(table.covers(torch.stack([low - inside, high + inside])).any())
    assert bool(((low < plane.Z) & (high > plane.Z)).all())


@pytest.mark.slow
def test_layers_are_those_of_the_live_page(plane):
    from pullback.explorer.alone.content import content_of
    from pullback.explorer.answers import View, answer, layers_of
    from pullback.explorer.messages import Layer

    layers = content_of(plane)["layers"]
    assert list(layers) == [layer["name"] for layer in layers_of(plane)]
    live = answer(plane, View(), Layer("log_volume", 128))
    assert layers["log_volume"] == live


def test_a_space_of_three_dimensions_is_refused(solid):
    from pullback.explorer.alone.content import content_of, shown_of

    for make in (shown_of, content_of):
        with pytest.raises(InvalidParameterError, match="`latent_dim` must be 2 .* got 3"):
            make(solid)


def test_a_metric_without_a_table_is_refused(scene):
    from pullback.explorer.alone.content import shown_of

    with pytest.raises(InvalidParameterError, match=r"over a table of its metric.*tabulated\(Z\)"):
        shown_of(scene)
