"""Which chapters a report tells."""

import pytest

from pullback.errors import InvalidParameterError
from pullback.pages.chapter import Chapter, Picture
from pullback.plots import bars
from pullback.report import RunFolder, build


def chapter(key, picture):
    drawn = Picture(picture, lambda: bars({"a": [1.0]}, ["b"]), "A bar.", "A bar.")
    return lambda study: Chapter(key, key.title(), {}, [drawn])


@pytest.mark.slow
def test_the_chapters_that_are_asked_for_are_told_in_their_order(run, tmp_path):
    chapters = {"first": chapter("two", "c"), "second": chapter("one", "d")}
    said = []
    told = build(RunFolder(run), chapters=chapters, out=RunFolder(tmp_path), say=said.append)
    assert [each.key for each in told] == ["two", "one", "reproduction"]
    assert [line.split("  ")[-1] for line in said] == ["first", "second", "figures"]
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"c", "d"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("second", "said"),
    [
        (chapter("one", "d"), "a key of its own, but got 'one' twice"),
        (chapter("two", "c"), "a picture of its own, but got 'c' twice"),
    ],
    ids=["key", "picture"],
)
def test_two_chapters_that_would_overwrite_each_other_are_refused(run, tmp_path, second, said):
    chapters = {"first": chapter("one", "c"), "second": second}
    with pytest.raises(InvalidParameterError, match=said):
        build(RunFolder(run), chapters=chapters, out=RunFolder(tmp_path))
    assert not (tmp_path / "report.html").exists()
