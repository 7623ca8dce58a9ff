"""Blocks as GitHub-flavoured Markdown. A text never becomes markup: what would is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from documents.rendering.chapters import Book, Chapter
from documents.rendering.content import markdown_text
from documents.rendering.content.tree import (
    Block,
    CodeBlock,
    Fields,
    Heading,
    Leaf,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
    Run,
    Runs,
    Table,
    merged,
    plain,
    text_of,
)

_DELIMITERS = (("bold", "**"), ("italic", "*"), ("strike", "~~"))
_SPECIAL = re.compile(r"[\\`*\[\]~|]|<(?=[A-Za-z/!?])|&(?=#|\w+;)|!$|(?<![^\W_])_|_(?![^\W_])")
_BEGINS_BLOCK = re.compile(r"(?:[-+](?=\s|$)|--|=|#|>|:-)")
_BEGINS_ITEM = re.compile(r"(\d{1,9})(?=[.)](?:\s|$))")
_SAFE_IN_ADDRESS = "%/:=?@!$&'()*+,;#[]~-._"


def render(book: Book) -> str:
    """Return the Markdown of a book, with one line feed at its end."""
    parts: list[str] = []
    if book.is_execution:
        parts += [f"# {_heading_text(plain(book.title))}", *_front(book)]
    for chapter in book.chapters:
        parts += _chapter(chapter, shift=1 if book.is_execution else 0)
    if book.is_execution:
        parts += _footer(book.provenance)
    return "\n\n".join(part for part in parts if part) + "\n"


def index(front: Book, links: Sequence[str]) -> str:
    """Return a page with the title and the facts of a book, and a list of links, which are Markdown."""
    parts = [f"# {_heading_text(plain(front.title))}", _facts(front), "\n".join(links), *_footer(front.provenance)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(book: Book) -> Iterator[str]:
    yield _facts(book)
    yield "\n".join(f"{number}. {inline(plain(each.title))}" for number, each in enumerate(book.chapters, 1))


def _facts(book: Book) -> str:
    return "\n".join(f"- **{inline(plain(name))}:** {inline(plain(value))}" for name, value in book.facts)


def _chapter(chapter: Chapter, shift: int) -> Iterator[str]:
    yield f"{'#' * (1 + shift)} {_heading_text(plain(chapter.title))}"
    yield from render_blocks(chapter.blocks, shift=1 + shift)
    yield from _footer(chapter.provenance)


def _footer(lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield "___"
        yield "\\\n".join(_lines(inline(plain(line)))[0] for line in lines)


def render_blocks(blocks: Iterable[Block], shift: int = 0) -> list[str]:
    """Return the Markdown of each block; headings are lower by `shift` levels."""
    found: list[str] = []
    follows_list = False
    for block in blocks:
        found.append(_block(block, shift, follows_list))
        follows_list = isinstance(block, ListBlock | Fields) and not follows_list
    return found


def _block(block: Block, shift: int, follows_list: bool) -> str:
    match block:
        case Fields():
            bullet = "* " if follows_list else "- "
            lines = (f"**{inline(plain(each.label))}:** {inline(each.value)}" for each in block.fields)
            return "\n".join(_indented(line, bullet) for line in lines)
        case ListBlock():
            return _list(block, follows_list)
        case Table():
            return _table(block)
        case Quote():
            inner = "\n\n".join(render_blocks(block.blocks))
            return "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))
        case _:
            return _leaf(block, shift)


def _leaf(block: Leaf, shift: int) -> str:
    match block:
        case Heading():
            return f"{'#' * min(block.level + shift, 6)} {_heading_text(block.text)}"
        case Paragraph():
            return _paragraph(block)
        case CodeBlock():
            return _code_block(block)
        case Rule():
            return "___"


def _paragraph(block: Paragraph) -> str:
    runs = block.text
    if block.role == "label":
        runs = tuple(run._replace(bold=True) for run in runs)
    elif block.role in {"intro", "note"}:
        runs = tuple(run._replace(italic=True) for run in runs)
    return "\n".join(_lines(inline(runs)))


def _heading_text(runs: Sequence[Run]) -> str:
    text = inline(tuple(run._replace(text=run.text.replace("\n", " ")) for run in runs)).strip()
    return f"{text[:-1]}\\#" if text.endswith("#") else text


def _list(block: ListBlock, follows_list: bool) -> str:
    is_tight = all(len(item) <= 1 or (isinstance(item[1], ListBlock) and len(item) == 2) for item in block.items)
    lines: list[str] = []
    for index, item in enumerate(block.items):
        if block.start is None:
            marker = "* " if follows_list else "- "
        else:
            marker = f"{block.start + index}{')' if follows_list else '.'} "
        parts = render_blocks(item)
        lines.append(_indented(("\n" if is_tight else "\n\n").join(parts), marker))
    return ("\n" if is_tight else "\n\n").join(lines)


def _indented(text: str, marker: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join([f"{marker}{first}".rstrip(), *(f"{' ' * len(marker)}{line}".rstrip() for line in rest)])


def _table(block: Table) -> str:
    rules = {"": "---", "left": ":--", "center": ":-:", "right": "--:"}
    rows = [_row(block.header), f"| {' | '.join(rules[align] for align in block.aligns)} |"]
    return "\n".join([*rows, *map(_row, block.rows)])


def _row(cells: Iterable[Sequence[Run]]) -> str:
    return f"| {' | '.join(inline(tuple(map(_in_cell, cell))) for cell in cells)} |"


def _in_cell(run: Run) -> Run:
    text = run.text.replace("\n", " ")
    return run._replace(text=text.replace("|", "\\|") if run.code else text)


def _code_block(block: CodeBlock) -> str:
    longest = max((len(found) for found in re.findall("`+", block.text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{re.sub(r'[^A-Za-z0-9_+#.-]', '', block.language)}\n{block.text}\n{fence}"


def _lines(text: str) -> list[str]:
    """Return the lines of a paragraph; the first characters of a line never begin another kind of block."""
    lines = []
    for line in text.split("\n"):
        line = line.strip(" \t")
        if _BEGINS_BLOCK.match(line):
            line = f"\\{line}"
        lines.append(_BEGINS_ITEM.sub(r"\1\\", line, count=1) if _BEGINS_ITEM.match(line) else line)
    return lines


# --- within a paragraph -----------------------------------------------------------------------------------------------


def inline(runs: Sequence[Run]) -> str:
    """Return runs as Markdown. Styles that Markdown cannot write at their place are left out, the text never is."""
    text = _styled(runs)
    if any(run.bold or run.italic or run.strike for run in runs):
        parsed = markdown_text.runs_of(markdown_text.parser().parseInline(text)[0].children or [])
        if _visible(parsed) != _visible(runs):
            return _styled([run._replace(bold=False, italic=False, strike=False) for run in runs])
    return text


def _visible(runs: Iterable[Run]) -> Runs:
    """Return runs without white space."""
    return merged(run._replace(text="".join(run.text.split())) for run in runs)


def _styled(runs: Sequence[Run]) -> str:
    parts: list[str] = []
    index = 0
    while index < len(runs):
        href = runs[index].href
        end = index
        while end < len(runs) and runs[end].href == href:
            end += 1
        parts.append(_link(runs[index:end], href) if href else _nested(runs[index:end]))
        index = end
    return "".join(parts)


def _link(runs: Sequence[Run], href: str) -> str:
    address = quote(href, safe=_SAFE_IN_ADDRESS)
    if text_of(runs) == address and not any(run.code for run in runs):
        return f"<{address}>"
    has_brackets = "(" in address or ")" in address
    return f"[{_nested(runs)}]({f'<{address}>' if has_brackets else address})"


def _nested(runs: Sequence[Run]) -> str:
    """Return runs with delimiters that are closed in the reverse of the order in which they were opened."""
    parts: list[str] = []
    opened: list[str] = []
    for run in _with_bare_spaces(runs):
        wanted = [mark for style, mark in _DELIMITERS if getattr(run, style)]
        kept = next((n for n, mark in enumerate(opened) if mark not in wanted), len(opened))
        while len(opened) > kept:
            parts.append(opened.pop())
        for mark in wanted:
            if mark not in opened:
                opened.append(mark)
                parts.append(mark)
        parts.append(_code(run.text) if run.code else _escaped(run.text))
    return "".join([*parts, *reversed(opened)])


def _with_bare_spaces(runs: Sequence[Run]) -> Iterator[Run]:
    """Yield runs whose styles neither begin nor end with a space, where Markdown would not see them."""
    for run in runs:
        if run.code or not (run.bold or run.italic or run.strike):
            yield run
            continue
        core = run.text.strip()
        first = run.text.index(core) if core else len(run.text)
        around = run.text[:first], run.text[first + len(core) :]
        before, after = (Run(space, href=run.href) for space in around)
        yield from [each for each in (before, run._replace(text=core), after) if each.text]


def _code(text: str) -> str:
    text = text.replace("\n", " ")
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text[:1] in {"`", " "} or text[-1:] in {"`", " "} else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _escaped(text: str) -> str:
    return "\\\n".join(_SPECIAL.sub(r"\\\g<0>", line).strip("\t") for line in text.split("\n"))
