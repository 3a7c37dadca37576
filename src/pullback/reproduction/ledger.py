"""The ledger: every claim measured by several seeds, kept, judged, and written down."""

import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from pullback.errors import InvalidParameterError, PullbackError, check_integer
from pullback.files import atomic_write, check_writable
from pullback.geodesics.tally import Tally, counted
from pullback.pages import Verdict
from pullback.reproduction.claim import Claim, Numbers
from pullback.reproduction.judgement import Finding, judge, verdict_of
from pullback.reproduction.lab import Lab, digest_of
from pullback.version import __version__

__all__ = ["Entry", "measure_all", "select"]

# What the file of a measurement holds: 2, the geodesics that it took too. Files of another number
# are measured anew.
_FORMAT = 2


@dataclass(frozen=True)
class Entry:
    """One claim in the ledger.

    Attributes:
        claim: the claim.
        settings: the arguments that it was measured with.
        runs: the table of each seed that was measured.
        seconds: how long each took, all processes beside each other.
        failures: what went wrong, by seed, in words.
        findings: what they say of each criterion.
        costs: how many geodesics each seed took.

    Example:
        >>> claim = Claim("one", "One is one.", "", "", "", lambda lab, seed: {}, [])
        >>> Entry(claim, {}, {}, {}, {0: "It broke."}, []).verdict.label
        'undecided'
    """

    claim: Claim
    settings: Mapping[str, Any]
    runs: Mapping[int, Numbers]
    seconds: Mapping[int, float]
    failures: Mapping[int, str]
    findings: Sequence[Finding]
    costs: Mapping[int, Tally] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Whether the claim is reproduced; undecided where a seed failed."""
        return Verdict.OPEN if self.failures else verdict_of(self.findings)


def select(claims: Mapping[str, Claim], keys: Sequence[str]) -> list[Claim]:
    """Return claims by their keys, in the order of the ledger; all for no key.

    Raises:
        InvalidParameterError: there is no such claim.

    Example:
        >>> select({}, ["flat-earth"])
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `CLAIM` must be ...
    """
    for key in keys:
        if key not in claims:
            allowed = f"one of {', '.join(claims)}"
            raise InvalidParameterError("CLAIM", allowed, repr(key))
    return [claim for key, claim in claims.items() if key in keys or not keys]


def measure_all(
    claims: Sequence[Claim],
    folder: Path,
    *,
    n_seeds: int = 5,
    quick: bool = False,
    n_jobs: int = 1,
    source: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Entry]:
    """Measure claims by seeds 0, ..., n - 1, or read what was measured before.

    What one seed measured is kept in a file of its own as soon as it is there, named after the
    claim, its code, its settings, the data and the version, so that a run that was killed goes on
    where it was, and nothing that has changed is taken for what it was.

    Args:
        claims: the claims.
        folder: where results and models are kept.
        n_seeds: how many seeds.
        quick: whether it is a smoke run, with the small settings of the claims.
        n_jobs: processes at once.
        source: where the digits come from, see `Lab`.
        say: takes a line for each measurement that is done.

    Returns:
        The entries, in the order of the claims.

    Raises:
        InvalidParameterError: a number is below 1.
        StorageError: the folder cannot be written, or the source not read.

    Example:
        >>> measure_all([], Path("nowhere"))
        []
    """
    seeds = range(check_integer("n_seeds", n_seeds, 1))
    check_integer("n_jobs", n_jobs, 1)
    check_writable(folder / "results.json")
    lab = Lab.over(folder, source)
    tasks = [_Task(claim, seed, quick, lab) for seed in seeds for claim in claims]
    answers: dict[tuple[str, int], dict[str, Any]] = {}
    running = Parallel(n_jobs, return_as="generator_unordered")(delayed(_run)(t) for t in tasks)
    for done, (task, answer) in enumerate(running, 1):
        answers[task.claim.key, task.seed] = answer
        state = "failed" if "failure" in answer else f"{answer['seconds']:.1f} s"
        say(f"{done:4d} of {len(tasks)}  {task.claim.key}, seed {task.seed}: {state}")
    return [_entry(claim, seeds, quick, answers) for claim in claims]


@dataclass(frozen=True)
class _Task:
    """One claim to be measured by one seed."""

    claim: Claim
    seed: int
    quick: bool
    lab: Lab

    @property
    def file(self) -> Path:
        """Where its answer is kept."""
        settings = self.claim.settings_of(quick=self.quick)
        code = inspect.getsource(inspect.getmodule(self.claim.measure) or type(self))
        name = digest_of(_FORMAT, settings, code, self.lab.data_name, __version__)
        return self.lab.folder / "runs" / self.claim.key / f"{self.seed}-{name}.json"


def _run(task: _Task) -> tuple[_Task, dict[str, Any]]:
    """Answer a task: from its file, or by measuring."""
    kept = _read(task.file)
    if kept is not None:
        return task, kept
    threads = torch.get_num_threads()
    # More threads wait for each other, and sums of several threads round otherwise.
    torch.set_num_threads(1)
    start = time.perf_counter()
    try:
        settings = task.claim.settings_of(quick=task.quick)
        with counted() as tally:
            numbers = task.claim.measure(task.lab, task.seed, **settings)
    except PullbackError as error:
        return task, {"failure": f"{type(error).__name__}: {error}"}
    finally:
        torch.set_num_threads(threads)
    answer = {
        "claim": task.claim.key,
        "seed": task.seed,
        "numbers": {row: dict(columns) for row, columns in numbers.items()},
        "cost": asdict(tally),
        "seconds": time.perf_counter() - start,
    }
    atomic_write(task.file, json.dumps({**answer, "digest": digest_of(answer)}, indent=1).encode())
    return task, answer


def _read(file: Path) -> dict[str, Any] | None:
    """Return what a file keeps, or None if there is none or not all of it."""
    try:
        answer: dict[str, Any] = json.loads(file.read_bytes())
        return answer if answer.pop("digest") == digest_of(answer) else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _entry(
    claim: Claim, seeds: range, quick: bool, answers: Mapping[tuple[str, int], dict[str, Any]]
) -> Entry:
    by_seed = {seed: answers[claim.key, seed] for seed in seeds}
    runs = {seed: one["numbers"] for seed, one in by_seed.items() if "numbers" in one}
    return Entry(
        claim,
        claim.settings_of(quick=quick),
        runs,
        {seed: by_seed[seed]["seconds"] for seed in runs},
        {seed: one["failure"] for seed, one in by_seed.items() if "failure" in one},
        judge(claim, list(runs.values())) if runs else [],
        {seed: Tally(**by_seed[seed]["cost"]) for seed in runs},
    )
