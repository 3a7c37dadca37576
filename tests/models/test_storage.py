import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from pullback.errors import DeviceError, StorageError
from pullback.models import (
    VAE,
    BernoulliLikelihood,
    Decoder,
    GaussianEncoder,
    atomic_write,
    load,
    mlp,
    save,
    storage,
)

X = np.random.default_rng(0).uniform(size=(40, 6)).astype(np.float32)
MODELS = {
    "rbf": {},
    "network": {"std": "network"},
    "constant": {"std": "constant"},
    "learned": {"std": "constant", "constant_std": "learned"},
    "bernoulli": {"likelihood": "bernoulli"},
    "convolutional": {
        "architecture": "convolutional",
        "image_shape": (1, 2, 3),
        "hidden": (4, 2),
    },
}


@pytest.fixture
def folder(tmp_path):
    """A fitted and saved model."""
    VAE(6, 2, n_centers=5).fit(X, epochs=2, progress=False).save(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder, *, sign=True, **changes):
    """Change entries of the JSON, with a checksum that fits if `sign`."""
    path = folder / "model.json"
    document = json.loads(path.read_text()) | changes
    if sign:
        document.pop("checksum")
        content = json.dumps(document, sort_keys=True).encode()
        document["checksum"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(document))


def weights_of(folder):
    (path,) = folder.glob("weights-*.safetensors")
    return path


def weights_of_document(folder):
    return folder / json.loads((folder / "model.json").read_text())["weights"]["file"]


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_comes_back_the_same(tmp_path, name):
    vae = VAE(6, 2, **{"n_centers": 5} | MODELS[name]).fit(X, epochs=2, progress=False)
    vae.save(tmp_path)
    again = load(tmp_path)
    assert again.config == vae.config
    assert again.history == vae.history
    assert not again.training
    for one, two in zip(vae.state_dict().items(), again.state_dict().items(), strict=True):
        assert one[0] == two[0]
        assert torch.equal(one[1], two[1])
    z = torch.randn(10, 2)
    assert torch.equal(vae.decode(z), again.decode(z))
    assert torch.equal(vae.decoder(z).stddev, again.decoder(z).stddev)


def test_double_precision_comes_back_double(tmp_path):
    vae = VAE(6, 2).double()
    vae.save(tmp_path)
    again = load(tmp_path)
    assert again.encode(X).dtype == torch.float64
    assert torch.equal(again.encode(X), vae.encode(X))


