"""How the training of a model went."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from pullback.errors import InvalidDataError
from pullback.plots.style import CATEGORICAL, new_axes, styled

__all__ = ["history"]


@styled
def history(
    rows: Sequence[Mapping[str, Any]], *, stage: str = "mean", ax: Axes | None = None
) -> Axes:
    """Draw the ELBO against the epoch, on the training and on the validation data.

    Args:
        rows: the `history` of a `VAE`.
        stage: which of its stages.
        ax: axes to draw on; new ones if None.

    Returns:
        The axes.

    Raises:
        InvalidDataError: the history has no such stage.

    Example:
        >>> rows = [{"stage": "mean", "epoch": 1, "elbo": -3.0, "validation_elbo": None}]
        >>> history(rows).get_xlabel()
        'epoch'
    """
    chosen = [row for row in rows if row["stage"] == stage]
    if not chosen:
        raise InvalidDataError(f"`rows` must have epochs of stage {stage!r}, but has none.")
    ax = ax or new_axes()
    names = {"elbo": "training", "validation_elbo": "validation"}
    drawn: list[float] = []
    for colour, (key, name) in zip(CATEGORICAL, names.items(), strict=False):
        points = [(row["epoch"], row[key]) for row in chosen if row[key] is not None]
        if points:
            ax.plot(*zip(*points, strict=True), label=name, color=colour)
            drawn += [value for _, value in points]
    # The first epochs would flatten all that follows.
    low, high = sorted(drawn)[len(drawn) // 20], max(drawn)
    ax.set(xlabel="epoch", ylabel="ELBO (nats)", ylim=(low - 0.02 * (high - low + 1), None))
    ax.grid(axis="y")
    ax.legend(loc="lower right")
    return ax
