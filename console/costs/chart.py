"""The bars of costs as a drawing: places of bars, lines of the scale, labels. Templates draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from math import ceil

from console.language import formats

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 8, 18, 24  # room for labels
_MAX_LINES = 5
_GAP = 0.24  # share of a column that is left free
_LABEL_WIDTH = 46
_MAX_WIDTH = 64.0  # of a bar
_STEPS = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What is stacked over one label of the axis."""

    label: str
    amounts: Sequence[Decimal]  # US dollars by series
    titles: Sequence[str]  # by series
    has_unknown: bool = False  # whether more was spent than is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of a column."""

    x: str
    y: str
    width: str
    height: str
    series: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A label, with its place on the axis."""

    at: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The drawing."""

    width: int
    height: int
    bars: list[Bar]
    lines: list[Mark]  # of the scale
    labels: list[Mark]  # of the columns
    unknown: list[Mark]  # over columns with calls of unknown cost
    left: int = _LEFT
    right: int = 0
    base: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.bars and not self.unknown


def draw(columns: Sequence[Column], *, width: int, height: int) -> Chart:
    """Draw stacked bars."""
    step, top = scale(max((sum(each.amounts, Decimal(0)) for each in columns), default=Decimal(0)))
    base, room = height - _BOTTOM, height - _BOTTOM - _TOP
    across = (width - _LEFT - _RIGHT) / max(len(columns), 1)
    wide = min(across * (1 - _GAP), _MAX_WIDTH)
    bars: list[Bar] = []
    unknown: list[Mark] = []
    for number, column in enumerate(columns):
        x, y = _middle(across, number) - wide / 2, float(base)
        for series, amount in enumerate(column.amounts):
            if not amount:
                continue
            tall = float(amount / top) * room
            y -= tall
            size = {"width": _number(wide), "height": _number(tall)}
            bars.append(Bar(x=_number(x), y=_number(y), series=series, title=column.titles[series], **size))
        if column.has_unknown:
            unknown.append(Mark(at=_number(_middle(across, number)), text=_number(y - 4)))
    every = max(1, ceil(_LABEL_WIDTH / across))
    return Chart(
        width=width,
        height=height,
        bars=bars,
        lines=[
            Mark(at=_number(base - float(step * number / top) * room), text=amount_label(step * number, step))
            for number in range(int(top / step) + 1)
        ],
        labels=[
            Mark(at=_number(_middle(across, number)), text=column.label)
            for number, column in enumerate(columns)
            if number % every == 0
        ],
        unknown=unknown,
        right=width - _RIGHT,
        base=base,
    )


def _middle(across: float, number: int) -> float:
    return _LEFT + across * (number + 0.5)


def scale(most: Decimal) -> tuple[Decimal, Decimal]:
    """Return the step and the end of a scale for amounts up to `most`: one, two or five times a power of ten."""
    if most <= 0:
        return Decimal(1), Decimal(1)
    power = Decimal(10) ** (most.adjusted() - 1)
    step = next(each * power * ten for ten in (1, 10) for each in _STEPS if each * power * ten * _MAX_LINES >= most)
    return step, step * (most / step).to_integral_value(ROUND_CEILING)


def amount_label(amount: Decimal, step: Decimal) -> str:
    """Return US dollars with as many decimals as the step has."""
    decimals = max(0, -int(step.normalize().as_tuple().exponent))
    return formats.in_dollars(f"{amount:,.{decimals}f}")


def _number(value: float) -> str:
    """Return a coordinate for an attribute, in any language of the page."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
