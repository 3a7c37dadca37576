"""How results look by themselves, and that they can be taken apart like arrays."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import sklearn
import torch

import pullback as pb
from pullback.display import charted, drawn, html_table, scattered, summary


def paraboloid(z):
    return torch.cat([z, z.square().sum(-1, keepdim=True)], -1)


M = pb.Manifold(paraboloid, dim=2)
A = torch.tensor([[-1.0, 0.2], [0.5, -0.5], [0.0, 1.0], [1.0, 1.0]])


@pytest.fixture(scope="module")
def paths():
    return M.geodesic(A.reshape(2, 2, 2), torch.tensor([0.3, 0.4]))


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        slice(1),
        slice(None, None, 2),
        ...,
        (1, 0),
        (slice(None), 1),
        torch.tensor([1, 1, 0]),
        torch.tensor([[True, False], [True, True]]),
        np.array([0]),
        [1, 0],
    ],
    ids=str,
)
def test_an_index_chooses_what_it_chooses_of_the_lengths(paths, index):
    chosen = paths[index]
    for name in ("length", "status", "residual", "second_variation"):
        assert torch.equal(getattr(chosen, name), getattr(paths, name)[index])
    assert chosen.start_lengths.shape == (*paths.length[index].shape, paths.start_lengths.shape[-1])
    places = torch.arange(4).reshape(2, 2)[index]
    torch.testing.assert_close(chosen.points(5), paths.points(5).reshape(4, 5, 2)[places])


def test_a_loop_goes_over_the_first_axis(paths):
    rows = list(paths)
    assert len(paths) == len(rows) == 2
    assert [len(row) for row in rows] == [2, 2]
    torch.testing.assert_close(torch.stack([row.length for row in rows]), paths.length)
    single = rows[1][0]
    assert single.length.shape == ()
    assert single
    with pytest.raises(TypeError, match="single one: it has no length"):
        len(single)
    with pytest.raises(TypeError, match="single one"):
        list(single)


@pytest.mark.parametrize("index", [2, -3, (0, 0, 0), 1.5, "length"], ids=str)
def test_what_is_not_there_is_said(paths, index):
    with pytest.raises(IndexError, match=r"batch shape \(2, 2\) has nothing at"):
        paths[index]


@pytest.mark.slow
def test_trajectories_are_taken_apart_too():
    ways = M.shoot(A, torch.tensor([0.1, 0.2]))
    assert len(ways) == len(list(ways)) == 4
    torch.testing.assert_close(ways[1:3].end, ways.end[1:3])
    torch.testing.assert_close(ways[2].end, ways.end[2])


SHOWN = {
    "geodesics": lambda: M.geodesic(A, A.flip(0)),
    "one geodesic": lambda: M.geodesic(A[0], A[1]),
    "trajectories": lambda: M.shoot(A, A),
    "distances": lambda: M.pairwise(A, n_refined=1, progress=False),
    "manifold": lambda: M,
    "ball": lambda: M.ball([0.0, 0.0], 0.5, n=12),
    "transport": lambda: M.transporting([1.0, 0.0], along=A),
    "cells": lambda: M.voronoi(A, resolution=5),
    "conjugate": lambda: pb.manifolds.conjugate_points(M.metric, A[:1], A[:1]),
    "model": lambda: pb.models.VAE(3, 2, random_state=0),
    "table": lambda: pb.datasets.Table(np.zeros((1000, 3)), None, ("<a>", "b", "c")),
    "split": lambda: pb.datasets.split(np.zeros((1000, 3)), random_state=0),
    "estimator": lambda: pb.statistics.FrechetMean(M),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHOWN)
def test_it_is_short_as_a_line_and_whole_as_html(kind):
    shown = SHOWN[kind]()
    assert len(repr(shown)) < 1000
    assert "tensor(" not in repr(shown)
    html = shown._repr_html_()
    if kind != "estimator":  # scikit-learn's, with a style sheet
        assert len(html) < 20_000
        tree = ElementTree.fromstring(f"<div>{html}</div>")
        assert tree.find("table/caption").text


@pytest.mark.slow
def test_geodesics_show_their_certificates_and_the_curves():
    paths = M.geodesic(A.repeat(6, 1), A.flip(0).repeat(6, 1))
    tree = ElementTree.fromstring(f"<div>{paths._repr_html_()}</div>")
    rows = tree.findall("table/tr")
    assert tree.find("table/caption").text == "24 of 24 geodesics converged"
    assert [cell.text for cell in rows[0]][:4] == ["pair", "status", "length", "gain %"]
    assert [cell.text for cell in rows[3]][:3] == ["2", "converged", f"{paths.length[2]:.5g}"]
    assert len(rows) == 21
    assert tree.find("p").text == "... and 4 more"
    assert len(tree.findall("svg/polyline")) == 24
    assert "\n".join(str(paths).splitlines()[:1]) == "24 of 24 geodesics converged"


def test_text_is_escaped():
    assert "<script>" not in html_table("<script>", [("<script>", "<script>")], ["<script>", "&"])


def test_a_picture_keeps_to_its_frame_and_leaves_out_what_is_not_finite():
    curves = torch.randn(3, 500, 2, generator=torch.Generator().manual_seed(0)) * 1e6
    curves[1, 7] = torch.nan
    tree = ElementTree.fromstring(drawn(curves))
    lines = [np.array([p.split(",") for p in line.get("points").split()], float) for line in tree]
    assert len(lines) == 2
    assert len(lines[0]) <= 64
    assert min(line.min() for line in lines) >= 0
    assert max(line.max() for line in lines) <= float(tree.get("width"))
    assert drawn(torch.full((1, 3, 2), torch.nan)) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.zeros(3, 2), "(3, 2) float32"),
        (torch.zeros(2, device="meta"), "(2,) float32 on meta"),
        (torch.tensor(0.25), "0.25"),
        (np.arange(3), "(3,) int64"),
        (list(range(9)), "[0, 1, 2, 3, ...]"),
        ({"a": np.zeros(2)}, "{'a': (2,) float64}"),
        (("x", None), "('x', None)"),
        ("a" * 100, "'" + "a" * 56 + "..."),
        (M.metric, "PullbackMetric"),
    ],
)
def test_values_are_summed_up(value, text):
    assert summary(value) == text


def svg_of(html):
    """The pictures in the HTML of an estimator, whose diagram is scikit-learn's."""
    return [ElementTree.fromstring(part.split("</svg>")[0] + "</svg>") for part in _pictures(html)]


