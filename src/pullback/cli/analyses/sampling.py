"""New codes from a run: near its data, from a density, by volume, or by random walks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from torch import Tensor

from pullback import plots
from pullback.cli.analyses.base import Analysis, Subject
from pullback.cli.analyses.density import fit
from pullback.errors import InvalidParameterError, check_choice, check_integer, check_number
from pullback.runs import Stream
from pullback.sampling import (
    BrownianMotion,
    ChainStatus,
    Hamiltonian,
    HeatKernel,
    Langevin,
    Samples,
    Support,
    SupportSampler,
    VolumeSampler,
)

__all__ = ["SAMPLINGS", "Fit", "Walk", "draw_samples"]

SAMPLINGS = (
    "support",
    "land",
    "kde",
    "volume",
    "langevin",
    "hamiltonian",
    "brownian",
    "heat-kernel",
)
"""The ways to draw."""
# The most decoded images, and the most walks, in a picture: ten rows of ten images fill a page, and
# more walks than 8 hide each other.
_DRAWN, _WALKS = 100, 8


class Fit(NamedTuple):
    """How to fit the density that is drawn from.

    Attributes:
        n_components: of `"land"`; the number of classes, 1 without labels, if None.
        max_iter: most turns of the fit of `"land"`; as many as the metric allows for if None.

    Example:
        >>> Fit().max_iter is None
        True
    """

    n_components: int | None = None
    max_iter: int | None = None


class Walk(NamedTuple):
    """How to walk.

    Attributes:
        n_steps: steps of each walk.
        step_size: the length of a step, in the metric; half of what lies between codes if None.
        start: the number of the sample to start from; samples at random if None.

    Example:
        >>> Walk(100).step_size is None
        True
    """

    n_steps: int
    step_size: float | None = None
    start: int | None = None


def draw_samples(
    subject: Subject,
    n: int,
    *,
    method: str,
    decode: bool,
    fitted: Fit,
    walk: Walk,
) -> Analysis:
    """Draw codes.

    Args:
        subject: the run, with all its samples.
        n: how many draws, or walks.
        method: one of `SAMPLINGS`.
        decode: whether to decode them into the table.
        fitted: of `"land"`.
        walk: of the methods that go by steps.

    Returns:
        A row for each draw: its number, status, code, log-density by the Riemannian volume where it
        has one, and what it decodes to. Of walks, a row for each step.

    Raises:
        InvalidParameterError: there is no such method, or a setting is out of range or of another.

    Example:
        >>> walk = Walk(n_steps=100)
        >>> draw_samples(subject, 9, method="brownian", walk=walk, decode=False,
        ...              fitted=Fit())  # doctest: +SKIP
    """
    check_choice("--method", method, SAMPLINGS)
    check_integer("--n", n)
    _refuse_unused(method, fitted, walk)
    if method in ("land", "kde"):
        samples = _from_density(subject, n, method, fitted)
    else:
        samples = _FIND[method](subject, n, walk)
    frame = _table(subject, samples)
    if decode:
        frame = subject.with_features(frame, samples.points.flatten(0, -2))
    return Analysis(frame, _summary(samples), _picture(subject, samples))


def _refuse_unused(method: str, fitted: Fit, walk: Walk) -> None:
    unused: dict[str, Any] = {}
    if method != "land":
        unused |= {"--components": fitted.n_components, "--max-iter": fitted.max_iter}
    if method not in ("brownian", "heat-kernel"):
        unused["--start"] = walk.start
    if method not in ("brownian", "heat-kernel", "langevin", "hamiltonian"):
        unused["--step-size"] = walk.step_size
    for option, value in unused.items():
        if value is not None:
            raise InvalidParameterError(option, f"left out with {method}", value)


def _from_density(subject: Subject, n: int, model: str, fitted: Fit) -> Samples:
    density = fit(subject, subject.Z_train, model=model, **fitted._asdict())
    drawn: Any = density.sample(n, random_state=subject.seed)
    points = torch.as_tensor(drawn[0] if model == "land" else drawn).to(subject.Z)
    log_density = torch.as_tensor(density.score_samples(points)).to(subject.Z)
    status = torch.zeros(n, dtype=torch.long, device=points.device)
    return Samples(points, status=status, log_density=log_density)


def _on_support(subject: Subject, n: int, walk: Walk) -> Samples:
    del walk
    return SupportSampler(_support(subject)).sample(n, random_state=subject.seed)


def _by_volume(subject: Subject, n: int, walk: Walk) -> Samples:
    del walk
    if subject.vae.latent_dim > 3:
        allowed = "another one for more than 3 latent dimensions"
        raise InvalidParameterError("--method", allowed, "volume", "Take hamiltonian.")
    sampler = VolumeSampler(subject.manifold, region=_support(subject))
    return sampler.sample(n, random_state=subject.seed)


def _by_langevin(subject: Subject, n: int, walk: Walk) -> Samples:
    return _by_chains(subject, n, walk, Langevin)


def _by_hamiltonian(subject: Subject, n: int, walk: Walk) -> Samples:
    return _by_chains(subject, n, walk, Hamiltonian)


def _by_chains(subject: Subject, n: int, walk: Walk, kind: Any) -> Samples:
    """Run n chains, half of their steps to burn in, and keep the end of each."""
    support = _support(subject)
    burn_in = walk.n_steps // 2
    size = _step_size(support, walk)
    sampler = kind(
        subject.manifold,
        region=support,
        step_size=size,
        n_burn_in=burn_in,
        thinning=walk.n_steps - burn_in,
    )
    start = _starts(subject, n, walk, among=support.codes[support.scores <= support.threshold])
    seed, progress = subject.seed, subject.progress
    chains = sampler.sample(start, walk.n_steps - burn_in, random_state=seed, progress=progress)
    log_density = None if chains.log_density is None else chains.log_density[..., -1]
    return Samples(chains.last, status=chains.status, log_density=log_density)


def _walks(subject: Subject, n: int, walk: Walk) -> Samples:
    motion = BrownianMotion(subject.manifold, step_size=_step_size(_support(subject), walk))
    start = _starts(subject, n, walk, among=subject.Z_train)
    seed, progress = subject.seed, subject.progress
    return motion.sample(start, walk.n_steps, random_state=seed, progress=progress)


def _ends_of_walks(subject: Subject, n: int, walk: Walk) -> Samples:
    size = _step_size(_support(subject), walk)
    time = walk.n_steps * size**2
    kernel = HeatKernel(subject.manifold, time=time, n_substeps=walk.n_steps)
    start = _starts(subject, 1, walk, among=subject.Z_train)[0]
    return kernel.sample(start, n, random_state=subject.seed, progress=subject.progress)


_FIND: dict[str, Callable[[Subject, int, Walk], Samples]] = {
    "support": _on_support,
    "volume": _by_volume,
    "langevin": _by_langevin,
    "hamiltonian": _by_hamiltonian,
    "brownian": _walks,
    "heat-kernel": _ends_of_walks,
}


def _support(subject: Subject) -> Support:
    return Support(subject.manifold, subject.Z_train)


def _step_size(support: Support, walk: Walk) -> float:
    if walk.step_size is not None:
        return check_number("--step-size", walk.step_size, 0, open_low=True)
    size = float(support.gaps().median()) / 2
    if not size > 0:
        allowed = "given where most codes coincide with another one"
        raise InvalidParameterError("--step-size", allowed, None)
    return size


def _starts(subject: Subject, n: int, walk: Walk, *, among: Tensor) -> Tensor:
    if walk.start is not None:
        return subject.Z[subject.rows_of([walk.start])].expand(n, -1)
    chosen = Stream.WALKS.generator(subject.seed).integers(len(among), size=n)
    return among[chosen.tolist()]


def _table(subject: Subject, samples: Samples) -> pd.DataFrame:
    """Return a row for each draw; of walks `(n, steps, d)`, one for each step."""
    points = samples.points
    n = len(points)
    status = samples.status.expand(n).cpu().tolist()
    frame = pd.DataFrame({"draw": range(n), "status": [_name(code) for code in status]})
    if points.ndim == 3:
        frame = frame.loc[frame.index.repeat(points.shape[1])].reset_index(drop=True)
        frame.insert(1, "step", np.tile(np.arange(points.shape[1]), n))
    frame = frame.assign(**subject.coordinates(points.flatten(0, -2)))
    if samples.log_density is not None:
        frame["log_density"] = samples.log_density.detach().cpu().numpy()
    return frame


def _name(code: int) -> str:
    return ChainStatus(code).name.lower()


def _summary(samples: Samples) -> list[str]:
    n = len(samples.points)
    status = samples.status.expand(n)
    lines = [f"{int((status == ChainStatus.COMPLETED).sum())} of {n} completed"]
    codes = [code for code in status.unique().tolist() if code != ChainStatus.COMPLETED]
    return lines + [f"{int((status == c).sum())}: {ChainStatus(c).message}" for c in codes]


def _picture(subject: Subject, samples: Samples) -> Callable[[], Axes] | None:
    points = samples.points
    if points.ndim == 3 and subject.is_plane:
        return lambda: plots.walks(points[:_WALKS], ax=subject.draw_volume())
    ends = points[:, -1] if points.ndim == 3 else points
    shape = subject.image_shape
    if shape is not None:
        return lambda: plots.images(subject.manifold.decode(ends[:_DRAWN]).cpu(), shape=shape)
    if not subject.is_plane:
        return None
    return lambda: plots.scatter(ends.cpu(), on_map=True, ax=subject.draw_volume())
