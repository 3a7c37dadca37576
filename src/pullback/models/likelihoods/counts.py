"""What counts are: whole numbers >= 0."""

from torch import Tensor

from pullback.errors import InvalidDataError

__all__ = ["check_counts"]


def check_counts(name: str, x: Tensor) -> None:
    """Refuse what is no whole number >= 0.

    Args:
        name: what the observations are called, for the message.
        x: observations, `(*batch, D)`.

    Raises:
        InvalidDataError: some are none; the message shows the first.

    Example:
        >>> import torch
        >>> check_counts("x", torch.tensor([[0.0, 2.0]]))
    """
    x = x.detach()
    wrong = (x < 0) | (x != x.round())
    if bool(wrong.any()):
        *_, feature = wrong.nonzero()[0].tolist()
        raise InvalidDataError(
            f"`{name}` must hold counts, whole numbers >= 0, but {int(wrong.sum())} of its "
            f"{x.numel()} entries are none, the first of them {float(x[wrong][0]):g} of feature "
            f"{feature}. Give the raw counts, not normalised or logarithmic ones."
        )
