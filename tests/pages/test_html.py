import base64
from html.parser import HTMLParser

import pytest

from pullback.pages.chapter import Chapter, Picture, Pictures, Table, Verdict
from pullback.pages.html import page

VOID = {"meta", "img", "source", "br", "link"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what the page loads and its text."""

    def __init__(self, document):
        super().__init__()
        self.open, self.loads, self.ids, self.links, self.texts, self.images = (
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.feed(document)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [
            values[name] for name in ("src", "srcset", "data", "poster") if name in values
        ]
        if tag in ("script", "link", "iframe", "object"):
            self.loads.append(tag)
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values)
        self.ids += [values["id"]] if "id" in values else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def chapter(**changes):
    picture = Picture("dot", lambda: None, 'a "dot" <b>', "Look & see.")
    blocks = [
        "Text with `code`, 1 < 2.",
        picture,
        Pictures([picture]),
        Table(["", "F1"], [["<a>", "1"]], "cap"),
    ]
    return Chapter(
        "first",
        "A & B",
        {},
        blocks,
        claim="It is so.",
        verdict=Verdict.HOLDS,
        outcome="3 > 2.",
        **changes,
    )


IMAGES = {"dot": {"light": b"light png", "dark": b"dark png"}}


@pytest.fixture
def document():
    return page("Title <i>", ["Lead."], [chapter()], IMAGES)


def test_the_page_is_well_formed_and_loads_nothing(document):
    parsed = Page(document)
    assert parsed.loads
    assert all(load.startswith("data:image/png;base64,") for load in parsed.loads)
    assert "http" not in document
    assert "@import" not in document
    assert "url(" not in document


def test_every_link_leads_somewhere(document):
    parsed = Page(document)
    assert parsed.links
    assert all(link[1:] in parsed.ids for link in parsed.links)
    assert len(set(parsed.ids)) == len(parsed.ids)


def test_texts_are_escaped_and_code_is_set_as_code(document):
    text = "".join(Page(document).texts)
    for words in ("Title <i>", "A & B", "1 < 2.", "<a>", "Look & see.", "3 > 2."):
        assert words in text
    assert "<code>code</code>" in document


def test_pictures_have_words_and_follow_the_theme(document):
    (image, _) = Page(document).images
    assert image["alt"] == 'a "dot" <b>'
    assert image["src"].endswith(base64.b64encode(b"light png").decode())
    assert f'srcset="data:image/png;base64,{base64.b64encode(b"dark png").decode()}"' in document


def test_a_verdict_is_written_not_only_coloured(document):
    assert "holds" in "".join(Page(document).texts)
    absent = Chapter.absent("x", "X", "Claim.", "There are no labels.")
    text = "".join(Page(page("T", [], [absent], {})).texts)
    assert "not applicable" in text
    assert text.count("There are no labels.") == 2  # in the summary and in the chapter


def test_a_narrow_screen_and_both_themes_are_provided_for(document):
    assert 'name="viewport" content="width=device-width' in document
    assert "prefers-color-scheme: dark" in document
