"""One self-contained page: no script, no network, readable on a phone, in light and in dark."""

import base64
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Table, Verdict

__all__ = ["Image", "page"]

Image = dict[str, bytes]
"""A picture as PNG files, by theme: `light` and `dark`."""

_SYMBOLS = {
    Verdict.HOLDS: "✓",
    Verdict.FAILS: "✗",
    Verdict.OPEN: "?",
    Verdict.ABSENT: "–",
    Verdict.REPRODUCED: "✓",
    Verdict.PARTLY: "◐",
    Verdict.NOT_REPRODUCED: "✗",
}


def page(
    title: str, lead: Sequence[str], chapters: Sequence[Chapter], images: dict[str, Image]
) -> str:
    """Render a report.

    Args:
        title: its title.
        lead: paragraphs that say what it is about.
        chapters: the story.
        images: the pictures of the chapters, by name.

    Returns:
        An HTML document that loads nothing.

    Example:
        >>> chapter = Chapter("a", "One < two", {}, ["Some `code`."])
        >>> "<h2>1. One &lt; two</h2>" in page("Report", ["Hello."], [chapter], {})
        True
    """
    style = files("pullback.pages").joinpath("page.css").read_text(encoding="utf-8")
    claims = [chapter for chapter in chapters if chapter.claim]
    body = [
        f"<header><h1>{_text(title)}</h1>",
        *(f'<p class="lead">{_text(paragraph)}</p>' for paragraph in lead),
        "</header>",
        _summary(claims),
        _contents(chapters),
        *(_chapter(n, chapter, images) for n, chapter in enumerate(chapters, 1)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    """Escape a text, and set what stands between back-ticks as code, between ** as strong."""
    coded = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", coded)


def _badge(verdict: Verdict) -> str:
    kind, symbol = verdict.name.lower().replace("_", "-"), _SYMBOLS[verdict]
    return (
        f'<span class="badge {kind}"><span aria-hidden="true">{symbol}</span> '
        f"{escape(verdict.label)}</span>"
    )


def _summary(claims: Sequence[Chapter]) -> str:
    items = [
        f'<li><a href="#{chapter.key}"><strong>{_text(chapter.claim)}</strong></a>'
        f"{_badge(chapter.verdict)}<p>{_text(chapter.outcome)}</p></li>"
        for chapter in claims
    ]
    return (
        '<section id="summary" aria-labelledby="summary-title"><h2 id="summary-title">Summary</h2>'
        f'<ul class="claims">{"".join(items)}</ul></section>'
    )


def _contents(chapters: Sequence[Chapter]) -> str:
    items = "".join(f'<li><a href="#{c.key}">{_text(c.title)}</a></li>' for c in chapters)
    return f'<nav aria-label="Contents"><h2>Contents</h2><ol>{items}</ol></nav>'


def _chapter(number: int, chapter: Chapter, images: dict[str, Image]) -> str:
    head = f"<h2>{number}. {_text(chapter.title)}</h2>"
    if chapter.claim:
        head += f'<p class="claim">{_text(chapter.claim)} {_badge(chapter.verdict)}</p>'
    if chapter.outcome and chapter.numbers.get("applies", True):
        head += f'<p class="outcome">{_text(chapter.outcome)}</p>'
    blocks = "\n".join(_block(block, images) for block in chapter.blocks)
    return f'<section id="{chapter.key}">{head}\n{blocks}</section>'


def _block(block: Block, images: dict[str, Image]) -> str:
    match block:
        case Picture():
            return _figure(block, images[block.name])
        case Pictures():
            inside = "".join(_figure(picture, images[picture.name]) for picture in block.pictures)
            return f'<div class="side-by-side">{inside}</div>'
        case Table():
            return _table(block)
    return f"<p>{_text(block)}</p>"


def _figure(picture: Picture, image: Image) -> str:
    light, dark = (_data_url(image[theme]) for theme in ("light", "dark"))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(picture.alt)}"></picture>'
        f"<figcaption>{_text(picture.caption)}</figcaption></figure>"
    )


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _table(table: Table) -> str:
    kind = "" if table.numeric else ' class="text"'
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    header = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in table.header)
    head = f"<thead><tr>{header}</tr></thead>" if any(table.header) else ""
    rows = "".join(
        f'<tr><th scope="row">{_text(first)}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in table.rows
    )
    size = " long" if len(table.rows) > 20 else ""
    return (
        f'<div class="scroll{size}" tabindex="0" role="group">'
        f"<table{kind}>{caption}{head}<tbody>{rows}</tbody></table></div>"
    )
