"""The answer of a geodesic search: curves, what they measure, and a certificate for each."""

from dataclasses import dataclass

from torch import Tensor

from pullback.curves import Curve
from pullback.errors import ConvergenceError
from pullback.geodesics.base import Status
from pullback.shapes import Mask, Points, Scalars

__all__ = ["GeodesicResult"]


@dataclass(frozen=True)
class GeodesicResult:
    """Geodesics between pairs of points, each with its own status and certificate.

    Lengths and energies are measured again on the returned curves, on the metric itself and with
    more points than the solver used. `print(result)` shows a table.

    Attributes:
        curve: the curves c: [0, 1] -> R^d, at constant speed.
        length: L, shape `(*batch,)`.
        energy: E = 1/2 int |c'|^2 dt, shape `(*batch,)`; 2 E >= L^2, equal at constant speed.
        straight_length: the length of the straight line, shape `(*batch,)`, measured with the
            points of the coarsest level.
        lower_bound: no curve can be shorter: the straight line between the images, `(*batch,)`;
            0 for a metric without an immersion.
        residual: the largest geodesic curvature along the curve in units of 1 / L, `(*batch,)`: 0
            for a geodesic, pi for a half-circle in the plane.
        speed_variation: standard deviation of the speed over its mean, shape `(*batch,)`.
        refinement: relative change of L at the last doubling of the nodes, shape `(*batch,)`.
        n_segments: segments of the finest chain that was solved, shape `(*batch,)`.
        n_steps: steps of the solver, over all numbers of nodes, shape `(*batch,)`.
        status: `Status` codes, shape `(*batch,)`.
        start: which of `starts` the curve came from, shape `(*batch,)`.
        starts: the names of the starts that were tried.

    Example:
        >>> import torch
        >>> from pullback.geodesics import connect
        >>> from pullback.metrics import PullbackMetric
        >>> flat = PullbackMetric(lambda z: 2 * z, dim=2)
        >>> result = connect(flat, torch.zeros(2).double(), torch.tensor([3.0, 4.0]).double())
        >>> result.length.item(), bool(result.converged)
        (10.0, True)
    """

    curve: Curve
    length: Scalars
    energy: Scalars
    straight_length: Scalars
    lower_bound: Scalars
    residual: Scalars
    speed_variation: Scalars
    refinement: Scalars
    n_segments: Tensor
    n_steps: Tensor
    status: Tensor
    start: Tensor
    starts: tuple[str, ...]

    @property
    def converged(self) -> Mask:
        """Where a geodesic was found, shape `(*batch,)`."""
        return self.status == Status.CONVERGED

    def points(self, n: int) -> Points:
        """Evaluate the curves at n equally spaced times: shape `(*batch, n, d)`."""
        return self.curve.points(n)

    def raise_if_failed(self) -> "GeodesicResult":
        """Return the result itself if every pair converged.

        Raises:
            ConvergenceError: some did not; the message says how many, which and why.
        """
        failed = ~self.converged.flatten()
        if bool(failed.any()):
            raise ConvergenceError(
                f"{int(failed.sum())} of {failed.numel()} geodesics were not found: "
                + "; ".join(self._failures())
                + "."
            )
        return self

    def _failures(self) -> list[str]:
        status = self.status.flatten()
        lines = []
        for code in status.unique().tolist():
            if code != Status.CONVERGED:
                where = (status == code).nonzero().flatten().tolist()
                shown = ", ".join(map(str, where[:10])) + (", ..." if len(where) > 10 else "")
                lines.append(f"{Status(code).message} (pair {shown})")
        return lines

    def __str__(self) -> str:
        """Return a table of the pairs, the first twenty if there are more."""
        n = self.length.numel()
        header = f"{int(self.converged.sum())} of {n} geodesics converged"
        rows = [
            f"{'pair':>5} {'status':<11} {'length':>11} {'straight':>9} {'bound':>9} "
            f"{'residual':>9} {'speed':>8} {'steps':>5}  start"
        ]
        for i in range(min(n, 20)):
            rows.append(self._row(i))
        if n > 20:
            rows.append(f"  ... and {n - 20} more")
        return "\n".join([header, *rows, *self._failures()])

    def _row(self, i: int) -> str:
        def at(values: Tensor) -> float:
            return float(values.flatten()[i])

        length = at(self.length)
        relative = 1 / length if length > 0 else float("nan")
        return (
            f"{i:>5} {Status(int(at(self.status))).name.lower():<11} {length:>11.5g} "
            f"{at(self.straight_length) * relative:>9.4f} {at(self.lower_bound) * relative:>9.4f} "
            f"{at(self.residual):>9.1e} {at(self.speed_variation):>8.1e} "
            f"{int(at(self.n_steps)):>5}  {self.starts[int(at(self.start))]}"
        )
