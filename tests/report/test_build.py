"""A report from end to end, on a small run whose truth is known."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.stats import spearmanr
from sklearn.metrics import f1_score

from pullback.curves import straight_line
from pullback.datasets import Table
from pullback.pages.chapter import Verdict
from pullback.pages.wording import to_json
from pullback.report import RunFolder, Settings, build, prepare, train
from pullback.report.chapters import curvature, random_walks
from pullback.report.chapters.clustering import _macro_f1
from pullback.report.chapters.density import supports
from pullback.report.study import Study


def make_run(path, *, labels=True, latent_dim=2, image_shape=None):
    """Train on two arcs in four dimensions."""
    rng = np.random.default_rng(0)
    t, y = rng.uniform(0, np.pi, 120), np.repeat(["lower", "upper"], 60)
    sign = np.where(y == "upper", 1.0, -1.0)
    X = np.stack([np.cos(t), sign * np.sin(t), t / 3, sign], 1) + 0.05 * rng.normal(size=(120, 4))
    data = prepare(Table(X, y if labels else None, ("x", "y", "t", "side")))
    settings = Settings(
        "train", "arcs.csv", "0a", latent_dim=latent_dim, epochs=30, image_shape=image_shape
    )
    folder = RunFolder(path)
    folder.begin(settings, data)
    train(folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("runs") / "arcs", image_shape=(2, 2))
    folder.write("figures/left-over.png", b"of another time")
    said = []
    return folder, build(folder, n_pairs=6, say=said.append), said


@pytest.mark.thorough
def test_everything_is_written(run):
    folder, chapters, said = run
    assert (folder.path / "report.html").read_text().startswith("<!DOCTYPE html>")
    figures = {path.stem for path in folder.figures.iterdir()}
    assert figures >= {"codes", "volume", "geodesics", "triplets", "clusters-euclidean", "std-rbf"}
    assert figures >= {"reconstructions", "samples", "interpolation-1", "steps-1"}
    assert "left-over" not in figures
    assert len(said) == 11
    assert [c.key for c in chapters][-1] == "reproduction"


@pytest.mark.thorough
def test_the_metrics_have_their_keys_and_no_nan(run):
    folder, chapters, _ = run

    def refuse(constant):
        raise AssertionError(constant)

    metrics = json.loads((folder.path / "metrics.json").read_text(), parse_constant=refuse)
    assert metrics["format"] == 1
    assert {c["key"] for c in metrics["claims"]} == {c.key for c in chapters if c.claim}
    assert set(metrics["triplets"]) == {
        "euclidean",
        "riemannian",
        "gain",
        "euclidean_interval",
        "riemannian_interval",
        "gain_interval",
        "n_points",
    }
    assert set(metrics["clustering"]["riemannian"]) == {"macro_f1", "pairwise_f", "ari", "nmi"}
    assert metrics["solver"]["pairs"] == 6
    assert metrics["solver"]["converged"] + len(metrics["solver"]["failed"]) == 6
    assert set(metrics["likelihood"]["mean_log_likelihood"]) == {"constant", "network", "RBF"}
    assert metrics["reproduction"]["settings"]["epochs"] == 30
    timings = json.loads((folder.path / "timings.json").read_bytes())
    assert timings["seconds"]["figures"] > 0
    assert metrics["reproduction"]["versions"]["pullback"]


@pytest.mark.thorough
def test_numbers_agree_with_their_definitions(run):
    folder, chapters, _ = run
    numbers = {chapter.key: chapter.numbers for chapter in chapters}
    study = Study(folder, n_pairs=6)
    X = study.data.X_test
    images = study.vae.reconstruct(X).detach().numpy()
    explained = 1 - ((X - images) ** 2).sum() / ((X - X.mean(0)) ** 2).sum()
    assert numbers["learning"]["variance_explained"] == pytest.approx(explained, abs=1e-5)
    triplets = numbers["triplets"]
    low, high = triplets["gain_interval"]
    assert low <= triplets["gain"] <= high
    ratio = numbers["curvature"]["straight_over_geodesic"]
    a, b = (study.Z[study.pairs[study.found, end]] for end in (0, 1))
    straight = study.manifold.length(straight_line(a, b, 512))
    expected = np.quantile((straight / study.manifold.dist(a, b)).numpy(), [0.5, 0.9, 1.0])
    np.testing.assert_allclose([ratio[k] for k in ("median", "p90", "max")], expected, rtol=1e-2)
    assert numbers["generation"]["spearman_rbf"] > 0.5
    for name, key in (("RBF", "spearman_rbf"), ("network", "spearman_network")):
        assert numbers["generation"][key] == pytest.approx(doubt_by_distance(study, name), abs=0.1)


def doubt_by_distance(study, name):
    """Rank correlation of summed sigma with the distance to the codes, on a grid around them."""
    low, high = study.Z_train.amin(0), study.Z_train.amax(0)
    steps = torch.linspace(-0.5, 1.5, 40).to(low)
    grid = low + torch.cartesian_prod(steps, steps) * (high - low)
    std = study.decoders[name](grid.to(study.vae.like)).stddev.detach()
    return spearmanr(std.sum(-1), torch.cdist(grid, study.Z_train).amin(-1)).statistic


@pytest.mark.thorough
def test_walks_are_measured_and_repeat_themselves(run):
    folder, chapters, _ = run
    walks = {chapter.key: chapter.numbers for chapter in chapters}["random_walks"]
    study = Study(folder, n_pairs=6)
    n, n_steps = walks["n_walks"], walks["n_steps"]
    steps = torch.randn(10 * n, n_steps, 2).double() * walks["step_size"]["euclidean"]
    free = study.Z[:n].repeat(10, 1).unsqueeze(1) + steps.cumsum(1)
    # Walks of our own, of the same law, with the standard error of as many as there are.
    nearest, _ = cKDTree(study.Z_train.numpy()).query(free[:, n_steps // 2 :].numpy())
    away = nearest.mean(1) / float(study.Z_train.std(0).mean())
    distance = walks["distance"]
    assert distance["euclidean"]["mean"] == pytest.approx(away.mean(), abs=4 * away.std() / n**0.5)
    for one in distance.values():
        assert 0 <= one["median"] <= one["p95"] <= one["max"]
        assert one["median"] <= 2 * one["mean"]
    gain = distance["euclidean"]["mean"] - distance["riemannian"]["mean"]
    assert walks["gain"] == pytest.approx(gain)
    low, high = walks["gain_interval"]
    assert low < walks["gain"] < high
    (chapter,) = (chapter for chapter in chapters if chapter.key == "random_walks")
    assert chapter.verdict is Verdict.of_interval(low, high)
    for support in supports(study).values():
        assert 0.97 <= support.share(study.Z_train) <= 1
    assert supports(study)["near the codes"].share(study.Z_train + 100) == 0
    assert random_walks(study).numbers == walks


@pytest.mark.slow
def test_a_density_of_few_codes_is_not_claimed(run):
    _, chapters, _ = run
    density = next(chapter for chapter in chapters if chapter.key == "density")
    assert density.verdict is Verdict.ABSENT
    assert "fewer than 200 training codes" in density.outcome


@pytest.mark.slow
def test_verdicts_follow_from_the_numbers(run):
    _, chapters, _ = run
    by_key = {chapter.key: chapter for chapter in chapters}
    assert by_key["triplets"].verdict is Verdict.of_interval(
        *by_key["triplets"].numbers["gain_interval"]
    )
    failed = by_key["solver"].numbers["failed"]
    assert by_key["solver"].verdict is (Verdict.FAILS if failed else Verdict.HOLDS)
    assert Verdict.of_interval(-2, -1) is Verdict.FAILS
    assert Verdict.of_interval(-1, 1) is Verdict.OPEN


@pytest.mark.thorough
def test_the_ratio_says_how_many_pairs_it_is_from(run, monkeypatch):
    study = Study(run[0], n_pairs=6)
    monkeypatch.setattr(Study, "found", np.arange(6) < 6)
    assert "pairs:" not in curvature(study).outcome
    monkeypatch.setattr(Study, "found", np.arange(6) < 4)
    chapter = curvature(study)
    assert "(of 4 of 6 pairs: no geodesic was found for the others)" in chapter.outcome
    assert chapter.numbers["straight_over_geodesic"]["n_pairs"] == 4


@pytest.mark.thorough
def test_a_study_repeats_itself(run):
    folder, _, _ = run
    first, second = Study(folder, n_pairs=6), Study(folder, n_pairs=6)
    np.testing.assert_array_equal(first.pairs, second.pairs)
    np.testing.assert_array_equal(first.Z, second.Z)


@pytest.mark.thorough
def test_what_does_not_apply_says_why(tmp_path):
    folder = make_run(tmp_path / "plain", labels=False, latent_dim=1)
    chapters = {chapter.key: chapter for chapter in build(folder, n_pairs=3)}
    assert chapters["triplets"].verdict is Verdict.ABSENT
    assert chapters["triplets"].numbers == {
        "applies": False,
        "why": "There are no labels, so there are no triplets to compare.",
    }
    assert chapters["curvature"].verdict is Verdict.ABSENT
    assert "one path between two points only" in chapters["curvature"].outcome
    page = (folder.path / "report.html").read_text()
    assert "The latent space has 1 dimensions, and maps are drawn of two only" in page
    assert "There are no labels, so clusters cannot be compared with classes." in page
    assert not (folder.figures / "volume.png").exists()


def test_a_class_that_a_draw_misses_leaves_the_others_scores():
    y, named = np.array(list("aabbc")), np.array(list("ababc"))
    times = np.array([2, 1, 1, 1, 0])
    truth = f1_score(y, named, labels=["a", "b"], average="macro", sample_weight=times)
    assert _macro_f1(y, named, times) == pytest.approx(truth)
    assert _macro_f1(y, named, np.ones(5)) == pytest.approx(f1_score(y, named, average="macro"))


def test_json_knows_no_nan():
    assert to_json({"a": [math.nan, math.inf, 1.5], 2: ("x", True)}) == {
        "a": [None, None, 1.5],
        "2": ["x", True],
    }
