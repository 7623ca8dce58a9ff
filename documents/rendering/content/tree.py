"""A document as a tree of blocks, which every format writes in its own way. Texts in it are clean, and no markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

#: What XML, terminals or readers cannot take: controls, lone surrogates, noncharacters, overrides of the direction.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\u202d\u202e]")
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029]")
_MARK = "\ufffd"
MAX_LEVEL = 6  # of headings
EMPTY = "—"  # stands for null, and for an empty list, object or text


class Run(NamedTuple):
    """A piece of text in one style. A line feed in `text` is a line break."""

    text: str
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False
    href: str = ""


Runs: TypeAlias = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading. `level` is 1 to `MAX_LEVEL`; `anchor` is the name of its place, unique in the file."""

    level: int
    text: Runs
    anchor: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph. A label stands above what it names; an intro says what a section holds."""

    text: Runs
    role: str = ""  # "label", "intro" or "note"
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A named value."""

    label: str
    value: Runs
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Fields:
    """Named values that belong together."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class ListBlock:
    """A list; `start` is the number of its first item, None for bullets."""

    items: tuple[tuple[Block, ...], ...]
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with one header row. All rows are as long as the header; `aligns` has "", "left", "center" or "right"."""

    header: tuple[Runs, ...]
    rows: tuple[tuple[Runs, ...], ...]
    aligns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """A quotation."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """Text that is shown letter by letter."""

    text: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across."""


Leaf: TypeAlias = Heading | Paragraph | CodeBlock | Rule
Block: TypeAlias = Leaf | Fields | ListBlock | Table | Quote
Blocks: TypeAlias = tuple[Block, ...]


def clean(text: str) -> str:
    """Return a text with LF as its line end, and U+FFFD for each character that no format can show."""
    return _UNFIT.sub(_MARK, _LINE_ENDS.sub("\n", text))


def clean_line(text: str) -> str:
    """Return a clean text on one line."""
    return " ".join(clean(text).split())


def plain(text: str) -> Runs:
    """Return a text without markup as runs."""
    return (Run(clean(text)),)


def text_of(runs: Iterable[Run]) -> str:
    """Return the text of runs, without styles."""
    return "".join(run.text for run in runs)


def merged(runs: Iterable[Run]) -> Runs:
    """Return runs without empty ones, and with neighbours of the same style as one."""
    result: list[Run] = []
    for run in runs:
        if not run.text:
            continue
        if result and result[-1][1:] == run[1:]:
            result[-1] = run._replace(text=result[-1].text + run.text)
        else:
            result.append(run)
    return tuple(result)


def anchor_of(pointer: str, prefix: str = "") -> str:
    """Return the name of a place in a file: `/epics/0` is `epics.0`, with a prefix `name.epics.0`.

    Other characters than ASCII letters, digits, `_` and `-` become their code point between two `~`, so that two
    pointers never have the same anchor.
    """
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return ".".join(_as_name(part) for part in ([prefix] if prefix else []) + parts)


def _as_name(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"~{ord(found.group()):x}~", part)


def headings_of(blocks: Sequence[Block]) -> list[Heading]:
    """Return the headings at the top of a tree; headings never stand within lists or quotes."""
    return [block for block in blocks if isinstance(block, Heading)]


def shown_in_contents(headings: Sequence[Heading], most: int = 200) -> list[Heading]:
    """Return the headings of a contents list: to the deepest of three levels at which there are not too many."""
    for level in (3, 2):
        shown = [heading for heading in headings if heading.level <= level]
        if len(shown) <= most:
            return shown
    return [heading for heading in headings if heading.level == 1]
