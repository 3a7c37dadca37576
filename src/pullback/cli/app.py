"""The command line. Nothing heavy is imported before a command runs, so that `--help` is quick."""

from pathlib import Path
from typing import Annotated

import typer

from pullback.cli import explore, latent, populations
from pullback.cli.failures import failures_as_paragraphs, remember_debug
from pullback.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    name="pullback",
    help="The true geometry of a generative model's latent space.",
    epilog="Exit codes: 0 done, 1 failed or interrupted, 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write the run to.")]
LatentDim = Annotated[int, typer.Option(min=1, help="Dimension of the latent space.")]
Epochs = Annotated[int, typer.Option(min=1, help="Most epochs of each stage of training.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps, ...")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the run in DIR, and begin anew.")
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show tracebacks.", callback=remember_debug, is_eager=True),
]


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"pullback {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
    debug: Debug = False,
) -> None:
    del version, debug  # their callbacks have done what there is to do


@app.command()
def demo(
    out: Out,
    digits: Annotated[str, typer.Option(help="Which digits of MNIST.", metavar="0,1,7")] = "0,1,7",
    latent_dim: LatentDim = 2,
    epochs: Epochs = 300,
    seed: Seed = 0,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Tell the story of the paper on real digits: train, measure, write DIR/report.html.

    The same command goes on with a run that was interrupted.
    """
    del debug
    from pullback.cli.commands import run_demo

    run_demo(
        out,
        digits=digits,
        overwrite=overwrite,
        latent_dim=latent_dim,
        epochs=epochs,
        seed=seed,
        device=device,
    )


@app.command()
def train(
    data: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="Your data: a .npz, .npy, .csv or .parquet file."
        ),
    ],
    out: Out,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column or array that holds the labels.")
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="auto|none|standard",
            help="auto standardises the features unless all data lie in [0, 1].",
        ),
    ] = "auto",
    image_shape: Annotated[
        str | None,
        typer.Option(metavar="HEIGHTxWIDTH", help="Shape of an image, if a sample is one."),
    ] = None,
    likelihood: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the data are, given their codes: normal, student_t, bernoulli, poisson, ...",
        ),
    ] = "normal",
    likelihood_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="What the likelihood takes, such as df=3 for student_t. May be given repeatedly.",
        ),
    ] = None,
    latent_dim: LatentDim = 2,
    epochs: Epochs = 300,
    seed: Seed = 0,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Train on your own data, measure the latent space, write DIR/report.html.

    Labels are optional: they are never trained on, only compared with. The same command goes on
    with a run that was interrupted.
    """
    del debug
    from pullback.cli.commands import run_train

    run_train(
        data,
        out,
        overwrite=overwrite,
        image_shape=image_shape,
        likelihood=likelihood,
        likelihood_options=likelihood_option or (),
        label=label,
        scale=scale,
        latent_dim=latent_dim,
        epochs=epochs,
        seed=seed,
        device=device,
    )


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR2",
            help="Another folder to write to, if the run can only be read. Default: DIR",
            show_default=False,
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Measure a trained run again, and write its report again."""
    del debug
    from pullback.cli.commands import run_report

    run_report(folder, out)


@app.command()
def reproduce(
    claims: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLAIM ...]", help="Which claims; all if none is named."),
    ] = None,
    out: Out = Path("ledger"),
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds measure each claim.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="A smoke run: small settings, no verdict that counts.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 1,
    mnist: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|openml",
            help="All of MNIST: a folder of its four files, a .npz, or openml to download it. "
            "Default: the 500 images of each digit that come along",
            show_default=False,
        ),
    ] = None,
    names: Annotated[bool, typer.Option("--list", help="Say which claims there are.")] = False,
    debug: Debug = False,
) -> None:
    """Measure the claims of the papers again, and write the ledger DIR/ledger.html.

    What was measured before is not measured again, so the same command goes on with a run that was
    interrupted.
    """
    del debug
    from pullback.cli.ledger import list_claims, run_reproduce

    if names:
        list_claims()
    else:
        run_reproduce(claims or (), out, n_seeds=seeds, quick=quick, n_jobs=jobs, source=mnist)


for command in (*latent.COMMANDS, *populations.COMMANDS, *explore.COMMANDS):
    app.command()(command)


def main() -> None:
    """Run the command line, and end the process with its exit code.

    Example:
        >>> from typer.testing import CliRunner
        >>> CliRunner().invoke(app, ["--version"]).exit_code
        0
    """
    with failures_as_paragraphs():
        app()
