"""A mixture of LANDs on codes of real digits: what it costs, and whether it beats Gaussians.

    python benchmarks/land.py [--points 1000] [--components 2] [--samples 500]

fits the mixture to codes of the common problem, over a table of its metric, on one thread, and
prints CPU seconds, geodesics and turns, and the negative log-likelihood of held-out codes per code,
in the unit of the latent coordinates, beside that of a Gaussian mixture fitted to the same codes.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from common_problem import CommonProblem
from sklearn.mixture import GaussianMixture

from pullback import Manifold
from pullback.errors import ConvergenceWarning
from pullback.statistics import LAND

MARGIN = 1.0  # of the table: draws three standard deviations beyond the means still lie on it


def main() -> None:
    """Fit both mixtures, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--components", type=int, default=2)
    parser.add_argument("--samples", type=int, default=500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    problem = CommonProblem()
    order = torch.randperm(len(problem.codes), generator=torch.Generator().manual_seed(0))
    codes = problem.codes[order]
    train, test = codes[: arguments.points], codes[arguments.points :]

    start = time.process_time()
    manifold = Manifold(problem.decoder()).tabulated(codes, margin=MARGIN)
    print(f"table: {time.process_time() - start:.1f} CPU s, {manifold.metric.n_cells} cells")

    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        land = LAND(
            manifold, arguments.components, n_samples=arguments.samples, random_state=0
        ).fit(train)
    seconds = time.process_time() - start
    print(
        f"LAND: {seconds:.1f} CPU s, {land.n_iter_} turns, converged: {land.converged_}, "
        f"{land.n_geodesics_} geodesics searched, {land.n_followed_} followed"
    )
    for warning in caught:
        print(f"  {warning.message}")
    print("history", " ".join(f"{value:.4f}" for value in land.log_likelihood_history_))
    print("draws renewed after", land.renewed_)
    print("weights", land.weights_.round(3), "means", land.means_.numpy().round(2).tolist())
    print("relative error of C", land.normalizer_standard_error_ / land.normalizer_)
    print("draws lost", land.n_lost_, "beyond the cut locus", land.n_beyond_)

    gaussian = GaussianMixture(arguments.components, n_init=5, random_state=0).fit(train.numpy())
    for name, part in (("train", train), ("held out", test)):
        own = -land.log_density(part, measure="lebesgue")
        other = -gaussian.score_samples(part.numpy())
        error = np.std(own - other) / len(part) ** 0.5
        gap = own - other
        print(
            f"NLL per code, {name}: LAND {own.mean():.4f} "
            f"(+- {land.log_likelihood_standard_error_:.4f} for C), "
            f"Gaussian mixture {other.mean():.4f}, difference {gap.mean():.4f} +- {error:.4f}"
        )


if __name__ == "__main__":
    main()
