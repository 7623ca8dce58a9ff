"""Numbers that a schema permits: those of the brief first, then those nearest to the bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count, islice

from executions.llm.rehearsal.shapes import Shape
from executions.llm.rehearsal.unwritable import Unwritable

_MAX_NUMBER = 10**300  # about the limit of most JSON readers
_MAX_TRIES = 50  # numbers that are tried


def numbers_for(shape: Shape, known: Sequence[int], *, number: int) -> Iterator[int | float]:
    """Yield numbers within the bounds of a shape.

    Args:
        shape: The constraints of the number.
        known: Preferred numbers.
        number: Index of the number among those of the same field.

    Raises:
        Unwritable: no number is within the bounds.
    """
    step = shape.step
    within = [value for value in known if _is_within(Fraction(value), shape)]
    matching = [value for value in within if step == 0 or Fraction(value) % step == 0]
    start = (number - 1) % len(matching) if matching else 0
    yield from (matching[start:] + matching[:start])[:_MAX_TRIES]
    found = bool(matching)
    for candidate in islice(_steps(shape, step or Fraction(1)), _MAX_TRIES):
        if _is_within(candidate, shape):
            found = True
            yield _plain(candidate)
    between = _between(shape)
    if step == 0 and between is not None:
        found = True
        yield _plain(between)
    if not found:
        path = shape.pointer_of("multipleOf", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        raise Unwritable(path, "no number is within the bounds")


def _steps(shape: Shape, step: Fraction) -> Iterator[Fraction]:
    """Yield multiples of the step: upwards from the lower bound, else downwards from the upper bound, else from 0."""
    low, high = shape.lowest[0], shape.highest[0]
    if low is not None:
        first = math.ceil(low / step)
        return (step * factor for factor in count(first))
    if high is not None and high < 0:
        last = math.floor(high / step)
        return (step * factor for factor in count(last, -1))
    return (step * factor for factor in count())


def _between(shape: Shape) -> Fraction | None:
    low, high = shape.lowest[0], shape.highest[0]
    return (low + high) / 2 if low is not None and high is not None and low <= high else None


def _is_within(number: Fraction, shape: Shape) -> bool:
    (low, low_is_excluded), (high, high_is_excluded) = shape.lowest, shape.highest
    is_above = low is None or (number > low if low_is_excluded else number >= low)
    is_below = high is None or (number < high if high_is_excluded else number <= high)
    return is_above and is_below and abs(number) <= _MAX_NUMBER


def _plain(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)
