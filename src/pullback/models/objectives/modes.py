"""The modes of posteriors p(z|x): where they are, how wide, and how much each may weigh."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.models.objectives.joint import Joint
from pullback.shapes import Codes, Mask, Nodes

__all__ = ["Modes", "box_of", "find_modes"]

# Nodes of the grid along each axis of the box, by the latent dimension: 256, 576 or 1728 in all.
# Beyond three dimensions no grid can be dense: there the nodes are codes and draws of the prior.
_GRID = {1: 256, 2: 24, 3: 12}
# The most codes, and draws of the prior, that are nodes besides.
_CODES, _DRAWS = 512, 256
# A node that is no lower than so many of its neighbours is a local maximum, by the dimension.
_NEIGHBORS = {1: 4, 2: 20, 3: 40}
# Climbs begin at the sample's own code and at the highest local maxima: at this many, and at the
# others, up to a limit, that lie no deeper below the highest than `_DEPTH`. Set by judgement: few
# modes are expected where the likelihood is strong, as many as there are components of a mixture
# prior where it is weak. With fewer, modes may be missed; with more, climbs that end at one mode
# cost derivatives.
_STARTS, _MOST = 7, 31
# The most steps of a climb. Set by judgement: Newton's method needs few near the top, and damping
# may be raised tenfold several times on the way. With fewer, climbs end below their modes; more are
# not taken where there is nothing to gain.
_STEPS = 40
# A climb is at its top where Newton's method would gain less, in nats; the lattice that is laid
# around it need not be centred better.
_GAIN = 1e-2
# A mode that lies so many nats below the best one is dropped: it adds e^-15 to the integral.
_DEPTH = 15.0
# The widest that a mode may be taken for, as a share of the box: a direction in which the posterior
# is flat is as wide as the prior, an eighth of the box at least.
_WIDEST = 1 / 8
# By how many nats the density may fall one standard deviation off a mode along its principal axes,
# where that of a normal one falls by 0.5; the axis is shortened until it does. Along a thin and
# curved ridge the curvature at its top promises too much.
_FALL = 2.0
# How often an axis may be halved so.
_SHORTENED = 20
# How far the box reaches beyond codes and draws, as a share of its extent.
_MARGIN = 0.25


class Modes(NamedTuple):
    """Modes of each posterior, the heaviest first.

    Attributes:
        points: m, `(n, K, d)`.
        factors: lower L with L L^T the inverse of the curvature at m, `(n, K, d, d)`.
        log_mass: log f + log det L, of the normal density that fits the mode, less a constant;
            minus infinity where there is no further mode, `(n, K)`.

    Example:
        >>> Modes(torch.zeros(1, 1, 2), torch.eye(2).expand(1, 1, 2, 2), torch.zeros(1, 1)).there
        tensor([[True]])
    """

    points: Tensor
    factors: Tensor
    log_mass: Tensor

    @property
    def there(self) -> Mask:
        """Which modes there are, `(n, K)`."""
        return self.log_mass > -math.inf

    def quadratic(self, rows: Tensor, z: Codes) -> Tensor:
        """Compute |L_k^-1 (z_i - m_k)|^2 for all modes k of sample `rows[i]`, `(m, K)`."""
        away = (z.unsqueeze(1) - self.points[rows]).unsqueeze(-1)
        white = torch.linalg.solve_triangular(self.factors[rows], away, upper=False)
        squared: Tensor = white.squeeze(-1).square().sum(-1)
        return squared

    def log_det(self) -> Tensor:
        """Compute log det L, `(n, K)`."""
        return self.factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def box_of(codes: Codes, draws: Nodes) -> Tensor:
    """Return the lowest and highest corner of a box around codes and draws, `(2, d)`.

    Example:
        >>> box_of(torch.zeros(1, 1), torch.tensor([[-1.0], [1.0]])).tolist()
        [[-1.5], [1.5]]
    """
    points = torch.cat([codes, draws])
    low, high = points.amin(0), points.amax(0)
    margin = _MARGIN * (high - low).amax()
    return torch.stack([low - margin, high + margin])


def find_modes(joint: Joint, codes: Codes, generator: torch.Generator | None) -> Modes:
    """Find the modes of p(z|x) for each sample, by Newton's method from many starts.

    It starts at the sample's code and at the local maxima among nodes that all samples share: a
    grid over a box around codes and prior (d <= 3), the codes of the others, and draws of the
    prior.

    Args:
        joint: the log joint density of n samples.
        codes: the means of q(z|x), `(n, d)`.
        generator: the source of the draws of the prior.

    Returns:
        The modes, of which none has less than e^-15 of the mass of the heaviest.

    Example:
        >>> from pullback.models import VAE
        >>> vae, x = VAE(5, 2), torch.zeros(3, 5)
        >>> joint = Joint(x, vae.decoder, vae.prior)
        >>> find_modes(joint, vae.encode(x), torch.Generator().manual_seed(0)).points.shape[::2]
        torch.Size([3, 2])
    """
    draws = joint.draw_prior(_DRAWS, generator)
    box = box_of(codes, draws)
    some = codes[:: -(-len(codes) // _CODES)]
    nodes = torch.cat([_grid(box), some, draws])
    maxima, chosen = _local_maxima(joint, nodes)
    starts = torch.cat([codes.unsqueeze(1), maxima], 1)
    chosen = torch.cat([torch.ones_like(chosen[:, :1]), chosen], 1)
    floor = float((_WIDEST * (box[1] - box[0]).amax()) ** -2)
    climb = _Climb(joint, starts, chosen, floor)
    climb.shorten()
    return _distinct(climb, len(codes))


def _grid(box: Tensor) -> Nodes:
    d = box.shape[1]
    if d not in _GRID:
        return box.new_zeros(0, d)
    t = (torch.arange(_GRID[d], dtype=box.dtype, device=box.device) + 0.5) / _GRID[d]
    shares = torch.cartesian_prod(*[t] * d).reshape(-1, d)
    return box[0] + (box[1] - box[0]) * shares


def _local_maxima(joint: Joint, nodes: Nodes) -> tuple[Tensor, Mask]:
    """Return the highest nodes that none of their neighbours exceeds, `(n, starts, d)`.

    Also says from which of them to climb, `(n, starts)`.
    """
    values = joint.everywhere(nodes)
    k = min(_NEIGHBORS.get(nodes.shape[1], 2 * nodes.shape[1]), len(nodes) - 1)
    near = torch.cdist(nodes, nodes).topk(k + 1, largest=False).indices
    around = torch.stack([values[:, one] for one in near.unbind(1)], 0).amax(0)
    top = torch.where(values >= around, values, -math.inf)
    height, index = top.topk(min(_MOST, len(nodes)), dim=1)
    chosen = (height > height[:, :1] - _DEPTH) & (height > -math.inf)
    chosen[:, :_STARTS] |= height[:, :_STARTS] > -math.inf
    return nodes[index], chosen


class _Climb:
    """Newton's method with damping, on all climbs at once; those that cannot matter end early."""

    def __init__(self, joint: Joint, starts: Tensor, chosen: Mask, floor: float) -> None:
        n, self.n_starts, d = starts.shape
        self.joint, self.floor = joint, floor
        self.rows = torch.arange(n, device=starts.device).repeat_interleave(self.n_starts)
        self.z = starts.reshape(-1, d).clone()
        self.value = self.z.new_full((len(self.z),), -math.inf)
        self.gradient = torch.zeros_like(self.z)
        self.curvature = torch.ones_like(self.z)
        self.axes = torch.eye(d).to(self.z).repeat(len(self.z), 1, 1)
        begun = chosen.flatten().nonzero().squeeze(1)
        self._set(begun, self.z[begun], *joint.derivatives(self.rows[begun], self.z[begun]))
        self.damping = torch.full_like(self.value, 1e-3)
        for _ in range(_STEPS):
            active = self._active()
            if len(active) == 0:
                break
            self._step(active)

    def gain(self) -> Tensor:
        """What Newton's method promises, in nats, `(m,)`."""
        return 0.5 * (self._along().square() / self.curvature).sum(-1)

    def best(self) -> Tensor:
        """The highest value that any climb of the same sample has reached, `(m,)`."""
        best = self.value.reshape(-1, self.n_starts).amax(1)
        return best.repeat_interleave(self.n_starts)

    def _along(self) -> Tensor:
        return (self.axes.mT @ self.gradient.unsqueeze(-1)).squeeze(-1)

    def _curvature(self, hessian: Tensor) -> tuple[Tensor, Tensor]:
        curvature, axes = torch.linalg.eigh(-0.5 * (hessian + hessian.mT))
        return curvature.abs().clamp(min=self.floor), axes

    def _active(self) -> Tensor:
        gain = self.gain()
        # Newton's promise may be far too small off the top: five times as much is allowed for.
        hopeful = self.value + 5 * gain > self.best() - _DEPTH
        stuck = self.damping > 1e9
        return (self.value.isfinite() & (gain > _GAIN) & hopeful & ~stuck).nonzero().squeeze(1)

    def _step(self, active: Tensor) -> None:
        damped = self.curvature[active]
        damped = damped + (self.damping[active] * damped.amax(-1)).unsqueeze(-1)
        step = self.axes[active] @ (self._along()[active] / damped).unsqueeze(-1)
        trial = self.z[active] + step.squeeze(-1)
        value, gradient, hessian = self.joint.derivatives(self.rows[active], trial)
        better = value > self.value[active]
        self.damping[active] *= torch.where(better, 0.1, 10.0).to(self.damping)
        new = (each[better] for each in (trial, value, gradient, hessian))
        self._set(active[better], *new)

    def _set(self, at: Tensor, z: Tensor, value: Tensor, gradient: Tensor, hessian: Tensor) -> None:
        self.z[at], self.value[at], self.gradient[at] = z, value, gradient
        self.curvature[at], self.axes[at] = self._curvature(hessian)

    def shorten(self) -> None:
        """Shorten the axes along which the density falls too far within a standard deviation."""
        best = self.best()
        for axis in range(self.z.shape[-1]):
            open_ = (self.value > best - 2 * _DEPTH).nonzero().squeeze(1)
            for _ in range(_SHORTENED):
                std = self.curvature[open_, axis].rsqrt().unsqueeze(-1)
                step = std * self.axes[open_, :, axis]
                ends = torch.cat([self.z[open_] + step, self.z[open_] - step])
                value = self.joint.at(self.rows[open_].repeat(2), ends).reshape(2, -1)
                open_ = open_[value.amin(0) < self.value[open_] - _FALL]
                if len(open_) == 0:
                    break
                self.curvature[open_, axis] *= 4


