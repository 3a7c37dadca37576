"""The report and the ledger mean the same by the same name, and say the same of the same claim."""

import ast
import importlib
import inspect
import json

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from pullback.pages.chapter import Chapter, Verdict
from pullback.pages.verdicts import ledger_verdicts
from pullback.report import RunFolder, build
from pullback.report.chapters import STORY
from pullback.report.ledger import LEDGER, beside_ledger, said_of
from pullback.report.study import Study
from pullback.reproduction import CLAIMS
from pullback.reproduction.claims.oddity import clustering, deviation, interpolation, likelihood

# What both measure, by the chapter, the module of the claim, and the function that both must call.
ALIKE = [
    ("clustering", "clustering", "clustering_scores"),
    ("triplets", "clustering", "triplet_share"),
    ("likelihood", "likelihood", "marginal"),
    ("random_walks", "walks", "excursions"),
    ("random_walks", "walks", "matched_step"),
    ("random_walks", "frames", "excursions"),
    ("random_walks", "frames", "matched_step"),
    ("generation", "deviation", "total_std"),
    ("generation", "deviation", "rank_correlation"),
    ("interpolation", "interpolation", "jerkiness"),
]


def calls(module, name):
    nodes = list(ast.walk(ast.parse(inspect.getsource(module))))
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and is_name(node.func)}
    return name in called and name not in {
        node.name for node in nodes if isinstance(node, ast.FunctionDef)
    }


def is_name(node):
    return isinstance(node, ast.Name)


@pytest.mark.parametrize(("chapter", "claim", "name"), ALIKE)
def test_both_call_the_same_function(chapter, claim, name):
    ours = importlib.import_module(f"pullback.report.chapters.{chapter}")
    theirs = importlib.import_module(f"pullback.reproduction.claims.oddity.{claim}")
    assert getattr(ours, name) is getattr(theirs, name)
    assert calls(ours, name)
    assert calls(theirs, name)


@pytest.fixture(scope="module")
def study(run):
    return Study(RunFolder(run))


@pytest.mark.slow
def test_f1_and_triplets_are_the_ledgers(study):
    y = np.unique(study.y, return_inverse=True)[1].astype(np.int64)
    theirs = clustering.compare(study.manifold, study.Z, y, n_subsets=1, seed=study.seed)
    ours, triplets = (STORY[step](study).numbers for step in ("k-means", "triplets"))
    for name in ("Euclidean", "Riemannian"):
        assert ours[name.lower()]["macro_f1"] == theirs[name]["macro F1"]
        assert triplets[name.lower()] == theirs[name]["triplets"]
    assert triplets["euclidean"] < 1  # it can tell


@pytest.mark.slow
def test_log_p_is_the_ledgers(study):
    ours = STORY["likelihood"](study).numbers["mean_log_likelihood"]
    for name, decoder in study.decoders.items():
        modules = (study.vae.encoder, decoder, study.vae.prior)
        theirs = likelihood.likelihood(study.X, modules, n_prior=10, seed=0)
        assert ours[name] == pytest.approx(theirs["log p(x)"], rel=1e-6)


@pytest.mark.slow
def test_the_largest_jump_is_the_ledgers(study):
    ours = STORY["interpolation"](study).numbers
    good = torch.from_numpy(study.found)
    images = study.images_along(study.paths.points(ours["n_steps"] + 1)[good])
    axis = torch.ones(images.shape[-1]).to(images), torch.zeros(images.shape[-1]).to(images)
    theirs = interpolation.smoothness(images, axis)["largest over mean step"]
    assert ours["geodesic"]["mean"] == pytest.approx(theirs, rel=1e-6)
    assert theirs > 1


class Wall(torch.nn.Module):
    """A decoder whose sigma grows to one side: with the distance to data, but not in its order."""

    def forward(self, z):
        return Normal(torch.zeros(len(z), 3), 1 + z[:, :1].exp().expand(-1, 3))


@pytest.mark.slow
def test_how_sigma_grows_is_the_ledgers(run):
    generation = importlib.import_module("pullback.report.chapters.generation")
    study = Study(RunFolder(run))
    study.__dict__["decoders"] = {"RBF": Wall(), "network": Wall()}
    ours = generation.generation(study).numbers
    probes, codes = generation._probes(study), study.Z_train
    sigma = [deviation.total_std(Wall(), z) for z in (probes, codes)]
    theirs = deviation.growth(*sigma, probes, codes)["Spearman"]
    assert ours["spearman_rbf"] == pytest.approx(theirs, abs=1e-4)
    assert 0 < abs(theirs) < 0.99


def test_every_claim_that_a_chapter_tells_of_is_in_the_ledger():
    assert {key for keys in LEDGER.values() for key in keys} <= set(CLAIMS)
    for keys in LEDGER.values():
        assert set(keys) & set(ledger_verdicts())


def test_a_demo_is_told_of_its_own_digits_and_other_data_of_all():
    chapter = Chapter("clustering", "", {}, [], claim="So.", verdict=Verdict.OPEN)
    assert [one.key for one in said_of(chapter, "3,4,7")] == ["clustering-347"]
    assert {"clustering-012", "clustering-569"} <= {one.key for one in said_of(chapter, "0,1,7")}
    assert said_of(Chapter.absent("likelihood", "", "So.", "No sigma.")) == []


@pytest.mark.slow
def test_the_page_and_the_numbers_say_what_the_ledger_says(run, tmp_path):
    def tell(study):
        return Chapter("likelihood", "", {}, ["Nats."], claim="So.", verdict=Verdict.FAILS)

    (told, _) = build(RunFolder(run), chapters={"told": tell}, out=RunFolder(tmp_path))
    one = ledger_verdicts()["likelihood"]
    assert told.blocks == [*tell(None).blocks, *beside_ledger(tell(None)).blocks[1:]]
    page = (tmp_path / "report.html").read_text()
    assert f"<code>likelihood</code> is {one.verdict.label}." in page
    assert "under the protocol of the ledger" in page
    (claim,) = json.loads((tmp_path / "metrics.json").read_text())["claims"]
    assert claim["verdict"] == "does not hold here"
    assert claim["ledger"] == {"likelihood": one.verdict.label}
