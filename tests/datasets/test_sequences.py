import numpy as np
import pytest

import pullback as pb
from pullback.datasets import AMINO_ACIDS, packaged, ww_domains
from pullback.errors import MissingExtraError
from pullback.models import CategoricalLikelihood


def test_every_sequence_is_one_hot_and_says_the_same_as_its_text():
    import torch

    X, sequences = ww_domains()
    assert X.shape == (4025, 44 * 21)
    CategoricalLikelihood(21).check("X", torch.tensor(X))
    letters = np.array(list(AMINO_ACIDS))[X.reshape(-1, 44, 21).argmax(-1)]
    assert ["".join(row) for row in letters] == sequences.tolist()


def test_they_are_ww_domains():
    _, sequences = ww_domains()
    columns = np.array([list(row) for row in sequences])
    assert (columns[:, 4] == "W").mean() > 0.95  # the two tryptophans that name the family
    assert (columns[:, 40] == "W").mean() > 0.85
    assert (columns[:, 43] == "P").mean() > 0.95


def test_as_many_are_copies_as_the_docstring_says():
    _, sequences = ww_domains()
    assert len(sequences) - len(set(sequences.tolist())) == 635


def test_without_logomaker_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"`ww_domains`.*pip install 'pullback\[data\]'"):
        pb.datasets.ww_domains()
