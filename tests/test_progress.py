"""Bars move on a terminal, and leave a log file readable."""

import io
import sys

import pytest

from pullback import progress
from pullback.progress import heard, progress_bar, shown_as_bars, tell


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(n=50):
    with progress_bar(total=n, desc="mean") as bar:
        for k in range(n):
            bar.set_postfix({"elbo": f"{k}"}, refresh=False)
            bar.update()


def test_a_file_gets_nothing_of_short_work(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    run()
    assert sys.stderr.getvalue() == ""


def test_a_file_gets_whole_lines_of_long_work(monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_APART", 0.0)  # as if each step took long
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    run()
    *lines, end = sys.stderr.getvalue().split("\n")
    assert end == ""
    assert 1 < len(lines) <= 51
    assert all(line.startswith("mean: ") and "so far" in line for line in lines)
    assert "\r" not in sys.stderr.getvalue()


@pytest.mark.parametrize("disable", [True, False])
def test_a_terminal_has_a_bar_that_moves(monkeypatch, disable):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(progress_bar(range(3), "steps", disable=disable)) == [0, 1, 2]
    assert ("\r" in sys.stderr.getvalue()) is not disable


def test_without_a_standard_error_there_is_no_bar_and_no_failure(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress_bar(range(3))) == [0, 1, 2]


def test_work_is_heard_inside_of_the_block_only():
    told = []
    with heard(lambda *words: told.append(words)):
        tell("table", 1, 2)
    tell("table", 2, 2)
    assert told == [("table", 1, 2)]


def test_work_moves_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with shown_as_bars():
        for k in range(5):
            tell("table", k, 4)
    said = sys.stderr.getvalue()
    assert "table:" in said
    assert "0/4" in said
