"""Rules of jets: what PyTorch's operations make of them.

A rule is given the operation, its arguments and its keywords. It computes the value as PyTorch
would, and the tangents by the chain rule; an operation that is not linear leaves a `Bend`.
"""

from pullback.autodiff.rules.table import RULES

__all__ = ["RULES"]
