"""Pictures of metrics, regions, densities and walks: what they draw is what was computed."""

import math

import numpy as np
import pytest
import torch

from pullback import plots
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import HalfPlane, stereographic
from pullback.plots import to_png
from pullback.plots.maps.latent_map import plane_of

FLAT = Manifold(lambda z: z, dim=2)
SPHERE = Manifold(stereographic, dim=2)
Z = torch.randn(30, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = np.arange(30) % 3


def ellipses(ax):
    return [c for c in ax.collections if type(c).__name__ == "EllipseCollection"]


def test_unit_circles_of_a_stretched_plane_are_ellipses_of_that_shape():
    M = Manifold(lambda z: z * torch.tensor([1.0, 4.0]), dim=2)
    solid, hollow = ellipses(plots.tissot(M, Z, resolution=6, radius=0.2))
    assert len(hollow.get_offsets()) == 0
    assert len(solid.get_offsets()) == 36
    widths, heights, angles = solid.get_widths(), solid.get_heights(), solid.get_angles()
    assert np.allclose(np.sort(np.stack([widths, heights]), 0)[:, :, None].T, [0.1, 0.4])
    tilt = np.radians(angles)  # of the first axis, the one of the smaller eigenvalue
    long_is_first = widths > heights
    assert np.allclose(np.abs(np.cos(tilt[long_is_first])), 1)


def test_an_ellipse_too_large_for_its_cell_is_hollow_and_what_is_not_finite_is_left_out():
    solid, hollow = ellipses(plots.tissot(FLAT, Z, resolution=4, radius=100.0))
    assert (len(solid.get_offsets()), len(hollow.get_offsets())) == (0, 16)
    ax = plots.tissot(Manifold(HalfPlane(), dim=2), Z, resolution=6)
    drawn = np.concatenate([c.get_offsets() for c in ellipses(ax)])
    assert 0 < len(drawn) < 36
    assert (drawn[:, 1] > 0).all()


@pytest.mark.slow
def test_a_fan_on_the_sphere_ends_at_its_radius():
    ax = plots.fan(SPHERE, [0.0, 0.0], length=1.0, n_rays=8, n_rings=2)
    rays, rings = [c for c in ax.collections if type(c).__name__ == "LineCollection"]
    assert len(rays.get_segments()) == 8
    for ring, radius in zip(rings.get_segments(), (0.5, 1.0), strict=True):
        # From the south pole, stereographic: |z| = tan(r / 2).
        assert np.allclose(np.linalg.norm(ring, axis=-1), math.tan(radius / 2), rtol=1e-6)
    ends = np.array([ray[-1] for ray in rays.get_segments()])
    assert np.allclose(np.linalg.norm(ends, axis=-1), math.tan(0.5), rtol=1e-6)


def test_cells_are_what_the_rule_says():
    ax = plots.cells(lambda z: (np.asarray(z)[:, 0] > 0).astype(int), Z, resolution=20)
    image = ax.images[0].get_array()
    left, right, *_ = ax.images[0].get_extent()
    x = np.linspace(left, right, 20)
    assert np.array_equal(image, np.tile((x > 0).astype(int), (20, 1)))
    with pytest.raises(InvalidDataError, match="at most 64 labels"):
        plots.cells(lambda z: np.arange(len(z)), Z, resolution=20)


def test_contours_hold_their_share_of_the_codes():
    codes = torch.randn(400, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ax = plots.density(lambda z: -np.square(np.asarray(z)).sum(-1), codes, samples=codes[:5])
    contours = [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]
    radius = np.sqrt(-contours[0].levels)
    share = [(np.linalg.norm(codes, axis=-1) <= r).mean() for r in radius]
    assert np.allclose(share, [0.99, 0.9, 0.75, 0.5, 0.25], atol=0.01)


def test_walks_begin_and_end_where_they_do():
    steps = np.cumsum(np.random.default_rng(0).normal(size=(3, 20, 2)), 1)
    ax = plots.walks(steps)
    _, starts, ends = ax.collections
    assert np.allclose(starts.get_offsets(), steps[:, 0])
    assert np.allclose(ends.get_offsets(), steps[:, -1])
    assert len(plots.walks(steps[0], colour="black").collections[0].get_segments()) == 1


def test_a_distance_matrix_is_sorted_by_class_and_blank_where_unknown():
    D = torch.cdist(Z, Z)
    D[0, 1] = D[1, 0] = torch.inf
    image = plots.distance_matrix(D, Y).images[0].get_array()
    order = np.argsort(Y, kind="stable")
    shown = np.ma.filled(image, np.nan)
    assert np.isnan(shown).sum() == 2
    expected = np.where(np.isfinite(D.numpy()), D.numpy(), np.nan)[np.ix_(order, order)]
    assert np.allclose(shown, expected, equal_nan=True)


def test_the_grid_shows_each_image_at_its_place():
    ax = plots.decoded_grid(Manifold(lambda z: z.repeat(1, 8), dim=2), Z, resolution=3)
    canvas = np.ma.filled(ax.images[0].get_array(), np.nan)
    middles = canvas[3::5, 2::5]  # of images of 4 x 4 with a gap of 1
    low, high = plane_of(Z)
    z_1 = np.linspace(float(low[0]), float(high[0]), 3)
    z_2 = np.linspace(float(low[1]), float(high[1]), 3)
    assert np.allclose(middles, z_1[None].repeat(3, 0))
    assert np.allclose(canvas[3::5, 1::5], z_2[::-1, None].repeat(3, 1))


def test_a_band_holds_the_members():
    t, values = np.linspace(0, 1, 5), np.random.default_rng(0).normal(size=(8, 5))
    ax = plots.band(t, values, level=1.0, label="length")
    corners = ax.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(values.min())
    assert corners[:, 1].max() == pytest.approx(values.max())
    assert np.allclose(ax.lines[0].get_ydata(), values.mean(0))


@pytest.mark.thorough
def test_the_members_of_an_ensemble_and_their_mean_are_drawn():
    M = Manifold([lambda z, k=k: torch.cat([z, k * z**2], -1) for k in (1.0, 2.0)], dim=2)
    ax = plots.posterior(M.posterior(), Z[:3], -Z[:3])
    members = [len(c.get_segments()) for c in ax.collections[:3]]
    assert members == [3, 3, 3]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.tissot(FLAT, torch.zeros(3, 3)),
        lambda: plots.fan(FLAT, [0.0, 0.0, 0.0], length=1.0),
        lambda: plots.walks(np.zeros((2, 4, 3))),
        lambda: plots.distance_matrix(np.zeros((2, 3))),
        lambda: plots.distance_matrix(np.zeros((2, 2)), [1, 2, 3]),
        lambda: plots.band([0.0, 1.0], np.zeros((3, 3))),
        lambda: plots.cells(lambda z: np.zeros(len(z)), torch.zeros(3, 3)),
    ],
)
def test_wrong_shapes_are_told_of(draw):
    with pytest.raises(InvalidDataError, match=r"but (got|has)"):
        draw()


