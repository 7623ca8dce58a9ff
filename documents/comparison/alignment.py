"""Common subsequences of two sequences, in bounded time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from operator import itemgetter, lt
from typing import TypeAlias

_EXACT_PAIRS = 4_000  # pairs of equal elements that are always considered
_SHARE = 8  # of a large area: one pair for so many elements
_PAIR = 2  # steps that a pair costs


@dataclass(slots=True)
class Budget:
    """How much may still be compared, in elements looked at. When it is spent, comparisons become coarse."""

    steps: int = 220_000

    def spend(self, steps: int) -> bool:
        """Take the steps if there are enough, and return whether there were."""
        if self.steps < steps:
            return False
        self.steps -= steps
        return True


#: Ranges of both sequences that are compared with each other: start and end in the first, start and end in the second.
_Area: TypeAlias = tuple[int, int, int, int]


def align(before: Sequence[Hashable], after: Sequence[Hashable], budget: Budget) -> list[int]:
    """Return for each element of `before` the index of its partner in `after`, -1 without one; the indices increase.

    The pairs are a longest common subsequence if the sequences are short or have few repeated elements. Otherwise rare
    elements are paired first, and then what lies between their pairs. Without rare ones, the first occurrence of each
    element is paired with its first one in the other sequence, the second with the second. The idea is that of patience
    diff (Bram Cohen) and of JGit's histogram diff (Shawn Pearce). Pairs are chained as by J. W. Hunt and T. G.
    Szymanski, "A Fast Algorithm for Computing Longest Common Subsequences", CACM 20 (1977). The number of pairs is
    bounded, so the time is that of sorting. Elements stay without a partner when the budget is spent.
    """
    partners = [-1] * len(before)
    areas = [(0, len(before), 0, len(after))]
    while areas:
        i, i_end, j, j_end = areas.pop()
        first, first_after = i, j
        while i < i_end and j < j_end and before[i] == after[j]:
            i += 1
            j += 1
        partners[first:i] = range(first_after, j)
        last, last_after = i_end, j_end
        while i < i_end and j < j_end and before[i_end - 1] == after[j_end - 1]:
            i_end -= 1
            j_end -= 1
        partners[i_end:last] = range(j_end, last_after)
        if i < i_end and j < j_end and i_end - i + j_end - j > 2:
            area = (i, i_end, j, j_end)
            pairs, is_complete = _anchors(before, after, area, budget=budget)
            for index, partner in pairs:
                partners[index] = partner
            if pairs and not is_complete:
                areas += _between(pairs, area)
    return partners


def _anchors(
    before: Sequence[Hashable], after: Sequence[Hashable], area: _Area, *, budget: Budget
) -> tuple[list[tuple[int, int]], bool]:
    """Return pairs of equal elements in order, and whether no other pair can be added to them."""
    start, end, start_after, end_after = area
    size = end - start + end_after - start_after
    if not budget.spend(size):
        return [], True
    counts, counts_after = Counter(before[start:end]), Counter(after[start_after:end_after])
    common = [(count * counts_after[each], each) for each, count in counts.items() if each in counts_after]
    common.sort(key=itemgetter(0))
    limit = max(_EXACT_PAIRS, size // _SHARE)
    totals = list(accumulate(number for number, _ in common))
    places: dict[Hashable, list[int]] = {each: [] for _, each in common[: bisect_right(totals, limit)]}
    is_complete, by_turn = len(places) == len(common), not places
    if by_turn:  # each is so frequent that only the first ones are paired, the second ones, and so on
        places = {each: [] for _, each in common}
    if not places or not budget.spend(size if by_turn else _PAIR * totals[len(places) - 1]):
        return [], True
    for j in range(start_after, end_after):
        if after[j] in places:
            places[after[j]].append(j)
    pairs = list(_pairs(before[start:end], places, start, by_turn=by_turn))
    return [pairs[index] for index in longest_increasing([j for _, j in pairs])], is_complete


def _pairs(
    elements: Sequence[Hashable], places: dict[Hashable, list[int]], start: int, *, by_turn: bool
) -> Iterator[tuple[int, int]]:
    """Yield pairs of the index of an element, counted from `start`, and a place of its own; of each the last first."""
    if not by_turn:
        return ((i, j) for i, each in enumerate(elements, start) if each in places for j in reversed(places[each]))
    turns = {each: iter(indices) for each, indices in places.items()}
    return ((i, j) for i, each in enumerate(elements, start) if each in turns for j in islice(turns[each], 1))


def longest_increasing(numbers: Sequence[int]) -> list[int]:
    """Return the indices of a longest strictly increasing subsequence."""
    if all(map(lt, numbers, islice(numbers, 1, None))):
        return list(range(len(numbers)))
    tails: list[int] = []
    indices: list[int] = []
    previous: list[int] = []
    for index, number in enumerate(numbers):
        place = bisect_left(tails, number)
        previous.append(indices[place - 1] if place else -1)
        if place == len(tails):
            tails.append(number)
            indices.append(index)
        else:
            tails[place] = number
            indices[place] = index
    chain: list[int] = []
    index = indices[-1] if indices else -1
    while index >= 0:
        chain.append(index)
        index = previous[index]
    return chain[::-1]


def _between(pairs: list[tuple[int, int]], area: _Area) -> Iterator[_Area]:
    """Yield the areas before, between and after the pairs, from the last to the first: the stack turns them round."""
    _, i_end, _, j_end = area
    for i, j in reversed(pairs):
        if i + 1 < i_end and j + 1 < j_end:
            yield i + 1, i_end, j + 1, j_end
        i_end, j_end = i, j
    if area[0] < i_end and area[2] < j_end:
        yield area[0], i_end, area[2], j_end
