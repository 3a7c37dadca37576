"""A map with its derivatives: by jets where all its operations have rules, else by PyTorch."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from pullback.autodiff import transforms
from pullback.autodiff.contexts import is_transformed
from pullback.autodiff.jet import Bend, Jet, UnknownOperationError, expand
from pullback.autodiff.rules import RULES
from pullback.autodiff.transforms import Map, SecondOrder
from pullback.shapes import Ambient, Jacobian, Latent, Tangent

__all__ = ["SmoothMap"]

Jet.rules.update(RULES)  # here, for the rules are written in terms of jets

# Jets carry one tangent after the other, which pays while there are few: in more dimensions
# PyTorch's one batch of all directions is as fast.
_MOST_DIRECTIONS = 8
_N_PROBES = 3  # points at which the derivatives by jets are held against PyTorch's, once for a map


class SmoothMap:
    r"""A map f: R^d -> R^m with its derivatives, for many evaluations of the same map.

    Jets cost 1 + d sweeps for f and J, and one reverse sweep more for the second derivatives

        sum_k r_k d^2 f_k / dz^2 = sum over operations, sum_k rho_k g''(a_k) da_k da_k^T,

    with rho the derivative of <r, f> by what an operation g returned, and a what it was given. In
    two dimensions that is a third of what nested transforms cost. They serve if no derivative of
    the derivatives is asked for, on the map's own points, and if they agree with PyTorch where they
    are first asked for; else PyTorch's transforms do, to the same accuracy.

    Args:
        f: the map, from points `(*batch, d)` to images `(*batch, m)`, row by row.

    Source:
        Griewank and Walther, Evaluating Derivatives (2008), chapters 3 and 13.

    Example:
        >>> f = SmoothMap(torch.square)
        >>> with torch.no_grad():
        ...     value, J = f.jacobian(torch.tensor([2.0, 3.0]))
        >>> J.tolist()
        [[4.0, 0.0], [0.0, 6.0]]
    """

    def __init__(self, f: Map) -> None:
        self.f = f
        self._has_rules: bool | None = None  # not known before a first question is answered

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what a first question finds again: to ask changes nothing that is kept."""
        return vars(self) | {"_has_rules": None}

    def of(self, f: Map) -> "SmoothMap":
        """Make the same of another map that is made of the same operations.

        Example:
            >>> SmoothMap(torch.square).of(torch.exp).f is torch.exp
            True
        """
        other = SmoothMap(f)
        other._has_rules = self._has_rules
        return other

    def __call__(self, z: Latent) -> Ambient:
        """Compute f(z)."""
        return self.f(z)

    def jvp(self, z: Latent, v: Tangent) -> tuple[Ambient, Ambient]:
        """Compute f(z) and J v, as `jvp`."""
        if not self._by_jets(z, v):
            return transforms.jvp(self.f, z, v)
        v = v.expand(torch.broadcast_shapes(z.shape, v.shape))
        z = z.expand(v.shape)
        jet = expand(self.f, _rows(z), _rows(v).unsqueeze(1))
        return _shaped(jet.value, z), _shaped(jet.tangents.squeeze(1), z)

    def jacobian(self, z: Latent) -> tuple[Ambient, Jacobian]:
        """Compute f(z) and J, as `jacobian`."""
        if not self._by_jets(z):
            return transforms.jacobian(self.f, z)
        jet = expand(self.f, _rows(z), _axes(z))
        return _shaped(jet.value, z), _columns(jet, z)

    def second_order(self, z: Latent, covector: Ambient) -> SecondOrder:
        """Compute f(z), J, J^T r and the second derivatives of <r, f>, as `second_order`."""
        if not self._by_jets(z, covector):
            return transforms.second_order(self.f, z, covector)
        return _second_order(self.f, z, covector)

    def bend(self, z: Latent, v: Tangent) -> tuple[Jacobian, Tangent]:
        r"""Compute J, and J^T D^2 f[v, v]: how f bends along v, as its own directions see it.

        Args:
            z: points, shape `(*batch, d)`.
            v: tangent vectors at z, shape `(*batch, d)`.

        Returns:
            J, shape `(*batch, m, d)`, and J^T D^2 f[v, v], shape `(*batch, d)`.

        Example:
            >>> z, v = torch.tensor([2.0, 3.0]), torch.tensor([1.0, 1.0])
            >>> SmoothMap(torch.square).bend(z, v)[1].tolist()
            [8.0, 12.0]
        """
        if not self._by_jets(z, v):
            _, second = transforms.jvp(lambda z: transforms.jvp(self.f, z, v)[1], z, v)
            _, J = transforms.jacobian(self.f, z)
            return J, (J.mT @ second.unsqueeze(-1)).squeeze(-1)
        rows, along = _rows(z), _rows(v).unsqueeze(1)
        # A curve through z with velocity v and no acceleration of its own.
        curve = torch.cat([_axes(z), along, torch.zeros_like(along)], 1)
        image = expand(self.f, rows, curve, is_curved=True)
        J = image.tangents[:, :-2].mT
        bend = (J.mT @ image.tangents[:, -1].unsqueeze(-1)).squeeze(-1)
        return J.reshape(*z.shape[:-1], *J.shape[1:]), bend.reshape(z.shape)

    def _by_jets(self, *tensors: Tensor) -> bool:
        """Say whether jets may serve here; they are tried at the first question."""
        z = tensors[0]
        if z.shape[-1] > _MOST_DIRECTIONS or z.numel() == 0 or not _is_plain(*tensors):
            return False
        if self._has_rules is None:
            self._has_rules = self._agrees(_rows(z)[:_N_PROBES])
        return bool(self._has_rules)

    def _agrees(self, z: Tensor) -> bool | None:
        """Hold jets against PyTorch at some points; None if the map has no values there."""
        try:
            r = torch.ones_like(expand(self.f, z, _axes(z)).value)
            found = _second_order(self.f, z, r)
        except UnknownOperationError:
            return False
        truth = transforms.second_order(self.f, z, r)
        if not all(bool(part.isfinite().all()) for part in truth):
            return None
        near = torch.finfo(z.dtype).eps ** 0.5  # of what both may differ by, of the largest number
        return all(
            torch.allclose(p, q, rtol=near, atol=near * float(q.abs().max()))
            for p, q in zip(found, truth, strict=True)
        )


