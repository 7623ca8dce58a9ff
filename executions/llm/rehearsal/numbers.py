"""Numbers that a schema lets through: those of the brief first, then the nearest to its bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import count, islice

from executions.llm.rehearsal.shapes import Shape
from executions.llm.rehearsal.unwritable import Unwritable

_LARGEST = 10**300  # about as far as numbers go everywhere
_MOST = 50  # numbers that are tried


def numbers_for(shape: Shape, known: Sequence[int], *, number: int) -> Iterator[int | float]:
    """Yield numbers within the bounds of a shape.

    Args:
        shape: What is asked of the number.
        known: Numbers that are better than others.
        number: Which number this is, among those for the same field.

    Raises:
        Unwritable: the bounds leave none.
    """
    step = shape.step
    within = [each for each in known if _is_within(Fraction(each), shape)]
    fitting = [each for each in within if step == 0 or Fraction(each) % step == 0]
    turn = (number - 1) % len(fitting) if fitting else 0
    yield from (fitting[turn:] + fitting[:turn])[:_MOST]
    found = bool(fitting)
    for each in islice(_steps(shape, step or Fraction(1)), _MOST):
        if _is_within(each, shape):
            found = True
            yield _plain(each)
    between = _between(shape)
    if step == 0 and between is not None:
        found = True
        yield _plain(between)
    if not found:
        where = shape.pointer_of("multipleOf", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        raise Unwritable(where, "no number is within the bounds")


def _steps(shape: Shape, step: Fraction) -> Iterator[Fraction]:
    """Yield multiples of a step: from the lower bound upwards, else from the upper one downwards, else from 0."""
    low, high = shape.lowest[0], shape.highest[0]
    if low is not None:
        first = math.ceil(low / step)
        return (step * each for each in count(first))
    if high is not None and high < 0:
        last = math.floor(high / step)
        return (step * each for each in count(last, -1))
    return (step * each for each in count())


def _between(shape: Shape) -> Fraction | None:
    low, high = shape.lowest[0], shape.highest[0]
    return (low + high) / 2 if low is not None and high is not None and low <= high else None


def _is_within(number: Fraction, shape: Shape) -> bool:
    (low, above), (high, below) = shape.lowest, shape.highest
    high_enough = low is None or (number > low if above else number >= low)
    low_enough = high is None or (number < high if below else number <= high)
    return high_enough and low_enough and abs(number) <= _LARGEST


def _plain(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)
