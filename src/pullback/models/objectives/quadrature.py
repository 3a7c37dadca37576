"""log p(x) by quadrature over the latent space, for d <= 3: lattices that grow around the modes."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.models.objectives.joint import Joint
from pullback.models.objectives.modes import Modes

__all__ = ["Integral", "integrate"]

# The spacing of the first lattice, in standard deviations of the mode, by the dimension. The sum
# over a lattice of a normal density is off by exp(-2 pi^2 / spacing^2), and that over every second
# node, which tells the error, by exp(-pi^2) = 5e-5 in the plane.
_SPACING = {1: 0.5, 2: 1.0, 3: 1.0}
# How often the spacing may be halved. Set by judgement: in the plane the last lattice has 256 times
# the nodes of the first one. With fewer, narrow posteriors miss the tolerance; with more, they cost
# so much more before they are given up.
_HALVINGS = 4
# By how many nats an integral may differ from that of the normal densities that fit the modes, and
# be taken for right by its lattice alone: further off, two lattices have to agree. Set by
# judgement: with less, more samples are summed twice; with more, a lattice is trusted where the
# posterior is far from normal.
_UNLIKE = 0.3
# The first nodes are those within so many standard deviations.
_RADIUS = 3.0
# Nodes with less than e^-9 of the mass of the heaviest one are the shore: nothing is looked for
# beyond them. In three dimensions 2e-3 of a normal density lie there, less in fewer.
_SHORE = 9.0
# The most nodes for all modes of one sample. Set by judgement: at one node for each standard
# deviation, a posterior of a thousand of them along a curve and ten across would have 10,000. With
# fewer, such samples miss the tolerance; more take memory and time.
_MOST = {1: 20_000, 2: 60_000, 3: 200_000}
# Samples that are integrated at once.
_AT_ONCE = 256


class Integral(NamedTuple):
    """Integrals and what is known of their errors.

    Attributes:
        value: log of the integral, `(n,)`.
        error: how far it may be off, in nats: the difference to the sum over every second node,
            and what lies on the shore, `(n,)`.

    Example:
        >>> Integral(torch.zeros(1), torch.zeros(1)).value
        tensor([0.])
    """

    value: Tensor
    error: Tensor


def integrate(joint: Joint, modes: Modes, tolerance: float) -> Integral:
    r"""Integrate exp f(x, z) over z, for each sample.

    `log integral exp(f) dz = log sum_k integral w_k exp(f) dz`, where the weights w_k, of sum 1,
    are the shares of the normal densities that fit the modes, so that each integrand has one mode,
    and each is summed over a lattice that is regular in the principal axes of its own. From the
    nodes near the mode a lattice grows for as long as there is mass at its shore, along whatever
    curve, and it is halved until the sum over every second node agrees, and where the posterior is
    not nearly normal, until halving changes the integral no more.

    Args:
        joint: the log joint density of n samples.
        modes: their modes.
        tolerance: the error in nats at which an integral is not refined any more.

    Returns:
        The integrals; what could not be made as exact says so by its error.

    Source:
        Trefethen and Weideman, "The exponentially convergent trapezoidal rule", 2014.

    Example:
        >>> from pullback.models import VAE
        >>> from pullback.models.objectives.modes import find_modes
        >>> vae, x = VAE(5, 2), torch.zeros(3, 5)
        >>> joint = Joint(x, vae.decoder, vae.prior)
        >>> modes = find_modes(joint, vae.encode(x), torch.Generator().manual_seed(0))
        >>> bool((integrate(joint, modes, 0.1).error < 0.1).all())
        True
    """
    n, _, d = modes.points.shape
    value = modes.points.new_full((n,), -math.inf)
    error = torch.full_like(value, math.inf)
    normal = modes.log_mass.logsumexp(1) + 0.5 * d * math.log(2 * math.pi)
    open_ = torch.arange(n, device=value.device)
    for halving in range(_HALVINGS + 1):
        spacing = _SPACING[d] / 2**halving
        for rows in open_.split(_AT_ONCE):
            found = _Lattices(joint, modes, rows, spacing).integral()
            change = (found.value - value[rows]).abs()  # infinite the first time
            unlike = (found.value - normal[rows]).abs() > _UNLIKE
            value[rows] = found.value
            error[rows] = torch.where(unlike, torch.maximum(found.error, change), found.error)
        open_ = open_[error[open_] > tolerance]
        if len(open_) == 0:
            break
    return Integral(value, error)


class _Lattices:
    """The lattices of one spacing around all modes of some samples, and the sums over them."""

    def __init__(self, joint: Joint, modes: Modes, rows: Tensor, spacing: float) -> None:
        self.joint, self.modes, self.spacing = joint, modes, spacing
        self.dim = modes.points.shape[-1]
        owner_row, self.mode = modes.there[rows].nonzero(as_tuple=True)
        self.rows, self.row, self.local = rows, rows[owner_row], owner_row
        self.base = 2 ** (36 // self.dim)  # keys of nodes: coordinates in [-base / 2, base / 2)
        self.log_det = modes.log_det()
        self.score = modes.log_mass - self.log_det
        self.keys, self.mass = self._grow()

    def integral(self) -> Integral:
        """Sum over all nodes and over every second one, and measure the shore."""
        owner, steps = self._decode(self.keys)
        row = self.local[owner]
        total = self._sum(row, self.mass)
        even = steps.sum(-1) % 2 == 0
        half = self._sum(row, torch.where(even, self.mass, -math.inf)) + math.log(2)
        best = self._highest(row, self.mass)
        shore = self._sum(row, torch.where(self.mass < best[row] - _SHORE, self.mass, -math.inf))
        error = (total - half).abs() + (shore - total).exp()
        full = torch.bincount(row, minlength=len(self.rows)) > _MOST[self.dim]
        error = torch.where(error.isfinite() & ~full, error, math.inf)
        return Integral(total, error)

    def _grow(self) -> tuple[Tensor, Tensor]:
        """Evaluate lattices outwards from their modes until all their shores are low."""
        new = self._first()
        keys, mass = new[:0], self.modes.points.new_zeros(0)
        open_ = torch.zeros_like(new[:0], dtype=torch.bool)
        while len(new):
            keys = torch.cat([keys, new])
            mass = torch.cat([mass, self._evaluate(new)])
            open_ = torch.cat([open_, torch.ones_like(new, dtype=torch.bool)])
            row = self.local[keys.div(self.base**self.dim, rounding_mode="floor")]
            full = torch.bincount(row, minlength=len(self.rows)) > _MOST[self.dim]
            chosen = open_ & (mass >= self._highest(row, mass)[row] - _SHORE) & ~full[row]
            open_ = open_ & ~chosen
            new = self._neighbors(keys[chosen])
            new = new[~torch.isin(new, keys, assume_unique=True)]
        return keys, mass

    def _evaluate(self, keys: Tensor) -> Tensor:
        """Compute the logarithm of what nodes add to the integral."""
        owner, steps = self._decode(keys)
        row, mode = self.row[owner], self.mode[owner]
        u = (self.spacing * steps).to(self.modes.points)
        z = self.modes.points[row, mode]
        z = z + (self.modes.factors[row, mode] @ u.unsqueeze(-1)).squeeze(-1)
        shares = self.score[row] - 0.5 * self.modes.quadratic(row, z)
        share = shares.log_softmax(1).gather(1, mode.unsqueeze(1)).squeeze(1)
        cell = self.log_det[row, mode] + self.dim * math.log(self.spacing)
        return self.joint.at(row, z) + share + cell

    def _first(self) -> Tensor:
        reach = int(_RADIUS / self.spacing)
        axis = torch.arange(-reach, reach + 1, device=self.row.device)
        steps = torch.cartesian_prod(*[axis] * self.dim).reshape(-1, self.dim)
        steps = steps[steps.square().sum(1) <= (_RADIUS / self.spacing) ** 2]
        owners = torch.arange(len(self.row), device=self.row.device)
        return self._encode(owners.unsqueeze(1), steps).flatten()

    def _encode(self, owner: Tensor, steps: Tensor) -> Tensor:
        key = owner
        for coordinate in (steps + self.base // 2).unbind(-1):
            key = key * self.base + coordinate
        return key

    def _decode(self, keys: Tensor) -> tuple[Tensor, Tensor]:
        steps = []
        for _ in range(self.dim):
            steps.append(keys % self.base - self.base // 2)
            keys = keys.div(self.base, rounding_mode="floor")
        return keys, torch.stack(steps[::-1], -1)

    def _neighbors(self, keys: Tensor) -> Tensor:
        strides = [self.base**k for k in range(self.dim)]
        steps = torch.tensor(strides + [-s for s in strides], device=keys.device)
        near: Tensor = (keys.unsqueeze(1) + steps).unique()
        return near

    def _sum(self, row: Tensor, mass: Tensor) -> Tensor:
        highest = self._highest(row, mass)
        safe = torch.where(highest.isfinite(), highest, 0.0)
        total = torch.zeros_like(safe).index_add(0, row, (mass - safe[row]).exp())
        return total.log() + safe

    def _highest(self, row: Tensor, mass: Tensor) -> Tensor:
        lowest = mass.new_full((len(self.rows),), -math.inf)
        return lowest.scatter_reduce(0, row, mass, "amax")
