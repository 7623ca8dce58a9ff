"""The difference of two texts by lines, words, whitespace and punctuation, in bounded time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

from documents.comparison.alignment import Budget, align

# Characters that join with no other one of these: ASCII, Latin, Greek, Cyrillic, punctuation, signs of currencies.
# Marks, joiners, emoji, and scripts without spaces between words are outside.
_LETTERS = (
    r"0-9A-Za-z_\xaa\xb2\xb3\xb5\xb9\xba\xbc-\xbe\xc0-\xd6\xd8-\xf6\xf8-\u02ff"
    r"\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u0481\u048a-\u052f"
)
_SPACES = r"\x09-\x0d\x20\xa0\u2028\u2029\u205f"
_SIMPLE = r"\x00-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2029\u2030-\u203b\u203d-\u2048\u204a-\u205f\u20a0-\u20cf"
_PIECE = rf"(?:[{_LETTERS}]++(?:['\u2019][{_LETTERS}]++)*+|[{_SPACES}]++|(?![{_LETTERS}{_SPACES}])[{_SIMPLE}])"
_SIMPLE_TOKEN = re.compile(_PIECE)
#: A piece of simple characters, or else a stretch of others together with the simple pieces that may join with them.
_TOKEN = re.compile(rf"{_PIECE}(?![^{_SIMPLE}])|(?:{_PIECE}?+[^{_SIMPLE}]++)++{_PIECE}?+")
_OTHER = re.compile(rf"[^{_SIMPLE}]")
_WITHOUT_SPACES = "".join(
    rf"\p{{Script={name}}}"
    for name in ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Javanese", "Balinese")
)
_MAX_CHANGES = 10_000  # in lines that follow each other
_LONG = 1_000  # characters from which equal ends are cut off before the text is split
_HAS_WORD = re.compile(r"\w")

Operation = Literal["equal", "insert", "delete"]


class Run(NamedTuple):
    """A piece of text: in both texts (`equal`), in the later one alone (`insert`), in the earlier one (`delete`)."""

    op: Operation
    text: str


#: Start and end of a range of the earlier text, then of the range of the later text that replaces it.
Replacement: TypeAlias = tuple[int, int, int, int]


def compare_texts(before: str, after: str, budget: Budget | None = None) -> tuple[Run, ...]:
    """Return the runs that lead from one text to the other.

    The texts of `equal` and `delete` together are `before`; those of `equal` and `insert` are `after`. A deletion
    stands before the insertion that replaces it.
    """
    return tuple(_runs(before, after, replacements(before, after, budget)))


def replacements(before: str, after: str, budget: Budget | None = None) -> list[Replacement]:
    """Return the ranges that differ, in order; equal text stands between two ranges.

    Texts are compared by lines, and lines that differ by words. A range counts as replaced as a whole where the budget
    is spent, and where more changes would follow each other than people can read.
    """
    if before == after:
        return []
    budget = budget or Budget()
    lines, lines_after = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(lines) == len(lines_after) == 1:
        return _without_crumbs(before, _by_words(before, after, budget))
    found: list[Replacement] = []
    for i, i_end, j, j_end in _differing(lines, lines_after, budget):
        inner = _by_words(before[i:i_end], after[j:j_end], budget)
        found += [(i + a, i + b, j + c, j + d) for a, b, c, d in inner]
    return _without_crumbs(before, found)


def _by_words(before: str, after: str, budget: Budget) -> list[Replacement]:
    start = stop = 0
    if len(before) > _LONG and len(after) > _LONG:
        start, stop = _common_ends(before, after)
    end, end_after = len(before) - stop, len(after) - stop
    inner = list(_differing(tokens(before[start:end]), tokens(after[start:end_after]), budget))
    if len(inner) > _MAX_CHANGES:
        return [(start, end, start, end_after)]
    return [(start + a, start + b, start + c, start + d) for a, b, c, d in inner]


def tokens(text: str) -> list[str]:
    """Return the words, runs of whitespace and other characters of a text; together they are the text.

    A token never ends within a grapheme cluster (Unicode Standard Annex 29). In scripts without spaces between words,
    such as Chinese and Thai, each cluster is a token.
    """
    if text.isascii() or not _OTHER.search(text):
        return _SIMPLE_TOKEN.findall(text)
    split, found = _splitter(), list[str]()
    for token in _TOKEN.findall(text):
        if token.isascii() or not _OTHER.search(token):
            found.append(token)
        else:
            found += split(token)
    return found


def _common_ends(before: str, after: str) -> tuple[int, int]:
    """Return how many characters at the start and at the end are equal, up to a space where a token ends in both."""
    start = common_prefix(before, after)
    start = before.rfind(" ", 0, start) + 1
    if not (before[start : start + 1] + after[start : start + 1]).isascii():
        start = 0
    rest, rest_after = before[start:], after[start:]
    stop = common_prefix(rest[::-1], rest_after[::-1])
    space = rest.find(" ", len(rest) - stop)
    stop = len(rest) - space if space >= 0 else 0
    around = rest[: len(rest) - stop][-1:] + rest_after[: len(rest_after) - stop][-1:] + rest[len(rest) - stop :][1:2]
    return start, stop if around.isascii() else 0


def common_prefix(before: str, after: str) -> int:
    """Return the length of the common prefix, found by comparing halves."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if before[low:middle] == after[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


