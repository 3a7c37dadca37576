"""What is wrong is refused at the door: exit code, one paragraph, nothing on disk."""

import shlex

import numpy as np
import pandas as pd
import pytest

from pullback.cli import commands
from pullback.cli.failures import failures_as_paragraphs
from pullback.datasets import Table
from pullback.runs import RunFolder, Settings, prepare
from pullback.version import __version__


def paragraph(err):
    """The message, if it is one paragraph without a traceback, after what was said on the way."""
    assert "Traceback" not in err
    _, start, message = err.partition("Error: ")
    assert start
    assert message.count("\n") == 1
    return message


def test_version_and_help(pullback):
    assert pullback("--version")[:2] == (0, f"pullback {__version__}\n")
    code, out, _ = pullback("--help")
    assert code == 0
    assert all(word in out for word in ("demo", "train", "report", "Exit codes: 0 done"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "demo"),
        (["paint"], "No such command 'paint'"),
        (["demo"], "Missing option '--out'"),
        (["demo", "--out", "x", "--seed", "-1"], "Invalid value for '--seed'"),
        (["demo", "--out", "x", "--seed", str(2**32)], "Invalid value for '--seed'"),
        (["demo", "--out", "x", "--epochs", "0"], "Invalid value for '--epochs'"),
        (["demo", "--out", "x", "--latent-dim", "0"], "Invalid value for '--latent-dim'"),
        (["train", "nowhere.csv", "--out", "x"], "'nowhere.csv' does not exist"),
    ],
)
def test_wrong_usage_ends_with_2(pullback, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = pullback(*words)
    assert code == 2
    assert message in out + err
    assert "Traceback" not in err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--digits", "0,x"], "`--digits` must be different digits"),
        (["--digits", "3,3"], "`digits` must be"),
        (["--digits", "12"], "`digits` must be an integer in [0, 9], but got 12"),
        (["--latent-dim", "785"], "`--latent-dim` must be an integer in [1, 784], but got 785"),
        (["--device", "toaster"], "'toaster' is no device of PyTorch's: use one of"),
        (["--device", "cuda:99"], "'cuda:99' is not on this machine: use one of"),
    ],
)
def test_the_demo_refuses_what_cannot_be(pullback, tmp_path, words, message):
    code, _, err = pullback("demo", "--out", tmp_path / "run", *words)
    assert code == 2
    assert message in paragraph(err)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--latent-dim", "4"], 2, "`--latent-dim` must be an integer in [1, 3], but got 4"),
        (["--scale", "log"], 2, "`scale` must be one of 'auto', 'none', 'standard', but got 'log'"),
        (["--image-shape", "2x2"], 2, "`--image-shape` must be HEIGHTxWIDTH with product 3"),
        (["--likelihood", "gamma"], 2, "`--likelihood` must be one of 'bernoulli', 'beta_bino"),
        (["--likelihood", "student_t", "--likelihood-option", "nu=3"], 2, "'student_t': df, but"),
        (["--likelihood-option", "df"], 2, "`--likelihood-option` must be NAME=VALUE, each name"),
        (["--likelihood-option", "=3"], 2, "`--likelihood-option` must be NAME=VALUE, each name"),
        (
            ["--likelihood-option", "a=3", "--likelihood-option", "a=4"],
            2,
            "must be NAME=VALUE, each name once, but got 'a=4'",
        ),
        (["--image-shape", "wide"], 2, "`--image-shape` must be HEIGHTxWIDTH with product 3"),
        (["--label", "species"], 1, "no column 'species' that could hold the labels"),
        ([], 1, "columns that are not numeric: kind"),
    ],
)
def test_training_refuses_what_cannot_be(pullback, tmp_path, table, words, code, message):
    words = words if "--label" in words or not words else ["--label", "kind", *words]
    got, _, err = pullback("train", table, "--out", tmp_path / "run", *words)
    assert got == code
    assert message in paragraph(err)
    assert not (tmp_path / "run").exists()


def spoil(values, spoiled):
    values[3, 1] = spoiled
    return values


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (spoil(np.random.default_rng(0).normal(size=(20, 3)), np.nan), "NaN or infinite"),
        (spoil(np.random.default_rng(0).normal(size=(20, 3)), -np.inf), "NaN or infinite"),
        (
            np.random.default_rng(0).normal(size=(20, 3, 2)),
            "must have shape (n_samples, n_features)",
        ),
        (np.random.default_rng(0).normal(size=(1, 3)), "at least 2 samples, but got 1"),
        (np.random.default_rng(0).normal(size=(5, 3)), "at least 10 samples"),
        (np.ones((20, 3)) * [7, 1, 2], "3 of 3 features are constant"),
        (np.array([["a"] * 3] * 20), "must hold real numbers"),
    ],
)
def test_bad_data_are_refused(pullback, tmp_path, X, message):
    np.save(tmp_path / "data.npy", X)
    code, _, err = pullback("train", tmp_path / "data.npy", "--out", tmp_path / "run")
    assert code == 1
    assert message in paragraph(err)
    assert not (tmp_path / "run").exists()


def test_labels_of_another_length_are_refused(pullback, tmp_path):
    np.savez(tmp_path / "data.npz", X=np.eye(20), y=np.arange(19))
    code, _, err = pullback("train", tmp_path / "data.npz", "--out", tmp_path / "run")
    assert code == 1
    assert "its labels must have shape (20,), but they have (19,)" in paragraph(err)