def _distinct(climb: _Climb, n: int) -> Modes:
    """Drop climbs that ended at the mode of another one, or too low to matter."""
    d = climb.z.shape[-1]
    precision = climb.axes * climb.curvature.unsqueeze(-2) @ climb.axes.mT
    covariance = climb.axes / climb.curvature.unsqueeze(-2) @ climb.axes.mT
    factors = torch.linalg.cholesky(covariance).reshape(n, -1, d, d)
    mass = climb.value.reshape(n, -1) + factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    mass = torch.where(mass > mass.amax(1, keepdim=True) - _DEPTH, mass, -math.inf)
    order = mass.argsort(1, descending=True)
    mass = mass.gather(1, order)
    rows = torch.arange(n, device=mass.device).unsqueeze(1)
    z, factors = climb.z.reshape(n, -1, d)[rows, order], factors[rows, order]
    precision = precision.reshape(n, -1, d, d)[rows, order]
    away = z.unsqueeze(2) - z.unsqueeze(1)
    near = torch.einsum("nijk,njkl,nijl->nij", away, precision, away) < 1
    earlier = torch.ones_like(near[0]).tril(-1)  # of two that coincide the heavier one stays
    doubled = (near & earlier & (mass > -math.inf).unsqueeze(1)).any(2)
    mass = torch.where(doubled, -math.inf, mass)
    most = max(1, int((mass > -math.inf).sum(1).amax()))
    order = mass.argsort(1, descending=True)[:, :most]
    return Modes(z[rows, order], factors[rows, order], mass.gather(1, order))
