"""Which tests find which faults: each fault of a list is put into a copy of the package, by itself.

    python benchmarks/seeded_faults.py                      # all of them: hours on one core
    python benchmarks/seeded_faults.py --only tunnels       # those with this in their name or file
    python benchmarks/seeded_faults.py --write docs/testing.md

The faults are in `seeded_faults.toml`: a file of the package, a text that stands in it once, what
becomes of it, and the tests that are concerned. Of those the fast ones run first, until one fails;
if none does, the slow ones. Nothing is changed in place. What was found is kept in
`data/seeded_faults.json`, one column for each state of the tests that was asked; `--write` makes
the table of it, between two marks in a page.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
FAULTS = ROOT / "benchmarks" / "seeded_faults.toml"
FOUND = ROOT / "benchmarks" / "data" / "seeded_faults.json"
MARKS = "<!-- seeded faults -->", "<!-- end of seeded faults -->"
NOTHING = "nothing"
OUTPUT, SPENT = "output.txt", "spent.txt"  # what a run of tests says, and its time
CPU_SECONDS = 900  # for one run of tests: a fault may make them run for ever
KINDS = {
    "fast": "not slow and not thorough and not exhaustive",
    "slow": "slow and not thorough and not exhaustive",
}
ONE_THREAD = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1")


class Fault(NamedTuple):
    """A wrong line.

    Attributes:
        name: what is wrong, in words.
        file: the file of the package.
        old: what stands in it, once.
        new: what stands there instead.
        tests: files and folders of `tests/` that are concerned.
    """

    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    def seeded(self, package: Path) -> str:
        """Return the file's text with the fault in it."""
        text = (package / self.file).read_text()
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name!r}: {self.old!r} stands {count} times in {self.file}.")
        return text.replace(self.old, self.new)


class Finding(NamedTuple):
    """What was seen of a fault: the first test that fails, its kind, and the seconds of CPU."""

    by: str
    kind: str
    seconds: float | None


def read_faults(only: str = "") -> list[Fault]:
    """Read the list, or those of it with a text in their name or file."""
    faults = [Fault(**entry) for entry in tomllib.loads(FAULTS.read_text())["fault"]]
    return [fault for fault in faults if only in fault.name or only in fault.file]


class Copy:
    """A copy of the tree, into which one fault after the other is put."""

    def __init__(self, folder: Path, tests: Path, but: list[str]) -> None:
        ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for name in ("benchmarks", "docs", "examples", "src"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copytree(tests, folder / "tests", ignore=ignored)
        for path in filter(Path.is_file, ROOT.iterdir()):
            shutil.copy2(path, folder)
        self.folder, self.package = folder, folder / "src" / "pullback"
        self.but = [f"--deselect=tests/{name}" for name in but]

    def look_for(self, fault: Fault, kinds: list[str], known: Finding | None = None) -> Finding:
        """Put a fault in, run its tests until one fails, and take it out.

        A test that is known to have found it is asked first.
        """
        path = self.package / fault.file
        right, seconds = path.read_text(), 0.0
        path.write_text(fault.seeded(self.package))
        first = (
            [[f"tests/{known.by.split('[')[0]}"]]
            if known is not None and self._has(known.by)
            else []
        )
        asked = [(kind, paths) for kind in kinds for paths in (*first, self._paths_of(fault))]
        try:
            for kind, paths in asked:
                by, spent = self._first_failure(fault.name, paths, KINDS[kind])
                seconds += spent
                if by:
                    return Finding(by, kind, round(seconds, 1))
        finally:
            path.write_text(right)
        return Finding(NOTHING, "", round(seconds, 1))

    def _has(self, test: str) -> bool:
        if "::" not in test:
            return False  # nothing found it, or it had no end
        file, *_, name = test.split("[")[0].split("::")
        path = self.folder / "tests" / file
        return path.is_file() and f"def {name}(" in path.read_text()

    def _paths_of(self, fault: Fault) -> list[str]:
        there = [f"tests/{path}" for path in fault.tests if (self.folder / "tests" / path).exists()]
        # The examples come last: by itself, pytest would import the file beside the package.
        return [*there, f"src/pullback/{fault.file}"]

    def _first_failure(self, name: str, paths: list[str], chosen: str) -> tuple[str, float]:
        """Return the first test that fails, or nothing, and the seconds of CPU until then."""
        words = ["-m", chosen, *self.but, *paths]
        (self.folder / SPENT).write_text(str(CPU_SECONDS))
        process = PROCESSES.Process(target=_run_tests, args=(self.folder, words))
        process.start()
        process.join()
        spent = float((self.folder / SPENT).read_text())
        if process.exitcode in (0, 5):  # all pass, or there are none
            return "", spent
        if process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"no end after {CPU_SECONDS} s of CPU", spent
        output = (self.folder / OUTPUT).read_text()
        by = _name_of_failure(output)
        if not by:
            raise RuntimeError(f"The tests of {name!r} could not be run:\n{output}")
        return by, spent


# What all tests import is loaded once, by a process from which the others are forked.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["matplotlib.pyplot", "pandas", "scipy.stats", "sklearn.neighbors", "torch._dynamo"]
)


