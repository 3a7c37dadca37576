"""Calls that mean nothing, on every way into the package: each is refused in words, and at once."""

import math

import jaxtyping
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import pullback as pb
from pullback.errors import PullbackError

A, B = [0.0, 0.0], [0.5, 0.5]
Z = np.random.default_rng(0).normal(size=(8, 2))
LABELS = np.arange(8) % 2

POINTS = {
    "nan": [np.nan, 0.0],
    "another dimension": [0.0, 0.0, 0.0],
    "number": 1.0,
    "text": "ab",
    "None": None,
    "empty": [],
    "sparse": torch.zeros(2).to_sparse(),
    "meta": torch.zeros(2, device="meta"),
    "complex": [1j, 0],
    "objects": np.array([object(), 1]),
    "generator": (x for x in (0.0, 1.0)),
    "dictionary": {"a": 1},
    "function": len,
    "ragged": [[0.0, 1.0], [1.0]],
    "dates": np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"),
}
MATRICES = {
    "nan": np.where(np.eye(8, 2) > 0, np.nan, 1.0),
    "row": np.zeros(8),
    "cube": np.zeros((8, 2, 1)),
    "another dimension": np.zeros((8, 5)),
    "text": "abc",
    "texts": [["a", "b"]] * 8,
    "empty": np.zeros((0, 2)),
    "sparse": csr_array(Z),
    "sparse tensor": torch.tensor(Z).to_sparse(),
    "meta": torch.tensor(Z).to("meta"),
    "complex": Z * 1j,
    "generator": (x for x in Z),
    "number": 3.0,
    "ragged": [[0.0, 1.0], [1.0]],
    "gaps": [[None, 1.0]] * 8,
}
COUNTS = {"negative": -1, "True": True, "half": 2.5, "text": "3", "nan": math.nan, "list": [1]}
NUMBERS = {"negative": -1.0, "True": True, "text": "0.1", "nan": math.nan, "list": [0.1], "1j": 1j}
OBJECTS = {"text": "newton", "number": 3, "list": [1, 2], "dictionary": {}, "class": int}
NAMES = {"unknown": "nonsense", "number": 3, "list": ["a"], "class": int}
PATHS = {"empty": "", "None": None, "number": 3, "bytes": b"x", "null": "a\0b"}
LEVELS = COUNTS | {"none": [], "falling": (8, 4), "text": "ab", "far too fine": (10**7,)}


def manifold(**options):
    def immersion(z):
        return torch.cat([z, z.square()], -1)

    return pb.Manifold(immersion, **{"dim": 2} | options)


