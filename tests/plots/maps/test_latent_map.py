import matplotlib
import numpy as np
import pytest
import torch

from pullback.errors import InvalidDataError
from pullback.plots import latent_map, mean_log_std, scatter, std_map, survey, volume
from pullback.plots.maps.latent_map import is_continuous
from pullback.plots.style import new_axes

Z = torch.tensor([[0.0, 0.0], [2.0, 1.0]])


def test_a_survey_puts_each_value_where_it_belongs():
    chart = survey(lambda z: z[:, 0] + 10 * z[:, 1], Z, resolution=5, margin=0.0)
    left, right, bottom, top = chart.extent
    x, y = np.meshgrid(np.linspace(left, right, 5), np.linspace(bottom, top, 5))
    np.testing.assert_allclose(chart.values, x + 10 * y, atol=1e-6)


def test_a_survey_is_square_and_holds_the_codes():
    left, right, bottom, top = survey(lambda z: z[:, 0], Z, resolution=4, margin=0.25).extent
    assert right - left == pytest.approx(top - bottom)
    assert (left, right) == pytest.approx((-0.5, 2.5))
    assert bottom < 0 < 1 < top


def test_a_map_needs_a_plane():
    with pytest.raises(InvalidDataError, match="two latent dimensions to draw a map, but has 3"):
        survey(lambda z: z[:, 0], torch.eye(3))


def test_the_image_shows_the_values_right_side_up():
    chart = survey(lambda z: z[:, 1], Z, resolution=4)
    (image,) = latent_map(chart, Z, limits=(0.0, 1.0)).images
    assert image.origin == "lower"
    assert tuple(image.get_extent()) == chart.extent
    assert image.get_clim() == (0.0, 1.0)


def test_a_map_with_infinite_values_is_drawn():
    chart = survey(lambda z: torch.where(z[:, 0] > 0, z[:, 0], -torch.inf), Z, resolution=4)
    low, high = latent_map(chart).images[0].get_clim()
    assert np.isfinite([low, high]).all()


def test_each_class_has_its_points():
    codes = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    ax = scatter(codes, ["b", "a", "b"])
    drawn = {points.get_label(): np.asarray(points.get_offsets()) for points in ax.collections}
    np.testing.assert_array_equal(drawn["a"], [[1, 1]])
    np.testing.assert_array_equal(drawn["b"], [[0, 0], [2, 0]])


def test_points_without_labels_have_no_legend():
    assert scatter(Z).get_legend() is None


def test_the_given_axes_are_drawn_on():
    ax = new_axes()
    assert scatter(Z, ax=ax) is ax


def test_the_volume_of_a_known_metric():
    import pullback as pb

    manifold = pb.Manifold(lambda z: torch.exp(z), dim=2)  # sqrt det M = exp(z_1 + z_2)
    ax = volume(manifold, Z, resolution=4)
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    x, y = np.meshgrid(np.linspace(left, right, 4), np.linspace(bottom, top, 4))
    np.testing.assert_allclose(image.get_array(), x + y, atol=1e-5)


def test_the_map_of_a_known_deviation():
    def decoder(z):
        return torch.distributions.Normal(z, torch.exp(z))

    values = mean_log_std(decoder, Z)
    torch.testing.assert_close(values, Z.mean(-1))
    image = std_map(decoder, Z, resolution=4).images[0]
    assert image.get_array().max() == pytest.approx(np.mean(image.get_extent()[1::2]), abs=1e-5)
    assert isinstance(image.get_cmap(), matplotlib.colors.Colormap)


def test_numbers_are_a_scale_of_colours_with_a_bar():
    codes = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    values = np.linspace(0, 1, 40)
    values[3] = np.nan
    ax = scatter(codes, values, label="age in $")
    assert ax.get_legend() is None
    unknown, known = ax.collections
    np.testing.assert_array_equal(known.get_array(), np.delete(values, 3))
    assert len(unknown.get_offsets()) == 1
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == r"age in \$"
    assert known.get_clim() == (0.0, 1.0)


@pytest.mark.parametrize(
    ("y", "continuous"),
    [
        (np.arange(40) % 14, False),
        (np.arange(40) % 2 == 0, False),
        (np.arange(40), True),
        (np.arange(40) % 3 + 0.5, False),
        (np.arange(40) / 7, True),
        (np.array(["0.5", "0.7"] * 20), False),
        (np.full(40, np.nan), False),
    ],
)
def test_what_is_a_number_and_what_the_name_of_a_class(y, continuous):
    assert is_continuous(y) is continuous
    ax = scatter(torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), y)
    assert (ax.get_legend() is None) is continuous


@pytest.mark.slow
def test_of_very_many_classes_some_are_named_and_the_others_counted():
    names = [f"class {k:02d}" for k in range(40)]
    codes = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    ax = scatter(codes, names)
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told == [*names[:24], "and 16 more"]
    assert sum(len(points.get_offsets()) for points in ax.collections) == 40


def test_labels_of_mixed_types_are_names():
    ax = scatter(torch.eye(3, 2), np.array(["a", None, 3], dtype=object))
    assert len(ax.get_legend().get_texts()) == 3


def test_each_code_has_a_label():
    with pytest.raises(InvalidDataError, match="`y` must hold 2 labels, but got shape"):
        scatter(Z, [1, 2, 3])
