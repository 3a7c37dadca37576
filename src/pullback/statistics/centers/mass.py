"""The weights of data in groups."""

import torch
from torch import Tensor

__all__ = ["Mass"]


class Mass:
    """The weights of data in groups, and the sums over each group.

    Args:
        owner: the group of each point, shape `(n,)`.
        weights: w >= 0, shape `(n,)`.
        n_groups: the number of groups k.

    Example:
        >>> mass = Mass(torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0, 5.0]), 2)
        >>> mass.sum(torch.tensor([1.0, 1.0, 2.0])).tolist()
        [4.0, 10.0]
    """

    def __init__(self, owner: Tensor, weights: Tensor, n_groups: int) -> None:
        self.owner = owner
        self.weights = weights
        self.n_groups = n_groups

    def sum(self, values: Tensor) -> Tensor:
        """Compute sum_i w_i v_i over each group, from `(n,)` or `(n, d)`: `(k,)` or `(k, d)`."""
        weights = self.weights.reshape(-1, *[1] * (values.ndim - 1))
        sums = values.new_zeros(self.n_groups, *values.shape[1:])
        return sums.index_add(0, self.owner, weights * values)

    def within(self, mask: Tensor) -> "Mass":
        """Leave out the data that are not in the mask, shape `(n,)`."""
        return Mass(self.owner, self.weights * mask, self.n_groups)

    def total(self) -> Tensor:
        """Compute the weight of each group, `(k,)`."""
        return self.sum(torch.ones_like(self.weights))
