"""Auto-encoders of pythae: decoders, read as the losses that they were trained with say."""

from typing import Any

import torch
from torch import nn

from pullback import linalg
from pullback.errors import InvalidDataError, InvalidParameterError, MissingExtraError
from pullback.metrics import RHVAEMetric
from pullback.models import Decoder
from pullback.models.decoding.copying import copy_module

__all__ = ["from_pythae", "rhvae_metric"]


def from_pythae(model: Any) -> Decoder:
    r"""Take the decoder of a pythae model, with the likelihood that its reconstruction loss is.

    ==========  ==========================================================
    the loss    p(x|z), mu(z) being the reconstruction
    ==========  ==========================================================
    `"mse"`     N(mu(z), I)
    `"bce"`     prod_j mu_j(z)^x_j (1 - mu_j(z))^(1 - x_j)
    ==========  ==========================================================

    The sigmoid that a decoder for `"bce"` ends in is taken off where it can be, so that its logits
    are exact; else they are read off the probabilities, which are rounded to 1 beyond 1 - 1e-16.

    Args:
        model: a trained `pythae` model, such as `VAE`, `BetaVAE` or `RHVAE`, as it is or loaded by
            `AutoModel.load_from_folder`. It stays as it is: the decoder is a copy.

    Returns:
        A decoder from codes `(*batch, d)`, those of `model.embed`, to p(x|z).

    Raises:
        MissingExtraError: pythae is not installed.
        InvalidParameterError: it is no model of pythae, or its codes lie on a sphere.
        InvalidDataError: the decoder is broken: see `Decoder`.

    Source:
        Chadebec, Vincent, Allassonniere, Pythae: unifying generative autoencoders in Python (2022).

    Example:
        >>> from pythae.models import AutoModel  # doctest: +SKIP
        >>> decoder = from_pythae(AutoModel.load_from_folder("final_model"))  # doctest: +SKIP
        >>> pb.Manifold(decoder).dist(z[0], z[1])  # doctest: +SKIP
        tensor(3.1415, dtype=torch.float64)
    """
    try:
        from pythae.models import SVAE, BaseAE
    except ImportError as error:
        raise MissingExtraError("pythae", "pythae", "`from_pythae`") from error
    if not isinstance(model, BaseAE):
        allowed = "a model of `pythae.models`"
        raise InvalidParameterError("model", allowed, f"a {type(model).__name__}")
    if isinstance(model, SVAE):
        cure = "A pull-back metric needs coordinates, and the codes of an SVAE lie on a sphere."
        raise InvalidParameterError("model", "one whose codes fill R^d", "an SVAE", cure)
    network = copy_module(model.decoder).eval()
    likelihood = "normal"
    if getattr(model.model_config, "reconstruction_loss", "mse") == "bce":
        bare = _without_sigmoid(network, model.latent_dim)
        likelihood = "bernoulli_probabilities" if bare is None else "bernoulli"
        network = network if bare is None else bare
    return Decoder(network, likelihood, latent_dim=model.latent_dim, output="reconstruction")


def rhvae_metric(model: Any) -> RHVAEMetric:
    r"""Take the metric that an RHVAE of pythae has learned, which needs no decoder.

    M(z)^-1 = sum_i M_i exp(-|z - c_i|^2 / T^2) + lambda I, with the centroids c_i and the matrices
    M_i that the model keeps.

    Args:
        model: a trained `pythae.models.RHVAE`, as it is or loaded.

    Returns:
        The metric, for `Manifold(metric)`.

    Raises:
        MissingExtraError: pythae is not installed.
        InvalidParameterError: it is no RHVAE.
        InvalidDataError: a matrix is not positive definite, as before the training.

    Source:
        Chadebec, Thibeau-Sutre, Burgos, Allassonnière, Data augmentation in high dimensional low
        sample size setting using a geometry-based variational autoencoder (2022).

    Example:
        >>> metric = rhvae_metric(AutoModel.load_from_folder("final_model"))  # doctest: +SKIP
        >>> pb.Manifold(metric).dist(z[0], z[1])  # doctest: +SKIP
        tensor(0.8415, dtype=torch.float64)
    """
    try:
        from pythae.models import RHVAE
    except ImportError as error:
        raise MissingExtraError("pythae", "pythae", "`rhvae_metric`") from error
    if not isinstance(model, RHVAE):
        raise InvalidParameterError("model", "a `pythae.models.RHVAE`", f"a {type(model).__name__}")
    products = model.M_tens.detach().double()
    factors, positive = linalg.cholesky((products + products.mT) / 2)
    if not bool(positive.all()):
        raise InvalidDataError(
            f"{int((~positive).sum())} of the {len(positive)} matrices that `model` keeps for its "
            "metric are not positive definite: train it first, or check whether training diverged."
        )
    centers = model.centroids_tens.detach().double()
    return RHVAEMetric(centers, factors, float(model.temperature), float(model.lbd))


def _without_sigmoid(network: nn.Module, latent_dim: int) -> nn.Module | None:
    """Take the last sigmoid off a network; None if the rest is not its logits."""
    sigmoids = [name for name, module in network.named_modules() if type(module) is nn.Sigmoid]
    if not sigmoids:
        return None
    bare = copy_module(network)
    bare.set_submodule(sigmoids[-1], nn.Identity())
    like = next(network.parameters(), torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(8, latent_dim, generator=generator, device="cpu")
    with torch.no_grad():
        mean, logits = (part(noise.to(like))["reconstruction"] for part in (network, bare))
    return bare if torch.allclose(torch.sigmoid(logits), mean, atol=1e-6) else None
