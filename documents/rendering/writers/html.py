"""Blocks as HTML: a whole page that loads nothing, and a fragment with class names for pages of the console.

The page works under `Content-Security-Policy: sandbox; default-src 'none'; style-src 'unsafe-inline'`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from pathlib import Path

from documents.rendering.chapters import Book, Chapter
from documents.rendering.content.tree import (
    Block,
    CodeBlock,
    Field,
    Fields,
    Heading,
    Leaf,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
    Run,
    Table,
    headings_of,
    shown_in_contents,
    text_of,
)

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_LEAST_HEADINGS = 3  # of a contents list
_TAGS = (("bold", "strong"), ("italic", "em"), ("strike", "s"), ("code", "code"))


def language_tag(language: str | None) -> str:
    """Return a BCP 47 tag that is well formed; empty for others."""
    return language if language and _LANGUAGE.fullmatch(language) else ""


def page(book: Book) -> str:
    """Return a whole page."""
    language = language_tag(book.language or book.chapters[0].language if book.chapters else book.language)
    return "".join(
        [
            f'<!DOCTYPE html>\n<html{_attribute("lang", language)}>\n<head>\n<meta charset="utf-8">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="referrer" content="no-referrer">\n',
            f"<title>{escape(book.title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n",
            *_page_body(book),
            "</main>\n</body>\n</html>\n",
        ]
    )


def fragment(chapter: Chapter, *, shift: int = 1) -> str:
    """Return the content of one document for a page of the console: no title, no styles, only class names.

    Args:
        chapter: the document.
        shift: by how many levels its headings are lower than in the tree; 1 makes the highest `h2`.
    """
    inner = "".join(_block(block, shift) for block in chapter.blocks)
    return f'<div class="doc-content"{_attribute("lang", language_tag(chapter.language))}>\n{inner}</div>\n'


def contents(chapter: Chapter) -> str:
    """Return the contents list of one document as a nested list; empty when it has less than three headings."""
    headings = [
        (each.level, text_of(each.text), each.anchor) for each in shown_in_contents(headings_of(chapter.blocks))
    ]
    return _contents(headings)


def _page_body(book: Book) -> Iterator[str]:
    if not book.is_execution:
        for chapter in book.chapters:
            yield f'<h1 id="{escape(chapter.anchor)}" dir="auto">{escape(chapter.title)}</h1>\n'
            yield contents(chapter)
            yield fragment(chapter)
            yield _footer(chapter.provenance)
        return
    yield f'<h1 dir="auto">{escape(book.title)}</h1>\n'
    yield "".join(_fields([Field(name, (Run(value),)) for name, value in book.facts]))
    yield _contents(list(_entries(book)))
    for chapter in book.chapters:
        yield f'<section class="doc-chapter">\n<h2 id="{escape(chapter.anchor)}" dir="auto">'
        yield f"{escape(chapter.title)}</h2>\n"
        yield fragment(chapter, shift=2)
        yield f"{_footer(chapter.provenance)}</section>\n"
    yield _footer(book.provenance)


def _entries(book: Book) -> Iterator[tuple[int, str, str]]:
    for chapter in book.chapters:
        yield 1, chapter.title, chapter.anchor
        if len(book.chapters) <= 30:
            yield from ((2, text_of(each.text), each.anchor) for each in headings_of(chapter.blocks) if each.level == 1)


def _contents(entries: Sequence[tuple[int, str, str]]) -> str:
    if len(entries) < _LEAST_HEADINGS:
        return ""
    parts = ['<nav class="doc-contents" aria-label="Contents">\n<p>Contents</p>\n']
    depth = 0
    for level, text, anchor in entries:
        target = max(1, min(level, depth + 1))
        parts += ["</li>\n</ul>\n"] * max(0, depth - target)
        parts.append("<ul>\n" if target > depth else "</li>\n")
        depth = target
        parts.append(f'<li><a href="#{escape(anchor)}" dir="auto">{escape(text)}</a>')
    return "".join([*parts, *["</li>\n</ul>\n"] * depth, "</nav>\n"])


def _footer(lines: Sequence[str]) -> str:
    inner = "".join(f'<p dir="auto">{escape(line)}</p>\n' for line in lines)
    return f'<footer class="doc-provenance">\n{inner}</footer>\n' if inner else ""


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"' if value else ""


# --- blocks -----------------------------------------------------------------------------------------------------------


def _block(block: Block, shift: int) -> str:
    match block:
        case Fields():
            return "".join(_fields(block.fields))
        case ListBlock():
            return _list(block, shift)
        case Table():
            return "".join(_table(block))
        case Quote():
            return f"<blockquote>\n{''.join(_block(each, shift) for each in block.blocks)}</blockquote>\n"
        case _:
            return _leaf(block, shift)


def _leaf(block: Leaf, shift: int) -> str:
    match block:
        case Heading():
            tag = f"h{min(block.level + shift, 6)}"
            return f'<{tag} id="{escape(block.anchor)}" dir="auto">{inline(block.text)}</{tag}>\n'
        case Paragraph():
            role = f"doc-{block.role}" if block.role else ""
            where = _attribute("id", block.anchor)
            return f'<p{_attribute("class", role)}{where} dir="auto">{inline(block.text)}</p>\n'
        case CodeBlock():
            return f'<pre class="doc-code" tabindex="0"><code>{escape(block.text)}</code></pre>\n'
        case Rule():
            return "<hr>\n"


def _fields(fields: Iterable[Field]) -> Iterator[str]:
    yield '<dl class="doc-fields">\n'
    for each in fields:
        yield f'<dt{_attribute("id", each.anchor)} dir="auto">{escape(each.label)}</dt>'
        yield f'<dd dir="auto">{inline(each.value)}</dd>\n'
    yield "</dl>\n"


def _list(block: ListBlock, shift: int) -> str:
    tag = "ul" if block.start is None else "ol"
    start = f' start="{block.start}"' if block.start not in {None, 1} else ""
    items = "".join(f'<li dir="auto">{_item(item, shift)}</li>\n' for item in block.items)
    return f"<{tag}{start}>\n{items}</{tag}>\n"


def _item(blocks: Sequence[Block], shift: int) -> str:
    first, rest = blocks[:1], blocks[1:]
    is_tight = (
        first
        and isinstance(first[0], Paragraph)
        and not first[0].role
        and all(isinstance(each, ListBlock) for each in rest)
    )
    if is_tight and isinstance(first[0], Paragraph):
        return inline(first[0].text) + "".join(_block(each, shift) for each in rest)
    return "".join(_block(each, shift) for each in blocks)


def _table(block: Table) -> Iterator[str]:
    classes = [_attribute("class", f"doc-{align}" if align in {"center", "right"} else "") for align in block.aligns]
    yield '<div class="doc-table" role="group" aria-label="Table" tabindex="0"><table>\n<thead>\n<tr>'
    for cell, name in zip(block.header, classes, strict=True):
        yield f'<th scope="col"{name} dir="auto">{inline(cell)}</th>'
    yield "</tr>\n</thead>\n<tbody>\n"
    for row in block.rows:
        cells = (f'<td{name} dir="auto">{inline(cell)}</td>' for cell, name in zip(row, classes, strict=True))
        yield f"<tr>{''.join(cells)}</tr>\n"
    yield "</tbody>\n</table></div>\n"


def inline(runs: Sequence[Run]) -> str:
    """Return runs as HTML."""
    parts: list[str] = []
    for index, run in enumerate(runs):
        if run.href and (index == 0 or runs[index - 1].href != run.href):
            parts.append(f'<a href="{escape(run.href)}" rel="noopener noreferrer nofollow">')
        tags = [tag for style, tag in _TAGS if getattr(run, style)]
        text = escape(run.text, quote=False).replace("\n", "<br>\n")
        parts += [f"<{tag}>" for tag in tags] + [text] + [f"</{tag}>" for tag in reversed(tags)]
        if run.href and (index + 1 == len(runs) or runs[index + 1].href != run.href):
            parts.append("</a>")
    return "".join(parts)


@cache
def _style() -> str:
    return (Path(__file__).with_name("page.css")).read_text(encoding="utf-8")
