"""A run that is read back is the one that was made, whoever reads it."""

import numpy as np
import pytest
import torch

from pullback.cli.analyses.base import Subject
from pullback.datasets import Table
from pullback.errors import InvalidParameterError
from pullback.report.study import Study
from pullback.runs import Run, RunFolder, Settings, draw_pairs, prepare
from pullback.runs.training import build_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose models are saved, if hardly trained."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    settings = Settings("train", "a.csv", "0a", seed=5)
    data = prepare(Table(X, None, tuple("abc")), seed=5)
    folder.begin(settings, data)
    vae = build_model(settings, data).fit(data.X_train, epochs=1, progress=False)
    vae.save(folder.model)
    assert not folder.is_trained
    with pytest.raises(InvalidParameterError, match=r"training has ended.*Go on with it: `pullba"):
        Run(folder)
    vae.save(folder.network_model)
    return folder


def test_codes_are_those_of_the_model(folder):
    run = Run(folder)
    with torch.no_grad():
        expected = run.vae.encoder(torch.as_tensor(run.data.X_test)).mean.double()
    torch.testing.assert_close(run.Z_test, expected, rtol=1e-6, atol=1e-6)
    assert len(run.Z_train) + len(run.Z_test) == 60
    assert run.Z_train.dtype == torch.float64
    assert run.is_plane
    assert run.image_shape is None


def test_the_seed_is_that_of_the_run_if_none_is_given(folder):
    assert Run(folder).seed == 5
    assert Run(folder, seed=0).seed == 0


def test_a_report_and_an_analysis_measure_the_same_samples(folder):
    study, subject = Study(folder, n_points=7), Subject(folder.path, n=7)
    assert torch.equal(study.Z, subject.Z)
    assert torch.equal(study.Z_train, subject.Z_train)
    np.testing.assert_array_equal(study.X.numpy(), subject.data.X[subject.index])


def test_pairs_are_different_and_all_of_them_if_there_are_too_few():
    pairs = draw_pairs(5, 100, np.random.default_rng(0))
    assert sorted(map(tuple, pairs)) == [(i, j) for i in range(5) for j in range(i + 1, 5)]
    assert sorted(map(tuple, pairs)) != list(map(tuple, pairs))
    few = draw_pairs(50, 6, np.random.default_rng(0))
    assert len({tuple(pair) for pair in few}) == 6
    assert (few[:, 0] < few[:, 1]).all()
