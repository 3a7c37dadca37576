"""What the commands over a trained run write, against what the package computes."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

N_SAMPLES = 60
TINY = ("--n", "12")


def make_run(path, *, labels=True, latent_dim=2, image_shape=None):
    """Train on two arcs in four dimensions, with a metric that is smooth: no wall, quick to solve.

    That of the variance is not trained, as no command looks at it.
    """
    from pullback.datasets import Table
    from pullback.models import VAE
    from pullback.runs import RunFolder, Settings, prepare

    rng = np.random.default_rng(0)
    t, y = rng.uniform(0, np.pi, N_SAMPLES), np.repeat(["lower", "upper"], N_SAMPLES // 2)
    sign = np.where(y == "upper", 1.0, -1.0)
    noise = 0.05 * rng.normal(size=(N_SAMPLES, 4))
    X = np.stack([np.cos(t), sign * np.sin(t), t / 3, sign], 1) + noise
    data = prepare(Table(X, y if labels else None, ("x", "y", "t", "z1")))
    settings = Settings("train", "arcs.csv", "0a", latent_dim=latent_dim, image_shape=image_shape)
    folder = RunFolder(path)
    folder.begin(settings, data)
    vae = VAE(data_dim=4, latent_dim=latent_dim, std="constant", hidden=(8,))
    vae.fit(data.X_train, epochs=60, progress=False)
    vae.save(folder.model)
    vae.save(folder.network_model)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "arcs")


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlabelled")
    return {d: make_run(folder / str(d), labels=False, latent_dim=d) for d in (1, 3)}


@pytest.fixture
def subject(run):
    from pullback.cli.analyses.base import Subject

    return lambda **options: Subject(run, **options)


@pytest.fixture
def ask(pullback, tmp_path):
    """Run a command that must succeed; return its table, what it said, and its picture."""

    def run_command(*words, name="table.csv"):
        path = tmp_path / name
        code, out, err = pullback(*words, "--out", path)
        assert code == 0, err
        assert f"wrote {path}" in out
        read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
        return read(path), out, path.with_suffix(".png")

    return run_command


def is_png(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and path.stat().st_size > 5000


def refusal(result):
    """The message of a command that was refused for how it was called."""
    code, _, err = result
    assert code == 2, err
    assert "Traceback" not in err
    return err


@pytest.mark.thorough
def test_clusters_are_those_of_the_estimator(run, subject, ask):
    from pullback.statistics import KMeans, clustering_scores

    frame, out, picture = ask("cluster", run, *TINY)
    of_run = subject(n=12)
    model = KMeans(of_run.manifold, 2, random_state=0).fit(of_run.Z)
    np.testing.assert_array_equal(frame["sample"], of_run.index)
    np.testing.assert_array_equal(frame["label"], of_run.y)
    np.testing.assert_allclose(frame[["z1", "z2"]], of_run.Z, rtol=1e-12)
    np.testing.assert_array_equal(frame["cluster"], model.labels_)
    own = model.transform(of_run.Z)[np.arange(12), model.labels_]
    np.testing.assert_allclose(frame["distance"], own, rtol=1e-3)
    ari = clustering_scores(of_run.y, model.labels_)["ari"]
    assert f"ARI {ari:.3f}" in out
    assert "Euclidean k-means against the labels: macro F1" in out
    assert is_png(picture)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["k-medoids", "hierarchical", "spectral", "dbscan"])
def test_every_clustering_names_a_cluster_for_each_sample(run, ask, method):
    words = () if method == "dbscan" else ("--n-clusters", "3")
    frame, out, picture = ask("cluster", run, "--method", method, *words, *TINY)
    assert len(frame) == 12
    clusters = set(frame["cluster"])
    assert clusters == {0, 1, 2} if words else clusters <= set(range(-1, 12))
    assert ("distance" in frame) == (method == "k-medoids")
    if method == "k-medoids":  # whose centres are samples
        assert (frame["distance"] < 1e-9).sum() == 3
    assert f"{method}: " in out
    assert is_png(picture)


def test_dbscan_reaches_as_far_as_to_the_fifth_sample_of_most():
    from pullback.cli.analyses.clustering import _reach

    # Two rows of samples at equal distances: of nearly all the fifth, itself counted, is 2 away.
    x = np.concatenate([np.arange(60.0), 100 + np.arange(60.0)])
    distances = np.abs(x[:, None] - x)
    assert _reach(distances) == 2
    assert _reach(distances[:3, :3]) == pytest.approx(2)  # of so few the last


@pytest.mark.thorough
def test_densities_are_those_of_the_estimator_that_is_kept(run, subject, ask):
    from pullback.statistics import LAND

    frame, out, picture = ask("density", run, "--components", "1", "--n", "20")
    of_run = subject(n=20)
    land = LAND.load(picture.with_suffix(".safetensors"), of_run.manifold)
    np.testing.assert_allclose(frame["log_density"], land.score_samples(of_run.Z), rtol=1e-9)
    flat = land.log_density(of_run.Z, measure="lebesgue")
    np.testing.assert_allclose(frame["log_density_lebesgue"], flat, rtol=1e-9)
    np.testing.assert_array_equal(frame["component"], 0)
    assert not set(frame["sample"]) - set(np.flatnonzero(of_run.data.test))
    assert f"{-flat.mean():.4f} LAND" in out
    assert f"{land.normalizer_[0]:.4g} ± " in out
    assert is_png(picture)


@pytest.mark.thorough
def test_a_kernel_density_is_kept_too(run, subject, ask):
    from pullback.statistics import KernelDensity

    frame, out, picture = ask("density", run, "--model", "kde", "--n", "20")
    of_run = subject(n=20)
    density = KernelDensity.load(picture.with_suffix(".safetensors"), of_run.manifold)
    np.testing.assert_allclose(frame["log_density"], density.score_samples(of_run.Z), rtol=1e-9)
    assert "component" not in frame
    assert f"bandwidth {density.bandwidth_:.4g}" in out
    assert is_png(picture)


@pytest.mark.slow
def test_curvature_covers_the_plane(run, subject, ask):
    frame, out, picture = ask("curvature", run, "--resolution", "9")
    of_run = subject(n=300)
    nodes = np.array(frame[["z1", "z2"]])
    assert len(nodes) == 81
    codes = of_run.Z.numpy()
    assert (nodes.min(0) < codes.min(0)).all()
    assert (nodes.max(0) > codes.max(0)).all()
    scalar = of_run.manifold.scalar_curvature(nodes)
    np.testing.assert_allclose(frame["scalar_curvature"], scalar, rtol=1e-6)
    np.testing.assert_allclose(2 * frame["gaussian_curvature"], scalar, rtol=1e-6)
    log_volume = of_run.manifold.metric.exact.log_volume(
        of_run.manifold.metric_matrix(nodes).new_tensor(nodes)
    )
    np.testing.assert_allclose(frame["log_volume"], log_volume.detach(), rtol=1e-6)
    median = float(of_run.manifold.scalar_curvature(of_run.Z).median()) / 2
    assert "Gaussian curvature at 12 samples" in out
    assert f"{median:.2g}"[:3] in out or "(50%)" in out
    assert is_png(picture)


@pytest.mark.slow
def test_samples_lie_on_the_support_and_are_decoded_in_raw_units(run, subject, ask):
    from pullback.sampling import Support

    frame, out, picture = ask("sample", run, "--n", "7", "--decode")
    of_run = subject()
    Z = frame[["z1", "z2"]].to_numpy()
    support = Support(of_run.manifold, of_run.Z_train)
    assert support.share(Z) == 1
    assert list(frame["draw"]) == list(range(7))
    assert set(frame["status"]) == {"completed"}
    assert "7 of 7 completed" in out
    decoded = of_run.manifold.decode(Z).numpy() * of_run.data.scale + of_run.data.center
    names = ["x", "y", "t", "decoded z1"]  # z1 is what a code's first coordinate is called
    np.testing.assert_allclose(frame[names], decoded, rtol=1e-6)
    assert np.isfinite(frame["log_density"]).all()
    assert is_png(picture)


@pytest.mark.slow
def test_walks_have_a_row_for_each_step(run, subject, ask):
    words = ("--method", "brownian", "--steps", "5", "--start", "4", "--step-size", "0.01")
    frame, _, picture = ask("sample", run, "--n", "3", *words)
    assert frame.groupby("draw")["step"].apply(list).tolist() == [list(range(6))] * 3
    starts = frame.loc[frame["step"] == 0, ["z1", "z2"]]
    np.testing.assert_allclose(starts, np.tile(subject(part="all").Z[4], (3, 1)), rtol=1e-12)
    assert "log_density" not in frame
    assert is_png(picture)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        pytest.param("land", marks=pytest.mark.exhaustive),
        pytest.param("kde", marks=pytest.mark.exhaustive),
        "volume",
        "langevin",
        "hamiltonian",
    ],
)
def test_every_way_to_draw_yields_finite_codes(run, ask, method):
    steps = ("--steps", "6") if method in ("langevin", "hamiltonian") else ()
    components = ("--components", "1") if method == "land" else ()
    frame, _, picture = ask("sample", run, "--method", method, "--n", "5", *steps, *components)
    assert len(frame) == 5
    assert np.isfinite(frame[["z1", "z2"]].to_numpy()).all()
    assert np.isfinite(frame["log_density"]).all()
    assert is_png(picture)


@pytest.mark.slow
def test_the_heat_kernel_spreads_from_a_sample(run, subject, ask):
    words = ("--method", "heat-kernel", "--steps", "4", "--start", "4", "--step-size", "1e-4")
    frame, _, _ = ask("sample", run, "--n", "5", *words)
    start = subject(part="all").Z[4].numpy()
    gaps = frame[["z1", "z2"]].to_numpy() - start
    assert (np.linalg.norm(gaps, axis=1) < 0.01).all()
    assert (gaps != 0).all()


@pytest.mark.slow
def test_images_are_drawn_where_a_sample_is_one(ask, tmp_path):
    run = make_run(tmp_path / "images", image_shape=(2, 2))
    _, _, picture = ask("sample", run, "--n", "4")
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_interpolation_keeps_features_apart_from_its_own_columns(run, ask):
    frame, _, picture = ask("interpolate", run, "0", "1", "--steps", "4")
    own = ["curve", "t", "z1", "z2"]
    assert list(frame.columns) == [*own, "x", "y", "decoded t", "decoded z1"]
    assert len(frame) == 8
    assert is_png(picture)


@pytest.mark.slow
def test_distances_and_geodesics_agree(run, subject, ask):
    square, _, picture = ask("distances", run, *TINY)
    first, second = square["sample"][:2]
    paths, _, drawn = ask("geodesics", run, "--between", f"{first},{second}", name="paths.csv")
    assert paths["length"][0] == pytest.approx(square[str(second)][0], rel=0.02)
    assert is_png(picture)
    assert is_png(drawn)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "words",
    [
        ("cluster", "--n", "10"),
        pytest.param(("density", "--components", "1", "--n", "20"), marks=pytest.mark.exhaustive),
        ("sample", "--method", "brownian", "--n", "3", "--steps", "5"),
        ("sample", "--n", "4", "--decode"),
    ],
)
def test_one_seed_writes_the_same_bytes_and_another_one_others(run, ask, tmp_path, words):
    command, *rest = words
    for name, seed in (("a.csv", "5"), ("b.csv", "5"), ("c.csv", "6")):
        ask(command, run, *rest, "--seed", seed, name=name)
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    for ending in (".png", ".safetensors"):
        if (tmp_path / f"a{ending}").exists():
            same = (tmp_path / f"{name}{ending}" for name in "ab")
            assert len({path.read_bytes() for path in same}) == 1


@pytest.mark.slow
def test_parquet_holds_what_csv_does(run, ask):
    pytest.importorskip("pyarrow")
    words = ("sample", run, "--n", "4", "--decode")
    plain, _, _ = ask(*words)
    packed, _, _ = ask(*words, name="table.parquet")
    pd.testing.assert_frame_equal(plain, packed, check_dtype=False)


@pytest.mark.thorough
def test_without_labels_the_number_of_clusters_is_asked_for(unlabelled, pullback, ask):
    err = refusal(pullback("cluster", unlabelled[3]))
    assert "`--n-clusters` must be given, as the run has no labels, but got None" in err
    frame, out, picture = ask("cluster", unlabelled[3], "--n-clusters", "2", *TINY)
    assert list(frame.columns) == ["sample", "z1", "z2", "z3", "cluster", "distance"]
    assert "against the labels" not in out
    assert "no picture: the latent space has 3 dimensions, and maps are drawn of two only" in out
    assert not picture.exists()


@pytest.mark.slow
def test_other_dimensions_are_measured_at_the_samples(unlabelled, pullback, ask):
    frame, out, picture = ask("curvature", unlabelled[3])
    assert list(frame.columns) == ["sample", "z1", "z2", "z3", "scalar_curvature", "log_volume"]
    assert "scalar curvature at 12 samples" in out
    assert not picture.exists()
    assert "has two dimensions or more" in refusal(pullback("curvature", unlabelled[1]))
    frame, out, _ = ask("sample", unlabelled[1], "--n", "3")
    assert list(frame.columns) == ["draw", "status", "z1", "log_density"]
    assert "no picture: the latent space has 1 dimension," in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("cluster", "--method", "magic"),
            "`--method` must be one of 'dbscan', 'hierarchical', 'k-means'",
        ),
        (("cluster", "--n-clusters", "13"), "`--n-clusters` must be at most the number of samples"),
        (("cluster", "--eps", "1"), "`--eps` must be left out with k-means"),
        (("cluster", "--method", "dbscan", "--n-clusters", "2"), "`--n-clusters` must be left out"),
        (("cluster", "--method", "dbscan", "--eps", "0"), "`--eps` must be"),
        (("cluster", "--part", "rest"), "`--part` must be one of"),
        (("density", "--model", "magic"), "`--model` must be one of 'kde', 'land'"),
        (("density", "--model", "kde", "--components", "2"), "`--components` must be left out"),
        (("density", "--model", "kde", "--max-iter", "9"), "`--max-iter` must be left out"),
        (("density", "--n", "3", "--components", "4"), "`--components` must be at most"),
        (("sample", "--method", "magic"), "`--method` must be one of 'brownian', 'hamiltonian'"),
        (("sample", "--components", "2"), "`--components` must be left out with support"),
        (("sample", "--max-iter", "2"), "`--max-iter` must be left out with support"),
        (
            ("sample", "--method", "kde", "--max-iter", "2"),
            "`--max-iter` must be left out with kde",
        ),
        (("sample", "--start", "2"), "`--start` must be left out with support"),
        (("sample", "--step-size", "2"), "`--step-size` must be left out with support"),
        (("sample", "--method", "brownian", "--step-size", "-1"), "`--step-size` must be"),
        (("sample", "--method", "brownian", "--start", "99"), "numbers of samples"),
        (("geodesics", "--between", "1"), "`--between` must be two different numbers"),
        (("interpolate", "3", "3"), "`SAMPLE` must be two different samples"),
        (("distances", "--method", "magic"), "`method` must be one of"),
        (("cluster", "--out", "x.txt"), "`--out` must be a file that ends with .csv or .parquet"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_option(run, pullback, words, message):
    command, *rest = words
    assert message in refusal(pullback(command, run, *rest))


@pytest.mark.parametrize(
    "words",
    [
        ("cluster", "--n-clusters", "0"),
        ("density", "--components", "0"),
        ("density", "--max-iter", "0"),
        ("sample", "--n", "0"),
        ("sample", "--max-iter", "0"),
        ("curvature", "--resolution", "1"),
        ("density", "--seed", "-1"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_loaded(pullback, words):
    command, *rest = words
    assert f"Invalid value for '{rest[0]}'" in refusal(pullback(command, "nowhere", *rest))


def test_a_run_whose_training_has_not_ended_is_refused(pullback, tmp_path):
    from pullback.datasets import Table
    from pullback.runs import RunFolder, Settings, prepare

    X = np.random.default_rng(0).normal(size=(20, 3))
    data = prepare(Table(X, None, ("a", "b", "c")))
    RunFolder(tmp_path / "run").begin(Settings("train", "a.csv", "0a"), data)
    for command in ("cluster", "density", "sample", "curvature", "geodesics", "distances"):
        err = refusal(pullback(command, tmp_path / "run"))
        assert "a run whose training has ended" in err
        assert "Go on with it: `pullback train a.csv" in err
    assert "`DIR` must be a folder that" in refusal(pullback("cluster", tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_folder_is_made_or_refused_before_any_work(run, ask, pullback, tmp_path, monkeypatch):
    ask("sample", run, "--n", "2", name="new/folder/table.csv")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("pullback.cli.analyses.base.Subject.__init__", None)  # not called
    for path in (tmp_path / "file" / "table.csv", tmp_path / "new" / "x.csv"):
        if path.parent.name == "new":
            path.mkdir()
        code, _, err = pullback("sample", run, "--out", path)
        assert code == 1
        assert f"Cannot write {path}: " in err
        assert "Choose another file with `--out`" in err
    full = tmp_path / "full"
    full.mkdir()
    for partial, path in ((".t.csv.partial", "t.csv"), (".u.png.partial", "u.csv")):
        (full / partial).symlink_to("/dev/full")
        code, _, err = pullback("cluster", run, "--out", full / path)
        assert code == 1
        assert "No space left on device. Choose another file with `--out`" in err
    assert not any(full.iterdir())
    (tmp_path / "taken.png").mkdir()
    code, _, err = pullback("cluster", run, "--out", tmp_path / "taken.csv")
    assert code == 1
    assert "taken.png: it is a folder" in err


@pytest.mark.slow
def test_a_run_that_can_only_be_read_is_measured_elsewhere(run, ask, pullback, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("analyses", "table"))
    for name in ("analyses", "table", "figures"):  # in the way: not even root can write below it
        (copy / name).write_text("")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    for words in (("cluster", copy), ("report", copy)):
        code, out, err = pullback(*words)
        assert code == 1
        assert out == ""
        assert "Not a directory. Choose another f" in err
    ask("distances", copy, "--n", "4")
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_an_interruption_is_one_line_that_says_how_to_go_on(run, pullback, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pullback.cli.analyses.clustering.KMeans", interrupt)
    path = tmp_path / "table.csv"
    code, _, err = pullback("cluster", run, "--out", path)
    assert code == 1
    assert err == (
        f"Error: interrupted. {path} was not written. To go on, run: "
        f"pullback cluster {run} --out {path}\n"
    )
    assert not path.exists()


@pytest.mark.slow
def test_warnings_are_lines(run, ask, monkeypatch, pullback, tmp_path):
    from pullback.cli.analyses import sampling
    from pullback.errors import ConvergenceWarning

    def warn(samples):
        warnings.warn("3 of 4 fell over.", ConvergenceWarning, stacklevel=1)
        return ["done"]

    monkeypatch.setattr(sampling, "_summary", warn)
    code, out, err = pullback("sample", run, "--n", "2", "--out", tmp_path / "t.csv")
    assert code == 0
    assert "done" in out
    assert err == "Warning: 3 of 4 fell over.\n"


@pytest.mark.parametrize(
    "command",
    ["geodesics", "distances", "interpolate", "cluster", "density", "sample", "curvature"],
)
def test_help_has_an_example_that_parses(pullback, command):
    code, out, _ = pullback(command, "--help")
    assert code == 0
    example = out.partition("Example: ")[2].partition("\n\n")[0].split()
    assert example[:3] == ["pullback", command, "run"]
    options = [word for word in example if word.startswith("--")]
    assert all(option in out.partition("Options:")[2] for option in options)


@pytest.mark.thorough
def test_a_journey_in_a_process_of_its_own(start, run):
    for words in (("cluster", run, *TINY), ("sample", run, "--n", "3", "--decode")):
        process = start(*words)
        out, err = process.communicate(timeout=3600)
        assert process.returncode == 0, err
        table = Path(run) / "analyses" / f"{words[0]}.csv"
        assert f"wrote {table}" in out
        assert len(pd.read_csv(table)) == int(words[3])
        assert is_png(table.with_suffix(".png"))


@pytest.mark.slow
def test_a_density_says_what_it_does_and_draws_less_where_draws_are_dear(
    subject, monkeypatch, capsys
):
    from pullback.cli.analyses import density
    from pullback.manifolds import Manifold

    monkeypatch.setattr(density.LAND, "fit", lambda self, Z: self)
    fitted = subject()
    over_table = density.fit(fitted, fitted.Z_train, model="land", n_components=1)
    fitted.manifold = Manifold(fitted.vae)
    exact = density.fit(fitted, fitted.Z_train, model="land", n_components=1)
    assert (over_table.n_samples, exact.n_samples) == (500, 100)
    assert (over_table.max_iter, exact.max_iter) == (100, 10)
    longer = density.fit(fitted, fitted.Z_train, model="land", n_components=1, max_iter=37)
    assert (longer.n_samples, longer.max_iter) == (100, 37)
    with pytest.raises(NotFittedError):
        density.fit_density(fitted, model="land", n_components=1, n=10)
    said = capsys.readouterr().err
    assert "fitting land to 10 training samples, on the decoder itself" in said


@pytest.mark.slow
@pytest.mark.parametrize("words", [("density",), ("sample", "--method", "land")])
def test_the_turns_that_are_asked_for_reach_the_fit(run, pullback, monkeypatch, words):
    from pullback.cli.analyses import density
    from pullback.errors import InvalidDataError

    asked = []

    def fit(self, Z):
        asked.append(self.max_iter)
        raise InvalidDataError("`codes` must be better, but are not.")

    monkeypatch.setattr(density.LAND, "fit", fit)
    command, *rest = words
    options = ("--components", "1", "--n", "9", "--max-iter", "37")
    code, _, err = pullback(command, run, *rest, *options)
    assert code != 0
    assert "`codes` must be better" in err
    assert asked == [37]
