"""Finds a quoted passage in a text: its occurrence with the most similar surroundings, or a similar passage."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import NamedTuple

from documents.comparison.alignment import Budget, align
from documents.comparison.words import common_prefix, tokens

_CONTEXT = 40  # characters around a quote that tell its occurrences apart
_MAX_OCCURRENCES = 500  # that are looked at, the nearest ones first
_MAX_GROWTH = 2  # how many times as long a passage may get that counts as edited as a whole


class Range(NamedTuple):
    """A range of characters; the end is exclusive."""

    start: int
    end: int


def find_quote(text: str, quote: str, prefix: str = "", *, suffix: str = "", near: int = 0) -> Range | None:
    """Return the occurrence whose surroundings are most like `prefix` and `suffix`; None without an occurrence.

    Of equally good ones it is the one nearest to the index `near`, then the first. Of very many occurrences, those
    nearest to `near` are looked at.
    """
    for before, after in ((prefix, suffix), ("", "")):
        found = _occurrences(text, before + quote + after, near - len(before))
        ranges = [Range(start + len(before), start + len(before) + len(quote)) for start in found]
        if ranges:
            likenesses = [_likeness(text, each, prefix, suffix=suffix) for each in ranges]
            return min(zip(likenesses, ranges, strict=True), key=lambda pair: (-pair[0], abs(pair[1].start - near)))[1]
    return None


def context_of(text: str, place: Range) -> tuple[str, str]:
    """Return the characters before and after a range, by which it is found again."""
    return text[max(place.start - _CONTEXT, 0) : place.start], text[place.end : place.end + _CONTEXT]


def find_similar(before: str, place: Range, after: str, *, budget: Budget) -> tuple[Range, float] | None:
    """Return the range of a later text that a range of an earlier text has become, and how similar they are (0 to 1).

    The texts are aligned word by word. None: no word of the range is left.
    """
    words, words_after = tokens(before), tokens(after)
    ends, ends_after = list(accumulate(map(len, words))), list(accumulate(map(len, words_after)))
    first, last = bisect_right(ends, place.start), bisect_left(ends, place.end)
    partners = align(words, words_after, budget)
    inside = [(i, j) for i, j in enumerate(partners[first : last + 1], first) if j >= 0 and not words[i].isspace()]
    if not inside:
        return None
    left = next((j + 1 for j in reversed(partners[:first]) if j >= 0), 0)
    right = next((j for j in partners[last + 1 :] if j >= 0), len(words_after))
    start, end = (ends_after[left - 1] if left else 0), (ends_after[right - 1] if right else 0)
    if end - start > _MAX_GROWTH * (place.end - place.start):  # more than an edit of the passage was added beside it
        left, right = inside[0][1], inside[-1][1] + 1
        start, end = (ends_after[left - 1] if left else 0), ends_after[right - 1]
    found = _stripped(after, Range(start, end))
    common = sum(len(words[i]) for i, _ in inside)
    size = _letters(before, place) + _letters(after, found)
    return found, 2 * common / max(size, 1)


def _occurrences(text: str, quote: str, near: int) -> list[int]:
    """Return where a quote begins, in order; of very many occurrences those nearest to an index."""
    near = max(near, 0)
    head = text[: near + len(quote) - 1]  # in it, the quote begins before `near`
    # `rfind` would take a time that multiplies the lengths of text and quote.
    before = [len(head) - end - len(quote) for end in _starts(head[::-1], quote[::-1], 0)]
    return [*reversed(before), *_starts(text, quote, near)]


def _starts(text: str, quote: str, start: int) -> list[int]:
    starts: list[int] = []
    start = text.find(quote, start)
    while start >= 0 and len(starts) < _MAX_OCCURRENCES // 2:
        starts.append(start)
        start = text.find(quote, start + 1)
    return starts


def _likeness(text: str, place: Range, prefix: str, *, suffix: str) -> int:
    """Return how many characters next to a range are as in the prefix and suffix."""
    before = text[max(place.start - len(prefix), 0) : place.start]
    return common_prefix(before[::-1], prefix[::-1]) + common_prefix(text[place.end : place.end + len(suffix)], suffix)


def _stripped(text: str, place: Range) -> Range:
    piece = text[place.start : place.end]
    start = place.start + len(piece) - len(piece.lstrip())
    return Range(start, max(start, place.start + len(piece.rstrip())))


def _letters(text: str, place: Range) -> int:
    """Return the number of characters without whitespace."""
    return sum(map(len, text[place.start : place.end].split()))
