import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pullback.adapters import from_scvi
from pullback.errors import InvalidParameterError, MissingExtraError, SmoothnessWarning
from pullback.manifolds import Manifold

N_GENES = 12
REASON = "needs `pip install 'pullback[bio]'`"
# What the packages warn of among themselves.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning",
)


@pytest.fixture
def scvi(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = pytest.importorskip("scvi", reason=REASON)
    package.settings.seed = 0
    return package


@pytest.fixture
def cells(scvi):
    """Counts of 120 cells of three types in two batches."""
    from anndata import AnnData

    rng = np.random.default_rng(0)
    mean = rng.gamma(1.5, 2, size=(3, N_GENES))[rng.integers(0, 3, size=120)]
    adata = AnnData(rng.poisson(mean * rng.gamma(2, 0.5, size=mean.shape)).astype(np.float32))
    adata.obs["run"] = rng.choice(["first", "second"], size=120)
    return adata


def build(scvi, cells, *, smooth=True, **options):
    scvi.model.SCVI.setup_anndata(cells, batch_key="run")
    if smooth:
        options["extra_decoder_kwargs"] = {"activation_fn": nn.Tanh}
    return scvi.model.SCVI(cells, n_latent=2, **options)


def train(model, epochs=3):
    model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, logger=False)
    return model


def own_output(model, z, *, batch, library_size):
    """p(x|z) as scvi-tools computes it."""
    rows = torch.ones(len(z), 1)
    return model.module.generative(
        z, (library_size * rows).log().to(z), (batch * rows).long(), y=(0 * rows).long()
    )["px"]


def slopes(f, z, h=1e-5):
    """Central differences of a map, shape `(n, m, d)`."""
    steps = h * torch.eye(z.shape[-1]).to(z)
    with torch.no_grad():
        return torch.stack([(f(z + e) - f(z - e)) / (2 * h) for e in steps], -1)