def test_wrong_settings_are_told_of():
    with pytest.raises(InvalidParameterError, match="`length`"):
        plots.fan(FLAT, [0.0, 0.0], length=0.0)
    with pytest.raises(InvalidParameterError, match="`radius`"):
        plots.tissot(FLAT, Z, radius=-1.0)


@pytest.mark.thorough
def test_all_of_them_take_axes_and_become_files():
    ax = plots.volume(SPHERE, Z, resolution=16)
    for draw in (
        lambda: plots.tissot(SPHERE, Z, resolution=4, ax=ax),
        lambda: plots.fan(SPHERE, [0.0, 0.0], length=0.5, n_rays=4, ax=ax),
        lambda: plots.walks(Z[None], ax=ax),
        lambda: plots.density(lambda z: -np.square(np.asarray(z)).sum(-1), Z, ax=ax),
        lambda: plots.cells(lambda z: np.zeros(len(z), int), Z, resolution=8, ax=ax),
    ):
        assert draw() is ax
    assert to_png(ax)[1:4] == b"PNG"


def overlapping(texts):
    boxes = [text.get_window_extent() for text in texts]
    return [(a, b) for k, a in enumerate(boxes) for b in boxes[:k] if a.overlaps(b)]


@pytest.mark.slow
@pytest.mark.parametrize("names", [["a", "b", "c"], [f"group {k} of cells" for k in range(14)]])
def test_the_names_of_groups_are_not_over_each_other(names):
    D = torch.cdist(Z, Z)
    y = np.array(names)[np.arange(30) % len(names)]
    ax = plots.distance_matrix(D, y)
    to_png(ax)
    for ticks in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert len(ticks) == len(names)
        assert not overlapping(ticks)
    assert ax.get_window_extent().width > 0.4 * ax.figure.bbox.width


@pytest.mark.slow
def test_of_a_hundred_groups_those_are_named_that_have_room():
    D = torch.zeros(200, 200)
    ax = plots.distance_matrix(D, np.repeat(np.arange(100), 2))
    to_png(ax)
    for ticks in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert 5 < len(ticks) < 100
        assert not overlapping(ticks)


def test_contours_of_a_coarse_survey_are_smooth():
    codes = torch.randn(400, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ax = plots.density(lambda z: -np.square(np.asarray(z)).sum(-1), codes, resolution=16)
    (contours,) = [c for c in ax.collections if type(c).__name__ == "QuadContourSet"]
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        inside = np.abs(path.vertices).max(1) < 2.5
        radius = np.linalg.norm(path.vertices[inside], axis=1)
        assert np.abs(radius - math.sqrt(-level)).max() < 0.03


def test_codes_stand_out_from_the_page_where_there_is_no_map():
    paper = plots.density(lambda z: -np.square(np.asarray(z)).sum(-1), Z, resolution=8)
    page = np.array(paper.get_facecolor()[:3])
    assert np.abs(paper.collections[0].get_facecolor()[0, :3] - page).max() > 0.5


@pytest.mark.slow
def test_geodesics_lie_over_the_codes_of_a_map():
    paths = SPHERE.geodesic(Z[:2], Z[2:4])
    ax = plots.geodesics(paths)
    plots.volume(SPHERE, Z, resolution=8, ax=ax)  # the map comes later here
    plots.geodesics(paths, ax=ax)
    lines = [c for c in ax.collections if type(c).__name__ == "LineCollection"]
    codes = [c for c in ax.collections if len(c.get_offsets()) == len(Z)]
    assert min(c.get_zorder() for c in lines) > max(c.get_zorder() for c in codes)
    to_png(ax)
