"""How far the RBF weights are drawn together: as far as makes data that were held out likeliest."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pullback.models.model import LatentVariableModel
from pullback.randomness import draw, seeded

__all__ = ["CAUTIOUS", "SHRINKAGES", "held_out_log_marginal", "set_apart"]

# What is tried, in samples' worth of residuals at each centre. On five sets of digits, 900 to 1350
# images each and 64 centres, 0 was best: by 51 to 100 nats of held-out log p(x) over 1, and by 14
# to 23 over 0.1 on two of them. On 80 points of a noisy arc and 40 centres 1 was best, by 0.05 over
# 0.
SHRINKAGES = (0.0, 0.1, 1.0)
# What is taken where too few samples can be held out to choose. Maximum likelihood trusts a centre
# that sees one or two samples without limit; one more sample there does not let it.
CAUTIOUS = 1.0
# Fewest samples that choose. Set by judgement: with fewer, one outlier decides.
_FEWEST = 10
# Where no samples were held out in training: one in this many is, for the choice alone.
_FOLDS = 5
# Most samples of either kind that the estimate is made of, and draws of z for each: codes lie dense
# enough in the plane, and it costs no more than one step of the fit does on 5000 samples.
_MOST, _DRAWS = 512, 4
# Codes that are decoded at once.
_CHUNK = 1024


def set_apart(training: Tensor, validation: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return the samples to fit a trial to, `(n, D)`, and those that judge it, `(m, D)`.

    Those that were held out in training judge, for the mean has not seen them either; where there
    are too few, each fifth of the others.

    Args:
        training: the samples that the model was trained on, `(n, D)`.
        validation: those that were held out, `(m, D)`.

    Returns:
        Both, or None where there are too few samples to hold out 10.

    Example:
        >>> fitted, judges = set_apart(torch.zeros(100, 3), torch.zeros(0, 3))
        >>> len(fitted), len(judges)
        (80, 20)
        >>> set_apart(torch.zeros(40, 3), torch.zeros(4, 3))
    """
    if len(validation) >= _FEWEST:
        return training, validation
    held = torch.arange(len(training), device=training.device) % _FOLDS == 0
    if int(held.sum()) < _FEWEST:
        return None
    return training[~held], training[held]


@torch.no_grad()
def held_out_log_marginal(
    vae: LatentVariableModel,
    mean: nn.Module,
    stds: Sequence[nn.Module],
    X: Tensor,
    others: Tensor,
    *,
    seed: int,
) -> list[float]:
    """Estimate mean log p(x) of held-out samples under several standard deviations.

    `p(x) ~ 1/S sum_s N(x; mu(z_s), sigma(z_s)^2) p(z_s) / q(z_s)` with `z_s ~ q`, the mixture of
    the posteriors q(z|x) of all samples: the same draws for all samples and all sigma. Drawn from
    the posterior of x alone it would be too low, and most so for the best sigma: a posterior that
    was trained under a constant sigma is too narrow, or beside the place, for one that is sharper.

    Args:
        vae: encoder and prior.
        mean: mu, z `(*batch, d)` -> `(*batch, D)`.
        stds: the sigma, alike.
        X: the samples, `(m, D)`; 512 of them are used at most.
        others: more samples whose posteriors are drawn from, `(n, D)`, 512 at most.
        seed: of the draws.

    Returns:
        For each sigma one number, in nats.

    Source:
        Veach and Guibas, "Optimally Combining Sampling Techniques for Monte Carlo Rendering", 1995,
        for the mixture of all proposals.

    Example:
        >>> from pullback.models import VAE, ConstantStd
        >>> vae, X = VAE(5, 2), torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
        >>> stds = [ConstantStd(5, 1.0), ConstantStd(5, 100.0)]
        >>> near, far = held_out_log_marginal(vae, vae.decoder.mean, stds, X, X, seed=0)
        >>> near > far
        True
    """
    X, others = _thinned(X), _thinned(others)
    posterior = vae.encoder(torch.cat([X, others]))
    with seeded(seed, X.device):
        z = draw(posterior, (_DRAWS,)).flatten(0, 1)
    log_weights = torch.cat([vae.prior().log_prob(part) for part in z.split(_CHUNK)]).double()
    log_weights -= torch.cat(
        [posterior.log_prob(part.unsqueeze(1)).double().logsumexp(1) for part in z.split(_CHUNK)]
    )
    # 1/S of the draws, and 1/M of the mixture, S = _DRAWS M.
    log_weights -= math.log(_DRAWS)
    center = X.double().mean(0)  # what is squared is smaller so, and exact
    rows = X.double() - center
    found = []
    for std in stds:
        total = rows.new_full((len(rows),), -torch.inf)
        for part, weight in zip(z.split(_CHUNK), log_weights.split(_CHUNK), strict=True):
            densities = _log_normal(rows, mean(part).double() - center, std(part).double())
            total = torch.logaddexp(total, (densities + weight).logsumexp(1))
        found.append(float(total.mean()))
    return found


def _log_normal(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return log N(x_i; mean_k, diag std_k^2), `(n, k)`, without differences of all pairs."""
    beta = std.square().reciprocal()
    quadratic = x.square() @ beta.T - 2 * (x @ (beta * mean).T) + (beta * mean.square()).sum(1)
    log_scale = std.log().sum(1) + x.shape[1] * math.log(2 * math.pi) / 2
    return -quadratic / 2 - log_scale


def _thinned(X: Tensor) -> Tensor:
    return X[:: max(1, -(-len(X) // _MOST))]