def _pictures(html):
    return [f'<svg width="160"{part}' for part in html.split('<svg width="160"')[1:]]


CODES = A.double().repeat(3, 1) + 0.01 * torch.arange(24.0).reshape(12, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "n_dots", "n_marks"),
    [
        (lambda: pb.statistics.FrechetMean(M), 0, 1),
        (lambda: pb.statistics.FrechetMean(pb.Manifold(paraboloid, dim=2, data=CODES)), 12, 1),
        (lambda: pb.statistics.KMeans(M, n_clusters=2, method="graph", random_state=0), 12, 2),
        (lambda: pb.statistics.KMedoids(M, n_clusters=3, random_state=0), 0, 3),
        (lambda: pb.statistics.GeodesicDistances(M), 12, 0),
        (lambda: pb.statistics.PrincipalGeodesicAnalysis(M), 0, 1),
    ],
)
def test_estimators_show_where_what_was_fitted_lies(make, n_dots, n_marks):
    estimator = make()
    assert not _pictures(estimator._repr_html_())
    assert type(estimator).__name__ in estimator._repr_html_()
    html = estimator.fit(CODES)._repr_html_()
    (picture,) = svg_of(html)
    sizes = [circle.get("r") for circle in picture.findall("circle")]
    assert (sizes.count("1.5"), sizes.count("4")) == (n_dots, n_marks)
    bundle = estimator._repr_mimebundle_()  # the diagram has a number that is never the same
    assert bundle["text/plain"] == repr(estimator)
    assert _pictures(bundle["text/html"]) == _pictures(html)
    with sklearn.config_context(display="text"):
        assert set(estimator._repr_mimebundle_()) == {"text/plain"}


def test_where_the_latent_space_is_no_plane_there_is_no_picture():
    line = pb.Manifold(lambda z: torch.cat([z, z**2], -1), dim=1)
    html = pb.statistics.GeodesicDistances(line).fit([[0.0], [1.0]])._repr_html_()
    assert "GeodesicDistances" in html
    assert not _pictures(html)


def test_points_are_drawn_to_scale_and_of_many_some():
    corners = torch.tensor([[0.0, 0.0], [2.0, 1.0], [float("nan"), 0.0]])
    picture = ElementTree.fromstring(scattered(corners, groups=np.array([0, -1, 1])))
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in picture]
    assert places == [(6.0, 117.0), (154.0, 43.0)]  # as wide as can be, y upwards
    assert picture[0].get("fill") != picture[1].get("fill")
    many = scattered(torch.rand(10_000, 2))
    assert 125 < many.count("<circle") <= 250
    assert len(many) < 20_000
    assert "polyline" in drawn(torch.full((1, 3, 2), 5.0))
    assert scattered(torch.full((3, 2), 5.0)).count('cx="80.0" cy="80.0"') == 3


def test_a_manifold_shows_its_data():
    html = pb.Manifold(paraboloid, dim=2, data=CODES)._repr_html_()
    assert html.count("<circle") == 12
    assert "<svg" not in M._repr_html_()


def test_a_series_is_drawn_over_its_places_and_its_beginning_does_not_flatten_the_rest():
    picture = ElementTree.fromstring(charted("a < b", [-1e9, *range(11)], [None] * 2 + [0.0] * 10))
    assert picture.find("title").text == "a < b"
    grey, other = picture.findall("polyline")
    places = [tuple(map(float, place.split(","))) for place in grey.get("points").split()]
    assert places[0] == (6.0, 154.0)  # far below all others: at the lower edge
    assert (places[1], places[-1]) == ((19.5, 154.0), (154.0, 6.0))
    assert len(other.get("points").split()) == 10
    assert grey.get("stroke") != other.get("stroke")
    assert len(charted("long", np.random.RandomState(0).rand(100_000).tolist())) < 20_000
    assert charted("none", [None, float("nan"), 1.0], []) == charted("none") == ""
    assert "polyline" in charted("flat", [1.0, 1.0])


def test_a_model_shows_how_its_training_went():
    vae = pb.models.VAE(3, 1, std="constant")
    assert not _pictures(vae._repr_html_())
    X = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    (picture,) = svg_of(vae.fit(X, epochs=3, progress=False)._repr_html_())
    assert [len(line.get("points").split()) for line in picture.findall("polyline")] == [3, 3]
    assert "ELBO" in picture.find("title").text
