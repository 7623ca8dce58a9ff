"""Markdown texts as blocks: CommonMark with tables and strikethrough, without HTML and definitions of references.

Links lead to http, https and mailto. Images are never loaded: their text and address are shown. A text that nests too
deeply, or would take too long to parse, is shown letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from documents.rendering.content.tree import (
    MAX_LEVEL,
    Block,
    Blocks,
    CodeBlock,
    Heading,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
    Run,
    Runs,
    Table,
    clean,
    merged,
    text_of,
)

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MAX_CONTAINERS = 8  # lists and quotes within each other
_MAX_NESTING = 60  # levels of the parser, above what `_MAX_CONTAINERS` needs; it drops what is deeper
_MAX_COLUMNS = 12
_MAX_BRACKETS = 1_000  # of one paragraph: the parser needs their square in steps
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
#: Whether a text may be more than plain words in one paragraph.
_MARKUP = re.compile(r"[\\`*_\[\]<>&~|#\n\t!]|^\s|^[-+=]|^\d+[.)]|  ")
_BLANK_LINES = re.compile(r"\n[ \t]*\n")
_STYLES = {"strong": "bold", "em": "italic", "s": "strike"}


def is_safe_link(address: str) -> bool:
    """Return whether a document may link to an address."""
    return bool(_LINK.match(address))


@cache
def parser(placeholder: str = "") -> MarkdownIt:
    """Return the parser, loaded at the first use. Links may also begin with a placeholder."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - heavy, and not needed by every process

    made = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_NESTING})
    made.enable(["table", "strikethrough"])
    made.disable("reference")  # it would hide the addresses that no text of the document refers to
    begins = quote(placeholder)

    def is_link(url: str) -> bool:
        return is_safe_link(url) or (begins != "" and url.startswith(begins))

    made.validateLink = is_link  # type: ignore[method-assign]
    return made


def blocks_of(text: str, *, level: int = 1, anchor: str = "", headings: bool = True, placeholder: str = "") -> Blocks:
    """Return the blocks of a Markdown text.

    Args:
        text: the Markdown.
        level: the level of the text's highest headings; lower ones follow without gaps.
        anchor: the anchor of the text's place; its headings get it with a number.
        headings: whether headings stay; otherwise they become labels.
        placeholder: a character with which addresses of links may begin too.
    """
    text = clean(text)
    if not _MARKUP.search(text):
        return (Paragraph(plain_words(text)),) if text.strip() else ()
    if not _is_parseable(text):
        return (CodeBlock(text),)
    tokens = parser(placeholder).parse(text)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return (CodeBlock(text),)
    try:
        found = BlockReader(tokens, source=text).read()
    except _TooDeep:
        return (CodeBlock(text),)
    return tuple(_placed(found, level, anchor, headings=headings)) or (CodeBlock(text),)


def inline_of(text: str) -> Runs:
    """Return a Markdown text as the content of one paragraph; line ends become spaces."""
    text = " ".join(clean(text).split())
    if not _MARKUP.search(text) or not _is_parseable(text):
        return plain_words(text)
    return runs_of(parser().parseInline(text)[0].children or [])


def plain_words(text: str) -> Runs:
    """Return a clean text as runs."""
    return (Run(text.strip()),) if text.strip() else ()


def _is_parseable(text: str) -> bool:
    return text.count("[") <= _MAX_BRACKETS or all(
        paragraph.count("[") <= _MAX_BRACKETS for paragraph in _BLANK_LINES.split(text)
    )


class _TooDeep(Exception):
    pass


