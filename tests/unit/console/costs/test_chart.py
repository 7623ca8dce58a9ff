"""The bars: a scale that ends above the highest one, and bars that stand upon each other."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from console.costs.chart import Column, amount_label, draw, scale


@pytest.mark.parametrize(
    ("most", "step", "top"),
    [
        ("0", "1", "1"),
        ("4", "1", "4"),
        ("4.12", "1", "5"),
        ("41.2", "10", "50"),
        ("7", "2", "8"),
        ("0.0013", "0.0005", "0.0015"),
        ("10", "2", "10"),
        ("123456", "50000", "150000"),
    ],
)
def test_a_scale_has_few_round_lines_and_ends_above_the_highest_bar(most: str, step: str, top: str) -> None:
    assert scale(Decimal(most)) == (Decimal(step), Decimal(top))


@pytest.mark.parametrize(
    ("amount", "step", "shown"),
    [("2", "1", "$2"), ("0.5", "0.5", "$0.5"), ("0.001", "0.0005", "$0.0010"), ("150000", "5E+4", "$150,000")],
)
def test_a_label_has_as_many_decimals_as_the_step(amount: str, step: str, shown: str) -> None:
    assert amount_label(Decimal(amount), Decimal(step)) == shown


def column(label: str, *amounts: float, has_unknown: bool = False) -> Column:
    costs = [Decimal(str(each)) for each in amounts]
    return Column(label=label, amounts=costs, titles=[label] * len(costs), has_unknown=has_unknown)


def test_bars_stand_upon_each_other_within_the_drawing() -> None:
    chart = draw([column("1", 3, 0, 2), column("2"), column("3", 0, 1, has_unknown=True)], width=400, height=200)
    first, second, third = chart.bars
    assert [each.series for each in chart.bars] == [0, 2, 1]
    assert float(first.y) + float(first.height) == pytest.approx(chart.base)
    assert float(second.y) + float(second.height) == pytest.approx(float(first.y), abs=0.02)
    assert first.x == second.x != third.x
    assert float(first.height) / float(third.height) == pytest.approx(3, abs=0.01)
    assert all(0 < float(each.y) < chart.base for each in chart.bars)
    assert [line.text for line in chart.lines] == ["$0", "$1", "$2", "$3", "$4", "$5"]
    assert [mark.text for mark in chart.labels] == ["1", "2", "3"]
    assert len(chart.unknown) == 1
    assert not chart.is_empty


def test_a_single_bar_is_narrow_and_over_its_label() -> None:
    chart = draw([column("1", 1)], width=1_180, height=200)
    [bar], [label] = chart.bars, chart.labels
    assert float(bar.width) < 100
    assert float(bar.x) + float(bar.width) / 2 == pytest.approx(float(label.at), abs=0.02)


def test_labels_have_room() -> None:
    chart = draw([column(str(number), 1) for number in range(31)], width=330, height=200)
    places = [float(mark.at) for mark in chart.labels]
    assert min(later - earlier for earlier, later in pairwise(places)) >= 46


def test_without_costs_there_is_nothing_to_draw() -> None:
    assert draw([], width=400, height=200).is_empty
    assert draw([column("1", 0)], width=400, height=200).is_empty
    assert not draw([column("1", 0, has_unknown=True)], width=400, height=200).is_empty