@pytest.mark.thorough
def test_model_loads_in_a_new_process(folder):
    code = f"""
import torch
from pullback.models import load
vae = load({str(folder)!r})
print(vae.decode(torch.tensor([0.5, -0.5])).double().sum().item().hex())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=3600
    )
    here = load(folder).decode(torch.tensor([0.5, -0.5])).double().sum().item().hex()
    assert done.stdout.strip() == here


def test_nothing_is_pickled(folder):
    names = sorted(path.name.split("-")[0] for path in folder.iterdir())
    assert names == ["model.json", "timings.json", "weights"]
    assert json.loads((folder / "model.json").read_text())["class"] == "VAE"
    content = weights_of(folder).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["encoder.network.0.weight"]["shape"] == [64, 6]


def test_saving_again_replaces_the_model_and_leaves_one(folder):
    other = VAE(6, 3, n_centers=5)
    other.save(folder)
    assert load(folder).latent_dim == 3
    assert len(list(folder.glob("weights-*"))) == 1


def test_a_crash_between_the_two_files_leaves_the_old_model(folder, monkeypatch):
    before = load(folder).encode(X)

    def crash_at_json(path, content):
        if path.name == "model.json":
            raise KeyboardInterrupt
        atomic_write(path, content)

    monkeypatch.setattr(storage, "atomic_write", crash_at_json)
    with pytest.raises(KeyboardInterrupt):
        save(VAE(6, 3), folder)
    assert torch.equal(load(folder).encode(X), before)


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="choose a folder that can be written"):
        VAE(6, 2).save(tmp_path / "file" / "model")
    assert (tmp_path / "file").read_text() == "in the way"


def test_missing_folder_and_files_are_named(tmp_path, folder):
    with pytest.raises(StorageError, match=r"no model\.json in .*nowhere.*`VAE\.save`"):
        load(tmp_path / "nowhere")
    weights_of(folder).unlink()
    with pytest.raises(StorageError, match=r"no weights-\w+\.safetensors in"):
        load(folder)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_truncated_files_are_refused(folder, keep):
    path = weights_of(folder)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(StorageError, match=rf"truncated or damaged: .* bytes of {len(content)}"):
        load(folder)
    path.write_bytes(content)
    document = folder / "model.json"
    document.write_bytes(document.read_bytes()[: int(keep * document.stat().st_size)])
    with pytest.raises(StorageError, match="no valid JSON"):
        load(folder)


def test_tampered_weights_are_refused(folder):
    path = weights_of(folder)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"changed after it was saved: its SHA-256"):
        load(folder)


def test_tampered_configuration_is_refused(folder):
    document = json.loads((folder / "model.json").read_text())
    rewrite(folder, sign=False, config=document["config"] | {"activation": "silu"})
    with pytest.raises(StorageError, match="its checksum does not match"):
        load(folder)


def test_newer_format_says_to_upgrade(folder):
    rewrite(folder, format=2, version="9.9.9")
    with pytest.raises(StorageError, match=r"pullback 9\.9\.9 in format 2.*pip install --upgrade"):
        load(folder)


@pytest.mark.parametrize("content", ["[1, 2]", "{}", '{"format": "x"}'])
def test_other_json_is_refused(folder, content):
    (folder / "model.json").write_text(content)
    with pytest.raises(StorageError, match="does not describe a model of this package"):
        load(folder)


def test_configuration_and_weights_that_do_not_fit_are_refused(folder):
    config = json.loads((folder / "model.json").read_text())["config"]
    rewrite(folder, config=config | {"n_centers": 6})
    with pytest.raises(StorageError, match="do not fit the model"):
        load(folder)
    rewrite(folder, config=config | {"latent_dim": 0})
    with pytest.raises(StorageError, match=r"configuration .* is not valid: `latent_dim` must be"):
        load(folder)
    rewrite(folder, config=config | {"surprise": 1})
    with pytest.raises(StorageError, match=r"is not valid: .*surprise"):
        load(folder)


def custom(hidden=8):
    decoder = Decoder(mlp([2, hidden, 6]), BernoulliLikelihood())
    return VAE.from_modules(GaussianEncoder(mlp([6, hidden, 4]), 2), decoder)


@pytest.mark.slow
def test_custom_modules_are_filled(tmp_path):
    vae = custom()
    vae.save(tmp_path)
    with pytest.raises(StorageError, match=r"custom modules.*model=VAE\.from_modules"):
        load(tmp_path)
    other = custom()
    assert load(tmp_path, model=other) is other
    assert torch.equal(other.encode(X), vae.encode(X))
    with pytest.raises(StorageError, match="the same modules that were saved"):
        load(tmp_path, model=custom(hidden=9))


def test_device_that_is_not_there_is_refused(folder):
    with pytest.raises(DeviceError, match="`device` 'cuda:99' is not on this machine"):
        load(folder, device="cuda:99")


@pytest.mark.gpu
def test_model_loads_onto_a_gpu(folder):
    assert load(folder, device="cuda").encode(X).device.type == "cuda"


def test_saving_deletes_no_file_but_the_weights_it_replaces(folder):
    others = [folder / "weights-mine.safetensors", folder / "weights-0123456789abcdef.safetensors"]
    for path in others:
        path.write_bytes(b"precious")
    replaced = weights_of_document(folder)
    VAE(6, 3, n_centers=5).save(folder)
    assert not replaced.exists()
    (folder / "model.json").write_text("{}")  # no model of ours: nothing in it is obeyed
    VAE(6, 2, n_centers=5).save(folder)
    assert load(folder).latent_dim == 2
    assert [path.read_bytes() for path in others] == [b"precious"] * 2


def test_weights_that_cannot_be_deleted_are_named(folder):
    path = weights_of(folder)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match=rf"model is saved, but .*{path.name}.* Delete the file"):
        VAE(6, 3, n_centers=5).save(folder)
    assert load(folder).latent_dim == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 0}, "does not describe a model of this package"),
        ({"format": True}, "does not describe a model of this package"),
        ({"class": "GAN"}, "describes a 'GAN', but a 'VAE' is wanted"),
        ({"weights": {}}, r"lacks weights\.file, weights\.size, weights\.sha256"),
        ({"weights": None}, r"lacks weights\.file"),
    ],
)
def test_documents_with_other_content_are_refused(folder, changes, message):
    rewrite(folder, **changes)
    with pytest.raises(StorageError, match=message):
        load(folder)


@pytest.mark.parametrize("key", ["config", "history", "weights", "class"])
def test_documents_that_lack_a_part_are_refused(folder, key):
    path = folder / "model.json"
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))
    rewrite(folder)
    with pytest.raises(StorageError, match=key if key != "class" else "describes a None"):
        load(folder)


def test_timings_stand_apart_and_may_be_lost_but_not_damaged(folder):
    assert b"seconds" not in (folder / "model.json").read_bytes()
    timings = folder / "timings.json"
    content = json.loads(timings.read_bytes())
    history = load(folder).history
    assert [row.get("seconds") for row in history] == content["seconds"]
    timings.write_text(json.dumps(content | {"weights": "of another model"}))
    without = [{k: v for k, v in row.items() if k != "seconds"} for row in history]
    assert load(folder).history == without
    for damaged in ("{", "[]", json.dumps(content | {"seconds": [1.0] * (len(history) + 1)})):
        timings.write_text(damaged)
        with pytest.raises(StorageError, match="timings.json is damaged .* delete it"):
            load(folder)
    timings.unlink()
    assert load(folder).history == without