def _second_order(f: Map, z: Tensor, covector: Tensor) -> SecondOrder:
    points = _rows(z).detach().requires_grad_()
    bends: list[Bend] = []
    jet = expand(f, points, _axes(z), bends)
    gradient, *adjoints = torch.autograd.grad(
        jet.value,
        [points, *(bend.value for bend in bends)],
        covector.reshape(jet.value.shape),
        allow_unused=True,  # of an operation whose result the map leaves out
    )
    hessian = points.new_zeros(*points.shape, points.shape[-1])
    for bend, adjoint in zip(bends, adjoints, strict=True):
        if adjoint is not None:
            hessian += bend.share(adjoint)
    return SecondOrder(
        value=_shaped(jet.value.detach(), z),
        jacobian=_columns(jet, z),
        gradient=gradient.reshape(z.shape),
        hessian=hessian.reshape(*z.shape, z.shape[-1]),
    )


def _is_plain(*tensors: Tensor) -> bool:
    """Say whether no derivative of what is computed can be asked for later."""
    if torch.is_grad_enabled() or torch.is_inference_mode_enabled() or is_transformed():
        return False
    return all(
        type(part) is Tensor and forward_ad.unpack_dual(part).tangent is None for part in tensors
    )


def _rows(z: Tensor) -> Tensor:
    return z.reshape(-1, z.shape[-1])


def _shaped(rows: Tensor, z: Tensor) -> Tensor:
    return rows.reshape(*z.shape[:-1], rows.shape[-1])


def _axes(z: Tensor) -> Tensor:
    """The unit vectors along the axes, at each of n points: shape `(n, d, d)`."""
    eye = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    return eye.expand(len(_rows(z)), *eye.shape)


def _columns(jet: Jet, z: Tensor) -> Tensor:
    J = jet.tangents.mT
    return J.reshape(*z.shape[:-1], *J.shape[1:])
