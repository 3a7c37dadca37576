"""What PyTorch is asked about the state that it is in."""

import pytest
import torch

from pullback.autodiff.contexts import is_transformed

TRANSFORMS = {
    "grad": lambda f: torch.func.grad(f),
    "vmap": lambda f: torch.func.vmap(lambda z: f(z) + 0 * z),
    "vjp": lambda f: lambda z: torch.func.vjp(f, z)[0],
    "jvp": lambda f: lambda z: torch.func.jvp(f, (z,), (torch.ones_like(z),))[0],
    "hessian": lambda f: torch.func.hessian(f),
    "functionalize": lambda f: torch.func.functionalize(f),
}


@pytest.mark.parametrize("no_grad", [False, True])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_that_is_taken_is_known(name, no_grad):
    said = []

    def f(z):
        said.append(is_transformed())
        return z.square().sum()

    with torch.set_grad_enabled(not no_grad):
        TRANSFORMS[name](f)(torch.ones(3))
    assert said
    assert all(said), (
        f"PyTorch {torch.__version__} lets a tensor ask for its gradient within `torch.func.{name}`"
        ". So `is_transformed` no longer sees a transform, and `SmoothMap` would answer by jets, "
        "which carry no derivative of derivatives. Find what PyTorch tells of a transform now."
    )


def test_where_none_is_taken_that_is_known_too():
    assert not is_transformed()
    with torch.no_grad():
        assert not is_transformed()
    with torch.autograd.forward_ad.dual_level():
        assert not is_transformed()
    with pytest.raises(ZeroDivisionError):
        torch.func.grad(lambda z: z * (1 // 0))(torch.ones(()))
    assert not is_transformed()
