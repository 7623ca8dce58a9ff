"""Which items of two lists are the same item: by a key, by equal content, or by similarity and position."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from pydantic import JsonValue

from documents.comparison.alignment import Budget, align, longest_increasing
from documents.comparison.labels import KEY_NAMES, SchemaView
from documents.comparison.values import EqualityKeys, kind_of

Pair: TypeAlias = tuple[int, int]

MAX_CHANGES = 1_000  # of one list or object that are told one by one
_SIMILAR = 0.5  # share of common words from which two items are the same one, changed
_TEXT_OF_ITEM = 1_000  # characters that are looked at
_FEATURES = 5  # steps that it costs to look at an item
_MAX_GRID = 2_500  # pairs of items that are compared between two equal items
#: These name an item for people. An item whose name was edited is still looked for by its content.
_NAMES = frozenset({"name", "title"})
_WORD = re.compile(r"\w+")


class TooManyChanges(Exception):
    """A list differs in so many items that telling each helps no reader."""


@dataclass(slots=True)
class Context:
    """What a comparison of two documents shares between its parts."""

    keys: EqualityKeys = field(default_factory=EqualityKeys)
    budget: Budget = field(default_factory=Budget)
    similarities: Budget = field(default_factory=lambda: Budget(20_000))
    parts_left: int = 1_500  # changes, and containers that hold some, which are told one by one


class _Gap(NamedTuple):
    """Indices of items without a partner that stand between the same items with one."""

    before: list[int]
    after: list[int]


def match_items(before: list[JsonValue], after: list[JsonValue], view: SchemaView, *, context: Context) -> list[Pair]:
    """Return pairs of indices of the same items, ordered by the second one. Each index is in one pair at most.

    Raises:
        TooManyChanges: more than `MAX_CHANGES` items are not the same.
    """
    if len(before) == len(after) == 1:
        return [(0, 0)] if kind_of(before[0]) == kind_of(after[0]) else []
    name = key_name(view, before, after)
    if name is None:
        return _by_content(before, after, context)
    places = {item[name]: i for i, item in enumerate(before) if isinstance(item, dict)}
    keys = [item[name] for item in after if isinstance(item, dict)]
    pairs = [(places[key], j) for j, key in enumerate(keys) if key in places]
    _require_few_changes(before, after, pairs)
    if name not in _NAMES:
        return pairs
    return _by_place([*pairs, *_similar(before, after, pairs, context=context)])


def key_name(view: SchemaView, *lists: list[JsonValue]) -> str | None:
    """Return the first name under which every item has a scalar that is unique in its list; None without one."""
    names = KEY_NAMES if view.key is None else (view.key, *KEY_NAMES)
    return next((name for name in names if all(_is_key(name, items) for items in lists)), None)


def _is_key(name: str, items: list[JsonValue]) -> bool:
    seen: set[object] = set()
    for item in items:
        value = item.get(name) if isinstance(item, dict) else None
        if not isinstance(value, str | int | float) or isinstance(value, bool) or value in seen:
            return False
        seen.add(value)
    return True


def _by_content(before: list[JsonValue], after: list[JsonValue], context: Context) -> list[Pair]:
    """Match equal items in order, then equal items that moved, then similar ones between those in order."""
    keys, keys_after = [context.keys.key(item) for item in before], [context.keys.key(item) for item in after]
    pairs = [(i, j) for i, j in enumerate(align(keys, keys_after, context.budget)) if j >= 0]
    _require_few_changes(before, after, pairs)
    taken, taken_after = {i for i, _ in pairs}, {j for _, j in pairs}
    left: defaultdict[object, deque[int]] = defaultdict(deque)
    for i, key in enumerate(keys):
        if i not in taken:
            left[key].append(i)
    moved = [(left[key].popleft(), j) for j, key in enumerate(keys_after) if j not in taken_after and left.get(key)]
    pairs += moved
    return _by_place([*pairs, *_similar(before, after, pairs, context=context)])


def _require_few_changes(before: list[JsonValue], after: list[JsonValue], pairs: list[Pair]) -> None:
    if max(len(before), len(after)) - len(pairs) > MAX_CHANGES:
        raise TooManyChanges


def _by_place(pairs: list[Pair]) -> list[Pair]:
    return sorted(pairs, key=itemgetter(1))


def unmoved(pairs: list[Pair]) -> set[Pair]:
    """Return the most pairs that are in the same order in both lists. The pairs are ordered by the second index."""
    return {pairs[index] for index in longest_increasing([i for i, _ in pairs])}


def _similar(before: list[JsonValue], after: list[JsonValue], pairs: list[Pair], *, context: Context) -> Iterator[Pair]:
    """Yield pairs of items that stand between the same matched items, and are similar or at the same place there."""
    for gap in _gaps(_Gap(list(range(len(before))), list(range(len(after)))), pairs):
        rows, columns = len(gap.before), len(gap.after)
        cost = rows * columns + _FEATURES * (rows + columns)
        if rows == columns == 1 or rows * columns > _MAX_GRID or not context.similarities.spend(cost):
            yield from _same_kinds(gap, before, after)
            continue
        found = _most_similar(gap, before, after)
        yield from found
        for rest in (each for each in _gaps(gap, found) if len(each.before) == len(each.after)):
            yield from _same_kinds(rest, before, after)


def _gaps(whole: _Gap, pairs: list[Pair]) -> Iterator[_Gap]:
    """Yield what has no partner on either side, between the pairs that are in order."""
    taken, taken_after = {i for i, _ in pairs}, {j for _, j in pairs}
    free, free_after = [i for i in whole.before if i not in taken], [j for j in whole.after if j not in taken_after]
    start = start_after = 0
    for pair in (*sorted(unmoved(_by_place(pairs))), None):
        end, end_after = len(free), len(free_after)
        if pair is not None:
            end, end_after = bisect_left(free, pair[0]), bisect_left(free_after, pair[1])
        if start < end and start_after < end_after:
            yield _Gap(free[start:end], free_after[start_after:end_after])
        start, start_after = end, end_after


def _same_kinds(gap: _Gap, before: list[JsonValue], after: list[JsonValue]) -> Iterator[Pair]:
    """Yield pairs by their order, of items of one kind."""
    pairs = zip(gap.before, gap.after, strict=False)
    return ((i, j) for i, j in pairs if kind_of(before[i]) == kind_of(after[j]))


def _most_similar(gap: _Gap, before: list[JsonValue], after: list[JsonValue]) -> list[Pair]:
    """Return pairs in order whose similarities have the greatest sum, each similar enough (dynamic programming)."""
    words, words_after = [_words_of(before[i]) for i in gap.before], [_words_of(after[j]) for j in gap.after]
    rows, columns = len(words), len(words_after)
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    scores = [[_similarity(one, other) for other in words_after] for one in words]
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            score = scores[row][column]
            both = best[row + 1][column + 1] + score if score else 0.0
            best[row][column] = max(best[row + 1][column], best[row][column + 1], both)
    pairs, row, column = list[Pair](), 0, 0
    while row < rows and column < columns:
        if best[row][column] == best[row + 1][column]:
            row += 1
        elif best[row][column] == best[row][column + 1]:
            column += 1
        else:
            pairs.append((gap.before[row], gap.after[column]))
            row, column = row + 1, column + 1
    return pairs


def _similarity(one: tuple[str, frozenset[str]], other: tuple[str, frozenset[str]]) -> float:
    """Return the share of common words (Dice's coefficient), 0 for too few and for items of two kinds."""
    (kind, words), (other_kind, other_words) = one, other
    if kind != other_kind or not words or not other_words:
        return 0.0
    share = 2 * len(words & other_words) / (len(words) + len(other_words))
    return share if share >= _SIMILAR else 0.0


def _words_of(item: JsonValue) -> tuple[str, frozenset[str]]:
    """Return the kind of an item, and words of the texts and numbers at its start."""
    words: set[str] = set()
    left, waiting = _TEXT_OF_ITEM, [item]
    while waiting and left > 0:
        value = waiting.pop()
        if isinstance(value, dict | list):
            inner = list(value.values()) if isinstance(value, dict) else value
            waiting += inner[:left][::-1]
        elif value is not None and not isinstance(value, bool):
            text = str(value)[:left] if isinstance(value, str | float) else hex(value)
            words.update(_WORD.findall(text.lower()))
            left -= len(text)
        left -= 1
    return kind_of(item), frozenset(words)