def test_a_constant_feature_is_refused_by_its_name(pullback, tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 2)), columns=["p", "q"])
    frame["flat"] = 3.0
    frame.to_csv(tmp_path / "data.csv", index=False)
    code, _, err = pullback("train", tmp_path / "data.csv", "--out", tmp_path / "run")
    assert code == 1
    assert "1 of 3 features are constant over the training samples (flat)" in paragraph(err)
    code, _, err = pullback(
        "train", tmp_path / "data.csv", "--out", tmp_path / "r", "--scale", "none"
    )
    assert code == 1
    assert "`X` must have features that vary" in paragraph(err)


@pytest.mark.parametrize("words", [(), ("--scale", "none")])
def test_overwriting_with_data_that_are_refused_destroys_nothing(pullback, tmp_path, words):
    run = tmp_path / "run"
    data = prepare(Table(np.random.default_rng(0).normal(size=(40, 3)), None, ("a", "b", "c")))
    RunFolder(run).begin(Settings("train", "old.csv", "0a"), data)
    RunFolder(run).write("report.html", b"finished")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[:, 1] = 0.1  # whose standard deviation is a little more than 0
    np.save(tmp_path / "flat.npy", X)
    code, _, err = pullback("train", tmp_path / "flat.npy", "--out", run, "--overwrite", *words)
    assert code == 1
    assert "constant" in paragraph(err)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_refused(pullback, tmp_path, table):
    (tmp_path / "file").write_text("")
    words = ("train", table, "--label", "kind", "--out")
    code, _, err = pullback(*words, tmp_path / "file" / "run")
    assert code == 1
    assert "Choose a folder that can be written" in paragraph(err)
    code, _, err = pullback(*words, tmp_path / "file")
    assert code == 2
    assert "`--out` must be a new or empty folder" in paragraph(err)
    assert (tmp_path / "file").read_text() == ""
    (tmp_path / ".report.html.partial").symlink_to("/dev/full")
    code, _, err = pullback(*words, tmp_path / "new")
    assert code == 1
    assert "No space left on device" in paragraph(err)


def test_a_report_is_written_elsewhere_or_refused_at_once(pullback, tmp_path, monkeypatch):
    from pullback.cli import commands

    data = prepare(Table(np.random.default_rng(0).normal(size=(20, 3)), None, tuple("abc")))
    run, other = tmp_path / "run", tmp_path / "other"
    RunFolder(run).begin(Settings("train", "a.csv", "0a"), data)
    monkeypatch.setattr(RunFolder, "is_trained", True)
    asked = []
    monkeypatch.setattr(commands, "build", lambda *args, out, say: asked.append(out.path) or [])
    assert pullback("report", run, "--out", other)[0] == 0
    assert pullback("report", run)[0] == 0
    assert asked == [other, run]

    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    code, _, err = pullback("report", run, "--out", other)
    assert code == 2
    assert "which holds thesis.tex" in paragraph(err)
    (run / "report.html").mkdir()
    code, _, err = pullback("report", run)
    assert code == 1
    assert "it is a folder. Choose another folder with `--out`" in paragraph(err)
    assert asked == [other, run]


def test_a_folder_of_other_things_is_left_alone(pullback, tmp_path, table):
    words = ("train", table, "--label", "kind", "--overwrite", "--out", tmp_path)
    code, _, err = pullback(*words)
    assert code == 2
    assert "holds other things (table.csv, ...)" in paragraph(err)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_report_needs_a_run(pullback, tmp_path):
    code, _, err = pullback("report", tmp_path)
    assert code == 2
    assert "`DIR` must be a folder that `pullback demo` or `pullback train` wrote" in paragraph(err)


def test_an_interruption_before_the_run_is_one_line(pullback, tmp_path, table, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pullback.cli.commands.read_table", interrupt)
    code, _, err = pullback("train", table, "--out", tmp_path / "run")
    assert code == 1
    assert paragraph(err) == "interrupted before anything was written.\n"
    assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit) as ended, failures_as_paragraphs():
        interrupt()
    assert ended.value.code == 1


@pytest.mark.parametrize("place", ["before", "after"])
def test_tracebacks_are_shown_where_they_are_wanted(pullback, tmp_path, place):
    from pullback.errors import InvalidParameterError

    words = ["report", tmp_path, "--debug"] if place == "after" else ["--debug", "report", tmp_path]
    with pytest.raises(InvalidParameterError):
        pullback(*words)


def test_a_likelihood_and_its_options_come_through(pullback, tmp_path, table, monkeypatch):
    found = []
    monkeypatch.setattr(
        commands, "_run", lambda out, table, settings, *, overwrite: found.append(settings)
    )
    words = ["--likelihood", "student_t"]
    for option in ("df=3.5", "unit=nats", "edges=[0, 1]"):
        words += ["--likelihood-option", option]
    assert pullback("train", table, "--out", tmp_path, "--label", "kind", *words)[0] == 0
    assert found[0].likelihood == "student_t"
    assert found[0].likelihood_options == {"df": 3.5, "unit": "nats", "edges": [0, 1]}
    # The command that a run gives for itself says the same.
    assert pullback(*shlex.split(found[0].command_line(tmp_path))[1:])[0] == 0
    assert found[1] == found[0]