@cache
def _splitter() -> Callable[[str], list[str]]:
    """Return the function that splits a text of any characters. It takes five times as long as `re` for simple ones."""
    import regex  # noqa: PLC0415 - most texts do not need it

    pattern = rf"(?:(?=[\p{{L}}\p{{N}}_])(?![{_WITHOUT_SPACES}])\X)+|(?:(?=\s)\X)+|\X"
    split: Callable[[str], list[str]] = regex.compile(pattern).findall
    return split


def _differing(before: list[str], after: list[str], budget: Budget) -> Iterator[Replacement]:
    """Yield the ranges that differ, as offsets of characters in both texts."""
    offsets, offsets_after = [0, *accumulate(map(len, before))], [0, *accumulate(map(len, after))]
    i = j = 0
    for index, partner in enumerate(align(before, after, budget)):
        if partner < 0:
            continue
        if index > i or partner > j:
            yield offsets[i], offsets[index], offsets_after[j], offsets_after[partner]
        i, j = index + 1, partner + 1
    if i < len(before) or j < len(after):
        yield offsets[i], offsets[-1], offsets_after[j], offsets_after[-1]


def _without_crumbs(text: str, found: list[Replacement]) -> list[Replacement]:
    """Return the ranges without short equal texts between longer changes, which are hard to read.

    This is the semantic cleanup of diff-match-patch (Neil Fraser): an equal text that is no longer than the changes on
    both sides becomes part of the change. Equal text with a line break stays, and so paragraphs stay apart.
    """
    kept: list[Replacement] = []
    for each in found:
        i, i_end, j, j_end = each
        while kept and _is_crumb(text[kept[-1][1] : i], kept[-1], each):
            i, _, j, _ = kept.pop()
            each = i, i_end, j, j_end
        kept.append(each)
    return kept


def _is_crumb(equal: str, last: Replacement, following: Replacement) -> bool:
    if "\n" in equal:
        return False
    size = min(max(last[1] - last[0], last[3] - last[2]), max(following[1] - following[0], following[3] - following[2]))
    return len(equal) <= size or not _HAS_WORD.search(equal)


def _runs(before: str, after: str, found: list[Replacement]) -> Iterator[Run]:
    start = 0
    for i, i_end, j, j_end in found:
        if start < i:
            yield Run("equal", before[start:i])
        if i < i_end:
            yield Run("delete", before[i:i_end])
        if j < j_end:
            yield Run("insert", after[j:j_end])
        start = i_end
    if start < len(before):
        yield Run("equal", before[start:])