def test_a_model_trained_saved_and_loaded_is_measured(scvi, cells):
    train(build(scvi, cells, gene_likelihood="nb")).save("model")
    model = scvi.model.SCVI.load("model", adata=cells, accelerator="cpu")
    z = torch.as_tensor(model.get_latent_representation()).double()
    M = Manifold(from_scvi(model, batch="second"), data=z)
    model.module.double()
    size = float(np.median(cells.X.sum(1)))

    def p(z):
        return own_output(model, z, batch=1, library_size=size)

    with torch.no_grad():
        mean, theta = p(z[:9]).mu, p(z[:9]).theta
    J = slopes(lambda z: p(z).mu, z[:9])
    fisher = torch.einsum("nmi,nm,nmj->nij", J, 1 / (mean + mean**2 / theta), J)
    torch.testing.assert_close(M.metric_matrix(z[:9]), fisher, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(M.decode(z[:9]), mean)
    found = M.geodesic(z[:10], z[10:20])
    assert found.converged.all()
    assert (found.length <= found.straight_length * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("likelihood", "dispersion", "representation"),
    [
        ("nb", "gene", "embedding"),
        ("nb", "gene-batch", "one-hot"),
        ("nb", "gene-cell", "one-hot"),
        ("zinb", "gene", "one-hot"),
        ("zinb", "gene-cell", "embedding"),
        ("poisson", "gene", "one-hot"),
        ("normal", "gene-batch", "one-hot"),
    ],
)
@pytest.mark.parametrize("batch", ["first", "second"])
def test_probabilities_are_those_of_the_model(
    scvi, cells, likelihood, dispersion, representation, batch
):
    model = build(
        scvi,
        cells,
        gene_likelihood=likelihood,
        dispersion=dispersion,
        batch_representation=representation,
        n_layers=2,
    )
    model.module.eval()
    z, x = torch.randn(6, 2), torch.as_tensor(cells.X[:6])
    index = ["first", "second"].index(batch)
    own = own_output(model, z, batch=index, library_size=70.0).log_prob(x)
    decoder = from_scvi(model, batch=batch, library_size=70.0)
    torch.testing.assert_close(decoder(z).log_prob(x), own.sum(-1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(decoder(z[None, :, None]).mean[0, :, 0], decoder(z).mean)


@pytest.mark.parametrize("dispersion", ["gene", "gene-cell"])
def test_zero_inflated_counts_have_geodesics(scvi, cells, dispersion):
    model = train(build(scvi, cells, gene_likelihood="zinb", dispersion=dispersion), epochs=1)
    z = torch.as_tensor(model.get_latent_representation())
    assert Manifold(from_scvi(model), data=z).geodesic(z[:4], z[4:8]).converged.all()


def test_the_library_size_is_the_median_and_the_batch_the_first(scvi, cells):
    model = build(scvi, cells, gene_likelihood="poisson")
    model.module.eval()
    z = torch.randn(3, 2)
    expected = own_output(model, z, batch=0, library_size=float(np.median(cells.X.sum(1)))).mean
    torch.testing.assert_close(from_scvi(model)(z).mean, expected)


def test_a_size_factor_takes_the_place_of_the_library(scvi, cells):
    cells.obs["factor"] = np.linspace(0.5, 2.5, len(cells))
    scvi.model.SCVI.setup_anndata(cells, size_factor_key="factor")
    model = scvi.model.SCVI(
        cells,
        n_latent=2,
        gene_likelihood="poisson",
        extra_decoder_kwargs={"activation_fn": nn.Tanh},
    )
    z = torch.zeros(1, 2)
    torch.testing.assert_close(
        from_scvi(model)(z).mean, 1.5 * from_scvi(model, library_size=1.0)(z).mean
    )


def test_the_model_stays_as_it_was(scvi, cells):
    model = build(scvi, cells)
    before = copy.deepcopy(model.module.state_dict())
    Manifold(from_scvi(model))
    assert model.module.training
    after = model.module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}


def test_the_default_decoder_is_taken_with_a_warning_of_its_kinks(scvi, cells):
    with pytest.warns(SmoothnessWarning, match="not twice differentiable"):
        decoder = from_scvi(build(scvi, cells, smooth=False))
    assert (decoder.latent_dim, decoder.data_dim) == (2, N_GENES)


def test_a_model_without_its_data_needs_the_library_size(scvi, cells):
    train(build(scvi, cells), epochs=1).save("model")
    model = scvi.model.SCVI.load("model", adata=False, accelerator="cpu")
    with pytest.raises(InvalidParameterError, match="`library_size` must be given where the model"):
        from_scvi(model)
    assert from_scvi(model, batch="second", library_size=100)(torch.zeros(1, 2)).mean.sum() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": "third"}, r"`batch` must be one of \['first', 'second'\], but got 'third'"),
        ({"library_size": 0}, r"`library_size` must be a finite number in \(0, inf\), but got 0"),
    ],
)
def test_what_is_out_of_range_is_refused(scvi, cells, options, message):
    with pytest.raises(InvalidParameterError, match=message):
        from_scvi(build(scvi, cells), **options)


def test_what_varies_besides_batch_and_library_is_refused(scvi, cells):
    with pytest.raises(InvalidParameterError, match="dispersion` must be one of 'gene'"):
        from_scvi(build(scvi, cells, dispersion="gene-label"))
    cells.obs["age"] = np.arange(len(cells)) / 10
    scvi.model.SCVI.setup_anndata(cells, continuous_covariate_keys=["age"])
    with pytest.raises(InvalidParameterError, match="without covariates but the batch"):
        from_scvi(scvi.model.SCVI(cells))


def test_what_is_no_model_is_refused(scvi):
    with pytest.raises(InvalidParameterError, match=r"`scvi.model.SCVI`, but got a Linear"):
        from_scvi(nn.Linear(2, 3))


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "scvi.module", None)
    monkeypatch.setitem(sys.modules, "scvi.model.base", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pullback\[bio\]'"):
        from_scvi(None)
