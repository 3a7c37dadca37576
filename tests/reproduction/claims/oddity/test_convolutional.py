"""The convolutional claim is that of the fully connected networks, but for the networks."""

import pytest

from pullback.models import VAE
from pullback.reproduction import CLAIMS
from pullback.reproduction.claims.oddity import clustering
from pullback.reproduction.claims.oddity.convolutional import convolved
from pullback.reproduction.lab import Lab


def test_all_but_the_networks_is_the_recipe():
    ours, recipe = VAE(784, **convolved(clustering.MODEL)), VAE(784, **clustering.MODEL)
    networks = {"architecture", "dense_units", "hidden", "image_shape"}
    differs = {name for name, value in recipe.config.items() if ours.config[name] != value}
    assert differs == networks
    assert ours.config["architecture"] == "convolutional"


def test_it_is_asked_of_the_same_sets_and_in_as_many_subsets():
    ours = CLAIMS["clustering-convolutional"].settings
    each = [claim.settings for claim in clustering.CLUSTERING]
    assert list(ours["sets"]) == [settings["digits"] for settings in each]
    for settings in each:
        assert ours["n_subsets"] == settings["n_subsets"]
        assert ours["n_per_digit"] == settings["n_per_digit"]


@pytest.mark.slow
def test_each_set_is_measured_as_by_its_own_claim(tmp_path):
    claim, lab = CLAIMS["clustering-convolutional"], Lab(tmp_path)
    settings = claim.settings_of(quick=True) | {"sets": ((3, 4, 7), (0, 1, 2))}
    found = claim.measure(lab, 1, **settings)
    del settings["sets"]
    for digits, name in (((3, 4, 7), "{3, 4, 7}"), ((0, 1, 2), "{0, 1, 2}")):
        alone = clustering.measure(lab, 1, digits=digits, **settings)
        for distance, scores in alone.items():
            assert found[f"{name}, {distance}"] == scores
    assert len(found) == 4
