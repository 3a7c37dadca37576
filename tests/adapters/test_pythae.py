import copy
import sys

import pytest
import torch
from torch import nn

from pullback.adapters import from_pythae, rhvae_metric
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    MissingExtraError,
    SmoothnessWarning,
)
from pullback.manifolds import Manifold

SHAPE = (1, 4, 4)
REASON = "needs `pip install 'pullback[pythae]'`"


@pytest.fixture
def models():
    return pytest.importorskip("pythae.models", reason=REASON)


@pytest.fixture
def images():
    shade = torch.sigmoid(torch.linspace(-2, 2, 16).reshape(SHAPE) * torch.randn(200, 1, 1, 1))
    return torch.bernoulli(shade)


def smooth_decoder(latent_dim=2, end=None):
    """A decoder as a user of the package writes it."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder

    class SmoothDecoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(latent_dim, 32), nn.Tanh(), nn.Linear(32, 16))
            self.end = nn.Sigmoid() if end is None else end

        def forward(self, z):
            return ModelOutput(reconstruction=self.end(self.inner(z)).reshape(-1, *SHAPE))

    return SmoothDecoder()


def build(models, loss="bce", end=None, name="VAE", **options):
    config = getattr(models, f"{name}Config")
    settings = {"input_dim": SHAPE, "latent_dim": 2, "reconstruction_loss": loss, **options}
    return getattr(models, name)(config(**settings), decoder=smooth_decoder(end=end))


def trained(model, images, folder, epochs=3):
    """Train a model as its package does, and load what was saved."""
    from pythae.models import AutoModel
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    options = BaseTrainerConfig(
        output_dir=str(folder), num_epochs=epochs, learning_rate=1e-2, no_cuda=True
    )
    TrainingPipeline(model=model, training_config=options)(train_data=images.numpy())
    (saved,) = folder.glob("*/final_model")
    return AutoModel.load_from_folder(str(saved))


def slopes(f, z, h=1e-5):
    """Central differences of a map, shape `(n, m, d)`."""
    steps = h * torch.eye(z.shape[-1]).to(z)
    with torch.no_grad():
        return torch.stack([(f(z + e) - f(z - e)).flatten(1) / (2 * h) for e in steps], -1)


def test_a_model_trained_saved_and_loaded_is_measured(models, images, tmp_path):
    model = trained(build(models), images, tmp_path)
    z = model.embed(images).detach().double()
    M = Manifold(from_pythae(model), data=z)
    own = copy.deepcopy(model.decoder).double().eval()

    def mean(z):
        return own(z)["reconstruction"]

    p, J = mean(z[:9]).detach().flatten(1), slopes(mean, z[:9])
    fisher = torch.einsum("nmi,nm,nmj->nij", J, 1 / (p * (1 - p)), J)
    torch.testing.assert_close(M.metric_matrix(z[:9]), fisher, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(M.decode(z[:9]), p)
    found = M.geodesic(z[:10], z[10:20])
    assert found.converged.all()
    assert (found.length <= found.straight_length * (1 + 1e-6)).all()


def test_the_learned_metric_of_an_rhvae_is_its_own(models, images, tmp_path):
    model = build(models, "mse", name="RHVAE", n_lf=1, temperature=0.8, regularization=0.05)
    model = trained(model, images, tmp_path, epochs=2)
    z = model.embed(images)[:9].detach()
    metric = rhvae_metric(model)
    torch.testing.assert_close(
        metric.metric_matrix(z).double(),
        model.G(z).double(),
        rtol=1e-4,
        atol=1e-4,
        check_dtype=False,
    )
    assert Manifold(metric).geodesic(z[:4], z[4:8]).converged.all()
    assert from_pythae(model)(z).base_dist.scale.eq(1).all()


def test_mse_is_a_unit_normal(models):
    model = build(models, "mse").eval()
    z = torch.randn(5, 2).double()
    p = from_pythae(model)(z.float())
    assert p.event_shape == torch.Size(SHAPE)
    assert torch.equal(p.mean, model.decoder(z.float())["reconstruction"])
    own = copy.deepcopy(model.decoder).double()
    J = slopes(lambda z: own(z)["reconstruction"], z)
    M = Manifold(from_pythae(model)).metric_matrix(z)
    torch.testing.assert_close(M, J.mT @ J, rtol=1e-6, atol=1e-9)


def test_logits_are_exact_where_probabilities_have_rounded_to_one(models):
    model = build(models)
    z = torch.randn(20, 2)
    with torch.no_grad():
        model.decoder.inner[2].weight.mul_(200)
        expected = model.decoder.inner(z).reshape(-1, *SHAPE)
    logits = from_pythae(model)(z).base_dist.logits
    assert model.decoder(z)["reconstruction"].eq(1).any()
    assert torch.equal(logits, expected)


def test_without_a_sigmoid_at_its_end_logits_come_of_probabilities(models):
    class Half(nn.Module):
        def forward(self, x):
            return 0.25 + x.tanh().square() / 2

    model = build(models, end=nn.Sequential(nn.Sigmoid(), Half()))
    p = from_pythae(model)(torch.randn(5, 2))
    z = torch.randn(5, 2)
    assert torch.allclose(from_pythae(model)(z).mean, model.decoder(z)["reconstruction"])
    assert p.base_dist.logits.isfinite().all()


def test_the_model_stays_as_it_was(models):
    model = build(models)
    assert model.training
    decoder = from_pythae(model)
    Manifold(decoder)
    assert model.training
    assert type(model.decoder.end) is nn.Sigmoid
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_default_decoder_is_taken_with_a_warning_of_its_kinks(models):
    model = models.BetaVAE(models.BetaVAEConfig(input_dim=SHAPE, latent_dim=3, beta=2.0))
    with pytest.warns(SmoothnessWarning, match="not twice differentiable"):
        decoder = from_pythae(model)
    assert (decoder.latent_dim, decoder.data_dim) == (3, 16)


def test_codes_on_a_sphere_are_refused(models):
    model = models.SVAE(models.SVAEConfig(input_dim=SHAPE, latent_dim=2))
    with pytest.raises(InvalidParameterError, match="the codes of an SVAE lie on a sphere"):
        from_pythae(model)


def test_what_is_no_model_is_refused(models):
    with pytest.raises(InvalidParameterError, match="a model of `pythae.models`, but got a Linear"):
        from_pythae(nn.Linear(2, 3))
    with pytest.raises(InvalidParameterError, match=r"`pythae.models.RHVAE`, but got a VAE"):
        rhvae_metric(build(models))


def test_an_rhvae_that_was_not_trained_is_refused(models):
    model = build(models, "mse", name="RHVAE")
    model.M_tens = -torch.eye(2).expand(3, 2, 2)
    with pytest.raises(InvalidDataError, match="3 of the 3 matrices"):
        rhvae_metric(model)


@pytest.mark.parametrize("call", [from_pythae, rhvae_metric])
def test_a_missing_package_is_named_with_the_command(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "pythae.models", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pullback\[pythae\]'"):
        call(None)
