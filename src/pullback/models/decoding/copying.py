"""Copies of modules: what they hold besides weights, and what they keep of a call."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from pullback.errors import InvalidDataError

__all__ = ["Forgetful", "cast_module", "copy_module", "keeps_results"]


def copy_module(module: nn.Module, *, share: Iterable[Tensor] = ()) -> nn.Module:
    """Copy a module, and of the results that it keeps their values only.

    Results are tensors that PyTorch differentiates, as an activation that was stored or a weight
    that is computed of others; it refuses to copy them as they are. Backward hooks are left out:
    they watch a training, and `torch.func` has none.

    Args:
        module: the module, which stays as it is.
        share: tensors that the copy holds too, such as weights.

    Raises:
        InvalidDataError: it holds what cannot be copied, as a lock or an open file.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> layer.kept = layer(torch.zeros(1, 2))
        >>> copy_module(layer).kept.requires_grad
        False
    """
    results = [held for _, held in _walk(module, "") if _is_result(held)]
    memo = {id(result): result.detach().clone() for result in results}
    memo |= {id(tensor): tensor for tensor in share}
    try:
        twin = copy.deepcopy(module, memo)
    except Exception as error:
        raise InvalidDataError(_not_copied(module, memo, error)) from error
    for part in twin.modules():
        part._backward_hooks.clear()
        part._backward_pre_hooks.clear()
        part._is_full_backward_hook = None
    return twin


def cast_module(
    module: nn.Module, dtype: torch.dtype, device: torch.device | None = None
) -> nn.Module:
    """Cast and move a module in place, and the tensors that it holds as attributes along with it.

    Those are cast that have the type of its weights, as if they were the buffers that they should
    be; tensors of another type are where they are for a reason.

    Args:
        module: the module.
        dtype: the floating-point type to cast to.
        device: where to move it; None for where it is.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> layer.shift = torch.ones(3)
        >>> cast_module(layer, torch.float64).shift.dtype
        torch.float64
    """
    held = (t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point())
    own = next((t.dtype for t in held), torch.get_default_dtype())
    module.to(device, dtype)
    for part in module.modules():
        for name, value in _own(part).items():
            if isinstance(value, Tensor) and value.dtype == own:
                vars(part)[name] = value.to(device, dtype)
    return module


def _is_result(held: object) -> bool:
    return isinstance(held, Tensor) and not held.is_leaf


def _not_copied(module: nn.Module, memo: dict[int, Any], error: Exception) -> str:
    """Name the attribute that cannot be copied: the innermost one, if it is part of another."""
    where, culprit = "", "of that type"
    for path, held in _walk(module, ""):
        if path.startswith(where) and not _is_copied(held, memo):
            where, culprit = path, type(held).__name__
    return (
        f"`decoder` must be copied, so that the caller's stays as it is, but its attribute "
        f"`{where.lstrip('.')}`, a {culprit}, cannot be: {error}. Set it to None before, say how "
        "it is copied by a `__deepcopy__`, or give a function in place of the module, as in "
        "`pb.Manifold(lambda z: module(z), dim=...)` with a module in double precision."
    )


def _is_copied(held: object, memo: dict[int, Any]) -> bool:
    try:
        copy.deepcopy(held, dict(memo))
    except Exception:
        return False
    return True


def _walk(held: Any, path: str, seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield all that an object holds, with its path, an object before its parts."""
    seen = set() if seen is None else seen
    if id(held) in seen:
        return
    seen.add(id(held))
    if path:
        yield path, held
    for name, part in _parts(held):
        yield from _walk(part, path + name, seen)


def _parts(held: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(held, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in held.items())
    elif isinstance(held, list | tuple | set | frozenset):
        yield from ((f"[{i}]", part) for i, part in enumerate(held))
    elif isinstance(held, nn.Module):
        yield from ((f".{name}", part) for name, part in held.named_children())
        yield from ((f".{name}", part) for name, part in _own(held).items())
        yield from ((f".{name}", vars(held)[name]) for name in _INSIDE)
    elif not isinstance(held, Tensor | type | FunctionType | ModuleType):
        yield from ((f".{name}", part) for name, part in getattr(held, "__dict__", {}).items())


# The attributes that every module has: what a module has beside them, its author put there.
_OF_MODULES = set(vars(nn.Module()))
# The attributes of a module in which results of earlier calls, or functions that keep them, may
# lie.
_INSIDE = ("_buffers", "_forward_hooks", "_forward_pre_hooks")


def _own(module: nn.Module) -> dict[str, Any]:
    """Return the attributes that are neither weights, buffers and layers nor PyTorch's own."""
    return {name: value for name, value in vars(module).items() if name not in _OF_MODULES}


def keeps_results(module: nn.Module, z: Tensor) -> bool:
    """Say whether a module holds other attributes once it has been called.

    Args:
        module: the module.
        z: points that it takes.

    Example:
        >>> keeps_results(nn.Linear(2, 3), torch.zeros(1, 2))
        False
    """
    before = _Attributes(module)
    with torch.no_grad():
        module(z)
    return before.restore()


class Forgetful(nn.Module):
    """A module that is as it was before after each call, whatever it stores while it computes.

    What it stores under `torch.func` dies with the derivatives: it could neither be copied nor
    saved any more.

    Args:
        module: the module.

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> _ = layer.register_forward_hook(lambda layer, z, x: setattr(layer, "kept", x))
        >>> _ = Forgetful(layer)(torch.zeros(1, 2))
        >>> hasattr(layer, "kept")
        False
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, z: Tensor) -> Any:
        """Call the module, and put its attributes back."""
        before = _Attributes(self.module)
        try:
            return self.module(z)
        finally:
            before.restore()


class _Attributes:
    """The attributes of all parts of a module at some moment, lists and dicts with their items."""

    def __init__(self, module: nn.Module) -> None:
        self._before = [(part, _own(part)) for part in module.modules()]
        held = [value for _, own in self._before for value in own.values()]
        self._items = [(value, value.copy()) for value in held if type(value) in (list, dict)]

    def restore(self) -> bool:
        """Put back what has changed, and say whether anything had."""
        changed = False
        for part, before in self._before:
            now = _own(part)
            for name in now.keys() | before.keys():
                if name not in before:
                    del vars(part)[name]
                elif now.get(name) is not before[name]:
                    vars(part)[name] = before[name]
                else:
                    continue
                changed = True
        for value, items in self._items:
            if not _same_items(value, items):
                value.clear()
                value.update(items) if isinstance(value, dict) else value.extend(items)
                changed = True
        return changed


def _same_items(now: Any, before: Any) -> bool:
    if isinstance(now, dict):
        return now.keys() == before.keys() and _same_items([*now.values()], [*before.values()])
    return len(now) == len(before) and all(a is b for a, b in zip(now, before, strict=True))