@pytest.fixture(autouse=True)
def as_users_run_it():
    """Switch off the run-time check of types, which would refuse what the package has to."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def accepted(call, values):
    """Return the bad values that were not refused by an error of the package, and what came."""
    found = {}
    for name, value in values.items():
        try:
            found[name] = repr(call(value))[:80]
        except PullbackError:
            pass
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"[:200]
    return found


M = manifold()
ON_MANIFOLDS = {
    "metric_matrix": (M.metric_matrix, POINTS),
    "log_volume": (M.log_volume, POINTS),
    "decode": (M.decode, POINTS),
    "scalar_curvature": (M.scalar_curvature, POINTS),
    "dist": (lambda x: M.dist(A, x), POINTS),
    "geodesic": (lambda x: M.geodesic(x, B), POINTS),
    "geodesic, graph": (lambda x: M.geodesic(A, B, graph=x), OBJECTS),
    "geodesic, solver": (lambda x: M.geodesic(A, B, solver=x), OBJECTS),
    "geodesic, levels": (lambda x: M.geodesic(A, B, levels=x), LEVELS),
    "geodesic, rtol": (lambda x: M.geodesic(A, B, rtol=x), NUMBERS),
    "geodesic, initial": (lambda x: M.geodesic(A, B, initial=x), OBJECTS),
    "shoot": (lambda x: M.shoot(A, x), POINTS),
    "shoot, rtol": (lambda x: M.shoot(A, B, rtol=x), NUMBERS),
    "shoot, max_steps": (lambda x: M.shoot(A, B, max_steps=x), COUNTS),
    "pairwise": (lambda x: M.pairwise(x, progress=False), MATRICES),
    "pairwise, method": (lambda x: M.pairwise(Z, method=x), NAMES),
    "length": (M.length, POINTS),
    "transport": (lambda x: M.transport(x, along=Z[:3]), POINTS),
    "transport, method": (lambda x: M.transport(A, along=Z[:3], method=x), NAMES),
    "ball, radius": (lambda x: M.ball(A, x), NUMBERS),
    "ball, n": (lambda x: M.ball(A, 0.1, n=x), COUNTS),
    "voronoi": (lambda x: M.voronoi(x, resolution=4), MATRICES),
    "tabulated": (lambda x: M.tabulated(x), MATRICES),
    "Manifold, metric": (lambda x: manifold(metric=x), NAMES),
    "Manifold, data": (lambda x: manifold(data=x), MATRICES),
    "Manifold, dim": (lambda x: manifold(dim=x), COUNTS),
    "Manifold, dtype": (lambda x: manifold(dtype=x), OBJECTS),
}


@pytest.mark.parametrize("name", ON_MANIFOLDS)
def test_manifolds(name):
    assert accepted(*ON_MANIFOLDS[name]) == {}


S, P = pb.sampling, pb.plots
ROWS = np.random.default_rng(0).normal(size=(40, 3))
SEEDS = {"text": "a", "list": [1.5], "half": 2.5, "negative": -1}
LABELLINGS = {"short": LABELS[:3], "number": 3, "cube": np.zeros((8, 2)), "text": "ab"}


def bowl(z):
    return -z.square().sum(-1)


def vae():
    return pb.models.VAE(3, 2, random_state=0, hidden=(4,))


def fit(**options):
    return vae().fit(ROWS, **{"epochs": 1, "progress": False, **options})


SAMPLING = {
    "brownian start": (lambda x: S.BrownianMotion(M).sample(x, 2), POINTS),
    "brownian steps": (lambda x: S.BrownianMotion(M).sample(A, x), COUNTS),
    "brownian step_size": (lambda x: S.BrownianMotion(M, step_size=x).sample(A, 2), NUMBERS),
    "brownian method": (lambda x: S.BrownianMotion(M, method=x).sample(A, 2), NAMES),
    "brownian thinning": (lambda x: S.BrownianMotion(M, thinning=x).sample(A, 2), COUNTS),
    "brownian seed": (lambda x: S.BrownianMotion(M).sample(A, 2, random_state=x), SEEDS),
    "brownian manifold": (lambda x: S.BrownianMotion(x).sample(A, 2), OBJECTS),
    "volume box": (lambda x: S.VolumeSampler(M, x).sample(3), MATRICES),
    "volume power": (
        lambda x: S.VolumeSampler(M, Z, power=x).sample(3),
        {k: v for k, v in NUMBERS.items() if k != "negative"},
    ),
    "volume n": (lambda x: S.VolumeSampler(M, Z).sample(x), COUNTS),
    "volume cells": (lambda x: S.VolumeSampler(M, Z, n_cells=x).sample(2), COUNTS),
    "support codes": (lambda x: S.SupportSampler(S.Support(M, x)).sample(2), MATRICES),
    "support level": (lambda x: S.Support(M, Z, level=x), NUMBERS),
    "support neighbors": (lambda x: S.Support(M, Z, n_neighbors=x), COUNTS),
    "support criterion": (lambda x: S.Support(M, Z, criterion=x), NAMES),
    "tube path": (lambda x: S.GeodesicTube(M, x).sample(2), OBJECTS),
    "tube spread": (lambda x: S.GeodesicTube(M, M.geodesic(A, B), spread=x).sample(2), NUMBERS),
    "tube n": (lambda x: S.GeodesicTube(M, M.geodesic(A, B)).sample(x), COUNTS),
    "heat time": (lambda x: S.HeatKernel(M, time=x).sample(A, 2), NUMBERS),
    "heat substeps": (lambda x: S.HeatKernel(M, time=0.1, n_substeps=x).sample(A, 2), COUNTS),
    "heat start": (lambda x: S.HeatKernel(M, time=0.1, n_substeps=2).sample(x, 2), POINTS),
    "langevin density": (lambda x: S.Langevin(S.Target(M, x)).sample(A, 2), OBJECTS),
    "langevin step": (lambda x: S.Langevin(S.Target(M, bowl), step_size=x).sample(A, 2), NUMBERS),
    "hamiltonian leap": (
        lambda x: S.Hamiltonian(S.Target(M, bowl), n_leapfrog=x).sample(A, 2),
        COUNTS,
    ),
}
PLOTS = {
    "volume Z": (lambda x: P.volume(M, x, resolution=4), MATRICES),
    "volume res": (lambda x: P.volume(M, Z, resolution=x), COUNTS),
    "volume y": (lambda x: P.volume(M, Z, x, resolution=4), LABELLINGS),
    "geodesics": (lambda x: P.geodesics(x), OBJECTS),
    "geodesics most": (lambda x: P.geodesics(M.geodesic(A, B), most=x), COUNTS),
    "tissot radius": (lambda x: P.tissot(M, Z, radius=x, resolution=3), NUMBERS),
    "scatter": (lambda x: P.scatter(x), MATRICES),
    "scatter size": (lambda x: P.scatter(Z, size=x), NUMBERS),
    "images": (lambda x: P.images(x, shape=(1, 2)), MATRICES),
    "images shape": (
        lambda x: P.images(Z, shape=x),
        {"text": "ab", "number": 3, "wrong": (3, 3), "negative": (-1, -2), "half": (1.0, 2.5)},
    ),
    "walks": (
        lambda x: P.walks(x),
        {k: v for k, v in MATRICES.items() if k not in ("nan", "gaps")},
    ),
    "clusters": (lambda x: P.clusters(Z, x, Z[:2]), LABELLINGS),
    "density": (lambda x: P.density(x, Z, resolution=4), OBJECTS),
    "fan length": (lambda x: P.fan(M, A, length=x, n_rays=3), NUMBERS),
    "fan rays": (lambda x: P.fan(M, A, length=0.1, n_rays=x), COUNTS),
    "fan point": (lambda x: P.fan(M, x, length=0.1, n_rays=3), POINTS),
    "distance_matrix": (lambda x: P.distance_matrix(x), MATRICES),
    "band level": (
        lambda x: P.band(np.arange(3.0), np.zeros((4, 3)), level=x),
        NUMBERS | {"two": 2.0},
    ),
    "curvature": (lambda x: P.curvature(M, Z, resolution=x), COUNTS),
    "decoded_grid": (lambda x: P.decoded_grid(M, x, resolution=2, shape=(2, 2)), MATRICES),
}
TRAINING = {
    "fit X": (lambda x: vae().fit(x, epochs=1, progress=False), MATRICES),
    "fit epochs": (lambda x: fit(epochs=x), COUNTS),
    "fit batch": (lambda x: fit(batch_size=x), COUNTS),
    "fit lr": (lambda x: fit(learning_rate=x), NUMBERS),
    "fit decay": (lambda x: fit(weight_decay=x), NUMBERS),
    "fit warmup": (lambda x: fit(kl_warmup=x), NUMBERS),
    "fit val": (lambda x: fit(validation_fraction=x), NUMBERS | {"two": 2.0}),
    "fit patience": (lambda x: fit(patience=x), COUNTS),
    "fit clip": (lambda x: fit(gradient_clip=x), NUMBERS),
    "fit precision": (lambda x: fit(precision_fit=x), NAMES),
    "fit seed": (lambda x: fit(random_state=x), SEEDS),
    "fit device": (lambda x: fit(device=x), NAMES),
    "fit checkpoint": (
        lambda x: fit(checkpoint=x),
        {"number": 3, "bytes": b"x", "null": "a\0b", "empty": ""},
    ),
    "vae data_dim": (lambda x: pb.models.VAE(x, 2), COUNTS),
    "vae latent": (lambda x: pb.models.VAE(3, x), COUNTS),
    "vae likelihood": (lambda x: pb.models.VAE(3, 2, likelihood=x), NAMES),
    "vae hidden": (
        lambda x: pb.models.VAE(3, 2, hidden=x),
        {"text": "ab", "number": 3, "negative": (-1,), "half": (2.5,)},
    ),
}


@pytest.mark.parametrize("name", SAMPLING)
def test_samplers(name):
    assert accepted(*SAMPLING[name]) == {}


@pytest.mark.parametrize("name", PLOTS)
def test_plots(name):
    assert accepted(*PLOTS[name]) == {}
    plt.close("all")


@pytest.mark.parametrize("name", TRAINING)
def test_models_and_training(name):
    assert accepted(*TRAINING[name]) == {}


@pytest.mark.parametrize("kind", ["FrechetMean", "KMeans", "KNeighborsClassifier", "LAND"])
def test_estimators(kind):
    estimator = getattr(pb.statistics, kind)
    wrong = accepted(lambda x: estimator(M).fit(x, LABELS), MATRICES)
    # In scikit-learn's own words, which its contract asks for.
    assert wrong.pop("sparse").startswith("TypeError: Sparse data was passed for X")
    assert wrong.pop("empty").startswith("ValueError: Found array with 0 sample(s)")
    assert wrong == {}
    assert accepted(lambda x: estimator(x).fit(Z, LABELS), OBJECTS) == {}


@pytest.mark.parametrize(
    "call",
    [
        pb.load,
        lambda path: pb.models.VAE(3, 2, random_state=0).save(path),
        pb.datasets.read_table,
        lambda path: pb.statistics.FrechetMean.load(path, M),
        lambda path: pb.metrics.TabulatedMetric.load(path, M.metric),
    ],
    ids=["load", "save", "read_table", "estimator", "table"],
)
def test_paths(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert accepted(call, PATHS) == {}
    assert list(tmp_path.iterdir()) == []
