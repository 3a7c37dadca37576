"""The commands that measure the geometry of a trained run. Nothing heavy is imported up here."""

from typing import Annotated

import typer

from pullback.cli.options import Debug, Most, Out, Part, Run, Seed, answer

__all__ = ["COMMANDS"]


def geodesics(
    run: Run,
    pairs: Annotated[int, typer.Option(min=1, help="Random pairs of samples.")] = 100,
    between: Annotated[
        list[str] | None,
        typer.Option(metavar="I,J", help="A pair of samples by their numbers; may be repeated."),
    ] = None,
    part: Part = "held-out",
    n: Most = 1000,
    out: Out = None,
    seed: Seed = None,
    debug: Debug = False,
) -> None:
    """Find geodesics between samples, each with its certificate.

    Example: pullback geodesics run --pairs 200 --out paths.csv
    """
    del debug
    from pullback.cli.analyses.geodesics import find_geodesics

    answer(
        "geodesics",
        run,
        out,
        lambda subject: find_geodesics(subject, n_pairs=pairs, between=between or ()),
        part=part,
        n=None if between else n,
        seed=seed,
    )


def distances(
    run: Run,
    method: Annotated[
        str,
        typer.Option(metavar="auto|table|newton|graph", help="How: see Manifold.pairwise."),
    ] = "auto",
    part: Part = "held-out",
    n: Most = 300,
    out: Out = None,
    seed: Seed = None,
    debug: Debug = False,
) -> None:
    """Measure all geodesic distances between samples: a square table.

    Example: pullback distances run --n 200 --out distances.parquet
    """
    del debug
    from pullback.cli.analyses.distances import measure_distances

    answer(
        "distances",
        run,
        out,
        lambda subject: measure_distances(subject, method=method),
        part=part,
        n=n,
        seed=seed,
    )


def interpolate(
    run: Run,
    sample_a: Annotated[int, typer.Argument(metavar="SAMPLE", min=0, help="A sample's number.")],
    sample_b: Annotated[int, typer.Argument(metavar="SAMPLE", min=0, help="Another one's.")],
    steps: Annotated[int, typer.Option(min=2, help="Points along each curve.")] = 10,
    part: Part = "all",
    out: Out = None,
    debug: Debug = False,
) -> None:
    """Go from one sample to another, along the geodesic and along the straight line.

    Example: pullback interpolate run 3 17 --steps 12
    """
    del debug
    from pullback.cli.analyses.interpolation import interpolate as follow

    answer(
        "interpolate",
        run,
        out,
        lambda subject: follow(subject, sample_a, sample_b, n_steps=steps),
        part=part,
    )


def curvature(
    run: Run,
    resolution: Annotated[
        int, typer.Option(min=2, max=2000, help="Points along each axis of the plane.")
    ] = 100,
    part: Part = "held-out",
    n: Most = 300,
    out: Out = None,
    seed: Seed = None,
    debug: Debug = False,
) -> None:
    """Measure the curvature on a grid of the latent plane; in more dimensions at the samples.

    Example: pullback curvature run --resolution 150 --out curvature.parquet
    """
    del debug
    from pullback.cli.analyses.curvature import measure_curvature

    answer(
        "curvature",
        run,
        out,
        lambda subject: measure_curvature(subject, resolution=resolution),
        part=part,
        n=n,
        seed=seed,
    )


COMMANDS = (geodesics, distances, interpolate, curvature)
"""What may be measured of a trained run."""
