"""Single-cell models of scvi-tools: their generative decoders, batch and library size fixed."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from pullback.errors import InvalidParameterError, MissingExtraError, check_choice, check_number
from pullback.models import Decoder
from pullback.models.decoding.copying import copy_module
from pullback.models.likelihoods.distributions.zero_inflated import ZeroInflatedNegativeBinomial

__all__ = ["from_scvi"]

_READINGS = {"nb": "negative_binomial", "poisson": "poisson", "normal": "normal"}
_COVARIATES = ("extra_categorical_covs", "extra_continuous_covs")


def from_scvi(model: Any, *, batch: Any = None, library_size: float | None = None) -> Decoder:
    r"""Take the generative decoder of an `SCVI` model, for one batch and one library size.

    With s(z) the expected shares of the genes, l the library size and theta the dispersion:

    ====================  ================================================================
    `gene_likelihood`     p(x|z), gene by gene
    ====================  ================================================================
    `"poisson"`           Poisson(l s(z))
    `"nb"`                NB(mean l s(z), dispersion theta)
    `"zinb"`              the same, or 0 with a probability of its own
    `"normal"`            N(l s(z), theta^2)
    ====================  ================================================================

    Args:
        model: a trained `scvi.model.SCVI`, as it is or loaded by `SCVI.load`. It stays as it is:
            the decoder is a copy. Its dispersion may be of the gene, the gene in a batch, or the
            gene in a cell; it may have no covariates but the batch.
        batch: the batch that is decoded to, a category of the `batch_key`; the first if None.
        library_size: l, the counts of a cell in all, or its size factor where the model was set up
            with a `size_factor_key`; the median over the data if None.

    Returns:
        A decoder from codes `(*batch, d)`, those of `model.get_latent_representation()`.

    Raises:
        MissingExtraError: scvi-tools is not installed.
        InvalidParameterError: it is no such model, has no such batch, or came without the data that
            the library size could be read off.

    Source:
        Lopez, Regier, Cole, Jordan, Yosef, Deep generative modeling for single-cell transcriptomics
        (2018).

    Example:
        >>> model = scvi.model.SCVI.load("run", adata=adata)  # doctest: +SKIP
        >>> M = pb.Manifold(from_scvi(model, library_size=1e4))  # doctest: +SKIP
        >>> M.dist(*model.get_latent_representation()[:2])  # doctest: +SKIP
        tensor(12.3456, dtype=torch.float64)
    """
    try:
        from scvi.model.base import BaseModelClass
        from scvi.module import VAE
    except ImportError as error:
        raise MissingExtraError("scvi-tools", "bio", "`from_scvi`") from error
    if not isinstance(model, BaseModelClass) or not isinstance(model.module, VAE):
        raise InvalidParameterError("model", "an `scvi.model.SCVI`", f"a {type(model).__name__}")
    _refuse_what_varies(model)
    size = _median_size(model) if library_size is None else library_size
    check_number("library_size", size, 0, open_low=True)
    network = _Generative(model.module, batch=_batch_index(model, batch), size=float(size))
    likelihood = model.module.gene_likelihood
    reading = _zero_inflated if likelihood == "zinb" else _READINGS[likelihood]
    return Decoder(network, reading, latent_dim=model.module.n_latent)


class _Generative(nn.Module):
    """The generative half of a module of scvi-tools, all but z held fixed."""

    log_size: Tensor
    log_theta: Any
    beside: Tensor
    batch: Tensor

    def __init__(self, module: Any, *, batch: int, size: float) -> None:
        super().__init__()
        self.decoder = copy_module(module.decoder).eval()
        self.dispersion = module.dispersion
        self.likelihood = module.gene_likelihood
        like = next(module.decoder.parameters())
        self.register_buffer("log_size", torch.full_like(like, size)[:1, :1].log())
        row = torch.eye(max(module.n_batch, 1), dtype=like.dtype, device=like.device)[[batch]]
        embedded = module.batch_representation == "embedding"
        beside = row[:, :0]
        if embedded:
            beside = module.get_embedding("batch").weight.detach()[[batch]]
        # What the decoder takes beside z as further columns: the embedding of the batch, if it has
        # one.
        self.register_buffer("beside", beside)
        self.register_buffer("batch", row[:, :0] if embedded else row)
        log_theta = None
        if self.dispersion != "gene-cell":
            log_theta = module.px_r.detach().clone()
            log_theta = log_theta[:, batch] if log_theta.ndim == 2 else log_theta
        self.register_buffer("log_theta", log_theta)

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """Return mean, dispersion and logits of a zero, as many as the likelihood has."""
        rows = torch.cat([z, self.beside.expand(len(z), -1)], -1)
        batch = (self.batch.expand(len(z), -1),) if self.batch.shape[-1] > 0 else ()
        _, log_theta, mean, logits = self.decoder(self.dispersion, rows, self.log_size, *batch)
        # A share may round to 0 in single precision, where a logarithm would be infinite.
        mean = mean.clamp(min=torch.finfo(mean.dtype).tiny)
        if self.likelihood == "poisson":
            return (mean,)
        theta = (self.log_theta if log_theta is None else log_theta).exp().expand_as(mean)
        return (mean, theta, logits) if self.likelihood == "zinb" else (mean, theta)


def _zero_inflated(parameters: tuple[Tensor, Tensor, Tensor]) -> Distribution:
    counts = ZeroInflatedNegativeBinomial(*parameters, validate_args=False)
    return Independent(counts, 1, validate_args=False)


def _refuse_what_varies(model: Any) -> None:
    fields = model.registry["field_registries"]
    covariates = [name for name in _COVARIATES if fields.get(name, {}).get("data_registry")]
    if covariates:
        raise InvalidParameterError("model", "without covariates but the batch", covariates)
    dispersions = ("gene", "gene-batch", "gene-cell")
    check_choice("model.module.dispersion", model.module.dispersion, dispersions)
    check_choice("model.module.gene_likelihood", model.module.gene_likelihood, [*_READINGS, "zinb"])


def _batch_index(model: Any, batch: Any) -> int:
    state = model.registry["field_registries"]["batch"]["state_registry"]
    names = list(state["categorical_mapping"])
    if batch is None:
        return 0
    if batch not in names:
        raise InvalidParameterError("batch", f"one of {names}", repr(batch))
    return names.index(batch)


def _median_size(model: Any) -> float:
    if model.adata_manager is None:
        allowed = "given where the model was loaded without its data"
        raise InvalidParameterError("library_size", allowed, None)
    fields = model.adata_manager.data_registry
    if model.module.use_size_factor_key:
        return float(np.median(model.adata_manager.get_from_registry("size_factor")))
    # A minified model has dropped the counts and kept their sums.
    if "observed_lib_size" in fields:
        return float(np.median(model.adata_manager.get_from_registry("observed_lib_size")))
    return float(np.median(np.asarray(model.adata_manager.get_from_registry("X").sum(1))))
