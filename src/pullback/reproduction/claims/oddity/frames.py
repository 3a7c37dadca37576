"""Random walks in the latent space of frames, and how long they stay near the codes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pullback.manifolds import Manifold
from pullback.models import VAE
from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.claims.motion.pendulum import pendulum_images
from pullback.reproduction.claims.oddity.deviation import grid_around
from pullback.reproduction.claims.oddity.walks import SECOND_HALF, STAYS, WALKS, drift
from pullback.reproduction.lab import Lab
from pullback.runs.quantities import total_std
from pullback.runs.training import with_rbf_std
from pullback.sampling import excursions, matched_step

__all__ = ["FRAMES", "paper_step", "steps_near"]

# How far from the nearest code a walk still counts as near, in units of the spread of the codes,
# for the column that counts the steps until then. Set by judgement: a half is a third of the way
# from a ring of codes to its middle, so that a walk across the ring counts as one that has left.
_NEAR = 0.5
# Points of walks at which sigma is looked at: one of so many. By judgement: their share is of
# thousands then, and passes through the decoder cost less than the walks.
_EVERY = 10
# The share of the codes of which the one with the largest sigma sets what is as at the codes. By
# judgement, and as in the claim `deviation`: the largest of all would be that of an outlier.
_QUANTILE = 0.99
_STAYED, _SURE = "steps near the codes", "share where sigma is as at the codes"
_MOVED = "step at a code"


def measure(
    lab: Lab,
    seed: int,
    *,
    n_frames: int,
    noise: float,
    n_walks: int,
    n_steps: int,
    resolution: int,
    steps: Sequence[float],
    zetas: Sequence[float],
    centers: Sequence[int],
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Numbers:
    """Walk from codes of frames, by several steps, and under several precisions of one mean.

    Args:
        lab: models.
        seed: of everything random.
        n_frames: how many frames.
        noise: the standard deviation of the noise of a pixel.
        n_walks: walks of each kind, from the same codes.
        n_steps: steps of each walk, an even number.
        resolution: places along each side of the grid on which volume is measured.
        steps: s in the rescaled metric, in units of the spread of the codes; the first is that of
            all rows that name no other.
        zetas: other precisions far from the codes.
        centers: other numbers of RBF centres.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.

    Returns:
        By walk: how far it gets, see `walks.drift`, how long it stays, at which share of its steps
        sigma is as at the codes, and how far a step moves at a code.
    """
    X = _frames(n_frames, noise, seed)
    vae = lab.vae(X, model, training, seed=seed)
    Z = vae.encode(X).double()
    walks = _Walks(vae, Z, n_walks, n_steps, seed)
    usual = steps[0]
    found = {"Riemannian": walks.curved(usual), "Euclidean": walks.flat(usual)}
    found["Euclidean, as far at a code"] = walks.flat(found["Riemannian"][_MOVED])
    for share in steps[1:]:
        found[f"Riemannian, s = {share:g}"] = walks.curved(share)
        found[f"Euclidean, s = {share:g}"] = walks.flat(share)
    changes: list[tuple[str, dict[str, Any]]] = [
        *((f"zeta = {zeta:g}", {"zeta": zeta}) for zeta in zetas),
        *((f"K = {k}", {"n_centers": k}) for k in centers),
    ]
    for name, change in changes:
        other = with_rbf_std(vae, torch.from_numpy(X), random_state=seed, **change)
        found[f"Riemannian, {name}"] = replace(walks, vae=other).curved(usual)
    found["uniform by volume"] = {SECOND_HALF: in_the_long_run(Manifold(vae), Z, resolution)}
    return found


def _frames(n: int, noise: float, seed: int) -> NDArray[np.float32]:
    """Draw frames of the rod in random order, `(n, 256)`."""
    rng = np.random.default_rng(seed)
    images = pendulum_images(rng.uniform(0, 2 * np.pi, n))
    return (images + noise * rng.standard_normal(images.shape)).astype(np.float32)


@dataclass(frozen=True)
class _Walks:
    """Walks from the first codes, each told as a row of the table.

    Attributes:
        vae: the model.
        codes: those of the data, `(n, d)`, in random order.
        n_walks: how many walks.
        n_steps: steps of each.
        seed: of the steps.
    """

    vae: VAE
    codes: Tensor
    n_walks: int
    n_steps: int
    seed: int

    def curved(self, share: float) -> dict[str, float]:
        """Walk in the metric, with the paper's step, in units of the spread of the codes."""
        space = Manifold(self.vae)
        return self._row(space, paper_step(space, self.codes, share * self._spread))

    def flat(self, share: float) -> dict[str, float]:
        """Walk in the plane, with a step in units of the spread of the codes."""
        return self._row(Manifold(lambda z: z, dim=self.codes.shape[1]), share * self._spread)

    @property
    def _spread(self) -> float:
        return float(self.codes.std(0).mean())

    def _row(self, space: Manifold, step_size: float) -> dict[str, float]:
        samples, row = drift(
            space,
            self.codes[: self.n_walks],
            self.codes,
            step_size=step_size,
            n_steps=self.n_steps,
            seed=self.seed,
        )
        return row | {
            _STAYED: float(steps_near(samples.points, self.codes).double().median()),
            _SURE: share_sure(self.vae.decoder, samples.points, self.codes),
            _MOVED: step_size / matched_step(space, self.codes, self._spread),
        }


