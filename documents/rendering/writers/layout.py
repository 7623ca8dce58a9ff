"""What files with pages have in common: widths of columns, the footer, the contents list, and the way of long words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from documents.rendering.chapters import Book
from documents.rendering.content.tree import Heading, Runs, Table, headings_of, shown_in_contents, text_of

LEAST_HEADINGS = 3  # of a contents list
_LINE = 95  # characters of a table's row that fit beside each other
_MAX_FOOTER = 180  # characters
_WIDEST = 60  # characters of a column that are worth their width
_LONGEST_WORD = 18  # characters of a word that should not be broken in a table
_MARGIN = 3  # characters of a column beside a word
_LETTER = re.compile(r"[^\W\d_]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufefc]")
_FIRST_ROWS = 500  # of a table, by which its columns are measured


def column_widths(table: Table, *, letter: float = 1.0) -> list[float]:
    """Return the share of each column in the width of the page; they sum up to 1.

    Args:
        table: the table.
        letter: how wide a letter may be, in parts of the usual width, where short words have to stay whole.
    """
    rows = [table.header, *table.rows[:_FIRST_ROWS]]
    texts = [[text_of(row[column]) for row in rows] for column in range(len(table.header))]
    longest = [
        min(_LONGEST_WORD, max((len(word) for text in each for word in text.split()), default=0)) for each in texts
    ]
    least: list[float] = [2 + each for each in longest]
    roomy = [_MARGIN + letter * each for each in longest]
    if letter > 1.0 and sum(roomy) <= _LINE:
        least = roomy
    ideal = [max(low, min(_WIDEST, max(map(len, each)))) for low, each in zip(least, texts, strict=True)]
    if sum(ideal) > _LINE > sum(least):
        spare = (_LINE - sum(least)) / (sum(ideal) - sum(least))
        ideal = [low + spare * (high - low) for low, high in zip(least, ideal, strict=True)]
    elif sum(least) >= _LINE:
        ideal = least
    return [width / sum(ideal) for width in ideal]


def characters_of_column(share: float) -> int:
    """Return how many characters of a word fit into a column."""
    return max(4, int(share * _LINE) - 2)


def breakable(text: str, longest: int) -> str:
    """Return a text in which words above a length may be broken, by zero-width spaces."""
    if len(text) <= longest:
        return text
    return re.sub(rf"[^\s\u200b]{{{longest + 1},}}", lambda word: _broken(word.group(), longest), text)


def _broken(word: str, longest: int) -> str:
    return "\u200b".join(word[start : start + longest] for start in range(0, len(word), longest))


def footer_of(lines: Sequence[str]) -> tuple[str, bool]:
    """Return what of the provenance fits into the footer of a page, and whether that is all."""
    text = " · ".join(lines)
    if len(text) <= _MAX_FOOTER:
        return text, True
    shown: list[str] = []
    for line in lines:
        if len(" · ".join([*shown, line])) > _MAX_FOOTER - 2:
            break
        shown.append(line)
    return " · ".join([*shown, "…"]), False


def contents_depth(book: Book) -> int:
    """Return how many levels of headings the contents list shows; 0: there is none."""
    shift = 1 if book.is_execution else 0
    headings: list[Heading] = list(chain.from_iterable(headings_of(chapter.blocks) for chapter in book.chapters))
    if len(headings) + len(book.chapters) * shift < LEAST_HEADINGS:
        return 0
    shown = shown_in_contents(headings, 300)
    depth = max((each.level for each in shown), default=0)
    return depth + shift if len(shown) <= 600 or not shift else 1


def is_right_to_left(runs: Runs) -> bool:
    """Return whether the first letter with a direction is Hebrew, Arabic or of another script from right to left."""
    text = text_of(runs)
    if text.isascii():
        return False
    first = _LETTER.search(text)
    return first is not None and _RIGHT_TO_LEFT.match(first.group()) is not None
