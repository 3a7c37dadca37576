import json
import shlex
from dataclasses import replace

import numpy as np
import pytest

from pullback.datasets import Table
from pullback.errors import InvalidParameterError, StorageError
from pullback.runs import RunFolder, Settings, prepare

SETTINGS = Settings("train", "a.csv", "0a", epochs=3)


@pytest.fixture
def data():
    X = np.random.default_rng(0).random((20, 3))
    return prepare(Table(X, np.repeat(["a", "b"], 10), ("p", "q", "r")))


@pytest.fixture
def folder(tmp_path, data):
    folder = RunFolder(tmp_path / "run")
    assert folder.begin(SETTINGS, data) is False
    return folder


def test_settings_and_data_come_back(folder, data):
    assert folder.settings() == SETTINGS
    back = folder.data()
    for name in ("X", "y", "test", "center", "scale", "feature_names"):
        np.testing.assert_array_equal(getattr(back, name), getattr(data, name))


def test_data_without_labels_come_back(tmp_path, data):
    folder = RunFolder(tmp_path)
    folder.begin(SETTINGS, replace(data, y=None))
    assert folder.data().y is None
    assert folder.data().y_test is None


def test_the_same_run_goes_on(folder, data):
    assert folder.begin(replace(SETTINGS, source="moved/a.csv"), data) is True


def test_another_run_is_refused_and_nothing_changes(folder, data):
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    other = replace(SETTINGS, epochs=4, data_digest="0b")
    with pytest.raises(
        InvalidParameterError, match=r"\(other data, epochs 3, not 4\).*--overwrite"
    ):
        folder.begin(other, data)
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def test_overwriting_removes_what_a_run_writes_and_nothing_else(folder, data):
    (folder.path / "notes.txt").write_text("mine")
    folder.write("figures/old.png", b"old")
    assert folder.begin(replace(SETTINGS, epochs=4), data, overwrite=True) is False
    assert folder.settings().epochs == 4
    assert (folder.path / "notes.txt").exists()
    assert not folder.figures.exists()


def test_a_folder_of_other_things_is_refused(tmp_path, data):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidParameterError, match=r"holds other things \(thesis.tex, \.\.\.\)"):
        RunFolder(tmp_path).begin(SETTINGS, data, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path, data):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidParameterError, match="the file .*file"):
        RunFolder(tmp_path / "file").begin(SETTINGS, data)
    with pytest.raises(StorageError, match="Cannot write"):
        RunFolder(tmp_path / "file" / "inside").begin(SETTINGS, data)


def test_what_a_crash_left_before_the_run_began_is_no_obstacle(tmp_path, data):
    (tmp_path / "data.npz").write_bytes(b"half")
    assert RunFolder(tmp_path).begin(SETTINGS, data) is False


def test_damage_is_named(folder):
    (folder.path / "data.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(StorageError, match=r"data.npz is missing or damaged .* --overwrite"):
        folder.data()
    (folder.path / "run.json").write_text("{")
    with pytest.raises(StorageError, match=r"run.json is damaged"):
        folder.settings()
    (folder.path / "run.json").write_text(json.dumps({"settings": {"image_shape": None}}))
    with pytest.raises(StorageError, match=r"run.json is damaged"):
        folder.settings()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "its format is 2, and this version reads 1"),
        ({"settings": []}, "it has no settings"),
        ({"settings": {"seed": 1}}, "the settings must be command, source, .*, but are seed"),
        ({"seed": "3"}, "seed is '3'"),
        ({"seed": True}, "seed is True"),
        ({"latent_dim": 2.5}, "latent_dim is 2.5"),
        ({"device": None}, "device is None"),
        ({"image_shape": [2, "3"]}, "image_shape is"),
        ({"image_shape": [2]}, "image_shape is"),
    ],
)
def test_a_description_of_another_format_or_type_is_refused(folder, change, message):
    path = folder.path / "run.json"
    document = json.loads(path.read_text())
    (document if set(change) & set(document) else document["settings"]).update(change)
    path.write_text(json.dumps(document))
    with pytest.raises(StorageError, match=f"run.json is damaged .*{message}"):
        folder.settings()


@pytest.mark.parametrize("content", [b"[1]", b"null", b"\xff\xfe", b""])
def test_a_description_that_is_none_is_refused(folder, content):
    (folder.path / "run.json").write_bytes(content)
    with pytest.raises(StorageError, match="run.json is damaged"):
        folder.settings()


def test_data_damaged_in_any_place_are_refused_or_whole(folder):
    path = folder.path / "data.npz"
    whole = path.read_bytes()
    for cut in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(StorageError, match="missing or damaged"):
            folder.data()
    spoiled = bytearray(whole)
    spoiled[60:90] = b"\x55" * 30
    path.write_bytes(bytes(spoiled))
    with pytest.raises(StorageError, match="missing or damaged"):
        folder.data()


def test_the_command_line_says_all_that_is_not_a_default():
    settings = replace(
        SETTINGS,
        source="my data.csv",
        label="the class",
        scale="none",
        image_shape=(2, 3),
        latent_dim=1,
        seed=5,
        device="cuda",
    )
    assert settings.command_line("out") == (
        "pullback train 'my data.csv' --out out --label 'the class' --scale none --image-shape 2x3 "
        "--latent-dim 1 --epochs 3 --seed 5 --device cuda"
    )
    demo = Settings("demo", "0,1", "0a")
    assert demo.command_line("x").startswith("pullback demo --digits 0,1 --out x")


def test_a_likelihood_comes_back_with_its_options(tmp_path, data):
    options = {"df": 3.5, "unit": "nats", "edges": [0, 1]}
    settings = replace(SETTINGS, likelihood="student_t", likelihood_options=options)
    folder = RunFolder(tmp_path)
    folder.begin(settings, data)
    assert folder.settings() == settings
    with pytest.raises(InvalidParameterError, match="likelihood student_t, not normal"):
        folder.refuse_other(SETTINGS)
    words = shlex.split(settings.command_line("run"))
    given = [words[k + 1] for k, word in enumerate(words) if word == "--likelihood-option"]
    assert given == ["df=3.5", "unit=nats", "edges=[0, 1]"]


def test_a_run_from_before_likelihoods_is_one_of_the_normal(folder):
    path = folder.path / "run.json"
    document = json.loads(path.read_text())
    del document["settings"]["likelihood"], document["settings"]["likelihood_options"]
    path.write_text(json.dumps(document))
    assert folder.settings() == SETTINGS
    assert folder.settings().likelihood == "normal"