def _run_tests(folder: Path, words: list[str]) -> None:
    """Run tests in a copy of the tree, in this process, and end it."""
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    os.chdir(folder)
    with (folder / OUTPUT).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(folder), str(folder / "src")]
    os.environ["PYTHONPATH"] = str(folder / "src")
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *words])
    (folder / SPENT).write_text(str(sum(os.times()[:4])))
    sys.exit(code)


def _name_of_failure(output: str) -> str:
    """Read the first failure from pytest's summary, without its path's first part."""
    for line in output.splitlines():
        if line.startswith(("FAILED ", "ERROR ")):
            return line.split(" ", 1)[1].split(" - ")[0].removeprefix("tests/")
    return ""


def look_for_all(
    faults: list[Fault],
    *,
    tests: Path,
    but: list[str],
    kinds: list[str],
    jobs: int,
    known: dict[str, Finding],
    keep: Callable[[Fault, Finding], None],
) -> None:
    """Look for faults, as many at once as there are jobs, and keep each finding."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        copies = [Copy(Path(folder) / str(job), tests, but) for job in range(jobs)]

        def look(fault: Fault) -> None:
            copy = copies.pop()
            try:
                keep(fault, copy.look_for(fault, kinds, known.get(fault.name)))
            finally:
                copies.append(copy)

        list(pool.map(look, faults))


def table(faults: list[Fault], found: dict[str, dict[str, list[Any]]]) -> str:
    """Return the table of all columns that there are, and how many faults each found."""
    columns = list(found)
    lines = [
        f"| fault | in | {' | '.join(f'found by, {column}' for column in columns)} |",
        "|---|---|" + "---|" * len(columns),
    ]
    for fault in faults:
        cells = [_cell(found[column].get(fault.name)) for column in columns]
        lines.append(f"| {fault.name} | `{fault.file}` | {' | '.join(cells)} |")
    counts = [_count(faults, found[column]) for column in columns]
    told = "; ".join(f"{column}, {count}" for column, count in zip(columns, counts, strict=True))
    return f"Found: {told}.\n\n" + "\n".join(lines)


def _cell(finding: list[Any] | None) -> str:
    if finding is None:
        return "-"
    by, kind, seconds = finding
    told = [] if seconds is None else [f"{seconds:.0f} s"]  # None: it was not measured by CPU
    told += ["slow"] if kind == "slow" else []
    note = f" ({', '.join(told)})" if told else ""
    found = "**nothing**" if by == NOTHING else f"`{by.split('[')[0].replace('|', '/')}`"
    return found + note


def _count(faults: list[Fault], column: dict[str, list[Any]]) -> str:
    known = [column[fault.name] for fault in faults if fault.name in column]
    fast = sum(kind == "fast" for _, kind, _ in known)
    slow = sum(kind == "slow" for _, kind, _ in known)
    return f"{fast} by fast tests and {slow} by slow ones, of {len(known)}"


def write_into(page: Path, text: str) -> None:
    """Put the table between its marks in a page."""
    before, rest = page.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}")


def main() -> None:
    """Look for faults, keep what was found, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", default="", help="those with this in their name or file")
    parser.add_argument("--tests", choices=("all", "fast"), default="all", help="which run")
    parser.add_argument("--tests-from", type=Path, default=ROOT / "tests", help="another folder")
    parser.add_argument("--but", nargs="*", default=[], help="tests that fail without any fault")
    parser.add_argument("--column", default="now", help="what the state of the tests is called")
    parser.add_argument("--missing", action="store_true", help="those the column lacks only")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--write", type=Path, help="make the table only, in this page")
    given = parser.parse_args()
    faults = read_faults(given.only)
    found = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    if given.write:
        return write_into(given.write, table(faults, found))
    for fault in faults:  # all at once, so that nothing is asked of a list that has gone stale
        fault.seeded(ROOT / "src" / "pullback")
    column = found.setdefault(given.column, {})
    if given.missing:
        faults = [fault for fault in faults if fault.name not in column]

    def keep(fault: Fault, finding: Finding) -> None:
        now = json.loads(FOUND.read_text()) if FOUND.exists() else {}  # another run may write too
        column[fault.name] = now.setdefault(given.column, {})[fault.name] = list(finding)
        FOUND.write_text(json.dumps(now, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        print(f"{finding.seconds:7.1f} s  {fault.name}: {finding.by}", flush=True)

    os.environ.update(ONE_THREAD)
    kinds = ["fast", "slow"] if given.tests == "all" else ["fast"]
    options = {"tests": given.tests_from, "but": given.but, "kinds": kinds, "jobs": given.jobs}
    known = {name: Finding(*finding) for other in found.values() for name, finding in other.items()}
    look_for_all(faults, **options, known=known, keep=keep)
    return print("\n" + table(faults, {given.column: column}))


if __name__ == "__main__":
    main()