def paper_step(space: Manifold, codes: Tensor, length: float) -> float:
    """Return the step size in a metric M that is `length` in the paper's rescaled one.

    The paper walks in beta^(2/d) M with beta = 1 / max sqrt det M over the data. Steps there are
    beta^(-1/d) times as long as those of the same size in M.

    Args:
        space: where to walk.
        codes: those of the data, `(n, d)`.
        length: s in the rescaled metric, > 0.

    Returns:
        s in M.

    Example:
        >>> plane = Manifold(lambda z: 7 * z, dim=2)
        >>> round(paper_step(plane, torch.zeros(3, 2).double(), 0.1), 6)
        0.7
    """
    with torch.no_grad():
        log_det = torch.linalg.slogdet(space.metric_matrix(codes)).logabsdet
    return length * float((log_det.max() / (2 * codes.shape[1])).exp())


def steps_near(points: Tensor, codes: Tensor) -> Tensor:
    """Count the steps of walks before the first that is far from all codes.

    Args:
        points: walks with their starts, `(n_walks, n + 1, d)`.
        codes: those of the data, `(m, d)`.

    Returns:
        Numbers of steps, `(n_walks,)`: n of a walk that is never farther than half the spread.

    Example:
        >>> codes = torch.tensor([[-1.0], [1.0]]).double()  # a spread of 1.41
        >>> walks = torch.tensor([[1.0, 1.5, 1.6, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]]).double()
        >>> steps_near(walks.unsqueeze(-1), codes).tolist()
        [2, 4]
    """
    n_walks, n, d = points.shape
    each = points.reshape(-1, 1, d)  # each a walk of one point, of which no half is left out
    near = excursions(each, codes).reshape(n_walks, n) <= _NEAR
    return near[:, 1:].long().cumprod(1).sum(1)


def in_the_long_run(space: Manifold, codes: Tensor, resolution: int) -> float:
    """Return the mean distance to the nearest code under the law that Brownian motion tends to.

    That is the Riemannian volume, here in a box that reaches beyond the codes by half their extent.

    Args:
        space: where to walk.
        codes: those of the data, `(n, 2)`.
        resolution: places along each side of the box.
    """
    places = grid_around(codes, resolution)
    with torch.no_grad():
        log_volume = torch.linalg.slogdet(space.metric_matrix(places)).logabsdet / 2
    away = excursions(places.unsqueeze(1), codes).flatten()
    return float((log_volume.softmax(0) * away).sum())


def share_sure(decoder: nn.Module, points: Tensor, codes: Tensor) -> float:
    """Return the share of the second half of walks where the model is as sure as at the codes.

    So it is where the sum of sigma is no larger than at 99 % of the codes.

    Args:
        decoder: z -> p(x|z).
        points: walks with their starts, `(n_walks, n + 1, d)`.
        codes: those of the data, `(m, d)`.
    """
    like = next(decoder.buffers(), points)
    half = points[:, points.shape[1] // 2 :: _EVERY].flatten(0, 1)
    most = total_std(decoder, codes.to(like)).quantile(_QUANTILE)
    return float((total_std(decoder, half.to(like)) <= most).double().mean())


FRAMES = Claim(
    "random-walks-frames",
    "In the latent space of a convolutional VAE of frames too, an unrestricted random walk in the "
    "rescaled metric stays with the data, where a Euclidean one with the same step drifts away.",
    WALKS.source,
    WALKS.protocol,
    "The paper's video is not given, nor its network. Frames are rendered: 1000 of the turning rod "
    "of the claim `pendulum`, at random angles and with noise of 0.05, so that the data are known "
    "to lie around a closed curve. The network is the convolutional one here, with channels of 32 "
    "and 16 and a dense layer of 128 units; K = 64, a = 2, and zeta = 4e-4, by which sigma is 1000 "
    "times the noise far off; centres and positive weights for each pixel, without the paper's "
    "deconvolutions. The length of a step is not given either: s is 0.05 standard deviations of "
    "the codes, in the metric times beta^(2/d) as in the plane. As beta is that of the code with "
    "the largest volume, a step in the metric is longer at the median code; the third walk is in "
    "the plane, with steps as long as that. The root of M^-1 is another one, which gives v the "
    "same law. All numbers are new: distances to the nearest code in units of the standard "
    "deviation of the codes; the median number of steps before a walk is first farther than half "
    "of it from all codes, all 2000 if it never is; and, as to stay with the data may also mean to "
    "stay where the model is sure, the share of the second half where the sum of sigma is no "
    "larger than at 99 % of the codes. Further rows have another step, or another zeta or K in a "
    "precision that is fitted anew to the same mean. The last row is the law that Brownian motion "
    "tends to in the long run, wherever it began: uniform by volume, in a box that reaches beyond "
    "the codes by half of their extent; the paper's steps leave out its drift.",
    measure,
    [
        *STAYS,
        Criterion(
            "Sigma is as at the codes at a larger share of its steps than of the Euclidean walk's.",
            lambda found: found["Riemannian"][_SURE] - found["Euclidean"][_SURE],
            at_least=0.0,
            surely=True,
        ),
    ],
    settings={
        "n_frames": 1000,
        "noise": 0.05,
        "n_walks": 16,
        "n_steps": 2000,
        "resolution": 100,
        "steps": (0.05, 0.02, 0.1),
        "zetas": (0.04, 4.0, 100.0),
        "centers": (16, 128, 256),
        "model": {"architecture": "convolutional", "image_shape": (1, 16, 16), "zeta": 4e-4},
        "training": {"epochs": 60, "batch_size": 64},
    },
    quick={
        "n_frames": 200,
        "n_walks": 2,
        "n_steps": 20,
        "resolution": 10,
        "steps": (0.05, 0.1),
        "zetas": (4.0,),
        "centers": (8,),
        "model": {
            "architecture": "convolutional",
            "image_shape": (1, 16, 16),
            "hidden": (4, 2),
            "dense_units": 8,
            "n_centers": 16,
        },
        "training": {"epochs": 5},
    },
)
