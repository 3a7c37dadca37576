"""The commands that ask what many codes form together. Nothing heavy is imported up here."""

from typing import Annotated

import typer

from pullback.cli.options import Debug, Most, Out, Part, Run, Seed, answer

__all__ = ["COMMANDS"]

Components = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Components of the mixture. Default: the number of classes, 1 without labels",
        show_default=False,
    ),
]

Turns = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Most turns of the fit of land. Default: 100 over a table, 10 without one",
        show_default=False,
    ),
]


def cluster(
    run: Run,
    n_clusters: Annotated[
        int | None,
        typer.Option(min=1, help="Clusters. Default: the number of classes", show_default=False),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="k-means|k-medoids|hierarchical|spectral|dbscan",
            help="How; all by geodesic distance.",
        ),
    ] = "k-means",
    eps: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Of dbscan: the distance up to which two samples are neighbours. Default: one "
            "within which nine tenths of the samples have five",
            show_default=False,
        ),
    ] = None,
    part: Part = "held-out",
    n: Most = 500,
    out: Out = None,
    seed: Seed = None,
    debug: Debug = False,
) -> None:
    """Cluster samples by geodesic distance, and compare the clusters with the labels.

    Example: pullback cluster run --n-clusters 3 --method k-medoids
    """
    del debug
    from pullback.cli.analyses.clustering import find_clusters

    answer(
        "cluster",
        run,
        out,
        lambda subject: find_clusters(subject, n_clusters, method=method, eps=eps),
        part=part,
        n=n,
        seed=seed,
    )


def density(
    run: Run,
    model: Annotated[
        str,
        typer.Option(
            metavar="land|kde",
            help="A mixture of locally adaptive normal distributions, or kernels of geodesic "
            "distance.",
        ),
    ] = "land",
    components: Components = None,
    max_iter: Turns = None,
    n: Annotated[
        int, typer.Option("--n", min=2, help="Most samples to fit to, and to evaluate at.")
    ] = 500,
    out: Out = None,
    seed: Seed = None,
    debug: Debug = False,
) -> None:
    """Fit a density to training samples, and evaluate it at held-out ones.

    Example: pullback density run --model land --components 3
    """
    del debug
    from pullback.cli.analyses.density import fit_density

    answer(
        "density",
        run,
        out,
        lambda subject: fit_density(
            subject, model=model, n_components=components, n=n, max_iter=max_iter
        ),
        n=n,
        seed=seed,
    )


def sample(
    run: Run,
    method: Annotated[
        str,
        typer.Option(
            metavar="support|land|kde|volume|langevin|hamiltonian|brownian|heat-kernel",
            help="support: near training codes, where the model knows; land, kde: from the "
            "density; volume (d <= 3), langevin, hamiltonian: uniform by volume on the support; "
            "brownian: random walks; heat-kernel: their ends, all from one sample.",
        ),
    ] = "support",
    n: Annotated[int, typer.Option("--n", min=1, help="Draws, or walks.")] = 100,
    decode: Annotated[
        bool, typer.Option("--decode", help="Add the decoded features to the table.")
    ] = False,
    components: Components = None,
    max_iter: Turns = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a walk or a chain.")] = 100,
    step_size: Annotated[
        float | None,
        typer.Option(
            help="Length of a step, in the metric. Default: half of what lies between neighbours",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        int | None,
        typer.Option(
            metavar="SAMPLE",
            min=0,
            help="The number of the sample that walks start from. Default: at random",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
    seed: Seed = None,
    debug: Debug = False,
) -> None:
    """Draw new codes, and decode them.

    Example: pullback sample run --method land --n 50 --decode --out new.csv
    """
    del debug
    from pullback.cli.analyses.sampling import Fit, Walk, draw_samples

    walk, fit = Walk(steps, step_size, start), Fit(components, max_iter)
    answer(
        "sample",
        run,
        out,
        lambda subject: draw_samples(
            subject, n, method=method, decode=decode, fitted=fit, walk=walk
        ),
        part="all",
        seed=seed,
    )


COMMANDS = (cluster, density, sample)
"""What may be asked of the codes of a trained run."""
