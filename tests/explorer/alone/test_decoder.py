import numpy as np
import pytest
import torch
from torch import nn

from pullback.errors import InvalidParameterError

N_FEATURES = 5


def models():
    """A model of each likelihood that pages know, as a fit leaves it: with units and noise."""
    from pullback.models import VAE

    made = []
    for name in ("bernoulli", "normal", "poisson", "negative_binomial", "student_t"):
        stds = ("constant", "network", "rbf") if name == "normal" else (None,)
        for std in stds:
            torch.manual_seed(0)
            options = {} if std is None else {"std": std}
            vae = VAE(N_FEATURES, 2, likelihood=name, n_centers=4, **options)
            made.append(settled(vae.eval()))
    return made


def settled(vae):
    """Give what a fit would set a value of its own."""
    for name, held in [*vae.decoder.named_parameters(), *vae.decoder.named_buffers()]:
        noise = torch.rand(held.shape, generator=torch.Generator().manual_seed(len(name)))
        if not name.startswith("mean.0"):
            held.data.copy_(held + noise)
    return vae


def scene_of(model):
    from pullback.explorer import Scene
    from pullback.manifolds import Manifold

    codes = torch.randn(9, 2, generator=torch.Generator().manual_seed(1)).double()
    return Scene("model", Manifold(model, dim=2), codes, center=np.arange(N_FEATURES), scale=2.0)


@pytest.mark.slow
def test_means_and_images_are_those_of_the_manifold(decode):
    from pullback.explorer.alone.decoder import model_of

    scenes = [scene_of(model) for model in models()]
    assert len(scenes) == 7
    held = [model_of(scene) for scene in scenes]
    for scene, found in zip(scenes, decode(held, scenes[0].Z.tolist()), strict=True):
        metric, z = scene.manifold.metric, scene.Z
        mean, image = scene.manifold.decode(z), metric.immersion(z)
        np.testing.assert_allclose(found[0], mean.numpy().ravel(), rtol=1e-10)
        np.testing.assert_allclose(found[1], image.numpy().ravel(), rtol=1e-10)


@pytest.mark.slow
def test_a_decoder_of_logits_is_read_as_bernoulli(decode):
    from pullback.explorer.alone.decoder import model_of
    from pullback.models import Decoder

    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, N_FEATURES))
    scene = scene_of(Decoder(network, "bernoulli"))
    (found,) = decode([model_of(scene)], scene.Z.tolist())
    image = scene.manifold.metric.immersion(scene.Z)
    np.testing.assert_allclose(found[1], image.numpy().ravel(), rtol=1e-12)


def test_the_unit_of_the_data_comes_along():
    from pullback.explorer.alone.decoder import model_of

    unit = model_of(scene_of(nn.Linear(2, N_FEATURES)))["unit"]
    assert unit["scale"]["shape"] == [1]
    assert unit["center"]["shape"] == [N_FEATURES]


def refused():
    from pullback.manifolds.reference import HalfPlane
    from pullback.models import VAE, Decoder

    def sine(z):
        return torch.cat([z, z.sin()], -1)

    tail = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3))
    yield sine, "the function 'sine'"
    yield HalfPlane(), "a metric without a decoder"
    yield VAE(5, 2, n_decoders=2, std="constant").eval(), "a EnsembleMetric"
    yield VAE(6, 2, likelihood="categorical", n_categories=3).eval(), "CategoricalLikelihood"
    yield Decoder(tail, output=lambda x: 2 * x), "a Decoder with `inputs` or `output`"
    yield Decoder(nn.Sequential(nn.Linear(2, 4), nn.Softplus()), "poisson"), "likelihood 'poisson'"
    yield nn.Sequential(nn.Linear(2, 4), nn.Softmax(-1)), "a Softmax (layer `1`)"


@pytest.mark.parametrize("k", range(7))
def test_what_cannot_be_evaluated_is_refused_by_name(k):
    from pullback.explorer import Scene
    from pullback.explorer.alone.decoder import model_of
    from pullback.manifolds import Manifold

    model, said = list(refused())[k]
    codes = torch.tensor([[0.0, 1.0], [0.5, 2.0]]).double()
    with pytest.raises(InvalidParameterError) as told:
        model_of(Scene("model", Manifold(model, dim=2), codes))
    assert said in str(told.value)