class BlockReader:
    """Reads the blocks of a sequence of tokens."""

    def __init__(self, tokens: Sequence[Token], *, source: str) -> None:
        self._tokens = tokens
        self._lines = source.split("\n")
        self._at = 0

    def read(self) -> list[Block]:
        """Return all blocks."""
        return self._until(None, depth=0)

    def _until(self, end: str | None, *, depth: int) -> list[Block]:
        if depth > _MAX_CONTAINERS:
            raise _TooDeep
        found: list[Block] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token.type == end:
                return found
            block = self._block(token, depth)
            if block is not None:
                found.append(block)
        return found

    def _block(self, token: Token, depth: int) -> Block | None:
        kind = token.type
        if kind in {"paragraph_open", "heading_open"}:
            return self._paragraph(token)
        if kind in {"bullet_list_open", "ordered_list_open"}:
            return self._list(token, depth)
        if kind == "blockquote_open":
            return Quote(tuple(self._until("blockquote_close", depth=depth + 1)))
        if kind in {"fence", "code_block"}:
            return CodeBlock(
                token.content.removesuffix("\n"), token.info.split(maxsplit=1)[0] if token.info.strip() else ""
            )
        if kind == "table_open":
            return self._table(token)
        return Rule() if kind == "hr" else None

    def _paragraph(self, token: Token) -> Block | None:
        runs = runs_of(self._tokens[self._at].children or [])
        self._at += 2  # the text, and the end
        if not runs:
            return None
        return Heading(int(token.tag[1]), runs, "") if token.type == "heading_open" else Paragraph(runs)

    def _list(self, token: Token, depth: int) -> Block:
        end = token.type.replace("open", "close")
        items: list[Blocks] = []
        while self._tokens[self._at].type != end:
            self._at += 1  # the begin of an item
            items.append(tuple(self._until("list_item_close", depth=depth + 1)))
        self._at += 1
        start = int(token.attrs.get("start", 1)) if token.tag == "ol" else None
        return ListBlock(tuple(items), start)

    def _table(self, token: Token) -> Block:
        rows: list[list[Runs]] = []
        aligns: list[str] = []
        while (each := self._tokens[self._at]).type != "table_close":
            self._at += 1
            if each.type == "tr_open":
                rows.append([])
            elif each.type in {"th_open", "td_open"}:
                rows[-1].append(runs_of(self._tokens[self._at].children or []))
                aligns += [_align(each)] if each.type == "th_open" else []
        self._at += 1
        if len(aligns) > _MAX_COLUMNS:
            first, last = token.map or (0, 0)
            return CodeBlock("\n".join(self._lines[first:last]))
        return Table(tuple(rows[0]), tuple(tuple(row) for row in rows[1:]), tuple(aligns))


def _align(token: Token) -> str:
    style = str(token.attrs.get("style", ""))
    return style.removeprefix("text-align:")


def runs_of(tokens: Sequence[Token]) -> Runs:
    """Return the runs of inline tokens."""
    found: list[Run] = []
    open_styles: dict[str, int] = dict.fromkeys(_STYLES.values(), 0)
    href = ""
    for token in tokens:
        kind, _, end = token.type.rpartition("_")
        if kind in _STYLES:
            open_styles[_STYLES[kind]] += 1 if end == "open" else -1
        elif kind == "link":
            href = str(token.attrs.get("href", "")) if end == "open" else ""
        else:
            style: dict[str, Any] = {name: True for name, number in open_styles.items() if number}
            found += [run._replace(**style) for run in _leaf(token, href)]
    return merged(found)


def _leaf(token: Token, href: str) -> list[Run]:
    if token.type in {"softbreak", "hardbreak"}:
        return [Run("\n", href=href)]
    if token.type == "code_inline":
        return [Run(token.content, code=True, href=href)]
    if token.type == "image":
        return _image(token)
    return [Run(token.content, href=href)] if token.content else []


def _image(token: Token) -> list[Run]:
    address = str(token.attrs.get("src", ""))
    words = text_of(runs_of(token.children or [])) or "image"
    return [Run(f"{words} ("), Run(address, href=address), Run(")")]


def _placed(blocks: list[Block], level: int, anchor: str, *, headings: bool) -> list[Block]:
    """Return blocks with headings from a level on; headings within lists and quotes become labels."""
    used = sorted({block.level for block in blocks if isinstance(block, Heading)})
    number = 0
    placed: list[Block] = []
    for block in blocks:
        if isinstance(block, Heading) and headings:
            number += 1
            rank = min(level + used.index(block.level), MAX_LEVEL)
            placed.append(Heading(rank, block.text, f"{anchor}.~h{number}"))
        else:
            placed.append(_without_headings(block))
    return placed


def _without_headings(block: Block) -> Block:
    if isinstance(block, Heading):
        return Paragraph(block.text, role="label")
    if isinstance(block, Quote):
        return Quote(tuple(_without_headings(each) for each in block.blocks))
    if isinstance(block, ListBlock):
        return ListBlock(tuple(tuple(_without_headings(each) for each in item) for item in block.items), block.start)
    return block
